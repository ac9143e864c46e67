"""Send one producer's events to many subscribers: the asynchronous side of ``replay``.

All subscribers that wait share one wake-up call, which publishing sends. References to
subscribers are weak, so one that is dropped without being closed disappears.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from .._events import ServerSentEvent
from .replay import Reader, ReplayLog
from .wakeup import new_wakeup

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from .replay import Slow
    from .wakeup import Wakeup

MAX_EVENTS = 1000
MAX_BYTES = 2**22
"""Limits of the log, which all subscribers share. 4 MiB allow 4 KiB per event."""


class Broadcast:
    """Sends the events of one producer to many subscribers.

    Events are encoded once and kept in one log, which ``max_events`` and ``max_bytes``
    limit (the newest event is always kept). A client that reconnects with its
    Last-Event-ID gets exactly the events after that one. If the log no longer has some of
    them, or the ID comes from another process or run, the client first gets an event
    ``gap`` without an ID, and then everything in the log. The data of ``gap`` is
    ``{"lost": 12}``, or ``{"lost": null}`` if the number is unknown.

    At most ``max_queue`` events wait for one subscriber, or as many as the log holds if it
    is None. Replayed events do not count. ``slow`` says what happens to a subscriber that
    falls further behind:

    * ``"disconnect"``: its iteration raises SubscriberTooSlow, which aborts the response;
      the client reconnects with its Last-Event-ID.
    * ``"drop_oldest"``: it gets a ``gap``, and then the events that may wait.
      ``max_queue=1`` means: only the latest event.

    The policy is applied when the subscriber next reads. Only iterating requires a running
    event loop, so a broadcast can be created and published to at any time. But once
    subscribers wait, publish only in the thread of their event loop.
    """

    def __init__(
        self,
        *,
        slow: Slow = "disconnect",
        max_queue: int | None = None,
        max_events: int | None = MAX_EVENTS,
        max_bytes: int | None = MAX_BYTES,
    ) -> None:
        if slow not in ("disconnect", "drop_oldest"):
            raise ValueError(f"slow must be 'disconnect' or 'drop_oldest', got {slow!r}")
        if max_queue is not None and max_queue < 1:
            raise ValueError(f"max_queue must be at least 1, got {max_queue}")
        self._slow: Slow = slow
        self._max_queue = max_queue
        self._log = ReplayLog(max_events, max_bytes)
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._wakeup: Wakeup | None = None
        self._closed = False

    @property
    def subscribers(self) -> int:
        """The number of subscribers."""
        return len(self._subscriptions)

    def publish(self, event: ServerSentEvent | str) -> str:
        """Send ``event`` to all subscribers, without waiting for any; return its ID.

        A str is the data of an event. An event without an ID gets one that no other run
        produces; an event with an ID keeps it. The object itself is not changed.

        Raises:
            ValueError: the log has an event with this ID, or ``encode`` refuses the event.
            TypeError: ``event`` is neither an event nor a str, or a field has the wrong type.
            RuntimeError: the broadcast is closed, or its subscribers wait in another thread:
                then use ``anyio.from_thread.run_sync(broadcast.publish, event)``.
        """
        if isinstance(event, str):
            event = ServerSentEvent(event)
        elif not isinstance(event, ServerSentEvent):
            raise TypeError(f"expected a ServerSentEvent or a str, got {type(event).__name__}")
        if self._closed:
            raise RuntimeError("the broadcast is closed")
        self._check_thread()
        event_id = self._log.append(event)
        self._wake_all()
        return event_id

    def subscribe(self, last_event_id: str | None = None) -> Subscription:
        """Return the events published from now on, as bytes for an event stream.

        If a client's last event ID is given, and not empty, the events after it come first.
        """
        reader = Reader(self._log, last_event_id, self._max_queue, self._slow)
        subscription = Subscription(self, reader)
        self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """End each subscription after the events that wait for it. Idempotent."""
        self._check_thread()
        self._closed = True
        self._wake_all()

    def _next_wakeup(self) -> Wakeup:
        self._check_thread()
        self._wakeup = self._wakeup or new_wakeup()
        return self._wakeup

    def _wake_all(self) -> None:
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            wakeup.send()

    def _check_thread(self) -> None:
        if self._wakeup is not None and self._wakeup.thread != threading.get_ident():
            raise RuntimeError("subscribers of this broadcast wait in another thread")


class Subscription:
    """The events of one subscriber: an asynchronous iterator of bytes.

    Each item is one encoded event, or several that were waiting, up to 64 KiB. The
    iteration ends when the subscription or its broadcast is closed. Cancelling ``anext()``
    loses nothing.
    """

    __slots__ = ("__weakref__", "_broadcast", "_closed", "_reader", "_wakeup")

    def __init__(self, broadcast: Broadcast, reader: Reader) -> None:
        self._broadcast = broadcast
        self._reader = reader
        self._closed = False
        self._wakeup: Wakeup | None = None  # set while a task waits

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> bytes:
        """Return the next events.

        Raises:
            SubscriberTooSlow: more events would wait than ``max_queue`` allows.
            RuntimeError: another task is waiting for them.
        """
        while (data := self._read()) is not None:
            if data:
                return data
            waiter = self._wait()
            try:
                await waiter
            finally:
                self._stop_waiting(waiter)
        raise StopAsyncIteration

    def close(self) -> None:
        """Unsubscribe; the iteration of a waiting task ends."""
        self._closed = True
        self._broadcast._subscriptions.discard(self)
        if self._wakeup is not None:
            self._broadcast._wake_all()

    async def aclose(self) -> None:
        """Unsubscribe: ``close()`` under the name that asynchronous generators use."""
        self.close()

    # EventStreamResponse takes these steps of `__anext__` itself, to save the coroutine.

    def _read(self) -> bytes | None:
        """Return the next events, ``b""`` if there are none yet, or None at the end."""
        if self._closed:
            return None
        try:
            data = self._reader.read()
        except BaseException:
            self.close()
            raise
        if not data and self._broadcast._closed:
            self.close()
            return None
        return data

    def _wait(self) -> Awaitable[Any]:
        """Start waiting for events; always call ``_stop_waiting()`` afterwards."""
        if self._wakeup is not None:
            raise RuntimeError("another task waits for the next events")
        wakeup = self._wakeup = self._broadcast._next_wakeup()
        return wakeup.wait()

    def _stop_waiting(self, waiter: Awaitable[Any]) -> None:
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None and not wakeup.sent:
            wakeup.stop_waiting(waiter)
            # An event loop may end and another may start, which needs a new call.
            if not wakeup.waiting and self._broadcast._wakeup is wakeup:
                self._broadcast._wakeup = None
