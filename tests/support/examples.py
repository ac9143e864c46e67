"""How many examples a property gets."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EFFORT = float(os.environ.get("SSE_EXAMPLES", 50 if os.environ.get("SSE_SLOW") else 0.2))
"""A fifth by default; ``.ci/run`` sets SSE_EXAMPLES=1, the mutation run 0.1; SSE_SLOW=1 is 50."""


def examples(number: int) -> settings:
    """Return settings with that many examples, on a machine with time for them."""
    return settings(
        max_examples=max(1, round(number * EFFORT)),
        deadline=None,
        # One check serves both paths, and a busy machine is no finding.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
