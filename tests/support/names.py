"""Test modules by the names that the tables in docs/ give them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]


@cache
def source_of_test(file: str) -> str:
    """Return the source of the one module with that name, whatever room it is in."""
    (path,) = TESTS.rglob(file)
    return path.read_text()
