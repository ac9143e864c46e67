"""The client over anyio, for asyncio and trio. ``sync`` has the same names, blocking."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import anyio

from sse_core import Client as HTTPClient
from sse_core import (
    EventStream,
    Request,
    Response,
    ResponseError,
    ServerSentEvent,
    SSEError,
    Timeout,
    TransportError,
)

from .._chat.chunks import ChatCompletionChunk
from .._chat.completion import ChatCompletion
from .._chat.events import AsyncEventIterator
from .._chat.stream import ChatStream
from .._errors import APIError, api_error, request_id
from .._rate_limit import RateLimit, rate_limit
from .._responses.events import ResponseStreamEvent
from .._responses.response import Response as APIResponse
from .._responses.stream import ResponseStream
from .request import (
    DEFAULT_TIMEOUT,
    DRAIN_TIME,
    Endpoint,
    chat_request,
    endpoint_of,
    responses_request,
)
from .resume import Resumption
from .retry import retry_delay

__all__ = ["ChatEventStream", "Client", "ResponseEventStream", "stream_chat"]


class ChatEventStream:
    """One streamed chat completion; what ``stream_chat`` and ``Client.chat`` return.

    ``POST /chat/completions`` of the API reference (docs/openai.md, 1).

    An asynchronous context manager and an iterator over its chunks. The iteration ends
    after ``[DONE]``, or where the stream ends with every choice finished; any other end
    raises. ``anext()`` can be cancelled and called again.
    """

    def __init__(
        self,
        request: Request,
        *,
        client: HTTPClient,
        max_retries: int,
        timeout: Timeout | float | None,
        loads: Callable[[str], Any] = json.loads,
    ) -> None:
        self._request = request
        self._client = client
        self._max_retries = max_retries
        self._timeout = Timeout.of(timeout)
        self._chat = ChatStream(loads=loads)
        self._events: EventStream[ServerSentEvent] | None = None
        self._entered = False
        self._closed = False
        self._event_iterator: AsyncEventIterator | None = None
        self._failure: SSEError | None = None

    @property
    def completion(self) -> ChatCompletion:
        """Everything so far, folded into what the endpoint would have answered at once."""
        return self._chat.completion

    @property
    def done(self) -> bool:
        """Whether ``[DONE]`` came."""
        return self._chat.done

    @property
    def complete(self) -> bool:
        """Whether the answer is whole: ``[DONE]``, or a finish reason on every choice seen."""
        return self._chat.complete

    @property
    def response(self) -> Response:
        """Status and headers of the response, with request id and rate limits."""
        if self._events is None:
            raise RuntimeError("no response yet: enter the stream with `async with` first")
        return self._events.response

    @property
    def request_id(self) -> str | None:
        """The ``x-request-id`` of the response, or its ``request-id``."""
        return request_id(self.response)

    @property
    def rate_limit(self) -> RateLimit:
        """What the response's headers say of limits of requests and tokens."""
        return rate_limit(self.response.headers)

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a stream is entered once; ask for a new one")
        self._entered = True
        self._events = await _opened(
            self._client, self._request, timeout=self._timeout, max_retries=self._max_retries
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def events(self) -> AsyncEventIterator:
        """Return the iterator over what the chunks tell: text, tool calls, ends, usage.

        Always the same one. A chunk that was taken from the stream itself is not told.
        """
        if self._event_iterator is None:
            self._event_iterator = AsyncEventIterator(self)
        return self._event_iterator

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatCompletionChunk:
        if self._events is None:
            raise RuntimeError("enter the stream with `async with` first")
        try:
            while not self._chat.done:
                if self._failure is not None:
                    raise self._failure
                try:
                    event = await anext(self._events)
                except StopAsyncIteration:
                    if not self._closed:
                        self._chat.receive_eof()
                    raise
                chunk = self._chat.receive_event(event)
                if chunk is not None:
                    return chunk
        except SSEError as exc:
            if isinstance(exc, APIError):
                exc.of(self.response)
            try:
                await self.aclose()
            except BaseException:  # cancelled: the next call raises, or an error would be an end
                self._failure = exc
                raise
            raise
        await self._events.aclose(drain=DRAIN_TIME)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connection and end the iteration, which stops the model's work."""
        self._closed = True
        self._failure = None
        if self._events is not None:
            await self._events.aclose()


async def _opened(
    client: HTTPClient, request: Request, *, timeout: Timeout, max_retries: int
) -> EventStream[ServerSentEvent]:
    retries = 0
    while True:
        events = client.stream(request, timeout=timeout)
        try:
            await events.__aenter__()
            if events.response.status != 200:  # 204: no stream, and no answer either (O1)
                await events.aclose()
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
        await anyio.sleep(delay)


class ResponseEventStream:
    """One streamed response; what ``Client.responses`` returns.

    ``POST /responses`` of the API reference (docs/openai.md, 4).

    An asynchronous context manager and an iterator over its typed events. The iteration
    ends after the event that completes the response, or says that it failed or is
    incomplete; any other end raises. ``anext()`` can be cancelled and called again.
    """

    def __init__(
        self,
        request: Request,
        *,
        client: HTTPClient,
        endpoint: Endpoint,
        max_retries: int,
        timeout: Timeout | float | None,
        resume: bool,
        loads: Callable[[str], Any] = json.loads,
    ) -> None:
        self._request = request
        self._client = client
        self._max_retries = max_retries
        self._timeout = Timeout.of(timeout)
        self._responses = ResponseStream(loads=loads)
        self._resumption = Resumption(
            endpoint, self._responses, max_retries=max_retries if resume else 0
        )
        self._events: EventStream[ServerSentEvent] | None = None
        self._entered = False
        self._closed = False
        self._failure: SSEError | None = None

    @property
    def response(self) -> APIResponse:
        """Everything so far, folded into what the endpoint would have answered at once."""
        return self._responses.response

    @property
    def done(self) -> bool:
        """Whether the response is completed, failed or incomplete."""
        return self._responses.done

    @property
    def complete(self) -> bool:
        """Whether the response is whole."""
        return self._responses.complete

    @property
    def http_response(self) -> Response:
        """Status and headers of the current connection's response."""
        if self._events is None:
            raise RuntimeError("no response yet: enter the stream first")
        return self._events.response

    @property
    def request_id(self) -> str | None:
        """The ``x-request-id`` of the current connection's response, or its ``request-id``."""
        return request_id(self.http_response)

    @property
    def rate_limit(self) -> RateLimit:
        """What the headers of the current connection's response say of limits."""
        return rate_limit(self.http_response.headers)

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a stream is entered once; ask for a new one")
        self._entered = True
        self._events = await _opened(
            self._client, self._request, timeout=self._timeout, max_retries=self._max_retries
        )
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

    async def __anext__(self) -> ResponseStreamEvent:
        if self._events is None:
            raise RuntimeError("enter the stream first")
        try:
            while not self._responses.done:
                if self._failure is not None:
                    raise self._failure
                try:
                    event = await anext(self._events)
                except StopAsyncIteration:
                    if self._closed:
                        raise
                    await self._resume(None)
                except TransportError as exc:
                    await self._resume(exc)
                else:
                    received = self._responses.receive_event(event)
                    if received is not None:
                        self._resumption.received()
                        return received
        except SSEError as exc:
            if isinstance(exc, APIError) and exc.status is None:
                exc.of(self.http_response)
            try:
                await self.aclose()
            except BaseException:  # cancelled: the next call raises
                self._failure = exc
                raise
            raise
        await self._events.aclose(drain=DRAIN_TIME)
        raise StopAsyncIteration

    async def _resume(self, error: SSEError | None) -> None:
        while True:
            found = self._resumption.after(error)
            if found is None:
                if error is None:
                    self._responses.receive_eof()
                assert error is not None, "a stream without its final event is truncated"
                raise error
            request, delay = found
            await anyio.sleep(delay)
            if self._closed:
                return
            try:
                self._events = await _opened(
                    self._client, request, timeout=self._timeout, max_retries=0
                )
            except SSEError as exc:
                error = exc
            else:
                return

    async def aclose(self) -> None:
        """Close the connection and end the iteration. A background response goes on."""
        self._closed = True
        self._failure = None
        if self._events is not None:
            await self._events.aclose()


class Client:
    """An endpoint, and the connections to it: what is asked again need not connect again.

    It retries, limits times and tells errors as docs/openai.md, 2, has it of the official SDKs.

        async with Client(api_key="…") as client:
            async with client.chat(model="gpt-5-mini", messages=[…]) as chat:
                async for chunk in chat:
                    print(chunk.content or "", end="")

    Args:
        api_key, base_url, organization, project, headers: as for ``Endpoint``.
        endpoint: in place of those, such as ``Endpoint.azure(…)``.
        max_retries: further attempts of each request, before its stream has begun: after
            connection errors, 408, 409, 429 and 5xx, at the time that the answer asks for (up
            to two minutes), or after 0.5 s doubling to 8 s. ``x-should-retry`` has the last word.
        timeout: of each request that is given none: a ``sse_core.Timeout``, or seconds for
            connect, write, head and idle, or None.
        ssl_context: in place of one with the system's trust store.
        proxy, trust_env, uds: how to connect, as for ``sse_core.stream``.
        max_idle: connections kept.
        max_idle_time: seconds for which one is kept.
        loads: decodes JSON text, as in ``ChatStream``.

    Raises:
        ValueError: no endpoint is known.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        headers: Mapping[str, str] | None = None,
        endpoint: Endpoint | None = None,
        max_retries: int = 2,
        timeout: Timeout | float | None = DEFAULT_TIMEOUT,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        uds: str | os.PathLike[str] | None = None,
        max_idle: int = 8,
        max_idle_time: float = 60.0,
        loads: Callable[[str], Any] = json.loads,
    ) -> None:
        self.endpoint = endpoint_of(
            endpoint,
            api_key=api_key,
            base_url=base_url,
            organization=organization,
            project=project,
            headers=headers,
        )
        """Whom it asks."""
        self._max_retries = max_retries
        self._timeout = Timeout.of(timeout)
        self._loads = loads
        self._client = HTTPClient(
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

    def chat(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any]],
        timeout: Timeout | float | None = DEFAULT_TIMEOUT,
        **request_fields: Any,
    ) -> ChatEventStream:
        """Ask for one streamed chat completion.

        Args:
            model, messages: as in ``chat_request``.
            timeout: in place of the client's.
            request_fields: ``headers``, ``stream_options`` and any field of the request's
                JSON body, as in ``chat_request``.
        """
        request = chat_request(
            endpoint=self.endpoint, model=model, messages=messages, **request_fields
        )
        return ChatEventStream(
            request,
            client=self._client,
            max_retries=self._max_retries,
            timeout=self._timeout if timeout is DEFAULT_TIMEOUT else timeout,
            loads=self._loads,
        )

    def responses(
        self,
        *,
        model: str,
        input: Any,
        resume: bool = False,
        timeout: Timeout | float | None = DEFAULT_TIMEOUT,
        **request_fields: Any,
    ) -> ResponseEventStream:
        """Ask for one streamed response.

        Args:
            model, input: as in ``responses_request``.
            resume: go on where the connection was cut, by GET, as often as ``max_retries``
                without an event. For this the response has to be made in the background:
                ``background`` is true then unless it is given.
            timeout: in place of the client's.
            request_fields: ``headers`` and any field of the request's JSON body.
        """
        if resume:
            request_fields.setdefault("background", True)
        request = responses_request(
            endpoint=self.endpoint, model=model, input=input, **request_fields
        )
        return ResponseEventStream(
            request,
            client=self._client,
            endpoint=self.endpoint,
            max_retries=self._max_retries,
            timeout=self._timeout if timeout is DEFAULT_TIMEOUT else timeout,
            resume=resume,
            loads=self._loads,
        )

    async def aclose(self) -> None:
        """Close the idle connections; those in use close when their streams are left."""
        await self._client.aclose()


def stream_chat(
    *,
    model: str,
    messages: Iterable[Mapping[str, Any]],
    api_key: str | None = None,
    base_url: str | None = None,
    max_retries: int = 2,
    timeout: Timeout | float | None = DEFAULT_TIMEOUT,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
    trust_env: bool = True,
    uds: str | os.PathLike[str] | None = None,
    loads: Callable[[str], Any] = json.loads,
    **request_fields: Any,
) -> ChatEventStream:
    """Ask for one streamed chat completion (docs/openai.md, 1).

        async with stream_chat(model="gpt-5-mini", messages=[…]) as chat:
            async for chunk in chat:
                print(chunk.content or "", end="")
        print(chat.completion.usage)

    Args:
        model, messages, api_key, base_url: as in ``chat_request``.
        max_retries: further attempts before the stream has begun, as for ``Client``.
        timeout: a ``sse_core.Timeout``, or seconds for connect, write, head and idle, or
            None. By default 10 s to connect, 600 s for the head and for each silence.
        ssl_context: in place of one with the system's trust store.
        proxy, trust_env, uds: how to connect, as for ``sse_core.stream``.
        loads: decodes JSON text, as in ``ChatStream``.
        request_fields: ``organization``, ``project``, ``headers``, ``stream_options``
            and any field of the request's JSON body, as in ``chat_request``.

    Raises:
        ValueError: no endpoint is known, or a value cannot be sent.

    Entering the block raises ``APIError`` with the class of its status, ``ResponseError``
    for an answer that is no stream, ``TransportError``. Iterating raises ``APIError``,
    ``MalformedChunk``, ``StreamTruncated``, ``TransportError``; ``.completion`` stays.
    """
    request = chat_request(
        model=model, messages=messages, api_key=api_key, base_url=base_url, **request_fields
    )
    return ChatEventStream(
        request,
        client=HTTPClient(
            ssl_context=ssl_context, proxy=proxy, trust_env=trust_env, uds=uds, max_idle=0
        ),
        max_retries=max_retries,
        timeout=timeout,
        loads=loads,
    )
