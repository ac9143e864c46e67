"""Streams within what callers put around them: deadlines, task groups, another event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio

import sse_core
from sse_core import TransportError
from tests.faults import kills
from tests.support.leaks import held
from tests.support.lives import LIVES, MOST, Life, with_and_without_tls
from tests.support.log_server import STOP, Answer, LogServer, body, events, response
from tests.support.scripted_server import HEAD, WAIT, Script, ScriptedServer, chunked, chunks
from tests.support.shells import cancelled_at
from tests.support.tls import CLIENT, SERVER

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
KINDS = pytest.mark.parametrize("kind", ["stream", "source"])

SHORT = 0.02


async def asyncio_wait_for(call: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(call, SHORT)


async def asyncio_timeout(call: Awaitable[Any]) -> Any:
    async with asyncio.timeout(SHORT):
        return await call


async def anyio_fail_after(call: Awaitable[Any]) -> Any:
    with anyio.fail_after(SHORT):
        return await call


async def trio_fail_after(call: Awaitable[Any]) -> Any:
    with trio.fail_after(SHORT):
        return await call


def opened(kind: str, url: str, **options: Any) -> Any:
    return (sse_core.stream if kind == "stream" else sse_core.EventSource)(url, **options)


@pytest.mark.parametrize(
    ("backend", "limited"),
    [
        ("asyncio", asyncio_wait_for),
        ("asyncio", asyncio_timeout),
        ("asyncio", anyio_fail_after),
        ("trio", anyio_fail_after),
        ("trio", trio_fail_after),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
@KINDS
def test_f48_deadline_around_each_event(
    kind: str, backend: str, limited: Callable[[Awaitable[Any]], Awaitable[Any]]
) -> None:
    """Whoever's deadline passes, the event that was waited for comes with the next call."""
    gates = [threading.Event() for _ in range(3)]
    pieces: list[bytes | threading.Event] = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n"]
    for number, gate in enumerate(gates):
        pieces += [*chunks([b"data: "]), gate, *chunks([b"%d\n\n" % number])]

    async def scenario(url: str) -> list[str]:
        received = []
        async with opened(kind, url) as items:
            for gate in gates:
                while True:
                    try:
                        event = await limited(anext(items))
                    except (TimeoutError, trio.TooSlowError):
                        gate.set()
                    else:
                        received.append(event.data)
                        break
        return received

    with ScriptedServer(Script(pieces, "hold")) as server:
        assert list("012") == anyio.run(scenario, server.url, backend=backend)
    assert all(gate.is_set() for gate in gates)


@BACKENDS
@KINDS
def test_deadline_around_the_whole(kind: str, backend: str) -> None:
    """A deadline around block and loop ends both, and leaves nothing."""

    async def scenario() -> list[str]:
        before = await held()
        received = []
        with ScriptedServer(chunked([b"data: a\n\n"], "hold", last_chunk=False)) as server:
            with anyio.move_on_after(SHORT) as scope:
                async with opened(kind, server.url) as items:
                    async for event in items:
                        received.append(event.data)
                        scope.deadline = anyio.current_time() + SHORT
            await held()
        assert scope.cancelled_caught
        assert before == await held()
        return received

    assert ["a"] == anyio.run(scenario, backend=backend)


@BACKENDS
def test_several_in_one_task_group(backend: str) -> None:
    """Sources beside each other do not mix; the failure of one cancels the others."""
    log, cut = 20, threading.Event()

    def answer(path: str, last_event_id: int) -> Answer:
        if path == "/broken":
            assert cut.wait(WAIT)
            return Answer(response(body(log), "length")[:300])
        if last_event_id == log:
            return Answer(STOP)
        return Answer(response(body(log, last_event_id)[:5], "closed"))

    async def scenario() -> None:
        before = await held()
        received: dict[str, list[Any]] = {}

        async def read(url: str) -> None:
            async with sse_core.EventSource(
                url, reconnection_time=0.0, min_reconnection_time=0.0, timeout=WAIT
            ) as items:
                received[url] = [event async for event in items]

        async def read_beside(url: str) -> None:
            async with anyio.create_task_group() as tasks, sse_core.stream(url) as items:
                tasks.start_soon(anyio.sleep_forever)
                assert [] != [event async for event in items]

        servers = [LogServer(answer) for _ in range(4)]
        for server in servers:
            server.__enter__()
        async with anyio.create_task_group() as tasks:
            for server in servers:
                tasks.start_soon(read, server.url + "/")
        assert [events(log)] * 4 == list(received.values())

        cut.set()
        with pytest.raises(ExceptionGroup) as caught:
            await read_beside(servers[0].url + "/broken")
        assert [TransportError] == [type(error) for error in caught.value.exceptions]
        for server in servers:
            server.__exit__(None, None, None)
        assert before == await held()

    anyio.run(scenario, backend=backend)


def on_uvloop(scenario: Callable[[], Awaitable[Any]]) -> Any:
    pytest.importorskip("uvloop", reason="uvloop is not installed")
    return anyio.run(scenario, **kills.loop("uvloop"))


@with_and_without_tls
def test_uvloop_killed_again_and_again(tls: bool) -> None:
    """A source on uvloop loses no event either."""
    pytest.importorskip("uvloop", reason="uvloop is not installed")

    assert 16 == kills.run("uvloop", 16, seed=7, tls=tls).killed.total()


@pytest.mark.sweep(quick=3)
@with_and_without_tls
@pytest.mark.parametrize(("life", "scripts"), LIVES, ids=[life.__name__ for life, _ in LIVES])
def test_uvloop_f48_cancelled_anywhere(
    life: Life, scripts: Callable[[], list[Script]], tls: bool
) -> None:
    """Nor does it leave anything."""

    async def live(url: str) -> None:
        await life(url, ssl_context=CLIENT, timeout=WAIT)

    async def run() -> int:
        with ScriptedServer(*scripts(), ssl_context=SERVER if tls else None) as server:
            await live(server.url)  # uvloop opens a file of its own with the first connection
        before = await held()
        for suspension in range(1, MOST):
            with ScriptedServer(*scripts(), ssl_context=SERVER if tls else None) as server:
                cancelled, _ = await cancelled_at(suspension, "scope", live(server.url))
                await held()
            assert before == await held(), suspension
            if not cancelled:
                return suspension
        raise AssertionError("never ran to its end")

    assert on_uvloop(run) > 4
