"""The client over blocking sockets: the names of ``sse_openai``, without ``async``.

from sse_openai.sync import stream_chat

with stream_chat(model="gpt-5-mini", messages=[…]) as chat:
    for chunk in chat:
        print(chunk.content or "", end="")
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from sse_core import Request, ServerSentEvent, SSEError, Timeout
from sse_core.lazy import publish
from sse_core.sync import Client as HTTPClient
from sse_core.sync import EventStream

from ._chat.chunks import ChatCompletionChunk
from ._chat.live import BlockingChat, EventIterator
from ._endpoint.base import BaseClient
from ._endpoint.conversation import (
    ChatConversation,
    Conversation,
    Item,
    ResponseConversation,
    at_once,
)
from ._endpoint.request import DEFAULT_TIMEOUT, chat_request
from ._responses.events import ResponseStreamEvent

__all__ = ["ChatEventStream", "Client", "ResponseEventStream", "stream_chat"]


class _IO:
    def __init__(self, client: HTTPClient) -> None:
        self._client = client

    async def open(self, request: Request, timeout: Timeout) -> EventStream[ServerSentEvent]:
        events = self._client.stream(request, timeout=timeout)
        events.__enter__()
        return events

    async def next(self, events: EventStream[ServerSentEvent]) -> list[ServerSentEvent]:
        try:
            return events.next_items()
        except StopIteration:
            raise StopAsyncIteration from None

    async def close(self, events: EventStream[ServerSentEvent], *, drain: float = 0.0) -> None:
        events.close(drain=drain)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  # this IO blocks, and nothing else waits


class _Stream(Conversation[Item], Iterator[Item]):
    """A conversation whose steps block."""

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> Item:
        item = self._ready() if self._waiting else None
        # Without a coroutine for as long as the next step is to read, and nothing is to decide.
        while item is None and not (self._stream.done or self._failure or self._events is None):
            try:
                item = self._take(self._events.next_items())
            except StopIteration:
                break  # `_next` meets it again, and decides
            except SSEError as exc:
                self._failure = exc
        if item is not None:
            return item
        try:
            return at_once(self._next())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Close the connection and end the iteration, also one that waits in another thread.

        This stops the model, unless it works on a response in the background.
        """
        at_once(self._close())


class ChatEventStream(_Stream[ChatCompletionChunk], ChatConversation[EventIterator], BlockingChat):
    """One streamed chat completion, from ``stream_chat`` or ``Client.chat``.

    ``POST /chat/completions`` of the API reference.

    A context manager and an iterator over its chunks. The iteration ends after ``[DONE]``,
    or where the stream ends with every choice finished; any other end raises.
    """

    def __enter__(self) -> Self:
        at_once(self._enter())
        return self


class ResponseEventStream(_Stream[ResponseStreamEvent], ResponseConversation):
    """One streamed response, from ``Client.responses``.

    ``POST /responses`` of the API reference.

    A context manager and an iterator over its typed events. The iteration ends after the
    event that completes the response, or reports that it failed or is incomplete; any other
    end raises. ``.response`` stays available.
    """

    def __enter__(self) -> Self:
        at_once(self._enter())
        return self


class Client(BaseClient[ChatEventStream, ResponseEventStream]):
    """An endpoint and the connections to it, which later requests use again.

    Retries, timeouts and error types follow the official SDKs.

        with Client(api_key="…") as client:
            with client.chat(model="gpt-5-mini", messages=[…]) as chat:
                for chunk in chat:
                    print(chunk.content or "", end="")

    Arguments and errors are those of ``sse_openai.Client``.
    """

    _http_client = HTTPClient
    _io = _IO
    _chat = ChatEventStream
    _responses = ResponseEventStream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections; those in use close when their streams are left."""
        self._client.close()


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

    Arguments, result and errors are those of ``sse_openai.stream_chat``.
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


publish(globals())
