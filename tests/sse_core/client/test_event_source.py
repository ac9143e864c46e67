"""EventSource over real sockets, on all three shells: the policy itself is in test_reconnect."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import sse_core
import sse_core.sync
from sse_core import Comment, Disconnected, EventTimeout, Opened, ServerSentEvent, Timeout
from tests.support.scripted_server import HEAD, Script, ScriptedServer, chunked, chunks
from tests.support.shells import (
    Cancelling,
    Shell,
    cancelled_at,
    on_every_shell,
    on_every_way_to_cancel,
)
from tests.support.sources import STOP, source_of
from tests.support.waiting import waiting_in_a_thread

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def items_of(shell: Shell, source: Any) -> list[Any]:
    """Return all that ``source.items()`` shows."""

    async def scenario(source: Any) -> list[Any]:
        iterator = source.items()
        found: list[Any] = []
        step = iter(iterator).__next__ if shell.blocking else aiter(iterator).__anext__
        try:
            while True:
                item = step()
                found.append(item if shell.blocking else await item)
        except (StopIteration, StopAsyncIteration):
            return found

    found: list[Any] = shell.run(scenario, source)
    return found


def messages(items: list[Any]) -> list[str]:
    return [item.data for item in items]


@on_every_shell
def test_events_of_several_connections(shell: Shell) -> None:
    """It goes on where the last connection ended, with the last event ID, until a 204."""
    first = chunked([b"id: 1\ndata: a\n\n", b"id: 2\ndata: b\n\nid: 3\ndata: lost"])
    cut = chunked([b"data: c\n\n"], last_chunk=False)
    reset = chunked([b"id: 4\ndata: d\n\n"], "reset", last_chunk=False)
    scripts = [first, cut, reset, chunked([b"data: e\n\n"]), STOP]

    with ScriptedServer(*scripts) as server:
        source, items, error = shell.collect(source_of(shell, server))

    assert error is None
    # What a reset takes with it is the network's business, the rest is ours.
    assert messages(items) in (["a", "b", "c", "d", "e"], ["a", "b", "c", "e"])
    assert b"last-event-id" not in first.request
    assert b"\r\nlast-event-id: 2\r\n" in cut.request
    assert b"\r\nlast-event-id: 2\r\n" in reset.request
    assert "closed" == source.state


@on_every_shell
def test_refused_then_up(shell: Shell) -> None:
    """H37: a server that is not there yet."""
    with ScriptedServer() as nobody:
        pass
    with ScriptedServer(chunked([b"data: a\n\n"]), STOP) as server:
        source = source_of(shell, nobody, max_attempts=2)
        _, _, error = shell.collect(source)
        assert isinstance(error, sse_core.TransportError)
        _, items, error = shell.collect(source_of(shell, server))

    assert (["a"], None) == (messages(items), error)


@on_every_shell
def test_final_error_ends_the_source(shell: Shell) -> None:
    """A 401 is raised with its body, once; then the iteration is over."""
    body = b'{"error": "key"}'
    head = b"HTTP/1.1 401 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    async def scenario(source: Any) -> Any:
        with pytest.raises(sse_core.ResponseError) as raised:
            await source.__anext__()
        with pytest.raises(StopAsyncIteration):
            await source.__anext__()
        return source.state, raised.value.body

    with ScriptedServer(Script([head % len(body), body])) as server:
        result = shell.run(scenario, source_of(shell, server))

    assert ("closed", body) == result


@on_every_shell
def test_redirects_are_followed(shell: Shell) -> None:
    """Within one attempt, at once; the next attempt begins where it should."""
    there = Script([b"HTTP/1.1 302 X\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"])
    stream = chunked([b"data: a\n\n"])
    again = Script([b"HTTP/1.1 204 X\r\n\r\n"])

    with ScriptedServer(there, stream, again) as server:
        _, items, error = shell.collect(source_of(shell, server))

    assert (["a"], None) == (messages(items), error)
    assert stream.request.startswith(b"GET /there HTTP/1.1\r\n")
    assert again.request.startswith(b"GET /events HTTP/1.1\r\n")


@on_every_shell
def test_items_show_the_life_of_the_source(shell: Shell) -> None:
    """Connections, events, comments and faults, in order, in one loop."""
    scripts = [
        chunked([b": hi\ndata: a\n\n"]),
        chunked([b"data: b\n\n"], last_chunk=False),
        STOP,
    ]

    with ScriptedServer(*scripts) as server:
        items = items_of(shell, source_of(shell, server, comments=True))

    first, comment, a, ended, second, b, cut = items
    assert (Comment("hi"), ServerSentEvent("a"), ServerSentEvent("b")) == (comment, a, b)
    assert isinstance(first, Opened)
    assert isinstance(second, Opened)
    assert 200 == first.response.status == second.response.status
    assert Disconnected(None, 0.0) == ended
    assert isinstance(cut, Disconnected)
    assert isinstance(cut.error, sse_core.TransportError)


@on_every_shell
def test_plain_loop_shows_events_only(shell: Shell) -> None:
    """Reading 16: what items() shows does not change what the loop yields."""
    with ScriptedServer(chunked([b": hi\ndata: a\n\n"]), STOP) as server:
        _, items, _ = shell.collect(source_of(shell, server))

    assert [ServerSentEvent("a")] == items


@on_every_shell
def test_state_and_response(shell: Shell) -> None:
    """Connecting, open, closed; the response of the connection; the last event ID."""

    async def scenario(source: Any) -> list[Any]:
        async with source:
            before = source.state
            assert "old" == source.last_event_id
            with pytest.raises(RuntimeError, match="ask for the first event"):
                _ = source.response
            event = await source.__anext__()
            during = source.state, source.response.status, source.last_event_id
        return [before, event.data, during, source.state]

    script = chunked([b"id: 7\ndata: a\n\n"], "hold", last_chunk=False)
    with ScriptedServer(script) as server:
        found = shell.run(scenario, source_of(shell, server, last_event_id="old"))
        assert script.closed.wait(10)

    assert ["connecting", "a", ("open", 200, "7"), "closed"] == found
    assert b"\r\nlast-event-id: old\r\n" in script.request


@on_every_shell
def test_headers_are_asked_for_before_each_attempt(shell: Shell) -> None:
    """Tokens expire."""
    tokens = iter(["one", "two", "three"])
    scripts = [chunked([b"data: a\n\n"]), chunked([b"data: b\n\n"]), STOP]

    def headers() -> dict[str, str]:
        return {"Authorization": next(tokens)}

    async def headers_later() -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        return headers()

    with ScriptedServer(*scripts) as server:
        options = {"headers": headers if shell.blocking else headers_later}
        _, items, error = shell.collect(source_of(shell, server, **options))

    assert (["a", "b"], None) == (messages(items), error)
    for token, script in zip((b"one", b"two", b"three"), scripts, strict=True):
        assert b"\r\nauthorization: %b\r\n" % token in script.request


@on_every_shell
def test_post_is_sent_once(shell: Shell) -> None:
    """H40: a clean end is the end; with replay it is asked again (H44)."""
    once = chunked([b"id: 7\ndata: a\n\n"])
    with ScriptedServer(once, STOP) as server:
        _, items, error = shell.collect(source_of(shell, server, json={"a": 1}))
    assert (["a"], None) == (messages(items), error)

    twice = [chunked([b"id: 7\ndata: a\n\n"]), chunked([b"data: b\n\n"]), STOP]
    with ScriptedServer(*twice) as server:
        _, items, error = shell.collect(source_of(shell, server, json={"a": 1}, replay=True))
    assert (["a", "b"], None) == (messages(items), error)
    assert twice[1].request.endswith(b'\r\n\r\n{"a": 1}')
    assert b"\r\nlast-event-id: 7\r\n" in twice[1].request


@on_every_shell
def test_silence_is_a_reason_to_reconnect(shell: Shell) -> None:
    """H93: the idle limit leads to another attempt, and the fault can be seen (H111)."""
    silent = chunked([b"data: a\n\n"], "hold", last_chunk=False)
    with ScriptedServer(silent, chunked([b"data: b\n\n"]), STOP) as server:
        options = {"timeout": sse_core.Timeout(idle=0.05)}
        _, items, error = shell.collect(source_of(shell, server, **options))

    assert (["a", "b"], None) == (messages(items), error)


@pytest.mark.anyio
async def test_close_from_another_task() -> None:
    """H105: the call that waits ends the iteration, in a stream as between two attempts."""
    for script in (chunked([], "hold", last_chunk=False), chunked([])):
        with ScriptedServer(script) as server:
            source = sse_core.EventSource(server.url, reconnection_time=60.0)
            async with anyio.create_task_group() as tasks:

                async def read(source: Any = source) -> None:
                    assert [] == [event async for event in source]

                tasks.start_soon(read)
                await anyio.wait_all_tasks_blocked()
                await anyio.to_thread.run_sync(script.opened.wait, 10)
                await anyio.wait_all_tasks_blocked()
                await source.aclose()
        assert "closed" == source.state


def test_close_from_another_thread() -> None:
    """The same between two attempts of the blocking one."""
    with ScriptedServer(chunked([])) as server:
        source = sse_core.sync.EventSource(server.url, reconnection_time=60.0)
        items = source.items()
        assert isinstance(next(items), Opened)
        assert isinstance(next(items), Disconnected)
        closing = threading.Timer(0.05, source.close)
        closing.start()

        assert [] == list(source)
        closing.join()


@pytest.mark.anyio
async def test_close_while_connecting() -> None:
    """The same while the response's head is waited for; nothing is left open."""
    script = Script([], "hold")
    with ScriptedServer(script) as server:
        source = sse_core.EventSource(server.url)
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                assert [] == [event async for event in source]

            tasks.start_soon(read)
            await anyio.to_thread.run_sync(script.opened.wait, 10)
            await anyio.wait_all_tasks_blocked()
            await source.aclose()
        assert await anyio.to_thread.run_sync(script.closed.wait, 10)


