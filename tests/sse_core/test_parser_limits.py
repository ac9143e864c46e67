"""Where reads and blocks meet at the limit: cases that the fast path brought with it."""

from __future__ import annotations

import pytest

from sse_core import EventStreamParser, EventTooLarge, ServerSentEvent


@pytest.mark.parametrize("gap", [b"\n\n", b"\n\n\n", b"\n\n\n\n"])
def test_nothing_follows_an_event_that_ends_too_large(gap: bytes) -> None:
    """A block that an earlier read began fails; the blocks behind it are not read."""
    parser = EventStreamParser(max_event_size=200)
    parser.receive_data(b"data: %b\n" % (b"a" * 100))

    with pytest.raises(EventTooLarge):
        parser.receive_data(b"data: %b%bdata: y\n\n" % (b"b" * 100, gap))


def test_events_before_the_one_that_is_too_large_on_every_path() -> None:
    """What an earlier read began, what comes whole, and then the failure."""
    parser = EventStreamParser(max_event_size=200)
    parser.receive_data(b"data: a\n")
    items = parser.receive_data(b"\ndata: b\n\nevent: c\ndata: c\n\ndata: %b\n\n" % (b"x" * 201))

    assert [
        ServerSentEvent("a"),
        ServerSentEvent("b"),
        ServerSentEvent("c", "c"),
    ] == items
    with pytest.raises(EventTooLarge):
        parser.receive_data(b"")


def test_every_raise_has_its_own_exception() -> None:
    """An exception raised again and again would grow a traceback entry each time."""
    parser = EventStreamParser(max_event_size=1)

    with pytest.raises(EventTooLarge) as first:
        parser.receive_data(b"data: too large\n\n")
    with pytest.raises(EventTooLarge) as second:
        parser.receive_data(b"")
    with pytest.raises(EventTooLarge) as third:
        parser.receive_eof()
    assert 3 == len({id(raised.value) for raised in (first, second, third)})
    assert [1, 1, 1] == [raised.value.limit for raised in (first, second, third)]


@pytest.mark.parametrize(
    ("data", "too_large"),
    [("x" * 300, False), ("é" * 150, False), ("é" * 151, True), ("\ufffd" * 100, False)],
    ids=["ASCII", "exactly", "one more", "U+FFFD itself"],
)
def test_large_lines_are_charged_as_they_are(data: str, too_large: bool) -> None:
    """Near the limit a line counts in its UTF-8 bytes, whichever path it takes."""
    parser = EventStreamParser(max_event_size=300)
    stream = f"data: {data}\n\n".encode()

    if too_large:
        with pytest.raises(EventTooLarge):
            parser.receive_data(stream)
    else:
        assert [ServerSentEvent(data)] == parser.receive_data(stream)


@pytest.mark.usefixtures("general_path")
@pytest.mark.parametrize("size", [40, 64, 1000])
def test_large_event_of_data_lines_in_reads(size: int) -> None:
    """Reads that lie within one event are taken at once; what is no data line is not."""
    lines = [f"line {number}" for number in range(200)]
    stream = "".join(f"data: {line}\n" for line in lines)
    stream = stream.replace("data: line 100\n", "data: line 100\n: comment\ndata:line 100b\n")
    stream = f"id: 7\n{stream}\ndata: next\n\n"
    expected = [*lines[:101], "line 100b", *lines[101:]]
    parser = EventStreamParser()

    events = []
    for start in range(0, len(stream), size):
        events += parser.receive_data(stream[start : start + size].encode())

    assert [
        ServerSentEvent("\n".join(expected), id="7"),
        ServerSentEvent("next", id="7"),
    ] == events


@pytest.mark.usefixtures("general_path")
def test_limit_in_the_middle_of_a_large_event() -> None:
    """The charge of lines that are taken at once is exact: é counts as two bytes."""
    line = "data: é\n".encode()
    charge = 2 + 32
    for limit, too_large in ((100 * charge - 32, False), (100 * charge - 33, True)):
        parser = EventStreamParser(max_event_size=limit)
        parser.receive_data(line * 50)
        if too_large:
            with pytest.raises(EventTooLarge):
                parser.receive_data(line * 50)
        else:
            assert [] == parser.receive_data(line * 50)
            (event,) = parser.receive_data(b"\n")
            assert ["é"] * 100 == event.data.split("\n")
