"""A response in each framework, under uvicorn: `framework_program.py FRAMEWORK`."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from typing import Any

from sse_core import EventStreamResponse, ServerSentEvent

from .on_uvicorn import run


async def produce() -> AsyncGenerator[ServerSentEvent]:
    for number in range(3):
        yield ServerSentEvent(str(number), "tick", str(number))


async def endpoint(request: Any) -> Any:
    return EventStreamResponse(produce())


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    await EventStreamResponse(produce())(scope, receive, send)


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    return Starlette(routes=[Route("/events", endpoint), Mount("/mounted", mounted)])


def fastapi() -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    app.add_route("/events", endpoint)
    app.mount("/mounted", mounted)
    return app


def litestar() -> Any:
    from litestar import Litestar, asgi

    return Litestar(
        [asgi("/events")(mounted), asgi("/mounted", is_mount=True, copy_scope=True)(mounted)]
    )


def quart() -> Any:
    from quart import Quart

    app = Quart(__name__)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        streams = scope["type"] == "http" and scope["path"].startswith(("/events", "/mounted"))
        await (mounted if streams else app)(scope, receive, send)

    return application


if __name__ == "__main__":
    run(
        {"starlette": starlette, "fastapi": fastapi, "litestar": litestar, "quart": quart}[
            sys.argv[1]
        ](),
        0,
    )
