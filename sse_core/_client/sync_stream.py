"""The client over blocking sockets: ``stream``, ``Client``, ``EventStream``.

The blocking twin of ``stream``, with the same names.
"""

from __future__ import annotations

import os
import ssl
import time
from abc import abstractmethod
from typing import Any, Literal, Self, TypeVar, Unpack, overload

from .._errors import SSEError
from .._events import Comment, ServerSentEvent
from .._given import NOT_GIVEN, NotGiven
from .._http.exchange import BodyReader
from .._http.limits import DEFAULT_TIMEOUT, Timeout
from .._http.messages import Request
from .conversation import StreamConversation, at_once
from .options import ClientBase, ConnectionOptions, RequestOptions, StreamOptions, connection_for
from .route import Route
from .sync_connector import Connector, Link

Item = TypeVar("Item", bound=ServerSentEvent | Comment)


class Block:
    """An object that its ``with`` block closes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None: ...


class EventStream(StreamConversation[Item], Block):
    """The event stream that answers one request; ``stream`` returns it.

    A context manager and an iterator over the events. Entering connects, sends the request
    and reads the response head; leaving closes the socket. The iteration ends when the
    server ends the stream. A stream that is cut short raises TransportError after its last
    complete event.
    """

    _WITH = "with"
    _io: Link

    def __enter__(self) -> Self:
        at_once(self._enter())
        return self

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
        """Return the items that have been read; if there are none, wait for at least one.

        ``next()`` returns the same items one by one.

        Raises:
            StopIteration: the stream has ended.
        """
        if not self._entered:
            raise RuntimeError("enter the stream with `with` first")
        connection, io = self._connection, self._io
        if io.receiving:
            raise RuntimeError("another thread is waiting for the next event of this stream")
        try:
            items = self.read_items() if self._items else []
            while not items:
                if not io.is_open:
                    raise StopIteration
                if connection.ended:
                    self.close()
                elif self._timers.off:
                    items = connection.receive_data(b"" if connection.failed else io.read())
                else:
                    items = self._receive_in_time()
            return items
        except SSEError as exc:
            if not io.is_open:
                raise StopIteration from None  # another thread has closed the stream
            at_once(self._fail(exc))
            raise

    def _receive_in_time(self) -> list[Item]:
        connection = self._connection
        start = time.monotonic()
        items = None
        try:
            limit = self._timers.reading(start)
            data = b"" if connection.failed else self._io.read(limit)
            items = connection.receive_data(data)
            return items
        finally:
            self._timers.waited(time.monotonic() - start, items)

    def close(self, *, drain: float = 0.0) -> None:
        """Close the connection, or hand it back to its ``Client``, and end the iteration.

        It also ends an iteration that waits in another thread. It does not wait for the
        peer, except with ``drain``; see ``sse_core.EventStream.aclose``.
        """
        at_once(self._leave(drain))


class Client(ClientBase, Block):
    """Keeps connections open between requests to the same server.

        with Client(headers={"Authorization": "Bearer …"}) as client:
            with client.stream("https://example.org/events") as events:
                for event in events:
                    print(event.data)

    A connection serves another request once its response was read to its end. If the server
    turns out to have closed it before any byte of an answer, the request is sent once more
    on a new one. Threads may share a client. Arguments are those of ``sse_core.Client``.
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
    comments: bool = False,
    timeout: Timeout | float | None = DEFAULT_TIMEOUT,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
    trust_env: bool = True,
    uds: str | os.PathLike[str] | None = None,
    **options: Unpack[ConnectionOptions],
) -> EventStream[Any]:
    """Ask for one event stream: one request, one response, no reconnecting.

        with stream("https://example.org/events") as events:
            for event in events:
                print(event.data)

    Arguments, outcome and errors are those of ``sse_core.stream``.
    """
    connection = connection_for(url, comments=comments, **options)
    route = Route(ssl_context=ssl_context, proxy=proxy, trust_env=trust_env, uds=uds)
    return EventStream(connection, Link(Connector(route)), Timeout.of(timeout))
