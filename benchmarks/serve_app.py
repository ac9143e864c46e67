"""One broadcast for many subscribers, under uvicorn, in a process of its own.

``python -m benchmarks.serve_app NAME`` reports its port. It answers ``{"subscribers": n,
"rounds": r, "burst": b}`` once n subscribers are connected: it publishes, waits until
everything is written, and reports the processor time from the first event to the last.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import Any

import sse_core

from .parsers import OURS

__all__ = ["ALONE", "APPS", "BARE", "DATA", "GAP"]

ALONE = "uvicorn alone"
"""The lower bound of all libraries: events encoded once, one asyncio.Event for all, send()."""

BARE = "sse-toolkit's broadcast alone"
"""Sent by an application that watches nothing: no disconnect, no silence, no time limit."""
DATA = "x" * 100
"""The text of each event, after its number."""
GAP = 0.2
"""Seconds between two bursts: enough for ours to deliver one to 2,000 before the next, so
that events published one by one are sent one by one. Waiting costs no processor time."""

HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream")],
}
BODY = {"type": "http.response.body", "more_body": True}

NO_PING = 3600
"""Seconds between pings, so that a library waiting for its turn does not ping 2,000 clients
when it begins. FastAPI's 15 cannot be changed."""

App = Callable[..., Any]
Publish = Callable[[int], object]


class Queues:
    """The way that the peers' documentation shows: a queue for each subscriber."""

    def __init__(self) -> None:
        self.queues: set[asyncio.Queue[int]] = set()

    def publish(self, number: int) -> None:
        for queue in self.queues:
            queue.put_nowait(number)

    async def subscribe(self) -> AsyncIterator[int]:
        queue: asyncio.Queue[int] = asyncio.Queue()
        self.queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.queues.discard(queue)


def _event(number: int) -> sse_core.ServerSentEvent:
    return sse_core.ServerSentEvent(f"{number} {DATA}", id=str(number + 1))


def ours() -> tuple[App, Publish]:
    broadcast = sse_core.Broadcast()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        response = sse_core.EventStreamResponse(broadcast.subscribe(), keep_alive=NO_PING)
        await response(scope, receive, send)

    return app, lambda number: broadcast.publish(_event(number))


def bare() -> tuple[App, Publish]:
    broadcast = sse_core.Broadcast()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(HEAD)
        await send(BODY)
        async for data in broadcast.subscribe():
            await send({**BODY, "body": data})

    return app, lambda number: broadcast.publish(_event(number))


def sse_starlette() -> tuple[App, Publish]:
    sse = import_module("sse_starlette")
    starlette = import_module("starlette.applications")
    route = import_module("starlette.routing").Route
    queues = Queues()

    async def events() -> AsyncIterator[Any]:
        async for number in queues.subscribe():
            yield sse.ServerSentEvent(f"{number} {DATA}", id=str(number + 1))

    async def endpoint(request: Any) -> Any:
        return sse.EventSourceResponse(events(), ping=NO_PING)

    return starlette.Starlette(routes=[route("/", endpoint)]), queues.publish


def fastapi() -> tuple[App, Publish]:
    sse = import_module("fastapi.sse")
    app = import_module("fastapi").FastAPI()
    queues = Queues()

    @app.get("/", response_class=sse.EventSourceResponse)
    async def endpoint():  # type: ignore[no-untyped-def]  # FastAPI makes a schema of it
        async for number in queues.subscribe():
            yield sse.ServerSentEvent(raw_data=f"{number} {DATA}", id=str(number + 1))

    return app, queues.publish


def alone() -> tuple[App, Publish]:
    news = asyncio.Event()
    events: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(HEAD)
        await send(BODY)
        start = len(events)
        while True:
            await news.wait()
            data, start = b"".join(events[start:]), len(events)
            await send({**BODY, "body": data})

    def publish(number: int) -> None:
        nonlocal news
        events.append(sse_core.encode(_event(number)))
        news.set()
        news = asyncio.Event()

    return app, publish


APPS: dict[str, tuple[Callable[[], tuple[App, Publish]], tuple[str, ...]]] = {
    OURS: (ours, ("uvicorn", "httptools")),
    BARE: (bare, ("uvicorn", "httptools")),
    ALONE: (alone, ("uvicorn", "httptools")),
    "sse-starlette": (sse_starlette, ("sse-starlette", "starlette")),
    "fastapi": (fastapi, ("fastapi", "starlette", "pydantic")),
}


async def _publish(publish: Publish, rounds: int, burst: int, first: int) -> None:
    for turn in range(rounds):
        for number in range(first + turn * burst, first + (turn + 1) * burst):
            publish(number)
        await asyncio.sleep(GAP)


def main() -> None:
    """Serve until standard input ends."""
    uvicorn = import_module("uvicorn")
    app, publish = APPS[sys.argv[1]][0]()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(
        app, http="httptools", loop="asyncio", lifespan="off", access_log=False, log_level="error"
    )
    server = uvicorn.Server(config)
    ready = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        ready.set()
        await server.serve(sockets=[listener])

    # The questions are read in a thread, because the server has the main one.
    def answer() -> None:
        ready.wait()
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        for line in sys.stdin:
            question = json.loads(line)
            if question["ask"] == "start":
                started = time.process_time()
                asyncio.run_coroutine_threadsafe(
                    _publish(publish, question["rounds"], question["burst"], question["first"]),
                    loops[0],
                ).result()
            # "end" is asked once the reader has everything, so that late work counts as well.
            print(json.dumps({"cpu": time.process_time() - started}), flush=True)
        server.force_exit = server.should_exit = True

    threading.Thread(target=answer, daemon=True).start()
    asyncio.run(serve())


if __name__ == "__main__":
    main()
