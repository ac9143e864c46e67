"""Where connections come from, over anyio. ``_sync_connector`` has the same names, blocking."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import anyio.abc

from ._errors import TLSError, TransportError
from ._http import URL
from ._timers import Limit

__all__ = ["Connector", "limited", "transport_errors"]


class Connector:
    """Opens connections, by one set of options."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context

    async def connect(self, url: URL) -> anyio.abc.ByteStream:
        """Return a connection to the origin of ``url``."""
        with transport_errors(f"connecting to {url.authority}", TLSError):
            if url.scheme == "http":
                return await anyio.connect_tcp(url.host, url.port)
            return await anyio.connect_tcp(
                url.host, url.port, ssl_context=self._tls(), tls_hostname=url.host
            )

    def _tls(self) -> ssl.SSLContext:
        # Made once: it holds every certificate of the system's trust store.
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context


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
    except ssl.SSLError as exc:  # of an end of file anyio makes a BrokenResourceError
        raise tls_error(f"{action} failed: {exc}") from exc
    except (OSError, anyio.BrokenResourceError) as exc:
        raise TransportError(f"{action} failed: {exc.__cause__ or exc}") from exc
