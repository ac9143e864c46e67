"""bytes -> ASGI messages -> bytes: a small ASGI 3 host for the demo, the relay and tests.

It is no production server: one process, no limit on connections, no access log,
no WebSocket, no HTTP/2. Serve the same application with uvicorn or hypercorn there.

``_Exchange`` decides, without I/O: one request and its response, as ASGI messages
on one side and as bytes on the other. The coroutines below it only move bytes.
Nothing is read ahead of the application: its ``receive()`` is what reads, so a body
that nobody wants stays with the client, and nothing is held back: every body
message is on the wire before its ``send()`` returns.

A client that has gone shows in two places: ``receive()`` returns ``http.disconnect``
and ``send()`` raises OSError. An application that asks neither is left alone. A
client that closes only its sending side counts as gone, once ``receive()`` sees it.

One message is this host's own, for a mock that has to fail as networks do. Where the
scope's ``extensions`` have ``sse_toolkit.abort``, an application may send, at any time,
``{"type": "sse_toolkit.abort", "reset": bool}``: what was sent stays sent, the response
gets no end, and the connection is closed, by FIN or by RST. Nothing is logged.
"""

from __future__ import annotations

import http
import logging
import re
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import unquote

import anyio
import h11
from anyio.abc import ByteStream, Listener, SocketAttribute, TaskStatus
from anyio.streams.tls import TLSListener

