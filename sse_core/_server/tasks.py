"""Tasks beside a block of code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio


@asynccontextmanager
async def beside(
    *functions: Callable[[], Awaitable[None]],
) -> AsyncGenerator[anyio.CancelScope]:
    """Run functions beside the block, and cancel them at its end.

    Cancelling the scope ends the block as well. An exception of the block or of a function
    ends all of them, and is raised as it is, where a task group would wrap it. If there are
    several, the first is raised.
    """
    failure: Exception | None = None

    async def run(function: Callable[[], Awaitable[None]]) -> None:
        nonlocal failure
        try:
            await function()
        except Exception as exc:
            failure = failure or exc
            tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            for function in functions:
                tasks.start_soon(run, function)
            try:
                yield tasks.cancel_scope
            except Exception as exc:
                failure = failure or exc
            tasks.cancel_scope.cancel()
    finally:
        # This also replaces a cancellation, which trio raises where the group ends.
        if failure is not None:
            raise failure
