"""Client: connections that serve more than one request, over real sockets, on all shells."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import sse_core
import sse_core.sync
from sse_core import (
    HeadTimeout,
    Opened,
    ResponseError,
    ServerSentEvent,
    Timeout,
    TransportError,
)
from tests.support.callers import Caller, with_client
from tests.support.duplicate import duplicate
from tests.support.scripted_server import HEAD, NEXT, WAIT, Script, ScriptedServer, chunked, chunks
from tests.support.shells import (
    Cancelling,
    Shell,
    cancelled_at,
    on_every_shell,
    on_every_way_to_cancel,
)

A, B = b"data: a\n\n", b"data: b\n\n"
EVENTS = [ServerSentEvent("a"), ServerSentEvent("b")]
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = [CHUNKED, *chunks([A, B]), b"0\r\n\r\n"]
LENGTH = [HEAD + b"Content-Length: 18\r\n\r\n", A, B]
STOP = b"HTTP/1.1 204 No Content\r\n\r\n"
REFUSED = b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno"

Scenario = Callable[[Any], Awaitable[Any]]


@on_every_shell
@pytest.mark.parametrize("answer", [WHOLE, LENGTH], ids=["chunked", "length"])
def test_one_connection(answer: list[bytes], shell: Shell) -> None:
    """After a complete response the connection serves the next request."""
    script = Script([*answer, NEXT, *answer, NEXT, STOP], "hold")

    async def scenario(caller: Caller) -> None:
        assert EVENTS == await caller.read(server.url)
        assert EVENTS == await caller.read(server.url, content=b"body")
        assert [] == await caller.read(server.url)
        assert not script.closed.is_set()

    with ScriptedServer(script) as server:
        with_client(shell, scenario)
        assert script.closed.wait(WAIT)  # by leaving the client

    assert [b"GET", b"POST", b"GET"] == [request.split()[0] for request in script.requests]
    assert script.requests[1].endswith(b"\r\n\r\nbody")


@on_every_shell
@pytest.mark.parametrize(
    "answer",
    [
        [HEAD + b"Connection: close\r\nContent-Length: 18\r\n\r\n", A, B],
        [b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", A, B],
        [*LENGTH[:-1], LENGTH[-1] + b"more"],
    ],
    ids=["Connection: close", "HTTP/1.0", "bytes behind the end"],
)
def test_no_second_request(answer: list[bytes], shell: Shell) -> None:
    """Where the response does not allow another request, the next one connects anew."""
    first = Script(answer, "close" if answer[0].startswith(b"HTTP/1.0") else "hold")
    second = Script(WHOLE, "hold")

    async def scenario(caller: Caller) -> None:
        assert EVENTS == await caller.read(server.url)
        assert EVENTS == await caller.read(server.url)
        assert first.closed.wait(WAIT)

    with ScriptedServer(first, second) as server:
        with_client(shell, scenario)


@on_every_shell
def test_stream_that_was_left_early(shell: Shell) -> None:
    """Leaving in the middle of a body closes its connection at once."""
    first, second = chunked([A], "hold", last_chunk=False), Script(WHOLE, "hold")

    async def scenario(caller: Caller) -> None:
        assert EVENTS[0] == await caller.first(server.url)
        assert first.closed.wait(WAIT)
        assert EVENTS == await caller.read(server.url)

    with ScriptedServer(first, second) as server:
        with_client(shell, scenario)


@on_every_shell
@pytest.mark.parametrize("end", ["close", "reset"])
def test_closed_while_idle(end: Any, shell: Shell) -> None:
    """A connection that the server has closed meanwhile is not used again."""
    gate = threading.Event()
    first, second = Script([*WHOLE, gate], end), Script(WHOLE, "hold")

    async def scenario(caller: Caller) -> None:
        assert EVENTS == await caller.read(server.url)
        gate.set()
        assert EVENTS == await caller.read(server.url)

    with ScriptedServer(first, second) as server:
        with_client(shell, scenario)

    assert len(first.requests) == len(second.requests) == 1


@on_every_shell
@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("content", [None, b"body"])
def test_closed_on_the_second_request(content: bytes | None, end: Any, shell: Shell) -> None:
    """Closed before a byte of the answer: the request goes out again, on a new connection."""
    first, second = Script([*WHOLE, NEXT], end), Script(WHOLE, "hold")

    async def scenario(caller: Caller) -> None:
        assert EVENTS == await caller.read(server.url)
        assert EVENTS == await caller.read(server.url, content=content)

    with ScriptedServer(first, second) as server:
        with_client(shell, scenario)

    assert first.requests[1:] == second.requests


@on_every_shell
def test_closed_within_an_answer(shell: Shell) -> None:
    """With one byte of an answer, the request is not sent again."""
    first, second = Script([*WHOLE, NEXT, b"H"]), Script(WHOLE)

    async def scenario(caller: Caller) -> None:
        assert EVENTS == await caller.read(server.url)
        with pytest.raises(TransportError, match="response head"):
            await caller.read(server.url)

    with ScriptedServer(first, second) as server:
        with_client(shell, scenario)

    assert not second.opened.is_set()


@on_every_shell
def test_closed_on_the_first_request(shell: Shell) -> None:
    """A new connection that is closed unanswered is a fault, not an old one given up."""
    first, second = Script([]), Script(WHOLE)

    async def scenario(caller: Caller) -> None:
        with pytest.raises(TransportError, match="response head"):
            await caller.read(server.url)

    with ScriptedServer(first, second) as server:
        with_client(shell, scenario)

    assert not second.opened.is_set()


@on_every_shell
def test_timeout_on_the_second_request(shell: Shell) -> None:
    """A server that is slow may be at work: the request is not sent again."""
    first, second = Script([*WHOLE, NEXT], "hold"), Script(WHOLE)

    async def scenario(caller: Caller) -> None:
        assert EVENTS == await caller.read(server.url)
        with pytest.raises(HeadTimeout):
            await caller.read(server.url, timeout=Timeout(head=0.05))

    with ScriptedServer(first, second) as server:
        with_client(shell, scenario)

    assert not second.opened.is_set()


@on_every_shell
def test_error_that_was_read(shell: Shell) -> None:
    """An error with a whole body leaves a connection that can be used."""
    script = Script([REFUSED, NEXT, *WHOLE], "hold")

    async def scenario(caller: Caller) -> None:
        with pytest.raises(ResponseError):
            await caller.read(server.url)
        assert EVENTS == await caller.read(server.url)

    with ScriptedServer(script) as server:
        with_client(shell, scenario)


@on_every_shell
@pytest.mark.parametrize("options", [{"max_idle": 0}, {"max_idle_time": 0}], ids=str)
def test_bounds(options: dict[str, Any], shell: Shell) -> None:
    """No place, or no time: nothing is kept."""
    first, second = Script(WHOLE, "hold"), Script(WHOLE, "hold")

    async def scenario(caller: Caller) -> None:
        assert EVENTS == await caller.read(server.url)
        assert first.closed.wait(WAIT)
        assert EVENTS == await caller.read(server.url)

    with ScriptedServer(first, second) as server:
        with_client(shell, scenario, **options)


@on_every_shell
def test_drain(shell: Shell) -> None:
    """Who knows that no event follows can wait for the end of the body."""
    gate = threading.Event()
    script = Script([CHUNKED, *chunks([A]), gate, b"0\r\n\r\n", NEXT, *WHOLE], "hold")
    gate.set()

    async def scenario(caller: Caller) -> None:
        assert EVENTS[0] == await caller.first(server.url, drain=WAIT)
        assert EVENTS == await caller.read(server.url)

    with ScriptedServer(script) as server:
        with_client(shell, scenario)


@on_every_shell
@pytest.mark.parametrize(
    "rest",
    [[], chunks([bytes(300_000)]), [b"no chunk\r\n"]],
    ids=["silence", "too much", "broken"],
)
def test_drain_in_vain(rest: list[bytes], shell: Shell) -> None:
    """The wait and what is read are bounded; then the connection is closed."""
    script = Script([CHUNKED, *chunks([A]), *rest], "hold")

    async def scenario(caller: Caller) -> None:
        assert EVENTS[0] == await caller.first(server.url, drain=WAIT if rest else 0.05)
        assert script.closed.wait(WAIT)

    with ScriptedServer(script) as server:
        with_client(shell, scenario)


@on_every_shell
def test_source(shell: Shell) -> None:
    """An EventSource asks again on the connection it has, with the client's headers."""
    script = Script([*WHOLE, NEXT, *WHOLE, NEXT, STOP], "hold")

    async def scenario(caller: Caller) -> list[Any]:
        return await caller.source(server.url, headers={"A": "call"})

    with ScriptedServer(script) as server:
        items = with_client(shell, scenario, headers={"a": "client", "B": "client"})

    assert EVENTS * 2 == [item for item in items if isinstance(item, ServerSentEvent)]
    assert 2 == sum(isinstance(item, Opened) for item in items)
    for request in script.requests:
        assert b"\r\na: call\r\n" in request
        assert b"\r\nb: client\r\n" in request
        assert b"a: client" not in request


