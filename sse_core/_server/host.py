"""A small ASGI 3 server for the demo, the relay and tests; ``Exchange`` makes its decisions.

It is no production server: one process, no limit on connections, no access log,
no WebSocket, no HTTP/2. In production, serve the application with uvicorn or hypercorn.

A body is read only when the application calls ``receive()``, and is sent before ``send()``
returns. If a client has gone, ``receive()`` returns ``http.disconnect`` and ``send()`` raises
OSError. A client that closes only its sending side counts as gone once ``receive()`` notices.
"""

# One extension, for a mock that must fail as networks do: if the scope's `extensions` contain
# `sse_toolkit.abort`, an application may send `{"type": "sse_toolkit.abort", "reset": bool}`
# at any time. The response gets no end, and FIN or RST closes the connection, without a log.

from __future__ import annotations

import logging
import socket
import ssl
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute, TaskStatus
from anyio.streams.tls import TLSListener

from ..asgi import ASGIApp, Message
from .exchange import ABORT, Exchange

HEAD_TIMEOUT = 60.0
"""Seconds for a whole head to arrive, idle time included (nginx's client_header_timeout)."""
LINGER = 1.0
"""Seconds for a client to close the connection after the last response."""
SHUTDOWN_TIMEOUT = 5.0
"""Seconds for the application to answer ``lifespan.shutdown``."""

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)

logger = logging.getLogger("sse_core.serve")


async def serve(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` until cancelled; ``port = await task_group.start(serve, app)``.

    Port 0 takes a free port; ``start()`` returns the port that was bound. Cancellation
    closes every connection and cancels every call of the application. This is a small
    server for tests and demos, not for production.

    Raises:
        OSError: the address cannot be bound.
        ExceptionGroup: of one RuntimeError, if the application sends
            ``lifespan.startup.failed``.
    """
    listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    async with listener, _lifespan(app):
        task_status.started(listener.extra(SocketAttribute.local_port))
        # Annotated, because the handler takes the streams of either listener.
        accepting: Listener[Any] = TLSListener(listener, ssl_context) if ssl_context else listener
        scheme = "https" if ssl_context else "http"
        await accepting.serve(partial(_serve_connection, app, scheme))


class _Channel:
    """The application's ``receive()`` and ``send()``; several tasks may call either."""

    def __init__(self, exchange: Exchange, stream: ByteStream) -> None:
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
                self._reading.cancel()  # a receive() that waits returns http.disconnect

    async def flush(self) -> None:
        async with self._sending:
            if not (data := self._exchange.data_to_send()):
                return
            try:
                await self._stream.send(data)
            except BaseException as exc:
                # Failed or cancelled: part of it may have been sent, and nothing can follow that.
                self._exchange.disconnected, self._exchange.complete = True, False
                if isinstance(exc, _GONE):
                    raise BrokenPipeError("the client has closed the connection") from exc
                raise


async def _serve_connection(app: ASGIApp, scheme: str, stream: ByteStream) -> None:
    exchange = Exchange()
    close_timeout = 0.0
    try:
        await _serve_exchange(app, scheme, stream, exchange)
        while exchange.reusable:
            exchange = exchange.next()
            await _serve_exchange(app, scheme, stream, exchange)
        if exchange.complete:
            await _drain(stream)
            close_timeout = LINGER
    finally:
        # This sends TLS's close_notify, but never after a response that was cut off: it must
        # not look complete. (Plain HTTP/1.0 without Content-Length cannot show the difference.)
        with anyio.move_on_after(close_timeout), suppress(*_GONE):
            await stream.aclose()


async def _serve_exchange(
    app: ASGIApp, scheme: str, stream: ByteStream, exchange: Exchange
) -> None:
    channel = _Channel(exchange, stream)
    with anyio.move_on_after(HEAD_TIMEOUT):
        while exchange.needs_head():
            exchange.receive_data(await _read(stream))
    if exchange.request is not None:
        client = stream.extra(SocketAttribute.remote_address, None)
        scope = exchange.scope(scheme, client, stream.extra(SocketAttribute.local_address))
        await _call(app, scope, exchange, channel)
    if not exchange.complete:
        exchange.fail()
        with suppress(OSError):
            await channel.flush()


async def _call(app: ASGIApp, scope: dict[str, Any], exchange: Exchange, channel: _Channel) -> None:
    try:
        await app(scope, channel.receive, channel.send)
        if not (exchange.complete or exchange.disconnected):
            raise RuntimeError("the application returned before its response was complete")
    except Exception as exc:
        # An application is expected to fail once the client has gone.
        # Headers and the query are not logged, because they carry secrets.
        level = logging.DEBUG if exchange.disconnected else logging.ERROR
        path = scope["raw_path"].decode("ascii")
        logger.log(level, "%s %s: the application failed", scope["method"], path, exc_info=exc)


def _reset(stream: ByteStream) -> None:
    """Make the close of ``stream``, which must follow, send an RST."""
    # With a linger time of 0, Linux discards unsent data and resets the connection.
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # On asyncio, anyio sends a FIN first, unless the (private) transport is already closing.
    transport = getattr(getattr(stream, "transport_stream", stream), "_transport", None)
    if transport is not None:
        transport.abort()


async def _read(stream: ByteStream) -> bytes:
    try:
        return await stream.receive()
    except _GONE:
        return b""


async def _drain(stream: ByteStream) -> None:
    """Close the sending side, and read until the client has closed the connection too."""
    # If a socket is closed with unread bytes, TCP resets the connection, and a client that is
    # still sending may lose the response (RFC 9112, 9.6).
    with anyio.move_on_after(LINGER):
        with suppress(NotImplementedError, *_GONE):  # TLS does this in aclose()
            await stream.send_eof()
        while await _read(stream):
            pass


@asynccontextmanager
async def _lifespan(app: ASGIApp) -> AsyncGenerator[None]:
    """Send lifespan events, unless the application raises: then it does not support them."""
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

    # Shielded, so that an application can shut down after the server has been cancelled.
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
