"""Where connections come from, blocking; see ``_connector``, which has the same names."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from ._errors import TLSError, TransportError
from ._http import URL
from ._pool import Pool, is_readable
from ._timers import Limit

__all__ = ["Connector", "seconds_left", "transport_errors"]

# Seconds. Sockets take no more than 2^31 milliseconds.
_LONGEST_TIMEOUT = 2_000_000


class Connector:
    """Opens connections by one set of options, and keeps some of those that are idle."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        max_idle: int = 0,
        max_idle_time: float = 0.0,
    ) -> None:
        self._ssl_context = ssl_context
        self._pool: Pool[socket.socket] = Pool(max_idle, max_idle_time)
        self._lock = threading.Lock()
        self.keeps = max_idle > 0
        """Whether a connection may be used again."""

    def acquire(self, url: URL, limit: Limit) -> tuple[socket.socket, bool]:
        """Return a connection to the origin of ``url``, and whether it has served before."""
        self._expire(time.monotonic())
        while (transport := self._take(url)) is not None:
            if not is_readable(transport.fileno()):
                return transport, True
            transport.close()
        return self.connect(url, limit), False

    def release(self, url: URL, transport: socket.socket) -> None:
        """Keep a connection on which another request can follow."""
        now = time.monotonic()
        with self._lock:
            self._pool.put(url.origin, transport, now)
        self._expire(now)

    def close(self) -> None:
        """Close the idle connections, and from now on those that become idle."""
        self._pool.per_origin = 0
        self._expire(inf)

    def _take(self, url: URL) -> socket.socket | None:
        with self._lock:
            return self._pool.take(url.origin)

    def _expire(self, now: float) -> None:
        with self._lock:
            expired = self._pool.expire(now)
        for transport in expired:
            transport.close()

    def connect(self, url: URL, limit: Limit) -> socket.socket:
        """Return a connection to the origin of ``url``."""
        with transport_errors(f"connecting to {url.authority}", limit, TLSError):
            transport = _connect_tcp(url.host, url.port, limit)
            try:
                transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if url.scheme == "http":
                    return transport
                transport.settimeout(seconds_left(limit))
                # A TLS peer that is cut off without close_notify is an error, not an end.
                return self._tls().wrap_socket(
                    transport, server_hostname=url.host, suppress_ragged_eofs=False
                )
            except BaseException:
                transport.close()
                raise

    def _tls(self) -> ssl.SSLContext:
        # Made once: it holds every certificate of the system's trust store.
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context


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
