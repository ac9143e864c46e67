"""chat streams -> the time of every reader for a chunk, and its growth with the stream.

A reader's text is compared before its time counts. Then all take turns, one sample each
in every round. A sample reads the stream until that lasts long enough for the clock. The
garbage collector is on and runs before each sample.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from math import ceil
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from sse_openai import ArgumentsDelta, PartialJSON, read_chat

from .chat_readers import FLOOR, FOLDED, TYPED, Body, Reader, installed, running
from .measure import FULL, Settings
from .report import machine, note, table
from .workloads import WORKLOADS, build

__all__ = ["Figure", "Growth", "Run", "arguments", "content", "measure"]

CHUNKS = 5000
READ = 64 * 2**10
TITLES = {
    "content": "Content, a token in each chunk",
    "arguments": "Arguments of a tool call, 20 characters in each chunk",
}


def content(chunks: int = CHUNKS) -> Body:
    """Return an answer in text, the same as in the parser's benchmark."""
    reads, events = build(WORKLOADS["chat"], "64k", size=chunks)
    data = [event.data for event in events if event.data != "[DONE]"]
    parts = [json.loads(each)["choices"][0]["delta"].get("content") for each in data]
    return Body(reads, data, "".join(part or "" for part in parts))


def arguments(size: int = 20 * CHUNKS) -> Body:
    """Return a tool call with arguments of this many characters: one long string among others."""
    line = "print('x')  # 你好\n"
    code = line * (size // len(json.dumps(line)[1:-1]))
    text = json.dumps({"path": "a.py", "mode": 420, "code": code, "done": True})
    call: dict[str, Any] = {"id": "call_1", "type": "function", "function": {"name": "write"}}
    parts = ["", *(text[at : at + 20] for at in range(0, len(text), 20))]
    data = []
    for part in parts:
        call["function"]["arguments"] = part
        delta = {"tool_calls": [{"index": 0, **call}]}
        data.append(_chunk({"index": 0, "delta": delta, "finish_reason": None}))
        call = {"function": {}}
    data.append(_chunk({"index": 0, "delta": {}, "finish_reason": "tool_calls"}))
    stream = "".join(f"data: {each}\n\n" for each in [*data, "[DONE]"]).encode()
    return Body([stream[at : at + READ] for at in range(0, len(stream), READ)], data, text)


def _chunk(choice: dict[str, Any]) -> str:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000}
    return json.dumps({**chunk, "model": "gpt-4o-mini", "choices": [choice]})


@dataclass
class Figure:
    """One reader on one stream. ``samples`` holds seconds for one chunk."""

    stream: str
    reader: str
    verdict: str = ""
    samples: list[float] = field(default_factory=list)