def test_close_while_connecting_from_another_thread() -> None:
    """The same for the blocking one."""
    script = Script([], "hold")
    with ScriptedServer(script) as server:
        source = sse_core.sync.EventSource(server.url)

        def close() -> None:
            assert script.opened.wait(10)
            source.close()

        closing = threading.Thread(target=close)
        closing.start()

        assert [] == list(source)
        closing.join()
        assert script.closed.wait(10)


def test_close_an_open_source_from_another_thread() -> None:
    """The thread that waits for an event ends its iteration."""
    script = chunked([b"data: a\n\n"], "hold", last_chunk=False)
    with ScriptedServer(script) as server:
        source = sse_core.sync.EventSource(server.url)
        assert ServerSentEvent("a") == next(source)
        closing = threading.Timer(0.05, source.close)
        closing.start()

        assert [] == list(source)
        closing.join()
        assert script.closed.wait(10)


def test_two_calling_threads() -> None:
    """Reading 13 for the blocking one."""
    asking, gate = threading.Event(), threading.Event()

    def headers() -> dict[str, str]:
        asking.set()
        return {}

    script = Script([*chunked([]).pieces[:1], gate, b"9\r\ndata: a\n\n\r\n"], "hold")
    with (
        ScriptedServer(script) as server,
        sse_core.sync.EventSource(server.url, headers=headers) as source,
    ):
        found: list[Any] = []
        first = threading.Thread(target=lambda: found.append(next(source)))
        first.start()
        assert asking.wait(10)
        with pytest.raises(RuntimeError, match="another thread"):
            next(source)
        gate.set()
        first.join()

    assert [ServerSentEvent("a")] == found


