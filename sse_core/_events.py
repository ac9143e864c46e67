"""The items of an event stream, events and comments, as plain values.

The classes are written by hand with ``__slots__``, for cheap construction without imports.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ServerSentEvent:
    """One event of an event stream, with the four field names of the format.

    In an event from the parser, ``id`` is the last event ID at the time of dispatch, and
    ``retry`` is the valid ``retry`` field of the event's own block. The constructor checks
    nothing: ``encode`` refuses values that the format cannot express, so attributes assigned
    later are checked too.
    """

    __slots__ = ("data", "event", "id", "retry")
    __match_args__ = ("data", "event", "id", "retry")

    def __init__(
        self, data: str = "", event: str = "message", id: str = "", retry: int | None = None
    ) -> None:
        self.data = data
        """The ``data`` lines, joined with line feeds."""
        self.event = event
        """The event type, ``"message"`` unless the stream named one."""
        self.id = id
        """The last event ID; empty if there is none."""
        self.retry = retry
        """A reconnection time in milliseconds, or None."""

    def json(self) -> Any:
        """Return ``data`` decoded as JSON; raise ``json.JSONDecodeError`` if it is invalid."""
        import json  # not at the top: it takes 4 ms, and readers of plain text never need it

        return json.loads(self.data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServerSentEvent):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__match_args__)

    # Not hashable, because it is mutable and compares by value.
    __hash__ = None  # type: ignore[assignment]  # Python's way to say so

    def __repr__(self) -> str:
        fields = [f"data={self.data!r}"]
        if self.event != "message":
            fields.append(f"event={self.event!r}")
        if self.id:
            fields.append(f"id={self.id!r}")
        if self.retry is not None:
            fields.append(f"retry={self.retry!r}")
        return f"ServerSentEvent({', '.join(fields)})"


class Comment:
    """A comment of an event stream: a line that starts with a colon.

    ``text`` is the rest of the line, without one leading space.
    """

    __slots__ = ("text",)
    __match_args__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Comment):
            return NotImplemented
        return self.text == other.text

    __hash__ = None  # type: ignore[assignment]  # as above

    def __repr__(self) -> str:
        return f"Comment({self.text!r})"
