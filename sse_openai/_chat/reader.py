"""bytes from any HTTP client -> the chunks of a chat completion.

    with requests.post(url, json=…, stream=True) as response:
        chat = read_chat(response.iter_content(None))
        for chunk in chat:
            print(chunk.content or "", end="")

Status and content type are for the caller to look at: here are only bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any, Self, TypeAlias

from sse_core import EventStreamParser, ServerSentEvent

from .chunks import ChatCompletionChunk
from .completion import ChatCompletion
from .events import AsyncEventIterator, EventIterator
from .stream import ChatStream, loads

__all__ = ["AsyncChatReader", "ChatReader", "aread_chat", "read_chat"]

Bytes: TypeAlias = bytes | bytearray | memoryview


class _Reader:
    """What both readers share: all but the waiting for bytes."""

    def __init__(self, loads: Callable[[str], Any]) -> None:
        self._chat = ChatStream(loads=loads)
        self._parser = EventStreamParser()
        self._events: Iterator[ServerSentEvent] = iter(())
        self._ended = False

    @property
    def completion(self) -> ChatCompletion:
        """Everything so far, folded into what the endpoint would have answered at once."""
        return self._chat.completion

    @property
    def done(self) -> bool:
        """Whether ``[DONE]`` came. Nothing behind it is read."""
        return self._chat.done

    @property
    def complete(self) -> bool:
        """Whether the answer is whole: ``[DONE]``, or a finish reason on every choice seen."""
        return self._chat.complete

    def _next_chunk(self) -> ChatCompletionChunk | None:
        """Return the next chunk of the bytes that are here; None where more are needed."""
        for event in self._events:
            if chunk := self._chat.receive_event(event):
                return chunk
        self._ended = self._ended or self._chat.done
        return None


class ChatReader(_Reader):
    """An iterator over the chunks of one chat completion; what ``read_chat`` returns.

    Reads as ``ChatStream`` does, by the rules of docs/openai.md, and raises what it raises;
    ``completion`` stays.
    """

    def __init__(self, chunks: Iterable[Bytes], loads: Callable[[str], Any]) -> None:
        super().__init__(loads)
        self._chunks = iter(chunks)
        self._event_iterator: EventIterator | None = None

    def events(self) -> EventIterator:
        """Return the iterator over what the chunks tell: text, tool calls, ends, usage.

        Always the same one. A chunk that was taken from the reader itself is not told.
        """
        if self._event_iterator is None:
            self._event_iterator = EventIterator(self)
        return self._event_iterator

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ChatCompletionChunk:
        try:
            while (chunk := self._next_chunk()) is None:
                if self._ended:
                    break
                try:
                    data = next(self._chunks)
                except StopIteration:
                    self._ended = True
                    self._chat.receive_eof()
                    break
                self._events = iter(self._parser.receive_data(data))
            else:
                return chunk
        except Exception:
            self._ended = True
            raise
        raise StopIteration


class AsyncChatReader(_Reader):
    """An iterator over the chunks of one chat completion; what ``aread_chat`` returns.

    Reads as ``ChatStream`` does, by the rules of docs/openai.md, and raises what it raises;
    ``completion`` stays.
    """

    def __init__(self, chunks: AsyncIterable[Bytes], loads: Callable[[str], Any]) -> None:
        super().__init__(loads)
        self._chunks = aiter(chunks)
        self._event_iterator: AsyncEventIterator | None = None

    def events(self) -> AsyncEventIterator:
        """Return the iterator over what the chunks tell: text, tool calls, ends, usage.

        Always the same one. A chunk that was taken from the reader itself is not told.
        """
        if self._event_iterator is None:
            self._event_iterator = AsyncEventIterator(self)
        return self._event_iterator

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatCompletionChunk:
        try:
            while (chunk := self._next_chunk()) is None:
                if self._ended:
                    break
                try:
                    data = await anext(self._chunks)
                except StopAsyncIteration:
                    self._ended = True
                    self._chat.receive_eof()
                    break
                self._events = iter(self._parser.receive_data(data))
            else:
                return chunk
        except Exception:  # not where it was cancelled: then it can be called again
            self._ended = True
            raise
        raise StopAsyncIteration


def read_chat(chunks: Iterable[Bytes], *, loads: Callable[[str], Any] = loads) -> ChatReader:
    """Read a chat completion from the body of a response, as any HTTP client hands it out.

    By the rules of docs/openai.md, O3 to O25.

    Args:
        chunks: the body as bytes, cut anywhere. Not lines: those of HTTP clients are
            split at characters that end none here.
        loads: decodes JSON text, such as ``orjson.loads`` or ``msgspec.json.decode``.

    Iterating raises ``APIError``, ``MalformedChunk``, ``StreamTruncated`` as ``stream_chat``
    does, ``EventTooLarge``, and whatever ``chunks`` raises. Closing the response is the
    caller's, before its end too: after ``[DONE]`` nothing more is read.
    """
    return ChatReader(chunks, loads)


def aread_chat(
    chunks: AsyncIterable[Bytes], *, loads: Callable[[str], Any] = loads
) -> AsyncChatReader:
    """Read a chat completion from an asynchronous iterable of bytes, as ``read_chat``.

    By the rules of docs/openai.md.

    Cancelling ``anext()`` loses nothing that was read. Whether more can be read then is up
    to ``chunks``: an asynchronous generator has ended, which raises ``StreamTruncated``.
    """
    return AsyncChatReader(chunks, loads)
