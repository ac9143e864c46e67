"""Bytes from any HTTP client -> the chunks of a chat completion.

    with requests.post(url, json=…, stream=True) as response:
        chat = read_chat(response.iter_content(None))
        for chunk in chat:
            print(chunk.content or "", end="")

Only bytes are read here: the caller checks status and content type.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any, TypeAlias

from sse_core import EventStreamParser, ServerSentEvent

from .._text import loads
from .chunks import ChatCompletionChunk
from .live import AsyncChat, AsyncEventIterator, BlockingChat, Chat, EventIterator, Events

Bytes: TypeAlias = bytes | bytearray | memoryview


class _Reader(Chat[Events]):
    """What both readers share: everything but waiting for bytes."""

    def __init__(self, loads: Callable[[str], Any]) -> None:
        super().__init__(loads)
        self._parser = EventStreamParser()
        self._read: Iterator[ServerSentEvent] = iter(())
        self._ended = False

    def _next_chunk(self) -> ChatCompletionChunk | None:
        """Return the next chunk of the bytes received; None if more are needed."""
        for event in self._read:
            if chunk := self._chat.receive_event(event):
                return chunk
        self._ended = self._ended or self._chat.done
        return None

    def _receive(self, data: Bytes) -> None:
        self._read = iter(self._parser.receive_data(data))

    def _end(self) -> None:
        self._ended = True
        self._chat.receive_eof()


class ChatReader(_Reader[EventIterator], BlockingChat):
    """An iterator over the chunks of one chat completion, from ``read_chat``.

    It raises the errors of ``ChatStream``; ``completion`` stays available after an error.
    """

    def __init__(self, chunks: Iterable[Bytes], loads: Callable[[str], Any]) -> None:
        super().__init__(loads)
        self._chunks = iter(chunks)

    def __next__(self) -> ChatCompletionChunk:
        try:
            while (chunk := self._next_chunk()) is None and not self._ended:
                try:
                    data = next(self._chunks)
                except StopIteration:
                    self._end()
                else:
                    self._receive(data)
        except Exception:
            self._ended = True
            raise
        if chunk is None:
            raise StopIteration
        return chunk


class AsyncChatReader(_Reader[AsyncEventIterator], AsyncChat):
    """An iterator over the chunks of one chat completion, from ``aread_chat``.

    It raises the errors of ``ChatStream``; ``completion`` stays available after an error.
    """

    def __init__(self, chunks: AsyncIterable[Bytes], loads: Callable[[str], Any]) -> None:
        super().__init__(loads)
        self._chunks = aiter(chunks)

    async def __anext__(self) -> ChatCompletionChunk:
        try:
            while (chunk := self._next_chunk()) is None and not self._ended:
                try:
                    data = await anext(self._chunks)
                except StopAsyncIteration:
                    self._end()
                else:
                    self._receive(data)
        except Exception:  # not a cancellation, after which it can be called again
            self._ended = True
            raise
        if chunk is None:
            raise StopAsyncIteration
        return chunk


def read_chat(chunks: Iterable[Bytes], *, loads: Callable[[str], Any] = loads) -> ChatReader:
    """Read a chat completion from the body of a response, received with any HTTP client.

    Args:
        chunks: the body as bytes, cut anywhere. Not lines: HTTP clients also split lines
            at characters that do not end a line in an event stream.
        loads: decodes JSON text, such as ``orjson.loads`` or ``msgspec.json.decode``.

    Iterating raises ``APIError``, ``MalformedChunk``, ``StreamTruncated`` as ``stream_chat``
    does, ``EventTooLarge``, and whatever ``chunks`` raises. The caller closes the response,
    also before its end: after ``[DONE]`` nothing more is read.
    """
    return ChatReader(chunks, loads)


def aread_chat(
    chunks: AsyncIterable[Bytes], *, loads: Callable[[str], Any] = loads
) -> AsyncChatReader:
    """Read a chat completion from an asynchronous iterable of bytes, as ``read_chat`` does.

    Cancelling ``anext()`` loses nothing that was read. ``chunks`` decides if more can be read
    afterwards: an asynchronous generator has ended, which raises ``StreamTruncated``.
    """
    return AsyncChatReader(chunks, loads)
