"""Streams of frames, and the places to cut them."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from sse_core import FrameSplitter

LINES = [b"\n", b"\n\n", b"data: x", b"data:y", b"id: 7", b": c", b"x", b"\xef\xbb\xbf"]

STREAMS = st.one_of(
    st.lists(st.sampled_from(LINES), max_size=40),
    st.lists(st.sampled_from([b"\r", b"\r\n", *LINES]), max_size=40),
).map(b"".join)

CUTS = st.lists(st.integers(0, 120), max_size=20)


def pieces_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    """Return the stream in pieces."""
    borders = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    return [stream[a:b] for a, b in itertools.pairwise(borders)]


def split(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """Return all frames, and what comes after the last."""
    splitter = FrameSplitter()
    frames = [frame for piece in pieces for frame in splitter.receive_data(piece)]
    return frames, splitter.receive_eof()
