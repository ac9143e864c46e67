"""The client over anyio, for asyncio and trio. ``sse_openai.sync`` has the same names, blocking."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Self

import anyio
import anyio.lowlevel

from sse_core import Client as HTTPClient
from sse_core import EventStream, Request, ServerSentEvent, Timeout

from .._chat.chunks import ChatCompletionChunk
from .._chat.live import AsyncChat, AsyncEventIterator
from .._responses.events import ResponseStreamEvent
from .base import BaseClient
from .conversation import ChatConversation, Conversation, Item, ResponseConversation
from .request import DEFAULT_TIMEOUT, chat_request

TURN = 256
"""In a burst, other tasks get the event loop after this many chunks."""


class _IO:
    def __init__(self, client: HTTPClient) -> None:
        self._client = client

    async def open(self, request: Request, timeout: Timeout) -> EventStream[ServerSentEvent]:
        events = self._client.stream(request, timeout=timeout)
        await events.__aenter__()
        return events

    def next(self, events: EventStream[ServerSentEvent]) -> Awaitable[list[ServerSentEvent]]:
        return events.next_items()

    async def close(self, events: EventStream[ServerSentEvent], *, drain: float = 0.0) -> None:
        await events.aclose(drain=drain)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class _Stream(Conversation[Item], AsyncIterator[Item]):
    """A conversation whose steps are awaited."""

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def __anext__(self) -> Item:
        waiting = self._waiting
        if waiting:
            if not len(waiting) % TURN:
                await anyio.lowlevel.checkpoint()
            if (item := self._ready()) is not None:
                return item
        return await self._next()

    async def aclose(self) -> None:
        """Close the connection and end the iteration.

        This stops the model, unless it works on a response in the background.
        """
        await self._close()


class ChatEventStream(
    _Stream[ChatCompletionChunk], ChatConversation[AsyncEventIterator], AsyncChat
):
    """One streamed chat completion, from ``stream_chat`` or ``Client.chat``.

    ``POST /chat/completions`` of the API reference.

    An asynchronous context manager and an iterator over its chunks. The iteration ends
    after ``[DONE]``, or where the stream ends with every choice finished; any other end
    raises. ``anext()`` can be cancelled and called again.
    """

    async def __aenter__(self) -> Self:
        await self._enter()
        return self


class ResponseEventStream(_Stream[ResponseStreamEvent], ResponseConversation):
    """One streamed response, from ``Client.responses``.

    ``POST /responses`` of the API reference.

    An asynchronous context manager and an iterator over its typed events. The iteration
    ends after the event that completes the response, or reports that it failed or is
    incomplete; any other end raises. ``anext()`` can be cancelled and called again.
    """

    async def __aenter__(self) -> Self:
        await self._enter()
        return self


class Client(BaseClient[ChatEventStream, ResponseEventStream]):
    """An endpoint and the connections to it, which later requests use again.

    Retries, timeouts and error types follow the official SDKs.

        async with Client(api_key="…") as client:
            async with client.chat(model="gpt-5-mini", messages=[…]) as chat:
                async for chunk in chat:
                    print(chunk.content or "", end="")

    Args:
        api_key, base_url, organization, project, headers: as for ``Endpoint``.
        endpoint: replaces those, such as ``Endpoint.azure(…)``.
        max_retries: further attempts of each request, before its stream has begun: after
            connection errors, 408, 409, 429 and 5xx, at the time that the answer asks for (up
            to two minutes), or after 0.5 s doubling to 8 s. ``x-should-retry`` has the last word.
        timeout: the default for each request: a ``sse_core.Timeout``, or seconds for
            connect, write, head and idle, or None.
        ssl_context: replaces one with the system's trust store.
        proxy, trust_env, uds: how to connect, as for ``sse_core.stream``.
        max_idle: idle connections kept.
        max_idle_time: seconds for which each is kept.
        loads: decodes JSON text, as in ``ChatStream``.

    Raises:
        ValueError: no endpoint is known.
    """

    _http_client = HTTPClient
    _io = _IO
    _chat = ChatEventStream
    _responses = ResponseEventStream

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

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
    """Ask for one streamed chat completion.

        async with stream_chat(model="gpt-5-mini", messages=[…]) as chat:
            async for chunk in chat:
                print(chunk.content or "", end="")
        print(chat.completion.usage)

    Args:
        model, messages, api_key, base_url: as in ``chat_request``.
        max_retries: further attempts before the stream has begun, as for ``Client``.
        timeout: a ``sse_core.Timeout``, or seconds for connect, write, head and idle, or
            None. By default 10 s to connect, 600 s for the head and for each silence.
        ssl_context: replaces one with the system's trust store.
        proxy, trust_env, uds: how to connect, as for ``sse_core.stream``.
        loads: decodes JSON text, as in ``ChatStream``.
        request_fields: ``organization``, ``project``, ``headers``, ``stream_options``
            and any field of the request's JSON body, as in ``chat_request``.

    Raises:
        ValueError: no endpoint is known, or a value cannot be sent.

    Entering the block raises ``APIError`` with the class of its status, ``ResponseError``
    for an answer that is not a stream, ``TransportError``. Iterating raises ``APIError``,
    ``MalformedChunk``, ``StreamTruncated``, ``TransportError``; ``.completion`` stays
    available.
    """
    request = chat_request(
        model=model, messages=messages, api_key=api_key, base_url=base_url, **request_fields
    )
    client = HTTPClient(
        ssl_context=ssl_context, proxy=proxy, trust_env=trust_env, uds=uds, max_idle=0
    )
    return ChatEventStream(
        request, io=_IO(client), max_retries=max_retries, timeout=timeout, loads=loads
    )
