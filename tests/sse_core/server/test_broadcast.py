"""Broadcast: laws of the log and the queues, waiting and waking, real sockets."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sse_core import (
    Broadcast,
    EventSource,
    EventStreamParser,
    ServerSentEvent,
    SubscriberTooSlow,
    Subscription,
    encode,
    serve,
)
from sse_core._server.replay import MAX_BURST, Reader, ReplayLog

on_each_loop = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def parsed(data: bytes) -> list[ServerSentEvent]:
    return EventStreamParser().receive_data(data)


def living_objects() -> int:
    gc.collect()
    return len(gc.get_objects())


def texts(data: bytes) -> list[str]:
    return [event.data for event in parsed(data)]


def log_of(*events: str, max_events: int | None = None, max_bytes: int | None = None) -> ReplayLog:
    log = ReplayLog(max_events, max_bytes)
    for data in events:
        log.append(ServerSentEvent(data))
    return log


class Laws(RuleBasedStateMachine):
    """Publish, subscribe and read in any order: nothing is lost that is not told."""

    def __init__(self) -> None:
        super().__init__()
        self.log = ReplayLog(max_events=5, max_bytes=200)
        self.ids: list[str] = []
        self.readers: list[list[Any]] = []  # reader, the number it is to read next, its limit

    @rule(size=st.integers(0, 120), own=st.booleans())
    def publish(self, size: int, own: bool) -> None:
        number = len(self.ids)
        event_id = f"own{number}" if own else ""
        self.ids.append(self.log.append(ServerSentEvent(f"{number}:".ljust(size), id=event_id)))

    @rule(
        back=st.none() | st.integers(1, 12),
        limit=st.none() | st.integers(1, 4),
        slow=st.sampled_from(["disconnect", "drop_oldest"]),
    )
    def subscribe(self, back: int | None, limit: int | None, slow: Any) -> None:
        known = back is not None and back <= len(self.ids)
        last = self.ids[-back] if back and known else None
        number = len(self.ids) - back + 1 if back and known else len(self.ids)
        self.readers.append([Reader(self.log, last, limit, slow), number, slow])

    @rule(which=st.integers(0, 9))
    def read(self, which: int) -> None:
        if which >= len(self.readers):
            return
        reader, number, slow = self.readers[which]
        try:
            events = parsed(reader.read())
        except SubscriberTooSlow:
            assert slow == "disconnect"
            assert number < len(self.ids)
            del self.readers[which]
            return
        if events and events[0].event == "gap":
            lost = events.pop(0).json()["lost"]
            assert lost is None or lost > 0
            # An ID of the caller's own is unknown once it is gone: then only that is told.
            number = number + lost if lost is not None else self.log.first
        for event in events:
            assert (self.ids[number], f"{number}:") == (event.id, event.data.rstrip())
            number += 1
        assert len(self.ids) == number  # small events: one read has all
        self.readers[which][1] = number

    @invariant()
    def the_log_is_bounded(self) -> None:
        gap, *kept = parsed(Reader(self.log, "unknown", None, "disconnect").read())
        assert "gap" == gap.event
        assert len(kept) == self.log.next - self.log.first <= 5
        assert len(kept) <= 1 or sum(len(encode(event)) for event in kept) <= 200


TestLaws = Laws.TestCase
TestLaws.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


class TestLog:
    def test_replay_is_what_came_after(self) -> None:
        """Exactly that, for each event of the log."""
        log = ReplayLog(None, None)
        ids = [log.append(ServerSentEvent(str(number))) for number in range(4)]

        for number, event_id in enumerate(ids):
            expected = [str(later) for later in range(number + 1, 4)]
            assert expected == texts(Reader(log, event_id, None, "disconnect").read())

    def test_too_old(self) -> None:
        """How many are lost is told first; of the event before the oldest, none are."""
        log = ReplayLog(2, None)
        ids = [log.append(ServerSentEvent(str(number))) for number in range(5)]

        old, edge = (parsed(Reader(log, each, None, "disconnect").read()) for each in ids[1:3])

        assert ServerSentEvent('{"lost": 1}', "gap") == old[0]
        assert ["3", "4"] == [event.data for event in old[1:]]
        assert ["3", "4"] == [event.data for event in edge]

    @pytest.mark.parametrize(
        "last", ["x", "-0", "abc-0", "{run}-", "{run}-00", "{run}-9", "{run}-²"]
    )
    def test_unknown(self, last: str) -> None:
        """Of another run, or nobody's: that something is lost is told, and all there is comes."""
        log = log_of("a", "b", max_events=2)
        run, _, _ = log.append(ServerSentEvent("c")).rpartition("-")

        gap, *rest = parsed(Reader(log, last.format(run=run), None, "disconnect").read())

        assert ServerSentEvent('{"lost": null}', "gap") == gap
        assert ["b", "c"] == [event.data for event in rest]

    def test_unknown_before_the_first_event(self) -> None:
        """A process that has just begun says so at once, and once."""
        log = log_of()
        reader = Reader(log, "x", None, "disconnect")

        assert ['{"lost": null}'] == texts(reader.read())
        assert b"" == reader.read()
        log.append(ServerSentEvent("a"))
        assert ["a"] == texts(reader.read())

    def test_runs_differ(self) -> None:
        """Two logs never give the same ID."""
        first, second = ReplayLog(9, 9), ReplayLog(9, 9)

        assert first.append(ServerSentEvent()) != second.append(ServerSentEvent())

    def test_same_id_twice(self) -> None:
        """Which of them a client had could not be told."""
        log = log_of("a")
        log.append(ServerSentEvent(id="7"))

        with pytest.raises(ValueError, match="'7' is in the log"):
            log.append(ServerSentEvent(id="7"))

    def test_refused_event_leaves_the_log_as_it_was(self) -> None:
        """What encode refuses is not published in part."""
        log = log_of("a")

        with pytest.raises(ValueError, match="line break"):
            log.append(ServerSentEvent("b", event="x\ny"))

        assert ['{"lost": null}', "a"] == texts(Reader(log, "x", None, "disconnect").read())

    def test_bursts_are_bounded(self) -> None:
        """Up to 64 KiB are joined; an event larger than that comes alone."""
        log = log_of()
        reader = Reader(log, None, None, "disconnect")
        for size in (10, 2 * MAX_BURST, MAX_BURST - 100, 10, 10, MAX_BURST):
            log.append(ServerSentEvent("x" * size))

        reads = [[len(text) for text in texts(reader.read())] for _ in range(5)]

        assert [[10], [2 * MAX_BURST], [MAX_BURST - 100, 10], [10], [MAX_BURST]] == reads

    def test_joined_once(self) -> None:
        """Subscribers at the same place get the same object."""
        log = log_of()
        first, second = (Reader(log, None, None, "disconnect") for _ in range(2))
        for data in "abc":
            log.append(ServerSentEvent(data))

        assert first.read() is second.read()

    @pytest.mark.parametrize("name", ["max_events", "max_bytes", "max_queue"])
    def test_bounds_are_checked(self, name: str) -> None:
        """Nothing may wait is no bound."""
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            Broadcast(**{name: 0})  # type: ignore[arg-type]  # one of three

    def test_latest_only(self) -> None:
        """max_queue=1 and drop_oldest: each read is the news, and what it misses is told."""
        log = log_of()
        reader = Reader(log, None, 1, "drop_oldest")
        for data in "abc":
            log.append(ServerSentEvent(data))

        assert ['{"lost": 2}', "c"] == texts(reader.read())
        assert b"" == reader.read()

    def test_unknown_stays_unknown(self) -> None:
        """What is dropped later does not make a number of it."""
        log = log_of("a", max_events=1)
        reader = Reader(log, "x", None, "drop_oldest")
        log.append(ServerSentEvent("b"))

        assert ['{"lost": null}', "b"] == texts(reader.read())


