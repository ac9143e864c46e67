"""Tasks that watch a block, over anyio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

__all__ = ["beside"]


@asynccontextmanager
async def beside(
    *functions: Callable[[], Awaitable[None]],
) -> AsyncGenerator[anyio.CancelScope]:
    """Run functions beside the block, until its end; the scope ends all of them earlier.

    What the block or one of them raises ends all, and passes as it is: a task group alone
    would wrap it. Of several exceptions, it is the first.
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
        # Also in the place of a cancellation, which trio raises where the group ends.
        if failure is not None:
            raise failure
