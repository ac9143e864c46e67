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
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

End = Literal["close", "reset", "hold", "unwrap"]
Reads = Literal["request", "head", "nothing"]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

WAIT = 10
"""Seconds after which a test has failed that waits for the other side."""


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


class ScriptedServer:
    """Serves one script for each connection, in order, then refuses."""

    def __init__(self, *scripts: Script, ssl_context: ssl.SSLContext | None = None) -> None:
        self.scripts = list(scripts)
        self._ssl_context = ssl_context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        scheme = "https" if self._ssl_context else "http"
        return f"{scheme}://127.0.0.1:{self.port}/events"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        self._thread.join(WAIT)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        for script in self.scripts:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            script.opened.set()
            try:
                client.settimeout(WAIT)
                if self._ssl_context and script.reads != "nothing":
                    client = self._ssl_context.wrap_socket(client, server_side=True)
                self._serve(client, script)
            except OSError:
                script.closed.set()  # the client went first, which is what some tests do
            finally:
                client.close()
        self._listener.close()

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
            stopped = self._stopped.is_set()  # asked first: a close before the stop is seen
            try:
                if not client.recv(65536):
                    script.closed.set()
                    return
            except TimeoutError:
                if stopped:
                    return


def _read_request(client: socket.socket, *, with_body: bool) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        data = client.recv(65536)
        if not data:
            return request
        request += data
    head, _, body = request.partition(b"\r\n\r\n")
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
