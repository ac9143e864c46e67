"""Counts calls, which take the same number wherever a test runs."""

from __future__ import annotations

import gc
import sys


class Calls:
    """Counts the calls of functions, in Python and in C, within its block.

    Without garbage collection, for what it calls belongs to whatever ran before.
    """

    def __enter__(self) -> Calls:
        self.number = 0
        gc.disable()
        sys.setprofile(self._count)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(None)
        gc.enable()

    def _count(self, frame: object, event: str, called: object) -> None:
        self.number += event in ("call", "c_call")
