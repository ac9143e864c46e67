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
