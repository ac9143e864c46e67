"""EventSource over blocking sockets; see ``_event_source``, which has the same order of lines."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar, Unpack, overload

from .._errors import SSEError
from .._events import Comment, ServerSentEvent
from .._http.messages import DEFAULT_TIMEOUT, HeadersInput, Request, Response, Timeout, merged
from .._parser import DEFAULT_MAX_EVENT_SIZE
from .reconnection import Disconnected, Opened, Policy, Reconnection
from .sync_stream import Client, EventStream
from .unclosed import caller

__all__ = ["EventSource"]

Item = TypeVar("Item", bound=ServerSentEvent | Comment)

# Headers, or what is called for them before each attempt.
Headers: TypeAlias = "HeadersInput | Callable[[], HeadersInput]"


class SourceOptions(Policy, total=False):
    """The keyword arguments of ``EventSource``, for type checkers."""

    method: str | None
    headers: Headers | None
    content: bytes | str | None
    json: Any
    last_event_id: str
    timeout: Timeout | float | None
    ssl_context: ssl.SSLContext | None
    proxy: str | None
    trust_env: bool
    uds: str | os.PathLike[str] | None
    client: Client | None
    max_event_size: int | None


class EventSource(Generic[Item]):
    """The standard's EventSource: one source of events over as many connections as it takes.

        with EventSource("https://example.org/events") as source:
            for event in source:
                print(event.data)

    Connects when the first event is asked for, and again whenever a connection ends, with
    the last event ID; see ``Reconnection`` for when, and when not. The iteration ends when
    the server answers 204, at ``close()``, and where a stream that may be asked for only
    once has ended. A wrong host name is asked for ever, unless ``max_attempts`` or
    ``max_elapsed`` are set.

    Args:
        url, method, content, json: the request, as for ``stream``.
        headers: header fields; or a callable that is asked for them
            before each attempt.
        last_event_id: to begin with.
        timeout: a ``Timeout`` without ``total``, or seconds, or None. A limit that passes
            is like a cut: it leads to another attempt.
        ssl_context: in place of one with the system's trust store.
        proxy, trust_env, uds: the way to the server, as for ``stream``. A proxy that refuses
            is an error for good, unless by a status of 5xx or one in ``transient``.
        client: whose connections to use; its headers and limits hold where none are given.
        max_event_size: bytes of one event, None for no limit; more is an error for good.
        comments: yield ``Comment`` items too.
        policy: when to ask again: ``reconnection_time``, ``max_attempts``, ``replay``, …;
            all of it is described at ``Reconnection``.
    """

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

    def __init__(
        self,
        url: str,
        *,
        method: str | None = None,
        headers: Headers | None = None,
        content: bytes | str | None = None,
        json: Any = None,
        last_event_id: str = "",
        timeout: Timeout | float | None = DEFAULT_TIMEOUT,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        uds: str | os.PathLike[str] | None = None,
        client: Client | None = None,
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        comments: bool = False,
        **policy: Unpack[Policy],
    ) -> None:
        if client is None:
            client = Client(
                timeout=timeout,
                ssl_context=ssl_context,
                proxy=proxy,
                trust_env=trust_env,
                uds=uds,
                max_idle=0,
            )
        elif (ssl_context, proxy, trust_env, uds) != (None, None, True, None):
            raise ValueError("a client has an ssl_context and a way to the server of its own")
        self._headers = headers if callable(headers) else None
        self._default_headers = client.headers
        request = Request(
            url,
            method,
            headers=merged(client.headers, None if callable(headers) else headers),
            content=content,
            json=json,
        )
        self._machine = Reconnection(
            request,
            last_event_id=last_event_id,
            max_event_size=max_event_size,
            comments=comments,
            **policy,
        )
        self._timeout = client.timeout_for(timeout)
        if self._timeout.total is not None:
            raise ValueError("a source has no end that `total` could limit; see max_elapsed")
        self._connector = client.connector
        self._opened_at = caller()
        self._stream: EventStream[Any] | None = None
        self._connecting: EventStream[Any] | None = None
        self._response: Response | None = None
        self._items: deque[Item | Opened | Disconnected] = deque()
        self._wake = 0.0
        self._restarting: EventStream[Any] | None = None
        self._closed = False
        self._wakeup = threading.Event()
        self._busy = False

    @property
    def state(self) -> Literal["connecting", "open", "closed"]:
        """The standard's ready state. Waiting for the next attempt is connecting."""
        if self._closed:
            return "closed"
        return "connecting" if self._stream in (None, self._restarting) else "open"

    @property
    def last_event_id(self) -> str:
        """The last event ID string, as of the bytes that have been read."""
        if self._stream is not None:
            return self._stream.last_event_id
        return self._machine.last_event_id

    @property
    def response(self) -> Response:
        """Status and headers of the current connection, or of the latest one."""
        if self._response is None:
            raise RuntimeError("no response yet: ask for the first event")
        return self._response

    def __enter__(self) -> Self:
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
        while True:
            item = self._next()
            if not isinstance(item, Opened | Disconnected):
                return item

    def items(self) -> Items[Item]:
        """Return an iterator over everything, in order: connections, events, faults.

        Yields ``Opened`` and ``Disconnected`` beside the events, so that one loop sees what
        other languages have callbacks for. It shares its position with the source's own
        iterator.
        """
        return Items(self)

    def restart(self) -> None:
        """Drop the connection and ask again at once, also from another thread.

        See ``sse_core.EventSource.restart``.
        """
        if not self._machine.replay:
            raise RuntimeError("a request that is more than a GET is repeated with replay=True")
        self._wakeup.set()
        stream = self._stream
        if stream is not None:
            self._restarting = stream
            stream.close()

    def close(self) -> None:
        """Close the connection and end the iteration, also one that waits in another thread."""
        self._closed = True
        self._wakeup.set()
        self._items.clear()
        self._stream = None
        if self._connecting is not None:
            self._connecting.close()

    def _next(self) -> Item | Opened | Disconnected:
        if self._busy:
            raise RuntimeError("another thread is waiting for the next event of this source")
        self._busy = True
        try:
            while not self._items:
                if self._closed:
                    raise StopIteration
                if self._stream is None:
                    self._connect()
                else:
                    self._receive(self._stream)
            return self._items.popleft()
        finally:
            self._busy = False

    def _connect(self) -> None:
        # Until a point in time, so that a cancelled wait goes on with what is left of it.
        self._wakeup.wait(max(0.0, self._wake - time.monotonic()))
        self._wakeup.clear()
        if self._closed:
            return
        headers = None
        if self._headers is not None:
            headers = merged(self._default_headers, self._headers())
        connection = self._machine.connect(time.monotonic(), headers)
        stream = EventStream(
            connection,
            timeout=self._timeout,
            connector=self._connector,
            opened_at=self._opened_at,
        )
        self._connecting = stream  # for close() in another thread
        if self._closed:
            return
        try:
            stream.__enter__()
        except SSEError as exc:
            self._disconnected(exc)
            return
        if self._closed:
            stream.close()
            return
        self._wakeup.clear()
        self._stream = stream
        self._response = stream.response
        if stream.response.status == 200:
            self._items.append(Opened(stream.response))
            self._received(stream.read_items())

    def _receive(self, stream: EventStream[Item]) -> None:
        try:
            self._received(stream.next_items())
        except StopIteration:
            self._disconnected(None)
        except SSEError as exc:
            self._disconnected(exc)

    def _received(self, items: list[Item]) -> None:
        self._machine.received(items, time.monotonic())
        self._items.extend(items)

    def _disconnected(self, error: SSEError | None) -> None:
        stream, self._stream = self._stream, None
        if self._closed:
            return
        if stream is not None and stream is self._restarting:
            self._restarting = None
            self._machine.restarted()
            self._wake = 0.0
            return
        now = time.monotonic()
        try:
            delay = self._machine.closed(now, error)
        except SSEError:
            self._closed = True
            raise
        if delay is None:
            self._closed = True
            return
        self._wake = now + delay
        if not self._machine.redirected:
            self._items.append(Disconnected(error, delay))


class Items(Generic[Item]):
    """What ``EventSource.items`` returns."""

    def __init__(self, source: EventSource[Item]) -> None:
        self._source = source

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item | Opened | Disconnected:
        return self._source._next()
