"""The parsers in JavaScript and Go: processes that answer one question at a time, by own clocks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .parsers import Outcome, Parser, View

__all__ = ["GO", "NODE", "Conversation", "install", "running", "talking"]

NODE = Path(__file__).with_name("node")
"""The script, and the packages that it measures in a git-ignored ``node_modules``."""

GO = Path(__file__).with_name("go")
"""The program, and the versions that it measures in ``go.mod``."""


def install() -> None:
    """Install the packages. npm warns if they ask for a newer node, but they run."""
    if npm := shutil.which("npm"):
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=NODE, check=True)
    if go := shutil.which("go"):
        subprocess.run([go, "mod", "download"], cwd=GO, check=True)


class Conversation:
    """A process that answers, and the file from which it reads the bytes."""

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


@contextmanager
def talking(command: Sequence[str | Path]) -> Iterator[Conversation]:
    """Run a program and talk to it. It ends when its input ends."""
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8") as process,
    ):
        yield Conversation(process, Path(folder, "stream"))


class ForeignParser:
    """One parser of such a process."""

    warm_up = 0.3  # an optimizing compiler starts late

    def __init__(self, conversation: Conversation, told: dict[str, Any]) -> None:
        self.name: str = told["name"]
        self.version: str = told["version"]
        self.tells_retry: bool = told["tellsRetry"]
        self.takes_last_event_id: bool = told["takesLastEventId"]
        self._conversation = conversation

    def load(self, chunks: Sequence[bytes]) -> None:
        self._conversation.load(chunks)

    def outcome(self, limit: float, last_event_id: str = "") -> Outcome:
        try:
            answer = self._conversation.ask(
                command="events", parser=self.name, lastEventId=last_event_id, limit=limit
            )
        except RuntimeError as exc:
            return Outcome([], None, f"raises {exc}")
        if answer.get("tooSlow"):
            return Outcome([], None, f"takes over {limit:g} s")
        return Outcome([View(*event) for event in answer["events"]], answer["retry"])

    def sample(self, loops: int) -> float:
        answer = self._conversation.ask(command="sample", parser=self.name, loops=loops)
        return float(answer["seconds"])


@contextmanager
def running() -> Iterator[tuple[list[Parser], list[str], dict[str, str]]]:
    """Run node and Go; yield their parsers, what is left out and why, and their versions."""
    parsers: list[Parser] = []
    left_out: list[str] = []
    versions: dict[str, str] = {}
    with ExitStack() as stack:
        for language, peers, program in [
            ("node", "eventsource-parser, undici", _node),
            ("go", "donovanhide/eventsource and others in Go", _go),
        ]:
            command = program(stack)
            if isinstance(command, str):
                left_out.append(f"{peers}: {command}")
                continue
            conversation = stack.enter_context(talking(command))
            told = conversation.ask(command="parsers")
            parsers += [ForeignParser(conversation, parser) for parser in told["parsers"]]
            versions[language] = told["version"]
            left_out += [f"{name}: not installed" for name in told["missing"]]
        yield parsers, left_out, versions


def _node(_: ExitStack) -> list[str | Path] | str:
    """Return the command, or the reason why there is none."""
    node = shutil.which("node")
    return [node, "--expose-gc", NODE / "parsers.mjs"] if node else "no node"


def _go(stack: ExitStack) -> list[str | Path] | str:
    """Build the program from the downloaded modules."""
    go = shutil.which("go")
    if go is None:
        return "no go"
    program = Path(stack.enter_context(tempfile.TemporaryDirectory()), "parsers")
    environment = {**os.environ, "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    command = [go, "build", "-mod=readonly", "-o", str(program), "."]
    built = subprocess.run(command, cwd=GO, env=environment, capture_output=True, text=True)
    return [program] if built.returncode == 0 else "not installed, or go is too old"
