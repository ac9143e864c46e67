"""The test service of docs/maintainers/contract_tests.md: lets a harness drive our client.

    python -m tests.contract.contract_service --port 8000 --shell trio

Each stream is an ``EventSource`` of the chosen shell; what its ``items()`` yield is
posted to the harness, one report after the other. The service itself always runs over
anyio: on trio for ``--shell trio``, on asyncio otherwise.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
from contextlib import suppress
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.abc import TaskGroup

import sse_core
import sse_core.sync
from sse_core import Comment, Disconnected, ServerSentEvent, SSEError, Timeout, serve
from sse_core.asgi import Receive, Send

CAPABILITIES = [
    "bom",
    "comments",
    "headers",
    "last-event-id",
    "post",
    "read-timeout",
    "report",
    "restart",
    "server-directed-shutdown-request",
]

LISTENERS = "event-type-listeners"
"""Says of a client that it reports only types it was told to listen for, and `message`.

Ours reports every type, so this is declared only when asked for, and then kept to here.
"""


class BadRequest(Exception):
    """What is asked for cannot be done; answered with 400."""


class Stream(Protocol):
    """One stream that the harness has asked for."""

    async def run(self) -> None: ...

    async def restart(self) -> None: ...

    async def stop(self) -> None: ...


class Reports:
    """Posts what a stream yields, numbered from 1. Blocking."""

    def __init__(self, callback_url: str, *, every_type: bool) -> None:
        url = urlsplit(callback_url)
        if url.scheme != "http" or not url.hostname:
            raise ValueError("callbackUrl is no http URL")
        self._host, self._port, self._path = url.hostname, url.port, url.path
        self._number = 0
        self.types: set[str] | None = None if every_type else {"message"}
        """The event types that are reported, None for all."""

    def post(self, item: object) -> None:
        """Report an item of ``items()``, or what ended them, if it is to be reported."""
        report = self._report(item)
        if report is None:
            return
        self._number += 1
        connection = http.client.HTTPConnection(self._host, self._port, timeout=10)
        try:
            connection.request(
                "POST",
                f"{self._path}/{self._number}",
                json.dumps(report),
                {"Content-Type": "application/json"},
            )
            connection.getresponse().read()
        finally:
            connection.close()

    def _report(self, item: object) -> dict[str, object] | None:
        match item:
            case ServerSentEvent():
                if self.types is not None and item.event not in self.types:
                    return None
                event = {"type": item.event, "data": item.data, "id": item.id}
                return {"kind": "event", "event": event}
            case Comment():
                return {"kind": "comment", "comment": item.text}
            case Disconnected(error=SSEError() as error) | (SSEError() as error):
                return {"kind": "error", "error": f"{type(error).__name__}: {error}"}
            case _:  # a connection, or one that ended in good order
                return None


class AsyncStream:
    """A stream over anyio."""

    def __init__(self, source: sse_core.EventSource[Any], reports: Reports) -> None:
        self._source = source
        self._reports = reports

    async def run(self) -> None:
        async with self._source:
            try:
                async for item in self._source.items():
                    await anyio.to_thread.run_sync(self._reports.post, item)
            except SSEError as exc:
                await anyio.to_thread.run_sync(self._reports.post, exc)

    async def restart(self) -> None:
        await self._source.restart()

    async def stop(self) -> None:
        await self._source.aclose()


class BlockingStream:
    """A stream over blocking sockets, in a thread of its own."""

    def __init__(self, source: sse_core.sync.EventSource[Any], reports: Reports) -> None:
        self._source = source
        self._reports = reports

    async def run(self) -> None:
        # Not one of the few threads that all share: it is taken until stop() ends it.
        await anyio.to_thread.run_sync(self._run, limiter=anyio.CapacityLimiter(1))

    def _run(self) -> None:
        with self._source:
            try:
                for item in self._source.items():
                    self._reports.post(item)
            except SSEError as exc:
                self._reports.post(exc)

    async def restart(self) -> None:
        self._source.restart()

    async def stop(self) -> None:
        self._source.close()


class Service:
    """The ASGI application."""

    def __init__(self, tasks: TaskGroup, shell: str, *, all_capabilities: bool = False) -> None:
        self._tasks = tasks
        self._shell = shell
        self._every_type = not all_capabilities
        self._capabilities = [*CAPABILITIES, *([LISTENERS] if all_capabilities else [])]
        self._streams: dict[str, tuple[Stream, Reports]] = {}
        self._created = 0
        self.stopped = anyio.Event()
        """Set when the harness has asked the service to end."""

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        method, path = scope["method"], scope["path"]
        try:
            status, headers, body = await self._answer(method, path, await _body(receive))
        except BadRequest as exc:
            status, headers, body = 400, {}, {"error": str(exc)}
        content = json.dumps(body).encode() if body is not None else b""
        headers = {"content-length": str(len(content))} | headers
        if content:
            headers["content-type"] = "application/json"
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": content})
        if (method, path) == ("DELETE", "/"):
            self.stopped.set()

    async def stop(self) -> None:
        """Stop every stream."""
        for stream, _ in list(self._streams.values()):
            await stream.stop()

    async def _answer(
        self, method: str, path: str, content: bytes
    ) -> tuple[int, dict[str, str], object]:
        if path == "/":
            match method:
                case "GET":
                    name = f"sse-toolkit ({self._shell})"
                    return 200, {}, {"name": name, "capabilities": self._capabilities}
                case "POST":
                    return 201, {"location": self._create(_object(content))}, None
                case "DELETE":
                    return 204, {}, None
        if path not in self._streams:
            return 404, {}, {"error": "no such stream"}
        stream, reports = self._streams[path]
        match method:
            case "POST":
                await self._command(stream, reports, _object(content))
                return 202, {}, None
            case "DELETE":
                del self._streams[path]
                await stream.stop()
                return 204, {}, None
        return 405, {"allow": "POST, DELETE"}, None

    async def _command(self, stream: Stream, reports: Reports, command: dict[str, Any]) -> None:
        match command:
            case {"command": "restart"}:
                await stream.restart()
            case {"command": "listen", "listen": {"type": str(event_type)}} if (
                reports.types is not None
            ):
                reports.types.add(event_type)
            case _:
                raise BadRequest("no command that is known here")

    def _create(self, parameters: dict[str, Any]) -> str:
        try:
            stream, reports = self._stream(parameters)
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            raise BadRequest(f"{type(exc).__name__}: {exc}") from exc
        self._created += 1
        path = f"/streams/{self._created}"
        self._streams[path] = stream, reports
        self._tasks.start_soon(self._run, path, stream)
        return path

    def _stream(self, parameters: dict[str, Any]) -> tuple[Stream, Reports]:
        reports = Reports(_text(parameters, "callbackUrl"), every_type=self._every_type)
        url = _text(parameters, "streamUrl")
        options: dict[str, Any] = {
            name: parameters[name]
            for name in ("method", "headers")
            if parameters.get(name) is not None
        }
        if parameters.get("body") is not None:
            options["content"] = parameters["body"]
        if parameters.get("initialDelayMs") is not None:
            options["reconnection_time"] = parameters["initialDelayMs"] / 1000
        if parameters.get("readTimeoutMs") is not None:
            options["timeout"] = Timeout(idle=parameters["readTimeoutMs"] / 1000)
        options["last_event_id"] = parameters.get("lastEventId") or ""
        # Every stream is asked for again: a harness that sends a body has that in mind.
        options |= {"comments": True, "replay": True}
        if self._shell == "blocking":
            return BlockingStream(sse_core.sync.EventSource(url, **options), reports), reports
        return AsyncStream(sse_core.EventSource(url, **options), reports), reports

    async def _run(self, path: str, stream: Stream) -> None:
        try:
            await stream.run()
        except (OSError, http.client.HTTPException) as exc:
            # The harness has gone, or takes no more reports of a stream that it has deleted.
            print(f"{path}: {exc}", file=sys.stderr)


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def _text(parameters: dict[str, Any], name: str) -> str:
    value = parameters[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as exc:
        raise BadRequest("the body is no JSON") from exc
    if not isinstance(value, dict):
        raise BadRequest("the body is no JSON object")
    return value


async def run(host: str, port: int, shell: str, all_capabilities: bool) -> None:
    """Serve until the harness asks for the end."""
    async with anyio.create_task_group() as tasks:
        service = Service(tasks, shell, all_capabilities=all_capabilities)
        port = await tasks.start(partial(serve, service, host=host, port=port))
        print(f"http://{host}:{port}", flush=True)
        try:
            await service.stopped.wait()
        finally:
            await service.stop()
        tasks.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.contract.contract_service", description=__doc__
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--shell", choices=["asyncio", "trio", "blocking"], default="asyncio")
    parser.add_argument(
        "--all-capabilities", action="store_true", help=f"declare {LISTENERS}, too, and keep to it"
    )
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        anyio.run(
            run,
            arguments.host,
            arguments.port,
            arguments.shell,
            arguments.all_capabilities,
            backend="trio" if arguments.shell == "trio" else "asyncio",
        )


if __name__ == "__main__":
    main()
