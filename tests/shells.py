"""One way to run a scenario on every shell: asyncio, trio and blocking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

import sse_core
import sse_core.sync
import sse_openai
import sse_openai.sync

Collect = Callable[..., list[Any]]


def _collect_sync(items: Any, into: list[Any]) -> None:
    with items as iterator:
        into.append(iterator)
        for item in iterator:
            into.append(item)  # noqa: PERF402  # one by one: a failure keeps what came before


async def _collect_async(items: Any, into: list[Any]) -> None:
    async with items as iterator:
        into.append(iterator)
        async for item in iterator:
            into.append(item)  # noqa: PERF401  # one by one: a failure keeps what came before


class Shell:
    """Opens event streams and chats by one of the three shells, without ``await``."""

    def __init__(self, name: str) -> None:
        self.name = name
        blocking = name == "blocking"
        self.stream: Any = sse_core.sync.stream if blocking else sse_core.stream
        self.stream_chat: Any = sse_openai.sync.stream_chat if blocking else sse_openai.stream_chat

    def collect(self, items: Any) -> tuple[Any, list[Any], BaseException | None]:
        """Read to the end; return the opened stream, what it yielded, and what it raised."""
        into: list[Any] = []
        try:
            if self.name == "blocking":
                _collect_sync(items, into)
            else:
                anyio.run(_collect_async, items, into, backend=self.name)
        except (sse_core.SSEError, OSError, RuntimeError) as exc:
            return (into[0] if into else None), into[1:], exc
        return into[0], into[1:], None


SHELLS = [Shell(name) for name in ("asyncio", "trio", "blocking")]

on_every_shell = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell.name)
