"""Sources of each shell that do not wait, and their items beside the events."""

from __future__ import annotations

from typing import Any

import sse_core
import sse_core.sync
from tests.support.log_server import source_kind
from tests.support.scripted_server import WAIT, Script, ScriptedServer
from tests.support.shells import Shell


def quick_source(shell: Shell, url: str, **options: Any) -> Any:
    """Return a source that does not wait between two attempts."""
    options = {"reconnection_time": 0.0, "min_reconnection_time": 0.0, "timeout": WAIT} | options
    return source_kind(shell.name)(url, uniform=lambda: 0.0, **options)


class AllItems:
    """A source in whose block all of its items are iterated over, for ``Shell.collect``."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __enter__(self) -> Any:
        return self._source.__enter__().items()

    def __exit__(self, *exc: Any) -> None:
        self._source.__exit__(*exc)

    async def __aenter__(self) -> Any:
        return (await self._source.__aenter__()).items()

    async def __aexit__(self, *exc: Any) -> None:
        await self._source.__aexit__(*exc)


async def next_item(shell: Shell, source: Any) -> Any:
    """Return the next of all items, in a scenario."""
    items = source.items()
    return next(items) if shell.blocking else await anext(items)


STOP = Script([b"HTTP/1.1 204 No Content\r\n\r\n"])


def source_of(shell: Shell, server: ScriptedServer, **options: Any) -> Any:
    """Return a source of the shell's kind, which does not wait between attempts."""
    kind = sse_core.sync.EventSource if shell.blocking else sse_core.EventSource
    options = {"reconnection_time": 0.0, "min_reconnection_time": 0.0} | options
    options.setdefault("uniform", lambda: 0.0)
    return kind(server.url, **options)
