"""A client of each shell, called in one way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel

import sse_core
import sse_core.sync
from tests.support.shells import (
    Shell,
)


def with_client(shell: Shell, scenario: Scenario, **options: Any) -> Any:
    """Run ``scenario`` with a client of the shell's kind; see ``Caller``."""
    if shell.blocking:
        with sse_core.sync.Client(**options) as client:
            try:
                scenario(Caller(client, blocking=True)).__await__().send(None)
            except StopIteration as stop:
                return stop.value
            raise AssertionError

    async def run() -> Any:
        async with sse_core.Client(**options) as client:
            return await scenario(Caller(client, blocking=False))

    return anyio.run(run, backend=shell.name)


Scenario = Callable[["Caller"], Awaitable[Any]]


class Caller:
    """What a scenario does with a client, with ``await`` on every shell."""

    def __init__(self, client: Any, *, blocking: bool) -> None:
        self.client = client
        self.blocking = blocking

    async def read(self, url: str, **options: Any) -> list[Any]:
        """Ask, read to the end, leave."""
        stream = self.client.stream(url, **options)
        if self.blocking:
            with stream as events:
                return list(events)
        async with stream as events:
            return [event async for event in events]

    async def first(self, url: str, drain: float = 0.0) -> Any:
        """Ask, read one event, leave."""
        stream = self.client.stream(url)
        if self.blocking:
            with stream as events:
                event = next(events)
                events.close(drain=drain)
                return event
        async with stream as events:
            event = await anext(events)
            await events.aclose(drain=drain)
            return event

    async def source(self, url: str, **options: Any) -> list[Any]:
        """Read a source to its end."""
        options |= {"client": self.client, "reconnection_time": 0}
        if self.blocking:
            with sse_core.sync.EventSource(url, **options) as source:
                return list(source.items())
        async with sse_core.EventSource(url, **options) as source:
            return [item async for item in source.items()]
