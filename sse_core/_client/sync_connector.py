"""Connections over blocking sockets: opened, kept and closed. The twin of ``connector``."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

from .._errors import TLSError, TransportError
from .._http.limits import NO_LIMIT, Limit
from .._http.messages import URL, Request
from .._http.proxies import Proxy, Tunnel
from .conversation import CLOSED
from .pool import Pool, is_readable
from .route import Route

READ_SIZE = 64 * 1024

# Seconds. Sockets accept no more than 2^31 milliseconds.
_LONGEST_TIMEOUT = 2_000_000


class Connector:
    """Opens connections along one route, and keeps some of those that are idle."""

    def __init__(self, route: Route, *, max_idle: int = 0, max_idle_time: float = 0.0) -> None:
        self.route = route
        self.keeps = max_idle > 0
        """True if a connection may be used again."""
        self._pool: Pool[socket.socket] = Pool(max_idle, max_idle_time)
        self._lock = threading.Lock()
        self._process = os.getpid()

    def acquire(self, url: URL, proxy: Proxy | None, limit: Limit) -> tuple[socket.socket, bool]:
        """Return a connection for ``url``, and True if it has served before."""
        self._expire(time.monotonic())
        while (transport := self._take(url, proxy)) is not None:
            if not is_readable(transport.fileno()):
                return transport, True
            transport.close()
        return self.connect(url, proxy, limit), False

    def release(self, url: URL, proxy: Proxy | None, transport: socket.socket) -> None:
        """Keep a connection that can carry another request."""
        now = time.monotonic()
        with self._lock:
            self._pool.put((url.origin, proxy), transport, now)
        self._expire(now)

    def close(self) -> None:
        """Close the idle connections, and from now on those that become idle."""
        self._pool.per_origin = 0
        self._expire(inf)

    def _take(self, url: URL, proxy: Proxy | None) -> socket.socket | None:
        with self._lock:
            if os.getpid() != self._process:  # forked: idle connections are the parent's
                self._process = os.getpid()
                for transport in self._pool.expire(inf):
                    transport.close()
            return self._pool.take((url.origin, proxy))

    def _expire(self, now: float) -> None:
        with self._lock:
            expired = self._pool.expire(now)
        for transport in expired:
            transport.close()

    def connect(self, url: URL, proxy: Proxy | None, limit: Limit) -> socket.socket:
        """Return a new connection to the origin of ``url``, or for http to ``proxy``."""
        route = self.route
        with transport_errors(f"connecting to {route.destination(url, proxy)}", limit, TLSError):
            transport = self._open(url if proxy is None else proxy.url, limit)
            try:
                if url.scheme == "http":
                    return transport
                if proxy is not None:
                    _open_tunnel(transport, Tunnel(proxy, url), limit)
                transport.settimeout(seconds_left(limit))
                # A TLS peer that is cut off without close_notify is an error, not an end.
                return route.tls().wrap_socket(
                    transport, server_hostname=url.host, suppress_ragged_eofs=False
                )
            except BaseException:
                transport.close()
                raise

    def _open(self, url: URL, limit: Limit) -> socket.socket:
        if self.route.uds is not None:
            return _connect_to(socket.AF_UNIX, self.route.uds, limit)
        return _connect_tcp(url.host, url.port, limit)


class Link:
    """The connection of one stream: what ``StreamConversation`` opens, sends, reads, closes.

    Its coroutines block and never suspend. Another thread may call ``close``.
    """

    def __init__(self, connector: Connector) -> None:
        self.keeps = connector.keeps
        """True if the connection may be kept after the stream."""
        self.proxy: Proxy | None = None
        self.receiving = False
        """True while a thread waits in ``receive``."""
        self._connector = connector
        self._transport: socket.socket | None = None
        self._limited = True  # the socket has a timeout, which costs a system call to change
        self._process = os.getpid()

    @property
    def is_open(self) -> bool:
        """True from ``connect`` to ``close``."""
        return self._transport is not None

    def now(self) -> float:
        """Return the time that limits are measured by."""
        return time.monotonic()

    async def connect(self, request: Request, limit: Limit) -> bool:
        """Connect to the server of ``request``; return True if the connection served before."""
        self.proxy = self._connector.route.proxy_for(request.url)
        self._transport, reused = self._connector.acquire(request.url, self.proxy, limit)
        return reused

    async def send(self, data: bytes, limit: Limit) -> None:
        """Send bytes of the request."""
        transport = self._transport
        if transport is None:
            raise TransportError(CLOSED)
        with transport_errors("sending the request", limit):
            transport.settimeout(seconds_left(limit))
            transport.sendall(data)

    async def receive(self, limit: Limit) -> bytes:
        """Return the next bytes; ``b""`` at the end of file, and after ``close``."""
        return self.read(limit)

    def read(self, limit: Limit = NO_LIMIT) -> bytes:
        """Do what ``receive`` does, without a coroutine."""
        transport = self._transport
        if transport is None:  # closed by another thread
            return b""
        self.receiving = True
        try:
            if self._limited or limit is not NO_LIMIT:
                self._limited = limit is not NO_LIMIT
                transport.settimeout(seconds_left(limit))
            return transport.recv(READ_SIZE)
        except TransportError:
            raise
        except OSError as exc:
            raise transport_error("reading the response", exc, limit) from exc
        finally:
            self.receiving = False
            if self._transport is None:
                transport.close()

    async def close(self, request: Request, *, reusable: bool) -> None:
        """Close the connection, or keep it for another request."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        if self.keeps and reusable and not self.receiving:
            self._connector.release(request.url, self.proxy, transport)
            return
        if os.getpid() == self._process:  # a forked child leaves the connection to its parent
            with suppress(OSError):
                # Wakes the thread in recv(), which close() would not do; that thread then
                # closes. SSLSocket's own method would take TLS away under that thread.
                socket.socket.shutdown(transport, socket.SHUT_RDWR)
        if not self.receiving:
            transport.close()

    def drop(self) -> bool:
        """Close the connection in a finalizer; return True if it was open."""
        if self._transport is None:
            return False
        self._transport.close()
        return True


