"""F48: cancelled at any suspension, nothing is left behind; where only a call was, it goes on."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import sse_core
from sse_core import Disconnected, ResponseError
from tests.support.leaks import held
from tests.support.log_server import STOP, Answer, LogServer, body, events, response
from tests.support.scripted_server import WAIT, Script, ScriptedServer, chunked
from tests.support.shells import Cancelling, cancelled_at, on_every_way_to_cancel
from tests.support.tls import CLIENT, SERVER

A, B = b"id: 1\ndata: a\n\n", b"id: 2\ndata: b\n\n"
REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: /log\r\nContent-Length: 0\r\n\r\n"
ERROR = b"HTTP/1.1 401 No\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"

MOST = 200
"""Suspensions that none of these comes to."""

Life = Callable[[str, ssl.SSLContext], Awaitable[None]]

with_and_without_tls = pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])


async def stream(url: str, client: ssl.SSLContext) -> None:
    """Connect, be redirected, read to the end, close."""
    async with sse_core.stream(url, ssl_context=client, timeout=WAIT) as items:
        assert ["a", "b"] == [item.data async for item in items]


async def stream_that_is_left(url: str, client: ssl.SSLContext) -> None:
    """Leave it after an event, and close it twice."""
    async with sse_core.stream(url, ssl_context=client, timeout=WAIT) as items:
        await anext(items)
        await items.aclose()


async def refused_stream(url: str, client: ssl.SSLContext) -> None:
    """Read the body of an error."""
    with pytest.raises(ResponseError):
        async with sse_core.stream(url, ssl_context=client, timeout=WAIT):
            raise AssertionError("there is no stream")  # pragma: no cover


async def source(url: str, client: ssl.SSLContext) -> None:
    """Connect, be cut off, wait, ask for headers, be redirected, end, be told to stop."""

    async def headers() -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        return {"X": "y"}

    async with sse_core.EventSource(
        url, headers=headers, ssl_context=client, timeout=WAIT, **WAITS
    ) as items:
        received = [item async for item in items.items()]
        assert 2 == len([item for item in received if isinstance(item, Disconnected)])


async def source_that_is_left(url: str, client: ssl.SSLContext) -> None:
    """Close it between two connections."""
    async with sse_core.EventSource(url, ssl_context=client, timeout=WAIT, **WAITS) as items:
        async for item in items.items():
            if isinstance(item, Disconnected):
                break


# A wait that is one: its sleep is a suspension of its own.
WAITS: Any = {"reconnection_time": 0.001, "min_reconnection_time": 0.0, "uniform": lambda: 0.0}

LIVES: list[tuple[Life, Callable[[], list[Script]]]] = [
    (stream, lambda: [Script([REDIRECT]), chunked([A, B])]),
    (stream_that_is_left, lambda: [chunked([A, B], "hold", last_chunk=False)]),
    (refused_stream, lambda: [Script([ERROR])]),
    (source, lambda: [chunked([A], last_chunk=False), Script([REDIRECT]), chunked([B]),
                      Script([STOP])]),
    (source_that_is_left, lambda: [chunked([A])]),
]  # fmt: skip


@pytest.mark.sweep(quick=10)
@on_every_way_to_cancel
@with_and_without_tls
@pytest.mark.parametrize(("life", "scripts"), LIVES, ids=[life.__name__ for life, _ in LIVES])
def test_f48_cancelled_anywhere(
    life: Life, scripts: Callable[[], list[Script]], tls: bool, backend: str, way: Cancelling
) -> None:
    """From connecting to closing: no file and no task is left, and it is over."""

    async def run() -> int:
        before = await held()
        for suspension in range(1, MOST):
            with ScriptedServer(*scripts(), ssl_context=SERVER if tls else None) as server:
                cancelled, _ = await cancelled_at(suspension, way, live(server.url))
                await held()  # lets it close, so that the server does not wait
            assert before == await held(), suspension
            if not cancelled:
                return suspension
        raise AssertionError("never ran to its end")

    async def live(url: str) -> None:
        await life(url, CLIENT)

    assert anyio.run(run, backend=backend) > 4


@pytest.mark.sweep(quick=2)
@on_every_way_to_cancel
@with_and_without_tls
def test_f48_only_the_call_was_cancelled(tls: bool, backend: str, way: Cancelling) -> None:
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
            with LogServer(answer, SERVER if tls else None) as server:
                async with sse_core.EventSource(
                    server.url + "/", ssl_context=CLIENT, timeout=WAIT, **WAITS
                ) as items:

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
