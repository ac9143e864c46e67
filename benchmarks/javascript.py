"""The parsers under node, for the same clock: one process, one question at a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .parsers import Outcome, Parser, View

__all__ = ["FOLDER", "install", "running"]

FOLDER = Path(__file__).with_name("node")
"""Holds the script, and in a git-ignored ``node_modules`` what it measures."""


def install() -> None:
    """Get the packages through npm. It warns where they ask for a newer node, yet they run."""
    if npm := shutil.which("npm"):
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=FOLDER, check=True)


class Node:
    """The node process, and the file in which it finds the bytes."""

    def __init__(self, process: subprocess.Popen[str], file: Path) -> None:
        self._process = process
        self._file = file
        self._loaded: Sequence[bytes] | None = None

    def ask(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def load(self, chunks: Sequence[bytes]) -> None:
        if chunks is self._loaded:
            return
        self._file.write_bytes(b"".join(chunks))
        self.ask(command="load", file=str(self._file), lengths=[len(chunk) for chunk in chunks])
        self._loaded = chunks


class NodeParser:
    """One parser of the node process."""

    warm_up = 0.3  # the optimizing compiler comes late
    tells_retry = True

    def __init__(self, node: Node, name: str, version: str) -> None:
        self.name = name
        self.version = version
        # eventsource-parser leaves the last event ID to its caller.
        self.takes_last_event_id = True
        self._node = node

    def load(self, chunks: Sequence[bytes]) -> None:
        self._node.load(chunks)

    def outcome(self, limit: float, last_event_id: str = "") -> Outcome:
        """As for Python parsers, but without the limit: none of these is quadratic."""
        try:
            answer = self._node.ask(command="events", parser=self.name, lastEventId=last_event_id)
        except RuntimeError as exc:
            return Outcome([], None, f"raises {exc}")
        return Outcome([View(*event) for event in answer["events"]], answer["retry"])

    def sample(self, loops: int) -> float:
        answer = self._node.ask(command="sample", parser=self.name, loops=loops)
        return float(answer["seconds"])


@contextmanager
def running() -> Iterator[tuple[list[Parser], list[str], str]]:
    """Run node; give its parsers, what is left out and why, and its version."""
    node = shutil.which("node")
    if node is None:
        yield [], ["eventsource-parser, undici: no node"], ""
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [node, "--expose-gc", str(FOLDER / "parsers.mjs")]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8"
        ) as process:
            conversation = Node(process, Path(folder, "stream"))
            found = conversation.ask(command="parsers")
            parsers: list[Parser] = [
                NodeParser(conversation, parser["name"], parser["version"])
                for parser in found["parsers"]
            ]
            names = " ".join(parser.name for parser in parsers)
            left_out = [
                f"{name}: not installed"
                for name in ["eventsource-parser", "undici"]
                if name not in names
            ]
            yield parsers, left_out, found["node"]
