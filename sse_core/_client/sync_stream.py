"""One event stream over blocking sockets; see ``_client``, which has the same order of lines."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, Unpack, overload

from .._errors import ReadTimeout, ResponseError, SSEError, TimeoutException, TransportError
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
from .sync_connector import Connector, seconds_left, transport_error, transport_errors
from .unclosed import Place, caller, warn_unclosed

__all__ = ["Client", "EventStream", "stream"]

READ_SIZE = 64 * 1024

DRAIN_SIZE = 64 * 1024

# Seconds, for the answer to a request that could not be sent to its end: it is there, or not.
EARLY_ANSWER_TIME = 0.1

Item = TypeVar("Item", bound=ServerSentEvent | Comment)


class EventStream(Generic[Item]):
    """The event stream that answers one request; what ``stream`` returns.

    A context manager and an iterator over the events. Entering connects, sends the
    request and reads the response head; leaving closes the socket. The iteration ends
    when the server ends the stream; a stream that is cut short raises TransportError
    after its last complete event.
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
        self._transport: socket.socket | None = None
        self._proxy: Proxy | None = None
        self._reused = False
        self._limited = True  # the socket has a timeout, which costs a system call to change
        self._opened_at = opened_at or caller()
        self._entered = False
        self._receiving = False
        self._process = os.getpid()

    @property
    def response(self) -> Response:
        """Status and headers of the response; there from the beginning of the block."""
        if self._connection.response is None:
            raise RuntimeError("no response yet: enter the stream with `with` first")
        return self._connection.response

    @property
    def last_event_id(self) -> str:
        """The last event ID string, as of the bytes that have been read."""
        return self._connection.parser.last_event_id

    @property
    def reconnection_time(self) -> int | None:
        """The latest valid ``retry`` in milliseconds, or None."""
        return self._connection.parser.reconnection_time

    def __enter__(self) -> Self:
        if self._entered or self._connection.ended:
            raise RuntimeError("an event stream is entered once; ask for a new one")
        self._entered = True
        self._timers.begin(time.monotonic())
        while True:
            try:
                self._open()
            except ResponseError as exc:
                self._connection = self._connection.redirected(exc)
            except TransportError as exc:
                if not self._reused or not self._connection.begin_again(exc):
                    raise
            else:
                return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        items = self._items
        if not items:
            found = self.next_items()
            if len(found) == 1:
                return found[0]
            items.extend(found)
        return items.popleft()

    def next_items(self) -> list[Item]:
        """Return what has been read and not been asked for; or wait for more, for one at least.

        What `next()` returns one by one. Raises StopIteration at the end.
        """
        if not self._entered:
            raise RuntimeError("enter the stream with `with` first")
        if self._receiving:
            raise RuntimeError("another thread is waiting for the next event of this stream")
        try:
            items = self.read_items() if self._items else []
            while not items:
                if (transport := self._transport) is None:
                    raise StopIteration
                if self._connection.ended:
                    self.close()
                elif self._timers.off:
                    items = self._receive(transport, NO_LIMIT)
                else:
                    items = self._receive_in_time(transport)
            return items
        except SSEError:
            if self._transport is None:
                raise StopIteration from None  # closed by another thread
            self.close()
            raise

    def read_items(self) -> list[Item]:
        """Return what has been read and not been asked for, without waiting."""
        items = list(self._items)
        self._items.clear()
        return items

    def _open(self) -> None:
        try:
            url = self._connection.request.url
            self._proxy = self._connector.proxy_for(url)
            limit = self._timers.connecting(time.monotonic())
            transport, self._reused = self._connector.acquire(url, self._proxy, limit)
            self._transport = transport
            try:
                self._send(transport)
            except TransportError as exc:
                self._receive_early_answer(transport, exc)
            limit = self._timers.awaiting_head(time.monotonic())
            while not self._connection.answered:
                self._items.extend(self._receive(transport, limit))
        except TransportError as exc:
            self.close()
            if (error := self._connection.transport_failed(exc)) is exc:
                raise
            raise error from exc
        except BaseException:
            self.close()
            raise

    def _send(self, transport: socket.socket) -> None:
        for piece in pieces(self._connection.data_to_send(self._proxy)):
            limit = self._timers.sending(time.monotonic())
            with transport_errors("sending the request", limit):
                transport.settimeout(seconds_left(limit))
                transport.sendall(piece)

    def _receive_early_answer(self, transport: socket.socket, failure: TransportError) -> None:
        """Read the answer of a peer that did not want all of the request, or raise ``failure``."""
        self._connection.unsent = True
        now = time.monotonic()
        limit = Limit(now + EARLY_ANSWER_TIME, ReadTimeout, "answer", EARLY_ANSWER_TIME)
        try:
            while not self._connection.answered:
                self._items.extend(self._receive(transport, limit))
        except ResponseError:
            raise
        except SSEError:
            raise failure from None

    def close(self, *, drain: float = 0.0) -> None:
        """Close the connection, or hand it back to its ``Client``, and end the iteration.

        It also ends one that waits in another thread. Does not wait for the peer, but for
        ``drain`` seconds; see ``sse_core.EventStream.aclose``.
        """
        try:
            if drain and self._connector.keeps and not self._receiving:
                self._drain(drain)
        finally:
            self._close()

    def _close(self) -> None:
        transport, self._transport = self._transport, None
        self._connection.ended = True
        self._items = deque()
        if transport is None:
            return
        if self._connector.keeps and self._connection.reusable and not self._receiving:
            self._connector.release(self._connection.request.url, self._proxy, transport)
            return
        if os.getpid() == self._process:  # a forked child leaves the connection to its parent
            with suppress(OSError):
                # Wakes the thread in recv(), which close() would not, and which then closes.
                # Not by SSLSocket's method, which takes TLS away under that thread.
                socket.socket.shutdown(transport, socket.SHUT_RDWR)
        if not self._receiving:
            transport.close()

    def _drain(self, seconds: float) -> None:
        end = self._connection.received + DRAIN_SIZE
        limit = Limit(time.monotonic() + seconds, TimeoutException, "end", seconds)
        # What goes wrong here is of no interest: it leaves the connection unfit for reuse.
        with suppress(SSEError):
            while (
                self._transport is not None
                and not self._connection.ended
                and self._connection.received < end
            ):
                self._receive(self._transport, limit)

    def __del__(self) -> None:
        transport: socket.socket | None = getattr(self, "_transport", None)
        if transport is not None:
            transport.close()
            warn_unclosed(self, self._opened_at)

    def _receive_in_time(self, transport: socket.socket) -> list[Item]:
        start = time.monotonic()
        received = dispatched = False
        try:
            items = self._receive(transport, self._timers.reading(start))
            received = True
            dispatched = any(not isinstance(item, Comment) for item in items)
            return items
        finally:
            self._timers.waited(time.monotonic() - start, received=received, dispatched=dispatched)

    def _receive(self, transport: socket.socket, limit: Limit) -> list[Item]:
        data = b""
        if not self._connection.failed:
            data = self._read(transport, limit)
        return self._connection.receive_data(data)

    def _read(self, transport: socket.socket, limit: Limit) -> bytes:
        self._receiving = True
        try:
            if self._limited or limit is not NO_LIMIT:
                self._limited = limit is not NO_LIMIT
                transport.settimeout(seconds_left(limit))
            return transport.recv(READ_SIZE)
        except TransportError:
            raise
        except OSError as exc:
            raise transport_error("reading the response", exc, limit) from exc
        finally:
            self._receiving = False
            if self._transport is None:
                transport.close()


class Client:
    """Keeps connections: what is asked of one server again and again need not connect again.

        with Client(headers={"Authorization": "Bearer …"}) as client:
            with client.stream("https://example.org/events") as events:
                for event in events:
                    print(event.data)

    A connection serves another request when its response was read to its end. When the
    server turns out to have closed it, before any byte of an answer, the request is sent
    once more on a new one. Threads may share a client.

    Arguments are those of ``sse_core.Client``.
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

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

    def close(self) -> None:
        """Close the idle connections; those in use close when their streams are left."""
        self.connector.close()


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

    Arguments, outcome and errors are those of ``sse_core.stream``.
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
