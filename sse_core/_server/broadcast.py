"""One producer, many subscribers: the shell around ``_replay``, over anyio.

A subscriber that waits for news waits for the same bell as all others; publishing
rings it. The broadcast holds its subscribers by weak references alone, so one that is
dropped without having been closed is gone.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from .._events import ServerSentEvent
from .bell import new_bell
from .replay import Reader, ReplayLog

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from .bell import Bell
    from .replay import Slow

__all__ = ["Broadcast", "Subscription"]

MAX_EVENTS = 1000
MAX_BYTES = 2**22
"""Of the log. 4 MiB are 4 KiB an event; it is there once, whatever the number of subscribers."""


class Broadcast:
    """Sends the events of one producer to many subscribers.

    Events are encoded once and kept in one log, bounded by ``max_events`` and
    ``max_bytes`` (the newest event is always kept). From it, a client that comes back
    with its Last-Event-ID gets exactly the events after that one. If some of them are
    no longer there, or the ID is of another process or run, it first gets an event
    ``gap`` without ID, whose data is ``{"lost": 12}``, or ``{"lost": null}`` where the
    number is not known, and then all that the log has.

    At most ``max_queue`` events wait for one subscriber, as many as the log has if it
    is None; those that are replayed to it do not count. What becomes of a subscriber
    for whom more would have to wait is ``slow``:

    * ``"disconnect"``: its iteration raises SubscriberTooSlow, which breaks the response
      off; the client comes back with its Last-Event-ID.
    * ``"drop_oldest"``: it is told of the loss by a ``gap``, and goes on with the events
      that may wait. ``max_queue=1`` is: only the latest.

    It is noticed when the subscriber reads next. Nothing needs an event loop but the
    iteration, so a broadcast can be made and published to at any time; but once
    subscribers wait, only in the thread of their event loop.
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
        self._bell: Bell | None = None
        self._closed = False

    @property
    def subscribers(self) -> int:
        """How many there are."""
        return len(self._subscriptions)

    def publish(self, event: ServerSentEvent | str) -> str:
        """Send ``event`` to all subscribers, without waiting for any; return its ID.

        A str is the data of an event. An event without ID gets one that no other run
        gives; one that has an ID keeps it, and no other in the log may have the same.
        The event itself is not changed.

        Raises:
            ValueError: its ID is in the log, or ``encode`` refuses the event.
            TypeError: neither an event nor a str, or a field of the wrong type.
            RuntimeError: the broadcast is closed, or subscribers wait in another thread:
                use ``anyio.from_thread.run_sync(broadcast.publish, event)`` there.
        """
        if isinstance(event, str):
            event = ServerSentEvent(event)
        elif not isinstance(event, ServerSentEvent):
            raise TypeError(f"expected a ServerSentEvent or a str, got {type(event).__name__}")
        if self._closed:
            raise RuntimeError("the broadcast is closed")
        self._check_thread()
        event_id = self._log.append(event)
        self._ring()
        return event_id

    def subscribe(self, last_event_id: str | None = None) -> Subscription:
        """Return what is published from this call on, as bytes for an event stream.

        Given the ID that a client had last (empty is none), the events after it come first.
        """
        reader = Reader(self._log, last_event_id, self._max_queue, self._slow)
        subscription = Subscription(self, reader)
        self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """End every subscription after what waits for it. Closing again does nothing."""
        self._check_thread()
        self._closed = True
        self._ring()

    def _hear(self) -> Bell:
        """Return the bell for the next news."""
        self._check_thread()
        if (bell := self._bell) is None:
            bell = self._bell = new_bell()
        return bell

    def _leave(self, bell: Bell) -> None:
        """Forget a bell that has not been rung if nobody waits for it any more."""
        # An event loop may end, and another begin: it needs a bell of its own.
        if not bell.waiting and self._bell is bell:
            self._bell = None

    def _ring(self) -> None:
        bell, self._bell = self._bell, None
        if bell is not None:
            bell.ring()

    def _check_thread(self) -> None:
        if self._bell is not None and self._bell.thread != threading.get_ident():
            raise RuntimeError("subscribers of this broadcast wait in another thread")


class Subscription:
    """The events of one subscriber: an asynchronous iterator of bytes.

    An item is one event, encoded, or several that waited together, up to 64 KiB. It
    ends when it or its broadcast is closed. A cancelled ``anext()`` loses nothing.
    """

    __slots__ = ("__weakref__", "_bell", "_broadcast", "_closed", "_reader")

    def __init__(self, broadcast: Broadcast, reader: Reader) -> None:
        self._broadcast = broadcast
        self._reader = reader
        self._closed = False
        self._bell: Bell | None = None  # that a task waits for

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> bytes:
        """Return the next events.

        Raises:
            SubscriberTooSlow: more would have to wait than may.
            RuntimeError: another task waits for them.
        """
        while (data := self._read()) is not None:
            if data:
                return data
            news = self._listen()
            try:
                await news
            finally:
                self._listened(news)
        raise StopAsyncIteration

    def close(self) -> None:
        """Unsubscribe; a task that waits for events is told that there are no more."""
        self._closed = True
        self._broadcast._subscriptions.discard(self)
        if self._bell is not None:
            self._broadcast._ring()

    async def aclose(self) -> None:
        """Unsubscribe, as an asynchronous generator is closed."""
        self.close()

    # What `__anext__` does in steps, for EventStreamResponse, which has no coroutine for it.

    def _read(self) -> bytes | None:
        """Return the next events, ``b""`` if there are none yet, None if there will be none."""
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

    def _listen(self) -> Awaitable[Any]:
        """Begin to wait for news, by awaiting it; ``_listened()`` ends that, whatever comes."""
        if self._bell is not None:
            raise RuntimeError("another task waits for the next events")
        bell = self._bell = self._broadcast._hear()
        return bell.listen()

    def _listened(self, news: Awaitable[Any]) -> None:
        bell, self._bell = self._bell, None
        if bell is not None and not bell.rung:
            bell.leave(news)
            self._broadcast._leave(bell)
