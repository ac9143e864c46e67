"""Cancelled at any of its suspensions, a stream leaves no socket and loses nothing.

One scenario for each way to a server: plain, TLS, through a proxy, over a Unix socket.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import sse_core
from sse_core import TransportError
from tests.support.scripted_server import WAIT, Script, ScriptedServer, chunked
from tests.support.shells import Cancelling, cancelled_at, on_every_way_to_cancel
from tests.support.ways import on_every_way, serving

MOST = 99
"""Suspensions that none of these comes to."""

A = b"data: a\n\n"
EVENTS = [b"id: %d\ndata: x\n\n" % number for number in range(6)]
PIECES = [piece for event in EVENTS for piece in (event[:7], event[7:])]

Open = Callable[..., Any]


@pytest.fixture(scope="module", autouse=True)
def _no_leaks() -> Iterator[None]:
    """A socket that was not closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


def at_every_suspension(
    scenario: Callable[[Open, int], Awaitable[bool]],
    make_script: Callable[[], Script],
    to: str,
    directory: Path,
    backend: str,
) -> int:
    """Run a scenario until nothing is left to cancel; return the number of suspensions.

    Wherever it was cancelled, the peer sees the close.
    """
    for suspension in range(1, MOST):
        script = make_script()
        with serving(to, partial(ScriptedServer, script), directory) as (url, options):
            open_stream = partial(sse_core.stream, url, **options)
            cancelled = anyio.run(scenario, open_stream, suspension, backend=backend)
            if script.opened.is_set():
                assert script.closed.wait(WAIT)
        if not cancelled:
            return suspension - 1
    raise AssertionError("never ran to its end")


@pytest.mark.sweep(quick=8)
@on_every_way_to_cancel
@on_every_way
@pytest.mark.parametrize("size", [0, 2**20], ids=["GET", "large POST"])
def test_cancelled_entering_leaves_no_socket(
    size: int, to: str, tmp_path: Path, backend: str, way: Cancelling
) -> None:
    """Cancelled in connecting, a handshake, the proxy's answer, sending or the head."""

    async def scenario(open_stream: Open, suspension: int) -> bool:
        events = open_stream(content=bytes(size) if size else None)

        async def enter() -> None:
            async with events:
                pass

        return (await cancelled_at(suspension, way, enter()))[0]

    least = {"plain": 2, "TLS": 4, "proxy": 6, "Unix socket": 2}[to]
    found = at_every_suspension(scenario, lambda: chunked([A], "hold"), to, tmp_path, backend)
    assert found >= least


@pytest.mark.sweep(quick=6)
@on_every_way_to_cancel
@on_every_way
def test_cancelled_next_loses_nothing(
    to: str, tmp_path: Path, backend: str, way: Cancelling
) -> None:
    """Cancelled at any of its suspensions, ``anext()`` can be called again: nothing is lost."""

    async def scenario(open_stream: Open, suspension: int) -> bool:
        async with open_stream() as events:
            received: list[Any] = []

            async def reader() -> None:
                async for event in events:
                    received.append(event.id)  # noqa: PERF401  # seen even when cancelled

            cancelled, _ = await cancelled_at(suspension, way, reader())
            await reader()
            assert list("012345") == received
            return cancelled

    assert at_every_suspension(scenario, lambda: chunked(PIECES, "hold"), to, tmp_path, backend)


@pytest.mark.sweep(quick=4)
@on_every_way_to_cancel
@on_every_way
def test_cancelled_next_loses_no_failure(
    to: str, tmp_path: Path, backend: str, way: Cancelling
) -> None:
    """Nor is a cut ever taken for an end because its ``anext()`` was cancelled."""

    async def scenario(open_stream: Open, suspension: int) -> bool:
        async def read() -> None:
            async for _ in events:
                pass

        async with open_stream() as events:
            try:
                cancelled, _ = await cancelled_at(suspension, way, read())
            except TransportError:
                return False
            assert cancelled
            with pytest.raises(TransportError):
                await read()
            return True

    cut = [A, b"data: b\n\n"]
    assert at_every_suspension(
        scenario, lambda: chunked(cut, last_chunk=False), to, tmp_path, backend
    )
