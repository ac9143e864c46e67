"""The connection on asyncio against a real peer: what anyio's own does, and no read too much."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from sse_core._client.asyncio_socket import READ_SIZE, AsyncioStream, Expired, adopt
from tests.support.scripted_server import WAIT
from tests.support.shells import cancelled_at

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[AsyncioStream, socket.socket]]:
    """A stream and the peer's socket, which blocks for WAIT seconds at most."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = await adopt(await anyio.connect_tcp(*listener.getsockname()))
        peer, _ = listener.accept()
    assert isinstance(found, AsyncioStream)
    with peer:
        peer.settimeout(WAIT)
        try:
            yield found, peer
        finally:
            await found.aclose()


async def eventually(condition: Any) -> None:
    """Let the event loop turn until something has happened."""
    with anyio.fail_after(WAIT):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def test_receive() -> None:
    """Bytes as they come, no more at a time than asked for, then the end."""
    async with connected() as (stream, peer):
        peer.sendall(b"abc")
        assert [b"ab", b"c"] == [await stream.receive(2), await stream.receive(2)]
        peer.shutdown(socket.SHUT_WR)
        for _ in range(2):
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


async def test_one_read_ahead() -> None:
    """What comes while nobody waits is read once, and then the peer is left to wait."""
    async with connected() as (stream, peer):
        peer.sendall(bytes(16 * READ_SIZE))
        await eventually(lambda: stream.has_input)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        received = len(await stream.receive(16 * READ_SIZE))
        assert received <= READ_SIZE
        while received < 16 * READ_SIZE:
            received += len(await stream.receive())
        assert not stream.has_input


async def test_reset() -> None:
    """A reset breaks the stream, for reading and writing; what came before it is kept."""
    async with connected() as (stream, peer):
        peer.sendall(b"a")
        await eventually(lambda: stream.has_input)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        assert b"a" == await stream.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"b")


async def test_send() -> None:
    """More than the kernel takes is waited for, and all of it arrives; then the end."""
    async with connected() as (stream, peer):
        data = bytes(range(256)) * 2**16

        async def send() -> None:
            await stream.send(data)
            await stream.send_eof()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            received = await anyio.to_thread.run_sync(read_all, peer)
        assert data == received


def read_all(peer: socket.socket) -> bytes:
    received = b""
    while data := peer.recv(2**20):
        received += data
    return received


async def test_peer_gone_while_sending() -> None:
    """A send that waits for room ends when there is nobody to make it."""
    async with connected() as (stream, peer):

        async def send() -> None:
            with pytest.raises(anyio.BrokenResourceError):
                await stream.send(bytes(2**24))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()


async def test_closed() -> None:
    """Closing ends a read that waits, and whatever comes after it."""
    async with connected() as (stream, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fails_to_receive, stream)
            await anyio.wait_all_tasks_blocked()
            await stream.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await stream.receive()
        with pytest.raises(anyio.ClosedResourceError):
            await stream.send(b"a")


async def fails_to_receive(stream: AsyncioStream) -> None:
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()


async def test_two_readers() -> None:
    """The second is told so; the first goes on."""
    async with connected() as (stream, peer):
        found: list[bytes] = []

        async def receive() -> None:
            found.append(await stream.receive())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError):
                await stream.receive()
            peer.sendall(b"a")
        assert [b"a"] == found


async def test_cancelled() -> None:
    """A cancelled read loses nothing, and neither does one cancelled as it was woken."""
    async with connected() as (stream, peer):
        with anyio.move_on_after(0):
            await stream.receive()
        task = asyncio.create_task(cancelled_at(1, "task on waking", stream.receive()))
        await anyio.wait_all_tasks_blocked()
        peer.sendall(b"a")
        assert (True, None) == await task
        assert b"a" == await stream.receive()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await stream.send(b"b")
            raise AssertionError("not cancelled")
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)


async def test_deadline() -> None:
    """A read waits until then and no longer, and may be followed by one with more time."""
    async with connected() as (stream, peer):
        loop = asyncio.get_running_loop()
        stream.deadline = loop.time() + WAIT
        peer.sendall(b"a")
        assert b"a" == await stream.receive()
        stream.deadline = loop.time() + 2 * WAIT
        peer.sendall(b"b")
        assert b"b" == await stream.receive()
        stream.deadline = loop.time() + 0.02
        with pytest.raises(Expired):
            await stream.receive()
        peer.sendall(b"c")
        assert b"c" == await stream.receive()


async def test_deadline_that_moved() -> None:
    """A timer that fires too early waits on; one that fires between two reads does nothing."""
    async with connected() as (stream, peer):
        loop = asyncio.get_running_loop()
        stream.deadline = loop.time() + 0.02
        peer.sendall(b"a")
        assert b"a" == await stream.receive()
        fired = stream.deadline + 0.01
        await eventually(lambda: loop.time() > fired)
        stream.deadline = loop.time() + 0.02
        peer.sendall(b"b")
        assert b"b" == await stream.receive()
        start = loop.time()
        stream.deadline = start + 0.06
        with pytest.raises(Expired):
            await stream.receive()
        assert loop.time() - start >= 0.05


@pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})], ids=str)
async def test_peer_that_speaks_first(anyio_backend: Any) -> None:
    """A server that is too busy says so before it is asked; uvloop reads that at once."""
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT)

        def serve() -> None:
            for _ in range(20):
                with listener.accept()[0] as peer:
                    peer.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        for _ in range(20):
            stream = await adopt(await anyio.connect_tcp(*listener.getsockname()))
            try:
                with anyio.fail_after(WAIT):
                    assert answer == await stream.receive()
                    with pytest.raises(anyio.EndOfStream):
                        await stream.receive()
            finally:
                await stream.aclose()
        await anyio.to_thread.run_sync(serving.join)


async def test_cancelled_adoption() -> None:
    """Cancelled at any point, it leaves no socket open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for turns in range(5):
            stream = await anyio.connect_tcp(*listener.getsockname())
            task = asyncio.create_task(adopt(stream))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                adopted = await task
            except asyncio.CancelledError:
                await stream.aclose()
            else:
                await adopted.aclose()
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(WAIT)
                assert b"" == await anyio.to_thread.run_sync(peer.recv, 1)
    gc.collect()
