"""A server with a numbered log that honours Last-Event-ID, and breaks off where it is told to.

What it sends is a function of the log, the last event ID and the path alone, so that a
client that loses an event, sees one twice or sees half of one is found out by comparing
what it received with ``events(log)``.
"""

from __future__ import annotations

import random
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sse_core
import sse_core.sync
from sse_core import ServerSentEvent
from tests.support.listener import Listener, read_head

Framing = Literal["chunked", "length", "closed"]
How = Literal["FIN", "RST", "half chunk", "silence"]

FRAMINGS: list[Framing] = ["chunked", "length", "closed"]
LINE_ENDS = [b"\n", b"\r\n", b"\r"]

STOP = b"HTTP/1.1 204 No Content\r\n\r\n"

# One character of each length in UTF-8, and each event in several lines.
_DATA = ("a é", "ท 😀")


def events(log: int, after: int = 0) -> list[ServerSentEvent]:
    """Return the events of a log with that many, behind the one with that number."""
    return [
        ServerSentEvent("\n".join((f"{number}", *_DATA)), "tick", str(number))
        for number in range(after + 1, log + 1)
    ]


def body(log: int, after: int = 0, line_end: bytes = b"\n") -> list[bytes]:
    """Return the same as it is sent, one piece for each event, a byte order mark first."""
    pieces = [
        f"event: tick\nid: {number}\n: ping\ndata: {number}\n"
        + "".join(f"data: {line}\n" for line in _DATA)
        + "\n"
        for number in range(after + 1, log + 1)
    ]
    encoded = [piece.encode().replace(b"\n", line_end) for piece in pieces]
    return [b"\xef\xbb\xbf" + encoded[0], *encoded[1:]] if encoded else []


def response(pieces: list[bytes], framing: Framing) -> bytes:
    """Return the whole response with a body of those pieces."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    if framing == "chunked":
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    content = b"".join(pieces)
    if framing == "length":
        head += b"Content-Length: %d\r\n" % len(content)
    return head + b"\r\n" + content


@dataclass
class Answer:
    """What one connection is sent, and how it ends: all of it at once, or in pieces."""

    data: bytes
    how: How = "FIN"
    pieces: int = 1


class LogServer(Listener):
    """Answers each connection with what ``answer(path, last_event_id)`` returns.

    The connections are served one after the other: a client that reconnects has closed
    the one before, or lost it.
    """

    def __init__(
        self,
        answer: Callable[[str, int], Answer],
        ssl_context: ssl.SSLContext | None = None,
        *,
        path: Path | None = None,
    ) -> None:
        super().__init__(ssl_context=ssl_context, path=path)
        self._answer = answer
        self._random = random.Random(0)

    def handle(self, client: socket.socket) -> None:
        with suppress(OSError):  # of a Unix socket
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head, _ = read_head(client)
        if not head:
            return
        lines = head.decode().lower().split("\r\n")
        ids = [line.partition(": ")[2] for line in lines if line.startswith("last-event-id:")]
        answer = self._answer(lines[0].split(" ")[1], int(ids[0]) if ids else 0)
        size = max(1, len(answer.data))
        cuts = sorted(self._random.randrange(size) for _ in range(answer.pieces - 1))
        for start, end in zip([0, *cuts], [*cuts, size], strict=True):
            client.sendall(answer.data[start:end])
        if answer.how == "RST":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif answer.how == "silence":
            client.recv(1)  # until the client has had enough


def source_kind(shell: str) -> Any:
    """Return the class EventSource of a shell."""
    return sse_core.sync.EventSource if shell == "blocking" else sse_core.EventSource
