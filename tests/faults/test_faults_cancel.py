"""F48: cancelled at any suspension, nothing is left behind; where only a call was, it goes on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import sse_core
from sse_core import Disconnected
from tests.support.leaks import held
from tests.support.lives import LIVES, MOST, REDIRECT, WAITS, Life
from tests.support.log_server import STOP, Answer, LogServer, body, events, response
from tests.support.scripted_server import Script, ScriptedServer
from tests.support.shells import Cancelling, cancelled_at, on_every_way_to_cancel
from tests.support.ways import on_every_way, serving


@pytest.mark.sweep(quick=10)
@on_every_way_to_cancel
@on_every_way
@pytest.mark.parametrize(("life", "scripts"), LIVES, ids=[life.__name__ for life, _ in LIVES])
def test_f48_cancelled_anywhere(
    life: Life,
    scripts: Callable[[], list[Script]],
    to: str,
    tmp_path: Path,
    backend: str,
    way: Cancelling,
) -> None:
    """From connecting to closing: no file and no task is left, and it is over."""

    async def run() -> int:
        before = await held()
        for suspension in range(1, MOST):
            with serving(to, partial(ScriptedServer, *scripts()), tmp_path) as (url, options):
                cancelled, _ = await cancelled_at(suspension, way, live(url, **options))
                await held()  # lets it close, so that the server does not wait
            assert before == await held(), suspension
            if not cancelled:
                return suspension
        raise AssertionError("never ran to its end")

    async def live(url: str, **options: Any) -> None:
        await life(url, **options)

    least = 2 if to == "Unix socket" else 4  # it connects without waiting
    assert anyio.run(run, backend=backend) > least


@pytest.mark.sweep(quick=2)
@on_every_way_to_cancel
@on_every_way
def test_f48_only_the_call_was_cancelled(
    to: str, tmp_path: Path, backend: str, way: Cancelling
) -> None:
    """A source goes on, through a redirect, a cut and a wait: each event once, in order."""
    log = 3
    whole = response(body(log), "chunked")

    def answer(path: str, last_event_id: int) -> Answer:
        if path == "/":
            return Answer(REDIRECT)
        if last_event_id == log:
            return Answer(STOP)
        if last_event_id:
            return Answer(response(body(log, last_event_id), "length"))
        return Answer(whole[:300])  # in mid-event

    async def run() -> int:
        before = await held()
        for suspension in range(1, MOST):
            received: list[Any] = []
            with serving(to, partial(LogServer, answer), tmp_path) as (url, options):
                async with sse_core.EventSource(url + "/", **options, **WAITS) as items:

                    async def read(items: Any = items, received: list[Any] = received) -> None:
                        async for event in items:
                            received.append(event)  # noqa: PERF401  # seen when cancelled

                    cancelled, _ = await cancelled_at(suspension, way, read())
                    await read()
                await held()
            assert events(log) == received, suspension
            assert before == await held(), suspension
            if not cancelled:
                return suspension
        raise AssertionError("never ran to its end")

    assert anyio.run(run, backend=backend) > 10


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_f48_cancellation_is_not_swallowed(backend: str) -> None:
    """Cancelled while it waits between two attempts, a source's caller is cancelled too."""

    async def run() -> str:
        async with sse_core.EventSource("http://127.0.0.1:1/", reconnection_time=60.0) as source:
            items = source.items()
            assert isinstance(await anext(items), Disconnected)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anext(items)
                raise AssertionError("cancelled calls do not return")  # pragma: no cover
            assert scope.cancelled_caught
            return source.state

    assert "connecting" == anyio.run(run, backend=backend)
