"""The ways to a server: plain, TLS, through a proxy, over a Unix socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.listener import WAIT, Listener
from tests.support.proxy_server import ProxyServer
from tests.support.tls import CLIENT, SERVER, server_context

ORIGIN = server_context("origin.test")

on_every_way = pytest.mark.parametrize("to", ["plain", "TLS", "proxy", "Unix socket"])


@contextmanager
def serving(
    to: str, make_server: Callable[..., Listener], directory: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Serve in that way; yield the URL and the options that lead a client there."""
    options: dict[str, Any] = {"ssl_context": CLIENT, "timeout": WAIT}
    context = {"TLS": SERVER, "proxy": ORIGIN}.get(to)
    path = directory / "socket" if to == "Unix socket" else None
    with make_server(ssl_context=context, path=path) as server, ExitStack() as stack:
        url = server.url
        if to == "proxy":
            url = f"https://origin.test{server.target}"
            options["proxy"] = stack.enter_context(ProxyServer(server.port)).url
        elif to == "Unix socket":
            url = f"http://origin.test{server.target}"
            options["uds"] = path
        yield url, options
