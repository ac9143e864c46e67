"""T1 to T3, T14: floods through a Connection, smaller ones than in ``tests.faults.hostile``."""

from __future__ import annotations

import pytest

from tests.faults import hostile
from tests.faults.hostile import EVENT_LIMIT, FLOODS, KIB, READ, SMALL, Flood, receive
from tests.support.calls import Calls

TOTAL = EVENT_LIMIT + EVENT_LIMIT // 4
"""Bytes of each flood: as many as it takes to come to the limit, and some."""

by_flood = pytest.mark.parametrize("name", FLOODS)


@pytest.mark.sweep(quick=6)
@by_flood
def test_t1_t14_memory(name: str) -> None:
    """What is refused is refused in time, what is not kept takes nothing; memory is bounded."""
    flood = FLOODS[name]

    outcome = hostile.traced(flood, TOTAL // SMALL.get(name, 1))

    assert flood.refused == (outcome.error is not None)
    assert outcome.peak <= hostile.memory_bound(name)


@pytest.mark.sweep(quick=10)
@by_flood
@pytest.mark.parametrize("size", [7, 512])
def test_t2_verdict_does_not_depend_on_the_cut(name: str, size: int) -> None:
    """A limit counts bytes, not reads: each flood is refused within the same read of 64 KiB."""
    flood = FLOODS[name]
    limit = 16 * KIB

    whole = receive(flood, 2 * READ, READ, limit=limit)
    cut = receive(flood, 2 * READ, size, limit=limit)

    assert (type(whole.error), str(whole.error)) == (type(cut.error), str(cut.error))
    assert whole.taken - READ <= cut.taken <= whole.taken + len(flood.start) + size


@pytest.mark.sweep(quick=6)
@pytest.mark.parametrize("name", [name for name in FLOODS if FLOODS[name].limit == EVENT_LIMIT])
@pytest.mark.parametrize("size", [1, 64, READ])
def test_t3_twice_as_much_twice_the_calls(name: str, size: int) -> None:
    """Calls are what work is made of here; what each touches is counted in test_parser."""

    def calls(total: int) -> float:
        with Calls() as counted:
            receive(FLOODS[name], total, size, limit=None)
        return counted.number

    most = {1: 2 * KIB, 64: 16 * KIB, READ: READ}[size]

    assert hostile.ratio(calls, most) <= hostile.RATIO


def test_t3_counting_finds_what_is_quadratic() -> None:
    """The count would tell."""
    lines: list[bytes] = []

    def calls(total: int) -> float:
        with Calls() as counted:
            for data in hostile.reads(Flood(b"", b"x", 0), total, 64):
                lines.append(data)
                for line in lines:
                    line.strip()
            lines.clear()
        return counted.number

    assert hostile.ratio(calls, 16 * KIB) > 3
