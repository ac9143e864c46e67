"""The decisions of one stream, written once for both shells: open it, read on, close it.

They are coroutines over a small ``IO``. The asynchronous shell awaits them; the blocking one
runs them with ``at_once``. The loops that run for each event stay in the shells.

    connect ─ send ─ receive the head ┬─ an event stream: read on
        ▲       └ early answer ───────┤
        └── redirect, begin again ────┘

``Connection`` and ``IO`` are a pair: what one receives, the other understands. Another HTTP
client can stand in their place with an IO that receives the parts of a response (heads,
pieces of the body, ends) and an ``Exchange`` that takes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from .._errors import ReadTimeout, ResponseError, SSEError, TimeoutException, TransportError
from .._events import Comment, ServerSentEvent
from .._http.exchange import Connection
from .._http.limits import Limit, Timeout, Timers, limit_from
from .._http.messages import Request, Response
from .._http.proxies import Proxy
from .._http.wire import pieces
from .unclosed import Place, caller, warn_unclosed

# Seconds for the answer to a request that could not be sent to its end: it is there, or not.
EARLY_ANSWER_TIME = 0.1

# Bytes read at most to reach the end of a body, so that its connection can be kept.
DRAIN_SIZE = 64 * 1024

CLOSED = "the stream was closed while it was being opened"

Item = TypeVar("Item", bound=ServerSentEvent | Comment)
T = TypeVar("T")


class IO(Protocol):
    """The transport of one stream; see ``Link`` in ``connector`` and ``sync_connector``."""

    keeps: bool
    proxy: Proxy | None
    receiving: bool

    @property
    def is_open(self) -> bool: ...
    def now(self) -> float: ...
    async def connect(self, request: Request, limit: Limit) -> bool: ...
    async def send(self, data: bytes, limit: Limit) -> None: ...
    async def receive(self, limit: Limit) -> bytes: ...
    async def close(self, request: Request, *, reusable: bool) -> None: ...
    def drop(self) -> bool: ...


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine whose IO blocks, and that therefore never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("a blocking IO suspended")


class StreamConversation(Generic[Item]):
    """One stream from connecting to closing; the base of both ``EventStream`` classes."""

    _WITH: ClassVar[str]
    """The statement that enters this stream."""

    def __init__(
        self, connection: Connection[Item], io: IO, timeout: Timeout, opened_at: Place | None = None
    ) -> None:
        self._connection = connection
        self._io = io
        self._timers = Timers(timeout)
        self._items: deque[Item] = deque()
        self._entered = False
        self._reused = False
        self._failure: SSEError | None = None
        self._opened_at = opened_at or caller()

    @property
    def response(self) -> Response:
        """Status and headers of the response; available from the beginning of the block."""
        if self._connection.response is None:
            raise RuntimeError(f"no response yet: enter the stream with `{self._WITH}` first")
        return self._connection.response

    @property
    def last_event_id(self) -> str:
        """The last event ID string, as of the bytes that have been read."""
        return self._connection.parser.last_event_id

    @property
    def reconnection_time(self) -> int | None:
        """The latest valid ``retry`` in milliseconds, or None."""
        return self._connection.parser.reconnection_time

    def read_items(self) -> list[Item]:
        """Return the items that have been read and not yet been asked for, without waiting."""
        items = list(self._items)
        self._items.clear()
        return items

    async def _enter(self) -> None:
        """Connect, send the request and read the response head."""
        if self._entered or self._connection.ended:
            raise RuntimeError("an event stream is entered once; ask for a new one")
        self._entered = True
        self._timers.begin(self._io.now())
        while True:
            try:
                await self._open()
            except ResponseError as exc:
                self._connection = self._connection.redirected(exc)
            except TransportError as exc:
                if not self._reused or not self._connection.begin_again(exc):
                    raise
            else:
                return

    async def _open(self) -> None:
        connection, io, timers = self._connection, self._io, self._timers
        try:
            self._reused = await io.connect(connection.request, timers.connecting(io.now()))
            try:
                for piece in pieces(connection.data_to_send(io.proxy)):
                    await io.send(piece, timers.sending(io.now()))
            except TransportError as exc:
                await self._receive_early_answer(exc)
            await self._receive_answer(timers.awaiting_head(io.now()))
        except TransportError as exc:
            await self._close()
            if (error := connection.transport_failed(exc)) is exc:
                raise
            raise error from exc
        except BaseException:
            await self._close()
            raise

    async def _receive_early_answer(self, failure: TransportError) -> None:
        """Read the answer of a peer that did not want the whole request, or raise ``failure``."""
        self._connection.unsent = True
        limit = limit_from(self._io.now(), EARLY_ANSWER_TIME, ReadTimeout, "answer")
        try:
            await self._receive_answer(limit)
        except ResponseError:
            raise
        except SSEError:
            raise failure from None

    async def _receive_answer(self, limit: Limit) -> None:
        while not self._connection.answered:
            limit.left(self._io.now())  # raises when the time is up, even if bytes are there
            self._items.extend(await self._receive(limit))

    async def _receive(self, limit: Limit) -> list[Item]:
        data = b"" if self._connection.failed else await self._io.receive(limit)
        return self._connection.receive_data(data)

    async def _fail(self, error: SSEError) -> None:
        """Close after ``error``, which the caller is about to raise."""
        try:
            await self._close()
        except BaseException:  # cancelled: the next call raises it, or a cut would be an end
            self._failure = error
            raise

    async def _leave(self, drain: float) -> None:
        """Close the connection or hand it back; read on to the body's end for ``drain`` seconds."""
        try:
            if drain and self._io.keeps and not self._io.receiving:
                await self._drain(drain)
        finally:
            await self._close()

    async def _drain(self, seconds: float) -> None:
        connection = self._connection
        end = connection.received + DRAIN_SIZE
        limit = limit_from(self._io.now(), seconds, TimeoutException, "end")
        # An error here is of no interest: it leaves the connection unfit for reuse.
        with suppress(SSEError):
            while self._io.is_open and not connection.ended and connection.received < end:
                await self._receive(limit)

    async def _close(self) -> None:
        self._connection.ended = True
        self._failure = None
        self._items = deque()  # not cleared: another thread may be taking an item
        await self._io.close(self._connection.request, reusable=self._connection.reusable)

    def __del__(self) -> None:
        io: IO | None = getattr(self, "_io", None)
        if io is not None and io.drop():
            warn_unclosed(self, self._opened_at)
