"""A conversation with an endpoint: open, retry, read, resume, close. Everything is decided here.

The steps are coroutines over an ``IO``. The async shell awaits them. The ``IO`` of the
blocking shell blocks, so that no step ever suspends, and ``at_once`` runs it to its end.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from sse_core import (
    Request,
    Response,
    ResponseError,
    ServerSentEvent,
    SSEError,
    Timeout,
    TransportError,
)

from .._chat.chunks import ChatCompletionChunk
from .._chat.live import Chat, Events
from .._chat.stream import ChatStream
from .._errors import APIError, api_error, request_id
from .._rate_limit import RateLimit, rate_limit
from .._responses.events import ResponseStreamEvent
from .._responses.response import Response as APIResponse
from .._responses.stream import ResponseStream
from .request import DRAIN_TIME, Endpoint
from .retry import Resumption, retry_delay

T = TypeVar("T")
Item = TypeVar("Item")


class IO(Protocol):
    """The operations in which the shells differ, on event streams of their HTTP client."""

    async def open(self, request: Request, timeout: Timeout) -> Any:
        """Send a request; return the event stream that answers it, entered."""

    def next(self, events: Any, /) -> Awaitable[list[ServerSentEvent]]:
        """Return the next events, at least one. Raises StopAsyncIteration at the end."""
        ...

    async def close(self, events: Any, *, drain: float = 0.0) -> None:
        """Close an event stream, after at most ``drain`` seconds of waiting for its end."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


