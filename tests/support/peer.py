"""A peer whose side of a connection is a function: for what no script can say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.support.scripted_server import WAIT


class Peer:
    """Calls ``serve`` with each connection, one after the other, when its request has come."""

    def __init__(
        self, serve: Callable[[socket.socket], None], *, reads_request: bool = True
    ) -> None:
        self._serve = serve
        self._reads_request = reads_request
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        self._thread.join(WAIT)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, suppress(OSError):  # the client may go first
                client.settimeout(WAIT)
                request = b""
                while self._reads_request and b"\r\n\r\n" not in request:
                    request += client.recv(1024) or b"\r\n\r\n"
                self._serve(client)
