"""The response that streams events, over our host and real sockets."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import nullcontext
from math import inf
from typing import Any

import anyio
import pytest

from sse_core import (
    Broadcast,
    Comment,
    EventStreamResponse,
    ServerSentEvent,
    TransportError,
    encode,
    stream,
)
from sse_core._server import response as _asgi
from sse_core.asgi import Message, Receive, Send
from tests.support.hosting import serving

pytestmark = pytest.mark.anyio

Produce = Callable[[], AsyncIterator[Any]]


class Producer:
    """Yields items, stays if told to, and notes how it ended."""

    def __init__(self, *items: Any, stays: bool = False) -> None:
        self.items = items
        self.stays = stays
        self.started = 0
        self.ended = anyio.Event()

    async def __call__(self) -> AsyncGenerator[Any]:
        self.started += 1
        try:
            for item in self.items:
                if isinstance(item, Exception):
                    raise item
                yield item
            if self.stays:
                await anyio.sleep_forever()
        finally:
            self.ended.set()


def app(produce: Produce, **options: Any) -> Any:
    """Answer every request with a response of its own."""

    async def answer(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await EventStreamResponse(produce(), **options)(scope, receive, send)

    return answer


async def read(port: int, **options: Any) -> list[Any]:
    async with stream(f"http://127.0.0.1:{port}", **options) as events:
        return [event async for event in events]


async def test_items() -> None:
    """Events, comments, text, JSON and what is encoded already, in their order."""
    producer = Producer(
        ServerSentEvent("a\nb", "tick", "7", 10),
        Comment("c"),
        "d",
        {"é": [1]},
        [None],
        b"data: e\n\ndata: f\n\n",
        "\ud800",
    )
    async with serving(app(producer)) as port:
        items = await read(port, comments=True)

    assert items == [
        ServerSentEvent("a\nb", "tick", "7", 10),
        Comment("c"),
        ServerSentEvent("d", id="7"),
        ServerSentEvent('{"é":[1]}', id="7"),
        ServerSentEvent("[null]", id="7"),
        ServerSentEvent("e", id="7"),
        ServerSentEvent("f", id="7"),
        ServerSentEvent("\ufffd", id="7"),
    ]
    assert producer.ended.is_set()


async def test_head() -> None:
    """The head is there before any event, and says what proxies have to know."""
    async with serving(app(Producer(stays=True))) as port:
        async with stream(f"http://127.0.0.1:{port}") as events:
            headers = events.response.headers

    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "no-store", "X-Stream": "1"},
        [(b"Cache-Control", b"no-store"), ("X-Stream", "1")],
    ],
)
async def test_headers_of_the_caller(headers: Any) -> None:
    """They come on top, or in place of the response's own."""
    async with serving(app(Producer("a"), headers=headers)) as port:
        async with stream(f"http://127.0.0.1:{port}") as events:
            given = events.response.headers

    assert (["no-store"], "1") == (given.get_all("cache-control"), given["x-stream"])


async def test_head_request() -> None:
    """HEAD gets the head. The producer is not asked for anything, but closed."""
    closed = False

    class Events:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Any:
            raise AssertionError

        async def aclose(self) -> None:
            nonlocal closed
            closed = True

    async with serving(app(Events)) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            head = b"".join([data async for data in client])

    assert head.startswith(b"HTTP/1.1 200 ")
    assert head.endswith(b"\r\n\r\n")
    assert closed


async def test_retry() -> None:
    """The reconnection time comes first, with up to half of it on top at random."""
    async with serving(app(Producer("a"), retry=1000, uniform=lambda: 0.5)) as port:
        async with stream(f"http://127.0.0.1:{port}") as events:
            await anext(events)
            retry = events.reconnection_time

    assert 1250 == retry


