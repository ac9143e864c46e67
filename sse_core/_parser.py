"""bytes -> lines -> fields -> events, as the WHATWG defines (HTML, section 9.2.6).

An event comes out as soon as its blank line has arrived. A carriage return ends a line
immediately; a line feed that follows it is dropped. Between two calls, the parser keeps the
beginning of one line, the fields of one event and, for a block that looks like a language
model's, its first line unparsed. Nothing here does I/O. A stream's contents raise only
EventTooLarge, after the events completed before it have been returned.
"""

from __future__ import annotations

from sys import maxsize

from ._encoder import MAX_RETRY_DIGITS
from ._errors import EventTooLarge
from ._events import Comment, ServerSentEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

    Bytes: TypeAlias = bytes | bytearray | memoryview
    Item = TypeVar("Item", bound=ServerSentEvent | Comment)

    class _ParserOf(Generic[Item]):
        """The type of the items returned."""

else:

    class _ParserOf:
        __slots__ = ()

        # Importing `typing` would take longer than the rest of this package.
        def __class_getitem__(cls, item):
            return cls


DEFAULT_MAX_EVENT_SIZE = 16 * 2**20
"""Bytes. Contract tests for SSE clients send events of 14 MB, and images are several MB long."""

LINE_COST = 32
"""Bytes charged for each further line of an event: the memory that an empty line takes."""

# The most that one byte is charged: as U+FFFD, which takes three bytes, and as a line.
_MOST_CHARGED = 3 + LINE_COST

# Off in one run of the tests, so that the general path parses every stream.
_FAST_PATH = True

_BOM = b"\xef\xbb\xbf"
_FIELDS = frozenset(["data", "event", "id", "retry"])

# The longest beginning of a line that shows its field, and the start of the value.
_LONGEST_PREFIX = len(b"retry: ")

# An unfinished line is examined when it has this many bytes, not with every piece.
_SHORT_LINE = 4096

# The end of a block is taken out of a read up to this size; a larger one is not copied.
_SMALL_BLOCK = 2**16

# Replaces an unfinished line of an unknown field, whose text is not kept.
_UNKNOWN_FIELD = b"unknown:"


