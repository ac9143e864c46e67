"""Chats and responses that are asked for on every shell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

import sse_openai
import sse_openai.sync
from sse_core import TransportError
from sse_openai.mock import MockServer
from tests.support.scripted_server import WAIT
from tests.support.shells import (
    Shell,
)

ASK: Any = [{"role": "user", "content": "Hello?"}]

Scenario = Callable[[Any], Awaitable[Any]]


def with_client(shell: Shell, scenario: Scenario, url: str, **options: Any) -> Any:
    """Run ``scenario`` with what reads one response: the stream, its text, and its failure."""
    options = {"api_key": "k", "base_url": url, "timeout": WAIT, **options}

    if shell.blocking:
        with sse_openai.sync.Client(**options) as client:

            async def read_blocking(**fields: Any) -> Any:
                with client.responses(model="m", input="hi", **fields) as responses:
                    try:
                        list(responses)
                    except sse_openai.ChatError as exc:
                        return responses, exc
                    except TransportError as exc:
                        return responses, exc
                    return responses, None

            try:
                scenario(read_blocking).__await__().send(None)
            except StopIteration as stop:
                return stop.value
            raise AssertionError

    async def run() -> Any:
        async with sse_openai.Client(**options) as client:

            async def read(**fields: Any) -> Any:
                async with client.responses(model="m", input="hi", **fields) as responses:
                    try:
                        async for _ in responses:
                            pass
                    except (sse_openai.ChatError, TransportError) as exc:
                        return responses, exc
                    return responses, None

            return await scenario(read)

    return anyio.run(run, backend=shell.name)


def ask(shell: Shell, server: MockServer, **options: Any) -> Any:
    """Ask for a chat; return the stream, its chunks, and what was raised."""
    options = {"max_retries": 0, "timeout": 10, **options}
    base: Any = {"base_url": server.base_url, "api_key": server.api_key}
    return shell.collect(shell.stream_chat(model="m", messages=ASK, **base, **options))