async def test_silence_is_broken() -> None:
    """A producer that says nothing: comments come, again and again."""
    async with serving(app(Producer(stays=True), keep_alive=0.01)) as port:
        async with stream(f"http://127.0.0.1:{port}", comments=True) as items:
            comments = [await anext(items) for _ in range(3)]

    assert [Comment("")] * 3 == comments


async def test_client_leaves() -> None:
    """The producer is cancelled where it waits, and cleans up."""
    producer = Producer("a", stays=True)
    async with serving(app(producer)) as port:
        async with stream(f"http://127.0.0.1:{port}") as events:
            await anext(events)
        await producer.ended.wait()


async def test_producer_that_never_waits() -> None:
    """Neither does it keep others from being served, nor does it outlive its client."""
    ended = anyio.Event()

    async def produce() -> AsyncGenerator[Any]:
        try:
            while True:
                yield "x"
        finally:
            ended.set()

    async with serving(app(produce)) as port:
        async with stream(f"http://127.0.0.1:{port}") as events:
            await anext(events)
            async with stream(f"http://127.0.0.1:{port}") as others:
                await anext(others)
        await ended.wait()


async def test_producer_that_never_waits_under_a_server_that_never_does() -> None:
    """uvicorn's send() waits only when its buffer is full: others get their turn all the same."""
    turns = 0

    async def produce() -> AsyncGenerator[Any]:
        while turns < 3:
            yield "x"

    async def receive() -> Message:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async def send(message: Message) -> None:
        pass

    with anyio.fail_after(10):
        await EventStreamResponse(produce())({"type": "http", "method": "GET"}, receive, send)


