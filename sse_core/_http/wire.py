"""bytes -> the parts of one HTTP/1.1 response: its head, pieces of its body, its end.

    wire = Wire()
    send(wire.data_to_send(method, target, headers, body))
    while not wire.ended:
        for part in wire.receive_data(read()):    # b"" is the end of file
            ...

h11 reads heads and framing; complete plain chunks skip it (see ``chunks``). Positions and
the limits of heads and framing are the wire's business. What a response means is not: that
is ``exchange``. Nothing here reads, sends or waits, and nothing raises: an error is the
last part.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import h11

from .._errors import ProtocolError, SSEError, TransportError
from .chunks import MAX_DIGITS, chunk_length, skim
from .messages import Headers, Response

MAX_HEAD_SIZE = 64 * 1024
"""Bytes of one response head; nginx and Node allow 8 to 32 KiB, browsers up to 256."""

MAX_HEAD_FIELDS = 128
MAX_INFORMATIONAL = 8
"""1xx responses before the final one. A server needs two: 100 and 103."""

MAX_CHUNK_OVERHEAD = 16 * 1024
"""Bytes of chunk extensions and trailers in one body (compare CVE-2023-39326)."""

PIECE_SIZE = 64 * 1024
"""Bytes fed to h11 at a time. h11 checks its own limit only when no event came out, so that
a head of 10 MB in one piece would pass. The limits above count bytes, whatever the cut."""

HTTP = b"HTTP/1."
"""The beginning of every response head."""

# Obsolete line folding (RFC 9112, 5.2): two readers may see two values. h11 accepts it.
_FOLDED_LINE = re.compile(rb"\n[ \t]")

_BLANK_LINE = re.compile(rb"\n\r?\n")

# The framing of a plain chunk takes at most its digits and two line ends.
_CHUNK_FRAMING = MAX_DIGITS + 4

SKIM = True
"""False makes h11 read every byte: tests compare the two."""

End: TypeAlias = Literal["complete", "closed"]
"""The end of a body: by its framing, or by the peer's close where that is legal."""

Part: TypeAlias = Response | bytes | End | SSEError
"""A final head, a piece of the body, the end, or the error that came in place of it."""


