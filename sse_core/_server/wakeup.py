"""A wake-up call shared by many waiting tasks.

asyncio.Event and anyio.Event do the same, but wrap the future in one or two coroutines.
With thousands of subscribers, those coroutines are a tenth of the cost of an event, because
of their creation, the garbage collector and the processor's cache.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from typing import Any, TypeAlias

import anyio


class AnyioWakeup:
    """A one-shot wake-up call for any event loop."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.sent = False
        self.waiting = 0  # tasks
        self._event = anyio.Event()

    def wait(self) -> Awaitable[Any]:
        """Start waiting; await the result."""
        self.waiting += 1
        return self._event.wait()

    def stop_waiting(self, waiter: Awaitable[Any]) -> None:
        """Stop waiting for what ``wait()`` returned; only before the call is sent."""
        self.waiting -= 1

    def send(self) -> None:
        self.sent = True
        self._event.set()


class AsyncioWakeup:
    """The same on asyncio, with one future per task."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.sent = False
        self._loop = asyncio.get_running_loop()
        self._waiters: dict[asyncio.Future[None], None] = {}  # a dict, because it is ordered

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def wait(self) -> Awaitable[Any]:
        waiter = self._loop.create_future()
        self._waiters[waiter] = None
        return waiter

    def stop_waiting(self, waiter: Any) -> None:
        del self._waiters[waiter]

    def send(self) -> None:
        self.sent = True
        for waiter in self._waiters:
            if not waiter.done():  # it was cancelled, and its task has not run since
                waiter.set_result(None)


Wakeup: TypeAlias = AnyioWakeup | AsyncioWakeup


def new_wakeup() -> Wakeup:
    """Return a wake-up call for the running event loop."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    # It is also None if trio runs as a guest of asyncio's loop.
    return AnyioWakeup() if task is None else AsyncioWakeup()