__all__ = ["serve"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_HEAD = 2**16
"""Bytes of a request's head (uvicorn's limit), and of what waits behind a request."""
HEAD_TIMEOUT = 60.0
"""Seconds for a whole head to arrive, idle time included (nginx's client_header_timeout)."""
LINGER = 1.0
"""Seconds for a client to close after the server has said its last."""
SHUTDOWN_TIMEOUT = 5.0
"""Seconds for the application to answer ``lifespan.shutdown``."""
ABORT = "sse_toolkit.abort"
"""The name of the extension, and the type of its message."""

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
_FRAMING = (b"content-length", b"transfer-encoding")
_UNANSWERED = (h11.IDLE, h11.SEND_RESPONSE)

logger = logging.getLogger("sse_core.serve")


async def serve(
    app: App,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` until cancelled; ``port = await task_group.start(serve, app)``.

    Port 0 takes a free one; the port that was bound is the value of ``start()``.
    Cancellation closes every connection and cancels every call of the application.

    Raises:
        OSError: the address cannot be bound.
        ExceptionGroup: around a RuntimeError, for an application that answers
            ``lifespan.startup.failed``.
    """
    listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    async with listener, _lifespan(app):
        task_status.started(listener.extra(SocketAttribute.local_port))
        # A type of its own: the handler takes the streams of either listener.
        doors: Listener[Any] = TLSListener(listener, ssl_context) if ssl_context else listener
        await doors.serve(partial(_converse, app, "https" if ssl_context else "http"))


class _Exchange:
    """One request and its response. No I/O.

    ``receive_data`` while it ``needs_head``, then ``next_message`` and ``send_message``
    in any order; ``data_to_send`` after each of them.
    """

    def __init__(self, wire: h11.Connection) -> None:
        self.request: h11.Request | None = None
        self.disconnected = False
        """Whether the client has gone, or sends what cannot be understood."""
        self.complete = False
        """Whether the response is whole."""
        self._wire = wire
        self._received = len(wire.trailing_data[0])
        self._ahead: h11.EndOfMessage | None = None
        self._request_read = False
        self._error_status: int | None = None
        self._head: h11.Response | None = None
        self._out: list[bytes] = []

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another exchange after this one."""
        done = self._wire.our_state is h11.DONE and self._wire.their_state is h11.DONE
        return self.complete and done and not self.disconnected

    def receive_data(self, data: bytes) -> None:
        """Take what the client sent; ``b""`` is end of file."""
        if not data:
            self.disconnected = True
            return
        self._received += len(data)
        self._wire.receive_data(data)
        if self._request_read and len(self._wire.trailing_data[0]) > MAX_HEAD:
            # Requests behind one that is still being answered. Reading has to go on, for
            # nothing else tells that the client has gone: so this is where it ends.
            self.disconnected = True

    def needs_head(self) -> bool:
        """Whether the request's head has yet to come."""
        if self.request is None and not self.disconnected:
            event = self._next_event()
            if self._received - len(self._wire.trailing_data[0]) > MAX_HEAD:
                # h11 measures what is incomplete: a head that one read ends gets past it.
                self._break_off(431)
            elif isinstance(event, h11.Request):
                self.request = event
                if not any(name in _FRAMING for name, _ in event.headers):
                    self._ahead = self._next_event()  # the end, at once: there is no body
        return self.request is None and not self.disconnected

    def next_message(self) -> Message | None:
        """Return what ``receive()`` returns, or None: not before more bytes have come."""
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        if self._request_read and self._ahead is None:
            return None
        event, self._ahead = self._ahead or self._next_event(), None
        if isinstance(event, h11.Data):
            return {"type": "http.request", "body": bytes(event.data), "more_body": True}
        if isinstance(event, h11.EndOfMessage):
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._wire.they_are_waiting_for_100_continue:
            # Not before: it says that the body is wanted.
            proceed = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            self._out.append(self._wire.send(proceed))
        return {"type": "http.disconnect"} if self.disconnected else None

    def send_message(self, message: Message) -> None:
        """Take what the application gave to ``send()``.

        Raises:
            OSError: the client has gone.
            RuntimeError: not the message that can follow, or none that HTTP can carry.
        """
        if self.complete:
            return  # "any further messages on the channel will be ignored"
        if self.disconnected:
            raise BrokenPipeError("the client has closed the connection")
        try:
            self._respond(message)
        except h11.LocalProtocolError as exc:
            raise RuntimeError(f"the response cannot be sent as HTTP: {exc}") from exc

    def fail(self) -> None:
        """Answer in the application's place, if one is owed and nothing of it has been sent."""
        status = self._error_status or (500 if self.request and not self.disconnected else None)
        if status is None or self._wire.our_state not in _UNANSWERED:
            return
        body = f"{http.HTTPStatus(status).phrase}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
        ]
        self._head = None  # the application's own may wait there, for a body that never came
        self._respond({"type": "http.response.start", "status": status, "headers": headers})
        self._respond({"type": "http.response.body", "body": body})

    def data_to_send(self) -> bytes:
        """Return, once, the bytes that the calls so far have made."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _next_event(self) -> Any:
        try:
            event = self._wire.next_event()
        except h11.RemoteProtocolError as exc:
            self._break_off(exc.error_status_hint)
            return None
        self._request_read = isinstance(event, h11.EndOfMessage)
        return event

    def _break_off(self, status: int) -> None:
        self.disconnected = True
        self._error_status = status

    def _respond(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start" if self._head is None:
                self._head = self._response(message["status"], message.get("headers", ()))
            case "http.response.body" if self._head is not None:
                # "need not flush the data generated by this event ... until the first Response
                # Body event is processed": until then, a failure can still become a 500.
                if self._wire.our_state in _UNANSWERED:
                    self._out.append(self._wire.send(self._head))
                self._send_body(message.get("body", b""), message.get("more_body", False))
            case unexpected:
                raise RuntimeError(f"{unexpected!r} cannot be sent here")

    def _response(self, status: int, given: Iterable[tuple[bytes, bytes]]) -> h11.Response:
        # "You may send a Transfer-Encoding header ..., but the server must ignore it."
        headers = [(name, value) for name, value in given if name.lower() != b"transfer-encoding"]
        if not any(name.lower() == b"date" for name, _ in headers):
            headers.append((b"date", formatdate(usegmt=True).encode()))
        if not self._request_read:
            # What is left of the body would have to be read before the next request.
            headers.append((b"connection", b"close"))
        return h11.Response(status_code=status, headers=headers)

    def _send_body(self, body: bytes, more: bool) -> None:
        if body and not (self.request and self.request.method == b"HEAD"):
            self._out.append(self._wire.send(h11.Data(data=body)))
        if not more:
            self._out.append(self._wire.send(h11.EndOfMessage()))
            self.complete = True


class _Channel:
    """What the application holds of one exchange: ``receive()`` and ``send()``.

    Either may be called from several tasks.
    """

    def __init__(self, exchange: _Exchange, stream: ByteStream) -> None:
        self._exchange = exchange
        self._stream = stream
        self._receiving = anyio.Lock(fast_acquire=True)
        self._sending = anyio.Lock(fast_acquire=True)
        self._reading = anyio.CancelScope()

    async def receive(self) -> Message:
        async with self._receiving:
            while (message := self._exchange.next_message()) is None:
                with anyio.CancelScope() as self._reading:
                    with suppress(OSError):
                        await self.flush()  # "100 (Continue)"
                    self._exchange.receive_data(await _read(self._stream))
            return message

    async def send(self, message: Message) -> None:
        if message["type"] == ABORT and not self._exchange.complete:
            self._exchange.disconnected = True
            if message.get("reset", False):
                _reset(self._stream)
            self._reading.cancel()
            return
        self._exchange.send_message(message)
        try:
            await self.flush()
        finally:
            if self._exchange.complete or self._exchange.disconnected:
                self._reading.cancel()  # for a receive() that waits: it returns http.disconnect

    async def flush(self) -> None:
        async with self._sending:
            if not (data := self._exchange.data_to_send()):
                return
            try:
                await self._stream.send(data)
            except BaseException as exc:
                # Failed or cancelled: part of it may be out, and nothing can follow a part.
                self._exchange.disconnected, self._exchange.complete = True, False
                if isinstance(exc, _GONE):
                    raise BrokenPipeError("the client has closed the connection") from exc
                raise


async def _converse(app: App, scheme: str, stream: ByteStream) -> None:
    """Serve one connection: exchange after exchange, then the close."""
    wire = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    patience = 0.0
    try:
        while (exchange := await _converse_once(app, scheme, stream, wire)).reusable:
            wire.start_next_cycle()
        if exchange.complete:
            await _drain(stream)
            patience = LINGER
    finally:
        # TLS says goodbye here, but never after a response that was cut: its end must not
        # look like one. (HTTP/1.0 without TLS and Content-Length has no way to tell.)
        with anyio.move_on_after(patience), suppress(*_GONE):
            await stream.aclose()


async def _converse_once(
    app: App, scheme: str, stream: ByteStream, wire: h11.Connection
) -> _Exchange:
    exchange = _Exchange(wire)
    channel = _Channel(exchange, stream)
    with anyio.move_on_after(HEAD_TIMEOUT):
        while exchange.needs_head():
            exchange.receive_data(await _read(stream))
    if exchange.request is not None:
        await _call(app, _scope(exchange.request, scheme, stream), exchange, channel)
    if not exchange.complete:
        exchange.fail()
        with suppress(OSError):
            await channel.flush()
    return exchange


async def _call(app: App, scope: dict[str, Any], exchange: _Exchange, channel: _Channel) -> None:
    try:
        await app(scope, channel.receive, channel.send)
        if not (exchange.complete or exchange.disconnected):
            raise RuntimeError("the application returned before its response was complete")
    except Exception as exc:
        # Once the client has gone, failing is what an application is expected to do.
        # Neither headers nor the query are logged: both carry secrets.
        level = logging.DEBUG if exchange.disconnected else logging.ERROR
        path = scope["raw_path"].decode("ascii")
        logger.log(level, "%s %s: the application failed", scope["method"], path, exc_info=exc)


def _scope(request: h11.Request, scheme: str, stream: ByteStream) -> dict[str, Any]:
    path, _, query = request.target.partition(b"?")
    # "A server MUST accept the absolute-form in requests" (RFC 9112, 3.2.2).
    path = re.sub(rb"\A[A-Za-z][A-Za-z0-9+.-]*://[^/]*", b"", path) or b"/"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.http_version.decode("ascii"),
        "method": request.method.decode("ascii"),
        "scheme": scheme,
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
        "client": stream.extra(SocketAttribute.remote_address, None),
        "server": stream.extra(SocketAttribute.local_address),
        "extensions": {ABORT: {}},
    }


def _reset(stream: ByteStream) -> None:
    """Have the close of ``stream``, which is to follow, be an RST."""
    # Linux closes a socket so when it is told not to linger, and not to finish either.
    linger = struct.pack("ii", 1, 0)
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    # anyio says FIN before it closes a stream on asyncio, unless the transport is closing
    # already; there is no public way to it.
    transport = getattr(getattr(stream, "transport_stream", stream), "_transport", None)
    if transport is not None:
        transport.abort()


async def _read(stream: ByteStream) -> bytes:
    try:
        return await stream.receive()
    except _GONE:
        return b""


async def _drain(stream: ByteStream) -> None:
    """Say that nothing more comes, and read until the client has closed as well.

    Closing over unread bytes makes TCP reset the connection, and a client that is still
    sending may lose the response with it (RFC 9112, 9.6).
    """
    with anyio.move_on_after(LINGER):
        with suppress(NotImplementedError, *_GONE):  # TLS says it in aclose()
            await stream.send_eof()
        while await _read(stream):
            pass


@asynccontextmanager
async def _lifespan(app: App) -> AsyncGenerator[None]:
    """Tell the application of start and end, if it wants to know: it raises if not."""
    started, stopping, stopped = anyio.Event(), anyio.Event(), anyio.Event()
    messages: list[Message] = [{"type": "lifespan.startup"}]
    failure: str | None = None

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def send(message: Message) -> None:
        nonlocal failure
        match message["type"]:
            case "lifespan.startup.complete":
                started.set()
            case "lifespan.startup.failed":
                failure = message.get("message", "")
                started.set()
            case "lifespan.shutdown.complete" | "lifespan.shutdown.failed":
                stopped.set()
            case unexpected:
                raise RuntimeError(f"{unexpected!r} cannot be sent here")

    # Shielded: what cancels the server must not keep the application from shutting down.
    lifetime = anyio.CancelScope(shield=True)

    async def live() -> None:
        with lifetime:
            try:
                asgi = {"version": "3.0", "spec_version": "2.0"}
                await app({"type": "lifespan", "asgi": asgi}, receive, send)
            except Exception as exc:
                # "the server must continue but not send any lifespan events"
                logger.debug("the application is served without lifespan", exc_info=exc)
        started.set()
        stopped.set()

    async with anyio.create_task_group() as task_group:
        task_group.start_soon(live)
        try:
            await started.wait()
            if failure is not None:
                raise RuntimeError(f"the application did not start: {failure}")
            yield
        finally:
            stopping.set()
            with anyio.move_on_after(SHUTDOWN_TIMEOUT, shield=True):
                if started.is_set():
                    await stopped.wait()
            lifetime.cancel()
