"""Lives of streams and sources, from connecting to closing, and what the server says in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import sse_core
from sse_core import Disconnected, ResponseError
from tests.support.log_server import STOP
from tests.support.scripted_server import Script, chunked

A, B = b"id: 1\ndata: a\n\n", b"id: 2\ndata: b\n\n"

REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: /log\r\nContent-Length: 0\r\n\r\n"

ERROR = b"HTTP/1.1 401 No\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"

MOST = 200
"""Suspensions that none of these comes to."""

Life = Callable[..., Awaitable[None]]

with_and_without_tls = pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])


async def stream(url: str, **options: Any) -> None:
    """Connect, be redirected, read to the end, close."""
    async with sse_core.stream(url, **options) as items:
        assert ["a", "b"] == [item.data async for item in items]


async def stream_that_is_left(url: str, **options: Any) -> None:
    """Leave it after an event, and close it twice."""
    async with sse_core.stream(url, **options) as items:
        await anext(items)
        await items.aclose()


async def refused_stream(url: str, **options: Any) -> None:
    """Read the body of an error."""
    with pytest.raises(ResponseError):
        async with sse_core.stream(url, **options):
            raise AssertionError("there is no stream")  # pragma: no cover


async def source(url: str, **options: Any) -> None:
    """Connect, be cut off, wait, ask for headers, be redirected, end, be told to stop."""

    async def headers() -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        return {"X": "y"}

    async with sse_core.EventSource(url, headers=headers, **options, **WAITS) as items:
        received = [item async for item in items.items()]
        assert 2 == len([item for item in received if isinstance(item, Disconnected)])


async def source_that_is_left(url: str, **options: Any) -> None:
    """Close it between two connections."""
    async with sse_core.EventSource(url, **options, **WAITS) as items:
        async for item in items.items():
            if isinstance(item, Disconnected):
                break


# A wait that is one: its sleep is a suspension of its own.
WAITS: Any = {"reconnection_time": 0.001, "min_reconnection_time": 0.0, "uniform": lambda: 0.0}

LIVES: list[tuple[Life, Callable[[], list[Script]]]] = [
    (stream, lambda: [Script([REDIRECT]), chunked([A, B])]),
    (stream_that_is_left, lambda: [chunked([A, B], "hold", last_chunk=False)]),
    (refused_stream, lambda: [Script([ERROR])]),
    (source, lambda: [chunked([A], last_chunk=False), Script([REDIRECT]), chunked([B]),
                      Script([STOP])]),
    (source_that_is_left, lambda: [chunked([A])]),
]  # fmt: skip
