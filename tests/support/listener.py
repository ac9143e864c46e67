"""A listening server in a thread: the one that the servers of the tests are made of."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

WAIT = 10
"""Seconds after which a test has failed that waits for the other side."""


class Listener:
    """Listens on a loopback port, or at a path, and handles one connection after the other."""

    target = ""
    """What ``url`` ends with."""

    def __init__(
        self, *, ssl_context: ssl.SSLContext | None = None, path: Path | None = None
    ) -> None:
        self._ssl_context = ssl_context
        self.port = 0
        if path is None:
            self.listen()
        else:
            path.unlink(missing_ok=True)
            self.listener = socket.create_server(str(path), family=socket.AF_UNIX)
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True)]

    def listen(self) -> None:
        """Listen, again if need be, on the port that the server has, or on a free one."""
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]

    @property
    def url(self) -> str:
        scheme = "https" if self._ssl_context else "http"
        return f"{scheme}://127.0.0.1:{self.port}{self.target}"

    def __enter__(self) -> Self:
        self.threads[0].start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopped.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.listener.close()
        for thread in self.threads:
            thread.join(WAIT)
            assert not thread.is_alive()

    def run(self) -> None:
        """Handle connections until the server stops."""
        while (client := self.accept()) is not None:
            self.converse(client)

    def accept(self) -> socket.socket | None:
        """Wait for a connection; None where the server has stopped.

        The client is in the same process. While that has no file left, the connection waits
        in the backlog: a server that gave up here would leave its client waiting for ever.
        """
        for _ in range(WAIT * 100):
            try:
                client, _ = self.listener.accept()
            except OSError as exc:
                if exc.errno != errno.EMFILE or self.stopped.wait(0.01):
                    return None
            else:
                client.settimeout(WAIT)
                return client
        return None

    def converse(self, client: socket.socket) -> None:
        """Shake hands where TLS is spoken, and handle the connection; the client may go first."""
        try:
            if self._ssl_context:
                client = self._ssl_context.wrap_socket(client, server_side=True)
            self.handle(client)
        except OSError:
            self.gone()
        finally:
            client.close()

    def handle(self, client: socket.socket) -> None:
        raise NotImplementedError

    def gone(self) -> None:
        """The client went first, which is what some tests do."""


def read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """Return a request's head without its blank line, and what came after; less at its end."""
    request = b""
    while b"\r\n\r\n" not in request:
        data = client.recv(65536)
        if not data:
            break
        request += data
    head, _, rest = request.partition(b"\r\n\r\n")
    return head, rest
