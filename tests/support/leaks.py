"""What an event loop still holds: files and tasks."""

from __future__ import annotations

import asyncio
import os
from typing import NamedTuple

import anyio.lowlevel
import trio

# Closing a transport of asyncio takes two runs of the loop.
_SETTLE = 3


class Held(NamedTuple):
    """Counts that have to be the same before and after."""

    files: int
    tasks: int


def files() -> int:
    """Return how many file descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


async def held() -> Held:
    """Return what is held when the loop has run what it was about to run."""
    for _ in range(_SETTLE):
        await anyio.lowlevel.checkpoint()
    if trio.lowlevel.in_trio_run():
        return Held(files(), trio.lowlevel.current_statistics().tasks_living)
    return Held(files(), len(asyncio.all_tasks()))
