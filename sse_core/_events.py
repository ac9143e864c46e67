"""What an event stream carries: events and comments, as plain values.

Built once for each dispatch, hence written by hand with ``__slots__``: no import
beyond the language, and a constructor that costs no more than its assignments.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Comment", "ServerSentEvent"]


class ServerSentEvent:
    """One event of an event stream, under the wire's four field names.

    From the parser, ``id`` is the last event ID in force when the event was
    dispatched and ``retry`` the valid ``retry`` field of the event's own block.
    Nothing is checked here: ``encode`` refuses what the wire cannot carry, so an
    attribute that was assigned later is checked as well.
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
        """The last event ID, empty when there is none."""
        self.retry = retry
        """A reconnection time in milliseconds, or None."""

    def json(self) -> Any:
        """Return ``data`` decoded as JSON; ``json.JSONDecodeError`` where it is none."""
        import json  # not at the top: 4 ms that a reader of plain text never needs

        return json.loads(self.data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServerSentEvent):
            return NotImplemented
        return (self.data, self.event, self.id, self.retry) == (
            other.data,
            other.event,
            other.id,
            other.retry,
        )

    # Equal by value and open to assignment, hence not hashable.
    __hash__ = None  # type: ignore[assignment]  # the language's own way to say so

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
    """A comment of an event stream: a line that began with a colon.

    ``text`` is what followed the colon, without the one space that may stand there.
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
