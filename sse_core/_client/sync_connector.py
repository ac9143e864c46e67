"""Where connections come from, blocking; see ``_connector``, which has the same names."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from .._errors import TLSError, TransportError
from .._http.limits import Limit
from .._http.messages import URL
from .._http.proxies import Proxies, Proxy, Tunnel, destination
from .pool import Pool, is_readable

__all__ = ["Connector", "seconds_left", "transport_errors"]

READ_SIZE = 64 * 1024

# Seconds. Sockets take no more than 2^31 milliseconds.
_LONGEST_TIMEOUT = 2_000_000


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
        self._pool: Pool[socket.socket] = Pool(max_idle, max_idle_time)
        self._lock = threading.Lock()
        self._process = os.getpid()
        self.keeps = max_idle > 0
        """Whether a connection may be used again."""

    def proxy_for(self, url: URL) -> Proxy | None:
        """Return the proxy to ask for ``url``, as of now."""
        return self._proxies.choose(url)

    def acquire(self, url: URL, proxy: Proxy | None, limit: Limit) -> tuple[socket.socket, bool]:
        """Return a connection to ask for ``url`` on, and whether it has served before."""
        self._expire(time.monotonic())
        while (transport := self._take(url, proxy)) is not None:
            if not is_readable(transport.fileno()):
                return transport, True
            transport.close()
        return self.connect(url, proxy, limit), False

    def release(self, url: URL, proxy: Proxy | None, transport: socket.socket) -> None:
        """Keep a connection on which another request can follow."""
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
            if os.getpid() != self._process:  # forked: what is idle is the parent's
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
        where = destination(url, proxy, self._uds)
        with transport_errors(f"connecting to {where}", limit, TLSError):
            transport = self._open(url if proxy is None else proxy.url, limit)
            try:
                if url.scheme == "http":
                    return transport
                if proxy is not None:
                    _open_tunnel(transport, Tunnel(proxy, url), limit)
                transport.settimeout(seconds_left(limit))
                # A TLS peer that is cut off without close_notify is an error, not an end.
                return self._tls().wrap_socket(
                    transport, server_hostname=url.host, suppress_ragged_eofs=False
                )
            except BaseException:
                transport.close()
                raise

    def _open(self, url: URL, limit: Limit) -> socket.socket:
        if self._uds is not None:
            return _connect_to(socket.AF_UNIX, os.fspath(self._uds), limit)
        return _connect_tcp(url.host, url.port, limit)

    def _tls(self) -> ssl.SSLContext:
        # Made once: it holds every certificate of the system's trust store.
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context


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
    """Return what a socket may take as its timeout."""
    left = limit.left(time.monotonic())
    return left if left is None or left < _LONGEST_TIMEOUT else None


@contextmanager
def transport_errors(
    action: str, limit: Limit, tls_error: type[TransportError] = TransportError
) -> Iterator[None]:
    """Turn what sockets raise into ours, and the end of ``limit`` into its exception."""
    try:
        yield
    except TransportError:
        raise
    except OSError as exc:
        raise transport_error(action, exc, limit, tls_error) from exc


def transport_error(
    action: str, error: OSError, limit: Limit, tls_error: type[TransportError] = TransportError
) -> TransportError:
    """Return what to raise from what a socket raised."""
    # ETIMEDOUT, which also is a TimeoutError, is the system's and not our limit.
    if isinstance(error, TimeoutError) and error.errno is None:
        return limit.expired()
    broken_tls = isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)
    return (tls_error if broken_tls else TransportError)(f"{action} failed: {error}")
