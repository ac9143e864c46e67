"""The limits of time of one stream: which one runs out first, and when. No I/O, no clock.

A shell asks for the limit before it waits, with the time on any clock that only moves
forward, and says afterwards for how long it waited for the body and what came.
"""

from __future__ import annotations

from math import inf

from .._errors import (
    ConnectTimeout,
    EventTimeout,
    HeadTimeout,
    ReadTimeout,
    TimeoutException,
    TotalTimeout,
    WriteTimeout,
)
from .messages import Timeout

__all__ = ["NO_LIMIT", "Limit", "Timers"]


class Limit:
    """A point in time, and what to raise when it has come."""

    __slots__ = ("_awaited", "_seconds", "deadline", "exception")

    def __init__(
        self, deadline: float, exception: type[TimeoutException], awaited: str, seconds: float
    ) -> None:
        self.deadline = deadline
        self.exception = exception
        self._awaited = awaited
        self._seconds = seconds

    def left(self, now: float) -> float | None:
        """Return the seconds that are left, None for no limit.

        Raises:
            TimeoutException: none is.
        """
        if self.deadline == inf:
            return None
        if self.deadline <= now:
            raise self.expired()
        return self.deadline - now

    def expired(self) -> TimeoutException:
        return self.exception(f"no {self._awaited} within {self._seconds} seconds")


NO_LIMIT = Limit(inf, TimeoutException, "end", inf)


class Timers:
    """The limits of one stream, from the connection to the end of its body (C27 to C30).

    Time counts against ``idle`` and ``event`` only while a shell waits for bytes, and goes
    on counting over waits that were given up.
    """

    def __init__(self, timeout: Timeout) -> None:
        self._timeout = timeout
        self._total = NO_LIMIT
        self._silent = 0.0
        self._eventless = 0.0
        self.off = (timeout.idle, timeout.event, timeout.total) == (None, None, None)
        """Whether nothing limits the reading of the body, so that no clock is needed."""

    def begin(self, now: float) -> None:
        """Begin the time that the stream may take as a whole."""
        self._total = _limit(now, self._timeout.total, TotalTimeout, "end of the stream")

    def connecting(self, now: float) -> Limit:
        return self._first(_limit(now, self._timeout.connect, ConnectTimeout, "connection"))

    def sending(self, now: float) -> Limit:
        return self._first(
            _limit(now, self._timeout.write, WriteTimeout, "progress in sending the request")
        )

    def awaiting_head(self, now: float) -> Limit:
        return self._first(_limit(now, self._timeout.head, HeadTimeout, "response head"))

    def reading(self, now: float) -> Limit:
        timeout = self._timeout
        idle = _limit(now, timeout.idle, ReadTimeout, "byte", self._silent)
        event = _limit(now, timeout.event, EventTimeout, "event", self._eventless)
        return self._first(idle if idle.deadline <= event.deadline else event)

    def waited(self, seconds: float, *, received: bool, dispatched: bool) -> None:
        """Note a wait for the body: how long, and whether bytes came, and an event."""
        self._silent = 0.0 if received else self._silent + seconds
        self._eventless = 0.0 if dispatched else self._eventless + seconds

    def _first(self, limit: Limit) -> Limit:
        return limit if limit.deadline <= self._total.deadline else self._total


def _limit(
    now: float,
    seconds: float | None,
    exception: type[TimeoutException],
    awaited: str,
    waited: float = 0.0,
) -> Limit:
    if seconds is None:
        return NO_LIMIT
    return Limit(now + seconds - waited, exception, awaited, seconds)
