"""The warning about a stream that was not closed, with the place where it was opened."""

from __future__ import annotations

import sys
import warnings
from typing import TypeAlias

Place: TypeAlias = "tuple[str, int, str]"
"""File, line and module."""

_OURS = ("sse_core", "sse_openai")


def caller() -> Place:
    """Return the innermost place on the stack outside this toolkit."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__", "")


def warn_unclosed(stream: object, place: Place) -> None:
    """Warn that ``stream``, opened at ``place``, was dropped with its connection open."""
    message = f"unclosed {type(stream).__name__}: leave its block, or close it"
    warnings.warn_explicit(message, ResourceWarning, *place, source=stream)
