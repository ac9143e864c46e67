"""F53, F57: a server that is faster than its client, and a client that is not alone."""

from __future__ import annotations

import select
import socket
import threading
import tracemalloc
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

import sse_core
import sse_core.sync
from tests.support.peer import Peer
from tests.support.scripted_server import HEAD, WAIT, Script, ScriptedServer
from tests.support.shells import Shell, on_every_shell
from tests.support.sources import source_of

MOST = 64 * 2**20
"""Bytes that no pair of socket buffers holds: who takes so many does read on."""

HELD = {1: 768 * 1024, 1000: 256 * 1024}
"""Bytes that a stream may hold that nobody reads (F53), by the size of its events.

It is what one read brings, as events: more than 7000 of them where they are smallest.
"""

KEPT_WAITING = 1024
"""Events of a burst that may come between two turns of other tasks."""


class EndlessServer(Peer):
    """Sends events until the client takes no more."""

    def __init__(self, size: int) -> None:
        super().__init__(self._send)
        self.blocked = threading.Event()
        """Set when the socket takes nothing for a while, its buffers being full."""
        event = b"data: %b\n\n" % (b"x" * size)
        self._piece = event * (65536 // len(event))

    def _send(self, client: socket.socket) -> None:
        client.sendall(HEAD + b"\r\n")
        client.setblocking(False)
        sent = 0
        while sent < MOST:
            try:
                sent += client.send(self._piece)
            except BlockingIOError:
                if not select.select([], [client], [], 0.1)[1]:
                    self.blocked.set()
                    break
        client.settimeout(WAIT)
        while client.recv(1):
            pass


@on_every_shell
@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("kind", ["stream", "source"])
def test_f53_h108_slow_consumer(kind: str, size: int, shell: Shell) -> None:
    """Who stops asking stops reading: the server has to wait, and memory stays as it is."""

    async def scenario(items: Any) -> tuple[int, int]:
        async with items:
            await anext(items)
            first = tracemalloc.get_traced_memory()[0]
            # The event loop goes on meanwhile: it could read.
            wait = server.blocked.wait
            blocked = wait(WAIT) if shell.blocking else await anyio.to_thread.run_sync(wait, WAIT)
            assert blocked, "the client reads on"
            return first, tracemalloc.get_traced_memory()[0]

    with EndlessServer(size) as server:
        open_items = shell.stream if kind == "stream" else source_of
        arguments = (server.url,) if kind == "stream" else (shell, server)
        shell.run(scenario, open_items(*arguments))  # what is loaded and made only once
        server.blocked.clear()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            first, later = shell.run(scenario, open_items(*arguments))
        finally:
            tracemalloc.stop()

    assert later - before < HELD[size]
    assert later - first < 96 * 1024  # on asyncio one read is ahead of the caller


@pytest.mark.sweep(quick=2)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", ["stream", "source"])
def test_f57_burst_of_small_events(kind: str, backend: str) -> None:
    """1 MiB of them: other tasks have their turn every few events, not every few thousand."""
    burst = b"data: x\n\n" * (2**20 // 9)
    pieces = [HEAD + b"Content-Length: %d\r\n\r\n" % len(burst), burst]
    most = 0

    async def scenario(url: str) -> None:
        nonlocal most
        open_items: Any = sse_core.stream if kind == "stream" else sse_core.EventSource
        received = turn = 0

        async def tick() -> None:
            nonlocal most, turn
            while True:
                most, turn = max(most, received - turn), received
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks, open_items(url) as items:
            tasks.start_soon(tick)
            async for _ in items:
                received += 1
                if received == len(burst) // 9:
                    break
            tasks.cancel_scope.cancel()

    with ScriptedServer(Script(pieces, "hold")) as server:
        anyio.run(scenario, server.url, backend=backend)

    assert most <= KEPT_WAITING