class TestSubscription:
    @on_each_loop
    def test_wakes_all(self, backend: str) -> None:
        """Every subscriber that waits gets what is published, and the end."""
        broadcast = Broadcast()
        got: list[list[str]] = [[] for _ in range(3)]

        async def read(subscription: Subscription, into: list[str]) -> None:
            async for data in subscription:
                into += texts(data)

        async def scenario() -> None:
            async with anyio.create_task_group() as group:
                for into in got:
                    group.start_soon(read, broadcast.subscribe(), into)
                await anyio.wait_all_tasks_blocked()
                broadcast.publish("one")
                broadcast.publish(ServerSentEvent("two"))
                await anyio.wait_all_tasks_blocked()
                broadcast.publish("three")
                broadcast.close()

        anyio.run(scenario, backend=backend)

        assert [["one", "two", "three"]] * 3 == got
        assert 0 == broadcast.subscribers

    @on_each_loop
    def test_begins_with_the_call(self, backend: str) -> None:
        """Nothing is lost between subscribe() and the first read; nothing needs a loop."""
        broadcast = Broadcast()
        broadcast.publish("before")
        subscription = broadcast.subscribe()
        broadcast.publish("after")

        async def scenario() -> bytes:
            return await anext(subscription)

        assert ["after"] == texts(anyio.run(scenario, backend=backend))

    @on_each_loop
    def test_cancelled_read_loses_nothing(self, backend: str) -> None:
        """The subscription goes on, also on the next event loop."""
        broadcast = Broadcast()
        subscription = broadcast.subscribe()

        async def cancelled() -> None:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anext(subscription)

        async def read() -> bytes:
            async with anyio.create_task_group() as group:
                group.start_soon(publish)
                data = await anext(subscription)
            return data

        async def publish() -> None:
            broadcast.publish("x")

        anyio.run(cancelled, backend=backend)

        assert ["x"] == texts(anyio.run(read, backend=backend))

    @on_each_loop
    def test_cancelled_beside_another(self, backend: str) -> None:
        """One who no longer waits changes nothing for one who does."""
        broadcast = Broadcast()
        got = []

        async def read(subscription: Subscription, scope: anyio.CancelScope) -> None:
            with scope:
                got.append(await anext(subscription))

        async def scenario() -> None:
            leaves, stays = anyio.CancelScope(), anyio.CancelScope()
            async with anyio.create_task_group() as group:
                group.start_soon(read, broadcast.subscribe(), leaves)
                group.start_soon(read, broadcast.subscribe(), stays)
                await anyio.wait_all_tasks_blocked()
                leaves.cancel()
                await anyio.wait_all_tasks_blocked()
                broadcast.publish("x")

        anyio.run(scenario, backend=backend)

        assert ["x"] == texts(b"".join(got))

    def test_cancelled_as_it_is_woken(self) -> None:
        """On asyncio, a task runs only after both; none of the others is forgotten."""
        broadcast = Broadcast()

        async def scenario() -> list[Any]:
            readers = [asyncio.create_task(anext(broadcast.subscribe(), None)) for _ in range(3)]
            await anyio.wait_all_tasks_blocked()
            readers[1].cancel()
            broadcast.publish("x")
            return await asyncio.gather(*readers, return_exceptions=True)

        first, second, third = asyncio.run(scenario())

        assert ["x", "x"] == texts(first + third)
        assert isinstance(second, asyncio.CancelledError)

    @pytest.mark.sweep(quick=1)
    @on_each_loop
    def test_waits_that_are_given_up_leave_nothing(self, backend: str) -> None:
        """A reader may check a thousand times before there is an event; others still wait."""
        broadcast = Broadcast()
        subscription, other = broadcast.subscribe(), broadcast.subscribe()

        async def scenario() -> int:
            async with anyio.create_task_group() as group:
                group.start_soon(anext, other)
                await anyio.wait_all_tasks_blocked()
                before = living_objects()
                for _ in range(1000):
                    with anyio.move_on_after(0):
                        await anext(subscription)
                left = living_objects() - before
                group.cancel_scope.cancel()
            return left

        assert anyio.run(scenario, backend=backend) < 500
        with ThreadPoolExecutor() as executor:  # allowed if nobody waits in this one
            assert executor.submit(broadcast.publish, "x").result()

    def test_trio_as_a_guest_of_asyncio(self) -> None:
        """Its tasks wait for what wakes trio's, though asyncio's loop runs below them."""
        broadcast = Broadcast()

        async def publish() -> None:
            broadcast.publish("x")

        async def scenario() -> bytes:
            async with anyio.create_task_group() as group:
                subscription = broadcast.subscribe()
                group.start_soon(publish)
                return await anext(subscription)
            raise AssertionError

        async def host() -> bytes:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[Any] = loop.create_future()
            trio.lowlevel.start_guest_run(
                scenario,
                run_sync_soon_threadsafe=loop.call_soon_threadsafe,
                done_callback=done.set_result,
            )
            return bytes((await done).unwrap())

        assert ["x"] == texts(asyncio.run(host()))

    @on_each_loop
    def test_closed_by_another_task(self, backend: str) -> None:
        """Who waits is told; others of the same broadcast go on waiting."""
        broadcast = Broadcast()
        first, second = broadcast.subscribe(), broadcast.subscribe()
        got: list[object] = []

        async def read(subscription: Subscription) -> None:
            got.append(await anext(subscription, None))

        async def scenario() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(read, first)
                group.start_soon(read, second)
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(RuntimeError, match="another task waits"):
                    await anext(first)
                await first.aclose()
                await anyio.wait_all_tasks_blocked()
                assert [None] == got
                broadcast.publish("x")

        anyio.run(scenario, backend=backend)

        assert isinstance(got[1], bytes)
        assert 1 == broadcast.subscribers

    def test_dropped_without_close(self) -> None:
        """A request that never began leaves nothing behind."""
        broadcast = Broadcast()
        subscription = broadcast.subscribe()
        assert 1 == broadcast.subscribers

        del subscription
        gc.collect()

        assert 0 == broadcast.subscribers

    @on_each_loop
    def test_too_slow(self, backend: str) -> None:
        """The iteration raises and is over; the log has what the client asks for then."""
        broadcast = Broadcast(max_queue=2)
        last = broadcast.publish("had")
        subscription = broadcast.subscribe()
        for data in "abc":
            broadcast.publish(data)

        async def scenario() -> bytes:
            with pytest.raises(SubscriberTooSlow) as caught:
                await anext(subscription)
            assert 1 == caught.value.lost
            assert "done" == await anext(subscription, "done")
            return await anext(broadcast.subscribe(last))

        assert ["a", "b", "c"] == texts(anyio.run(scenario, backend=backend))
        assert 0 == broadcast.subscribers

    def test_other_thread(self) -> None:
        """Publishing where it could not wake anyone is an error, and publishes nothing."""
        broadcast = Broadcast()
        subscription = broadcast.subscribe()
        errors: list[str] = []

        def publish() -> None:
            try:
                broadcast.publish("lost")
            except RuntimeError as exc:
                errors.append(str(exc))

        async def scenario() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(anext, subscription, None)
                await anyio.wait_all_tasks_blocked()
                thread = threading.Thread(target=publish)
                thread.start()
                thread.join(10)
                broadcast.close()

        anyio.run(scenario)

        assert ["subscribers of this broadcast wait in another thread"] == errors

    def test_misuse(self) -> None:
        """Wrong types, unknown policies and publishing after the close are errors at once."""
        broadcast = Broadcast()
        with pytest.raises(TypeError, match="got bytes"):
            broadcast.publish(b"x")  # type: ignore[arg-type]  # that is the test
        with pytest.raises(ValueError, match="got 'wait'"):
            Broadcast(slow="wait")  # type: ignore[arg-type]  # that is the test
        broadcast.close()
        broadcast.close()
        with pytest.raises(RuntimeError, match="closed"):
            broadcast.publish("x")


@on_each_loop
def test_reconnecting_client_misses_nothing(backend: str) -> None:
    """Each response is cut after one item; the client comes back with its ID, every time."""
    broadcast = Broadcast()
    asked: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        last = dict(scope["headers"]).get(b"last-event-id", b"")
        asked.append(last)
        subscription = broadcast.subscribe(last.decode("ascii"))
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"retry: 1\n\n", "more_body": True})
        data = await anext(subscription)
        await send({"type": "http.response.body", "body": data, "more_body": False})

    got: list[str] = []

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            port = await group.start(serve, app)
            group.start_soon(produce)
            async with EventSource(f"http://127.0.0.1:{port}/") as source:
                async for event in source:
                    got.append(event.data)
                    if len(got) == 20:
                        break
            group.cancel_scope.cancel()

    async def produce() -> None:
        while not asked:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        for number in range(20):
            broadcast.publish(str(number))
            await anyio.lowlevel.checkpoint()

    async def bounded() -> None:
        with anyio.fail_after(20):
            await scenario()

    anyio.run(bounded, backend=backend)

    assert [str(number) for number in range(20)] == got
    assert len(asked) > 1
