"""Events -> an ASGI response that streams them, under any server.

Two tasks: one takes events from the producer and sends them, one waits for the client
to leave, and watches the clock for silence and for a client that takes nothing. Whichever
ends first ends the other, and the producer is closed in any case.
"""

from __future__ import annotations

import json
import random
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    MutableMapping,
)
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
from .broadcast import Subscription
from .signals import ended_by_signals
from .tasks import beside

__all__ = ["EventStreamResponse"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Item: TypeAlias = ServerSentEvent | Comment | str | bytes | dict[str, Any] | list[Any]
Fields: TypeAlias = Iterable[tuple[bytes | str, bytes | str]] | Mapping[str, str]

KEEP_ALIVE: Final = 15.0
"""Seconds; proxies give up after 30 to 60 ("about every 15 seconds", WHATWG 9.2.7)."""
SEND_TIMEOUT: Final = 30.0
"""Seconds."""
CLEAN_UP_TIME: Final = 2.0
"""Seconds for a producer to finish when nobody wants its events any more."""
SHUTDOWN_TIME: Final = 1.0
"""Seconds for a client to take what is left when the server is asked to end."""
TURN: Final = 32
"""Events after which a producer that never waits lets others have the event loop."""

_HEADERS: Final = {
    b"content-type": b"text/event-stream; charset=utf-8",
    b"cache-control": b"no-cache, no-transform",
    b"x-accel-buffering": b"no",  # nginx would wait for a buffer to fill
}
_COMMENT: Final = b":\n\n"


class EventStreamResponse:
    """A response that streams ``events``: an ASGI 3 application for one request.

    Frameworks on ASGI call what an endpoint returns, so it can be returned; elsewhere,
    ``await response(scope, receive, send)``.

    Args:
        events: an asynchronous iterable. An item is a ``ServerSentEvent``, a ``Comment``,
            a str (the data of an event), a dict or list (its data as JSON), or bytes:
            whole events that are encoded already, sent as they are.
        status: of the response.
        headers: further header fields, or others in place of its own.
        keep_alive: seconds of silence after which a comment is sent; None for none.
        retry: milliseconds after which clients shall come back, sent at the beginning,
            with up to half as much again at random: after a restart not all come at once.
        send_timeout: seconds after which a client that takes nothing counts as gone;
            None for no limit.
        uniform: the source of randomness, from 0 up to 1.

    The head is sent at once. The producer is cancelled when the client leaves, or takes
    nothing, and closed in any case: its ``finally`` runs, with two seconds for what it
    awaits under a shield of its own. SIGINT and SIGTERM end the stream, as if the producer
    had come to its end, so that servers which wait for their responses can shut down.

    Raises:
        Exception: whatever the producer raises, or ``encode`` of what it yields (fields
            are checked then). The server cuts the response off: it never looks whole.
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

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer the request; see the class for what is raised."""
        if scope["type"] != "http":
            raise RuntimeError(f"expected an HTTP request, got {scope['type']!r}")
        events = aiter(self._events)
        self._send = _Sender(send)
        try:
            async with beside(partial(self._watch, receive)) as self._attended:
                await self._answer(scope["method"], events)
        except (_ClientGone, SubscriberTooSlow):
            pass  # one who is too slow is told to come back, by the cut alone

    async def _answer(self, method: str, events: AsyncIterator[Item]) -> None:
        """Send the head, and what the producer yields, to its end."""
        send = self._send
        head = {"status": self._status, "headers": list(self._headers)}
        headed = False
        streaming, ending = anyio.CancelScope(), anyio.CancelScope()

        # `end` is called outside of all tasks, where anyio cannot tell which clock it is.
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
                    if ending.deadline < inf:  # asked to meanwhile
                        streaming.cancel()
                        await anyio.lowlevel.checkpoint()
                    if method != "HEAD":  # pragma: no branch  # coverage misses the way out
                        await send(_body(self._first))  # if nothing, then the head
                        if isinstance(events, Subscription):
                            await send.subscribed(events)
                        else:
                            await send.produced(events)
            await send(_body(b"", more=False))

    async def _watch(self, receive: Receive) -> None:
        """Wait for the client to leave, or to take nothing for too long; break silences."""
        send = self._send
        tick = min(self._keep_alive, self._send_timeout)
        while True:
            limit = self._send_timeout if send.waiting else self._keep_alive
            left = send.since + limit - monotonic()
            if left > 0:
                # What is waited for may change meanwhile, and with it the limit.
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
                await anyio.lowlevel.checkpoint()  # an event that waits is next
        self._attended.cancel()


class _ClientGone(Exception):
    """The server says so: "send() should raise OSError"."""


class _Sender:
    """The server's ``send``, for two tasks, with the times that a watch needs."""

    __slots__ = ("_free", "_send", "since", "waiting")

    def __init__(self, send: Send) -> None:
        self.waiting = False
        """Whether the client is being waited for."""
        self.since = monotonic()
        """When that, or the silence after it, began."""
        self._send = send
        self._free: anyio.Event | None = None  # made by the one of them that has to wait

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
        """Send what a producer yields, to its end."""
        left = TURN
        async for item in events:
            await self(_body(_encode(item)))
            left -= 1
            if not left:
                left = TURN
                await anyio.lowlevel.checkpoint()

    async def subscribed(self, events: Subscription) -> None:
        """The same for one of perhaps thousands of subscribers: nothing is made for each event.

        It waits for others by itself, as nobody can publish while it has the event loop.
        """
        send = self._send
        while (data := events._read()) is not None:
            if not data:
                news = events._listen()
                try:
                    await news
                finally:
                    events._listened(news)
            elif self.waiting:  # for a comment
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
async def _closing(events: AsyncIterator[Item]) -> AsyncGenerator[None]:
    """Close the producer behind the block, whatever becomes of that; its time is bounded.

    Else what is left of a generator runs when it is collected, in whatever task. The scope
    is there from the beginning: a generator may hold scopes of its own while it yields,
    and scopes are left in the reverse order only.
    """
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
                except* GeneratorExit:  # wrapped by a task group of the generator's
                    pass
    if failure is not None:
        raise failure
    # If the time was up, that has taken the place of any other cancellation.
    await anyio.lowlevel.checkpoint_if_cancelled()
