"""The event stream format, transcribed from the standard's prose and nothing else.

bytes -> what the standard makes of them, all at once. Deliberately naive: one
character at a time, no look-ahead, no speed. Sentences in quotation marks are from
"Parsing an event stream" and "Interpreting an event stream" of the HTML Standard and
from "UTF-8 decoder" of the Encoding Standard. What the standard does not have
(limits, comments, empty events, the end of the stream) follows the docstrings of
``EventStreamParser``. It shares nothing with ``sse_core._parser``; of ``sse_core`` it
uses the two value classes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sse_core import Comment, ServerSentEvent

__all__ = ["Reading", "read"]

LINE_CHARGE = 32
"""What each line of an event after its first costs, besides the bytes of its value."""

RETRY_DIGITS = 640
"""How many digits of a ``retry`` value count; leading zeros do not."""


@dataclass
class Reading:
    """What a stream, or the beginning of one, comes to."""

    items: list[ServerSentEvent | Comment] = field(default_factory=list)
    last_event_id: str = ""
    reconnection_time: int | None = None

    too_large: bool = False
    """A line that has ended passed the limit."""

    unfinished_too_large: bool = False
    """The last line is one of a field, and passes the limit as far as it has come."""

    too_large_at_eof: bool = False
    """The limit is passed if the stream ends here."""

    broken_off: ServerSentEvent | None = None
    """The event that an end of the stream here breaks off, if it has any data."""


def read(
    stream: bytes,
    *,
    last_event_id: str = "",
    max_event_size: int | None = None,
    comments: bool = False,
    dispatch_empty: bool = False,
) -> Reading:
    """Return what ``stream`` comes to, for a parser with these options."""
    reader = _Reader(last_event_id, max_event_size, comments, dispatch_empty)
    characters = _decode(stream)

    # "one leading U+FEFF BYTE ORDER MARK character must be ignored if any are present"
    if characters and characters[0] == "\ufeff":
        characters = characters[1:]

    # "Lines must be separated by either a U+000D CARRIAGE RETURN U+000A LINE FEED
    # (CRLF) character pair, a single U+000A LINE FEED (LF) character, or a single
    # U+000D CARRIAGE RETURN (CR) character."
    line = ""
    previous = ""
    for character in characters:
        if character == "\n" and previous == "\r":
            pass  # the second half of a pair that has ended its line already
        elif character == "\n" or character == "\r":
            reader.line(line)
            if reader.reading.too_large:
                reader.reading.too_large_at_eof = True
                return reader.reading
            line = ""
        else:
            line += character
        previous = character

    reader.end(line)
    return reader.reading


class _Reader:
    def __init__(
        self,
        last_event_id: str,
        max_event_size: int | None,
        comments: bool,
        dispatch_empty: bool,
    ) -> None:
        self.reading = Reading(last_event_id=last_event_id)
        self.max_event_size = max_event_size
        self.comments = comments
        self.dispatch_empty = dispatch_empty

        # "a data buffer, an event type buffer, and a last event ID buffer must be
        # associated with it. They must be initialized to the empty string." The last
        # one begins with what an earlier connection left (WPT format-field-id-2).
        self.data_buffer = ""
        self.event_type_buffer = ""
        self.last_event_id_buffer = last_event_id

        self.retry: int | None = None
        self.field_seen = False
        self.lines = 0
        self.charge = 0

    def line(self, line: str) -> None:
        # "If the line is empty (a blank line)": "Dispatch the event, as defined below."
        if line == "":
            self.dispatch()
            return

        # "If the line starts with a U+003A COLON character (:)": "Ignore the line."
        if line[0] == ":":
            if self.comments:
                text = _value(line[1:])
                if self.over(_utf8_size(text)):
                    self.reading.too_large = True
                else:
                    self.reading.items.append(Comment(text))
            return

        name, value = _name_and_value(line)
        if name in ("data", "event", "id", "retry"):
            self.charge += _utf8_size(value) + (LINE_CHARGE if self.lines > 0 else 0)
            self.lines += 1
            if self.over(self.charge):
                self.reading.too_large = True
                return
        self.process_field(name, value)

    def process_field(self, name: str, value: str) -> None:
        if name == "event":
            # "Set the event type buffer to the field value."
            self.event_type_buffer = value
            self.field_seen = True

        elif name == "data":
            # "Append the field value to the data buffer, then append a single U+000A
            # LINE FEED (LF) character to the data buffer."
            self.data_buffer = self.data_buffer + value + "\n"

        elif name == "id":
            # "If the field value does not contain U+0000 NULL, then set the last event
            # ID buffer to the field value. Otherwise, ignore the field."
            self.field_seen = True
            if "\0" not in value:
                self.last_event_id_buffer = value

        elif name == "retry":
            # "If the field value consists of only ASCII digits, then interpret the
            # field value as an integer in base ten, and set the event stream's
            # reconnection time to that integer. Otherwise, ignore the field."
            self.field_seen = True
            number = _integer(value)
            if number is not None:
                self.retry = number
                self.reading.reconnection_time = number

        # "Otherwise": "The field is ignored."

    def dispatch(self) -> None:
        # "Set the last event ID string of the event source to the value of the last
        # event ID buffer."
        self.reading.last_event_id = self.last_event_id_buffer

        # "If the data buffer is an empty string, set the data buffer and the event
        # type buffer to the empty string and return."
        if self.data_buffer != "" or (self.dispatch_empty and self.field_seen):
            self.reading.items.append(self.event())

        self.data_buffer = ""
        self.event_type_buffer = ""
        self.retry = None
        self.field_seen = False
        self.lines = 0
        self.charge = 0

    def event(self) -> ServerSentEvent:
        # "If the data buffer's last character is a U+000A LINE FEED (LF) character,
        # then remove the last character from the data buffer."
        data = self.data_buffer
        if data != "" and data[-1] == "\n":
            data = data[:-1]

        # "Initialize event's type attribute to "message"", "If the event type buffer
        # has a value other than the empty string, change the type".
        type = "message"
        if self.event_type_buffer != "":
            type = self.event_type_buffer
        return ServerSentEvent(data, type, self.last_event_id_buffer, self.retry)

    def end(self, line: str) -> None:
        # "Once the end of the file is reached, any pending data must be discarded." It
        # is shown all the same, but leaves no trace in what the stream has set.
        items = list(self.reading.items)
        last_event_id = self.reading.last_event_id
        reconnection_time = self.reading.reconnection_time

        if line != "":
            self.line(line)
        self.reading.too_large_at_eof = self.reading.too_large
        # Without a colon the name may still grow into that of an unknown field.
        self.reading.unfinished_too_large = self.reading.too_large and ":" in line
        self.reading.too_large = False
        if self.data_buffer != "" and not self.reading.too_large_at_eof:
            self.reading.broken_off = self.event()

        self.reading.items = items
        self.reading.last_event_id = last_event_id
        self.reading.reconnection_time = reconnection_time

    def over(self, size: int) -> bool:
        return self.max_event_size is not None and size > self.max_event_size


def _name_and_value(line: str) -> tuple[str, str]:
    name = ""
    for position, character in enumerate(line):
        # "Collect the characters on the line before the first U+003A COLON character
        # (:), and let field be that string. Collect the characters on the line after
        # the first U+003A COLON character (:), and let value be that string."
        if character == ":":
            return name, _value(line[position + 1 :])
        name += character
    # "using the whole line as the field name, and the empty string as the field value"
    return name, ""


def _value(text: str) -> str:
    # "If value starts with a U+0020 SPACE character, remove it from value."
    if text != "" and text[0] == " ":
        return text[1:]
    return text


def _utf8_size(text: str) -> int:
    size = 0
    for character in text:
        code_point = ord(character)
        if code_point <= 0x7F:
            size += 1
        elif code_point <= 0x7FF:
            size += 2
        elif code_point <= 0xFFFF:
            size += 3
        else:
            size += 4
    return size


def _integer(value: str) -> int | None:
    number = 0
    digits = 0
    for character in value:
        if character not in "0123456789":
            return None
        if digits == 0 and character == "0":
            continue
        if digits < RETRY_DIGITS:
            number = number * 10 + "0123456789".index(character)
            digits += 1
    return None if value == "" else number


def _decode(stream: bytes) -> str:
    characters = ""
    code_point = 0
    bytes_seen = 0
    bytes_needed = 0
    lower_boundary = 0x80
    upper_boundary = 0xBF

    for byte in stream:
        # "If byte is not in the range UTF-8 lower boundary to UTF-8 upper boundary,
        # inclusive, then": set everything back, "Restore byte to ioQueue", "Return error."
        if bytes_needed != 0 and not lower_boundary <= byte <= upper_boundary:
            characters += "\ufffd"
            code_point = bytes_needed = bytes_seen = 0
            lower_boundary = 0x80
            upper_boundary = 0xBF

        if bytes_needed == 0:
            if 0x00 <= byte <= 0x7F:
                characters += chr(byte)
            elif 0xC2 <= byte <= 0xDF:
                bytes_needed = 1
                code_point = byte & 0x1F
            elif 0xE0 <= byte <= 0xEF:
                if byte == 0xE0:
                    lower_boundary = 0xA0
                if byte == 0xED:
                    upper_boundary = 0x9F
                bytes_needed = 2
                code_point = byte & 0xF
            elif 0xF0 <= byte <= 0xF4:
                if byte == 0xF0:
                    lower_boundary = 0x90
                if byte == 0xF4:
                    upper_boundary = 0x8F
                bytes_needed = 3
                code_point = byte & 0x7
            else:
                characters += "\ufffd"
            continue

        lower_boundary = 0x80
        upper_boundary = 0xBF
        code_point = (code_point << 6) | (byte & 0x3F)
        bytes_seen += 1
        if bytes_seen == bytes_needed:
            characters += chr(code_point)
            code_point = bytes_needed = bytes_seen = 0

    # "If byte is end-of-queue and UTF-8 bytes needed is not 0, then": "return error."
    if bytes_needed != 0:
        characters += "\ufffd"
    return characters
