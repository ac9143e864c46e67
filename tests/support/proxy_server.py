"""A loopback HTTP proxy, which leads to one origin whatever host it is asked for.

It runs in threads, forwards requests in absolute form, tunnels for CONNECT, and records the
heads of what it was asked.
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress

from tests.support.listener import WAIT, Listener, read_head

REFUSED = b"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"


class ProxyServer(Listener):
    """Leads to 127.0.0.1 at ``origin``; ``credentials`` are what Proxy-Authorization has to say."""

    def __init__(self, origin: int, *, credentials: bytes | None = None) -> None:
        super().__init__()
        self.requests: list[bytes] = []
        """The heads of the requests, in order."""
        self._origin = origin
        self._credentials = credentials

    def run(self) -> None:
        while (client := self.accept()) is not None:
            thread = threading.Thread(target=self.converse, args=(client,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def handle(self, client: socket.socket) -> None:
        head, rest = read_head(client)
        if not head:
            return
        self.requests.append(head + b"\r\n\r\n")
        authorization = re.search(rb"(?mi)^proxy-authorization: (.*)\r?$", head + b"\r")
        given = authorization[1].rstrip(b"\r") if authorization else None
        if self._credentials is not None and given != self._credentials:
            client.sendall(REFUSED)
            return
        with socket.create_connection(("127.0.0.1", self._origin), WAIT) as origin:
            if head.startswith(b"CONNECT "):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                head = re.sub(rb"^(\S+) http://[^/]+", rb"\1 ", head)
                head = re.sub(rb"(?mi)^proxy-authorization: .*\r\n", b"", head + b"\r\n")
                rest = head + b"\r\n" + rest
            origin.sendall(rest)
            up = threading.Thread(target=_pump, args=(client, origin), daemon=True)
            up.start()
            _pump(origin, client)
            up.join(WAIT)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
