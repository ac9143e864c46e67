"""An ASGI response that streams events, under any server.

Two tasks: one sends the producer's events; the other waits for the client to disconnect,
and watches the clock for silence and for a client that accepts no data. Whichever ends first
ends the other, and the producer is always closed.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from time import monotonic
from typing import Any, Final, TypeAlias

import anyio
import anyio.lowlevel

from .._encoder import encode, encode_comment, encode_retry
from .._errors import SubscriberTooSlow
from .._events import Comment, ServerSentEvent
from ..asgi import Message, Receive, Scope, Send, beside, ended_by_signals
from .broadcast import Subscription

Item: TypeAlias = ServerSentEvent | Comment | str | bytes | dict[str, Any] | list[Any]
Fields: TypeAlias = Iterable[tuple[bytes | str, bytes | str]] | Mapping[str, str]

KEEP_ALIVE: Final = 15.0
"""Seconds; proxies time out after 30 to 60 ("about every 15 seconds", WHATWG 9.2.7)."""
SEND_TIMEOUT: Final = 30.0
"""Seconds."""
CLEAN_UP_TIME: Final = 2.0
"""Seconds for a producer to finish once its events are no longer wanted."""
SHUTDOWN_TIME: Final = 1.0
"""Seconds for a client to accept what is left on shutdown."""
TURN: Final = 32
"""A producer that never waits yields the event loop after this many events."""

_HEADERS: Final = {
    b"content-type": b"text/event-stream; charset=utf-8",
    b"cache-control": b"no-cache, no-transform",
    b"x-accel-buffering": b"no",  # otherwise nginx buffers the response
}
_COMMENT: Final = b":\n\n"


class EventStreamResponse:
    """A response that streams ``events``: an ASGI 3 application for one request.

    In an ASGI framework that calls what an endpoint returns, return it. Elsewhere,
    ``await response(scope, receive, send)``.

    Args:
        events: an asynchronous iterable. An item is a ``ServerSentEvent``, a ``Comment``,
            a str (the data of an event), a dict or list (the data as JSON), or bytes
            (whole encoded events, sent as they are).
        status: of the response.
        headers: header fields to add, or to replace the default ones.
        keep_alive: seconds of silence after which a comment is sent; None for no comments.
        retry: milliseconds that clients wait before they reconnect. It is sent first, and
            increased by up to half at random, so that after a restart not all clients
            reconnect at the same time.
        send_timeout: seconds after which a client that accepts no data counts as gone;
            None for no limit.
        uniform: the source of randomness, from 0 up to 1.

    The head is sent immediately. When the client disconnects or stalls, the producer is
    cancelled. It is always closed: its ``finally`` blocks run, and have two seconds for
    what they await in a shielded scope. SIGINT and SIGTERM end the stream as if the producer
    had finished, so that servers which wait for their responses can shut down.

    Raises:
        Exception: whatever the producer raises, or ``encode`` for an item (fields are
            checked at that point). The server aborts the response, so it never looks complete.
    """

    def __init__(
        self,
        events: AsyncIterable[Item],
        *,
        status: int = 200,
        headers: Fields = (),
        keep_alive: float | None = KEEP_ALIVE,
        retry: int | None = None,
        send_timeout: float | None = SEND_TIMEOUT,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        if not hasattr(events, "__aiter__"):
            raise TypeError(f"expected an asynchronous iterable, got {type(events).__name__}")
        for name, seconds in (("keep_alive", keep_alive), ("send_timeout", send_timeout)):
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name} must be above 0, got {seconds}")
        self._events = events
        self._status = status
        self._headers = _merge(headers)
        self._keep_alive = inf if keep_alive is None else keep_alive
        self._send_timeout = inf if send_timeout is None else send_timeout
        self._first = b""
        if retry is not None:
            self._first = encode_retry(retry + int(retry * uniform() / 2))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Exceptions are described in the class."""
        if scope["type"] != "http":
            raise RuntimeError(f"expected an HTTP request, got {scope['type']!r}")
        events = aiter(self._events)
        self._send = _Sender(send)
        try:
            async with beside(partial(self._watch, receive)) as self._attended:
                await self._answer(scope["method"], events)
        except (_ClientGone, SubscriberTooSlow):
            pass  # the abort itself tells a slow client to reconnect

    async def _answer(self, method: str, events: AsyncIterator[Item]) -> None:
        send = self._send
        head = {"status": self._status, "headers": list(self._headers)}
        headed = False
        streaming, ending = anyio.CancelScope(), anyio.CancelScope()

        # `end` is called outside of any task, where anyio does not know the event loop's clock.
        ahead = anyio.current_time() - monotonic()

        def end() -> None:
            ending.deadline = ahead + monotonic() + SHUTDOWN_TIME
            if headed:
                streaming.cancel()

        with ended_by_signals(end), ending:
            with streaming:
                async with _closing(events):
                    await send({"type": "http.response.start", **head})
                    headed = True
                    if ending.deadline < inf:  # `end` was called during the send
                        streaming.cancel()
                        await anyio.lowlevel.checkpoint()
                    if method != "HEAD":  # pragma: no branch  # coverage misses the way out
                        # Even if empty: servers wait for it with the head.
                        await send(_body(self._first))
                        if isinstance(events, Subscription):
                            await send.subscribed(events)
                        else:
                            await send.produced(events)
            await send(_body(b"", more=False))

    async def _watch(self, receive: Receive) -> None:
        """Return if the client disconnects or stalls; send comments during silence."""
        send = self._send
        tick = min(self._keep_alive, self._send_timeout)
        while True:
            limit = self._send_timeout if send.waiting else self._keep_alive
            left = send.since + limit - monotonic()
            if left > 0:
                # A send may begin or end meanwhile, which changes the limit.
                with anyio.move_on_after(min(left, tick)):
                    if (await receive())["type"] == "http.disconnect":
                        break
            elif send.waiting:
                break
            else:
                with anyio.move_on_after(self._send_timeout) as timeout:
                    await send(_body(_COMMENT))
                if timeout.cancelled_caught:
                    break
                await anyio.lowlevel.checkpoint()  # a waiting event goes first
        self._attended.cancel()