class EventStreamParser(_ParserOf["Item"]):
    """A sans-IO parser for one event stream.

    One parser serves one response. A reconnecting client makes a new parser for each
    connection, with the last event ID of the previous one.

    Args:
        last_event_id: the initial last event ID string.
        max_event_size: the most bytes in the field values of one event, plus 32 for each
            line after the first; None for no limit. The result does not depend on how the
            stream is cut. Comments and unknown fields are skipped and do not count.
        comments: return comments too, as ``Comment`` items in order between the events.
            ``max_event_size`` applies to each comment separately.
        dispatch_empty: return an event with empty data for a block that has ``event``,
            ``id`` or ``retry`` but no ``data``. The standard dispatches no event; some
            protocols on top of it use such blocks as signals.
    """

    __slots__ = (
        "_after_cr",
        "_buffer",
        "_comments",
        "_data",
        "_dispatch_empty",
        "_ended",
        "_event_type",
        "_expecting",
        "_failed",
        "_fast_limit",
        "_fast_size",
        "_hold",
        "_id_buffer",
        "_last_event_id",
        "_limit",
        "_look_at",
        "_reconnection_time",
        "_retry",
        "_short_line",
        "_signalled",
        "_size",
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
        # The most bytes that the fast path takes. `_fast_limit`: one data line, no U+FFFD, so
        # a byte is charged as one. `_fast_size`: charged as up to three, and a second line.
        self._fast_limit = self._limit if _FAST_PATH else 0
        self._fast_size = max(0, self._fast_limit - LINE_COST) // 3
        self._comments = comments
        self._dispatch_empty = dispatch_empty
        self._last_event_id = last_event_id
        self._reconnection_time: int | None = None

        # The event under construction. `_signalled` is True if it has a field other than data.
        # `_size` is its charge, and zero between two events.
        self._data: list[str] = []
        self._event_type = ""
        self._id_buffer = last_event_id
        self._retry: int | None = None
        self._signalled = False
        self._size = 0

        # The line under construction, after the previous line if `_holds` says so, and the length
        # at which it is examined. A list of one-byte pieces would take eight times the memory.
        self._buffer = bytearray()
        self._short_line = min(self._limit, _SHORT_LINE)
        self._look_at = self._short_line
        self._hold = min(self._fast_size, _SHORT_LINE)

        # True if the next bytes need `_begin`: at the start, where `_start` is part of a byte
        # order mark; after a carriage return, a failure or the end.
        self._expecting = True
        self._start = b""
        self._after_cr = False
        self._failed = False
        self._ended = False

    @property
    def last_event_id(self) -> str:
        """The last event ID string, which a reconnecting client sends back.

        It changes at the blank line that ends a block, even if the block has no data.
        """
        return self._last_event_id

    @property
    def reconnection_time(self) -> int | None:
        """The latest valid ``retry``, in milliseconds, or None. It applies from its line's end.

        Only the first 640 digits of a longer number are kept.
        """
        return self._reconnection_time

    @property
    def failed(self) -> bool:
        """True if the next call will raise EventTooLarge, whatever its bytes."""
        return self._failed

    def receive_data(self, data: Bytes) -> list[Item]:
        """Take the next bytes of the stream, cut anywhere; return the items they complete.

        Raises:
            EventTooLarge: an event exceeds ``max_event_size``. Items completed before it
                are returned first; the next call and every later one raise.
            RuntimeError: after ``receive_eof``.
            TypeError: ``data`` is not bytes, bytearray or memoryview.
        """
        if type(data) is not bytes:
            data = _to_bytes(data)
        if self._expecting:
            data = self._begin(data)
        if 10 not in data and 13 not in data:
            self._buffer += data
            if len(self._buffer) > self._look_at:
                self._look()
                if self._failed:
                    raise EventTooLarge(self._limit)
            return []
        items: list[Any] = []
        if self._buffer:
            # Held bytes are joined here: a line once, a block that was cut at most twice.
            self._buffer += data
            data, self._buffer = self._buffer, bytearray()
            self._look_at = self._short_line
        if self._size:
            # The block that was cut, alone, so that the next one can take the fast path.
            data = self._receive_rest_of_block(data, items)
        if not self._size:
            head = data[:6]
            if head == b"data: ":
                if data[-2:] == b"\n\n" and len(data) <= self._fast_size:
                    # Fast path for the commonest read of all: exactly one plain block.
                    text = data[6:-2].decode("utf-8", "replace")
                    if "\n" not in text and "\r" not in text:
                        items.append(ServerSentEvent(text, "message", self._last_event_id))
                        return items
                data = self._receive_blocks(data, items)
            elif head == b"event:":
                data = self._receive_named_blocks(data, items)
            elif head[:1] == b":":
                data = self._receive_after_comment(data, items)
            if not data:
                return items
        if 13 in data:
            # splitlines() of bytes breaks only at LF, CR LF and CR; all become LF.
            self._after_cr = self._expecting = data[-1] == 13
            last = b"\n" if data[-1] in b"\r\n" else b""
            data = b"\n".join(data.splitlines()) + last
        if 10 in data and (data[-2:] == b"\n\n" or not self._holds(data)):
            data = self._receive_lines(data, items)
        if data:
            # The rest is the beginning of a line, or of a plain block.
            self._buffer += data
            if len(self._buffer) > self._look_at:
                self._look()
        if self._failed and not items:
            raise EventTooLarge(self._limit)
        return items

    def receive_eof(self) -> ServerSentEvent | None:
        """Take the end of the stream; return the event that it cuts off, or None.

        The standard discards that event, because it may be incomplete, and so do the clients
        of this package. It is returned so that you can show what was lost.

        Raises:
            EventTooLarge: if ``receive_data`` would raise it next.
        """
        if self._failed:
            raise EventTooLarge(self._limit)
        self._ended = self._expecting = True
        reconnection_time = self._reconnection_time
        if self._buffer:
            self._receive_lines(self._buffer.removesuffix(b"\n") + b"\n", [])
            self._buffer.clear()
            if self._failed:
                raise EventTooLarge(self._limit)
        self._reconnection_time = reconnection_time  # a line that never ended sets nothing
        if not self._data:
            return None
        event = ServerSentEvent(
            "\n".join(self._data), self._event_type or "message", self._id_buffer, self._retry
        )
        self._data.clear()
        return event

    def _receive_blocks(self, data: bytes | bytearray, items: list[Any]) -> bytes | bytearray:
        """The fast path: take blocks of one data line; return the bytes after them."""
        # Language models send nothing else, and one split does the work in C. It was right if
        # no value contains a line end; otherwise nothing is taken.
        gap = b"\r\n\r\n" if 13 in data else b"\n\n"
        end = data.rfind(gap)
        if not 0 < end <= self._fast_limit:
            return data
        last_event_id = self._last_event_id
        text = data[6:end].decode("utf-8", "replace")
        if end > self._fast_size and "\N{REPLACEMENT CHARACTER}" in text:
            return data
        if "\n" not in text and "\r" not in text:
            # One block, possibly of megabytes: no need to search it for separators.
            items.append(ServerSentEvent(text, "message", last_event_id))
            return data[end + len(gap) :]
        values = text.split(gap.decode() + "data: ")
        text = "".join(values)
        if "\n" in text or "\r" in text:
            return data
        items += [ServerSentEvent(value, "message", last_event_id) for value in values]
        return data[end + len(gap) :]

    def _receive_named_blocks(self, data: bytes | bytearray, items: list[Any]) -> bytes | bytearray:
        """The same for blocks of one event and one data line, as the Responses API sends them."""
        start = data.find(10) + 1
        if data[start : start + 6] != b"data: " or data[6] != 32 or 13 in data:
            return data
        last_event_id = self._last_event_id
        if data[-2:] == b"\n\n" and len(data) <= self._fast_size:
            text = data[start + 6 : -2].decode("utf-8", "replace")
            if "\n" not in text:
                event_type = data[7 : start - 1].decode("utf-8", "replace") or "message"
                items.append(ServerSentEvent(text, event_type, last_event_id))
                return b""
        end = data.rfind(b"\n\n")
        if not 0 < end <= self._fast_size:
            return data
        events = []
        for block in data[7:end].decode("utf-8", "replace").split("\n\nevent: "):
            event_type, separator, value = block.partition("\ndata: ")
            if not separator or "\n" in value or "\n" in event_type:
                return data
            events.append(ServerSentEvent(value, event_type or "message", last_event_id))
        items += events
        return data[end + 2 :]

    def _receive_after_comment(
        self, data: bytes | bytearray, items: list[Any]
    ) -> bytes | bytearray:
        """The same for a read that is a keep-alive comment, with or without an event after it."""
        if self._comments or data[-2:] != b"\n\n" or 13 in data or not self._fast_limit:
            return data
        data = data[data.find(10) + 1 :].lstrip(b"\n")
        return self._receive_blocks(data, items) if data[:6] == b"data: " else data

    def _holds(self, data: bytes | bytearray) -> bool:
        """Return True if the rest is the first line of a plain block, and part of the second."""
        # Held unparsed, it lets the next read take the fast path. It is too small to exceed the
        # limit. Other lines are not held: `retry` and comments must be reported immediately.
        return (
            not self._size
            and data.find(10, data.find(10) + 1) < 0
            and len(data) <= self._hold
            and data[:6] in (b"data: ", b"event:")
        )

    def _receive_lines(self, data: bytes | bytearray, items: list[Any]) -> bytes | bytearray:
        """The general path: take all complete lines; return the bytes after them."""
        rest: bytes | bytearray = b""
        if data[-1] != 10:
            end = data.rfind(10) + 1
            rest = data[end:]
            data = data[:end]
        # The same as decoding the whole stream, because a UTF-8 sequence contains no line end.
        lines = data.decode("utf-8", "replace").split("\n")
        lines.pop()
        # Far from the limit, only the lines after the last blank line need measuring.
        if self._size + _MOST_CHARGED * len(data) > self._limit:
            del lines[self._measure(lines) :]
        elif lines[-1]:
            self._measure(lines[_last_blank(lines) :])
        else:
            self._size = 0
        del data  # freed early, because lines may be large

        fields, event_type, id_buffer = self._data, self._event_type, self._id_buffer
        retry, signalled = self._retry, self._signalled
        for line in lines:
            if not line:
                # "Set the last event ID string of the event source", and only then look for data.
                self._last_event_id = id_buffer
                if fields or (signalled and self._dispatch_empty):
                    text = "\n".join(fields)
                    items.append(ServerSentEvent(text, event_type or "message", id_buffer, retry))
                    fields.clear()
                event_type, retry, signalled = "", None, False
                continue
            name, _, value = line.partition(": ")
            while True:  # twice for a line that does not look like most
                if name == "data":
                    fields.append(value)
                elif name == "event":
                    event_type = value
                    signalled = True
                elif name == "id":
                    # "If the field value does not contain U+0000 NULL"
                    if "\0" not in value:
                        id_buffer = value
                    signalled = True
                elif name == "retry":
                    # "If the field value consists of only ASCII digits": int() takes more.
                    if value.isascii() and value.isdigit():
                        if len(value) > MAX_RETRY_DIGITS:
                            value = value.lstrip("0")[:MAX_RETRY_DIGITS] or "0"
                        self._reconnection_time = retry = int(value)
                    signalled = True
                elif not name:
                    if self._comments:
                        items.append(Comment(value))
                elif name != (parts := line.partition(":"))[0]:
                    # No space after the colon, no colon, or a colon before that space.
                    name, _, value = parts
                    continue
                break
        self._event_type, self._id_buffer = event_type, id_buffer
        self._retry, self._signalled = retry, signalled
        return rest

    def _receive_rest_of_block(
        self, data: bytes | bytearray, items: list[Any]
    ) -> bytes | bytearray:
        """Take the rest of the block under construction, if it is easy to recognize."""
        if self._size > len(data):
            # Probably the middle of a large event: many lines are taken faster than searched.
            data = self._receive_data_lines(data)
        end = data.find(b"\n\n") + 2
        if end < 2 or end > _SMALL_BLOCK or 13 in data[:end]:
            return data
        self._receive_lines(data[:end], items)
        return b"" if self._failed else data[end:]

    def _receive_data_lines(self, data: bytes | bytearray) -> bytes | bytearray:
        """Take all complete lines together if they are data: the middle of a large event."""
        end = data.rfind(10)
        if data[:6] != b"data: " or 13 in data or not self._fast_limit:
            return data
        text = data[6:end].decode("utf-8", "replace")
        values = text.split("\ndata: ")
        if "\n" in "".join(values):
            return data
        self._data += values
        separators = len("\ndata: ") * (len(values) - 1)
        self._size += _utf8_length(text) - separators + LINE_COST * len(values)
        if self._size - LINE_COST > self._limit:
            self._fail()
        return data[end + 1 :]

    def _begin(self, data: bytes) -> bytes:
        """Handle the start, a CR before ``data``, failure and end; return the rest of ``data``."""
        if self._failed:
            raise EventTooLarge(self._limit)
        if self._ended:
            raise RuntimeError(
                "receive_data() after receive_eof(): a new stream takes a new parser"
            )
        if self._after_cr:
            if data:
                self._after_cr = self._expecting = False
            return data.removeprefix(b"\n")  # the second half of a CR LF
        data = self._start + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._start = data
            return b""
        self._expecting = False
        return data.removeprefix(_BOM)

    def _look(self) -> None:
        """Examine an unfinished line that has become long: is it kept, and is it too large?"""
        if 10 in self._buffer:  # no longer a small block
            self._buffer = bytearray(self._receive_lines(self._buffer, []))
        buffer = self._buffer
        name, colon, value = bytes(buffer[:_LONGEST_PREFIX]).decode("latin-1").partition(":")
        if colon and name in _FIELDS:
            room = self._limit - self._size
        elif colon and not name and self._comments:
            room = self._limit
        elif colon or len(buffer) >= _LONGEST_PREFIX:
            self._buffer = bytearray(_UNKNOWN_FIELD)
            return
        else:
            return
        prefix = len(name) + len(colon) + value.startswith(" ")
        if len(buffer) - prefix > room:
            self._fail()
        elif len(buffer) >= _LONGEST_PREFIX:
            self._look_at = room + prefix

    def _measure(self, lines: list[str]) -> int:
        """Charge lines to the event under construction; return how many may be read."""
        for number, line in enumerate(lines):
            if not line:
                self._size = 0
                continue
            name, colon, _ = line[:_LONGEST_PREFIX].partition(":")
            if name in _FIELDS:
                prefix = len(name) + len(colon) + line.startswith(" ", len(name) + 1)
                self._size += LINE_COST + _utf8_length(line) - prefix
                too_large = self._size - LINE_COST > self._limit
            else:
                too_large = (
                    self._comments
                    and not name
                    and _utf8_length(line) - 1 > self._limit + line.startswith(" ", 1)
                )
            if too_large:
                self._fail()
                return number
        return len(lines)

    def _fail(self) -> None:
        self._failed = self._expecting = True
        self._buffer.clear()


def _to_bytes(data: Bytes) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"expected bytes, bytearray or memoryview, got {type(data).__name__}")
    return bytes(data)


def _last_blank(lines: list[str]) -> int:
    """Return the position of the last blank line, or 0."""
    position = len(lines) - 1
    while position > 0 and lines[position]:
        position -= 1
    return position


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