async def test_turns_are_given_to_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then, and not for each event: that would take a quarter of all processor time."""
    given = 0
    checkpoint = anyio.lowlevel.checkpoint

    async def produce() -> AsyncGenerator[Any]:
        for _ in range(3 * _asgi.TURN + 1):
            yield "x"

    async def send(message: Message) -> None:
        pass

    async def counted() -> None:
        nonlocal given
        given += 1
        await checkpoint()

    monkeypatch.setattr(anyio.lowlevel, "checkpoint", counted)
    await EventStreamResponse(produce())(GET, no_message, send)

    assert 3 == given


async def test_a_producer_may_catch_what_it_is_thrown() -> None:
    """What it awaits may time out, be cancelled or fail, as anywhere."""

    async def produce() -> AsyncGenerator[Any]:
        for attempt in range(3):
            with anyio.move_on_after(0) as scope:
                await anyio.sleep_forever()
            yield f"{attempt} {scope.cancelled_caught}"

    async with serving(app(produce)) as port:
        events = await read(port)

    assert ["0 True", "1 True", "2 True"] == [event.data for event in events]


async def test_events_wait_for_a_comment() -> None:
    """The server is never asked to send two things at once."""
    commenting = anyio.Event()
    go_on = anyio.Event()
    sent: list[bytes] = []

    async def produce() -> AsyncGenerator[Any]:
        await commenting.wait()
        for item in "ab":
            yield item

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        body = message.get("body", b"")
        if body == b":\n\n":
            commenting.set()
            await go_on.wait()
        sent.append(body)

    async with anyio.create_task_group() as tasks:
        response = EventStreamResponse(produce(), keep_alive=0.01)
        tasks.start_soon(response, {"type": "http", "method": "GET"}, receive, send)
        await commenting.wait()
        await anyio.wait_all_tasks_blocked()
        before = list(sent)
        go_on.set()

    assert [b"", b""] == before
    assert b":\n\n" == sent[2]
    # A machine that stalls may bring further comments.
    assert [b"data: a\n\n", b"data: b\n\n", b""] == [body for body in sent[3:] if body != b":\n\n"]


async def test_events_of_a_broadcast_wait_for_a_comment() -> None:
    """As those of any other producer."""
    broadcast = Broadcast()
    commenting = anyio.Event()
    go_on = anyio.Event()
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        body = message.get("body", b"")
        if body == b":\n\n" and not go_on.is_set():
            commenting.set()
            await go_on.wait()
        sent.append(body)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            response = EventStreamResponse(broadcast.subscribe(), keep_alive=0.01)
            tasks.start_soon(response, GET, no_message, send)
            await commenting.wait()
            broadcast.publish(ServerSentEvent("a", id="1"))
            await anyio.wait_all_tasks_blocked()
            before = list(sent)
            go_on.set()
            broadcast.close()

    assert [b"", b""] == before
    assert b":\n\n" == sent[2]
    event = encode(ServerSentEvent("a", id="1"))
    assert [event, b""] == [body for body in sent[3:] if body != b":\n\n"]


@pytest.mark.parametrize("why", ["leaves", "is gone", "takes nothing"])
async def test_subscription_ends_when_the_client(why: str) -> None:
    """Nobody goes on being subscribed."""
    broadcast = Broadcast()
    client = GoingClient(why)
    events = broadcast.subscribe()
    broadcast.publish("a")
    with anyio.fail_after(10):
        await EventStreamResponse(events, send_timeout=0.05)(GET, client.receive, client.send)

    assert 0 == broadcast.subscribers
    assert END not in client.sent


@pytest.mark.parametrize("leaves", [True, False])
async def test_head_that_nobody_takes(leaves: bool) -> None:
    """The client leaves, or its time is up: the response ends, and its producer."""
    producer = Producer("a")
    events = producer()

    async def receive() -> Message:
        if not leaves:
            await anyio.sleep_forever()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        response = EventStreamResponse(events, send_timeout=None if leaves else 0.01)
        await response({"type": "http", "method": "GET"}, receive, send)

    with pytest.raises(StopAsyncIteration):
        await anext(events)


@pytest.mark.parametrize(
    "item", [LookupError("x"), OSError("x"), ServerSentEvent("a", id="b\nc"), 7]
)
async def test_producer_fails(item: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The response is cut off, which no client takes for an end; the server is told."""
    producer = Producer("a", item)
    with caplog.at_level(logging.ERROR, "sse_core.serve"):
        async with serving(app(producer)) as port:
            async with stream(f"http://127.0.0.1:{port}") as events:
                assert "a" == (await anext(events)).data
                with pytest.raises(TransportError):
                    await anext(events)
    exc_info = caplog.records[0].exc_info

    assert producer.ended.is_set()
    assert exc_info is not None
    assert isinstance(exc_info[1], LookupError | OSError | ValueError | TypeError)


async def test_frozen_client() -> None:
    """A client that takes nothing does not hold its producer for ever."""
    ended = anyio.Event()

    async def produce() -> AsyncGenerator[Any]:
        try:
            while True:
                yield "x" * 2**20
        finally:
            ended.set()

    async with serving(app(produce, send_timeout=0.1)) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await ended.wait()


async def test_frozen_client_and_silent_producer() -> None:
    """Nor if a comment is what it does not take."""
    producer = Producer(stays=True)

    async def answer(scope: Any, receive: Receive, send: Send) -> None:
        async def stuck(message: Message) -> None:
            if message.get("body"):
                await anyio.sleep_forever()
            await send(message)

        response = EventStreamResponse(producer(), keep_alive=0.01, send_timeout=0.05)
        await response(scope, receive, stuck)

    async with serving(answer) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await producer.ended.wait()


