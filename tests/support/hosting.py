"""An application served by sse_core.serve."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio

from sse_core import serve
from sse_core.asgi import ASGIApp as App


@asynccontextmanager
async def serving(app: App, **options: Any) -> AsyncGenerator[int]:
    """Serve ``app`` for the length of the block, which is bounded."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as task_group:
            yield await task_group.start(partial(serve, app, **options))
            task_group.cancel_scope.cancel()
