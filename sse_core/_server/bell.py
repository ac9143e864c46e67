"""What many tasks wait for at the same time, and are woken by at once.

On asyncio each waits for a future. An event of asyncio's or anyio's would have one as
well, with a coroutine or two around it. With thousands of subscribers those are a tenth
of all that an event costs: they are made, looked through by the garbage collector, and
out of the processor's cache when they are needed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from typing import Any, TypeAlias

import anyio

__all__ = ["AnyioBell", "AsyncioBell", "Bell", "new_bell"]


class AnyioBell:
    """Rung once, under whatever event loop."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.rung = False
        self.waiting = 0
        """How many wait that have not been rung for."""
        self._event = anyio.Event()

    def listen(self) -> Awaitable[Any]:
        """Begin to wait, by awaiting what is returned."""
        self.waiting += 1
        return self._event.wait()

    def leave(self, news: Awaitable[Any]) -> None:
        """Wait no longer for what ``listen()`` returned."""
        self.waiting -= 1

    def ring(self) -> None:
        self.rung = True
        self._event.set()


class AsyncioBell:
    """The same on asyncio."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.rung = False
        self._loop = asyncio.get_running_loop()
        self._futures: dict[asyncio.Future[None], None] = {}  # in their order

    @property
    def waiting(self) -> int:
        return len(self._futures)

    def listen(self) -> Awaitable[Any]:
        news = self._loop.create_future()
        self._futures[news] = None
        return news

    def leave(self, news: Any) -> None:
        del self._futures[news]

    def ring(self) -> None:
        self.rung = True
        for news in self._futures:
            if not news.done():  # cancelled, by a task that has not run since
                news.set_result(None)


Bell: TypeAlias = AnyioBell | AsyncioBell


def new_bell() -> Bell:
    """Return a bell for the event loop that runs."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    # None as well where trio is a guest of asyncio's loop.
    return AnyioBell() if task is None else AsyncioBell()
