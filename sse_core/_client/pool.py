"""The pool of idle connections. Callers pass in the time."""

from __future__ import annotations

import select
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Connections that wait for another request: so many per origin, for so many seconds."""

    __slots__ = ("_idle", "_idle_time", "per_origin")

    def __init__(self, per_origin: int, idle_time: float) -> None:
        if per_origin < 0 or not idle_time >= 0:
            raise ValueError("max_idle and max_idle_time must not be negative")
        self.per_origin = per_origin
        self._idle_time = idle_time
        # The latest one comes last and is used again first: the longer a connection waits,
        # the likelier its server has given it up.
        self._idle: dict[Hashable, list[tuple[float, T]]] = {}

    def put(self, origin: Hashable, connection: T, now: float) -> None:
        """Keep a connection from ``now`` on; the next ``expire`` returns any excess."""
        self._idle.setdefault(origin, []).append((now + self._idle_time, connection))

    def take(self, origin: Hashable) -> T | None:
        """Return the connection to use again, None if there is none."""
        idle = self._idle.get(origin)
        if not idle:
            return None
        _, connection = idle.pop()
        if not idle:
            del self._idle[origin]
        return connection

    def expire(self, now: float) -> list[T]:
        """Return the connections to close: the expired ones, and the oldest beyond the limit."""
        expired: list[T] = []
        for origin, idle in list(self._idle.items()):
            count = max(len(idle) - self.per_origin, sum(end <= now for end, _ in idle))
            expired += [connection for _, connection in idle[:count]]
            if count == len(idle):
                del self._idle[origin]
            elif count > 0:
                self._idle[origin] = idle[count:]
        return expired


def is_readable(file: int) -> bool:
    """True if a socket has input, without waiting for it.

    On an idle connection that is bad news: the server has closed it, or sent an answer that
    nobody asked for.
    """
    if not hasattr(select, "poll"):  # pragma: no cover  # Windows
        return bool(select.select([file], [], [], 0)[0])
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))