@pytest.mark.parametrize("refused", ["http.response.start", "http.response.body"])
@pytest.mark.parametrize("silent", [False, True])
async def test_server_says_that_the_client_has_gone(refused: str, silent: bool) -> None:
    """By OSError of send(): the response ends quietly, and its producer with it."""
    producer = Producer(stays=True) if silent else Producer("a", "b", stays=True)
    bodies = 0

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        nonlocal bodies
        bodies += "body" in message
        if message["type"] == refused and (bodies != 1 or "status" in message):
            raise BrokenPipeError

    events = producer()
    with anyio.fail_after(10):
        response = EventStreamResponse(events, keep_alive=0.01)
        await response({"type": "http", "method": "GET"}, receive, send)

    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_clean_up_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A producer that will not end is left after its time."""
    monkeypatch.setattr(_asgi, "CLEAN_UP_TIME", 0.01)

    class Events:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Any:
            raise StopAsyncIteration

        async def aclose(self) -> None:
            await anyio.sleep_forever()

    async with serving(app(Events)) as port:
        assert [] == await read(port)


async def test_producer_that_cannot_be_closed() -> None:
    """An iterator that is no generator need not have `aclose`."""

    class Events:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Any:
            raise StopAsyncIteration

    async with serving(app(Events)) as port:
        assert [] == await read(port)


async def test_broadcast() -> None:
    """A subscription is a producer; one who is too slow is cut off, without noise."""
    broadcast = Broadcast(max_queue=1)
    async with serving(app(broadcast.subscribe)) as port:
        async with stream(f"http://127.0.0.1:{port}") as events:
            broadcast.publish("a")
            assert "a" == (await anext(events)).data
            broadcast.publish("b")
            broadcast.publish("c")
            with pytest.raises(TransportError):
                await anext(events)
        while broadcast.subscribers:
            await anyio.lowlevel.checkpoint()


async def no_message() -> Message:
    """The client says nothing more, and stays."""
    await anyio.sleep_forever()
    raise AssertionError


GET = {"type": "http", "method": "GET"}
END = {"type": "http.response.body", "body": b"", "more_body": False}


class GoingClient:
    """Goes as it is sent an event: it leaves, is gone already, or takes nothing."""

    def __init__(self, why: str) -> None:
        self.why = why
        self.sent: list[Message] = []
        self._sending = anyio.Event()

    async def receive(self) -> Message:
        if self.why != "leaves":
            await anyio.sleep_forever()
        await self._sending.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message.get("body"):
            self._sending.set()
            if self.why == "is gone":
                raise BrokenPipeError
            await anyio.sleep_forever()


async def test_comments_do_not_crowd_out_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long they take to go out: silence begins behind them."""
    clock = 0.0
    comments = 0

    async def produce() -> AsyncGenerator[Any]:
        nonlocal clock
        yield "a"
        clock += 1
        while not comments:
            await anyio.lowlevel.checkpoint()
        yield "b"

    async def send(message: Message) -> None:
        nonlocal clock, comments
        comments += message.get("body") == b":\n\n"
        clock += 1
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(_asgi, "monotonic", lambda: clock)
    with anyio.fail_after(10):
        await EventStreamResponse(produce(), keep_alive=0.01)(GET, no_message, send)

    assert 1 == comments


async def test_nothing_comes_behind_the_last_message() -> None:
    """No comment either, if cancelling the watch should come too late for it."""

    async def send(message: Message) -> None:
        pass

    sender = _asgi._Sender(send)
    await sender(END)

    assert inf == sender.since


@pytest.mark.parametrize("fails", ["receive", "comment", "event", "producer"])
async def test_exceptions_pass_as_they_are(fails: str) -> None:
    """Whichever task they come from, the server gets no group of them."""

    async def produce() -> AsyncGenerator[Any]:
        yield "a"
        if fails == "producer":
            raise LookupError(fails)
        await anyio.sleep_forever()

    async def receive() -> Message:
        if fails == "receive":
            raise LookupError(fails)
        return await no_message()

    async def send(message: Message) -> None:
        if message.get("body") == {"comment": b":\n\n", "event": b"data: a\n\n"}.get(fails):
            raise LookupError(fails)

    with anyio.fail_after(10), pytest.raises(LookupError, match=fails):
        await EventStreamResponse(produce(), keep_alive=0.01)(GET, receive, send)