def _open_tunnel(transport: socket.socket, tunnel: Tunnel, limit: Limit) -> None:
    transport.settimeout(seconds_left(limit))
    transport.sendall(tunnel.data_to_send())
    while not tunnel.open:
        transport.settimeout(seconds_left(limit))
        tunnel.receive_data(transport.recv(READ_SIZE))


def _connect_tcp(host: str, port: int, limit: Limit) -> socket.socket:
    # socket.create_connection would give each address the whole time.
    failure: OSError | None = None
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            return _connect_to(family, address, limit)
        except OSError as exc:
            failure = exc
    assert failure is not None, "a name has an address, or is an error"
    raise failure


def _connect_to(family: int, address: Any, limit: Limit) -> socket.socket:
    transport = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family in (socket.AF_INET, socket.AF_INET6):
            transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.settimeout(seconds_left(limit))
        transport.connect(address)
    except BaseException:
        transport.close()
        raise
    return transport


def seconds_left(limit: Limit) -> float | None:
    """Return the timeout to set on a socket."""
    left = limit.left(time.monotonic())
    return left if left is None or left < _LONGEST_TIMEOUT else None


@contextmanager
def transport_errors(
    action: str, limit: Limit, tls_error: type[TransportError] = TransportError
) -> Iterator[None]:
    """Turn the exceptions of sockets into ours, and the end of ``limit`` into its exception."""
    try:
        yield
    except TransportError:
        raise
    except OSError as exc:
        raise transport_error(action, exc, limit, tls_error) from exc


def transport_error(
    action: str, error: OSError, limit: Limit, tls_error: type[TransportError] = TransportError
) -> TransportError:
    """Return the exception to raise for one of a socket's."""
    # ETIMEDOUT, which also is a TimeoutError, is the system's and not our limit.
    if isinstance(error, TimeoutError) and error.errno is None:
        return limit.expired()
    broken_tls = isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)
    return (tls_error if broken_tls else TransportError)(f"{action} failed: {error}")
