"""Connections that count the reads of a client, and clients that are given them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute

CLOSED = socket.socket()
CLOSED.close()


class CountingStream(anyio.abc.ByteStream):
    """A peer whose answer comes in the given reads; counts them."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.reads = 0
        self.closed = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        self.reads += 1
        return self._pieces.pop(0)

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed = True
        await anyio.lowlevel.checkpoint()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {SocketAttribute.raw_socket: lambda: CLOSED}  # a socket, as trio's streams have


class CountingSocket(socket.socket):
    """The same, blocking."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self.reads = 0

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        self.reads += 1
        return self._pieces.pop(0)

    def connect(self, address: Any, /) -> None: ...

    def sendall(self, data: Any, flags: int = 0, /) -> None: ...


def connect_to(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, *, blocking: bool) -> None:
    """Let every TCP connection of a client in this test be one that ``make`` returns."""

    class Made(socket.socket):
        def __new__(cls, *_: Any) -> Any:
            return make()

    async def connect_tcp(*_: Any) -> Any:
        return make()

    if blocking:
        monkeypatch.setattr(socket, "socket", Made)
    else:
        monkeypatch.setattr(anyio, "connect_tcp", connect_tcp)