@pytest.mark.anyio
async def test_two_callers() -> None:
    """Reading 13: RuntimeError in the second; the first goes on."""
    gate = threading.Event()
    script = Script([*chunked([]).pieces[:1], gate, b"9\r\ndata: a\n\n\r\n"], "hold")
    with ScriptedServer(script) as server:
        async with sse_core.EventSource(server.url) as source, anyio.create_task_group() as tasks:
            found: list[str] = []

            async def read() -> None:
                found.append((await anext(source)).data)

            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="another task"):
                await anext(source)
            gate.set()

    assert ["a"] == found


@on_every_way_to_cancel
def test_cancelled_anywhere(backend: str, way: Cancelling) -> None:
    """H100: cancelled at every suspension, it goes on: each event once, in order."""

    async def run(suspension: int) -> tuple[bool, list[str]]:
        # An attempt that is cancelled is made again, and gets the next script.
        stream = [b"id: 1\ndata: a\n\n", b"id: 2\ndata: b\n\n"]
        scripts = [chunked(stream, "hold", last_chunk=False) for _ in range(2)]
        found: list[str] = []
        cancelled_once = False
        with ScriptedServer(*scripts) as server:
            async with sse_core.EventSource(server.url) as source:
                while len(found) < 2:
                    at = 10_000 if cancelled_once else suspension
                    cancelled, event = await cancelled_at(at, way, source.__anext__())
                    cancelled_once |= cancelled
                    if not cancelled:
                        found.append(event.data)
        return cancelled_once, found

    suspension = 1
    while True:
        cancelled, found = anyio.run(run, suspension, backend=backend)
        assert ["a", "b"] == found
        if not cancelled:
            break
        suspension += 1
    assert suspension > 3


