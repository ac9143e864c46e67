"""The policy of an EventSource: which request comes next, and when. No I/O, no clock.

    machine = Reconnection(Request("https://example.org/events"))
    while delay is not None:                                # 0.0 at first; None: finished
        sleep(delay)
        connection = machine.connect(now())
        try:
            ...                                             # run it: send, receive
            machine.received(items, now())                  # whenever something came
            delay = machine.closed(now())                   # the stream ended cleanly
        except SSEError as exc:
            delay = machine.closed(now(), exc)              # raises a final error

The caller reports what happened and when, on any clock that only moves forward.
Rules are cited by their numbers in docs/maintainers/client_model.md.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from .._errors import (
    EventTooLarge,
    ProtocolError,
    ProxyError,
    ResponseError,
    SSEError,
    TLSError,
    TransportError,
)
from .._events import Comment
from .._http.exchange import Connection
from .._http.messages import HeadersInput, Request, Response, check_last_event_id
from .._http.redirects import Redirects
from .._parser import DEFAULT_MAX_EVENT_SIZE

TRANSIENT = frozenset([429, 500, 502, 503, 504])
"""Statuses that a reconnecting client expects to pass (C7: retry these)."""

# Beyond this many doublings the ceiling applies anyway.
_MAX_DOUBLINGS = 32

# Retrying these is pointless (readings 3 and 14 of section 5).
_FINAL = (EventTooLarge, TLSError)


@dataclass(slots=True)
class Opened:
    """A connection has been opened: its response is an event stream."""

    response: Response


@dataclass(slots=True)
class Disconnected:
    """A connection or an attempt has ended, and another will follow."""

    error: SSEError | None
    """The cause; None for a stream that ended cleanly."""
    delay: float
    """Seconds until the next attempt."""


class Policy(TypedDict, total=False):
    """The keyword arguments that decide when an EventSource reconnects, for type checkers."""

    reconnection_time: float
    min_reconnection_time: float
    max_reconnection_time: float
    max_attempts: int | None
    max_elapsed: float | None
    replay: bool
    on_end: Literal["reconnect", "stop"]
    transient: Iterable[int]
    transient_at_first: bool
    allow_http: bool
    healthy_after: float
    uniform: Callable[[], float]


class Reconnection:
    """The requests of one EventSource, one after the other, until there is none to make.

    Args:
        request: the request, for the first attempt and for each reconnect.
        last_event_id: the last event ID to begin with.
        reconnection_time: seconds to wait after a healthy connection, until the server
            sends a ``retry``. May be 0.
        min_reconnection_time, max_reconnection_time: the bounds of a server's ``retry``, in
            seconds; the upper one also bounds the back-off and ``Retry-After``.
        max_attempts: consecutive failures after which the last one is raised; None for no
            limit.
        max_elapsed: seconds since the last success after which no new wait begins.
        replay: repeat a request that is not a GET. Without it such a request is sent once.
        on_end: ``"reconnect"`` after a stream that ended cleanly, as the standard requires,
            or ``"stop"``.
        transient: statuses that lead to another attempt. They count for a proxy's refusal
            too, for which any 5xx leads to another attempt.
        transient_at_first: they also do when the very first attempt gets one.
        allow_http: follow redirects from https to http.
        healthy_after: seconds after which a connection counts as healthy without any event.
        max_event_size, comments: as for ``EventStreamParser``.
        uniform: the source of randomness, from 0 up to 1.

    Raises:
        ValueError: the last event ID contains CR, LF or NUL, or a number makes no sense.
    """

    def __init__(
        self,
        request: Request,
        *,
        last_event_id: str = "",
        reconnection_time: float = 3.0,
        min_reconnection_time: float = 0.1,
        max_reconnection_time: float = 60.0,
        max_attempts: int | None = None,
        max_elapsed: float | None = None,
        replay: bool = False,
        on_end: Literal["reconnect", "stop"] = "reconnect",
        transient: Iterable[int] = TRANSIENT,
        transient_at_first: bool = False,
        allow_http: bool = False,
        healthy_after: float = 60.0,
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        comments: bool = False,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        check_last_event_id(last_event_id)
        if on_end not in ("reconnect", "stop"):
            raise ValueError(f"on_end is 'reconnect' or 'stop', not {on_end!r}")
        if not 0 <= min_reconnection_time <= max_reconnection_time or reconnection_time < 0:
            raise ValueError(
                "reconnection times must not be negative, and the minimum not above the maximum"
            )
        self.last_event_id = last_event_id
        """The ID that a reconnect sends, as of the connections that have been closed."""
        self.reconnection_time = reconnection_time
        """Seconds: the caller's, then the server's latest ``retry`` within the bounds."""
        self.failures = 0
        """The number of consecutive failures."""
        self.redirected = False
        """True if the last connection ended with a redirect, so that nothing has failed."""
        self._floor = min_reconnection_time
        self._ceiling = max_reconnection_time
        self._max_attempts = max_attempts
        self._max_elapsed = max_elapsed
        # C2: only a GET is repeated unasked.
        self.replay = replay or request.method == "GET"
        self._stops = on_end == "stop"
        self._transient = frozenset(transient)
        self._transient_now = transient_at_first
        self._healthy_after = healthy_after
        self._allow_http = allow_http
        self._origin = request.url.origin
        self._redirects = Redirects(request, allow_http=allow_http)
        self._max_event_size = max_event_size
        self._comments = comments
        self._uniform = uniform
        self._connection: Connection[Any] | None = None
        self._opened: float | None = None
        self._healthy = False
        self._since: float | None = None

    def connect(self, now: float, headers: HeadersInput | None = None) -> Connection[Any]:
        """Return the connection to run next.

        Args:
            now: seconds.
            headers: replace the caller's headers from this attempt on. They never go to
                another origin, nor along with a redirect.
        """
        if self._since is None:
            self._since = now
        if not self.redirected:
            request = self._redirects.remembered
            if headers is not None and request.url.origin == self._origin:
                request = request.with_headers(headers)
            self._redirects = Redirects(request, allow_http=self._allow_http)
        self._opened = None
        self._healthy = False
        self._connection = Connection(
            self._redirects.request,
            last_event_id=self.last_event_id,
            max_event_size=self._max_event_size,
            comments=self._comments,
        )
        return self._connection

    def received(self, items: Iterable[Any], now: float) -> None:
        """Note the items of a connection: once when it turns out to be a stream, then of each
        ``receive_data``."""
        if self._opened is None:
            self._opened = now
        if any(not isinstance(item, Comment) for item in items):
            self._succeeded(now)

    def closed(self, now: float, error: SSEError | None = None) -> float | None:
        """Take the end of a connection; return the seconds to wait, or None at the end of all.

        Args:
            now: seconds.
            error: the cause; None for a stream that ended cleanly.

        Raises:
            SSEError: ``error``, if it is final or a budget is used up.
            TransportError: a budget is used up, and all streams ended cleanly.
        """
        assert self._connection is not None, "connect() comes first"
        response = self._connection.response
        self._learn(self._connection)
        refused = error.response if isinstance(error, ResponseError) else None
        self.redirected = refused is not None and self._redirects.follow(refused)
        if self.redirected:
            return 0.0
        if not self._worth_another(error, response):
            if error is not None:
                raise error
            return None
        self._transient_now = True
        if self._opened is not None and now - self._opened >= self._healthy_after:
            self._succeeded(now)
        delay = self._delay(refused)
        if self._used_up(now + delay):
            raise error or TransportError(
                f"{self.failures} streams in a row ended without an event"
            )
        return delay

    def restarted(self) -> None:
        """Take the end of a connection that the caller dropped to reconnect immediately.

        It does not count as a failure (reading 15). Only allowed if ``replay`` is true.
        """
        assert self._connection is not None, "connect() comes first"
        self._learn(self._connection)
        self.redirected = False

    def _learn(self, connection: Connection[Any]) -> None:
        parser = connection.parser
        self.last_event_id = parser.last_event_id
        if parser.reconnection_time is not None:
            # C11, as integers: a float overflows long before the digits end.
            milliseconds = min(parser.reconnection_time, int(self._ceiling * 1000))
            self.reconnection_time = max(self._floor, milliseconds / 1000)

    def _succeeded(self, now: float) -> None:
        # C12, C14: failures and time are counted from zero again.
        self._healthy = True
        self.failures = 0
        self._since = now

    def _worth_another(self, error: SSEError | None, response: Response | None) -> bool:
        if not self.replay or isinstance(error, _FINAL):
            return False
        if isinstance(error, ResponseError):
            return self._transient_now and error.response.status in self._transient
        if isinstance(error, ProxyError):  # 407 and 403 will not change
            return error.response.status >= 500 or error.response.status in self._transient
        if isinstance(error, ProtocolError):
            # In a body it counts as a cut, unless it is a flood; in a head it will not change.
            return response is not None and not error.final
        if error is None:
            return not self._stops and response is not None and response.status != 204
        return isinstance(error, TransportError)

    def _delay(self, refused: Response | None) -> float:
        delay = self.reconnection_time
        if not self._healthy:
            # C12: the back-off is added, so that no wait is shorter than the server asked for.
            self.failures += 1
            doublings = min(self.failures - 1, _MAX_DOUBLINGS)
            back_off = max(self._floor, self.reconnection_time) * 2.0**doublings
            delay += self._uniform() * min(self._ceiling, back_off)
        asked = None if refused is None else refused.retry_after()
        return delay if asked is None else max(delay, min(asked, self._ceiling))

    def _used_up(self, then: float) -> bool:
        if self._max_attempts is not None and self.failures >= self._max_attempts:
            return True
        assert self._since is not None
        return self._max_elapsed is not None and then - self._since > self._max_elapsed
