"""The loop of an EventSource, written once for both shells: connect, receive, wait, again.

``Reconnection`` decides which request comes next, and when. The coroutines here run what it
says over a small ``SourceIO`` object; see ``conversation`` for how both shells use them.
"""

from __future__ import annotations

import os
import ssl
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeAlias, TypeVar, Unpack

from .._errors import SSEError
from .._events import Comment, ServerSentEvent
from .._given import NOT_GIVEN, NotGiven
from .._http.exchange import Connection
from .._http.limits import Timeout
from .._http.messages import HeadersInput, Request, Response, merged
from .._parser import DEFAULT_MAX_EVENT_SIZE
from .options import ClientBase
from .reconnection import Disconnected, Opened, Policy, Reconnection
from .unclosed import caller

Item = TypeVar("Item", bound=ServerSentEvent | Comment)

# Header fields, or a callable that is asked for them before each attempt.
SourceHeaders: TypeAlias = "HeadersInput | Callable[[], HeadersInput | Awaitable[HeadersInput]]"


class SourceIO(Protocol):
    """What the shell of a source does: it keeps the time, waits, opens, reads and closes."""

    def now(self) -> float: ...
    def wakeup(self) -> Any: ...
    async def wait(self, wakeup: Any, seconds: float) -> None: ...
    async def headers(
        self, given: Callable[[], HeadersInput | Awaitable[HeadersInput]]
    ) -> HeadersInput: ...
    def stream(self, connection: Connection[Any], opened_at: Any) -> Any: ...
    async def open(self, stream: Any) -> None: ...
    def interrupt(self, stream: Any) -> None: ...
    async def next_items(self, stream: Any) -> list[Any] | None: ...
    async def close(self, stream: Any) -> None: ...


class SourceConversation(Generic[Item]):
    """One source of events over many connections; the base of both ``EventSource`` classes."""

    _CLIENT: ClassVar[Callable[..., ClientBase]]
    _WAITER: ClassVar[str]
    """The one who waits for events: a task or a thread."""

    def __init__(
        self,
        url: str,
        *,
        method: str | None = None,
        headers: SourceHeaders | None = None,
        content: bytes | str | None = None,
        json: Any = None,
        last_event_id: str = "",
        timeout: Timeout | float | NotGiven | None = NOT_GIVEN,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        uds: str | os.PathLike[str] | None = None,
        client: ClientBase | None = None,
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        comments: bool = False,
        **policy: Unpack[Policy],
    ) -> None:
        route = {"ssl_context": ssl_context, "proxy": proxy, "trust_env": trust_env, "uds": uds}
        if client is None:
            client = self._CLIENT(max_idle=0, **route)
        elif (ssl_context, proxy, trust_env, uds) != (None, None, True, None):
            raise ValueError("a client has its own ssl_context and way to the server")
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
        self._opened_at = caller()
        self._io = self._make_io(client.connector)
        self._items: deque[Item | Opened | Disconnected] = deque()
        self._response: Response | None = None
        self._stream: Any = None
        self._connecting: Any = None  # the latest stream, open or being opened
        self._restarting: Any = None  # the stream that `restart` has dropped
        self._wake = 0.0
        self._wakeup = self._io.wakeup()
        self._closed = False
        self._busy = False

    @abstractmethod
    def _make_io(self, connector: Any) -> SourceIO:
        """Return the IO of this shell."""

    @property
    def state(self) -> Literal["connecting", "open", "closed"]:
        """The standard's ready state. Waiting for the next attempt counts as connecting."""
        if self._closed:
            return "closed"
        return "connecting" if self._stream in (None, self._restarting) else "open"

    @property
    def last_event_id(self) -> str:
        """The last event ID string, as of the bytes that have been read."""
        stream = self._stream
        return self._machine.last_event_id if stream is None else str(stream.last_event_id)

    @property
    def response(self) -> Response:
        """Status and headers of the current connection, or of the latest one."""
        if self._response is None:
            raise RuntimeError("no response yet: ask for the first event")
        return self._response

    async def _fill(self) -> bool:
        """Run the source until an item is there; return False at its end."""
        if self._busy:
            raise RuntimeError(
                f"another {self._WAITER} is waiting for the next event of this source"
            )
        self._busy = True
        try:
            while not self._items:
                if self._closed:
                    return False
                if self._stream is None:
                    await self._connect()
                else:
                    await self._receive(self._stream)
            return True
        finally:
            self._busy = False

    async def _connect(self) -> None:
        io = self._io
        # Until a point in time, so that a cancelled wait resumes with the rest of it.
        await io.wait(self._wakeup, self._wake - io.now())
        self._wakeup = io.wakeup()
        if self._closed:
            return
        headers = None
        if self._headers is not None:
            headers = merged(self._default_headers, await io.headers(self._headers))
            if self._closed:
                return
        stream = io.stream(self._machine.connect(io.now(), headers), self._opened_at)
        self._connecting = stream
        if self._closed:  # pragma: no cover  # by another thread, since the line above
            return
        try:
            await io.open(stream)
        except SSEError as exc:
            self._disconnected(exc)
            return
        if self._closed:
            await io.close(stream)
            return
        self._wakeup = io.wakeup()
        self._stream = stream
        self._response = stream.response
        if stream.response.status == 200:
            self._items.append(Opened(stream.response))
            self._received(stream.read_items())

    async def _receive(self, stream: Any) -> None:
        try:
            items = await self._io.next_items(stream)
        except SSEError as exc:
            self._disconnected(exc)
        else:
            if items is None:
                self._disconnected(None)
            else:
                self._received(items)

    def _received(self, items: list[Item]) -> None:
        self._machine.received(items, self._io.now())
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
        now = self._io.now()
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

    async def _restart(self) -> None:
        if not self._machine.replay:
            raise RuntimeError("only a GET is repeated, unless replay=True was given")
        self._wakeup.set()
        stream = self._stream
        if stream is not None:
            self._restarting = stream
            await self._io.close(stream)

    async def _close(self) -> None:
        self._closed = True
        self._wakeup.set()
        self._items = deque()  # not cleared: another thread may be taking an item
        stream, self._stream = self._stream, None
        if self._connecting is not None:
            self._io.interrupt(self._connecting)
        if stream is not None:
            await self._io.close(stream)
