"""Where connections come from, over anyio. ``_sync_connector`` has the same names, blocking."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf

import anyio
import anyio.abc
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSStream

from .._errors import TLSError, TransportError
from .._http.limits import Limit
from .._http.messages import URL
from .._http.proxies import Proxies, Proxy, Tunnel, destination
from .asyncio_socket import AsyncioStream, Expired, adopt
from .pool import Pool, is_readable

__all__ = ["Connector", "limited", "transport_errors"]


class Connector:
    """Opens connections by one set of options, and keeps some of those that are idle."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        uds: str | os.PathLike[str] | None = None,
        max_idle: int = 0,
        max_idle_time: float = 0.0,
    ) -> None:
        self._ssl_context = ssl_context
        self._proxies = Proxies(proxy, trust_env=trust_env, uds=uds)
        self._uds = uds
        self._pool: Pool[anyio.abc.ByteStream] = Pool(max_idle, max_idle_time)
        self.keeps = max_idle > 0
        """Whether a connection may be used again."""

    def proxy_for(self, url: URL) -> Proxy | None:
        """Return the proxy to ask for ``url``, as of now."""
        return self._proxies.choose(url)

    async def acquire(self, url: URL, proxy: Proxy | None) -> tuple[anyio.abc.ByteStream, bool]:
        """Return a connection to ask for ``url`` on, and whether it has served before."""
        await self._close(self._pool.expire(anyio.current_time()))
        while (transport := self._pool.take((url.origin, proxy))) is not None:
            if not _has_input(transport):
                return transport, True
            await self._close([transport])
        return await self.connect(url, proxy), False

    async def release(self, url: URL, proxy: Proxy | None, transport: anyio.abc.ByteStream) -> None:
        """Keep a connection on which another request can follow."""
        now = anyio.current_time()
        self._pool.put((url.origin, proxy), transport, now)
        await self._close(self._pool.expire(now))

    async def aclose(self) -> None:
        """Close the idle connections, and from now on those that become idle."""
        self._pool.per_origin = 0
        await self._close(self._pool.expire(inf))

    @staticmethod
    async def _close(transports: list[anyio.abc.ByteStream]) -> None:
        with anyio.CancelScope(shield=True):  # does not wait: closing is by force
            for transport in transports:
                await anyio.aclose_forcefully(transport)

    async def connect(self, url: URL, proxy: Proxy | None) -> anyio.abc.ByteStream:
        """Return a new connection to the origin of ``url``, or for http to ``proxy``."""
        with transport_errors(f"connecting to {destination(url, proxy, self._uds)}", TLSError):
            transport = await self._open(url if proxy is None else proxy.url)
            try:
                if url.scheme == "http":
                    return transport
                if proxy is not None:
                    await _open_tunnel(transport, Tunnel(proxy, url))
                return await TLSStream.wrap(transport, hostname=url.host, ssl_context=self._tls())
            except BaseException:
                await anyio.aclose_forcefully(transport)
                raise

    async def _open(self, url: URL) -> anyio.abc.ByteStream:
        if self._uds is not None:
            return await _connect_unix(os.fspath(self._uds))
        return await adopt(await anyio.connect_tcp(url.host, url.port))

    def _tls(self) -> ssl.SSLContext:
        # Made once: it holds every certificate of the system's trust store.
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context


def _has_input(transport: anyio.abc.ByteStream) -> bool:
    innermost = getattr(transport, "transport_stream", transport)
    if isinstance(innermost, AsyncioStream) and innermost.has_input:
        return True
    return is_readable(transport.extra(SocketAttribute.raw_socket).fileno())


async def _connect_unix(path: str) -> anyio.abc.ByteStream:
    # anyio.connect_unix waits while the server's backlog is full, and leaves the socket
    # behind when it is cancelled there. Otherwise nothing takes time.
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


def close_at_once(transport: anyio.abc.ByteStream) -> None:
    """Close a connection where nothing can be awaited: in a finalizer."""
    innermost = getattr(transport, "transport_stream", transport)
    closing = innermost.aclose()
    try:
        closing.send(None)  # to its first checkpoint, which is behind the close
    except RuntimeError:  # the event loop is no more
        raw = innermost.extra(SocketAttribute.raw_socket)
        if isinstance(raw, socket.socket):  # asyncio's own closes itself
            raw.close()
    finally:
        closing.close()


async def receive_within(transport: anyio.abc.ByteStream, max_bytes: int, limit: Limit) -> bytes:
    """Return what ``transport`` receives next, at the latest when ``limit`` ends."""
    innermost = getattr(transport, "transport_stream", transport)
    if not isinstance(innermost, AsyncioStream):
        with limited(limit):
            return await transport.receive(max_bytes)
    innermost.deadline = limit.deadline  # which costs less than a scope for each read
    try:
        return await transport.receive(max_bytes)
    except Expired:
        raise limit.expired() from None
    finally:
        innermost.deadline = inf


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
    """Turn what sockets raise into ours."""
    try:
        yield
    except SOCKET_ERRORS as exc:
        raise transport_error(action, exc, tls_error) from exc


SOCKET_ERRORS = (OSError, anyio.BrokenResourceError)


def transport_error(
    action: str, error: Exception, tls_error: type[TransportError] = TransportError
) -> TransportError:
    """Return what to raise from what a socket raised."""
    # Of an end of file within TLS anyio makes a BrokenResourceError.
    kind = tls_error if isinstance(error, ssl.SSLError) else TransportError
    return kind(f"{action} failed: {error.__cause__ or error}")
