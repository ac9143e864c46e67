"""the bytes of a chat -> its text, by every reader in the comparison.

A reader is opened with the reads of a body and yields its object for each chunk. While the
clock runs, the objects are dropped in C; the check reads their text, so the checked code is
the timed code. All readers are in this process and touch no socket, except openai-node,
which is called through a pipe and measures its own time.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module, metadata
from time import perf_counter
from typing import Any, Protocol

from sse_core import iter_events
from sse_openai import ArgumentsDelta, ChatCompletionChunk, ContentDelta, read_chat
from sse_openai._text import loads

from .foreign import NODE, Conversation, talking
from .parsers import OURS

__all__ = ["FLOOR", "FOLDED", "REQUIREMENTS", "TYPED", "Body", "Reader", "installed", "running"]

REQUIREMENTS = ["msgspec", "openai", "orjson"]
"""The distributions that ``--install`` gets; node and openai-node are npm's."""

FLOOR = "json.loads"
TYPED = f"{OURS}, chunks"
FOLDED = OURS
REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@dataclass(frozen=True)
class Body:
    """One streamed chat completion: its reads, and the text of each chunk."""

    reads: Sequence[bytes]
    data: Sequence[str]
    """The data of its events, except ``[DONE]``."""
    text: str
    """The content, or the arguments of the only tool call."""


class Reader(Protocol):
    """A reader that can be checked and timed."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def warm_up(self) -> float:
        """Seconds of reading before its time counts."""

    def text(self, body: Body) -> str:
        """Read it once; return its text."""

    def sample(self, body: Body, loops: int) -> float:
        """Read it this many times; return the seconds for all."""


@dataclass(frozen=True)
class PythonReader:
    """A reader that yields objects, and a way to find the text in them."""

    name: str
    version: str
    open: Callable[[Body], Iterable[Any]] = field(repr=False)
    part: Callable[[Any], str | None] = field(repr=False)
    warm_up: float = 0.05

    def text(self, body: Body) -> str:
        return "".join(self.part(item) or "" for item in self.open(body))

    def sample(self, body: Body, loops: int) -> float:
        started = perf_counter()
        for _ in range(loops):
            deque(self.open(body), maxlen=0)
        return perf_counter() - started


def installed() -> tuple[list[Reader], list[str]]:
    """Return the readers in this process, and the reasons why others are left out."""
    readers: list[Reader] = [
        PythonReader(FLOOR, "", lambda body: map(json.loads, body.data), _part_of_json),
        PythonReader(TYPED, "", _typed, _part_of_chunk),
        PythonReader(FOLDED, "", lambda body: read_chat(body.reads), _part_of_chunk),
        PythonReader(
            f"{OURS}, events", "", lambda body: read_chat(body.reads).events(), _part_of_event
        ),
    ]
    left_out = []
    for module, decode in [("orjson", "loads"), ("msgspec", "json.decode")]:
        try:
            readers.append(_with_decoder(module, decode))
        except ImportError:
            left_out.append(f"{module}: not installed")
    try:
        readers += _openai()
    except ImportError:
        left_out.append("openai: not installed")
    return readers, left_out


def _typed(body: Body) -> Iterator[ChatCompletionChunk]:
    # Everything that a reader without folding needs: events, JSON, chunks.
    from_json = ChatCompletionChunk.from_json
    for event in iter_events(body.reads):
        if event.data != "[DONE]":
            yield from_json(loads(event.data))


def _with_decoder(module: str, decode: str) -> PythonReader:
    function: Any = import_module(module)
    for name in decode.split("."):
        function = getattr(function, name)

    def read(body: Body) -> Iterable[Any]:
        return read_chat(body.reads, loads=function)

    return PythonReader(f"{OURS}, {module}", metadata.version(module), read, _part_of_chunk)


def _openai() -> list[Reader]:
    openai = import_module("openai")
    version = metadata.version("openai")
    # From 3.0 on, openai is built on httpx2.
    transport = import_module("httpx2" if int(version.split(".")[0]) >= 3 else "httpx")
    reads: list[Sequence[bytes]] = []

    def answer(request: Any) -> Any:
        headers = {"content-type": "text/event-stream"}
        return transport.Response(200, headers=headers, content=iter(reads[-1]))

    http_client = transport.Client(transport=transport.MockTransport(answer))
    completions = openai.OpenAI(api_key="k", http_client=http_client).chat.completions

    def create(body: Body) -> Iterator[Any]:
        reads[:] = [body.reads]
        return iter(completions.create(stream=True, **REQUEST))

    def stream(body: Body) -> Iterator[Any]:
        reads[:] = [body.reads]
        with completions.stream(**REQUEST) as events:
            yield from events

    def part(event: Any) -> str | None:
        if event.type == "content.delta":
            return str(event.delta)
        arguments = event.type == "tool_calls.function.arguments.delta"
        return event.arguments_delta if arguments else None

    return [
        PythonReader("openai create", version, create, _part_of_openai),
        PythonReader("openai .stream()", version, stream, part),
    ]


def _part_of_json(value: Any) -> Any:
    delta = value["choices"][0]["delta"]
    for call in delta.get("tool_calls") or ():
        return str(call["function"]["arguments"])
    return delta.get("content")


def _part_of_chunk(chunk: ChatCompletionChunk) -> str | None:
    for call in chunk.tool_calls:
        return call.function.arguments if call.function else None
    return chunk.content


def _part_of_openai(chunk: Any) -> Any:
    delta = chunk.choices[0].delta
    for call in delta.tool_calls or ():
        return str(call.function.arguments)
    return delta.content


def _part_of_event(event: Any) -> str | None:
    match event:
        case ContentDelta(delta=text) | ArgumentsDelta(arguments_delta=text):
            return text
    return None


class NodeReader:
    """openai-node's ``create``, over a ``fetch`` that answers with the body."""

    name = "openai-node create"
    warm_up = 2.0  # the optimizing compiler starts late

    def __init__(self, conversation: Conversation, version: str) -> None:
        self.version = version
        self._conversation = conversation

    def text(self, body: Body) -> str:
        self._conversation.load(body.reads)
        return str(self._conversation.ask(command="text")["text"])

    def sample(self, body: Body, loops: int) -> float:
        self._conversation.load(body.reads)
        return float(self._conversation.ask(command="sample", loops=loops)["seconds"])


@contextmanager
def running() -> Iterator[tuple[list[Reader], list[str]]]:
    """Run node 22 or newer; yield its reader, or the reason why there is none."""
    # The node of `npm install node` comes first.
    node = shutil.which("node", path=NODE / "node_modules" / ".bin") or shutil.which("node")
    if node is None:
        yield [], ["openai-node: no node"]
        return
    version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True)
    if int(version.stdout[1:].split(".")[0]) < 22:
        yield [], [f"openai-node: node is {version.stdout.strip()}, it needs 22"]
        return
    with talking([node, "--expose-gc", NODE / "chat.mjs"]) as conversation:
        found = conversation.ask(command="version")
        if found["openai"] is None:
            yield [], ["openai-node: not installed"]
        else:
            said = f"{found['openai']} on node {found['node']}"
            yield [NodeReader(conversation, said)], []
