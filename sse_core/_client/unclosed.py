"""Where in the caller's code a stream was opened, for the warning that it was not closed."""

from __future__ import annotations

import sys
import warnings
from typing import TypeAlias

Place: TypeAlias = "tuple[str, int, str]"
"""File, line and module."""

_OURS = ("sse_core", "sse_openai")


def caller() -> Place:
    """Return the innermost place on the stack that is not in this toolkit."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__", "")


def warn_unclosed(stream: object, place: Place) -> None:
    """Warn that ``stream``, opened at ``place``, was dropped with its connection open."""
    filename, lineno, module = place
    warnings.warn_explicit(
        f"unclosed {type(stream).__name__}: leave its block, or close it",
        ResourceWarning,
        filename,
        lineno,
        module,
        source=stream,
    )