@pytest.mark.anyio
async def test_close_before_the_first_event() -> None:
    """Nothing was opened, nothing is asked."""
    source = sse_core.EventSource("http://127.0.0.1:1/")
    await source.aclose()
    assert [] == [event async for event in source]

    blocking = sse_core.sync.EventSource("http://127.0.0.1:1/")
    blocking.close()
    assert [] == list(blocking)


def test_head_without_body() -> None:
    """204 opens nothing."""
    with ScriptedServer(STOP) as server:
        source = sse_core.sync.EventSource(server.url)
        assert [] == list(source.items())


def test_bad_options_are_refused_at_once() -> None:
    """Before anything is sent."""
    for kind in (sse_core.EventSource, sse_core.sync.EventSource):
        with pytest.raises(ValueError, match="last event ID"):
            kind("http://h/", last_event_id="a\n")
        with pytest.raises(ValueError, match="http or https"):
            kind("ftp://h/")


@on_every_shell
def test_stream_follows_redirects(shell: Shell) -> None:
    """One attempt, redirects included; the request behind one is as it should be."""
    there = Script([b"HTTP/1.1 303 X\r\nLocation: /there\r\nContent-Length: 9\r\n\r\nendless.."])
    stream = chunked([b"data: a\n\n"])

    with ScriptedServer(there, stream) as server:
        _, items, error = shell.collect(shell.stream(server.url, json={"a": 1}))

    assert (["a"], None) == (messages(items), error)
    assert there.request.endswith(b'{"a": 1}')
    assert stream.request.startswith(b"GET /there HTTP/1.1\r\n")
    assert b"content-type" not in stream.request


@on_every_shell
def test_stream_in_a_redirect_loop(shell: Shell) -> None:
    """H50: twenty-one requests, and an error of its own."""
    loop = [
        Script([b"HTTP/1.1 302 X\r\nLocation: /events\r\nContent-Length: 0\r\n\r\n"])
        for _ in range(22)
    ]

    with ScriptedServer(*loop) as server:
        _, _, error = shell.collect(shell.stream(server.url))

    assert isinstance(error, sse_core.TooManyRedirects)
    assert [True] * 21 + [False] == [bool(script.request) for script in loop]


@on_every_shell
def test_redirect_that_is_not_followed(shell: Shell) -> None:
    """H55: a body never crosses to another origin; no byte of it is sent there."""
    with ScriptedServer() as other:
        head = b"HTTP/1.1 307 X\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % other.url.encode()
        with ScriptedServer(Script([head])) as server:
            _, _, error = shell.collect(shell.stream(server.url, content=b"secret"))

    assert isinstance(error, sse_core.ResponseError)
    assert 307 == error.response.status


@on_every_shell
def test_total_timeout_is_refused(shell: Shell) -> None:
    """Reading 9: a limit for all of it belongs to a stream, which has an end."""
    with ScriptedServer() as server, pytest.raises(ValueError, match="max_elapsed"):
        source_of(shell, server, timeout=Timeout(total=1))