@dataclass
class Growth:
    """The time of a piece in streams of several lengths: the same in each if it is linear."""

    title: str
    unit: str
    sizes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Seconds for one chunk, by size."""

    @property
    def ratio(self) -> float:
        """The longest time of a chunk in any stream, relative to the shortest stream."""
        return max(self.seconds) / self.seconds[0]


@dataclass
class Run:
    """Everything that one invocation measured."""

    machine: str
    versions: dict[str, str]
    left_out: list[str]
    settings: Settings
    figures: list[Figure] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)

    def ratio(self, reader: str, to: str, stream: str = "content") -> float | None:
        """The median time of one reader, as a multiple of another's."""
        times = {each.reader: each.samples for each in self.figures if each.stream == stream}
        if not times.get(reader) or not times.get(to):
            return None
        return median(times[reader]) / median(times[to])

    def markdown(self) -> str:
        said = [f"{name} {version}" for name, version in self.versions.items() if version]
        head = [f"* {self.machine}", f"* {', '.join(said)}"]
        head += [f"* left out: {'; '.join(self.left_out)}"] * bool(self.left_out)
        head.append(
            f"* {self.settings.repeats} rounds, readers in turn, each sample at least"
            f" {self.settings.sample * 1000:.0f} ms, reads of 64 KiB; garbage collector on"
        )
        parts = ["\n".join(head)]
        for stream, title in TITLES.items():
            rows = [self._row(each) for each in self.figures if each.stream == stream]
            columns = ["reader", "µs/chunk, median", "min", f"× {FLOOR}", f"× {FOLDED}", ""]
            parts.append(f"### {title} (`{stream}`)\n\n{table(columns, rows)}")
        rows = [
            [each.title, f"{size:,} {each.unit}", f"{seconds * 1e6:.2f}"]
            for each in self.growth
            for size, seconds in zip(each.sizes, each.seconds, strict=True)
        ]
        parts.append(f"### Longer streams\n\n{table(['', 'length', 'µs/chunk, min'], rows)}")
        return "\n\n".join([*parts, f"### Targets\n\n{self.targets()}"])

    def _row(self, figure: Figure) -> list[str]:
        if not figure.samples:
            return [figure.reader, "–", "–", "–", "–", figure.verdict]
        cells = [f"{of(figure.samples) * 1e6:.2f}" for of in (median, min)]
        for to in (FLOOR, FOLDED):
            ratio = self.ratio(figure.reader, to, figure.stream)
            cells.append("–" if ratio is None else f"{ratio:.2f}")
        return [figure.reader, *cells, figure.verdict]

    def targets(self) -> str:
        """The targets for reading chats, and the results."""
        rows = []

        def row(asked: str, value: float | None, met: Callable[[float], bool]) -> None:
            said = "–" if value is None else "met" if met(value) else "missed"
            rows.append([asked, "–" if value is None else f"{value:.2f}x", said])

        for reader, to, most in [
            (TYPED, FLOOR, 1.7),
            (FOLDED, FLOOR, 2.3),
            (FOLDED, "openai-node create", 1.0),
        ]:
            value = self.ratio(reader, to)
            row(f"{reader} ≤ {most}x {to}", value, most.__ge__)
        for reader, least in [("openai create", 15.0), ("openai .stream()", 25.0)]:
            row(f"{reader} ≥ {least:g}x {FOLDED}", self.ratio(reader, FOLDED), least.__le__)
        for each in self.growth:
            longest = f"{each.sizes[-1]:,} {each.unit} at most 1.3x {each.sizes[0]:,} a chunk"
            row(f"linear, {each.title}: {longest}", each.ratio, (1.3).__ge__)
        return table(["target", "measured", ""], rows)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def measure(settings: Settings = FULL, scale: int = 1) -> Run:
    """Measure every installed reader; ``scale`` divides the length of the streams."""
    with running() as (node_readers, node_left_out):
        readers, left_out = installed()
        every = readers + node_readers
        versions = {reader.name: reader.version for reader in every}
        run = Run(machine(), versions, left_out + node_left_out, settings)
        gc.collect()
        gc.freeze()  # so imported modules burden no reader
        try:
            bodies = {"content": content(CHUNKS // scale), "arguments": arguments(10**5 // scale)}
            for stream, body in bodies.items():
                note(stream)
                run.figures += _take_turns(stream, body, every, settings)
            run.growth = _growth(settings, scale)
        finally:
            gc.unfreeze()
    return run


def _take_turns(
    stream: str, body: Body, readers: Sequence[Reader], settings: Settings
) -> list[Figure]:
    figures = []
    turns = []
    for reader in readers:
        figure = Figure(stream, reader.name)
        figures.append(figure)
        if reader.text(body) != body.text:
            figure.verdict = "reads another text"
            continue
        seconds = warm_up(reader, body, max(reader.warm_up, settings.sample))
        turns.append((reader, figure, ceil(settings.sample / seconds)))
    for _ in range(settings.repeats):
        for reader, figure, loops in turns:
            gc.collect()
            figure.samples.append(reader.sample(body, loops) / loops / len(body.data))
    return figures


def warm_up(reader: Reader, body: Body, least: float) -> float:
    """Read for this many seconds; return the time of the last pass over the stream."""
    total = 0.0
    while True:
        seconds = max(reader.sample(body, 1), 1e-9)
        total += seconds
        if total >= least:
            return seconds


def _growth(settings: Settings, scale: int) -> list[Growth]:
    sizes = [5000 // scale, 10_000 // scale, 20_000 // scale]
    chunks = Growth("content, folded", "chunks")
    for size in sizes:
        body = content(size)
        _grow(chunks, size, settings, len(body.data), partial(_fold, body))
    megabytes = [2**20 // scale, 2**21 // scale, 2**22 // scale]
    told = Growth("arguments with live values", "characters")
    live = Growth("PartialJSON alone", "characters")
    for size in megabytes:
        note(f"{size:,} characters of arguments")
        body = arguments(size)
        _grow(told, size, settings, len(body.data), partial(_look, body))
        text = body.text
        pieces = [text[at : at + 20] for at in range(0, len(text), 20)]
        _grow(live, size, settings, len(pieces), partial(_read, pieces))
    return [chunks, told, live]


def _grow(
    growth: Growth, size: int, settings: Settings, chunks: int, read: Callable[[], object]
) -> None:
    seconds = []
    for _ in range(min(settings.repeats, 3)):
        gc.collect()
        started = perf_counter()
        read()
        seconds.append((perf_counter() - started) / chunks)
    growth.sizes.append(size)
    growth.seconds.append(min(seconds))


def _fold(body: Body) -> None:
    chat = read_chat(body.reads)
    for _ in chat:
        pass
    assert chat.completion.choices[0].message.content == body.text


def _look(body: Body) -> None:
    value: Any = None
    for event in read_chat(body.reads).events():
        if isinstance(event, ArgumentsDelta):
            value = event.parsed_arguments
    assert value == json.loads(body.text)


def _read(pieces: Sequence[str]) -> None:
    reader = PartialJSON()
    value: Any = None
    for piece in pieces:
        reader.receive_text(piece)
        value = reader.value
    assert value == json.loads("".join(pieces))
