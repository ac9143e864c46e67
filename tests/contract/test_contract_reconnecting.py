"""Further contract cases, H67 to H99: last event ID, waits, timers.

Where a case is not here, the table in docs/conformance.md says which test holds it.
"""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio.testing

import sse_core
import sse_core.sync
from sse_core import (
    Disconnected,
    EventTimeout,
    HeadTimeout,
    Opened,
    ReadTimeout,
    ResponseError,
    ServerSentEvent,
    Timeout,
    TransportError,
)
from sse_core._http.limits import Timers
from tests.contract.contract_cases import BOM, event
from tests.contract.contract_server import STOP, Client, ContractServer, header, source_of
from tests.contract.contract_server import take as take_items
from tests.support.machine import OK, Machine, status
from tests.support.scripted_server import HEAD, WAIT, Script, chunked
from tests.support.shells import Shell, on_every_shell
from tests.support.waiting import waiting_in_a_thread

SHORT = 0.05


def last_event_ids(shell: Shell, streams: list[bytes], **options: Any) -> list[bytes | None]:
    """Return the Last-Event-ID of each request, while streams end in good order."""
    scripts = [*(chunked([stream]) for stream in streams), Script([STOP])]
    with ContractServer(*scripts) as server:
        _, _, error = shell.collect(source_of(shell, server.url, **options))
    assert error is None
    return [header(script, "last-event-id") for script in scripts]


# --- 4.6 Last-Event-ID ---


@on_every_shell
def test_h67_reset_after_it_was_sent(shell: Shell) -> None:
    """Three connections: the header comes, and is gone again."""
    streams = [b"id: a\ndata\n\n", b"id\ndata\n\n"]

    assert [None, b"a", None] == last_event_ids(shell, streams)


@on_every_shell
def test_h68_h69_h71_blocks_without_data(shell: Shell) -> None:
    """An ID without data counts, an event type does not; a stream without IDs keeps it."""
    streams = [b"event: x\n\n", b"data\n\nid: 5\n\n", b"data\n\n"]

    assert [None, None, b"5", b"5"] == last_event_ids(shell, streams)


@on_every_shell
def test_h70_utf_8(shell: Shell) -> None:
    """The header has the bytes of the stream."""
    sent = last_event_ids(shell, ["id: é✓\ndata\n\n".encode()])

    assert [None, b"\xc3\xa9\xe2\x9c\x93"] == sent


@pytest.mark.parametrize(
    ("id", "sent"),
    [
        (b" x", b"x"),
        (b"x ", b"x"),
        (b"x\t", b"x"),
        (b" ", None),
        (b"a\tb", b"a\tb"),
        (b"a b", b"a b"),
        (b"a\x0bb", None),
        (b"a\x0cb", None),
        (b"a\x1b\x7f\xffb", "a\x1b\x7f\ufffdb".encode()),
    ],
    ids=repr,
)
def test_h72_ids_that_http_alters(id: bytes, sent: bytes | None) -> None:
    """It reconnects, with what HTTP can carry of the ID; events keep all of it."""
    client = Machine()
    client.run(OK, b"id: " + id + b"\ndata\n\n")

    client.run(OK, b"data\n\n")
    assert sent == client.header("last-event-id")
    assert id.decode(errors="replace") == client.machine.last_event_id


@on_every_shell
@pytest.mark.parametrize("size", [8 * 2**10, 9 * 2**10, 2**20], ids=["8 KiB", "9 KiB", "1 MiB"])
def test_h73_long_ids(size: int, shell: Shell) -> None:
    """Up to 8 KiB an ID is sent; a longer one is left out, and the source goes on."""
    id = b"x" * size

    assert [None, id if size == 8 * 2**10 else None] == last_event_ids(
        shell, [b"id: " + id + b"\ndata\n\n"]
    )


@on_every_shell
def test_h74_h76_ids_that_are_refused_or_reset(shell: Shell) -> None:
    """The caller's ID is sent first; one with NUL changes nothing; an empty one takes it away."""
    streams = [b"id: b\0\ndata\n\n", b"id:\ndata\n\n"]

    assert [b"a", b"a", None] == last_event_ids(shell, streams, last_event_id="a")


@on_every_shell
def test_h77_byte_order_mark_of_each_stream(shell: Shell) -> None:
    """It is removed at the start of every connection."""
    scripts = [chunked([BOM + b"data: a\n\n"]), chunked([BOM + b"data: b\n\n"]), Script([STOP])]

    with ContractServer(*scripts) as server:
        _, items, error = shell.collect(source_of(shell, server.url))

    assert ([event("a"), event("b")], None) == (items, error)


# --- 4.7 Reconnection time and back-off ---


