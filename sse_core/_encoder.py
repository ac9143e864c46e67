"""events -> bytes, the inverse of the parser.

``parse(encode(event)) == [event]`` for every event that the format can express; any other
raises ValueError or TypeError. One thing changes: CR LF and CR in data and comments come
back as LF, because the format does not distinguish the three line ends.
"""

from __future__ import annotations

from ._events import ServerSentEvent

MAX_RETRY_DIGITS = 640
"""The longest ``retry`` that is read and written unchanged: the least to which a program can
lower CPython's limit for ``int()`` and ``str()``, 4,300 digits by default."""


def encode(event: ServerSentEvent) -> bytes:
    """Return the block that dispatches ``event``, blank line included.

    If ``id`` is empty, no ``id`` field is written, and the reader keeps its last event ID;
    ``b"id\\n\\n"`` resets it. Lone surrogates are written as U+FFFD.

    Raises:
        ValueError: ``id`` contains CR, LF or NUL; ``event`` contains CR or LF, or is
            empty; ``retry`` is negative or longer than 640 digits.
        TypeError: a field has the wrong type.
    """
    # Compared as bytes, because a subclass of str may redefine equality.
    event_type = _single_line("event", event.event)
    if not event_type:
        raise ValueError("event is empty, which a reader takes as 'message'")
    lines = [] if event_type == b"message" else [b"event: " + event_type]
    if event_id := _single_line("id", event.id):
        lines.append(b"id: " + event_id)
    if event.retry is not None:
        lines.append(b"retry: " + _digits(event.retry))
    lines += [b"data: " + line for line in _lines("data", event.data)]
    lines.append(b"\n")
    return b"\n".join(lines)


def encode_comment(text: str = "") -> bytes:
    """Return ``text`` as comment lines and a blank line, to keep a connection alive."""
    return b"".join(b": %b\n" % line for line in _lines("comment", text)) + b"\n"


def encode_retry(milliseconds: int) -> bytes:
    """Return a block that only sets the reconnection time; it dispatches no event.

    Raises:
        ValueError: ``milliseconds`` is negative or longer than 640 digits.
        TypeError: it is not an integer. ``True`` does not count as one.
    """
    return b"retry: %b\n\n" % _digits(milliseconds)


def _single_line(field: str, text: str) -> bytes:
    value = _utf8(field, text)
    # A line break would start another field: the injection of CVE-2026-33128 and similar.
    if b"\n" in value or b"\r" in value:
        raise ValueError(f"{field} holds a line break: {text!r}")
    # "If the field value does not contain U+0000 NULL": such an id would be ignored.
    if field == "id" and b"\0" in value:
        raise ValueError(f"id holds NUL: {text!r}")
    return value


def _lines(field: str, text: str) -> list[bytes]:
    value = _utf8(field, text)
    if b"\r" in value:
        value = value.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return value.split(b"\n")


def _digits(milliseconds: int) -> bytes:
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool):
        raise TypeError(f"retry must be an int, got {type(milliseconds).__name__}")
    milliseconds = int.__index__(milliseconds)  # the value of a subclass, whatever it says
    if milliseconds < 0:
        got = f", got {milliseconds}" if milliseconds > -(10**MAX_RETRY_DIGITS) else ""
        raise ValueError(f"retry must not be negative{got}")
    if milliseconds >= 10**MAX_RETRY_DIGITS:
        raise ValueError(f"retry is longer than {MAX_RETRY_DIGITS} digits")
    return b"%d" % milliseconds


def _utf8(field: str, text: str) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"{field} must be a str, got {type(text).__name__}")
    # str's own method, because a subclass may redefine its encoding too.
    try:
        return str.encode(text)
    except UnicodeEncodeError:
        # UTF-16 joins matching surrogates; the others become U+FFFD.
        units = str.encode(text, "utf-16-le", "surrogatepass")
        return units.decode("utf-16-le", "replace").encode()
