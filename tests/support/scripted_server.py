"""A loopback server that answers with given bytes: what the shells are tested against.

It runs in a thread, so that asyncio, trio and blocking clients meet the same peer. Each
connection gets the next script: the pieces to write and how to end. Pieces go out one
by one; the server never waits for time, only for the client, or for an event that stands
between two pieces.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.support.listener import WAIT as WAIT
from tests.support.listener import Listener, read_head

End = Literal["close", "reset", "hold", "unwrap"]
Reads = Literal["request", "head", "nothing"]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


class Next:
    """Stands between two answers on one connection."""


NEXT = Next()


@dataclass
class Script:
    """What one connection gets: pieces, then an end.

    The end is a close, a reset, silence ("hold"), or, for TLS, a close with close_notify
    ("unwrap"). A ``threading.Event`` among the pieces is waited for; at ``NEXT`` another
    request on the same connection is read.
    """

    pieces: Sequence[bytes | threading.Event | Next]
    end: End = "close"
    reads: Reads = "request"
    """How much of the request is read before the answer; a TLS handshake belongs to it."""
    requests: list[bytes] = field(default_factory=list)
    """What the client sent, filled in by the server."""
    opened: threading.Event = field(default_factory=threading.Event)
    """Set when the client has connected."""
    closed: threading.Event = field(default_factory=threading.Event)
    """Set when the client has closed its side."""

    @property
    def request(self) -> bytes:
        """The first request, or nothing."""
        return self.requests[0] if self.requests else b""


def chunks(pieces: Iterable[bytes]) -> list[bytes]:
    """Return each piece as one chunk of a chunked body."""
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]


def chunked(pieces: Iterable[bytes], end: End = "close", *, last_chunk: bool = True) -> Script:
    """Return a script that answers with an event stream in chunks, one for each piece."""
    tail = [b"0\r\n\r\n"] if last_chunk else []
    return Script([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunks(pieces), *tail], end)


class ScriptedServer(Listener):
    """Serves one script for each connection, in order, then refuses."""

    target = "/events"

    def __init__(
        self,
        *scripts: Script,
        ssl_context: ssl.SSLContext | None = None,
        path: Path | None = None,
    ) -> None:
        super().__init__(ssl_context=ssl_context, path=path)
        self.scripts = list(scripts)

    def run(self) -> None:
        for script in self.scripts:
            client = self.accept()
            if client is None:
                return
            script.opened.set()
            try:
                if self._ssl_context and script.reads != "nothing":
                    client = self._ssl_context.wrap_socket(client, server_side=True)
                self._serve(client, script)
            except OSError:
                script.closed.set()  # the client went first, which is what some tests do
            finally:
                client.close()
        self.listener.close()

    def _serve(self, client: socket.socket, script: Script) -> None:
        if script.reads != "nothing":
            script.requests = [_read_request(client, with_body=script.reads == "request")]
        for piece in script.pieces:
            if isinstance(piece, bytes):
                client.sendall(piece)
            elif isinstance(piece, Next):
                script.requests.append(_read_request(client, with_body=True))
            else:
                assert piece.wait(WAIT)
        if script.end == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if script.end == "unwrap":
            assert isinstance(client, ssl.SSLSocket)
            client.unwrap().close()
            return
        if script.end == "close":
            client.shutdown(socket.SHUT_WR)
        client.settimeout(0.02)
        while True:
            stopped = self.stopped.is_set()  # asked first: a close before the stop is seen
            try:
                if not client.recv(65536):
                    script.closed.set()
                    return
            except TimeoutError:
                if stopped:
                    return


def _read_request(client: socket.socket, *, with_body: bool) -> bytes:
    head, body = read_head(client)
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while with_body and len(body) < length:
        data = client.recv(65536)
        if not data:
            break
        body += data
    return head + b"\r\n\r\n" + body
