"""Edges that only a mutant has stepped over: where a path begins, where a limit is met.

Found by ``tests/mutation/run.py``. Each holds what no other test held by name.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from sse_core import Comment, EventStreamParser, EventTooLarge, ServerSentEvent

Item = ServerSentEvent | Comment


class Watched(EventStreamParser[Any]):
    """Notes the lines that meet the general path, and what is looked through for several blocks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.general = b""
        self.blocks = b""

    def _receive_blocks(self, data: Any, items: list[Any]) -> Any:
        self.blocks += data
        return super()._receive_blocks(data, items)

    def _receive_lines(self, data: Any, items: list[Any]) -> Any:
        self.general += data[: data.rfind(b"\n") + 1]
        return super()._receive_lines(data, items)


def receive_all(parser: EventStreamParser[Any], *chunks: bytes) -> list[Any]:
    return [item for chunk in chunks for item in parser.receive_data(chunk)]


# --- the fast path: what takes it, and what it must leave alone ---


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("message", "a")]),
        (b"data: a\n\ndata: \n\n", [("message", "a"), ("message", "")]),
        (b"data: a\r\n\r\n", [("message", "a")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [("message", "a"), ("message", "b")]),
        (b"data: a\n\ndata: b", [("message", "a")]),
        (b"data: \xff\n\ndata: b\n\n", [("message", "\ufffd"), ("message", "b")]),
        (b"data: %b\n\n" % (b"x" * 900), [("message", "x" * 900)]),
        (b"event: a\ndata: b\n\n", [("a", "b")]),
        (b"event: a\ndata: b\n\nevent: \ndata: d\n\n", [("a", "b"), ("message", "d")]),
        (b"event: a\ndata: b\n\nevent: c", [("a", "b")]),
        (b"event: \xff\ndata: \xff\n\n", [("\ufffd", "\ufffd")]),
        (b"event: \xff\ndata: \xff\n\n" * 2, [("\ufffd", "\ufffd")] * 2),
    ],
)
def test_plain_blocks_take_the_fast_path(stream: bytes, events: list[tuple[str, str]]) -> None:
    """Streams of language models never meet the general path, up to the limit almost."""
    parser = Watched(max_event_size=1000)

    assert events == [(event.event, event.data) for event in parser.receive_data(stream)]
    assert b"" == parser.general


@pytest.mark.parametrize(
    ("block", "event"),
    [
        (b"data: a\n\n", ServerSentEvent("a", "message", "7")),
        (b"data: \xff\n\n", ServerSentEvent("\ufffd", "message", "7")),
        (b"event: a\ndata: b\n\n", ServerSentEvent("b", "a", "7")),
        (b"event: \ndata: b\n\n", ServerSentEvent("b", "message", "7")),
        (b"event: \xff\ndata: \xff\n\n", ServerSentEvent("\ufffd", "\ufffd", "7")),
    ],
)
def test_one_plain_block_in_a_read_takes_a_way_of_its_own(
    block: bytes, event: ServerSentEvent
) -> None:
    """It is not searched for what separates several."""
    parser = Watched(last_event_id="7")

    assert [event, event] == receive_all(parser, block, block)
    assert (b"", b"") == (parser.general, parser.blocks)


@pytest.mark.parametrize(
    ("begin", "event"),
    [
        (b"data: x\n", ServerSentEvent("x\nb", "a")),
        (b"event: x\n", ServerSentEvent("b", "a")),
        (b"un", ServerSentEvent("b")),
    ],
)
def test_one_plain_block_behind_a_beginning_belongs_to_it(
    begin: bytes, event: ServerSentEvent
) -> None:
    """What looks like one whole block ends the one that was cut."""
    assert [event] == receive_all(EventStreamParser(), begin, b"event: a\ndata: b\n\n")


def test_lines_in_the_middle_of_a_large_event() -> None:
    """They are taken at once, and the general path gets none of them."""
    parser = Watched()
    text = "x" * 100
    parser.receive_data(f"data: {text}\ndata: a\n".encode())
    parser.general = b""
    items = receive_all(parser, b"data: \xff\ndata: b\nda", b"ta: c\ndata: d:\n")

    assert ([], b"") == (items, parser.general)
    assert [ServerSentEvent(f"{text}\na\n\ufffd\nb\nc\nd:")] == parser.receive_data(b"\n")


