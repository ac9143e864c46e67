"""A relay in its own process: ``python -m tests.support.relay_process REDIS BASE_URL ALIVE``."""

from __future__ import annotations

import sys
from functools import partial

import anyio

from sse_core import serve
from sse_openai import Endpoint
from sse_openai.relay import RedisStore, Relay


async def main(*arguments: str) -> None:
    redis, base_url, alive = arguments
    relay = Relay(
        Endpoint(base_url=base_url, api_key="sk-server"),
        store=RedisStore(redis, alive=float(alive)),
    )
    async with anyio.create_task_group() as tasks:
        print(await tasks.start(partial(serve, relay)), flush=True)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
