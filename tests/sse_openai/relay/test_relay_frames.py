"""Frames that are sent again, each with its number as its ID."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sse_core import EventStreamParser
from sse_openai.relay.frames import with_id
from tests.support.examples import examples
from tests.support.frame_streams import CUTS, STREAMS, pieces_of, split


@examples(500)
@given(STREAMS, CUTS, st.integers(0, 3))
@example(b"\n\xef\xbb\xbfdata: x\n\n", [], 0)
@example(b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n", [], 0)
@example(b"data: x\n\n\xef\xbb\xbfdata: x\n\n", [], 1)
def test_ids_change_nothing_but_the_ids(stream: bytes, cuts: list[int], after: int) -> None:
    """Numbered frames, from any one on, make the same events; each ID is its frame's number."""
    frames, _ = split(pieces_of(stream, cuts))
    plain = EventStreamParser()
    resumed = EventStreamParser()
    expected = []
    events = []
    for number, frame in enumerate(frames, 1):
        made = plain.receive_data(frame)
        if number > after:
            expected += [(event.event, event.data, str(number)) for event in made]
            events += resumed.receive_data(with_id(frame, number))

    assert expected == [(event.event, event.data, event.id) for event in events]


@pytest.mark.parametrize(
    ("frame", "numbered"),
    [
        (b"data: 1\n\n", b"data: 1\nid: 9\n\n"),
        (b"id: 1\r\n\r\n", b"id: 1\r\nid: 9\n\r\n"),
        (b": c\r\r", b": c\rid: 9\n\r"),
        (b"\xef\xbb\xbfdata: 1\n\n", b"\n\xef\xbb\xbfdata: 1\nid: 9\n\n"),
        (b"\n\r\ndata: 1\n\n", b"data: 1\nid: 9\n\n"),
    ],
)
def test_with_id(frame: bytes, numbered: bytes) -> None:
    """The ID is the last field, so that it counts."""
    assert numbered == with_id(frame, 9)


def test_the_first_frame_loses_its_byte_order_mark() -> None:
    """It is one at the beginning of a stream only; elsewhere it is a part of a field's name."""
    assert b"data: 1\nid: 1\n\n" == with_id(b"\xef\xbb\xbfdata: 1\n\n", 1)
    assert b"id: 1\n\n" == with_id(b"\xef\xbb\xbf\n\n", 1)