@pytest.mark.parametrize(
    "stream",
    [b"data: a\n\n", b"data: a\n\ndata: b\n\n", b"event: a\ndata: b\n\nevent: c\ndata: d\n\n"],
)
def test_plain_blocks_hold_the_last_event_id(stream: bytes) -> None:
    """Every event of a read has the ID that an earlier read or connection left."""
    assert {"7"} == {event.id for event in EventStreamParser("7").receive_data(stream)}
    assert {"8"} == {
        event.id for event in receive_all(EventStreamParser("7"), b"id: 8\n\n", stream)
    }


@pytest.mark.parametrize(
    ("begin", "rest"),
    [
        (b"data: a\ndata: b\n", b"data: c\n\n"),
        (b"event: a\nid: 1\n", b"data: b\n\n"),
        (b"id: 1\nda", b"ta: b\n\n"),
        (b"id: 1\n", b"\n\n"),
    ],
)
def test_general_path_ends_with_the_block_that_was_cut(begin: bytes, rest: bytes) -> None:
    """Of a read that begins inside a block, the blocks behind it go the fast way."""
    parser = Watched()
    receive_all(parser, begin)
    parser.receive_data(rest + b"data: c\n\ndata: d\n\n")

    assert begin + rest == parser.general


@pytest.mark.parametrize(
    ("begin", "rest", "events"),
    [
        (b"data: a\n", b"\ndata: b\n\n", [("message", "a"), ("message", "b")]),
        (b"data: a", b"b\n\ndata: b\n\nda", [("message", "ab"), ("message", "b")]),
        (b"event: a\n", b"data: b\n\nevent: c\nda", [("a", "b")]),
        (b"event: a\nda", b"ta: b\n\nevent: c\ndata: d\n\n", [("a", "b"), ("c", "d")]),
        (b"event: a\ndata: b", b"\n\nevent: c\ndata: d\n\n", [("a", "b"), ("c", "d")]),
        (b"event: c\ndata: \xc3", b"\xa9\n\n", [("c", "é")]),
        (b"data: a\r", b"\n\r\ndata: b\r\n\r\n", [("message", "a"), ("message", "b")]),
        (b"data: a\n\ndata: b\n", b"\n", [("message", "a"), ("message", "b")]),
    ],
)
@pytest.mark.parametrize("early", [b"", b"data: 0\n\n", b"event: 0\ndata: 0\n\n", b"id: 0\n\n"])
def test_plain_block_that_was_cut_takes_the_fast_path(
    early: bytes, begin: bytes, rest: bytes, events: list[tuple[str, str]]
) -> None:
    """Wherever the cut is: one line and a part of another are held as they came."""
    parser = Watched()
    parser.receive_data(early)
    parser.general = b""
    items = receive_all(parser, begin, rest)

    assert events == [(event.event, event.data) for event in items]
    if b"\r" not in begin:
        assert b"" == parser.general


@pytest.mark.parametrize("line", [b"data: a", b"event: a"])
@pytest.mark.parametrize(
    ("second", "event"),
    [
        (b"id: 5", ServerSentEvent("b", id="5")),
        (b"retry: 5", ServerSentEvent("b", retry=5)),
        (b": a", ServerSentEvent("b")),
        (b"unknown", ServerSentEvent("b")),
        (b"data", ServerSentEvent("\nb")),
        (b"event:", ServerSentEvent("b")),
    ],
)
def test_line_that_is_held_before_another(
    line: bytes, second: bytes, event: ServerSentEvent
) -> None:
    """Byte by byte, what comes behind the line that is held is told as ever."""
    parser = EventStreamParser(comments=True)
    stream = line + b"\n" + second + b"\n"
    items = receive_all(parser, *(bytes([byte]) for byte in stream))

    assert [Comment("a")] * (second == b": a") == items
    assert (5 if second == b"retry: 5" else None) == parser.reconnection_time
    (last,) = receive_all(parser, b"data: b\n", b"\n")
    data = ["a"] * (line == b"data: a") + [""] * (second == b"data") + ["b"]
    event_type = "a" if line == b"event: a" and second != b"event:" else "message"
    assert ServerSentEvent("\n".join(data), event_type, event.id, event.retry) == last


