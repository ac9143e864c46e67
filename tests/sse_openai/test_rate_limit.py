"""What a response's headers say of limits, read into numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_core import Headers
from sse_openai import RateLimit
from sse_openai._rate_limit import rate_limit


def read(**fields: str) -> RateLimit:
    """Read headers, given without their common beginning."""
    return rate_limit(
        Headers(
            [
                (b"x-ratelimit-" + name.replace("_", "-").encode(), value.encode())
                for name, value in fields.items()
            ]
        )
    )


def test_all_of_them() -> None:
    """As OpenAI's guide has them."""
    assert RateLimit(
        limit_requests=60,
        remaining_requests=59,
        reset_requests=1,
        limit_tokens=150000,
        remaining_tokens=149984,
        reset_tokens=360,
    ) == read(
        limit_requests="60",
        remaining_requests="59",
        reset_requests="1s",
        limit_tokens="150000",
        remaining_tokens="149984",
        reset_tokens="6m0s",
    )


def test_none_of_them() -> None:
    """Nothing is made up."""
    assert RateLimit() == rate_limit(Headers([(b"x-ratelimit-limit", b"5")]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12ms", 0.012),
        ("9ms", 0.009),
        ("0s", 0),
        ("2m59.56s", 179.56),  # Groq
        ("24h0m0s", 86400),
        ("600µs", 0.0006),
        ("600us", 0.0006),
        ("5ns", 5e-9),
        ("60", 60),  # Azure
        ("7.66", 7.66),
        (" 1s ", 1),
    ],
)
def test_durations(value: str, expected: float) -> None:
    """As Go writes them, or plain seconds; the fraction is not blurred by adding."""
    assert RateLimit(reset_tokens=expected) == read(reset_tokens=value)


@pytest.mark.parametrize(
    "value",
    [
        *("", "-1", "+1", "-1s", "s", "m", "1m2", "1 s", "1d", "1S", "1.s", ".5s", "1e3", "1_0"),
        *("nan", "inf", "soon", "1s, 2s", "٣", "٣s", "9" * 19, "9" * 5000 + "s"),
        "Wed, 21 Oct 2015 07:28:00 GMT",
    ],
)
def test_what_cannot_be_read(value: str) -> None:
    """It is None, and no error: a header is no reason to lose an answer."""
    assert RateLimit() == read(reset_tokens=value)


@pytest.mark.parametrize("value", ["", "-1", "+1", "1.5", "1k", "1_0", "٣", "9" * 19, "1, 2"])
def test_counts_that_cannot_be_read(value: str) -> None:
    """Azure's -1 among them, which says that there is no limit."""
    assert RateLimit() == read(limit_requests=value, remaining_tokens=value)


UNITS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(list(UNITS))), min_size=1))
def test_any_duration(parts: list[tuple[int, str]]) -> None:
    """It is the sum of its parts."""
    found = read(reset_requests="".join(f"{number}{unit}" for number, unit in parts))

    assert found.reset_requests is not None
    total = math.fsum(number * UNITS[unit] for number, unit in parts)
    assert math.isclose(total, found.reset_requests, rel_tol=1e-9, abs_tol=1e-12)


NAMES = list(RateLimit.__dataclass_fields__)
TEXT = st.text(alphabet="0123456789.hmsunµ -+e\u0663", max_size=30)


@given(st.dictionaries(st.sampled_from(NAMES), TEXT))
def test_anything(fields: dict[str, str]) -> None:
    """Whatever the headers say, it is a number from zero on, or nothing."""
    found = read(**fields)

    for name in NAMES:
        value = getattr(found, name)
        assert value is None or (0 <= value < math.inf and name in fields)
