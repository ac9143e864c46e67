"""EventSource over anyio. ``source_conversation`` decides what happens; here is the waiting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, Unpack, overload

import anyio
import anyio.lowlevel

from .._events import Comment, ServerSentEvent
from .._http.exchange import Connection
from .._http.limits import Timeout
from .._http.messages import HeadersInput
from .connector import Connector, Link
from .options import SourceOptions as CommonOptions
from .reconnection import Disconnected, Opened
from .source_conversation import SourceConversation, SourceHeaders
from .stream import TURN, AsyncBlock, Client, EventStream
from .unclosed import Place

Item = TypeVar("Item", bound=ServerSentEvent | Comment)


class SourceOptions(CommonOptions, total=False):
    """The keyword arguments of ``EventSource``, for type checkers."""

    headers: SourceHeaders | None
    client: Client | None


class _IO:
    """The waiting of one source."""

    def __init__(self, connector: Connector, timeout: Timeout) -> None:
        self._connector = connector
        self._timeout = timeout
        self._opening: anyio.CancelScope | None = None

    def now(self) -> float:
        return anyio.current_time()

    def wakeup(self) -> anyio.Event:
        return anyio.Event()

    async def wait(self, wakeup: anyio.Event, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await wakeup.wait()

    async def headers(
        self, given: Callable[[], HeadersInput | Awaitable[HeadersInput]]
    ) -> HeadersInput:
        headers = given()
        return await headers if isawaitable(headers) else headers

    def stream(self, connection: Connection[Any], opened_at: Place) -> EventStream[Any]:
        return EventStream(connection, Link(self._connector), self._timeout, opened_at)

    async def open(self, stream: EventStream[Any]) -> None:
        with anyio.CancelScope() as self._opening:
            await stream.__aenter__()

    def interrupt(self, stream: EventStream[Any]) -> None:
        assert self._opening is not None, "a stream is interrupted after its opening began"
        self._opening.cancel()

    async def next_items(self, stream: EventStream[Any]) -> list[Any] | None:
        try:
            return await stream.next_items()
        except StopAsyncIteration:
            return None

    async def close(self, stream: EventStream[Any]) -> None:
        await stream.aclose()


class EventSource(SourceConversation[Item], AsyncBlock):
    """The standard's EventSource: one source of events over as many connections as it takes.

        async with sse_core.EventSource("https://example.org/events") as source:
            async for event in source:
                print(event.data)

    It connects when the first event is asked for, and again whenever a connection ends, with
    the last event ID; ``Reconnection`` says when, and when not. The iteration ends when the
    server answers 204, at ``aclose()``, and after a stream that may be asked for only once.
    A wrong host name is asked for forever, unless ``max_attempts`` or ``max_elapsed`` are
    set. An ``anext()`` can be cancelled and called again.

    Args:
        url, method, content, json: the request, as for ``stream``.
        headers: header fields; or a callable, asynchronous or not, that is asked for them
            before each attempt.
        last_event_id: the ID to begin with.
        timeout: a ``Timeout`` without ``total``, or seconds, or None. A limit that passes
            counts as a cut: it leads to another attempt.
        ssl_context: replaces one with the system's trust store.
        proxy, trust_env, uds: the way to the server, as for ``stream``. A proxy that refuses
            is a final error, unless its status is a 5xx or one of ``transient``.
        client: the client whose connections to use. Its headers and limits apply where none
            are given.
        max_event_size: bytes of one event, None for no limit; a larger event is a final
            error.
        comments: yield ``Comment`` items too.
        policy: when to ask again: ``reconnection_time``, ``max_attempts``, ``replay``, and
            the other arguments of ``Reconnection``.
    """

    _CLIENT = Client
    _WAITER = "task"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: EventSource[ServerSentEvent],
            url: str,
            *,
            comments: Literal[False] = False,
            **options: Unpack[SourceOptions],
        ) -> None: ...

        @overload
        def __init__(
            self: EventSource[ServerSentEvent | Comment],
            url: str,
            *,
            comments: bool,
            **options: Unpack[SourceOptions],
        ) -> None: ...

        def __init__(self, url: str, **options: Any) -> None: ...

    def _make_io(self, connector: Connector) -> _IO:
        return _IO(connector, self._timeout)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while True:
            item = await self._next()
            if not isinstance(item, Opened | Disconnected):
                return item

    async def _next(self) -> Item | Opened | Disconnected:
        if self._items and not len(self._items) % TURN:
            await anyio.lowlevel.checkpoint()  # as in EventStream
        while not (items := self._items):
            if not await self._fill():
                raise StopAsyncIteration
        return items.popleft()

    def items(self) -> Items[Item]:
        """Return an iterator over everything, in order: connections, events, faults.

        It yields ``Opened`` and ``Disconnected`` beside the events, so that one loop sees
        what other languages use callbacks for. It shares its position with the source's own
        iterator.
        """
        return Items(self)

    async def restart(self) -> None:
        """Drop the connection and ask again immediately, with the last event ID.

        It may be called while another task waits for the next event, which then comes from
        the new connection; a wait for the next attempt is cut short. It does not count as a
        failure, and ``items()`` shows only the new ``Opened``. Events that have been read
        are still delivered.

        Raises:
            RuntimeError: the request is not a GET, and ``replay`` was not given.
        """
        await self._restart()

    async def aclose(self) -> None:
        """Close the connection and end the iteration, even one that waits in another task."""
        await self._close()


class Items(Generic[Item]):
    """The iterator that ``EventSource.items`` returns."""

    def __init__(self, source: EventSource[Item]) -> None:
        self._source = source

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item | Opened | Disconnected:
        return await self._source._next()
