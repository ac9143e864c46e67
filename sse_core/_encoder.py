"""events -> bytes, the way back.

``parse(encode(event)) == [event]`` for every event that the wire can carry;
ValueError or TypeError for every other. The one thing that changes on the way:
data and comments that hold CR LF or CR come back with LF, because the format
has no way to tell the three line ends apart.
"""

from __future__ import annotations

from ._events import ServerSentEvent

__all__ = ["MAX_RETRY_DIGITS", "encode", "encode_comment", "encode_retry"]

MAX_RETRY_DIGITS = 640
"""The longest ``retry`` value that is read, and written, as it stands.

CPython's ``int()`` and ``str()`` refuse more than 4,300 digits by default, a limit
that a program may lower, but never below 640.
"""


def encode(event: ServerSentEvent) -> bytes:
    """Return the block that dispatches ``event``, blank line included.

    An empty ``id`` writes no ``id`` field, so the ID in force stays; ``b"id\\n\\n"``
    resets it. Lone surrogates are written as U+FFFD.

    Raises:
        ValueError: ``id`` holds CR, LF or NUL; ``event`` holds CR or LF, or is
            empty; ``retry`` is negative or longer than 640 digits.
        TypeError: a field of the wrong type.
    """
    # Compared as bytes: a subclass of str may lie about what it is equal to.
    event_type = _single_line("event", event.event)
    if not event_type:
        raise ValueError("event is empty, which a reader takes for 'message'")
    lines = [] if event_type == b"message" else [b"event: " + event_type]
    if event_id := _single_line("id", event.id):
        lines.append(b"id: " + event_id)
    if event.retry is not None:
        lines.append(b"retry: " + _digits(event.retry))
    lines += [b"data: " + line for line in _lines("data", event.data)]
    lines.append(b"\n")
    return b"\n".join(lines)


def encode_comment(text: str = "") -> bytes:
    """Return ``text`` as comment lines and a blank line; what keeps a connection alive."""
    return b"".join(b": %b\n" % line for line in _lines("comment", text)) + b"\n"


def encode_retry(milliseconds: int) -> bytes:
    """Return a block that only sets the reconnection time; it dispatches no event.

    Raises:
        ValueError: negative, or longer than 640 digits.
        TypeError: not an integer. ``True`` is none.
    """
    return b"retry: %b\n\n" % _digits(milliseconds)


def _single_line(field: str, text: str) -> bytes:
    value = _utf8(field, text)
    # A line break would begin another field: the injection of CVE-2026-33128 and its kin.
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
    milliseconds = int.__index__(milliseconds)  # of a subclass, what it is and not what it says
    if milliseconds < 0:
        got = f", got {milliseconds}" if milliseconds > -(10**MAX_RETRY_DIGITS) else ""
        raise ValueError(f"retry must not be negative{got}")
    if milliseconds >= 10**MAX_RETRY_DIGITS:
        raise ValueError(f"retry is longer than {MAX_RETRY_DIGITS} digits")
    return b"%d" % milliseconds


def _utf8(field: str, text: str) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"{field} must be a str, got {type(text).__name__}")
    # str's own method: a subclass may lie about its encoding as about its line breaks.
    try:
        return str.encode(text)
    except UnicodeEncodeError:
        # UTF-16 pairs the halves that belong together; the others become U+FFFD.
        units = str.encode(text, "utf-16-le", "surrogatepass")
        return units.decode("utf-16-le", "replace").encode()
