"""Streams, sources and chats that are dropped without being closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel

import sse_core
import sse_core.sync
from tests.support.shells import Shell

MESSAGES = [{"role": "user", "content": "hi"}]

Open = Callable[..., Any]


def a_stream(shell: Shell, url: str, **options: Any) -> Any:
    return shell.stream(url, **options)


def a_source(shell: Shell, url: str, **options: Any) -> Any:
    kind = sse_core.sync.EventSource if shell.blocking else sse_core.EventSource
    return kind(url, **options)


def a_chat(shell: Shell, url: str, **options: Any) -> Any:
    return shell.stream_chat(model="m", messages=MESSAGES, base_url=url, api_key="k", **options)


def drop_one(shell: Shell, opened: Open, url: str, **options: Any) -> None:
    """Open something, read from it, and lose it."""
    if shell.blocking:
        dropped = opened(shell, url, **options)
        next(dropped.__enter__())
        return

    async def scenario() -> None:
        dropped = opened(shell, url, **options)
        await anext(await dropped.__aenter__())
        del dropped
        for _ in range(3):  # the event loop closes the socket in its next round
            await anyio.lowlevel.checkpoint()

    anyio.run(scenario, backend=shell.name)
