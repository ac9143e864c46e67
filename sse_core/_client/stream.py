"""The client over anyio, for asyncio and trio: opens, sends, reads, closes.

What any of it means is decided in ``_connection``. ``sync`` has the same names and the
same order of lines, blocking.
"""

from __future__ import annotations

import os
import ssl
from collections import deque
from contextlib import suppress
from sys import is_finalizing
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, Unpack, overload

import anyio
import anyio.abc
import anyio.lowlevel

from .._errors import ReadTimeout, ResponseError, SSEError, TransportError
from .._events import Comment, ServerSentEvent
from .._http.exchange import (
    Connection,
    ConnectionOptions,
    RequestOptions,
    StreamOptions,
    open_connection,
    pieces,
)
from .._http.limits import NO_LIMIT, Limit, Timers
from .._http.messages import DEFAULT_TIMEOUT, HeadersInput, Request, Response, Timeout
from .._http.proxies import Proxy
from .._parser import DEFAULT_MAX_EVENT_SIZE
from .connector import (
    SOCKET_ERRORS,
    Connector,
    close_at_once,
    limited,
    receive_within,
    transport_error,
    transport_errors,
)
from .unclosed import Place, caller, warn_unclosed

__all__ = ["Client", "EventStream", "stream"]

# Keeps every limit independent of how the bytes were cut, and is what one read of a
# busy socket brings at most.
READ_SIZE = 64 * 1024

DRAIN_SIZE = 64 * 1024

# Seconds, for the answer to a request that could not be sent to its end: it is there, or not.
EARLY_ANSWER_TIME = 0.1

# Events after which other tasks have their turn, where they come faster than they are asked for.
TURN = 256

Item = TypeVar("Item", bound=ServerSentEvent | Comment)