@pytest.mark.parametrize("scope", ["task group", "timeout"])
@pytest.mark.parametrize("why", ["leaves", "is gone", "takes nothing"])
async def test_producers_may_hold_scopes(scope: str, why: str) -> None:
    """The client goes while an event is being sent: what the producer has open is closed first."""
    client = GoingClient(why)
    closed = False

    async def produce() -> AsyncGenerator[Any]:
        nonlocal closed
        try:
            if scope == "timeout":
                with anyio.fail_after(60):
                    yield "a"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                yield "a"
        finally:
            closed = True

    with anyio.fail_after(10):
        await EventStreamResponse(produce(), send_timeout=0.05)(GET, client.receive, client.send)

    assert closed


@pytest.mark.parametrize(("item", "error"), [(object(), TypeError), ("a", None)])
async def test_what_went_wrong_outlives_a_clean_up_that_takes_too_long(
    item: Any, error: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that cannot be encoded, or a leave: no last message makes it look whole."""
    monkeypatch.setattr(_asgi, "CLEAN_UP_TIME", 0.01)
    client = GoingClient("leaves")

    async def produce() -> AsyncGenerator[Any]:
        try:
            yield item
        finally:
            await anyio.sleep_forever()

    with anyio.fail_after(10), pytest.raises(error) if error else nullcontext():
        await EventStreamResponse(produce())(GET, client.receive, client.send)

    assert END not in client.sent


class Handler:
    """Stands for a server's handler of SIGTERM."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    def __call__(self, number: int, frame: Any) -> None:
        self.signals.append(number)


@pytest.fixture
def handler() -> Any:
    handler = Handler()
    before = signal.signal(signal.SIGTERM, handler)
    yield handler
    signal.signal(signal.SIGTERM, before)


async def test_signal_ends_the_stream(handler: Handler) -> None:
    """As if the producer had come to its end; the server's own handler is called as ever."""
    producer = Producer("a", stays=True)
    async with serving(app(producer)) as port:
        async with stream(f"http://127.0.0.1:{port}") as events:
            await anext(events)
            os.kill(os.getpid(), signal.SIGTERM)
            assert [] == [event async for event in events]
        await producer.ended.wait()
        async with stream(f"http://127.0.0.1:{port}") as events:  # another, after the signal
            await anext(events)

    assert [signal.SIGTERM] == handler.signals
    assert handler is signal.getsignal(signal.SIGTERM)


def test_signal_in_a_loop_that_anyio_has_not_begun(handler: Handler) -> None:
    """As under most servers: anyio knows the loop by its tasks alone."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if message.get("body"):
            os.kill(os.getpid(), signal.SIGTERM)

    async def main() -> None:
        response = EventStreamResponse(Producer("a", stays=True)())
        await asyncio.wait_for(response(GET, no_message, send), 10)

    asyncio.run(main())

    assert END == sent[-1]


async def test_signal_with_a_handler_between(handler: Handler) -> None:
    """A library puts its handler in front of ours, and calls ours: all are called, once each."""
    between: list[int] = []
    async with serving(app(Producer("a", stays=True))) as port:
        async with stream(f"http://127.0.0.1:{port}") as before:
            await anext(before)
            ours: Any = signal.getsignal(signal.SIGTERM)

            def library(number: int, frame: Any) -> None:
                between.append(number)
                ours(number, frame)

            signal.signal(signal.SIGTERM, library)
            async with stream(f"http://127.0.0.1:{port}") as behind:
                await anext(behind)
                os.kill(os.getpid(), signal.SIGTERM)
                left = [event async for event in before], [event async for event in behind]

    assert ([], []) == left
    assert [signal.SIGTERM] == between == handler.signals


class Ending:
    """Stands for uvicorn's server, which takes requests for 0.1 s after the signal."""

    should_exit = False

    def handle_exit(self, number: int, frame: Any) -> None:
        self.should_exit = True


async def test_stream_that_begins_after_the_signal(handler: Handler) -> None:
    """It missed the signal, and ends all the same."""
    server = Ending()
    signal.signal(signal.SIGTERM, server.handle_exit)
    async with serving(app(Producer("a", stays=True))) as port:
        os.kill(os.getpid(), signal.SIGTERM)
        assert server.should_exit
        async with stream(f"http://127.0.0.1:{port}") as events:
            assert [] == [event async for event in events]


async def test_signal_during_the_head(handler: Handler) -> None:
    """No event is asked for; the response is whole, and has none."""
    sent: list[Message] = []
    producer = Producer("a")

    async def send(message: Message) -> None:
        if "status" in message:
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.wait_all_tasks_blocked()
        sent.append(message)

    with anyio.fail_after(10):
        await EventStreamResponse(producer())(GET, no_message, send)

    assert [END] == sent[1:]
    assert 0 == producer.started


@pytest.mark.parametrize("stuck", ["head", "end"])
async def test_signal_and_a_message_that_nobody_takes(
    handler: Handler, monkeypatch: pytest.MonkeyPatch, stuck: str
) -> None:
    """Neither the head nor the last message holds up the end."""
    monkeypatch.setattr(_asgi, "SHUTDOWN_TIME", 0.01)

    async def send(message: Message) -> None:
        if "status" in message if stuck == "head" else message == END:
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep_forever()

    with anyio.fail_after(10):
        response = EventStreamResponse(Producer("a")(), send_timeout=None)
        await response(GET, no_message, send)

    assert [signal.SIGTERM] == handler.signals


async def test_signal_and_frozen_client(handler: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes nothing does not hold up the end."""
    monkeypatch.setattr(_asgi, "SHUTDOWN_TIME", 0.01)
    asked, done = anyio.Event(), anyio.Event()

    async def answer(scope: Any, receive: Receive, send: Send) -> None:
        async def stuck(message: Message) -> None:
            if message.get("body") or not message.get("more_body", True):
                asked.set()
                await anyio.sleep_forever()
            await send(message)

        await EventStreamResponse(Producer("a")())(scope, receive, stuck)
        done.set()

    async with serving(answer) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await asked.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await done.wait()


async def test_handlers_that_come_later(handler: Handler) -> None:
    """One that is installed while a stream is open stays, and may call what it found."""
    async with serving(app(Producer("a", stays=True))) as port:
        async with stream(f"http://127.0.0.1:{port}") as events:
            await anext(events)
            later = Handler()
            found: Any = signal.signal(signal.SIGTERM, later)
    found(signal.SIGTERM, None)

    assert later is signal.getsignal(signal.SIGTERM)
    assert [signal.SIGTERM] == handler.signals


async def test_signals_are_not_heard_in_other_threads() -> None:
    """There, no handler can be installed; streams go on as they did."""
    before = signal.getsignal(signal.SIGTERM)
    seen: list[Any] = []

    async def main() -> None:
        async with serving(app(Producer("a"))) as port:
            seen.extend(await read(port))

    thread = threading.Thread(target=anyio.run, args=(main,))
    thread.start()
    await anyio.to_thread.run_sync(thread.join)

    assert ["a"] == [event.data for event in seen]
    assert before is signal.getsignal(signal.SIGTERM)


async def test_other_scopes_are_refused() -> None:
    """A WebSocket is no request."""
    response: Any = EventStreamResponse(Producer()())

    with pytest.raises(RuntimeError, match="expected an HTTP request, got 'websocket'"):
        await response({"type": "websocket"}, None, None)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"events": ["a"]}, TypeError),
        ({"keep_alive": 0}, ValueError),
        ({"send_timeout": -1}, ValueError),
        ({"retry": -1}, ValueError),
    ],
)
def test_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    """What cannot work is refused at once."""
    with pytest.raises(error):
        EventStreamResponse(**{"events": Broadcast().subscribe(), **arguments})
