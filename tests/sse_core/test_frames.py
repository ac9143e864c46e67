"""Event streams cut into frames: every byte again, and one block of lines in each piece."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given

from sse_core import EventTooLarge, FrameSplitter
from tests.support.examples import examples
from tests.support.frame_streams import CUTS, STREAMS, pieces_of, split


def lines_of(frame: bytes) -> list[bytes]:
    return re.split(rb"\r\n|\r|\n", frame)


@examples(500)
@given(STREAMS, CUTS)
def test_every_byte_comes_out_again(stream: bytes, cuts: list[int]) -> None:
    """The frames and the rest are the stream, wherever it was cut."""
    frames, rest = split(pieces_of(stream, cuts))

    assert stream == b"".join(frames) + rest


@examples(500)
@given(STREAMS, CUTS)
def test_a_frame_is_one_block_of_lines(stream: bytes, cuts: list[int]) -> None:
    """Lines with something in them stand together, behind nothing and before a blank line."""
    frames, rest = split(pieces_of(stream, cuts))

    for frame in frames:
        lines = lines_of(frame.lstrip(b"\r\n"))
        assert [b"", b""] == lines[-2:]
        assert all(lines[:-2])
        assert lines[:-2]
    assert b"" not in lines_of(rest.lstrip(b"\r\n"))[:-1]


@examples(500)
@given(STREAMS, CUTS)
def test_cuts_change_nothing_but_where_a_line_feed_stands(stream: bytes, cuts: list[int]) -> None:
    """As many frames of the same lines, however the stream was cut."""
    whole, _ = split([stream])
    cut, _ = split(pieces_of(stream, cuts))

    assert [lines_of(frame.strip()) for frame in whole] == [
        lines_of(frame.strip()) for frame in cut
    ]


@pytest.mark.parametrize(
    ("stream", "frames", "rest"),
    [
        (b"data: 1\n\ndata: 2\n\n", [b"data: 1\n\n", b"data: 2\n\n"], b""),
        (b"data: 1\r\n\r\n: c\r\n\r\n", [b"data: 1\r\n\r\n", b": c\r\n\r\n"], b""),
        (b"data: 1\r\rdata", [b"data: 1\r\r"], b"data"),
        (b"data: 1\n\r\n\rx", [b"data: 1\n\r\n"], b"\rx"),
        (b"\n\n\ndata: 1\n\n\n", [b"\n\n\ndata: 1\n\n"], b"\n"),
        (b"data: 1\n", [], b"data: 1\n"),
        (b"a\r\rb\n\n", [b"a\r\r", b"b\n\n"], b""),
        (b"a\n\n\n\nb\n\nc", [b"a\n\n", b"\n\nb\n\n"], b"c"),
        (b"\n", [], b"\n"),
        (b"", [], b""),
    ],
)
def test_frames(stream: bytes, frames: list[bytes], rest: bytes) -> None:
    """Frames end behind their blank line, whatever ends its lines."""
    assert (frames, rest) == split([stream])


def test_a_frame_comes_with_its_last_byte() -> None:
    """CR ends a line at once: nobody waits for the byte that would tell it from CR LF."""
    splitter = FrameSplitter()

    assert [] == splitter.receive_data(b"data: 1\r\n")
    assert [b"data: 1\r\n\r"] == splitter.receive_data(b"\r")
    assert [b"\ndata: 2\n\n"] == splitter.receive_data(b"\ndata: 2\n\n")


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_blank_lines_that_are_cut(line_end: bytes) -> None:
    """Before a frame, within a burst of them, and behind them."""
    pieces = ["@", "@a@@b@", "@c@", "@@d@@e", "@@@", "@f@@@@g", "g@@", "h", "i@@", "@@@", "j@@"]
    frames = [["@@a@@"], ["b@@"], ["c@@", "@d@@"], ["e@@"], ["@@f@@"], ["@@gg@@"]]
    splitter = FrameSplitter()
    found = [splitter.receive_data(piece.encode().replace(b"@", line_end)) for piece in pieces]

    assert [*frames, ["hi@@"], ["@@@j@@"]] == [
        [frame.replace(line_end, b"@").decode() for frame in each] for each in found if each
    ]


@pytest.mark.parametrize(
    "pieces", [[b"a\n\n" + b"b" * 11], [b"a\n\n" + b"b" * 9 + b"\n\n"], [b"a\n\n", b"b" * 11]]
)
def test_a_frame_beyond_the_limit(pieces: list[bytes]) -> None:
    """What was whole comes first; then the frame that is too large, for ever."""
    splitter = FrameSplitter(max_frame_size=10)

    assert [b"a\n\n"] == splitter.receive_data(pieces[0])
    for _ in range(2):
        with pytest.raises(EventTooLarge) as caught:
            splitter.receive_data(b"".join(pieces[1:]))
        assert 10 == caught.value.limit
    assert splitter.failed


def test_no_limit() -> None:
    """None lifts the limit."""
    frame = b"x" * 2**24 + b"\n\n"

    assert [frame] == FrameSplitter(None).receive_data(frame)


@pytest.mark.sweep(quick=1)
@pytest.mark.parametrize("piece", [b"\n", b"\r", b"x", b"x\n"])
def test_bytewise_is_linear(piece: bytes) -> None:
    """Twice the bytes take about twice the time, also of blank lines alone."""

    def seconds(count: int) -> float:
        splitter = FrameSplitter(None)
        start = time.process_time()
        for _ in range(count):
            splitter.receive_data(piece)
        return time.process_time() - start

    assert min(seconds(80_000) for _ in range(3)) < 6 * min(seconds(20_000) for _ in range(3)) + 0.1
