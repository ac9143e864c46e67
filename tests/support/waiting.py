"""Threads that wait: for the bytes of a peer, or for another thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from tests.support.listener import WAIT

# A socket's function, that of TLS, and that of the lock in every ``threading.Event``.
_WAITING = {"recv", "read", "acquire"}


def waiting_in_a_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Call it in a thread; return when it waits: the thread, and the list of its result."""
    results: list[Any] = []
    waits = threading.Event()

    def before(frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and called.__name__ in _WAITING:
            sys.setprofile(None)
            waits.set()

    def run() -> None:
        sys.setprofile(before)
        results.append(call())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert waits.wait(WAIT), "does not wait"
    return thread, results
