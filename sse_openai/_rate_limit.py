"""Headers of a response -> the caller's rate limits. No I/O, no clock.

OpenAI sends ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}``; other servers send
some of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sse_core import Headers

# The units of a duration in Go's notation: "6m0s", "2m59.56s", "20ms".
_NANOSECONDS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "\xc2\xb5s": 1_000,  # a micro sign in UTF-8; headers are decoded as Latin-1
    "ns": 1,
}
# No real limit has more digits; without this bound, int() and float() would accept any number.
_NUMBER = r"([0-9]{1,18}(?:\.[0-9]{1,18})?)"
_PART = re.compile(_NUMBER + "(ms|h|m|us|\xc2\xb5s|ns|s)")
_DURATION = re.compile(f"(?:{_PART.pattern})+")
_PLAIN = re.compile(_NUMBER)
_COUNT = re.compile("[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """The caller's rate limits, as reported in the ``x-ratelimit-*`` headers of a response.

    A value is None if its header is missing or unreadable, or is Azure's -1 for "no limit".
    """

    limit_requests: int | None = None
    """Requests allowed in a period."""
    remaining_requests: int | None = None
    """Requests left."""
    reset_requests: float | None = None
    """Seconds until all are allowed again."""
    limit_tokens: int | None = None
    """Tokens allowed in a period."""
    remaining_tokens: int | None = None
    """Tokens left."""
    reset_tokens: float | None = None
    """Seconds until all are allowed again."""


def rate_limit(headers: Headers) -> RateLimit:
    """Return the limits that the headers of a response report."""

    def value(name: str) -> str:
        return headers.get(f"x-ratelimit-{name}", "").strip()

    return RateLimit(
        limit_requests=_count(value("limit-requests")),
        remaining_requests=_count(value("remaining-requests")),
        reset_requests=_seconds(value("reset-requests")),
        limit_tokens=_count(value("limit-tokens")),
        remaining_tokens=_count(value("remaining-tokens")),
        reset_tokens=_seconds(value("reset-tokens")),
    )


def number(value: str) -> float | None:
    """Return a whole or decimal number without a sign; None for anything else."""
    return float(value) if _PLAIN.fullmatch(value.strip()) else None


def _count(value: str) -> int | None:
    return int(value) if _COUNT.fullmatch(value) else None


def _seconds(value: str) -> float | None:
    """Read a duration with units, or Azure's seconds without one."""
    if (plain := number(value)) is not None:
        return plain
    if not _DURATION.fullmatch(value):
        return None
    # Divide once, at the end: 9 * 0.001 is not 0.009.
    parts = _PART.findall(value)
    return sum(float(number) * _NANOSECONDS[unit] for number, unit in parts) / 1_000_000_000