@pytest.mark.parametrize(
    "value",
    ["-5", "+5", "  5", "5 ", "1.5", "1e3", "1_0", "0x10", "12ab", "", "٥", "５", "²", "5\t"],
    ids=ascii,
)
def test_h81_no_numbers(value: str) -> None:
    """Ignored: the earlier value stays in force."""
    client = Machine()
    client.run(OK, b"retry: 1200\n\n")

    assert 1.2 == client.run(OK, f"retry: {value}\ndata\n\n".encode())


def test_h83_retry_of_a_broken_off_block() -> None:
    """It works at once, in a cut stream as in one that ends."""
    for cut in (False, True):
        client = Machine()

        assert 1.2 == client.run(OK, b"data: a\n\nretry: 1200\ndata: lost", cut=cut)


def test_h84_every_wait_is_long_enough() -> None:
    """Waits lie between the reconnection time and that plus a bound that doubles."""
    client = Machine(uniform=random.Random(84).random)

    waits = [client.run(error=TransportError("refused")) or 0.0 for _ in range(50)]

    for number, wait in enumerate(waits):
        assert 3.0 <= wait < 3.0 + min(60.0, 3.0 * 2**number)
    assert len(set(waits)) == 50
    assert max(waits) > 50.0


def test_h89_own_wait_is_longer() -> None:
    """Retry-After does not shorten it."""
    client = Machine(reconnection_time=10.0)
    client.run(OK, b"data\n\n")

    assert 10.0 == client.run(status(503, "Retry-After: 1\r\n"))


@on_every_shell
def test_h88_retry_after(shell: Shell) -> None:
    """Seconds that a transient answer asks for are the wait that is shown."""
    busy = b"HTTP/1.1 503 X\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n"

    async def scenario(source: Any) -> list[Any]:
        async with source:
            return await take_items(source.items(), 4)

    with ContractServer(chunked([b"data\n\n"]), Script([busy])) as server:
        *_, fault = shell.run(scenario, source_of(shell, server.url))

    assert isinstance(fault, Disconnected)
    assert isinstance(fault.error, ResponseError)
    assert 30.0 == fault.delay


@pytest.mark.anyio
async def test_h90_close_during_the_wait() -> None:
    """It ends at once, and no request follows."""
    second = Script([STOP])
    with ContractServer(chunked([b"data\n\n"]), second) as server:
        source = sse_core.EventSource(server.url, reconnection_time=60.0)
        await take_items(source.items(), 3)
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                assert [] == [item async for item in source.items()]

            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await source.aclose()

    assert "closed" == source.state
    assert not second.opened.is_set()


def test_h90_close_during_the_wait_of_a_thread() -> None:
    """The same for the blocking one."""
    second = Script([STOP])
    with ContractServer(chunked([b"data\n\n"]), second) as server:
        source = sse_core.sync.EventSource(server.url, reconnection_time=60.0)
        items = source.items()
        for _ in range(3):
            next(items)
        thread, found = waiting_in_a_thread(lambda: list(items))
        source.close()
        thread.join(WAIT)

    assert [[]] == found
    assert not second.opened.is_set()


@on_every_shell
def test_close_while_headers_are_made(shell: Shell) -> None:
    """C15: closed while a token is fetched for the next attempt, which is then not made."""
    script = Script([STOP])

    async def scenario(kept: list[Any]) -> list[Any]:
        return [item async for item in kept[0]]

    with ContractServer(script) as server:
        kept: list[Any] = []

        def close() -> dict[str, str]:
            kept[0].close()
            return {}

        async def aclose() -> dict[str, str]:
            await kept[0].aclose()
            return {}

        kept.append(source_of(shell, server.url, headers=close if shell.blocking else aclose))
        if shell.blocking:
            assert [] == list(kept[0])
        else:
            assert [] == anyio.run(scenario, kept, backend=shell.name)

    assert not script.opened.is_set()


