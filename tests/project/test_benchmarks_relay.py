"""The measurement of the relay's overhead measures something."""

from __future__ import annotations

from benchmarks.relay_overhead import measure_relay, report_relay


def test_both_are_measured() -> None:
    """For frames one by one, and in a burst."""
    found = measure_relay(frames=30, rounds=1)

    assert ["lockstep", "burst"] == [each.pattern for each in found]
    assert all(each.relay > 0 for each in found)
    assert "| lockstep |" in report_relay(found)
