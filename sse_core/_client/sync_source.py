"""EventSource over blocking sockets: the blocking twin of ``source``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, Unpack, overload

from .._events import Comment, ServerSentEvent
from .._http.exchange import Connection
from .._http.limits import Timeout
from .._http.messages import HeadersInput
from .conversation import at_once
from .options import SourceOptions as CommonOptions
from .reconnection import Disconnected, Opened
from .source_conversation import SourceConversation
from .sync_connector import Connector, Link
from .sync_stream import Block, Client, EventStream
from .unclosed import Place

Item = TypeVar("Item", bound=ServerSentEvent | Comment)


class SourceOptions(CommonOptions, total=False):
    """The keyword arguments of ``EventSource``, for type checkers."""

    headers: HeadersInput | Callable[[], HeadersInput] | None
    client: Client | None


class _IO:
    """The waiting of one source. Its coroutines block and never suspend."""

    def __init__(self, connector: Connector, timeout: Timeout) -> None:
        self._connector = connector
        self._timeout = timeout

    def now(self) -> float:
        return time.monotonic()

    def wakeup(self) -> threading.Event:
        return threading.Event()

    async def wait(self, wakeup: threading.Event, seconds: float) -> None:
        wakeup.wait(max(0.0, seconds))

    async def headers(self, given: Callable[[], Any]) -> HeadersInput:
        headers: HeadersInput = given()
        return headers

    def stream(self, connection: Connection[Any], opened_at: Place) -> EventStream[Any]:
        return EventStream(connection, Link(self._connector), self._timeout, opened_at)

    async def open(self, stream: EventStream[Any]) -> None:
        stream.__enter__()

    def interrupt(self, stream: EventStream[Any]) -> None:
        stream.close()

    async def next_items(self, stream: EventStream[Any]) -> list[Any] | None:
        try:
            return stream.next_items()
        except StopIteration:
            return None

    async def close(self, stream: EventStream[Any]) -> None:
        stream.close()


class EventSource(SourceConversation[Item], Block):
    """The standard's EventSource: one source of events over as many connections as it takes.

        with EventSource("https://example.org/events") as source:
            for event in source:
                print(event.data)

    It connects when the first event is asked for, and again whenever a connection ends, with
    the last event ID; ``Reconnection`` says when, and when not. The iteration ends when the
    server answers 204, at ``close()``, and after a stream that may be asked for only once.

    Arguments are those of ``sse_core.EventSource``. A callable for ``headers`` is not
    asynchronous here, and ``client`` is a ``Client`` of this module.
    """

    _CLIENT = Client
    _WAITER = "thread"

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

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        while True:
            item = self._next()
            if not isinstance(item, Opened | Disconnected):
                return item

    def _next(self) -> Item | Opened | Disconnected:
        while not (items := self._items):
            if not at_once(self._fill()):
                raise StopIteration
        return items.popleft()

    def items(self) -> Items[Item]:
        """Return an iterator over everything, in order; see ``sse_core.EventSource.items``."""
        return Items(self)

    def restart(self) -> None:
        """Drop the connection and ask again immediately, also from another thread.

        See ``sse_core.EventSource.restart``.
        """
        at_once(self._restart())

    def close(self) -> None:
        """Close the connection and end the iteration, even one that waits in another thread."""
        at_once(self._close())


class Items(Generic[Item]):
    """The iterator that ``EventSource.items`` returns."""

    def __init__(self, source: EventSource[Item]) -> None:
        self._source = source

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item | Opened | Disconnected:
        return self._source._next()
