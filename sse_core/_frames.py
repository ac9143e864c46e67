"""bytes -> frames: an event stream cut after its blank lines, and not parsed any further."""

from __future__ import annotations

import re
from typing import Final

from ._errors import EventTooLarge
from ._parser import DEFAULT_MAX_EVENT_SIZE

# Atomic groups: CR LF is one line end, and backtracking must not make it two.
_FRAME_END: Final = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_CONTENT: Final = re.compile(rb"[^\r\n]")

_OVERLAP: Final = 3  # the longest end of a frame, less the byte that has yet to arrive


class FrameSplitter:
    """Cuts an event stream into frames: ``b"".join(frames)`` is the stream.

    For proxies and relays that pass a stream on without parsing it. A frame is a block of
    lines, comments included, with the blank line that ends it. Further blank lines belong to
    the next frame, so no frame is empty. If a read ends with CR, the frame ends there; a LF
    that follows starts the next frame.

    ``max_frame_size`` limits the bytes of a frame, complete or not; None for no limit.
    """

    def __init__(self, max_frame_size: int | None = DEFAULT_MAX_EVENT_SIZE) -> None:
        self.failed = False
        """True if the next ``receive_data`` will raise."""
        self._max_frame_size = max_frame_size
        self._buffer = bytearray()
        self._content = 0  # the position after the first byte that is not a line end, or 0
        self._searched = 0  # the position up to which content or the end has been searched for

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the frames that ``data`` completes.

        Raises:
            EventTooLarge: a frame exceeds the limit. Frames before it are returned first.
        """
        if self.failed:
            return self._within_limit([])
        if (frames := self._split(data)) is not None:
            return self._within_limit(frames)
        frames = []
        buffer = self._buffer
        buffer += data
        start = 0
        while True:
            if not self._content:
                if (content := _CONTENT.search(buffer, self._searched)) is None:
                    self._searched = len(buffer)
                    break
                self._content = self._searched = content.end()
            if (end := _FRAME_END.search(buffer, self._searched)) is None:
                self._searched = max(self._content, len(buffer) - _OVERLAP)
                break
            frames.append(bytes(buffer[start : end.end()]))
            start = self._searched = end.end()
            self._content = 0
        del buffer[:start]
        self._searched -= start
        self._content -= min(start, self._content)
        return self._within_limit(frames)

    def _split(self, data: bytes) -> list[bytes] | None:
        """Take frames as models send them: line feeds, and one blank line after each block."""
        end = data.find(b"\n\n")
        if end <= 0 or b"\r" in data or b"\n\n\n" in data:
            return None
        if self._buffer:
            if self._buffer[0] in b"\r\n":
                return None
            data = bytes(self._buffer) + data
        elif end == len(data) - 2:
            return [data]
        *frames, rest = data.split(b"\n\n")
        self._buffer[:] = rest
        self._content = 1 if rest else 0
        self._searched = max(self._content, len(rest) - _OVERLAP)
        return [frame + b"\n\n" for frame in frames]

    def receive_eof(self) -> bytes:
        """Return the bytes after the last frame, which no blank line ends."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._content = self._searched = 0
        return rest

    def _within_limit(self, frames: list[bytes]) -> list[bytes]:
        limit = self._max_frame_size
        if limit is None:
            return frames
        for index, frame in enumerate(frames):
            if len(frame) > limit:
                del frames[index:]
                self.failed = True
                break
        self.failed = self.failed or len(self._buffer) > limit
        if self.failed and not frames:
            raise EventTooLarge(limit)
        return frames