class AsyncioClock:
    """asyncio's clock, which can be put forward; trio has one of its own for tests."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        time, self._ahead = self._loop.time, 0.0
        self._loop.time = lambda: time() + self._ahead  # type: ignore[method-assign]

    def jump(self, seconds: float) -> None:
        self._ahead += seconds


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_h90_cancelled_wait_goes_on(backend: str) -> None:
    """A call that is cancelled in the wait leaves the rest of it to the next, not all of it."""
    second = chunked([b"data: b\n\n"], "hold", last_chunk=False)
    found: list[Any] = []
    trio_clock = trio.testing.MockClock()

    async def scenario(url: str) -> None:
        clock = trio_clock if backend == "trio" else AsyncioClock()
        async with sse_core.EventSource(url, reconnection_time=60.0) as source:
            await take_items(source.items(), 3)

            async def read(scope: anyio.CancelScope) -> None:
                with scope:
                    found.append(await anext(source))

            async def jump(seconds: float) -> None:
                await anyio.wait_all_tasks_blocked()
                clock.jump(seconds)
                await anyio.wait_all_tasks_blocked()

            for seconds in (20.0, 0.0, 30.0):
                async with anyio.create_task_group() as tasks:
                    scope = anyio.CancelScope()
                    tasks.start_soon(read, scope)
                    await jump(seconds)
                    scope.cancel()
            assert not second.opened.is_set()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read, anyio.CancelScope())
                await jump(7.0)
                assert not second.opened.is_set()
                await jump(3.0)
                opened = await anyio.to_thread.run_sync(second.opened.wait, WAIT)
                if not opened:
                    tasks.cancel_scope.cancel()

    with ContractServer(chunked([b"data\n\n"]), second) as server:
        options = {"clock": trio_clock} if backend == "trio" else {}
        anyio.run(scenario, server.url, backend=backend, backend_options=options)

    assert [event("b")] == found


# --- 4.8 Timers ---


@pytest.mark.sweep(quick=1)
@on_every_shell
def test_h92_head_byte_by_byte(shell: Shell) -> None:
    """Bytes do not put the timer back: the head has to be whole within the limit."""
    client = Client()
    script = client.paced([HEAD + b"X: ", *[b"x"] * 20_000])

    with ContractServer(script) as server, client:
        source = source_of(shell, server.url, timeout=Timeout(head=SHORT), max_attempts=1)
        _, items, error = shell.collect(source)

    assert [] == items
    assert type(error) is HeadTimeout


@on_every_shell
def test_h93_h95_limits_are_reasons_to_reconnect(shell: Shell) -> None:
    """Silence passes the idle limit, comments the event limit: seen, and asked again."""
    silent = chunked([b"data: a\n\n"], "hold", last_chunk=False)
    talking = chunked([b"data: b\n\n", *[b":\n\n"] * 100], "hold", last_chunk=False)

    async def scenario(source: Any) -> list[Any]:
        found = await take_items(source.items(), 6)
        await source.aclose()
        return found

    for timeout, exception in (
        (Timeout(idle=4 * SHORT), ReadTimeout),
        (Timeout(event=4 * SHORT), EventTimeout),
    ):
        with ContractServer(
            Script(silent.pieces, "hold"), Script(talking.pieces, "hold")
        ) as server:
            found = shell.run(scenario, source_of(shell, server.url, timeout=timeout))

        faults = [item.error for item in found if isinstance(item, Disconnected)]
        assert [exception, exception] == [type(fault) for fault in faults]
        assert [Opened, Disconnected] * 2 == [
            type(item) for item in found if isinstance(item, Opened | Disconnected)
        ]


def test_h94_h95_comments_in_time() -> None:
    """A comment every 0.3 of a limit: never a ReadTimeout, and at last an EventTimeout."""
    idle, eventful = Timers(Timeout(idle=1.0)), Timers(Timeout(idle=1.0, event=100.0))
    now = 0.0
    for _ in range(300):
        for timers in (idle, eventful):
            assert timers.reading(now).left(now) is not None
            timers.waited(0.3, [])
        now += 0.3

    assert ReadTimeout is idle.reading(now).exception
    assert 1.0 == pytest.approx(idle.reading(now).left(now))
    for _ in range(32):
        eventful.waited(0.3, [])
        now += 0.3
    limit = eventful.reading(now)
    assert EventTimeout is limit.exception
    assert 0.4 == pytest.approx(limit.left(now))
    with pytest.raises(EventTimeout):
        limit.left(now + 0.41)


def test_h96_h97_what_is_no_event() -> None:
    """IDs, `retry`, bytes of a long line: nothing is dispatched, and the event limit passes."""
    timers = Timers(Timeout(idle=1.0, event=2.0))

    for _ in range(3):
        timers.waited(0.6, [])

    limit = timers.reading(0.0)
    assert EventTimeout is limit.exception
    assert 0.2 == pytest.approx(limit.left(0.0))
    timers.waited(0.1, [ServerSentEvent("a")])
    assert ReadTimeout is timers.reading(0.0).exception


def test_h99_no_limits() -> None:
    """Without limits there is nothing to run out."""
    timers = Timers(Timeout(connect=None, write=None, head=None))
    timers.begin(0.0)

    for limit in (timers.connecting, timers.sending, timers.awaiting_head, timers.reading):
        assert limit(0.0).left(1e12) is None
        assert math.inf == limit(0.0).deadline
