"""bytes -> lines -> fields -> events, by the WHATWG text (HTML, section 9.2.6).

Bytes go in as they come from the network, events come out as soon as their blank
line is there. A carriage return ends a line at once; the line feed that may follow
it is dropped when it comes. What waits between two calls: the beginning of one
line, in pieces that are joined once, and the fields of one event. Nothing here
reads, waits or raises, except EventTooLarge, for which no event is lost: those
before it are returned first.
"""

from __future__ import annotations

from sys import maxsize

from ._encoder import MAX_RETRY_DIGITS
from ._errors import EventTooLarge
from ._events import Comment, ServerSentEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
    from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

    Bytes: TypeAlias = bytes | bytearray | memoryview
    Item = TypeVar("Item", bound=ServerSentEvent | Comment)

    class _ParserOf(Generic[Item]):
        """Tells type checkers what the lists hold."""

else:

    class _ParserOf:
        __slots__ = ()

        # `import typing` would cost more than the rest of this package.
        def __class_getitem__(cls, item):
            return cls


__all__ = ["EventStreamParser", "aiter_events", "iter_events"]

DEFAULT_MAX_EVENT_SIZE = 16 * 2**20
"""Bytes. Contract tests for SSE clients send events of 14 MB, images come in lines of several."""

LINE_COST = 32
"""Bytes charged for each further line of an event: what an empty one costs in memory."""

_BOM = b"\xef\xbb\xbf"
_FIELDS = frozenset(["data", "event", "id", "retry"])

# The longest beginning of a line that tells its field and where the value starts.
_LONGEST_PREFIX = len(b"retry: ")

# An unfinished line is looked at when it has this many bytes, not with every piece.
_SHORT_LINE = 4096

# Stands in for an unfinished line of an unknown field, whose text is not kept.
_UNKNOWN_FIELD = b"unknown:"


