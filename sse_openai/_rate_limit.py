"""Headers of a response -> what they say of its caller's limits. No I/O, no clock.

OpenAI sends ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}``; others send some of
them (docs/openai.md, 2.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sse_core import Headers

__all__ = ["RateLimit", "rate_limit"]

# Of a duration as Go writes it: "6m0s", "2m59.56s", "20ms".
_NANOSECONDS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "\xc2\xb5s": 1_000,  # a micro sign in UTF-8, as headers are read
    "ns": 1,
}
# Nobody's limit has more digits, and int() and float() take any number of these.
_NUMBER = r"([0-9]{1,18}(?:\.[0-9]{1,18})?)"
_PART = re.compile(_NUMBER + "(ms|h|m|us|\xc2\xb5s|ns|s)")
_DURATION = re.compile(f"(?:{_PART.pattern})+")
_SECONDS = re.compile(_NUMBER)
_COUNT = re.compile("[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """What a response says of its caller's limits, by its ``x-ratelimit-*`` headers.

    A number is None where there is no such header, or none that can be read; Azure's -1,
    which says that there is no limit, is none (docs/openai.md, 2.2).
    """

    limit_requests: int | None = None
    """How many requests are allowed in a period."""
    remaining_requests: int | None = None
    """How many of them are left."""
    reset_requests: float | None = None
    """Seconds until all of them are allowed again."""
    limit_tokens: int | None = None
    """How many tokens are allowed in a period."""
    remaining_tokens: int | None = None
    """How many of them are left."""
    reset_tokens: float | None = None
    """Seconds until all of them are allowed again."""


def rate_limit(headers: Headers) -> RateLimit:
    """Return what the headers of a response say of limits."""

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


def _count(value: str) -> int | None:
    return int(value) if _COUNT.fullmatch(value) else None


def _seconds(value: str) -> float | None:
    """Read a duration with units, or seconds without, as Azure has them."""
    if _SECONDS.fullmatch(value):
        return float(value)
    if not _DURATION.fullmatch(value):
        return None
    # Divided once, at the end: 9 * 0.001 is not 0.009.
    parts = _PART.findall(value)
    return sum(float(number) * _NANOSECONDS[unit] for number, unit in parts) / 1_000_000_000