@pytest.mark.parametrize("line", [b"data: a\n", b"event: a\n"])
@pytest.mark.parametrize("begin", [b"", b"data", b"data: b", b"x" * 5000])
def test_end_of_the_stream_behind_a_line_that_is_held(line: bytes, begin: bytes) -> None:
    """The event that it breaks off is the same as if each line had been taken."""
    parser = EventStreamParser()
    receive_all(parser, line, begin)
    data = ["a"] * (line == b"data: a\n")
    data += ["b"] * (begin == b"data: b") + [""] * (begin == b"data")
    event = ServerSentEvent("\n".join(data), "message" if line == b"data: a\n" else "a")

    assert (event if data else None) == parser.receive_eof()


@pytest.mark.parametrize(
    ("line", "events"), [(b"data: a\n", [ServerSentEvent("a")]), (b"event: a\n", [])]
)
def test_comment_of_any_length_behind_a_line_that_is_held(
    line: bytes, events: list[ServerSentEvent]
) -> None:
    """What is not charged may go on, and is not kept."""
    parser = EventStreamParser(max_event_size=100)
    parser.receive_data(line)
    tracemalloc.start()
    try:
        for _ in range(1000):
            assert [] == parser.receive_data(b": comment" * 1000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000

    assert events == receive_all(parser, b"\n", b"\n")


@pytest.mark.parametrize("size", [65, 66, 67, 68])
def test_limit_behind_a_line_that_is_held(size: int) -> None:
    """Both lines are charged, wherever the verdict falls."""
    parser = EventStreamParser(max_event_size=100)
    chunks = [b"data: aa\nda", b"ta: ", b"b" * size]
    if size <= 66:
        assert [] == receive_all(parser, *chunks)
        assert ["aa\n" + "b" * size] == [event.data for event in receive_all(parser, b"\n", b"\n")]
    else:
        with pytest.raises(EventTooLarge):
            receive_all(parser, *chunks, b"\n", b"\n")


@pytest.mark.parametrize("comments", [False, True])
@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b": k\n\n", []),
        (b":\n\n", []),
        (b": k\n\ndata: a\n\n", ["a"]),
        (b": k\n\n\n\ndata: a\n\n", ["a"]),
        (b": k\ndata: a\n\ndata: b\n\n", ["a", "b"]),
        (b": k\n\nevent: x\ndata: a\n\n", ["a"]),
        (b": k\rdata: a\n\n", ["a"]),
        (b": k\r\n\r\ndata: a\r\n\r\n", ["a"]),
        (b": k\n\n: k\n\ndata: a\n\n", ["a"]),
        (b": data: a\n\n", []),
        (b": k\n data: a\n\n", []),
        (b": k\nXdata: a\n\n", []),
    ],
)
def test_keep_alive_before_an_event(stream: bytes, events: list[str], comments: bool) -> None:
    """A comment ends with its line, and changes no event."""
    items = EventStreamParser(comments=comments).receive_data(stream)

    assert events == [item.data for item in items if isinstance(item, ServerSentEvent)]
    assert comments == any(isinstance(item, Comment) for item in items)


def test_keep_alive_and_an_event_take_the_fast_path() -> None:
    """They come in one read, where the event ends a silence."""
    parser = Watched(last_event_id="7")
    items = receive_all(parser, b": k\n\n", b": k\n\ndata: a\n\n")

    assert ([ServerSentEvent("a", id="7")], b"") == (items, parser.general)


def test_fast_path_after_the_general_one() -> None:
    """A block with other fields does not keep later reads from the fast path."""
    parser = Watched()
    receive_all(parser, b"id: 1\ndata: a\n\n", b"data: b\n\n")

    assert b"id: 1\ndata: a\n\n" == parser.general


