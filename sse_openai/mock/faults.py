"""A reply -> the reply as a broken peer or network would deliver it. No I/O, no randomness."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from sse_core import encode_comment

from .reply import Piece, Reply

LINE_ENDS: Final = {"lf": b"\n", "cr": b"\r", "crlf": b"\r\n"}

BOM: Final = "\N{BYTE ORDER MARK}".encode()


@dataclass(slots=True, frozen=True, kw_only=True)
class Fault:
    """The faults of a reply. By default, it has none."""

    cut: int | None = None
    """Close the connection after this many bytes of the body, without ending the response."""
    by: Literal["fin", "reset"] = "fin"
    """How it is closed."""
    silence: float | None = None
    """Seconds without a byte; ``math.inf`` means forever."""
    after: int = 0
    """Bytes of the body before the silence."""
    comments: float | None = None
    """Number of comments to send instead of events; ``math.inf`` means no end."""
    every: float = 0.0
    """Seconds before each comment."""
    content_type: str | None = None
    """Sent instead of the body's real content type."""
    bom: bool = False
    """True if the stream begins with a byte order mark."""
    line_end: str = "lf"
    """The line end of the stream: ``lf``, ``cr`` or ``crlf``."""
    chunk: int | None = None
    """Bytes in each piece; 1 sends byte by byte."""
    done: bool = True
    """False if the stream lacks its last event."""
    json: bool = False
    """True if a request for a stream is answered with a single JSON body."""

    def applied(self, reply: Reply) -> Reply:
        """Return the reply with these faults."""
        pieces = reply.pieces
        if reply.streamed:
            pieces = self._stream(pieces)
        if self.chunk is not None:
            pieces = _rechunked(pieces, self.chunk)
        if self.silence is not None:
            pieces = _silent(pieces, self.after, self.silence)
        if self.cut is not None:
            pieces = _cut(pieces, self.cut)
        headers = reply.headers
        if self.content_type is not None:
            others = [field for field in headers if field[0] != b"content-type"]
            headers = ((b"content-type", self.content_type.encode()), *others)
        end = reply.end if self.cut is None else self.by
        return replace(reply, headers=headers, pieces=pieces, end=end)

    def _stream(self, pieces: Iterable[Piece]) -> Iterable[Piece]:
        if self.comments is not None:
            pieces = _comments(self.comments, self.every)
        elif not self.done:
            pieces = (piece for piece, _ in itertools.pairwise(pieces))
        if self.line_end != "lf":
            line_end = LINE_ENDS[self.line_end]
            pieces = ((pause, data.replace(b"\n", line_end)) for pause, data in pieces)
        return itertools.chain([(0.0, BOM)], pieces) if self.bom else pieces


def _comments(count: float, every: float) -> Iterator[Piece]:
    comment = encode_comment("keep-alive")
    numbers = itertools.count() if count == math.inf else range(int(count))
    return ((every, comment) for _ in numbers)


def _rechunked(pieces: Iterable[Piece], size: int) -> Iterator[Piece]:
    for pause, data in pieces:
        yield pause, data[:size]
        for start in range(size, len(data), size):
            yield 0.0, data[start : start + size]


def _cut(pieces: Iterable[Piece], left: int) -> Iterator[Piece]:
    """Yield the first ``left`` bytes, after an empty piece that sends the head."""
    yield 0.0, b""
    for pause, data in pieces:
        if left <= 0:
            return
        yield pause, data[:left]
        left -= len(data)


def _silent(pieces: Iterable[Piece], after: int, silence: float) -> Iterator[Piece]:
    yield 0.0, b""
    pieces = iter(pieces)
    for pause, data in pieces:
        if len(data) > after:
            yield pause, data[:after]
            yield silence, data[after:]
            break
        yield pause, data
        after -= len(data)
    else:
        yield silence, b""
    yield from pieces
