"""The time limits of one stream: which one runs out first, and when. No I/O, no clock.

A shell asks for the limit before it waits, with the time on any clock that only moves
forward. After a wait for the body it reports how long the wait took and what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
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
from .._events import Comment


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """Time limits in seconds; None means no limit. Each has its own exception.

    ``connect`` covers name look-up, proxy, TCP and TLS together (``ConnectTimeout``),
    ``write`` the sending of 64 KiB of the request (``WriteTimeout``), ``head`` the time from
    the request's last byte to the end of the response head (``HeadTimeout``).

    ``idle`` limits the silence between two bytes of the body (``ReadTimeout``); comments
    count as bytes. ``event`` limits the time between two events (``EventTimeout``), whatever
    else comes, so that keep-alive comments cannot hide a stalled model. The time that a
    caller takes between two events counts for neither.

    ``total`` limits the whole stream from its beginning, the caller's time included
    (``TotalTimeout``).

    Raises:
        ValueError: a limit is negative or not a number.
    """

    connect: float | None = 10.0
    write: float | None = 60.0
    head: float | None = 60.0
    idle: float | None = None
    event: float | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        for limit in fields(self):
            seconds = getattr(self, limit.name)
            if seconds is not None and not seconds >= 0:
                raise ValueError(f"a time limit must not be negative, got {seconds!r}")

    @classmethod
    def of(cls, timeout: Timeout | float | None) -> Timeout:
        """Return a Timeout as it is; a number or None becomes connect, write, head and idle."""
        if isinstance(timeout, Timeout):
            return timeout
        return cls(connect=timeout, write=timeout, head=timeout, idle=timeout)


DEFAULT_TIMEOUT = Timeout()


class Limit:
    """A point in time, and the exception to raise when it has come."""

    __slots__ = ("_awaited", "_seconds", "deadline", "exception")

    def __init__(
        self, deadline: float, exception: type[TimeoutException], awaited: str, seconds: float
    ) -> None:
        self.deadline = deadline
        self.exception = exception
        self._awaited = awaited
        self._seconds = seconds

    def left(self, now: float) -> float | None:
        """Return the seconds that are left, None for no limit, or raise its exception."""
        if self.deadline == inf:
            return None
        if self.deadline <= now:
            raise self.expired()
        return self.deadline - now

    def expired(self) -> TimeoutException:
        """Return the exception that reports the end of this limit."""
        return self.exception(f"no {self._awaited} within {self._seconds} seconds")


NO_LIMIT = Limit(inf, TimeoutException, "end", inf)


class Timers:
    """The limits of one stream, from the connection to the end of its body (C27 to C30).

    Time counts against ``idle`` and ``event`` only while a shell waits for bytes. It adds up
    over waits that were given up.
    """

    __slots__ = ("_eventless", "_silent", "_timeout", "_total", "off")

    def __init__(self, timeout: Timeout) -> None:
        self._timeout = timeout
        self._total = NO_LIMIT
        self._silent = 0.0
        self._eventless = 0.0
        self.off = (timeout.idle, timeout.event, timeout.total) == (None, None, None)
        """True if nothing limits the reading of the body, so that no clock is needed."""

    def begin(self, now: float) -> None:
        """Start the time that the whole stream may take."""
        self._total = limit_from(now, self._timeout.total, TotalTimeout, "end of the stream")

    def connecting(self, now: float) -> Limit:
        """Return the limit for connecting."""
        return self._first(limit_from(now, self._timeout.connect, ConnectTimeout, "connection"))

    def sending(self, now: float) -> Limit:
        """Return the limit for sending the next piece of the request."""
        return self._first(
            limit_from(now, self._timeout.write, WriteTimeout, "progress in sending the request")
        )

    def awaiting_head(self, now: float) -> Limit:
        """Return the limit for the response head."""
        return self._first(limit_from(now, self._timeout.head, HeadTimeout, "response head"))

    def reading(self, now: float) -> Limit:
        """Return the limit for the next read of the body."""
        timeout = self._timeout
        idle = limit_from(now, timeout.idle, ReadTimeout, "byte", self._silent)
        event = limit_from(now, timeout.event, EventTimeout, "event", self._eventless)
        return self._first(idle if idle.deadline <= event.deadline else event)

    def waited(self, seconds: float, items: Sequence[object] | None) -> None:
        """Note a wait for the body: its length, and the items it brought; None for no bytes."""
        self._silent = self._silent + seconds if items is None else 0.0
        self._eventless += seconds
        for item in items or ():
            if not isinstance(item, Comment):
                self._eventless = 0.0
                break

    def _first(self, limit: Limit) -> Limit:
        return limit if limit.deadline <= self._total.deadline else self._total


def limit_from(
    now: float,
    seconds: float | None,
    exception: type[TimeoutException],
    awaited: str,
    waited: float = 0.0,
) -> Limit:
    """Return the limit of ``seconds`` from ``now``, of which ``waited`` have passed already."""
    if seconds is None:
        return NO_LIMIT
    return Limit(now + seconds - waited, exception, awaited, seconds)
