"""Number the frames of a stream that is sent again."""

from __future__ import annotations

from typing import Final

BOM: Final = b"\xef\xbb\xbf"


def with_id(frame: bytes, id: int) -> bytes:
    """Return a frame with the line ``id: n`` before the blank line that ends it.

    This overrides any ``id`` in the frame, because the last ``id`` field of a block wins.
    The first frame loses its byte order mark, since it may not begin the stream it goes to.
    Any other mark is part of a line, and a blank line before it keeps it so.
    """
    frame = (frame.removeprefix(BOM) if id == 1 else frame).lstrip(b"\r\n") or b"\n"
    if frame.startswith(BOM):
        frame = b"\n" + frame
    blank_line = 2 if frame.endswith(b"\r\n") else 1
    return b"%bid: %d\n%b" % (frame[:-blank_line], id, frame[-blank_line:])
