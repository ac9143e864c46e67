"""An API behind a relay whose every byte the test sends, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import h11
import httpx
from anyio.abc import SocketAttribute, SocketStream

from sse_core import Client, serve
from sse_openai import Endpoint
from sse_openai.relay import Relay

KEY = "sk-server-secret"
CHAT = "/v1/chat/completions"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
ASK: dict[str, Any] = {"model": "m", "stream": True, "messages": []}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Call:
    """One request that the relay has made, and the connection to answer on."""

    def __init__(self, request: bytes, stream: SocketStream) -> None:
        self.request = request
        self._stream = stream

    @property
    def body(self) -> bytes:
        return self.request.partition(b"\r\n\r\n")[2]

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def begin(self, extra: bytes = b"") -> None:
        """Send the head of an event stream."""
        await self.send(HEAD + extra + b"\r\n")

    async def frame(self, data: bytes) -> None:
        """Send a chunk."""
        await self.send(chunk(data))

    async def end(self) -> None:
        """Send the end of the body."""
        await self.send(b"0\r\n\r\n")

    async def cut(self) -> None:
        """Close without it."""
        await self._stream.aclose()

    async def frames_until_gone(self, data: bytes) -> None:
        """Send a chunk again and again, until the relay has closed the connection."""
        with suppress(anyio.BrokenResourceError):
            while True:
                await self.frame(data)

    async def gone(self) -> None:
        """Wait until the relay has closed the connection."""
        try:
            while True:
                await self._stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass


class API:
    """A listener that hands the test each request."""

    def __init__(self) -> None:
        self.port = 0
        self._calls, self._next = anyio.create_memory_object_stream[Call](100)
        self._finished = anyio.Event()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=KEY)

    async def call(self) -> Call:
        """Wait for the next request."""
        return await self._next.receive()

    async def run(self, *, task_status: Any) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        self.port = listener.extra(SocketAttribute.local_port)
        async with listener, self._calls, self._next:
            task_status.started()
            await listener.serve(self._serve)

    async def _serve(self, stream: SocketStream) -> None:
        async with stream:
            request = b""
            while b"\r\n\r\n" not in request or len(request) < _length(request):
                try:
                    request += await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
            await self._calls.send(Call(request, stream))
            await self._finished.wait()


def _length(request: bytes) -> int:
    head, blank, _ = request.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(head) + len(blank) + int(line.partition(b":")[2])
    return len(head) + len(blank)


class Setting:
    """A relay that is being served, the API behind it, and a client."""

    def __init__(self, api: API, relay: Relay, http: httpx.AsyncClient, port: int) -> None:
        self.api = api
        self.relay = relay
        self.http = http
        self.port = port

    @asynccontextmanager
    async def ask(
        self, body: Any = ASK, *, path: str = CHAT, **headers: str
    ) -> AsyncGenerator[tuple[Call, Reader]]:
        """Ask for a stream; give the call to the API, and the response once it has begun."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        call: Call | None = None

        async def answer() -> None:
            nonlocal call
            call = await self.api.call()
            await call.begin()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            async with self.stream("POST", path, json.dumps(body).encode(), **fields) as reader:
                assert call is not None
                yield call, reader
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, body: bytes = b"", /, **headers: str
    ) -> AsyncGenerator[Reader]:
        """Ask the relay; give the response once its head has come."""
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
            fields = {"host": "localhost", "content-length": str(len(body)), **headers}
            if body:
                fields.setdefault("content-type", "application/json")
            reader = Reader(stream)
            await reader.open(method, path, list(fields.items()), body)
            yield reader

    async def resume(self, stream_id: str, after: int | None = None) -> tuple[int, bytes, bool]:
        """Return status and bytes of what a stream goes on with, and whether it was whole."""
        headers = {} if after is None else {"last-event-id": str(after)}
        async with self.stream("GET", f"/v1/streams/{stream_id}", b"", **headers) as reader:
            data = await reader.rest()
            return reader.status, data, reader.whole

    async def until(self, stream_id: str, status: int, after: int) -> dict[str, Any]:
        """Ask until the answer has this status: how a stream ended is known a moment later."""
        while True:
            headers = {"last-event-id": str(after)}
            response = await self._peek(stream_id, headers)
            if response is not None and response.status_code == status:
                return response.json() if response.content else {}

    async def _peek(self, stream_id: str, headers: dict[str, str]) -> httpx.Response | None:
        try:
            return await self.http.get(f"/v1/streams/{stream_id}", headers=headers)
        except httpx.RemoteProtocolError:
            return None


class Reader:
    """Reads a response piece by piece, however it ends."""

    def __init__(self, stream: SocketStream) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.whole = False
        """Whether the response has come to its end, and was not cut off."""
        self._stream = stream
        self._wire = h11.Connection(h11.CLIENT)

    @property
    def stream_id(self) -> str:
        return self.headers["x-stream-id"]

    async def open(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> None:
        request = h11.Request(method=method, target=path, headers=headers)
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            await self._stream.send(self._wire.send(event) or b"")
        head = await self._event()
        assert isinstance(head, h11.Response)
        self.status = head.status_code
        self.headers = {name.decode(): value.decode() for name, value in head.headers}

    async def next(self) -> bytes:
        """Return the next piece of the body."""
        event = await self._event()
        assert isinstance(event, h11.Data)
        return bytes(event.data)

    async def rest(self) -> bytes:
        """Return all that comes; `whole` then says whether that is all."""
        pieces: list[bytes] = []
        try:
            while isinstance(event := await self._event(), h11.Data):
                pieces.append(bytes(event.data))
        except (h11.RemoteProtocolError, anyio.BrokenResourceError):
            return b"".join(pieces)
        self.whole = True
        return b"".join(pieces)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def _event(self) -> Any:
        while (event := self._wire.next_event()) is h11.NEED_DATA:
            try:
                self._wire.receive_data(await self._stream.receive())
            except anyio.EndOfStream:
                self._wire.receive_data(b"")
        return event


@asynccontextmanager
async def setting(**options: Any) -> AsyncGenerator[Setting]:
    """Serve a relay; all of it is bounded in time, and closed in the end."""
    api = API()
    with anyio.fail_after(15):
        async with anyio.create_task_group() as tasks:
            await tasks.start(api.run)
            # One connection for each call, as the API of a test serves them.
            options.setdefault("client", Client(max_idle=0))
            relay = Relay(options.pop("endpoint", api.endpoint), **options)
            port = await tasks.start(partial(serve, relay))
            async with httpx.AsyncClient(
                verify=False, base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=15
            ) as http:
                yield Setting(api, relay, http, port)
            await relay.aclose()
            tasks.cancel_scope.cancel()


FRAMES = [
    b"data: 1\n\n",
    b": a comment\n\n",
    b"event: x\r\ndata: 2\r\n\r\n",
    b"data: 3\r\r",
    b"\ndata: 4\nid: mine\n\n",
]
NUMBERED = [
    b"data: 1\nid: 1\n\n",
    b": a comment\nid: 2\n\n",
    b"event: x\r\ndata: 2\r\nid: 3\n\r\n",
    b"data: 3\rid: 4\n\r",
    b"data: 4\nid: mine\nid: 5\n\n",
]
