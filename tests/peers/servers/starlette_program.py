"""uvicorn with Starlette and sse-starlette."""

from __future__ import annotations

import sys
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import script
from .on_uvicorn import run


async def events(request: Request) -> Any:
    last_event_id = request.headers.get("last-event-id")
    if last_event_id == script.LAST_ID:
        return Response(status_code=204)
    items = script.items_behind(last_event_id, request.query_params["gate"])
    return EventSourceResponse(ServerSentEvent(**item) async for item in items)


async def echo(request: Request) -> Any:
    text = (await request.json())["text"]
    assert request.client is not None
    return EventSourceResponse(iter([ServerSentEvent(text, id=str(request.client.port))]))


async def refused(request: Request) -> Any:
    return JSONResponse(script.REFUSAL, 401)


async def open_gate(request: Request) -> Any:
    script.gates[request.query_params["gate"]].set()
    return Response()


app = Starlette(
    routes=[
        Route("/events", events),
        Route("/echo", echo, methods=["POST"]),
        Route("/refused", refused),
        Route("/open", open_gate, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    run(app, int(sys.argv[1]))
