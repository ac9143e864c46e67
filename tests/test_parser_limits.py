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
