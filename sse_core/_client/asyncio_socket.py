"""A TCP connection on asyncio that stays registered with the event loop.

anyio registers its socket for each read and unregisters it again: two system calls and two
wake-ups for every event of a model that writes them one by one, as much as everything else
together. This one is unregistered only when bytes come that nobody waits for, so that at
most one read is ever ahead of the caller.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Any, cast

import anyio.abc
import anyio.lowlevel
from anyio.abc import SocketAttribute

READ_SIZE = 64 * 1024


async def adopt(stream: anyio.abc.SocketStream) -> anyio.abc.ByteStream:
    """Return the connection of ``stream`` as an ``AsyncioStream``; on trio, return ``stream``."""
    raw = stream.extra(SocketAttribute.raw_socket)
    if isinstance(raw, socket.socket):
        return stream  # trio's
    loop = asyncio.get_running_loop()
    own = socket.fromfd(raw.fileno(), raw.family, raw.type)
    try:
        own.setblocking(False)
        await anyio.aclose_forcefully(stream)
        early = await _received(stream)
        _, adopted = await loop.create_connection(AsyncioStream, sock=own)
    except BaseException:
        own.close()
        raise
    adopted._data = early + adopted._data
    return adopted


async def _received(stream: anyio.abc.SocketStream) -> bytes:
    """Return the bytes that a closed stream has read: uvloop reads as soon as it is connected."""
    data = b""
    with suppress(anyio.ClosedResourceError):
        while True:
            data += await stream.receive()
    return data


class Expired(Exception):
    """The deadline of an ``AsyncioStream`` has passed. TLS would swallow an OSError."""


class AsyncioStream(anyio.abc.ByteStream, asyncio.Protocol):
    """The bytes of one connection: anyio's ``SocketStream``, with fewer system calls.

    ``receive`` waits until ``deadline`` on the event loop's clock. The timer is not replaced
    for each read: when it fires, it checks whether it has to wait longer.
    """

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._data = b""
        self._taken = 0  # bytes of it; one cut is enough, as uvloop reads 256 KiB at a time
        self._eof = False
        self._paused = False
        self._lost = False
        self._failure: Exception | None = None
        self._closed = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._full = False
        self.deadline = inf
        self._timer: asyncio.TimerHandle | None = None

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)
        self._socket = transport.get_extra_info("socket")
        if hasattr(transport, "max_size"):  # asyncio's own reads up to 256 KiB at a time
            transport.max_size = READ_SIZE  # pyright: ignore[reportAttributeAccessIssue]

    def data_received(self, data: bytes) -> None:
        self._data = self._data[self._taken :] + data if self._data else data
        self._taken = 0
        if self._reader is None:
            self._transport.pause_reading()
            self._paused = True
        else:
            _wake(self._reader)

    def eof_received(self) -> bool:
        self._eof = True
        _wake(self._reader)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._failure = exc
        if self._timer is not None:
            self._timer.cancel()
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        _wake(self._writer)

    # Called by the client.

    @property
    def has_input(self) -> bool:
        """True if bytes or the end came that nobody asked for."""
        return bool(self._data) or self._eof or self._lost

    async def receive(self, max_bytes: int = READ_SIZE) -> bytes:
        if self.has_input:
            await anyio.lowlevel.checkpoint()
        else:
            if self._reader is not None:
                raise anyio.BusyResourceError("reading from")
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            loop = asyncio.get_running_loop()
            self._reader = loop.create_future()
            if self.deadline != inf and (self._timer is None or self._timer.when() > self.deadline):
                self._set_timer(loop)
            try:
                await self._reader
            finally:
                self._reader = None
        if self._data:
            data = self._data[self._taken : self._taken + max_bytes]
            self._taken += len(data)
            if self._taken == len(self._data):
                self._data, self._taken = b"", 0
            return data
        if self._closed:
            raise anyio.ClosedResourceError
        if self._failure is not None:
            raise anyio.BrokenResourceError from self._failure
        raise anyio.EndOfStream

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self.deadline, self._look_at_the_clock, loop)

    def _look_at_the_clock(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._reader is None or self._reader.done() or self.deadline == inf:
            return  # the next read sets the timer
        if self.deadline > loop.time():
            self._set_timer(loop)
        else:
            self._reader.set_exception(Expired())

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        self._check()
        self._transport.write(item)
        if self._transport.is_closing():
            # The event loop is about to close the socket, which may hold an early answer.
            with suppress(OSError):
                self._data += os.read(self._socket.fileno(), READ_SIZE)
            await asyncio.sleep(0)
        while self._full and not self._lost:
            self._writer = asyncio.get_running_loop().create_future()
            try:
                await self._writer
            finally:
                self._writer = None
        self._check()

    def _check(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._lost:
            raise anyio.BrokenResourceError from self._failure

    async def send_eof(self) -> None:
        self._transport.write_eof()

    async def aclose(self) -> None:
        self._closed = True
        self._transport.abort()
        await asyncio.sleep(0)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {SocketAttribute.raw_socket: lambda: self._socket}


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
