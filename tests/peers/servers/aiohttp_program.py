"""aiohttp with aiohttp-sse."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

from aiohttp import web
from aiohttp_sse import sse_response

from . import script


async def events(request: web.Request) -> Any:
    last_event_id = request.headers.get("last-event-id")
    if last_event_id == script.LAST_ID:
        return web.Response(status=204)
    async with sse_response(request) as response:
        async for item in script.items_behind(last_event_id, request.query["gate"]):
            if "comment" in item:  # the library has no method for comments of one's own
                await response.write(f": {item['comment']}\r\n\r\n".encode())
            else:
                await response.send(**item)
    return response


async def echo(request: web.Request) -> Any:
    text = (await request.json())["text"]
    assert request.transport is not None
    _, port = request.transport.get_extra_info("peername")
    async with sse_response(request, allow_all_methods=True) as response:
        await response.send(text, id=str(port))
    return response


async def refused(request: web.Request) -> Any:
    return web.json_response(script.REFUSAL, status=401)


async def open_gate(request: web.Request) -> Any:
    script.gates[request.query["gate"]].set()
    return web.Response()


async def main(port: int) -> None:
    app = web.Application()
    app.router.add_get("/events", events)
    app.router.add_post("/echo", echo)
    app.router.add_get("/refused", refused)
    app.router.add_post("/open", open_gate)
    runner = web.AppRunner(app, handle_signals=True, shutdown_timeout=1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", port))
    await web.SockSite(runner, listener).start()
    print(listener.getsockname()[1], flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