@on_every_shell
def test_event_timeout(shell: Shell) -> None:
    """F43, F44, H95: comments do not hide a stalled server, which is asked again."""
    stalled = Script([HEAD + b"\r\n", b"id: 1\ndata: a\n\n", b":\n\n", b"data: lost"], "hold")

    with ScriptedServer(stalled, STOP) as server:
        timeout = Timeout(event=0.05)
        items = items_of(shell, source_of(shell, server, timeout=timeout))

    kinds = [type(getattr(item, "error", item)) for item in items]
    assert [Opened, ServerSentEvent, EventTimeout] == kinds
    assert b"\r\nlast-event-id: 1\r\n" in STOP.request


@on_every_shell
def test_restart(shell: Shell) -> None:
    """Reading 15: a new connection at once, nothing lost, no fault reported, no failure counted."""
    first = chunked([b"retry: 60000\nid: 1\ndata: a\n\nid: 2\ndata: b\n\n"], last_chunk=False)
    second = chunked([b"data: c\n\n"], "hold")
    first.end = "hold"

    async def scenario(source: Any) -> list[Any]:
        found = []
        async with source:
            found.append(await anext(source))
            await source.restart()
            assert "connecting" == source.state
            found += [await anext(source), await anext(source)]
            assert "open" == source.state
        return found

    with ScriptedServer(first, second) as server:
        source = source_of(shell, server, max_attempts=1, max_reconnection_time=60)
        items = shell.run(scenario, source)
        assert first.closed.wait(10)

    assert ["a", "b", "c"] == messages(items)
    assert b"\r\nlast-event-id: 2\r\n" in second.request


@pytest.mark.sweep(quick=1)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_restart_from_another_task(backend: str) -> None:
    """An iteration that waits for an event goes on with the new connection."""
    first = Script([CHUNKED, *chunks([b"id: 1\ndata: a\n\n"])], "hold")

    async def scenario(url: str) -> list[str]:
        async with sse_core.EventSource(url) as source, anyio.create_task_group() as tasks:
            first = await anext(source)
            tasks.start_soon(source.restart)
            return [first.data, *[event.data async for event in source]]
        raise AssertionError

    with ScriptedServer(first, chunked([b"data: b\n\n"]), STOP) as server:
        url = server.url
        assert ["a", "b"] == anyio.run(scenario, url, backend=backend)


def test_restart_from_another_thread() -> None:
    """An iteration that waits for an event goes on with the new connection."""
    first = Script([CHUNKED, *chunks([b"id: 1\ndata: a\n\n"])], "hold")

    with ScriptedServer(first, chunked([b"data: b\n\n"], "hold")) as server:
        with sse_core.sync.EventSource(server.url) as source:
            assert "a" == next(source).data
            thread, found = waiting_in_a_thread(lambda: next(source))
            source.restart()
            thread.join(10)

    assert [ServerSentEvent("b", id="1")] == found


@on_every_shell
def test_restart_cuts_the_wait_short(shell: Shell) -> None:
    """A wait for the next attempt ends at once; the attempt after a failed one waits again."""
    first, second = chunked([b"retry: 60000\ndata: a\n\n"]), chunked([b"data: b\n\n"], "hold")

    async def scenario(source: Any) -> list[Any]:
        items = source.items()
        step = iter(items).__next__ if shell.blocking else aiter(items).__anext__

        async def take(count: int) -> list[Any]:
            found = []
            for _ in range(count):
                item = step()
                found.append(item if shell.blocking else await item)
            return found

        async with source:
            found = await take(3)
            await source.restart()
            return found + await take(2)

    with ScriptedServer(first, second) as server:
        found = shell.run(scenario, source_of(shell, server, max_reconnection_time=60))

    assert [Opened, ServerSentEvent, Disconnected, Opened, ServerSentEvent] == [
        type(item) for item in found
    ]
    assert 60 == found[2].delay


@on_every_shell
def test_restart_of_a_post(shell: Shell) -> None:
    """C2: a body is sent again with replay=True and not otherwise."""

    async def scenario(source: Any) -> None:
        with pytest.raises(RuntimeError, match="replay=True"):
            await source.restart()

    with ScriptedServer() as server:
        shell.run(scenario, source_of(shell, server, content=b"x"))
