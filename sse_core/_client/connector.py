"""Connections over anyio: opened, kept and closed. ``sync_connector`` is the blocking twin."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from sys import is_finalizing

import anyio
import anyio.abc
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSStream

from .._errors import TLSError, TransportError
from .._http.limits import NO_LIMIT, Limit
from .._http.messages import URL, Request
from .._http.proxies import Proxy, Tunnel
from .asyncio_socket import AsyncioStream, Expired, adopt
from .conversation import CLOSED
from .pool import Pool, is_readable
from .route import Route

# Keeps every limit independent of the cut, and is the most that one read of a busy socket
# brings.
READ_SIZE = 64 * 1024


class Connector:
    """Opens connections along one route, and keeps some of those that are idle."""

    def __init__(self, route: Route, *, max_idle: int = 0, max_idle_time: float = 0.0) -> None:
        self.route = route
        self.keeps = max_idle > 0
        """True if a connection may be used again."""
        self._pool: Pool[anyio.abc.ByteStream] = Pool(max_idle, max_idle_time)

    async def acquire(self, url: URL, proxy: Proxy | None) -> tuple[anyio.abc.ByteStream, bool]:
        """Return a connection for ``url``, and True if it has served before."""
        await self._close(self._pool.expire(anyio.current_time()))
        while (transport := self._pool.take((url.origin, proxy))) is not None:
            if not _has_input(transport):
                return transport, True
            await self._close([transport])
        return await self.connect(url, proxy), False

    async def release(self, url: URL, proxy: Proxy | None, transport: anyio.abc.ByteStream) -> None:
        """Keep a connection that can carry another request."""
        now = anyio.current_time()
        self._pool.put((url.origin, proxy), transport, now)
        await self._close(self._pool.expire(now))

    async def aclose(self) -> None:
        """Close the idle connections, and from now on those that become idle."""
        self._pool.per_origin = 0
        await self._close(self._pool.expire(inf))

    @staticmethod
    async def _close(transports: list[anyio.abc.ByteStream]) -> None:
        with anyio.CancelScope(shield=True):  # closing by force does not wait
            for transport in transports:
                await anyio.aclose_forcefully(transport)

    async def connect(self, url: URL, proxy: Proxy | None) -> anyio.abc.ByteStream:
        """Return a new connection to the origin of ``url``, or for http to ``proxy``."""
        route = self.route
        with transport_errors(f"connecting to {route.destination(url, proxy)}", TLSError):
            transport = await self._open(url if proxy is None else proxy.url)
            try:
                if url.scheme == "http":
                    return transport
                if proxy is not None:
                    await _open_tunnel(transport, Tunnel(proxy, url))
                return await TLSStream.wrap(transport, hostname=url.host, ssl_context=route.tls())
            except BaseException:
                await anyio.aclose_forcefully(transport)
                raise

    async def _open(self, url: URL) -> anyio.abc.ByteStream:
        if self.route.uds is not None:
            return await _connect_unix(self.route.uds)
        return await adopt(await anyio.connect_tcp(url.host, url.port))


class Link:
    """The connection of one stream: what ``StreamConversation`` opens, sends, reads, closes."""

    __slots__ = (
        *("_connector", "_loop", "_process", "_timed", "_transport"),
        *("keeps", "proxy", "receiving"),
    )

    def __init__(self, connector: Connector) -> None:
        self.keeps = connector.keeps
        """True if the connection may be kept after the stream."""
        self.proxy: Proxy | None = None
        self.receiving = False
        """True while a task waits for the next event."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connector = connector
        self._transport: anyio.abc.ByteStream | None = None
        self._timed: AsyncioStream | None = None
        self._process = os.getpid()

    @property
    def is_open(self) -> bool:
        """True from ``connect`` to ``close``."""
        return self._transport is not None

    def now(self) -> float:
        """Return the time that limits are measured by."""
        # On asyncio the loop's own clock is the same, at a tenth of the cost.
        return anyio.current_time() if self._loop is None else self._loop.time()

    async def connect(self, request: Request, limit: Limit) -> bool:
        """Connect to the server of ``request``; return True if the connection served before."""
        self.proxy = self._connector.route.proxy_for(request.url)
        with limited(limit):
            self._transport, reused = await self._connector.acquire(request.url, self.proxy)
        innermost = _innermost(self._transport)
        if isinstance(innermost, AsyncioStream):
            self._timed = innermost
            self._loop = asyncio.get_running_loop()
        return reused

    async def send(self, data: bytes, limit: Limit) -> None:
        """Send bytes of the request."""
        if self._transport is None:
            raise TransportError(CLOSED)
        with limited(limit), transport_errors("sending the request"):
            await self._transport.send(data)

    async def receive(self, limit: Limit = NO_LIMIT) -> bytes:
        """Return the next bytes; ``b""`` at the end of file, and after ``close``."""
        transport = self._transport
        if transport is None:  # closed by another task
            return b""
        timed = self._timed
        try:
            if limit is NO_LIMIT:
                return await transport.receive(READ_SIZE)
            if timed is None:
                with limited(limit):
                    return await transport.receive(READ_SIZE)
            timed.deadline = limit.deadline  # cheaper than a cancel scope for each read
            try:
                return await transport.receive(READ_SIZE)
            finally:
                timed.deadline = inf
        except Expired:
            raise limit.expired() from None
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            return b""
        except TransportError:
            raise
        except SOCKET_ERRORS as exc:
            raise transport_error("reading the response", exc) from exc

    async def close(self, request: Request, *, reusable: bool) -> None:
        """Close the connection, or keep it for another request."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        if self.keeps and reusable:
            await self._connector.release(request.url, self.proxy, transport)
        else:
            await anyio.aclose_forcefully(transport)

    def drop(self) -> bool:
        """Close the connection in a finalizer; return True if it was open."""
        if self._transport is None or is_finalizing():  # then the system closes it
            return False
        if os.getpid() != self._process:  # a forked child shares its parent's event loop
            return False
        _close_at_once(self._transport)
        return True


def _innermost(transport: anyio.abc.ByteStream) -> anyio.abc.ByteStream:
    innermost: anyio.abc.ByteStream = getattr(transport, "transport_stream", transport)
    return innermost


def _has_input(transport: anyio.abc.ByteStream) -> bool:
    innermost = _innermost(transport)
    if isinstance(innermost, AsyncioStream) and innermost.has_input:
        return True
    return is_readable(transport.extra(SocketAttribute.raw_socket).fileno())


async def _connect_unix(path: str) -> anyio.abc.ByteStream:
    # anyio.connect_unix waits while the server's backlog is full, and leaves the socket
    # behind when it is cancelled there. Nothing else takes time.
    transport = socket.socket(socket.AF_UNIX)
    try:
        transport.setblocking(False)
        transport.connect(path)
        return await anyio.abc.UNIXSocketStream.from_socket(transport)
    except BaseException:
        transport.close()
        raise


async def _open_tunnel(transport: anyio.abc.ByteStream, tunnel: Tunnel) -> None:
    await transport.send(tunnel.data_to_send())
    while not tunnel.open:
        data = b""
        with suppress(anyio.EndOfStream):
            data = await transport.receive()
        tunnel.receive_data(data)


def _close_at_once(transport: anyio.abc.ByteStream) -> None:
    """Close a connection where nothing can be awaited."""
    innermost = _innermost(transport)
    closing = innermost.aclose()
    try:
        closing.send(None)  # up to its first checkpoint, which comes after the close
    except RuntimeError:  # the event loop has gone
        raw = innermost.extra(SocketAttribute.raw_socket)
        if isinstance(raw, socket.socket):  # asyncio's own closes itself
            raw.close()
    finally:
        closing.close()


@contextmanager
def limited(limit: Limit) -> Iterator[None]:
    """Turn the end of ``limit`` into its exception."""
    with anyio.CancelScope(deadline=limit.deadline) as scope:
        yield
    if scope.cancelled_caught:
        raise limit.expired()


@contextmanager
def transport_errors(
    action: str, tls_error: type[TransportError] = TransportError
) -> Iterator[None]:
    """Turn the exceptions of sockets into ours."""
    try:
        yield
    except SOCKET_ERRORS as exc:
        raise transport_error(action, exc, tls_error) from exc


SOCKET_ERRORS = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)


def transport_error(
    action: str, error: Exception, tls_error: type[TransportError] = TransportError
) -> TransportError:
    """Return the exception to raise for one of a socket's."""
    # anyio turns an end of file within TLS into a BrokenResourceError.
    kind = tls_error if isinstance(error, ssl.SSLError) else TransportError
    return kind(f"{action} failed: {error.__cause__ or error}")
