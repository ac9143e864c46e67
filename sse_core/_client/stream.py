"""The client over anyio, for asyncio and trio: ``stream``, ``Client``, ``EventStream``.

``conversation`` decides what happens; here bytes are awaited. ``sync_stream`` is the
blocking twin, with the same names.
"""

from __future__ import annotations

import os
import ssl
from abc import abstractmethod
from typing import Any, Literal, Self, TypeVar, Unpack, overload

import anyio
import anyio.lowlevel

from .._errors import SSEError
from .._events import Comment, ServerSentEvent
from .._given import NOT_GIVEN, NotGiven
from .._http.exchange import BodyReader
from .._http.limits import DEFAULT_TIMEOUT, Timeout
from .._http.messages import Request
from .connector import Connector, Link
from .conversation import StreamConversation
from .options import ClientBase, ConnectionOptions, RequestOptions, StreamOptions, connection_for
from .route import Route

# Other tasks get their turn after this many events, if events come faster than asked for.
TURN = 256

Item = TypeVar("Item", bound=ServerSentEvent | Comment)


class AsyncBlock:
    """An object that its ``async with`` block closes."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @abstractmethod
    async def aclose(self) -> None: ...


class EventStream(StreamConversation[Item], AsyncBlock):
    """The event stream that answers one request; ``stream`` returns it.

    An asynchronous context manager and an iterator over the events. Entering connects,
    sends the request and reads the response head; leaving closes the socket. The iteration
    ends when the server ends the stream. A stream that is cut short raises TransportError
    after its last complete event. An ``anext()`` can be cancelled and called again: events
    that have been read are kept for it.
    """

    _WITH = "async with"
    _io: Link

    async def __aenter__(self) -> Self:
        await self._enter()
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        items = self._items
        if not items:
            found = await self.next_items()
            if len(found) == 1:
                return found[0]
            items.extend(found)
        if not len(items) % TURN:  # other tasks get their turn, also in a burst
            await anyio.lowlevel.checkpoint()
            if items is not self._items:
                return await anext(self)  # another task has closed the stream
        return items.popleft()

    async def next_items(self) -> list[Item]:
        """Return the items that have been read; if there are none, wait for at least one.

        ``anext()`` returns the same items one by one.

        Raises:
            StopAsyncIteration: the stream has ended.
        """
        if not self._entered:
            raise RuntimeError("enter the stream with `async with` first")
        io = self._io
        if io.receiving:
            raise RuntimeError("another task is waiting for the next event of this stream")
        io.receiving = True
        try:
            items = self.read_items() if self._items else []
            while not items:
                connection = self._connection
                if self._failure is not None:
                    raise self._failure
                if not io.is_open:
                    raise StopAsyncIteration
                if connection.ended:
                    await self.aclose()
                elif self._timers.off:
                    data = b"" if connection.failed else await io.receive()
                    items = connection.receive_data(data)
                else:
                    items = await self._receive_in_time()
            return items
        except SSEError as exc:
            await self._fail(exc)
            raise
        finally:
            io.receiving = False

    async def _receive_in_time(self) -> list[Item]:
        connection, now = self._connection, self._io.now
        start = now()
        items = None
        try:
            limit = self._timers.reading(start)
            data = b"" if connection.failed else await self._io.receive(limit)
            items = connection.receive_data(data)
            return items
        finally:
            self._timers.waited(now() - start, items)

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Close the connection, or hand it back to its ``Client``, and end the iteration.

        It does not wait for the peer. With ``drain``, it waits for up to so many seconds if
        the connection could be used again and only the end of the body is missing: for
        callers who know that no event will follow. Bytes that still come are dropped, and
        at most 64 KiB are read.
        """
        await self._leave(drain)