class Wire:
    """The bytes of one request and its response, as HTTP/1.1 defines them."""

    # One for each idle stream: a dict would take half a KiB.
    __slots__ = (
        *("ended", "reusable", "received", "_h11", "_read", "_head", "_informational"),
        *("_start", "_overhead", "_next_chunk", "_held", "_chunk_end"),
    )

    def __init__(self) -> None:
        self.ended = False
        """True after the end or an error: no more bytes are wanted."""
        self.reusable = False
        """True if the socket can carry another request: the body ended where its framing
        said, nothing followed it, and both sides keep the connection alive."""
        self.received = 0
        """The number of bytes that have come from the peer."""
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * PIECE_SIZE)
        # How many of the received bytes have been read, by h11 or in its place.
        self._read = 0
        # The bytes of the head that is being read; None after the final one.
        self._head: bytearray | None = bytearray()
        self._informational = 0
        # Where the current head began, or the framing between two pieces of the body.
        self._start = 0
        self._overhead = 0
        # Where h11 will meet the next chunk after the data it handed out last; 0 if unknown.
        self._next_chunk = 0
        # The part of that chunk's head that h11 holds; None if h11 is not between chunks.
        self._held: bytes | None = None
        # The end of the chunk that h11 is to have for itself.
        self._chunk_end = 0

    def data_to_send(
        self, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes = b""
    ) -> bytes:
        """Return a request as bytes: all of it on the first call, nothing later."""
        if self._h11.our_state is not h11.IDLE:
            return b""
        parts = [
            self._h11.send(h11.Request(method=method, target=target, headers=headers)),
            self._h11.send(h11.Data(data=body)) if body else b"",
            self._h11.send(h11.EndOfMessage()),
        ]
        return b"".join(part or b"" for part in parts)

    def receive_data(self, data: bytes) -> list[Part]:
        """Take bytes from the peer, ``b""`` at its end of file; return the parts they complete.

        A ProtocolError stands for a peer that does not speak HTTP/1.1, or for a head or
        framing beyond the limits; a TransportError for a close inside the head or the body.
        """
        parts: list[Part] = []
        self.received += len(data)
        if self.ended:
            self.reusable = False  # bytes after the end, or the end of file
            return parts
        try:
            for piece in pieces(data) if len(data) > PIECE_SIZE else (data,):
                # h11 reads all of a body that is not chunked.
                if SKIM and piece and (self._next_chunk or self._head is not None):
                    self._receive_piece(piece, parts)
                else:
                    self._receive_by_h11(piece, parts)
                if self.ended:
                    break
        except (ProtocolError, TransportError) as exc:
            self.ended = True
            parts.append(exc)
        return parts

    def _receive_piece(self, piece: bytes, parts: list[Part]) -> None:
        # h11 gets heads and chunks one by one, so that it stops where a chunk may follow that
        # can be skimmed. That place is only a guess. The data that h11 has handed out shows
        # whether it waits for a chunk's head; otherwise it reads on.
        start = 0
        while start < len(piece) and not self.ended:
            if self._held == b"":
                data, end = skim(piece, start)
                if data:
                    self._read = self._next_chunk = self._read + end - start
                    # The overhead needs no check: plain framing is free.
                    self._start = self._read - 2
                    parts.append(data)
                    start = end
                    continue
            end = self._end_for_h11(piece, start)
            self._receive_by_h11(piece[start:end], parts)
            start = end

    def _end_for_h11(self, piece: bytes, start: int) -> int:
        """Return the end of the head or chunk that h11 gets next, or of the piece."""
        if self._head is not None:
            tail = self._head[-2:]
            blank_line = _BLANK_LINE.search(tail + piece[start:])
            return start + blank_line.end() - len(tail) if blank_line else len(piece)
        if self._held is not None:
            # The held bytes came at the end of a piece, so that `start` is 0 now.
            length = chunk_length(self._held + piece, start)
            self._chunk_end = self._read - len(self._held) + length
        if self._chunk_end > self._read:
            return start + self._chunk_end - self._read
        return len(piece)

    def _receive_by_h11(self, data: bytes, parts: list[Part]) -> None:
        try:
            self._h11.receive_data(data)
            self._read += len(data)
            if self._head is not None:
                self._head += data
            while not self.ended:
                event = self._h11.next_event()
                if isinstance(event, h11.Data):
                    parts.append(self._body(event))
                elif isinstance(event, h11.Response | h11.InformationalResponse):
                    self._receive_head(event, parts)
                elif isinstance(event, h11.EndOfMessage):
                    parts.append(self._end(closed=not data))
                else:
                    break
        except h11.RemoteProtocolError as exc:
            if data:
                raise ProtocolError(f"the peer broke HTTP/1.1: {str(exc)[:200]}") from exc
            where = "body" if self._head is None else "response head"
            raise TransportError(
                f"the peer closed the connection before the end of the {where}"
            ) from exc
        if not self.ended:
            self._check_waiting()
        if self._next_chunk:
            held = self._h11.trailing_data[0]
            between = self._read - len(held) == self._next_chunk
            self._held = held if between else None

    def _receive_head(
        self, head: h11.Response | h11.InformationalResponse, parts: list[Part]
    ) -> None:
        assert self._head is not None, "h11 reads one final head"
        end = self._read - self._waiting()
        size = end - self._start
        if size > MAX_HEAD_SIZE:
            raise _head_too_large()
        if len(head.headers) > MAX_HEAD_FIELDS:
            raise ProtocolError(f"a response head of more than {MAX_HEAD_FIELDS} fields")
        _check_head(head, self._head[:size])
        del self._head[:size]
        self._start = end
        if isinstance(head, h11.InformationalResponse):
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                raise ProtocolError(f"more than {MAX_INFORMATIONAL} informational responses")
            return
        self._head = None
        response = response_of(head)
        if "transfer-encoding" in response.headers:
            self._next_chunk = end
        parts.append(response)

    def _body(self, event: h11.Data) -> bytes:
        data = bytes(event.data)
        end = self._read - self._waiting()
        # h11's chunk_start would be lost where a read ends after a chunk's head.
        self._overhead = self._check_overhead(end - len(data))
        self._start = end
        if event.chunk_end:
            self._next_chunk = end + 2
        return data

    def _end(self, *, closed: bool) -> End:
        self.ended = True
        if closed:
            return "closed"
        end = self._read - self._waiting()
        self._check_overhead(end)
        # h11 is DONE unless one of the two heads rules out another request.
        self.reusable = end == self.received and self._h11.our_state is h11.DONE
        return "complete"

    def _waiting(self) -> int:
        """Return the number of received bytes that h11 has not handed out."""
        return len(self._h11.trailing_data[0])

    def _check_waiting(self) -> None:
        # h11 holds back the beginning of a head, or of a body's framing.
        if self._head is None:
            self._check_overhead(self._read)
        elif not HTTP.startswith(self._head[: len(HTTP)]):
            # h11 would wait for a blank line, which a peer of another kind never sends.
            raise _not_http()
        elif self._read - self._start > MAX_HEAD_SIZE:
            raise _head_too_large()

    def _check_overhead(self, position: int) -> int:
        """Return the overhead with the framing from the last data up to ``position``."""
        overhead = self._overhead + max(0, position - self._start - _CHUNK_FRAMING)
        if overhead > MAX_CHUNK_OVERHEAD:
            error = ProtocolError(
                f"chunk extensions and trailers of more than {MAX_CHUNK_OVERHEAD} bytes"
            )
            error.final = True
            raise error
        return overhead


def pieces(data: bytes) -> list[bytes]:
    """Return ``data`` in pieces of up to 64 KiB."""
    return [data[start : start + PIECE_SIZE] for start in range(0, len(data), PIECE_SIZE)]


def response_of(head: h11.Response | h11.InformationalResponse) -> Response:
    """Return a head of h11's as our value."""
    return Response(
        head.status_code,
        Headers(head.headers),
        head.http_version.decode("ascii"),
        head.reason.decode("latin-1"),
    )


def _check_head(head: h11.Response | h11.InformationalResponse, data: bytearray) -> None:
    """Refuse heads that h11 accepts, and that two readers may read in two ways."""
    names = {name for name, _ in head.headers}
    if not data.startswith(HTTP):
        raise _not_http()
    if head.status_code == 101:
        raise ProtocolError("the peer switched to another protocol")
    if _FOLDED_LINE.search(data):
        raise ProtocolError("a response head with a folded line")
    if b"transfer-encoding" in names and (b"content-length" in names or head.http_version < b"1.1"):
        raise ProtocolError("a response head with Transfer-Encoding and another framing")


def _head_too_large() -> ProtocolError:
    return ProtocolError(f"a response head of more than {MAX_HEAD_SIZE} bytes")


def _not_http() -> ProtocolError:
    return ProtocolError("the peer does not speak HTTP/1.1")