class EventStream(Generic[Item]):
    """The event stream that answers one request; what ``stream`` returns.

    An asynchronous context manager and an iterator over the events. Entering connects,
    sends the request and reads the response head; leaving closes the socket. The
    iteration ends when the server ends the stream; a stream that is cut short raises
    TransportError after its last complete event. An ``anext()`` can be cancelled and
    called again: events that have been read wait here.
    """

    def __init__(
        self,
        connection: Connection[Item],
        *,
        timeout: Timeout,
        connector: Connector,
        opened_at: Place | None = None,
    ) -> None:
        self._connection = connection
        self._timers = Timers(timeout)
        self._connector = connector
        self._items: deque[Item] = deque()
        self._transport: anyio.abc.ByteStream | None = None
        self._proxy: Proxy | None = None
        self._reused = False
        self._opened_at = opened_at or caller()
        self._entered = False
        self._failure: SSEError | None = None
        self._receiving = False
        self._process = os.getpid()

    @property
    def response(self) -> Response:
        """Status and headers of the response; there from the beginning of the block."""
        if self._connection.response is None:
            raise RuntimeError("no response yet: enter the stream with `async with` first")
        return self._connection.response

    @property
    def last_event_id(self) -> str:
        """The last event ID string, as of the bytes that have been read."""
        return self._connection.parser.last_event_id

    @property
    def reconnection_time(self) -> int | None:
        """The latest valid ``retry`` in milliseconds, or None."""
        return self._connection.parser.reconnection_time

    async def __aenter__(self) -> Self:
        if self._entered or self._connection.ended:
            raise RuntimeError("an event stream is entered once; ask for a new one")
        self._entered = True
        self._timers.begin(anyio.current_time())
        while True:
            try:
                await self._open()
            except ResponseError as exc:
                self._connection = self._connection.redirected(exc)
            except TransportError as exc:
                if not self._reused or not self._connection.begin_again(exc):
                    raise
            else:
                return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        items = self._items
        if not items:
            found = await self.next_items()
            if len(found) == 1:
                return found[0]
            items.extend(found)
        if not len(items) % TURN:  # the others' turn, also in a burst
            await anyio.lowlevel.checkpoint()
            if not items:
                return await anext(self)  # closed meanwhile by another task
        return items.popleft()

    async def next_items(self) -> list[Item]:
        """Return what has been read and not been asked for; or wait for more, for one at least.

        What `anext()` returns one by one. Raises StopAsyncIteration at the end.
        """
        if not self._entered:
            raise RuntimeError("enter the stream with `async with` first")
        if self._receiving:
            raise RuntimeError("another task is waiting for the next event of this stream")
        self._receiving = True
        try:
            items = self.read_items() if self._items else []
            while not items:
                if self._failure is not None:
                    raise self._failure
                if self._transport is None:
                    raise StopAsyncIteration
                if self._connection.ended:
                    await self.aclose()
                elif self._timers.off:
                    items = await self._receive()
                else:
                    items = await self._receive_in_time()
            return items
        except SSEError as exc:
            try:
                await self.aclose()
            except BaseException:  # cancelled: the next call raises, or a cut would be an end
                self._failure = exc
                raise
            raise
        finally:
            self._receiving = False

    def read_items(self) -> list[Item]:
        """Return what has been read and not been asked for, without waiting."""
        items = list(self._items)
        self._items.clear()
        return items

    async def _open(self) -> None:
        try:
            url = self._connection.request.url
            self._proxy = self._connector.proxy_for(url)
            with limited(self._timers.connecting(anyio.current_time())):
                self._transport, self._reused = await self._connector.acquire(url, self._proxy)
            try:
                await self._send(self._transport)
            except TransportError as exc:
                await self._receive_early_answer(exc)
            with limited(self._timers.awaiting_head(anyio.current_time())):
                while not self._connection.answered:
                    self._items.extend(await self._receive())
        except TransportError as exc:
            await self.aclose()
            if (error := self._connection.transport_failed(exc)) is exc:
                raise
            raise error from exc
        except BaseException:
            await self.aclose()
            raise

    async def _send(self, transport: anyio.abc.ByteStream) -> None:
        for piece in pieces(self._connection.data_to_send(self._proxy)):
            with limited(self._timers.sending(anyio.current_time())):
                with transport_errors("sending the request"):
                    await transport.send(piece)

    async def _receive_early_answer(self, failure: TransportError) -> None:
        """Read the answer of a peer that did not want all of the request, or raise ``failure``."""
        self._connection.unsent = True
        now = anyio.current_time()
        try:
            with limited(Limit(now + EARLY_ANSWER_TIME, ReadTimeout, "answer", EARLY_ANSWER_TIME)):
                while not self._connection.answered:
                    self._items.extend(await self._receive())
        except ResponseError:
            raise
        except SSEError:
            raise failure from None

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Close the connection, or hand it back to its ``Client``, and end the iteration.

        Does not wait for the peer, but for ``drain`` seconds where the connection could be
        used again and only the end of the body is missing: for callers who know that no
        event will follow. What still comes is dropped, and more than 64 KiB is not read.
        """
        try:
            if drain and self._connector.keeps and not self._receiving:
                await self._drain(drain)
        finally:
            await self._close()

    async def _close(self) -> None:
        transport, self._transport = self._transport, None
        self._connection.ended = True
        self._failure = None
        self._items.clear()
        if transport is None:
            return
        if self._connector.keeps and self._connection.reusable:
            await self._connector.release(self._connection.request.url, self._proxy, transport)
        else:
            await anyio.aclose_forcefully(transport)

    async def _drain(self, seconds: float) -> None:
        end = self._connection.received + DRAIN_SIZE
        # What goes wrong here is of no interest: it leaves the connection unfit for reuse.
        with suppress(SSEError), anyio.move_on_after(seconds):
            while not self._connection.ended and self._connection.received < end:
                await self._receive()

    def __del__(self) -> None:
        transport: anyio.abc.ByteStream | None = getattr(self, "_transport", None)
        if transport is None or is_finalizing():  # then the system closes it
            return
        if os.getpid() == self._process:  # a forked child shares the parent's event loop
            close_at_once(transport)
            warn_unclosed(self, self._opened_at)

    async def _receive_in_time(self) -> list[Item]:
        start = anyio.current_time()
        received = dispatched = False
        try:
            items = await self._receive(self._timers.reading(start))
            received = True
            dispatched = any(not isinstance(item, Comment) for item in items)
            return items
        finally:
            self._timers.waited(
                anyio.current_time() - start, received=received, dispatched=dispatched
            )

    async def _receive(self, limit: Limit = NO_LIMIT) -> list[Item]:
        data = b""
        if not self._connection.failed:
            assert self._transport is not None
            try:
                if limit is NO_LIMIT:
                    data = await self._transport.receive(READ_SIZE)
                else:
                    data = await receive_within(self._transport, READ_SIZE, limit)
            except anyio.EndOfStream:
                pass
            except anyio.ClosedResourceError:
                return []  # by aclose() in another task, which has ended the iteration
            except TransportError:
                raise
            except SOCKET_ERRORS as exc:
                raise transport_error("reading the response", exc) from exc
        return self._connection.receive_data(data)


class Client:
    """Keeps connections: what is asked of one server again and again need not connect again.

        async with sse_core.Client(headers={"Authorization": "Bearer …"}) as client:
            async with client.stream("https://example.org/events") as events:
                async for event in events:
                    print(event.data)

    A connection serves another request when its response was read to its end. When the
    server turns out to have closed it, before any byte of an answer, the request is sent
    once more on a new one. A client belongs to one event loop.

    Args:
        headers: header fields for every request; those of a call go before them.
        timeout: for every request that is given none.
        ssl_context: in place of one with the system's trust store.
        proxy, trust_env, uds: the way to the servers, as for ``stream``.
        max_idle: connections kept for one origin.
        max_idle_time: seconds for which one is kept. It is closed when the client is next
            used, or left.
    """

    def __init__(
        self,
        *,
        headers: HeadersInput | None = None,
        timeout: Timeout | float | None = DEFAULT_TIMEOUT,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        uds: str | os.PathLike[str] | None = None,
        max_idle: int = 8,
        max_idle_time: float = 60.0,
    ) -> None:
        self.headers = headers
        self.timeout = Timeout.of(timeout)
        self.connector = Connector(
            ssl_context=ssl_context,
            proxy=proxy,
            trust_env=trust_env,
            uds=uds,
            max_idle=max_idle,
            max_idle_time=max_idle_time,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

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
        timeout: Timeout | float | None = DEFAULT_TIMEOUT,
        **options: Unpack[ConnectionOptions],
    ) -> EventStream[Any]:
        """Ask for one event stream; arguments and errors are those of ``sse_core.stream``."""
        connection = open_connection(
            url, comments=comments, default_headers=self.headers, **options
        )
        return EventStream(connection, timeout=self.timeout_for(timeout), connector=self.connector)

    def timeout_for(self, timeout: Timeout | float | None) -> Timeout:
        """Return the limits for a request: its own, if it has been given any."""
        return self.timeout if timeout is DEFAULT_TIMEOUT else Timeout.of(timeout)

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
    method: str | None = None,
    headers: HeadersInput | None = None,
    content: bytes | str | None = None,
    json: Any = None,
    last_event_id: str = "",
    timeout: Timeout | float | None = DEFAULT_TIMEOUT,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
    trust_env: bool = True,
    uds: str | os.PathLike[str] | None = None,
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    comments: bool = False,
    allow_http: bool = False,
) -> EventStream[Any]:
    """Ask for one event stream: one request, one response, no reconnecting.

        async with sse_core.stream("https://example.org/events") as events:
            async for event in events:
                print(event.data)

    Entering the block raises ResponseError, with status, headers and body, for anything
    that is not status 200 with ``text/event-stream``; 204 is a stream without events.

    Args:
        url: what to ask for, or a ``Request`` that says it all.
        method: by default POST with a body, GET without.
        headers: further header fields.
        content: a body of bytes or text.
        json: a body to be sent as JSON.
        last_event_id: sent as ``Last-Event-ID``, and in force until the stream sets another.
        timeout: a ``Timeout``, or seconds for connect, write, head and idle, or None.
        ssl_context: in place of one with the system's trust store.
        proxy: the URL of an HTTP proxy, such as ``http://user:password@proxy.example:3128``,
            for every request. It is asked for a tunnel to https URLs, in which TLS is spoken.
        trust_env: without ``proxy``, ask the one that ``http_proxy``, ``https_proxy`` or
            ``all_proxy`` names for the URL, unless ``no_proxy`` does; never for this host.
        uds: a Unix socket to connect to in place of the URL's host and port; no proxy is
            asked then.
        max_event_size: bytes of one event, None for no limit; see ``EventStreamParser``.
        comments: yield ``Comment`` items too.
        allow_http: follow a redirect from https to http, which is an error otherwise. Up to
            20 redirects are followed; to another origin go neither the caller's headers,
            but Accept, Accept-Language and User-Agent, nor a body.

    Raises:
        ValueError: the request cannot be sent as given, the last event ID holds CR, LF or
            NUL, or ``proxy`` is no URL of an HTTP proxy. Entering the block raises it for
            one that the environment names.
    """
    connection = open_connection(
        url,
        method=method,
        headers=headers,
        content=content,
        json=json,
        last_event_id=last_event_id,
        max_event_size=max_event_size,
        comments=comments,
        allow_http=allow_http,
    )
    return EventStream(
        connection,
        timeout=Timeout.of(timeout),
        connector=Connector(ssl_context=ssl_context, proxy=proxy, trust_env=trust_env, uds=uds),
    )
