"""The Retry-After field (RFC 9110, 10.2.3): how long a server asks to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ._http import Response

__all__ = ["retry_after", "seconds"]


def retry_after(response: Response, *, now: datetime | None = None) -> float | None:
    """Return the seconds that a response asks for, None where it does not.

    A date in the past is zero; what is neither seconds nor a date is ignored. ``now`` is
    the time by the wall clock, which is what dates are compared with.
    """
    value = response.headers.get("retry-after", "")
    delay = seconds(value)
    if delay is None and value:
        try:
            date = parsedate_to_datetime(value)
            date = date.replace(tzinfo=date.tzinfo or UTC)
            delay = max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
        except (ValueError, OverflowError):
            return None
    return delay


def seconds(value: str) -> float | None:
    """Return a number of seconds, whole or decimal; None for anything else."""
    digits = value.strip().replace(".", "", 1)
    return float(value) if digits.isascii() and digits.isdigit() else None
