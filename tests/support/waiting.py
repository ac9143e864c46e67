"""Threads that wait for a peer."""

from __future__ import annotations

import os
import threading
from typing import Any


def waiting_in_a_thread(events: Any) -> tuple[threading.Thread, list[Any]]:
    """Ask for the next item in a thread; return when it waits for the peer."""
    received: list[Any] = []
    thread = threading.Thread(target=lambda: received.append(next(events, "end")), daemon=True)
    thread.start()
    for _ in range(10_000):
        if events._io.receiving:
            return thread, received
        os.sched_yield()
    raise AssertionError("does not wait")
