"""events -> a bounded log -> the bytes that each subscriber reads next. No I/O.

Each event is encoded and stored once. A subscriber's queue is the number of the event that it
reads next: a thousand subscribers cost a thousand integers, and none delays another. Whoever
still needs an event that the log has dropped gets the event ``gap``, or SubscriberTooSlow.
"""

from __future__ import annotations

import os

from .._encoder import encode
from .._errors import SubscriberTooSlow
from .._events import ServerSentEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    Slow: TypeAlias = Literal["disconnect", "drop_oldest"]

MAX_BURST = 2**16
"""The most bytes of events joined for one send, unless a single event is larger
(asyncio's high-water mark)."""


class ReplayLog:
    """The latest events, encoded and in order, numbered from 0."""

    def __init__(self, max_events: int | None, max_bytes: int | None) -> None:
        for name, value in [("max_events", max_events), ("max_bytes", max_bytes)]:
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.first = 0  # the oldest event in the log; `next` if the log is empty
        self.next = 0  # the event to come
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._run = ""
        self._entries: dict[int, tuple[str, bytes]] = {}
        self._numbers: dict[str, int] = {}
        self._joined = (0, 0, b"")

    def append(self, event: ServerSentEvent) -> str:
        """Add ``event``, and raise as ``Broadcast.publish`` does; return its ID."""
        event_id = event.id or self._new_id()
        if event_id in self._numbers:
            raise ValueError(f"an event with the id {event_id!r} is in the log")
        block = encode(ServerSentEvent(event.data, event.event, event_id, event.retry))
        self._entries[self.next] = event_id, block
        self._numbers[event_id] = self.next
        self._bytes += len(block)
        self.next += 1
        self._forget()
        return event_id

    def after(self, last_event_id: str) -> tuple[int, int | None]:
        """Return the first event to send, and how many before it are lost: None if unknown."""
        if (number := self._numbers.get(last_event_id)) is not None:
            return number + 1, 0
        run, _, digits = last_event_id.rpartition("-")
        # At most ten digits: no run publishes more events, and long numbers parse slowly.
        if run and run == self._run and digits.isascii() and digits.isdigit() and len(digits) < 11:
            number = int(digits)
            if number < self.first and last_event_id == f"{run}-{number}":
                return self.first, self.first - number - 1
        return self.first, None

    def read(self, number: int) -> tuple[bytes, int]:
        """Return events from ``number`` on, joined, and the number of the next event."""
        start, end, data = self._joined
        if start == number and end == self.next:
            return data, end  # joined once, as most subscribers are at the same position
        entries = self._entries
        data, end = entries[number][1], number + 1
        if end < self.next:
            size, blocks = len(data), [data]
            while end < self.next and (size := size + len(entries[end][1])) <= MAX_BURST:
                blocks.append(entries[end][1])
                end += 1
            data = b"".join(blocks)
        self._joined = number, end, data
        return data, end

    def _new_id(self) -> str:
        if not self._run:
            # Not in the constructor: processes forked before the first event get other runs.
            self._run = os.urandom(6).hex()
        return f"{self._run}-{self.next}"

    def _forget(self) -> None:
        # The newest event stays, whatever its size; otherwise nobody would ever get it.
        while self.next - self.first > 1 and (
            (self._max_events is not None and self.next - self.first > self._max_events)
            or (self._max_bytes is not None and self._bytes > self._max_bytes)
        ):
            event_id, block = self._entries.pop(self.first)
            del self._numbers[event_id]
            self._bytes -= len(block)
            self.first += 1


class Reader:
    """One subscriber's position in the log, with the policy for falling behind."""

    __slots__ = ("_log", "_lost", "_max_queue", "_number", "_slow", "_start")

    def __init__(
        self, log: ReplayLog, last_event_id: str | None, max_queue: int | None, slow: Slow
    ) -> None:
        self._log = log
        self._max_queue = max_queue
        self._slow = slow
        self._start = log.next
        self._lost: int | None = 0
        self._number = log.next
        if last_event_id:
            self._number, self._lost = log.after(last_event_id)

    def read(self) -> bytes:
        """Return the next events, joined; ``b""`` if there are none yet."""
        log = self._log
        if self._number == log.next and self._lost == 0:
            return b""
        oldest = log.first
        # Replayed events do not count, because the client asked for them.
        if self._max_queue is not None and log.next - self._max_queue > self._start:
            oldest = max(oldest, log.next - self._max_queue)
        if self._number < oldest:
            if self._slow == "disconnect":
                raise SubscriberTooSlow(oldest - self._number)
            if self._lost is not None:
                self._lost += oldest - self._number
            self._number = oldest
        gap = b""
        if self._lost != 0:
            gap, self._lost = _gap(self._lost), 0
        if self._number == log.next:
            return gap
        data, self._number = log.read(self._number)
        return gap + data if gap else data


def _gap(lost: int | None) -> bytes:
    # No ID: a client cut off right after this event reconnects as before, and gets it again.
    count = "null" if lost is None else str(lost)
    return encode(ServerSentEvent(f'{{"lost": {count}}}', "gap"))