@on_every_shell
def test_source_with_fresh_headers(shell: Shell) -> None:
    """A callable is asked for each attempt, and what it returns goes before the client's."""
    script = Script([*WHOLE, NEXT, STOP], "hold")
    tokens = iter(["1", "2"])

    async def scenario(caller: Caller) -> list[Any]:
        return await caller.source(server.url, headers=lambda: {"token": next(tokens)})

    with ScriptedServer(script) as server:
        with_client(shell, scenario, headers={"token": "0", "b": "client"})

    assert [b"token: 1", b"token: 2"] == [
        line for request in script.requests for line in request.split(b"\r\n") if b"token" in line
    ]
    assert all(b"\r\nb: client\r\n" in request for request in script.requests)


@on_every_shell
def test_timeouts(shell: Shell) -> None:
    """A request has the client's limits, or its own."""

    async def scenario(caller: Caller) -> None:
        with pytest.raises(HeadTimeout, match=r"0\.05"):
            await caller.read(server.url)
        with pytest.raises(HeadTimeout, match=r"0\.07"):
            await caller.read(server.url, timeout=Timeout(head=0.07))

    with ScriptedServer(Script([], "hold"), Script([], "hold")) as server:
        with_client(shell, scenario, timeout=Timeout(head=0.05))


@on_every_shell
def test_source_has_one_ssl_context(shell: Shell) -> None:
    """The client's; another one would not be looked at."""

    async def scenario(caller: Caller) -> None:
        with pytest.raises(ValueError, match="ssl_context"):
            await caller.source("https://h", ssl_context=object())

    with_client(shell, scenario)