@pytest.mark.parametrize(
    "stream",
    [
        b"event: a\ndata: b\rid: 5\r\n\r\n",
        b"event: a\rid: 5\ndata: b\n\n",
        b"event: a\ndata: b\rid: 5\n\n",
        b"event: a\ndata: b\nid: 5\n\n",
        b"event: a\nid: 5\ndata: b\n\n",
        b"event: a\ndata: b\n\nevent: c\nid: 5\n\n",
        b"event: a\ndata: b\n\nevent: c\nid: 5\ndata: d\n\n",
        b"event: a\ndata: b\n\nevent: c\n\nevent: d\ndata: e\nid: 5\n\n",
        b"data: a\rid: 5\r\n\r\n",
        b"data: a\r\n\r\ndata: b\rid: 5\r\n\r\n",
        b"data: a\r\n\r\ndata: b\nid: 5\r\n\r\n",
        b"data: a\n\ndata: b\nid: 5\n\n",
        b"data: a\nid: 5\n\n",
    ],
)
def test_line_end_in_a_block_is_seen(stream: bytes) -> None:
    """What stands behind any line end is a line, where all around it is plain."""
    parser = EventStreamParser()
    events = parser.receive_data(stream)

    assert all("5" not in event.data + event.event for event in events)
    assert "5" == parser.last_event_id


def test_named_block_without_data_between_plain_ones() -> None:
    """It is no event, and its name goes with it."""
    stream = b"event: a\ndata: b\n\nevent: c\n\nevent: d\ndata: e\n\nevent: f\n\n"

    assert [ServerSentEvent("b", "a"), ServerSentEvent("e", "d")] == receive_all(
        EventStreamParser(), stream
    )


@pytest.mark.sweep(quick=40)
@pytest.mark.parametrize("last", [bytes([byte]) for byte in range(256) if byte not in b"\r\n"])
def test_no_other_byte_ends_a_line(last: bytes) -> None:
    """A read with carriage returns may break off behind any byte: its line goes on."""
    events = receive_all(EventStreamParser(), b"data: a\r\ndata: b" + last, b"c\r\n\r\n")

    assert [(b"a\nb%bc" % last).decode("utf-8", "replace")] == [event.data for event in events]


@pytest.mark.parametrize(
    "form", [b"%b", b"x%b", b"%bx", b"XX%bXX", b" %b", b"%b ", b"\xef\xbb\xbf%b"]
)
@pytest.mark.parametrize("separator", [b": ", b":"])
@pytest.mark.parametrize("field", [b"data", b"event", b"id", b"retry"])
def test_only_the_name_itself_is_a_field(field: bytes, separator: bytes, form: bytes) -> None:
    """No other letters, no capitals, no space: the line says nothing."""
    name = form % (field.upper() if form == b"%b" else field)
    parser = EventStreamParser(dispatch_empty=True)

    assert [] == parser.receive_data(b"\n" + name + separator + b"5\n\n")
    assert ("", None) == (parser.last_event_id, parser.reconnection_time)


def test_comment_at_the_start_comes_at_once() -> None:
    """Only what may become a byte order mark is waited for."""
    parser: EventStreamParser[Item] = EventStreamParser(comments=True)

    assert [Comment("")] == parser.receive_data(b":\n")


# --- limits ---


@pytest.mark.parametrize("length", [1, 9, 10, 11, 12, 40, 63, 64, 100])
@pytest.mark.parametrize("name", [b"", b"\xff", b"a"])
def test_ill_formed_bytes_count_as_three(name: bytes, length: int) -> None:
    """Each becomes U+FFFD, in a name as in data, and the limit is as exact as ever."""
    event = b"event: %b\n" % name if name else b""
    stream = event + b"data: %b\n\n" % (b"\xff" * length)
    charge = 3 * length + (32 + len(name.decode("utf-8", "replace").encode()) if name else 0)

    assert [length] == [
        len(event.data) for event in EventStreamParser("", charge).receive_data(stream)
    ]
    with pytest.raises(EventTooLarge):
        EventStreamParser("", charge - 1).receive_data(stream)