class Client(ClientBase, AsyncBlock):
    """Keeps connections open between requests to the same server.

        async with sse_core.Client(headers={"Authorization": "Bearer …"}) as client:
            async with client.stream("https://example.org/events") as events:
                async for event in events:
                    print(event.data)

    A connection serves another request once its response was read to its end. If the server
    turns out to have closed it before any byte of an answer, the request is sent once more
    on a new one. A client belongs to one event loop.

    Args:
        headers: header fields for every request; those of a call take precedence.
        timeout: for every request that has none of its own.
        ssl_context: replaces one with the system's trust store.
        proxy, trust_env, uds: the way to the servers, as for ``stream``.
        max_idle: connections kept for one origin.
        max_idle_time: seconds for which one is kept. It is closed when the client is next
            used, or left.
    """

    _CONNECTOR = Connector
    connector: Connector

    @overload
    def stream(
        self,
        url: str | Request,
        *,
        comments: Literal[False] = False,
        **options: Unpack[RequestOptions],
    ) -> EventStream[ServerSentEvent]: ...

    @overload
    def stream(
        self, url: str | Request, *, comments: bool, **options: Unpack[RequestOptions]
    ) -> EventStream[ServerSentEvent | Comment]: ...

    def stream(
        self,
        url: str | Request,
        *,
        comments: bool = False,
        timeout: Timeout | float | NotGiven | None = NOT_GIVEN,
        reader: BodyReader | None = None,
        **options: Unpack[ConnectionOptions],
    ) -> EventStream[Any]:
        """Ask for one event stream; arguments and errors are those of ``sse_core.stream``.

        With a ``reader`` (see ``BodyReader``), the stream yields the items that the reader
        makes of the body, unparsed.
        """
        connection = connection_for(
            url, comments=comments, reader=reader, default_headers=self.headers, **options
        )
        return EventStream(connection, Link(self.connector), self.timeout_for(timeout))

    async def aclose(self) -> None:
        """Close the idle connections; those in use close when their streams are left."""
        await self.connector.aclose()


@overload
def stream(
    url: str | Request, *, comments: Literal[False] = False, **options: Unpack[StreamOptions]
) -> EventStream[ServerSentEvent]: ...


@overload
def stream(
    url: str | Request, *, comments: bool, **options: Unpack[StreamOptions]
) -> EventStream[ServerSentEvent | Comment]: ...


def stream(
    url: str | Request,
    *,
    comments: bool = False,
    timeout: Timeout | float | None = DEFAULT_TIMEOUT,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
    trust_env: bool = True,
    uds: str | os.PathLike[str] | None = None,
    **options: Unpack[ConnectionOptions],
) -> EventStream[Any]:
    """Ask for one event stream: one request, one response, no reconnecting.

        async with sse_core.stream("https://example.org/events") as events:
            async for event in events:
                print(event.data)

    Entering the block raises ResponseError, with status, headers and body, for any answer
    but status 200 with ``text/event-stream``; 204 is a stream without events.

    Args:
        url: an http or https URL, or a complete ``Request``.
        method: by default POST with a body, GET without.
        headers: further header fields.
        content: a body of bytes or text.
        json: a body to be sent as JSON.
        last_event_id: sent as ``Last-Event-ID``, and in force until the stream sets another.
        timeout: a ``Timeout``; or seconds for connect, write, head and idle; or None.
        ssl_context: replaces one with the system's trust store.
        proxy: the URL of an HTTP proxy for every request, such as
            ``http://user:password@proxy.example:3128``. For an https URL it is asked for a
            tunnel, and TLS is spoken inside.
        trust_env: without ``proxy``, ask the proxy that ``http_proxy``, ``https_proxy`` or
            ``all_proxy`` names for the URL, unless ``no_proxy`` exempts it. This host itself
            is never reached through a proxy.
        uds: a Unix socket to connect to instead of the URL's host and port; no proxy is
            asked then.
        max_event_size: bytes of one event, None for no limit; see ``EventStreamParser``.
        comments: yield ``Comment`` items too.
        allow_http: follow a redirect from https to http, which is otherwise an error. Up to
            20 redirects are followed. To another origin go neither a body nor the caller's
            headers, except Accept, Accept-Language and User-Agent.

    Raises:
        ValueError: the request cannot be sent as given, the last event ID contains CR, LF or
            NUL, or ``proxy`` is not the URL of an HTTP proxy. Entering the block raises it
            for a proxy that the environment names.
    """
    connection = connection_for(url, comments=comments, **options)
    route = Route(ssl_context=ssl_context, proxy=proxy, trust_env=trust_env, uds=uds)
    return EventStream(connection, Link(Connector(route)), Timeout.of(timeout))
