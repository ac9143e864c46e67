"""The default of arguments for which None has a meaning: no limit, say, or no header."""

from __future__ import annotations

from enum import Enum
from typing import Final


class NotGiven(Enum):
    """The type of ``NOT_GIVEN``."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
"""Leaves an argument to its client's own setting."""
