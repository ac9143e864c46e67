"""uvicorn with FastAPI's own Server-Sent Events."""

import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from . import script
from .on_uvicorn import run

LastEventID = Annotated[str | None, Header()]


def not_at_the_end(last_event_id: LastEventID = None) -> None:
    # A generator has no say in the status: that is gone before it begins.
    if last_event_id == script.LAST_ID:
        raise HTTPException(204)


async def events(gate: str, last_event_id: LastEventID = None) -> AsyncIterator[Any]:
    async for item in script.items_behind(last_event_id, gate):
        fields = dict(item)
        data = fields.pop("data", None)
        yield ServerSentEvent(raw_data=data, **fields)


async def echo(text: Annotated[str, Body(embed=True)], request: Request) -> AsyncIterator[Any]:
    assert request.client is not None
    yield ServerSentEvent(raw_data=text, id=str(request.client.port))


async def refused() -> Any:
    return JSONResponse(script.REFUSAL, 401)


async def open_gate(gate: str) -> Any:
    script.gates[gate].set()
    return Response()


app = FastAPI()
app.add_api_route(
    "/events",
    events,
    response_class=EventSourceResponse,
    dependencies=[Depends(not_at_the_end)],
)
app.add_api_route("/echo", echo, methods=["POST"], response_class=EventSourceResponse)
app.add_api_route("/refused", refused)
app.add_api_route("/open", open_gate, methods=["POST"])

if __name__ == "__main__":
    run(app, int(sys.argv[1]))
