"""Iterate over the events of a stream of bytes, from any source."""

from __future__ import annotations

from ._parser import DEFAULT_MAX_EVENT_SIZE, EventStreamParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
    from typing import Any, Literal, TypedDict, Unpack, overload

    from ._events import Comment, ServerSentEvent
    from ._parser import Bytes

    class _Options(TypedDict, total=False):
        last_event_id: str
        max_event_size: int | None
        dispatch_empty: bool


if TYPE_CHECKING:

    @overload
    def iter_events(
        chunks: Iterable[Bytes], *, comments: Literal[False] = False, **options: Unpack[_Options]
    ) -> Iterator[ServerSentEvent]: ...

    @overload
    def iter_events(
        chunks: Iterable[Bytes], *, comments: bool, **options: Unpack[_Options]
    ) -> Iterator[ServerSentEvent | Comment]: ...


def iter_events(
    chunks: Iterable[Bytes],
    *,
    last_event_id: str = "",
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    comments: bool = False,
    dispatch_empty: bool = False,
) -> Iterator[ServerSentEvent | Comment]:
    """Yield the events of an event stream that is given as an iterable of bytes.

    The options are those of ``EventStreamParser``. An event that the end of the stream
    cuts off is discarded, as the standard requires.
    """
    parser: EventStreamParser[Any] = EventStreamParser(
        last_event_id, max_event_size, comments, dispatch_empty
    )
    for chunk in chunks:
        yield from parser.receive_data(chunk)
    parser.receive_eof()


if TYPE_CHECKING:

    @overload
    def aiter_events(
        chunks: AsyncIterable[Bytes],
        *,
        comments: Literal[False] = False,
        **options: Unpack[_Options],
    ) -> AsyncIterator[ServerSentEvent]: ...

    @overload
    def aiter_events(
        chunks: AsyncIterable[Bytes], *, comments: bool, **options: Unpack[_Options]
    ) -> AsyncIterator[ServerSentEvent | Comment]: ...


def aiter_events(
    chunks: AsyncIterable[Bytes],
    *,
    last_event_id: str = "",
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    comments: bool = False,
    dispatch_empty: bool = False,
) -> AsyncIterator[ServerSentEvent | Comment]:
    """Return an iterator over the events of an asynchronous iterable of bytes.

    The same as ``iter_events``. Events that have been read wait in the iterator, so
    cancelling ``anext()`` loses nothing.
    """
    parser: EventStreamParser[Any] = EventStreamParser(
        last_event_id, max_event_size, comments, dispatch_empty
    )
    return _AsyncEvents(parser, aiter(chunks))


class _AsyncEvents:
    # Not an async generator, because cancellation would end it.

    def __init__(self, parser: EventStreamParser[Any], chunks: AsyncIterator[Bytes]) -> None:
        self._parser = parser
        self._chunks = chunks
        self._items: Iterator[ServerSentEvent | Comment] = iter(())

    def __aiter__(self) -> _AsyncEvents:
        return self

    async def __anext__(self) -> ServerSentEvent | Comment:
        while True:
            for item in self._items:
                return item
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                self._parser.receive_eof()
                raise
            self._items = iter(self._parser.receive_data(chunk))
