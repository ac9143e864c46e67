"""Edges that only a mutant has stepped over: where a path begins, where a limit is met.

Found by ``tests/mutation/run.py``. Each holds what no other test held by name.
"""

from __future__ import annotations

from typing import Any

import pytest

from sse_core import Comment, EventStreamParser, EventTooLarge, ServerSentEvent

Item = ServerSentEvent | Comment


class Watched(EventStreamParser[Any]):
    """Notes the lines that meet the general path, and what is looked through for blocks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.general = b""
        self.blocks = b""

    def _receive_blocks(self, data: Any, items: list[Any]) -> Any:
        self.blocks += data
        return super()._receive_blocks(data, items)

    def _receive_named_blocks(self, data: Any, items: list[Any]) -> Any:
        self.blocks += data
        return super()._receive_named_blocks(data, items)

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
    """Nothing is looked through that it cannot have."""
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
    parser.receive_data(f"data: {text}\n".encode())
    parser.general = b""
    items = receive_all(parser, b"data: \xff\ndata: b\nda", b"ta: c\ndata: d:\n")

    assert ([], b"") == (items, parser.general)
    assert [ServerSentEvent(f"{text}\n\ufffd\nb\nc\nd:")] == parser.receive_data(b"\n")


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
        (b"data: a\n", b"data: b\n\n"),
        (b"event: a\n", b"data: b\n\n"),
        (b"id: 1\nda", b"ta: b\n\n"),
        (b"data: a\n", b"\n\n"),
    ],
)
def test_general_path_ends_with_the_block_that_was_cut(begin: bytes, rest: bytes) -> None:
    """Of a read that begins inside a block, the blocks behind it go the fast way."""
    parser = Watched()
    receive_all(parser, begin)
    parser.receive_data(rest + b"data: c\n\ndata: d\n\n")

    assert begin + rest == parser.general


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
