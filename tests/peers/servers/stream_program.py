"""Endless streams under uvicorn, hypercorn or granian: `stream_program.py SERVER`.

Prints the port, and then the path of each request whose producer has cleaned up. The stream
at /late begins when another has ended, and it prints that it was asked for. Those at /silent
and /wrapped have a comment twenty times a second, the latter behind a middleware.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncGenerator
from typing import Any

import anyio

from sse_core import EventStreamResponse

some_ended = anyio.Event()


async def produce(path: str) -> AsyncGenerator[str]:
    try:
        yield "first"
        while path == "/busy":
            yield "busy"  # and never waits
        await anyio.sleep_forever()
    finally:
        os.write(1, f"{path}\n".encode())
        some_ended.set()


async def stream(scope: Any, receive: Any, send: Any) -> None:
    path = scope["path"]
    keep_alive = 0.05 if path in ("/silent", "/wrapped") else 15
    await EventStreamResponse(produce(path), keep_alive=keep_alive)(scope, receive, send)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/wrapped":
        from starlette.middleware.base import BaseHTTPMiddleware

        await BaseHTTPMiddleware(stream, lambda request, pass_on: pass_on(request))(
            scope, receive, send
        )
    else:
        await stream(scope, receive, send)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        if scope["path"] == "/late":
            os.write(1, b"asked\n")
            await some_ended.wait()
        await answer(scope, receive, send)
    elif scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})


def main(server: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    if server == "granian":
        from granian.constants import Interfaces
        from granian.server import Server

        port = listener.getsockname()[1]
        listener.close()
        Server(
            "tests.peers.servers.stream_program:app",
            port=port,
            interface=Interfaces.ASGI,
            log_enabled=False,
        ).serve()
    elif server == "uvicorn":
        import uvicorn

        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listener])
    else:
        from hypercorn.config import Config
        from hypercorn.run import run

        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.worker_class = server.removeprefix("hypercorn-")
        config.application_path = "tests.peers.servers.stream_program:app"
        # Its workers are not told of signals: after this time it cancels what still runs.
        config.graceful_timeout = 1
        run(config)


if __name__ == "__main__":
    # Under the name by which a server that imports the application finds it again.
    from tests.peers.servers import stream_program

    stream_program.main(sys.argv[1])
