"""The way to a server: TLS context, proxy, environment, Unix socket. One value for the four."""

from __future__ import annotations

import os
import ssl
from typing import TypedDict

from .._http.messages import URL
from .._http.proxies import Proxy, proxy_from_environment


class RouteOptions(TypedDict, total=False):
    """The keyword arguments that make a ``Route``, for type checkers."""

    ssl_context: ssl.SSLContext | None
    proxy: str | None
    trust_env: bool
    uds: str | os.PathLike[str] | None


class Route:
    """The way that a client's connections take; the arguments are those of ``stream``."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        uds: str | os.PathLike[str] | None = None,
    ) -> None:
        if proxy is not None and uds is not None:
            raise ValueError("a proxy cannot be asked for a Unix socket: give proxy or uds")
        self.uds = None if uds is None else os.fspath(uds)
        self._ssl_context = ssl_context
        self._proxy = None if proxy is None else Proxy.parse(proxy)
        self._trust_env = trust_env and uds is None

    def proxy_for(self, url: URL) -> Proxy | None:
        """Return the proxy to ask for ``url`` now, or None.

        Raises:
            ValueError: the environment names a proxy whose URL is unusable.
        """
        if self._proxy is not None or not self._trust_env:
            return self._proxy
        # A copy, whose names keep their case on Windows too: there, `http_proxy` would find
        # the HTTP_PROXY that a CGI script must not look at.
        return proxy_from_environment(url, dict(os.environ))

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context. The default one is made once: it loads all certificates."""
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context

    def destination(self, url: URL, proxy: Proxy | None) -> str:
        """Return the name of a connection's other end, for messages."""
        if proxy is not None:
            return f"{url.authority} through the proxy {proxy}"
        return url.authority if self.uds is None else f"{url.authority} at {self.uds}"