@pytest.mark.parametrize("begin", [b"data: a\n\n: c\ndata: bb\n", b"data: aa\ndata: bb\nid: c\n"])
def test_lines_of_an_earlier_read_are_charged(begin: bytes) -> None:
    """Far from the limit too, every line since the last blank one counts."""
    lines = begin.rpartition(b"\n\n")[2].splitlines()
    charge = sum(32 + len(line.partition(b": ")[2]) for line in lines if line[:1] != b":")
    for length, too_large in [(5000 - charge, False), (5001 - charge, True)]:
        parser = EventStreamParser("", 5000)
        parser.receive_data(begin)
        if too_large:
            with pytest.raises(EventTooLarge):
                parser.receive_data(b"data: %b\n\n" % (b"x" * length))
        else:
            assert [length] == [
                len(event.data.rpartition("\n")[2])
                for event in parser.receive_data(b"data: %b\n\n" % (b"x" * length))
            ]


@pytest.mark.parametrize("begin", [b"data: a\n\n", b"id: 1\ndata: a\n\n", b"id: 1\n\n", b": c\n\n"])
def test_charge_begins_anew_at_a_blank_line(begin: bytes) -> None:
    """What ended in an earlier read, far from the limit, is not charged to what follows."""
    parser = EventStreamParser("", 5000)
    parser.receive_data(begin)

    assert [5000] == [
        len(event.data) for event in parser.receive_data(b"data: %b\n\n" % bytes(5000))
    ]


@pytest.mark.parametrize(
    ("begin", "line", "room"),
    [
        (b"", b"data: ", 10_000),
        (b"", b"data:", 10_000),
        (b"", b"retry: ", 10_000),
        (b"", b": ", 10_000),
        (b"", b":", 10_000),
        (b"data: a\n", b": ", 10_000),
        (b"data: %b\n" % bytes(5000), b"data: ", 10_000 - 5032),
        (b"id: 1\ndata: %b\n" % bytes(3000), b"event:", 10_000 - 1 - 3000 - 64),
    ],
)
def test_unfinished_line_is_refused_at_once(begin: bytes, line: bytes, room: int) -> None:
    """The byte that passes what the lines before it have left is the last that is taken."""
    parser: EventStreamParser[Item] = EventStreamParser("", 10_000, comments=True)
    receive_all(parser, begin, line + b"1" * (room - 1), b"1")

    with pytest.raises(EventTooLarge):
        parser.receive_data(b"1")


@pytest.mark.parametrize("size", [1, 7, 8, 100, 4096])
@pytest.mark.parametrize("value", [":", ": ", " : x", "::", "data: "])
def test_long_value_that_begins_with_a_colon(value: str, size: int) -> None:
    """The first colon of a line ends the name, also of a line that comes in pieces."""
    data = value + "x" * 5000
    stream = f"data:{data}\n\n".encode()
    events = receive_all(
        EventStreamParser(max_event_size=6000),
        *[stream[at : at + size] for at in range(0, len(stream), size)],
    )

    assert [data.removeprefix(" ")] == [event.data for event in events]


def test_value_that_begins_with_a_colon_is_charged() -> None:
    """The first colon of a line ends the name, also for the limit."""
    with pytest.raises(EventTooLarge):
        receive_all(EventStreamParser("", 4), b"data::1234\n\n", b"")


def test_limit_is_told_wherever_the_error_comes_from() -> None:
    """``EventTooLarge.limit`` is the parser's, also at the end of the stream, also again."""
    parser = EventStreamParser("", 4)
    parser.receive_data(b"data\nid")
    with pytest.raises(EventTooLarge) as at_the_end:
        parser.receive_eof()
    with pytest.raises(EventTooLarge) as again:
        parser.receive_eof()
    with pytest.raises(EventTooLarge) as later:
        parser.receive_data(b"")

    assert [4, 4, 4] == [caught.value.limit for caught in (at_the_end, again, later)]


# --- messages ---


def test_message_after_the_end() -> None:
    """The error says what to do instead."""
    parser = EventStreamParser()
    parser.receive_eof()
    with pytest.raises(RuntimeError) as caught:
        parser.receive_data(b"")

    assert "receive_data() after receive_eof(): a new stream takes a new parser" == str(
        caught.value
    )