class EventStreamParser(_ParserOf["Item"]):
    """A sans-IO parser for one event stream.

    One parser serves one response. A reconnecting client makes a new one for each
    connection and seeds it with the last event ID of the one before.

    Args:
        last_event_id: the last event ID string to begin with.
        max_event_size: the most bytes that one event's field values may hold, with
            32 more charged for each line after the first; None for no limit. The
            verdict does not depend on how the stream is cut. Comments and unknown
            fields are not charged: they are skipped without being kept.
        comments: return comments too, as ``Comment`` items in their place between
            the events. Each is held to ``max_event_size`` by itself.
        dispatch_empty: return an event with empty data for a block that has ``event``,
            ``id`` or ``retry`` but no ``data``. The standard dispatches none; some
            protocols on top of it use such blocks as signals.
    """

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_comments",
        "_data",
        "_dispatch_empty",
        "_ended",
        "_event_type",
        "_failure",
        "_fragments",
        "_held",
        "_id_buffer",
        "_last_event_id",
        "_limit",
        "_look_at",
        "_reconnection_time",
        "_retry",
        "_size",
        "_skipping",
        "_start",
    )

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: EventStreamParser[ServerSentEvent],
            last_event_id: str = "",
            max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
            comments: Literal[False] = False,
            dispatch_empty: bool = False,
        ) -> None: ...

        @overload
        def __init__(
            self: EventStreamParser[ServerSentEvent | Comment],
            last_event_id: str = "",
            max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
            *,
            comments: bool,
            dispatch_empty: bool = False,
        ) -> None: ...

        @overload
        def __init__(
            self,
            last_event_id: str,
            max_event_size: int | None,
            comments: bool,
            dispatch_empty: bool = False,
        ) -> None: ...

    def __init__(
        self,
        last_event_id: str = "",
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        comments: bool = False,
        dispatch_empty: bool = False,
    ) -> None:
        if max_event_size is not None and max_event_size < 0:
            raise ValueError(f"max_event_size must not be negative, got {max_event_size}")
        self._limit = maxsize if max_event_size is None else max_event_size
        self._comments = comments
        self._dispatch_empty = dispatch_empty
        self._last_event_id = last_event_id
        self._reconnection_time: int | None = None

        # The event under construction. `_size` is its charge: zero between two events.
        self._data: list[str] = []
        self._event_type = ""
        self._id_buffer = last_event_id
        self._retry: int | None = None
        self._size = 0

        # The line under construction, and whether it is one that says nothing.
        self._fragments: list[bytes] = []
        self._held = 0
        self._look_at = min(self._limit, _SHORT_LINE)
        self._skipping = False

        # What the next bytes meet: the start of the stream, a carriage return before
        # them, an event that was too large, the end. `_start` is a byte order mark so far.
        self._at_start = True
        self._start = b""
        self._after_cr = False
        self._failure: EventTooLarge | None = None
        self._ended = False

    @property
    def last_event_id(self) -> str:
        """The last event ID string: what a reconnecting client sends back.

        Changes at the blank line that ends a block, also of one without data.
        """
        return self._last_event_id

    @property
    def reconnection_time(self) -> int | None:
        """The latest valid ``retry``, in milliseconds, or None. In force at the end of its line.

        Of a number of more than 640 digits the first 640 are kept.
        """
        return self._reconnection_time

    def receive_data(self, data: Bytes) -> list[Item]:
        """Take the next bytes of the stream, cut anywhere; return the items they completed.

        Raises:
            EventTooLarge: an event passed ``max_event_size``. Items completed before
                it are returned first, then the next call raises, as does every later one.
            RuntimeError: after ``receive_eof``.
            TypeError: ``data`` is not bytes, bytearray or memoryview.
        """
        if type(data) is not bytes:
            data = _to_bytes(data)
        if self._at_start or self._after_cr:
            data = self._strip_start(data)
        if self._failure or self._ended:
            self._refuse()

        if self._fragments:
            if b"\n" not in data and b"\r" not in data:
                self._hold(data)
                return []
            # Joined once, at the line's end: joining with each read would be quadratic.
            self._fragments.append(data)
            data = b"".join(self._fragments)
            self._fragments.clear()

        items: list[Any] = []
        if data.startswith(b"data: ") and not self._size:
            # The fast path. Language models send blocks of one data line. Where all up to
            # the last blank line is such blocks, splitting at what stands between two
            # values does it in C: it is so if no value holds a line end.
            end = data.rfind(b"\n\n")
            if 0 < end <= self._limit:
                values = data[6:end].decode("utf-8", "replace").split("\n\ndata: ")
                text = "".join(values)
                if "\n" not in text and "\r" not in text:
                    last_event_id = self._last_event_id
                    items = [ServerSentEvent(value, "message", last_event_id) for value in values]
                    if end + 2 == len(data):
                        return items
                    data = data[end + 2 :]
        if data:
            self._receive_lines(data, items)
        return items

    def receive_eof(self) -> ServerSentEvent | None:
        """Take the end of the stream; return the event it broke off, or None.

        The standard discards that event, for it may be half of one: so do the clients
        here. It is returned for whoever wants to show what was lost.

        Raises:
            EventTooLarge: as ``receive_data`` would have next.
        """
        if self._failure:
            raise self._failure
        self._ended = True
        reconnection_time = self._reconnection_time
        if self._fragments:
            self._receive_lines(b"".join(self._fragments) + b"\n", [])
            self._fragments.clear()
        self._reconnection_time = reconnection_time  # the line that would set it never ended
        if not self._data:
            return None
        event = ServerSentEvent(
            "\n".join(self._data), self._event_type or "message", self._id_buffer, self._retry
        )
        self._data.clear()
        return event

    def _receive_lines(self, data: bytes, items: list[Any]) -> None:
        """The general path: all complete lines of ``data``; the rest is held."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._held, self._skipping, self._look_at = 0, False, min(self._limit, _SHORT_LINE)
        rest = data[end:]
        if rest:
            data = data[:end]
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r") and not rest
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # Decoded at once: no line end is inside a UTF-8 sequence, so that the result is
        # that of decoding the stream. The names are let go early, as lines may be large.
        text = data.decode("utf-8", "replace")
        del data
        length = len if text.isascii() else _utf8_length
        lines = text.split("\n")
        lines.pop()
        del text
        size = self._size
        fields = self._data
        for line in lines:
            name, _, value = line.partition(": ")
            if name == "data":
                fields.append(value)
                size += length(value) + LINE_COST
            elif not line:
                if size - LINE_COST > self._limit:
                    break
                if size:
                    # "Set the last event ID string of the event source to the value of the
                    # last event ID buffer", and only then look whether there is any data.
                    self._last_event_id = self._id_buffer
                    if fields or self._dispatch_empty:
                        items.append(
                            ServerSentEvent(
                                fields[0] if len(fields) == 1 else "\n".join(fields),
                                self._event_type or "message",
                                self._id_buffer,
                                self._retry,
                            )
                        )
                        fields.clear()
                    self._event_type = ""
                    self._retry = None
                    size = 0
            elif name == "event":
                self._event_type = value
                size += length(value) + LINE_COST
            else:
                if name not in _FIELDS:
                    # No space after the colon, no colon, or a colon before that space.
                    name, _, value = line.partition(":")
                if name in _FIELDS:
                    self._receive_field(name, value)
                    size += length(value) + LINE_COST
                elif not name and self._comments:
                    if length(value) > self._limit:
                        size = maxsize
                        break
                    items.append(Comment(value))
        self._size = size
        if size - LINE_COST > self._limit:
            self._fail(items)
        elif rest:
            self._hold(rest)

    def _receive_field(self, name: str, value: str) -> None:
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event_type = value
        elif name == "id":
            # "If the field value does not contain U+0000 NULL, then set the last event
            # ID buffer to the field value. Otherwise, ignore the field."
            if "\0" not in value:
                self._id_buffer = value
        # "If the field value consists of only ASCII digits": int() would take more.
        elif value.isascii() and value.isdigit():
            digits = value.lstrip("0") or "0"
            self._retry = self._reconnection_time = int(digits[:MAX_RETRY_DIGITS])

    def _strip_start(self, data: bytes) -> bytes:
        """Drop what belongs to no line: a byte order mark, or the LF of a CR LF."""
        if not data:
            return data
        if self._at_start:
            data = self._start + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._start = data
                return b""
            self._at_start = False
            return data.removeprefix(_BOM)
        self._after_cr = False
        return data.removeprefix(b"\n")

    def _hold(self, data: bytes) -> None:
        """Keep a piece of a line whose end has not come, if the line says anything."""
        if self._skipping or not data:
            return
        self._fragments.append(data)
        self._held += len(data)
        if self._held <= self._look_at:
            return
        head = b"".join(self._fragments[:_LONGEST_PREFIX])[:_LONGEST_PREFIX]
        name, colon, value = head.partition(b":")
        prefix = len(name) + len(colon) + value.startswith(b" ")
        if not name and self._comments:
            room = self._limit
        elif name.decode("latin-1") in _FIELDS:
            room = self._limit - self._size
        elif colon or len(head) == _LONGEST_PREFIX:
            self._fragments = [_UNKNOWN_FIELD]
            self._skipping = True
            return
        else:
            return
        if len(head) == _LONGEST_PREFIX:
            self._look_at = room + prefix
        if self._held - prefix > room:
            self._fail([])

    def _fail(self, items: list[Any]) -> None:
        """Note that an event was too large; raise unless ``items`` go first."""
        self._failure = EventTooLarge(self._limit)
        self._data.clear()
        self._fragments.clear()
        if not items:
            raise self._failure

    def _refuse(self) -> None:
        if self._failure:
            raise self._failure
        raise RuntimeError("receive_data() after receive_eof(): a new stream takes a new parser")


if TYPE_CHECKING:

    @overload
    def iter_events(
        chunks: Iterable[Bytes],
        *,
        last_event_id: str = "",
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        comments: Literal[False] = False,
        dispatch_empty: bool = False,
    ) -> Iterator[ServerSentEvent]: ...

    @overload
    def iter_events(
        chunks: Iterable[Bytes],
        *,
        last_event_id: str = "",
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        comments: bool,
        dispatch_empty: bool = False,
    ) -> Iterator[ServerSentEvent | Comment]: ...


def iter_events(
    chunks: Iterable[Bytes],
    *,
    last_event_id: str = "",
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    comments: bool = False,
    dispatch_empty: bool = False,
) -> Iterator[ServerSentEvent | Comment]:
    """Yield the events of an event stream that comes as an iterable of bytes.

    The options are those of ``EventStreamParser``. An event that the end breaks off
    is discarded, as the standard has it.
    """
    parser = EventStreamParser(last_event_id, max_event_size, comments, dispatch_empty)
    for chunk in chunks:
        yield from parser.receive_data(chunk)
    parser.receive_eof()


if TYPE_CHECKING:

    @overload
    def aiter_events(
        chunks: AsyncIterable[Bytes],
        *,
        last_event_id: str = "",
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        comments: Literal[False] = False,
        dispatch_empty: bool = False,
    ) -> AsyncIterator[ServerSentEvent]: ...

    @overload
    def aiter_events(
        chunks: AsyncIterable[Bytes],
        *,
        last_event_id: str = "",
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        comments: bool,
        dispatch_empty: bool = False,
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

    As ``iter_events``. Events that have been read wait in the iterator, so that
    cancelling ``anext()`` loses none of them.
    """
    parser = EventStreamParser(last_event_id, max_event_size, comments, dispatch_empty)
    return _AsyncEvents(parser, aiter(chunks))


class _AsyncEvents:
    # A class and not an async generator: cancelling one of those ends it.

    def __init__(
        self,
        parser: EventStreamParser[ServerSentEvent | Comment],
        chunks: AsyncIterator[Bytes],
    ) -> None:
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


def _to_bytes(data: Bytes) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"expected bytes, bytearray or memoryview, got {type(data).__name__}")
    return bytes(data)


def _utf8_length(text: str) -> int:
    return len(text.encode())
