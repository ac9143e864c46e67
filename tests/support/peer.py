"""A peer whose side of a connection is a function: for what no script can say."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.support.listener import Listener, read_head


class Peer(Listener):
    """Calls ``serve`` with each connection, one after the other, when its request has come."""

    target = "/"

    def __init__(
        self, serve: Callable[[socket.socket], None], *, reads_request: bool = True
    ) -> None:
        super().__init__()
        self._serve = serve
        self._reads_request = reads_request

    def handle(self, client: socket.socket) -> None:
        if self._reads_request:
            read_head(client)
        self._serve(client)
