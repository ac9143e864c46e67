"""Which idle connection is used again, and which are closed: the bookkeeping, without sockets."""

from __future__ import annotations

import socket
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_core._client.pool import Pool, is_readable


def test_last_in_first_out() -> None:
    """What was used last is used next; each origin has its own."""
    pool: Pool[int] = Pool(2, 10)
    for connection in (1, 2):
        pool.put("a", connection, 0)
    pool.put("b", 3, 0)

    assert [2, 1, None] == [pool.take("a") for _ in range(3)]
    assert 3 == pool.take("b")


def test_too_many() -> None:
    """The oldest of an origin goes."""
    pool: Pool[int] = Pool(1, 10)
    pool.put("a", 1, 0)
    pool.put("b", 2, 0)
    pool.put("a", 3, 0)

    assert [1] == pool.expire(0)
    assert [] == pool.expire(0)
    assert 3 == pool.take("a")


def test_too_old() -> None:
    """After its time a connection goes, whatever its origin."""
    pool: Pool[int] = Pool(8, 10)
    pool.put("a", 1, 0)
    pool.put("b", 2, 1)
    pool.put("a", 3, 2)

    assert [] == pool.expire(9.9)
    assert [1, 2] == pool.expire(11)
    assert [3] == pool.expire(inf)


@pytest.mark.parametrize(("per_origin", "idle_time"), [(-1, 0), (0, -1), (0, float("nan"))])
def test_limits_that_are_none(per_origin: int, idle_time: float) -> None:
    """Negative limits are a ValueError."""
    with pytest.raises(ValueError, match="negative"):
        Pool(per_origin, idle_time)


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "take"]), st.sampled_from("ab"), st.integers(0, 3))
)


@given(STEPS, st.integers(0, 3), st.integers(0, 5))
def test_nothing_is_lost_or_given_twice(
    steps: list[tuple[str, str, int]], per_origin: int, idle_time: int
) -> None:
    """Every connection is either handed out once or closed once; the bounds hold."""
    pool: Pool[tuple[str, int]] = Pool(per_origin, idle_time)
    now = 0
    put: list[tuple[str, int]] = []
    gone: list[tuple[str, int]] = []
    for number, (step, origin, seconds) in enumerate(steps):
        now += seconds
        if step == "put":
            put.append((origin, number))
            pool.put(origin, put[-1], now)
        gone += pool.expire(now)
        waiting = [connection for connection in put if connection not in gone]
        assert all(sum(name == origin for name, _ in waiting) <= per_origin for origin in "ab")
        if step == "take" and (taken := pool.take(origin)) is not None:
            assert max(entry for entry in waiting if entry[0] == origin) == taken
            gone.append(taken)
    gone += pool.expire(inf)

    assert sorted(put) == sorted(gone)


def test_is_readable() -> None:
    """Bytes and the end of file are there to be read; on a quiet connection nothing is."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not is_readable(ours.fileno())
        theirs.send(b"x")
        assert is_readable(ours.fileno())
        ours.recv(1)
        theirs.close()
        assert is_readable(ours.fileno())