@on_every_shell
def test_a_client_that_was_left(shell: Shell) -> None:
    """It still asks, and keeps nothing."""
    script = Script(WHOLE, "hold")

    async def scenario(caller: Caller) -> None:
        if caller.blocking:
            caller.client.close()
        else:
            await caller.client.aclose()
        assert EVENTS == await caller.read(server.url)
        assert script.closed.wait(WAIT)

    with ScriptedServer(script) as server:
        with_client(shell, scenario)


def test_threads_share_a_client() -> None:
    """Two streams at once have two connections, which both serve again."""
    scripts = [Script([*WHOLE, NEXT, *WHOLE], "hold") for _ in range(2)]
    with ScriptedServer(scripts[0]) as one, ScriptedServer(scripts[1]) as two:
        with sse_core.sync.Client() as client:
            for _ in range(2):
                threads = [
                    threading.Thread(
                        target=lambda url: list(client.stream(url).__enter__()), args=[url]
                    )
                    for url in (one.url, two.url)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(WAIT)
    assert [2, 2] == [len(script.requests) for script in scripts]


@on_every_way_to_cancel
def test_cancelled_on_a_kept_connection(backend: str, way: Cancelling) -> None:
    """Cancelled at any point, a stream over a connection that was kept leaves no socket."""

    async def scenario(url: str, suspension: int) -> bool:
        async with sse_core.Client() as client:

            async def read() -> None:
                async with client.stream(url) as events:
                    assert EVENTS == [event async for event in events]
                    await events.aclose(drain=WAIT)

            await read()
            return (await cancelled_at(suspension, way, read()))[0]

    for suspension in range(1, 60):
        first, second = Script([*WHOLE, NEXT], "close"), Script(WHOLE, "hold")
        with ScriptedServer(first, second) as server:
            cancelled = anyio.run(scenario, server.url, suspension, backend=backend)
            assert first.closed.wait(WAIT)
            if second.opened.is_set():
                assert second.closed.wait(WAIT)
        if not cancelled:
            assert suspension > 2
            return
    raise AssertionError("never ran to its end")


def test_bytes_that_came_while_idle() -> None:
    """On asyncio they have been read by the time of the next request, and count as well."""
    gate = threading.Event()
    first, second = (
        Script([*WHOLE, gate, b"HTTP/1.1 408 Too Late\r\n"], "hold"),
        Script(WHOLE, "hold"),
    )

    async def scenario(url: str) -> None:
        async with sse_core.Client() as client:
            async with client.stream(url) as events:
                assert EVENTS == [event async for event in events]
            with duplicate(server.port) as idle:
                gate.set()
                assert [idle] == select.select([idle], [], [], WAIT)[0]  # they are there
                with anyio.fail_after(WAIT):
                    while select.select([idle], [], [], 0)[0]:  # until they have been read
                        await anyio.lowlevel.checkpoint()
            async with client.stream(url) as events:
                assert EVENTS == [event async for event in events]

    with ScriptedServer(first, second) as server:
        anyio.run(scenario, server.url)


def test_forked_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is idle in a forked process is its parent's connection: closed there, not used."""
    first, second = Script(WHOLE, "hold"), Script(WHOLE, "hold")

    with ScriptedServer(first, second) as server, sse_core.sync.Client() as client:
        for _ in range(2):
            with client.stream(server.url) as events:
                assert EVENTS == list(events)
            monkeypatch.setattr(os, "getpid", lambda: -1)  # as after a fork
        assert first.closed.wait(WAIT)
    assert 1 == len(second.requests)
