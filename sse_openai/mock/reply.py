"""Replies: their pieces, the pauses between them, and how they end. Values, no I/O."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from sse_core import ServerSentEvent, encode

Header: TypeAlias = tuple[bytes, bytes]
Piece: TypeAlias = tuple[float, bytes]
"""Seconds to wait (``math.inf`` means forever), and the bytes to send then."""
End: TypeAlias = Literal["complete", "fin", "reset"]
"""``complete`` ends the response; otherwise the connection is closed without an end."""

EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"


@dataclass(slots=True, frozen=True, kw_only=True)
class Reply:
    """One response."""

    status: int = 200
    headers: tuple[Header, ...]
    pieces: Iterable[Piece]
    streamed: bool = False
    """True if the body is an event stream."""
    wait: float = 0.0
    """Seconds before the head."""
    end: End = "complete"


def json_reply(
    status: int, value: Any, headers: tuple[Header, ...] = (), *, pause: float = 0.0
) -> Reply:
    body = utf8(dumps(value))
    length = (b"content-length", b"%d" % len(body))
    headers = ((b"content-type", b"application/json"), length, *headers)
    return Reply(status=status, headers=headers, pieces=[(pause, body)])


def stream_reply(pieces: Iterable[Piece], *, status: int = 200) -> Reply:
    headers = ((b"content-type", EVENT_STREAM), (b"cache-control", b"no-cache"))
    return Reply(status=status, headers=headers, pieces=pieces, streamed=True)


def event(value: Any, name: str | None = None) -> bytes:
    """Return an event whose data is ``value`` as JSON, or unchanged if it is a str."""
    data = value if isinstance(value, str) else dumps(value)
    return encode(ServerSentEvent(data, event=name or "message"))


def dumps(value: Any) -> str:
    # Not escaped, like the API's JSON, so that clients meet characters of several bytes.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a request may bring lone surrogates


@dataclass(slots=True, frozen=True)
class Recording:
    """A recorded event stream, with the pauses in which it arrived.

    The file contains the unchanged bytes of the stream. A line ``: pause 0.25`` says that the
    stream paused there for 0.25 seconds; such lines are not sent. The format treats them as
    comments, so a recording is itself a valid event stream. Everything between two pauses is
    sent in one piece.
    """

    pieces: tuple[Piece, ...]
    """Seconds to wait, then bytes to send."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Recording:
        """Read a recording; a stream without pauses is also a recording."""
        first, *rest = re.split(
            rb"(?:\A|(?<=[\r\n])): pause (\d+(?:\.\d+)?)(?:\r\n|\r|\n|\Z)", data
        )
        pauses = map(float, rest[::2])
        return cls(((0.0, first), *zip(pauses, rest[1::2], strict=True)))

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Recording:
        """Read a recording from a file."""
        return cls.from_bytes(Path(path).read_bytes())

    @property
    def body(self) -> bytes:
        """All the bytes that are sent."""
        return b"".join(data for _, data in self.pieces)
