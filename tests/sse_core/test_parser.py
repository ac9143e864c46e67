"""The parser by example: every vector in every chunking, then what vectors cannot say."""

from __future__ import annotations

import ast
import base64
import copy
import inspect
import json
import pickle
import random
import re
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sse_core import (
    Comment,
    EventStreamParser,
    EventTooLarge,
    ServerSentEvent,
    _parser,
    aiter_events,
    iter_events,
)

MIB = 2**20

Item = ServerSentEvent | Comment


# --- vectors ---


@dataclass
class Vector:
    name: str
    stream: bytes
    initial_last_event_id: str
    events: list[dict[str, str]]
    retry: int | None
    final_last_event_id: str


VECTORS = [
    Vector(
        vector["name"],
        b"".join(base64.b64decode(chunk) for chunk in vector["chunks_b64"]),
        vector.get("initial_last_event_id", ""),
        vector["events"],
        vector["retry"],
        vector["final_last_event_id"],
    )
    for vector in json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text())
]

Chunking = Iterator[list[bytes]]


def reads_of(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def whole(stream: bytes) -> Chunking:
    yield [stream]


def bytewise(stream: bytes) -> Chunking:
    yield reads_of(stream, 1)


def with_empty_reads(stream: bytes) -> Chunking:
    yield [b"", *(piece for byte in stream for piece in (bytes([byte]), b"", b""))]


def between_cr_and_lf(stream: bytes) -> Chunking:
    lines = stream.replace(b"\r\n", b"\r\0\n").split(b"\0") if b"\0" not in stream else [stream]
    yield lines
    yield [piece for line in lines for piece in (line, b"")]


def every_two_cuts(stream: bytes) -> Chunking:
    if len(stream) <= 200:
        cuts = list(combinations_with_replacement(range(len(stream) + 1), 2))
    else:
        choose = random.Random(len(stream))
        places = range(len(stream) + 1)
        cuts = [(choose.choice(places), choose.choice(places)) for _ in range(200)]
    for first, second in map(sorted, cuts):
        yield [stream[:first], stream[first:second], stream[second:]]


CUTS = [whole, bytewise, with_empty_reads, between_cr_and_lf, every_two_cuts]


def test_vectors_are_whole() -> None:
    """Nothing of the vectors went missing on its way here."""
    assert 231 == len(VECTORS)


@pytest.mark.sweep(quick=330)
@pytest.mark.usefixtures("general_path")
@pytest.mark.parametrize("cut", CUTS, ids=attrgetter("__name__"))
@pytest.mark.parametrize("vector", VECTORS, ids=attrgetter("name"))
def test_vector(vector: Vector, cut: Callable[[bytes], Chunking]) -> None:
    """Events, last event ID and reconnection time do not depend on where the chunks were cut."""
    for chunks in cut(vector.stream):
        parser = EventStreamParser(vector.initial_last_event_id)
        events = [
            {"event": event.event, "data": event.data, "id": event.id}
            for chunk in chunks
            for event in parser.receive_data(chunk)
        ]

        assert vector.events == events, chunks
        assert vector.retry == parser.reconnection_time, chunks
        assert vector.final_last_event_id == parser.last_event_id, chunks


@pytest.mark.parametrize(
    "stream",
    [b"data: a\n\n", b"data: a\r\n\r\n", b"data: a\n\ndata: b\n\n", b"event: a\ndata: b\n\n"],
)
def test_fast_path_can_be_turned_off(stream: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the switch off another way is gone: what runs as "general path" is one."""
    fast = functions_called(stream)
    monkeypatch.setattr(_parser, "_FAST_PATH", False)
    general = functions_called(stream)

    assert fast != general


def functions_called(stream: bytes) -> list[str]:
    called: list[str] = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, function: called.append(str(function or frame.f_code)))
    try:
        parse(stream)
    finally:
        sys.setprofile(before)
    return [re.sub(" at 0x[0-9a-f]+", "", name) for name in called]


def parse(stream: bytes, **options: Any) -> list[Item]:
    parser: EventStreamParser[Item] = EventStreamParser(**options)
    return parser.receive_data(stream)


def message(data: str, **fields: Any) -> ServerSentEvent:
    return ServerSentEvent(data, **fields)


# --- events ---


def test_event_holds_the_retry_of_its_own_block() -> None:
    """``retry`` on an event is the block's last valid one; the parser keeps the latest of all."""
    parser = EventStreamParser()

    assert [message("a", retry=6), message("b")] == parser.receive_data(
        b"retry: 5\nretry: 6\nretry: x\ndata: a\n\ndata: b\n\n"
    )
    assert 6 == parser.reconnection_time


def test_reconnection_time_is_in_force_at_the_end_of_its_line() -> None:
    """``retry`` needs no blank line, and no data."""
    parser = EventStreamParser()
    assert [] == parser.receive_data(b"retry: 1")
    assert parser.reconnection_time is None
    assert [] == parser.receive_data(b"0\r")
    assert 10 == parser.reconnection_time


def test_last_event_id_changes_at_the_blank_line() -> None:
    """An ``id`` counts when its block ends, though nothing is dispatched."""
    parser = EventStreamParser("before")
    assert [] == parser.receive_data(b"id: 1\n")
    assert "before" == parser.last_event_id
    assert [] == parser.receive_data(b"\n")
    assert "1" == parser.last_event_id


def test_carriage_return_dispatches_at_once() -> None:
    """A CR ends a line when it comes; the LF after it, whenever that comes, is none."""
    parser = EventStreamParser()
    assert [message("a")] == parser.receive_data(b"data: a\r\n\r")
    assert [] == parser.receive_data(b"")
    assert [message("b")] == parser.receive_data(b"\ndata: b\n\n")


def test_fresh_parser() -> None:
    """Nothing is set before anything came."""
    parser = EventStreamParser()

    assert "" == parser.last_event_id
    assert parser.reconnection_time is None


@pytest.mark.parametrize(
    ("digits", "milliseconds"),
    [
        (b"0", 0),
        (b"00", 0),
        (b"007", 7),
        (b"0" * 10**6 + b"5", 5),
        (b"0" * 10**6, 0),
        (b"9" * 640, 10**640 - 1),
        (b"9" * 641, 10**640 - 1),
        (b"0" * 700 + b"9" * 640, 10**640 - 1),
        (b"9" * 4300, 10**640 - 1),
        (b"9" * 4301, 10**640 - 1),
        (b"9" * 10**6, 10**640 - 1),
        (b"12" * 400, int("12" * 320)),
    ],
    ids=lambda value: f"{len(value)} digits" if isinstance(value, bytes) else "",
)
def test_retry_digits(digits: bytes, milliseconds: int) -> None:
    """Of a long number the first 640 digits are kept, also where CPython's limit is lowest."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        parser = EventStreamParser()
        parser.receive_data(b"retry: " + digits + b"\n")
    finally:
        sys.set_int_max_str_digits(limit)

    assert milliseconds == parser.reconnection_time


@pytest.mark.parametrize(
    "value",
    ["", " ", "-1", "+5", "1_0", " 5", "5 ", "5.0", "1e3", "0x1", "٥", "５", "²", "5\0", "\ufeff5"],
)
def test_retry_of_anything_but_ascii_digits(value: str) -> None:
    """``int()`` would take many of these; the standard takes none."""
    parser = EventStreamParser()
    parser.receive_data(b"retry: 1\nretry: %b\n" % value.encode())

    assert 1 == parser.reconnection_time


# --- what goes in ---


@pytest.mark.parametrize("type", [bytes, bytearray, memoryview], ids=attrgetter("__name__"))
def test_types_of_bytes(type: Callable[[bytes], Any]) -> None:
    """Three types of bytes, in any order, also in the middle of a line."""
    parser = EventStreamParser()
    parser.receive_data(type(b"data: a"))

    assert [message("a b")] == parser.receive_data(type(b" b\n\n"))


def test_memoryview_with_a_stride() -> None:
    """A view need not be contiguous."""
    stream = bytes(value for byte in b"data: a\n\n" for value in (byte, 0))

    assert [message("a")] == EventStreamParser().receive_data(memoryview(stream)[::2])


def test_bytes_subclass() -> None:
    """A subclass of bytes is its bytes, whatever its methods say."""

    class Lying(bytes):
        def startswith(self, *args: Any) -> bool:
            return False

        def __contains__(self, key: object) -> bool:
            return False

        def find(self, *args: Any) -> int:
            return -1

        def rfind(self, *args: Any) -> int:
            return -1

    parser = EventStreamParser()
    parser.receive_data(Lying(b"data: "))

    assert [message("a")] == parser.receive_data(Lying(b"a\n\n"))


def test_buffer_is_not_kept() -> None:
    """The caller may overwrite, grow and empty a buffer after the call."""
    buffer = bytearray(b"data: a")
    parser = EventStreamParser()
    parser.receive_data(buffer)
    buffer[:] = b"id: overwritten\n\n"
    parser.receive_data(memoryview(buffer)[:0])
    buffer.clear()

    assert [message("a")] == parser.receive_data(b"\n\n")


@pytest.mark.parametrize(
    "data", ["data: x\n\n", None, 5, [100], b"x"[0], object()], ids=lambda data: str(type(data))
)
def test_other_types_are_refused(data: Any) -> None:
    """The message names what came; the parser goes on as if the call had not been made."""
    parser = EventStreamParser()
    parser.receive_data(b"data: a\r")
    with pytest.raises(TypeError, match=type(data).__name__):
        parser.receive_data(data)

    assert [message("a\nb")] == parser.receive_data(b"\ndata: b\n\n")


# --- the end ---


@pytest.mark.parametrize("cut", [whole, bytewise], ids=attrgetter("__name__"))
@pytest.mark.parametrize(
    ("stream", "broken_off"),
    [
        (b"", None),
        (b"data: a\n\n", None),
        (b"data: a\r\r", None),
        (b"data: a\n", message("a")),
        (b"data: a", message("a")),
        (b"data: a\r", message("a")),
        (b"data", message("")),
        (b"dat", None),
        (b"data:", message("")),
        (b"data\ndata", message("\n")),
        (b"data: a\nda", message("a")),
        (b"data: a\ndata: b", message("a\nb")),
        (b"data: \xf0\x9f\x98", message("\ufffd")),
        (b"data: a\n: comment", message("a")),
        (b"data: a\nevent: add", message("a", event="add")),
        (b"data: a\nid: 7", message("a", id="7")),
        (b"id: 7\ndata: a", message("a", id="7")),
        (b"data: a\nretry: 12", message("a", retry=12)),
        (b"data: a\nretry: 12\n", message("a", retry=12)),
        (b"event: add\nid: 7\nretry: 1\n", None),
        (b"id: 7\n\ndata: a", message("a", id="7")),
        (b"\xef\xbb\xbfdata: a", message("a")),
        (b"\xef\xbb\xbf", None),
        (b"\xef\xbb", None),
    ],
)
def test_receive_eof(
    stream: bytes, broken_off: ServerSentEvent | None, cut: Callable[[bytes], Chunking]
) -> None:
    """The event the stream broke off is shown as if it had been finished there."""
    for chunks in cut(stream):
        parser = EventStreamParser()
        for chunk in chunks:
            parser.receive_data(chunk)

        assert broken_off == parser.receive_eof()


def test_receive_eof_leaves_the_state() -> None:
    """What no line end and no blank line confirmed is never sent back to the server."""
    parser = EventStreamParser("before")
    parser.receive_data(b"retry: 5\nid: 7\ndata: a\nretry: 12")

    assert message("a", id="7", retry=12) == parser.receive_eof()
    assert "before" == parser.last_event_id
    assert 5 == parser.reconnection_time


def test_receive_eof_with_dispatch_empty() -> None:
    """A block without data that is broken off is nothing, whatever the option."""
    parser = EventStreamParser(dispatch_empty=True)
    parser.receive_data(b"event: add\nid: 7\n")

    assert parser.receive_eof() is None


def test_receive_data_after_receive_eof() -> None:
    """A new stream takes a new parser."""
    parser = EventStreamParser()
    parser.receive_data(b"data: a\n")
    parser.receive_eof()

    for data in (b"", b"\n"):
        with pytest.raises(RuntimeError, match="receive_eof"):
            parser.receive_data(data)


# --- comments, and blocks without data ---


def test_comments_are_dropped() -> None:
    """By default nothing is told of comments."""
    assert [message("a\nb")] == parse(b": x\ndata: a\n:y\ndata: b\n:\n\n")


@pytest.mark.parametrize("cut", CUTS, ids=attrgetter("__name__"))
def test_comments_in_their_place(cut: Callable[[bytes], Chunking]) -> None:
    """Comments come when their line ends: those of a block before its event."""
    stream = b":a\r\ndata: 1\n: b\n:  c \n\n:\ndata: 2\r\r: : d\xff\n: unfinished"
    expected = [
        Comment("a"),
        Comment("b"),
        Comment(" c "),
        message("1"),
        Comment(""),
        message("2"),
        Comment(": d\ufffd"),
    ]
    for chunks in cut(stream):
        parser = EventStreamParser(comments=True)

        assert expected == [item for chunk in chunks for item in parser.receive_data(chunk)]
        assert parser.receive_eof() is None


@pytest.mark.parametrize(
    ("block", "event"),
    [
        (b"event: add\n\n", message("", event="add")),
        (b"id: 7\n\n", message("", id="7")),
        (b"id\n\n", message("")),
        (b"retry: 5\n\n", message("", retry=5)),
        (b"event\n\n", message("")),
        (b"event: add\nid: 7\nretry: 5\n\n", message("", event="add", id="7", retry=5)),
        (b"data\n\n", message("")),
    ],
)
@pytest.mark.usefixtures("general_path")
def test_dispatch_empty(block: bytes, event: ServerSentEvent) -> None:
    """A block with a field but without data is an event with this option, else none."""
    parser = EventStreamParser(dispatch_empty=True)

    assert [event] == parser.receive_data(block)
    assert [message("x", id=event.id)] == parser.receive_data(b"data: x\n\n")
    assert ([event] if b"data" in block else []) == parse(block)


@pytest.mark.parametrize(
    "block", [b"\n\n", b": comment\n\n", b"unknown: field\n\n", b" data: x\n\n"]
)
def test_dispatch_empty_of_nothing(block: bytes) -> None:
    """Without any of the four fields a block is no event, even with the option."""
    assert [] == parse(block, dispatch_empty=True)


# --- limits ---

CHARGES = [
    (b"data: 0123456789\n\n", 10),
    (b"data:0123456789\n\n", 10),
    (b"data:  123456789\n\n", 10),
    (b"data: \xe2\x82\xac\n\n", 3),
    (b"data: \xff\xff\n\n", 6),
    (b"data: \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\n\n", 30),
    (b"data\n\n", 0),
    (b"data\ndata:\ndata: \n\n", 64),
    (b"data: a\ndata: bc\n\n", 35),
    (b"event: ab\nid: cde\nretry: 007\ndata: f\n\n", 2 + 3 + 3 + 1 + 3 * 32),
    (b"retry: invalid\ndata: a\n\n", 7 + 1 + 32),
    (b"id: a\0b\ndata: a\n\n", 3 + 1 + 32),
    (b"data: a\n: a comment\nunknown: field\ndatab: a\n\n", 1),
    (b"data: aa\n\ndata: bb\n\ndata: cc\n\n", 2),
    (b"id: long\n\ndata: short\n\n", 5),
]


@pytest.mark.sweep(quick=75)
@pytest.mark.usefixtures("general_path")
@pytest.mark.parametrize("cut", CUTS, ids=attrgetter("__name__"))
@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize(("stream", "charge"), CHARGES)
def test_limit_is_exact(
    stream: bytes, charge: int, newline: bytes, cut: Callable[[bytes], Chunking]
) -> None:
    """Field values and 32 bytes for each further line: up to the limit, not one byte more."""
    stream = stream.replace(b"\n", newline)
    for chunks in cut(stream):
        parser = EventStreamParser(max_event_size=charge)
        for chunk in chunks:
            parser.receive_data(chunk)

        assert parser.receive_eof() is None

    for chunks in cut(stream) if charge else ():
        parser = EventStreamParser(max_event_size=charge - 1)
        with pytest.raises(EventTooLarge) as caught:
            receive_to_the_end(parser, chunks)

        assert charge - 1 == caught.value.limit


def receive(
    parser: EventStreamParser[Any], chunks: Iterable[bytes], items: list[Item] | None = None
) -> None:
    """Hand over the chunks one by one; add what comes out to ``items``."""
    for chunk in chunks:
        received = parser.receive_data(chunk)
        if items is not None:
            items += received


def receive_to_the_end(parser: EventStreamParser[Any], chunks: Iterable[bytes]) -> None:
    receive(parser, chunks)
    parser.receive_eof()


@pytest.mark.sweep(quick=25)
@pytest.mark.usefixtures("general_path")
@pytest.mark.parametrize("cut", CUTS, ids=attrgetter("__name__"))
@pytest.mark.parametrize(
    ("stream", "charge"),
    [
        (b"data: abc", 3),
        (b"data: ab\xc3", 5),
        (b"data: ab\xf0\x9f\x98", 5),
        (b"data\ndata", 32),
        (b"data\nid", 32),
        (b"data\nretry: 5", 33),
        (b"data: a\nevent: b", 34),
        (b"data: a\n: comment", 1),
        (b"data: a\nunknown", 1),
        (b"data: a\n", 1),
    ],
)
def test_limit_is_exact_at_the_end(
    stream: bytes, charge: int, cut: Callable[[bytes], Chunking]
) -> None:
    """The event that the end breaks off is held to the limit, its unfinished line included."""
    for chunks in cut(stream):
        parser = EventStreamParser(max_event_size=charge)
        receive(parser, chunks)

        assert parser.receive_eof() is not None

    for chunks in cut(stream):
        parser = EventStreamParser(max_event_size=charge - 1)
        with pytest.raises(EventTooLarge):
            receive_to_the_end(parser, chunks)


def test_limit_is_not_negative() -> None:
    """A negative limit is the caller's mistake."""
    with pytest.raises(ValueError, match=r"max_event_size .* -1"):
        EventStreamParser(max_event_size=-1)


@pytest.mark.usefixtures("general_path")
@pytest.mark.parametrize(
    "too_large", [b"data: too large\n\n", b"data: too large", b"id: too large\n", b"data\ndata\n"]
)
def test_items_before_come_first(too_large: bytes) -> None:
    """What was complete before the event that is too large is returned; then the error stays."""
    parser = EventStreamParser(max_event_size=4)

    assert [message("a"), message("b")] == parser.receive_data(
        b"data: a\n\ndata: b\n\n" + too_large
    )
    for data in (b"", b"\n\ndata: c\n\n"):
        with pytest.raises(EventTooLarge, match="max_event_size, 4 bytes"):
            parser.receive_data(data)
    with pytest.raises(EventTooLarge):
        parser.receive_eof()


@pytest.mark.usefixtures("general_path")
@pytest.mark.parametrize("cut", [whole, bytewise], ids=attrgetter("__name__"))
def test_nothing_of_an_event_that_is_too_large(cut: Callable[[bytes], Chunking]) -> None:
    """From the line that passes the limit on, nothing counts: no field, no comment, no ID."""
    stream = b"retry: 1\n\ndata: too large\nretry: 2\nid: 7\n:c\n\ndata: b\n\n"
    for chunks in cut(stream):
        parser: EventStreamParser[Item] = EventStreamParser("0", 4, comments=True)
        items: list[Item] = []
        with pytest.raises(EventTooLarge):
            receive(parser, [*chunks, b""], items)

        assert [] == items
        assert 1 == parser.reconnection_time
        assert "0" == parser.last_event_id


@pytest.mark.parametrize("field", [b"data", b"event", b"id", b"retry"])
def test_limit_holds_for_every_field(field: bytes) -> None:
    """Not only data takes memory: the line is refused before it ends."""
    parser = EventStreamParser(max_event_size=10_000)
    with pytest.raises(EventTooLarge):
        receive(parser, [field + b": ", *[b"1" * 1000] * 12])


def test_default_limit() -> None:
    """16 MiB are an event, one byte more is none."""
    assert 16 * MIB == len(
        EventStreamParser().receive_data(b"data: %b\n\n" % bytes(16 * MIB))[0].data
    )
    with pytest.raises(EventTooLarge, match="16777216"):
        EventStreamParser().receive_data(b"data: %b\n\n" % bytes(16 * MIB + 1))


def test_limit_lifted() -> None:
    """None lifts the limit, for comments too."""
    parser: EventStreamParser[Item] = EventStreamParser(max_event_size=None, comments=True)

    assert [Comment("\0" * 17 * MIB)] == parser.receive_data(b": %b\n" % bytes(17 * MIB))
    assert [message("\0" * 17 * MIB)] == parser.receive_data(b"data: %b\n\n" % bytes(17 * MIB))


@pytest.mark.sweep(quick=1)
@pytest.mark.parametrize("size", [1, 999, 65536])
def test_empty_lines_count(size: int) -> None:
    """100,000 empty data lines hold no byte of data and are charged all the same."""
    stream = b"data\n" * 100_000 + b"\n"
    chunks = reads_of(stream, size)
    parser = EventStreamParser(max_event_size=32 * 99_999)

    assert ["\n" * 99_999] == [
        event.data for chunk in chunks for event in parser.receive_data(chunk)
    ]
    with pytest.raises(EventTooLarge):
        receive_to_the_end(EventStreamParser(max_event_size=32 * 99_999 - 1), chunks)


def test_memory_of_empty_lines() -> None:
    """Ten million empty data lines end at the limit, within memory bounded by it."""
    parser = EventStreamParser(max_event_size=MIB)

    with traced() as memory, pytest.raises(EventTooLarge):
        receive(parser, [b"data\n" * 1000] * 10_000)

    assert memory.peak <= 2 * MIB


@pytest.mark.parametrize("cut", [whole, bytewise], ids=attrgetter("__name__"))
def test_comment_that_is_too_large(cut: Callable[[bytes], Chunking]) -> None:
    """With the option each comment is held to the limit by itself, however the event fares."""
    for chunks in cut(b":  23\n: 123\ndata: 123\n:1234\n:123\n"):
        parser: EventStreamParser[Item] = EventStreamParser("", 3, comments=True)
        items: list[Item] = []
        with pytest.raises(EventTooLarge):
            receive(parser, [*chunks, b""], items)

        assert [Comment(" 23"), Comment("123")] == items
        assert [message("123")] == parse(b":1234\ndata: 123\n\n", max_event_size=3)


class Memory:
    peak = 0


class traced:
    """Measures the most memory that Python held at a time inside the block, beyond the start."""

    def __enter__(self) -> Memory:
        self.memory = Memory()
        tracemalloc.start()
        self.before = tracemalloc.get_traced_memory()[0]
        return self.memory

    def __exit__(self, *exc: object) -> None:
        self.memory.peak = tracemalloc.get_traced_memory()[1] - self.before
        tracemalloc.stop()


def fresh(piece: bytes, times: int) -> Iterator[bytes]:
    """Pieces that share no memory, as reads from a socket do not."""
    for _ in range(times):
        yield bytes(bytearray(piece))


@pytest.mark.parametrize("size", [512, 65536])
def test_memory_of_a_line_without_end(size: int) -> None:
    """64 MiB of data without a line end are refused, within memory bounded by the limit."""
    parser = EventStreamParser()
    parser.receive_data(b"data: ")
    reads = fresh(bytes(size), 64 * MIB // size)

    with traced() as memory, pytest.raises(EventTooLarge):
        receive(parser, reads)

    assert 48 * MIB - size <= size * sum(1 for _ in reads)
    assert memory.peak <= 2 * 16 * MIB


@pytest.mark.parametrize("size", [1, 2, 64])
def test_memory_of_a_line_without_end_in_small_reads(size: int) -> None:
    """A peer that sends a few bytes at a time takes at most four times the limit."""
    limit = 64 * 1024
    parser = EventStreamParser(max_event_size=limit)
    parser.receive_data(b"data: ")

    with traced() as memory, pytest.raises(EventTooLarge):
        receive(parser, fresh(b"x" * size, 2 * limit // size))

    assert memory.peak <= 4 * limit + 65536


@pytest.mark.sweep(quick=6)
@pytest.mark.parametrize("size", [512, 65536])
@pytest.mark.parametrize(
    "start",
    [b":", b": x", b"unknown: ", b"unknown", b"datax", b"datax: ", b"data ", b" data: ", b"id\0: "],
)
def test_memory_of_what_says_nothing(start: bytes, size: int) -> None:
    """64 MiB of a comment or an unknown field are skipped without being kept."""
    parser = EventStreamParser()
    parser.receive_data(start)
    total = 64 * MIB if size == 65536 else 2 * MIB

    with traced() as memory:
        receive(parser, fresh(b"x" * size, total // size))

    assert memory.peak < 4 * size + 32768
    assert [message("a")] == parser.receive_data(b": x\ndata: a\n\n")


def test_memory_of_a_comment_that_is_asked_for() -> None:
    """With the option a comment is kept, and the limit bounds it."""
    parser: EventStreamParser[Item] = EventStreamParser("", MIB, comments=True)
    parser.receive_data(b": ")

    with traced() as memory, pytest.raises(EventTooLarge):
        receive(parser, fresh(bytes(65536), 1024))

    assert memory.peak <= 2 * MIB


@pytest.mark.sweep(quick=2)
@pytest.mark.parametrize("size", [512, 65536])
@pytest.mark.parametrize(
    ("start", "end"),
    [(b"data: ", b"\n\n"), (b"data: ", b"\r\n\r\n"), (b"data:", b"\r\r"), (b"data:", b"\n\n")],
)
def test_memory_of_a_large_event(start: bytes, end: bytes, size: int) -> None:
    """A line of 16 MiB takes at most 3.2 times its size, the event included."""
    parser = EventStreamParser()

    with traced() as memory:
        parser.receive_data(start)
        receive(parser, fresh(b"x" * size, 16 * MIB // size))
        [event] = parser.receive_data(end)

    assert 16 * MIB == len(event.data)
    assert memory.peak <= 3.2 * 16 * MIB


# --- linear in the bytes received, whatever the chunking ---


class Meter:
    """Counts the bytes and characters that a module's operations look at or copy.

    ``metered`` loads a second copy of a module in which each operation that can touch
    more than one byte (method calls, ``in``, ``==``, slices, ``+``) is replaced by a
    call to the meter, which does it and adds up what it had to touch. That holds for
    any arrangement of the code, and needs no clock.
    """

    touched = 0

    def call(self, value: Any, name: str, *args: Any, **options: Any) -> Any:
        result = getattr(value, name)(*args, **options)
        if not isinstance(value, (bytes, bytearray, str)):
            # A method of the module is metered inside, one of a list touches no text.
            self.touched += (
                1
                if isinstance(value, list) or hasattr(value, "receive_data")
                else (1 + volume(result))
            )
        elif name in ("startswith", "endswith", "removeprefix", "removesuffix"):
            self.touched += len(args[0]) + (volume(result) if result is not value else 0)
        elif name in ("find", "index", "rfind", "rindex", "count"):
            start, end, _ = slice(*args[1:3] if len(args) > 2 else (*args[1:], None)).indices(
                len(value)
            )
            if name in ("find", "index") and result >= 0:
                end = result + 1
            elif name in ("rfind", "rindex") and result >= 0:
                start = result
            self.touched += max(end - start, 0) + 1
        else:
            self.touched += len(value) + volume(result)
        return result

    def function(self, function: Any, *args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        self.touched += 1 + volume(result)
        return result

    def contains(self, item: Any, container: Any) -> bool:
        if isinstance(container, (bytes, bytearray, str)):
            at = container.find(item)
            self.touched += len(container) if at < 0 else at + 1
        return item in container

    def equals(self, left: Any, right: Any) -> bool:
        if isinstance(left, (bytes, bytearray, str)) and len(left) == len(right):
            self.touched += len(left)
        return bool(left == right)

    def add_in_place(self, left: Any, right: Any) -> Any:
        before = left
        left += right
        # What is mutable grows where it is, with room to spare.
        self.touched += 1 + volume(right if left is before else left)
        return left

    def copied(self, value: Any) -> Any:
        self.touched += 1 + (len(value) if isinstance(value, list) else volume(value))
        return value


def volume(value: Any) -> int:
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return sum(1 + volume(each) for each in value)
    return 0


class Metering(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Attribute):
            name = ast.Constant(function.attr)
            node.func = self.meter("call")
            node.args = [function.value, name, *node.args]
        else:
            node.func = self.meter("function")
            node.args = [function, *node.args]
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        operands = [node.left, *node.comparators]
        if len(operands) != 2 or not isinstance(
            node.ops[0], (ast.In, ast.NotIn, ast.Eq, ast.NotEq)
        ):
            return node
        positive = isinstance(node.ops[0], (ast.In, ast.Eq))
        name = "contains" if isinstance(node.ops[0], (ast.In, ast.NotIn)) else "equals"
        call = ast.Call(self.meter(name), operands, [])
        return call if positive else ast.UnaryOp(ast.Not(), call)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load):
            return ast.Call(self.meter("copied"), [node], [])
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return ast.Call(self.meter("copied"), [node], [])

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Add):
            return node
        target = copy.deepcopy(node.target)
        target.ctx = ast.Load()
        call = ast.Call(self.meter("add_in_place"), [target, node.value], [])
        return ast.Assign([node.target], call)

    def meter(self, name: str) -> ast.Attribute:
        return ast.Attribute(ast.Name("METER", ast.Load()), name, ast.Load())


@cache
def metered_parser() -> Any:
    """Return a copy of the parser's module that counts, in its ``METER``."""
    source = inspect.getsource(_parser)
    return metered(source, f"{_parser.__package__}._metered_parser")


def metered(source: str, name: str) -> Any:
    tree = ast.fix_missing_locations(Metering().visit(ast.parse(source)))
    module = ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    vars(module)["METER"] = Meter()
    exec(compile(tree, name, "exec", dont_inherit=True), vars(module))
    return module


def touched(stream: bytes, size: int, **options: Any) -> int:
    """Return how many bytes a parser touches to take ``stream`` in reads of ``size``."""
    module = metered_parser()
    module.METER.touched = 0
    receive(module.EventStreamParser(**options), reads_of(stream, size))
    return int(module.METER.touched)


CHAT = b'data: {"choices":[{"delta":{"content":"hi"}}]}'

STREAMS: dict[str, Callable[[int], bytes]] = {
    "one line": lambda size: b"data: %b\n\n" % (b"x" * size),
    "one line of Japanese": lambda size: b"data: %b\n\n" % ("て".encode() * (size // 3)),
    "one event of many lines": lambda size: b"data: 0123456789\n" * (size // 17) + b"\n",
    "one event of empty lines": lambda size: b"data\n" * (size // 5) + b"\n",
    "chat": lambda size: b"%b\n\n" % CHAT * (size // 50),
    "chat with CRLF": lambda size: b"%b\r\n\r\n" % CHAT * (size // 50),
    "every field": lambda size: b"event: add\nid: 12\nretry: 5\ndata: x\n\n" * (size // 38),
    "blank lines": lambda size: b"\n" * size,
    "carriage returns": lambda size: b"\r" * size,
    "CRLF": lambda size: b"\r\n" * (size // 2),
    "one comment": lambda size: b":%b\n" % (b"x" * size),
    "comments": lambda size: b": keep-alive\n\n" * (size // 14),
    "one unknown field": lambda size: b"unknown: %b\n" % (b"x" * size),
    "one line without colon": lambda size: b"x" * size,
    "one line of colons": lambda size: b"data" + b": " * (size // 2) + b"\n\n",
    "one event type": lambda size: b"event: %b\ndata: x\n\n" % (b"x" * size),
    "one ID": lambda size: b"id: %b\ndata: x\n\n" % (b"x" * size),
    "one retry": lambda size: b"retry: %b\n" % (b"0" * size),
    "invalid UTF-8": lambda size: b"data: %b\n\n" % (b"\xff" * size),
    "short lines, then a long one": lambda size: (
        b"data: x\n\n" * (size // 23) + b"data: %b\n\n" % (b"x" * (size * 3 // 5))
    ),
    "not quite chat": lambda size: b"data: x\n\ndata: y\n\n:\n" * (size // 20),
}
LONG = {name: stream(65536) for name, stream in STREAMS.items()}


@pytest.mark.sweep(quick=21)
@pytest.mark.parametrize("size", [1, 7, 512, 4096, 65536])
@pytest.mark.parametrize("name", LONG)
def test_bytes_touched_are_linear(name: str, size: int) -> None:
    """Each byte is touched a few times, whatever comes and however it is cut."""
    stream = LONG[name] if size >= 512 else LONG[name][:16384]
    reads = 1 + len(stream) // size

    assert touched(stream, size, comments=True) <= 24 * (len(stream) + reads)


@pytest.mark.sweep(quick=7)
@pytest.mark.parametrize("name", STREAMS)
def test_twice_the_bytes_twice_the_work(name: str) -> None:
    """Work per byte does not grow with what has been received."""
    once, twice = STREAMS[name](65536), STREAMS[name](2 * 65536)

    assert touched(twice, 512) <= 2.05 * touched(once, 512)


@pytest.mark.parametrize(
    "name", ["chat", "chat with CRLF", "every field", "one line", "one event of many lines"]
)
def test_small_reads_touch_no_more_than_large_ones(name: str) -> None:
    """A byte in reads of 512 costs at most twice what it costs in reads of 64 KiB."""
    assert touched(LONG[name], 512) <= 2 * touched(LONG[name], 65536)


def test_one_long_line_is_not_searched_for_separators() -> None:
    """A single block costs no search, split or join that only several blocks need."""
    stream = LONG["one line"]

    assert touched(stream, len(stream)) <= 10.5 * len(stream)


def test_one_named_block_is_not_searched_for_separators() -> None:
    """Nor one with a name, in a read of its own."""
    stream = b"event: a\n" + LONG["one line"]

    assert touched(stream, len(stream)) <= 7 * len(stream)


QUADRATIC = """
class EventStreamParser:
    def __init__(self):
        self.buffer = b""

    def receive_data(self, data):
        {statement}
"""


@pytest.mark.parametrize(
    "statement",
    [
        "self.buffer += data",
        "self.buffer = self.buffer + data",
        'self.buffer = b"".join([self.buffer, data])',
        "data in self.buffer; self.buffer = data.ljust(len(self.buffer) + 1)",
        'self.buffer = bytes([*self.buffer, *data]).replace(b"-", b"+")',
        "self.buffer = self.buffer[:] if not data else self.buffer.__add__(data)",
    ],
)
def test_meter_sees_what_is_quadratic(statement: str) -> None:
    """The meter would tell: what looks at all that came with each read is far beyond linear."""
    module = metered(QUADRATIC.format(statement=statement), "quadratic")
    receive(module.EventStreamParser(), reads_of(b"x" * 4096, 1))

    assert module.METER.touched > 4096**2 // 2


# --- iter_events and aiter_events ---

CHUNKS = [b"id: 1\ndata: a\n\ndata: b", b"", b"\n\n: c\n", b"event: add\n\ndata: broken off"]


class Chunks:
    """An asynchronous iterable that loses nothing when its reader is cancelled."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = list(chunks)

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)


def test_iter_events() -> None:
    """Events come as the chunks do; one that the end breaks off does not."""
    assert [message("a", id="1"), message("b", id="1")] == list(iter_events(CHUNKS))


def test_iter_events_options() -> None:
    """The options are the parser's, as keywords."""
    items = iter_events(
        [b": c\nevent: add\n\n"],
        last_event_id="7",
        max_event_size=3,
        comments=True,
        dispatch_empty=True,
    )

    assert [Comment("c"), message("", event="add", id="7")] == list(items)
    with pytest.raises(TypeError, match="positional"):
        iter_events(CHUNKS, "7")  # type: ignore[call-overload]  # that is the point


def test_iter_events_reads_no_further_than_it_must() -> None:
    """An event is handed out before the next chunk is asked for."""
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            taken.append(number)
            yield b"data: %d\n\n" % number

    events = iter_events(chunks())

    assert message("0") == next(events)
    assert [0] == taken


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: a\n\ndata: too large\n\n"],
        [b"data: a\n\n", b"data: too large\n\n", b"data: c\n\n"],
        [b"data: a\n\ndata: too large"],
        [b"data: a\n\ndata: to", b"o large"],
    ],
)
def test_iter_events_too_large(chunks: list[bytes]) -> None:
    """Events before the one that is too large come first, also at the end of the stream."""
    events = iter_events(chunks, max_event_size=4)

    assert message("a") == next(events)
    with pytest.raises(EventTooLarge):
        next(events)


@pytest.mark.anyio
async def test_aiter_events() -> None:
    """As ``iter_events``, over an asynchronous iterable; it stays at its end."""
    events = aiter_events(Chunks(CHUNKS))

    assert [message("a", id="1"), message("b", id="1")] == [event async for event in events]
    with pytest.raises(StopAsyncIteration):
        await anext(events)


@pytest.mark.anyio
async def test_aiter_events_of_a_generator() -> None:
    """An async generator will do."""

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    assert ["a", "b"] == [event.data async for event in aiter_events(chunks())]


@pytest.mark.anyio
async def test_aiter_events_options() -> None:
    """The options are the parser's, as keywords."""
    items = aiter_events(
        Chunks([b": c\nevent: add\n\n"]),
        last_event_id="7",
        max_event_size=3,
        comments=True,
        dispatch_empty=True,
    )

    assert [Comment("c"), message("", event="add", id="7")] == [item async for item in items]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: a\n\ndata: too large\n\n"],
        [b"data: a\n\ndata: too large"],
        [b"data: a\n\n", b"data: b\ndata: c"],
    ],
)
async def test_aiter_events_too_large(chunks: list[bytes]) -> None:
    """Events before the one that is too large come first, also at the end of the stream."""
    events = aiter_events(Chunks(chunks), max_event_size=4)

    assert message("a") == await anext(events)
    with pytest.raises(EventTooLarge):
        await anext(events)


@pytest.mark.anyio
async def test_aiter_events_cancelled() -> None:
    """Cancelling ``anext()`` at any time loses no event, and the iterator goes on."""
    events = aiter_events(Chunks([b"data: 1\n\ndata: 2\n\n", b"data: 3\n", b"\ndata: 4\n\n"]))
    received: list[ServerSentEvent] = []
    cancelled = 0
    for attempt in range(20):
        with anyio.CancelScope() as scope:
            if attempt % 2 == 0:
                scope.cancel()
            received.append(await anext(events))
        cancelled += scope.cancelled_caught
        if len(received) == 4:
            break

    assert ["1", "2", "3", "4"] == [event.data for event in received]
    assert cancelled > 0


# --- the values ---

EVENTS = [
    ServerSentEvent(),
    ServerSentEvent("hi"),
    ServerSentEvent("て\n", "add", "7", 3000),
    ServerSentEvent(event="add"),
    ServerSentEvent(id="é"),
    ServerSentEvent(retry=0),
]


def test_event_defaults() -> None:
    """What an event is where nothing is said."""
    event = ServerSentEvent()

    assert ("", "message", "", None) == (event.data, event.event, event.id, event.retry)


@pytest.mark.parametrize("item", [*EVENTS, Comment("hi")], ids=repr)
def test_item_copies(item: Item) -> None:
    """Items are plain values: copies and pickles are equal, and apart."""
    protocols = range(2, pickle.HIGHEST_PROTOCOL + 1)
    pickled = [pickle.loads(pickle.dumps(item, protocol)) for protocol in protocols]
    duplicates = [copy.copy(item), copy.deepcopy(item), *pickled]

    for duplicate in duplicates:
        assert item == duplicate
        assert item is not duplicate


@pytest.mark.parametrize("event", EVENTS, ids=repr)
def test_event_repr(event: ServerSentEvent) -> None:
    """The repr is the call that makes the event."""
    assert event == eval(repr(event))


def test_repr() -> None:
    """Fields that say nothing are left out."""
    assert "ServerSentEvent(data='hi')" == repr(ServerSentEvent("hi"))
    assert "ServerSentEvent(data='', event='add', id='7', retry=0)" == repr(
        ServerSentEvent("", "add", "7", 0)
    )
    assert "Comment('hi')" == repr(Comment("hi"))


def test_equality_of_events() -> None:
    """Events are equal when all four fields are."""
    event = ServerSentEvent("a", "b", "c", 1)
    others = [
        ServerSentEvent("x", "b", "c", 1),
        ServerSentEvent("a", "x", "c", 1),
        ServerSentEvent("a", "b", "x", 1),
        ServerSentEvent("a", "b", "c", 2),
        ServerSentEvent("a", "b", "c"),
        Comment("a"),
        ("a", "b", "c", 1),
        "a",
        None,
    ]

    assert event == ServerSentEvent("a", "b", "c", 1)
    assert [True] * len(others) == [event != other for other in others]


def test_equality_of_comments() -> None:
    """Comments are equal when their texts are, and never equal to the text."""
    assert Comment("a") == Comment("a")
    assert Comment("a") != Comment("b")
    assert Comment("a") != "a"
    assert Comment("a") != ServerSentEvent("a")


@pytest.mark.parametrize("item", [ServerSentEvent("a"), Comment("a")], ids=repr)
def test_items_are_not_hashable(item: Item) -> None:
    """Equal by value and open to assignment: no key of a dict."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(item)


@pytest.mark.parametrize("item", [ServerSentEvent("a"), Comment("a")], ids=repr)
def test_items_take_no_other_attributes(item: Item) -> None:
    """A misspelt attribute is an error, not a new one."""
    with pytest.raises(AttributeError):
        item.dta = "x"  # type: ignore[union-attr]  # that is the point


def test_match() -> None:
    """Items can be taken apart by position."""
    found: list[object] = []
    for item in [ServerSentEvent("a", "b", "c", 1), Comment("d")]:
        match item:
            case ServerSentEvent(data, event, id, retry):
                found += [data, event, id, retry]
            case Comment(text):
                found.append(text)

    assert ["a", "b", "c", 1, "d"] == found


def test_json() -> None:
    """``json()`` decodes the data, and raises what ``json`` raises."""
    assert {"a": [1, None]} == ServerSentEvent('{"a": [1, null]}').json()
    with pytest.raises(json.JSONDecodeError):
        ServerSentEvent("[DONE]").json()


def test_error_survives_pickling() -> None:
    """EventTooLarge keeps its limit through a process pool."""
    error = pickle.loads(pickle.dumps(EventTooLarge(7)))

    assert 7 == error.limit
    assert "max_event_size, 7 bytes" in str(error)