class _ClientGone(Exception):
    """The server's ``send`` has raised OSError: the client has disconnected."""


class _Sender:
    """The server's ``send``, shared by two tasks, with the times that the watch needs."""

    __slots__ = ("_free", "_send", "since", "waiting")

    def __init__(self, send: Send) -> None:
        self.waiting = False  # True while a send is in progress
        self.since = monotonic()  # the beginning of that send, or of the silence after it
        self._send = send
        self._free: anyio.Event | None = None  # set by a task that has to wait

    async def __call__(self, message: Message) -> None:
        while self.waiting:
            self._free = anyio.Event()
            await self._free.wait()
        self.waiting = True
        self.since = monotonic()
        try:
            await self._send(message)
        except OSError as exc:
            raise _ClientGone from exc
        finally:
            self.waiting = False
            self.since = monotonic() if message.get("more_body", True) else inf
            if self._free is not None:
                self._free.set()
                self._free = None

    async def produced(self, events: AsyncIterator[Item]) -> None:
        left = TURN
        async for item in events:
            await self(_body(_encode(item)))
            left -= 1
            if not left:
                left = TURN
                await anyio.lowlevel.checkpoint()

    async def subscribed(self, events: Subscription) -> None:
        """The same for a subscription, of which there may be thousands: no objects per event."""
        # It yields the event loop by itself: nothing is published meanwhile, so it soon waits.
        send = self._send
        while (data := events._read()) is not None:
            if not data:
                waiter = events._wait()
                try:
                    await waiter
                finally:
                    events._stop_waiting(waiter)
            elif self.waiting:  # a comment is being sent
                await self(_body(data))
            else:
                self.waiting = True
                self.since = monotonic()
                try:
                    await send(_body(data))
                except OSError as exc:
                    raise _ClientGone from exc
                finally:
                    self.waiting = False
                    self.since = monotonic()


def _body(data: bytes, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def _encode(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, ServerSentEvent):
        return encode(item)
    if isinstance(item, str):
        return encode(ServerSentEvent(item))
    if isinstance(item, Comment):
        return encode_comment(item.text)
    if isinstance(item, dict | list):
        data = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
        return encode(ServerSentEvent(data))
    raise TypeError(
        f"expected a ServerSentEvent, Comment, str, bytes, dict or list, got {type(item).__name__}"
    )


def _merge(headers: Fields) -> list[tuple[bytes, bytes]]:
    pairs: Any = headers.items() if isinstance(headers, Mapping) else headers
    given = [(_latin1(name).lower(), _latin1(value)) for name, value in pairs]
    names = {name for name, _ in given}
    return [*(field for field in _HEADERS.items() if field[0] not in names), *given]


def _latin1(text: bytes | str) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else bytes(text)


@asynccontextmanager
async def _closing(events: AsyncIterator[Item]) -> AsyncIterator[None]:
    """Close the producer after the block, however that ends, within a time limit."""
    # Otherwise the rest of a generator runs in some other task when it is collected. The scope
    # is entered first: a generator may yield inside its own, and scopes nest.
    failure: Exception | None = None
    with anyio.CancelScope() as scope:
        try:
            yield
        except Exception as exc:
            failure = exc
        finally:
            scope.shield = True
            scope.deadline = anyio.current_time() + CLEAN_UP_TIME
            if (aclose := getattr(events, "aclose", None)) is not None:
                try:
                    await aclose()
                except* GeneratorExit:  # wrapped by a task group inside the generator
                    pass
    if failure is not None:
        raise failure
    # If the time limit was reached, it has hidden any other cancellation.
    await anyio.lowlevel.checkpoint_if_cancelled()