def at_once(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends; return its result."""
    try:
        steps.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise RuntimeError("a step of a blocking conversation was suspended")


class Conversation(Generic[Item]):
    """One request and its stream, in the parts that chats and responses share."""

    _stream: ChatStream | ResponseStream
    _receive: Callable[[ServerSentEvent], Item | None]

    def __init__(
        self, request: Request, *, io: IO, max_retries: int, timeout: Timeout | float | None
    ) -> None:
        self._request = request
        self._io = io
        self._max_retries = max_retries
        self._timeout = Timeout.of(timeout)
        self._events: Any = None
        self._waiting: list[ServerSentEvent] = []  # read and not yet asked for, the latest first
        self._entered = False
        self._closed = False
        self._failure: SSEError | None = None

    @abstractmethod
    async def _continues(self, error: TransportError | None) -> bool:
        """Decide what follows a cut or, without an error, the end of a body.

        Return True if reading continues, on another connection; False if the stream ended
        where it may. Raise an error if it did not, or ``error`` itself.
        """

    @property
    def _http_response(self) -> Response:
        if self._events is None:
            raise RuntimeError(
                "no response yet: enter the stream with `with` or `async with` first"
            )
        response: Response = self._events.response
        return response

    @property
    def request_id(self) -> str | None:
        """The ``x-request-id`` of the response, or its ``request-id``."""
        return request_id(self._http_response)

    @property
    def rate_limit(self) -> RateLimit:
        """The limits of requests and tokens that the response's headers report."""
        return rate_limit(self._http_response.headers)

    async def _enter(self) -> None:
        if self._entered:
            raise RuntimeError("a stream is entered once; ask for a new one")
        self._entered, self._closed = True, False
        self._events = await self._opened(self._request, self._max_retries)

    async def _opened(self, request: Request, max_retries: int) -> Any:
        """Return the event stream that answers a request, after as many retries as needed."""
        retries = 0
        while True:
            try:
                events = await self._io.open(request, self._timeout)
                if events.response.status != 200:  # 204: no stream, and no answer either (O1)
                    await self._io.close(events)
                    raise ResponseError(events.response, b"")
            except SSEError as exc:
                delay = retry_delay(exc, retries)
                if delay is None or retries >= max_retries:
                    if isinstance(exc, ResponseError) and (error := api_error(exc)) is not exc:
                        raise error from exc
                    raise
            else:
                return events
            retries += 1
            await self._io.sleep(delay)

    def _ready(self) -> Item | None:
        """Return the next item of the events that have been read; None if there is none.

        Most items come this way, without a coroutine. An error is left to ``_next``.
        """
        waiting = self._waiting
        try:
            while waiting and not self._closed:
                item = self._receive(waiting.pop())
                if item is not None:
                    return item
        except SSEError as exc:
            self._failure = exc
        return None

    def _take(self, events: list[ServerSentEvent]) -> Item | None:
        """Receive events that were just read; return their first item."""
        if len(events) == 1:  # nearly always
            return self._receive(events[0])
        self._waiting = events[::-1]
        return self._ready()

    async def _next(self) -> Item:
        """Read until there is an item. Raises StopAsyncIteration after the last one."""
        if self._events is None:
            raise RuntimeError("enter the stream with `with` or `async with` first")
        try:
            while not self._stream.done:
                error = self._failure
                if error is None:
                    try:
                        item = self._take(await self._io.next(self._events))
                    except StopAsyncIteration:
                        if self._closed or not await self._continues(None):
                            raise
                        continue
                    except TransportError as exc:
                        error = exc
                    else:
                        if item is not None:
                            return item
                        continue
                if self._closed or not isinstance(error, TransportError):
                    raise error
                self._failure = None
                await self._continues(error)
        except SSEError as exc:
            if isinstance(exc, APIError) and exc.status is None:
                exc.of(self._http_response)
            # If closing is cancelled, the next call raises the error: it must not look like an end.
            self._closed, self._failure = True, exc
            await self._io.close(self._events)
            self._failure = None
            raise
        await self._io.close(self._events, drain=DRAIN_TIME)
        raise StopAsyncIteration

    async def _close(self) -> None:
        self._closed = True
        self._failure = None
        if self._events is not None:
            await self._io.close(self._events)


class ChatConversation(Chat[Events], Conversation[ChatCompletionChunk]):
    """One streamed chat completion."""

    def __init__(self, request: Request, *, loads: Callable[[str], Any], **options: Any) -> None:
        Conversation.__init__(self, request, **options)
        Chat.__init__(self, loads)
        self._stream = self._chat
        self._receive = self._chat.receive_event

    @property
    def response(self) -> Response:
        """Status and headers of the response, with request id and rate limits."""
        return self._http_response

    async def _continues(self, error: TransportError | None) -> bool:
        if error is not None:
            raise error
        self._chat.receive_eof()
        return False


class ResponseConversation(Conversation[ResponseStreamEvent]):
    """One streamed response."""

    def __init__(
        self,
        request: Request,
        *,
        endpoint: Endpoint,
        resume: bool,
        loads: Callable[[str], Any],
        **options: Any,
    ) -> None:
        super().__init__(request, **options)
        self._stream = self._responses = ResponseStream(loads=loads)
        self._resumption = Resumption(
            endpoint, self._responses, max_retries=self._max_retries if resume else 0
        )
        self._receive = self._resumption.receive_event

    @property
    def response(self) -> APIResponse:
        """Everything so far, folded into the answer of a request without streaming."""
        return self._responses.response

    @property
    def http_response(self) -> Response:
        """Status and headers of the current connection's response."""
        return self._http_response

    @property
    def done(self) -> bool:
        """True if the response is completed, failed or incomplete."""
        return self._responses.done

    @property
    def complete(self) -> bool:
        """True if the response is whole."""
        return self._responses.complete

    async def _continues(self, error: SSEError | None) -> bool:
        while True:
            found = self._resumption.after(error)
            if found is None:
                if error is None:
                    self._responses.receive_eof()
                assert error is not None, "a stream without its final event is truncated"
                raise error
            request, delay = found
            await self._io.sleep(delay)
            if self._closed:
                return True
            try:
                self._events = await self._opened(request, 0)
            except SSEError as exc:
                error = exc
            else:
                return True
