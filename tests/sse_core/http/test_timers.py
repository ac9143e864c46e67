"""The limits of time, without a clock: which runs out first, and what counts against it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_core import (
    ConnectTimeout,
    EventTimeout,
    HeadTimeout,
    ReadTimeout,
    ServerSentEvent,
    Timeout,
    TimeoutException,
    TotalTimeout,
    WriteTimeout,
)
from sse_core._http.limits import NO_LIMIT, Timers

NONE = Timeout(connect=None, write=None, head=None)


def test_each_limit() -> None:
    """Each wait has its own limit and its own exception."""
    timers = Timers(Timeout(connect=1, write=2, head=3, idle=4, event=5, total=6))
    timers.begin(100)

    found = [timers.connecting(100), timers.sending(100), timers.awaiting_head(100)]
    found.append(timers.reading(100))

    assert [101, 102, 103, 104] == [limit.deadline for limit in found]
    assert [ConnectTimeout, WriteTimeout, HeadTimeout, ReadTimeout] == [
        limit.exception for limit in found
    ]


def test_no_limit() -> None:
    """None is no limit, and needs no clock in the body."""
    timers = Timers(NONE)
    timers.begin(0)

    assert timers.off
    assert timers.connecting(0) is timers.reading(0) is NO_LIMIT
    assert NO_LIMIT.left(10**9) is None


@pytest.mark.parametrize("limit", ["idle", "event", "total"])
def test_not_off(limit: str) -> None:
    """Any limit that holds in the body needs a clock."""
    assert not Timers(Timeout(**{limit: 1})).off


def test_total() -> None:
    """The time for all of a stream runs from its beginning, and binds every wait."""
    timers = Timers(Timeout(connect=10, head=10, idle=10, total=12))
    timers.begin(100)

    assert (110, ConnectTimeout) == (
        timers.connecting(100).deadline,
        timers.connecting(100).exception,
    )
    assert (112, TotalTimeout) == (
        timers.awaiting_head(105).deadline,
        timers.reading(111).exception,
    )


def test_what_counts() -> None:
    """C29, C30: a byte puts idle back, an event both; a wait that was given up puts back none."""
    timers = Timers(Timeout(idle=10, event=30))

    timers.waited(6, None)
    assert (104, ReadTimeout) == (timers.reading(100).deadline, timers.reading(100).exception)
    timers.waited(3, [])
    assert 110 == timers.reading(100).deadline
    timers.waited(15, [])
    assert (106, EventTimeout) == (timers.reading(100).deadline, timers.reading(100).exception)
    timers.waited(1, [ServerSentEvent("a")])
    assert (110, ReadTimeout) == (timers.reading(100).deadline, timers.reading(100).exception)


def test_left() -> None:
    """What is left of a limit; when nothing is, its exception."""
    limit = Timers(Timeout(head=2)).awaiting_head(100)

    assert 0.5 == limit.left(101.5)
    for now in (102, 103):
        with pytest.raises(HeadTimeout, match=r"^no response head within 2 seconds$"):
            limit.left(now)


WAITS = st.tuples(st.integers(0, 9), st.booleans(), st.booleans(), st.integers(0, 9))


@given(st.lists(WAITS), st.integers(0, 30), st.integers(0, 30))
def test_law(waits: list[tuple[int, bool, bool, int]], idle: int, event: int) -> None:
    """What is left is the limit less the waiting since the last byte, or the last event."""
    timers = Timers(Timeout(idle=idle, event=event))
    now = silent = eventless = 0
    for seconds, received, dispatched, elsewhere in waits:
        timers.waited(seconds, [ServerSentEvent("a")] if dispatched else [] if received else None)
        silent = 0 if received or dispatched else silent + seconds
        eventless = 0 if dispatched else eventless + seconds
        now += seconds + elsewhere

    limit = timers.reading(now)

    left, exception = min(
        (idle - silent, ReadTimeout), (event - eventless, EventTimeout), key=first
    )
    assert (now + left, exception) == (limit.deadline, limit.exception)


def first(pair: tuple[int, type[TimeoutException]]) -> int:
    return pair[0]
