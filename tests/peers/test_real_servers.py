"""The shells against real servers, and against real proxies in front of one.

Each is skipped where it is not installed, unless SSE_REQUIRE_SERVERS is set. What they are
and how they are started is in ``tests/peers/servers``; what each does, in docs/conformance.md.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import sse_core
import sse_core.sync
from sse_core import (
    Comment,
    Disconnected,
    HeadTimeout,
    Opened,
    ResponseError,
    ServerSentEvent,
    Timeout,
    TransportError,
)
from tests.peers.servers.launch import HERE, KINDS, Server, Servers
from tests.support.callers import Caller, with_client
from tests.support.shells import Shell, on_every_shell

SCRIPT = json.loads((HERE / "events.json").read_text(encoding="utf-8"))
WAIT = 20
"""Seconds after which a test has failed that waits for a server."""
SHORT = 0.1
"""Seconds, where a time limit is what is tested."""


@dataclass(frozen=True)
class Endpoint:
    """A server, and perhaps a proxy on the way to it."""

    server: str
    proxy: str = ""
    path: str = ""
    """Of the proxy's configuration."""
    cut: bool = True
    """Whether a client can tell the death of the server from the end of the stream."""

    def __str__(self) -> str:
        return "-".join(filter(None, [self.proxy, self.path, self.server]))


class Site:
    """An endpoint that runs."""

    def __init__(self, endpoint: Endpoint, server: Server, proxy: Server | None) -> None:
        self.endpoint = endpoint
        self.server = server
        self._proxy = proxy
        self.cut = endpoint.cut
        if endpoint.proxy == "caddy" and () < KINDS["caddy"].version() < (2, 7, 6):
            self.cut = False  # it ends in good order what was cut off

    def url(self, target: str) -> str:
        if self._proxy is None:
            return f"http://127.0.0.1:{self.server.port}/{target}"
        return f"http://127.0.0.1:{self._proxy.port}/{self.endpoint.path}/{target}"

    def open(self, gate: str) -> None:
        """Let the server send what comes after the first event."""
        self.server.post(f"/open?gate={gate}")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture
def site(endpoint: Endpoint, servers: Servers) -> Iterator[Site]:
    """The endpoint of the test, running; what it logs is shown if the test fails."""
    for kind in filter(None, [endpoint.server, endpoint.proxy]):
        _require(kind)
    server = servers.get(KINDS[endpoint.server])
    proxy = servers.get(KINDS[endpoint.proxy], server) if endpoint.proxy else None
    running = [one for one in (server, proxy) if one]
    before = [len(one.log()) for one in running]
    yield Site(endpoint, server, proxy)
    for one, length in zip(running, before, strict=True):
        print(f"{one.kind.name} logged:\n{one.log()[length:]}")


def _require(kind: str) -> None:
    if reason := KINDS[kind].missing():
        if os.environ.get("SSE_REQUIRE_SERVERS"):
            pytest.fail(f"SSE_REQUIRE_SERVERS is set, but {reason}")
        pytest.skip(reason)


_numbers = itertools.count()


@pytest.fixture
def gate() -> str:
    """What holds back all but the first event until it is opened."""
    return f"gate{next(_numbers)}"


def items_of(server: str) -> list[Comment | ServerSentEvent]:
    """Return what the stream holds, with its comments, as this server sends it."""
    return [
        Comment(item["comment"])
        if "comment" in item
        else ServerSentEvent(
            data_of(server, item["data"]), event=item.get("event", "message"), id=item["id"]
        )
        for item in SCRIPT
    ]


def data_of(server: str, text: str) -> str:
    # What better-sse is given becomes JSON.
    return json.dumps(text, ensure_ascii=False) if server == "better-sse" else text


DIRECT = [
    Endpoint(name) for name in ("sse-starlette", "FastAPI", "aiohttp-sse", "node", "better-sse")
]
PROXIED = [
    # nginx asks in HTTP/1.0, where a stream ends by closing, and so does one whose server dies.
    Endpoint("node", "nginx", "unbuffered", cut=False),
    # As it comes, but told by X-Accel-Buffering, which sse-starlette sends and node does not.
    Endpoint("sse-starlette", "nginx", "default", cut=False),
    Endpoint("node", "nginx", "http-1.1"),
    Endpoint("node", "haproxy", "default"),
    Endpoint("node", "caddy", "default"),
]
COMPRESSING = [Endpoint("node", name, "gzip") for name in ("nginx", "haproxy", "caddy")]
HOLDING = Endpoint("node", "nginx", "default", cut=False)


def at(*endpoints: Endpoint) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("endpoint", endpoints, ids=str)


@at(*DIRECT, *PROXIED, *COMPRESSING)
@on_every_shell
def test_stream(shell: Shell, site: Site, gate: str) -> None:
    """The first event comes before the second is sent; all come as they were; a clean end."""

    async def scenario(stream: Any) -> Any:
        async with stream:
            items = [await anext(stream)]
            site.open(gate)
            items += [item async for item in stream]
            return items, stream.response.headers

    url = site.url(f"events?gate={gate}")
    items, headers = shell.run(scenario, shell.stream(url, comments=True, timeout=WAIT))

    assert items_of(site.endpoint.server) == items
    assert "content-encoding" not in headers


@at(*DIRECT, *PROXIED)
@on_every_shell
def test_json_body(shell: Shell, site: Site) -> None:
    """A POST's body arrives."""
    text = "Grüße\nan 世界"

    _, events, error = shell.collect(
        shell.stream(site.url("echo"), json={"text": text}, timeout=WAIT)
    )

    assert ([data_of(site.endpoint.server, text)], None) == ([e.data for e in events], error)


@at(*DIRECT, *PROXIED)
@on_every_shell
def test_error_status(shell: Shell, site: Site) -> None:
    """The status and the body of an error arrive."""
    _, _, error = shell.collect(shell.stream(site.url("refused"), timeout=WAIT))

    assert isinstance(error, ResponseError)
    assert (401, {"error": "no key"}) == (error.response.status, json.loads(error.body))


@at(*DIRECT, *PROXIED)
@on_every_shell
def test_server_dies(shell: Shell, site: Site, gate: str) -> None:
    """What was cut off is not taken for a whole stream, where anything tells of it."""

    async def scenario(stream: Any) -> Any:
        async with stream:
            first = await anext(stream)
            site.server.kill()
            if not site.cut:
                return [first, *[event async for event in stream]]
            with pytest.raises(TransportError):
                await anext(stream)
            return [first]

    events = shell.run(scenario, shell.stream(site.url(f"events?gate={gate}"), timeout=WAIT))

    assert items_of(site.endpoint.server)[:1] == events


@at(*DIRECT, *PROXIED)
@on_every_shell
def test_event_source(shell: Shell, site: Site, gate: str) -> None:
    """It goes on behind the last event when the server is back: none lost, none twice.

    Meanwhile it is refused, by the system or by the proxy.
    """

    async def scenario(source: Any) -> Any:
        async with source:
            items = source.items()

            async def following() -> Any:
                return next(items, None) if shell.blocking else await anext(items, None)

            assert isinstance(await following(), Opened)
            found = [await following()]
            site.server.kill()
            cut, refused = await following(), await following()
            site.server.start()
            while not isinstance(found[-1], Disconnected):
                found.append(await following())
            return cut, refused, found, await following()

    kind = sse_core.sync.EventSource if shell.blocking else sse_core.EventSource
    source = kind(
        site.url(f"events?gate={gate}"), timeout=WAIT, reconnection_time=0, uniform=lambda: 0.0
    )
    cut, refused, found, stopped = shell.run(scenario, source)

    assert isinstance(cut, Disconnected)
    assert site.cut == isinstance(cut.error, TransportError)
    assert isinstance(refused, Disconnected)
    if site.endpoint.proxy:
        assert isinstance(refused.error, ResponseError)
        status = 503 if site.endpoint.proxy == "haproxy" else 502
        assert status == refused.error.response.status
    else:
        assert isinstance(refused.error, TransportError)
    events = [item for item in items_of(site.endpoint.server) if isinstance(item, ServerSentEvent)]
    first, opened, *rest, ended = found
    assert events == [first, *rest]
    assert isinstance(opened, Opened)
    assert (Disconnected(None, 0.0), None) == (ended, stopped)  # by 204


@at(*DIRECT)
@on_every_shell
def test_client(shell: Shell, site: Site) -> None:
    """One connection serves one request after the other, until the server is another."""

    async def scenario(caller: Caller) -> None:
        async def port_seen() -> str:
            [event] = await caller.read(site.url("echo"), json={"text": "x"})
            return str(event.id)

        port = await port_seen()
        with pytest.raises(ResponseError):
            await caller.read(site.url("refused"))
        assert port == await port_seen()
        site.server.kill()
        site.server.start()
        assert await port_seen()

    with_client(shell, scenario, timeout=WAIT)


@at(*COMPRESSING)
@on_every_shell
def test_compression(shell: Shell, site: Site, gate: str) -> None:
    """These do compress event streams, for whoever accepts it; we ask them not to."""
    site.open(gate)
    url = site.url(f"events?gate={gate}")
    _, _, error = shell.collect(
        shell.stream(url, headers={"Accept-Encoding": "gzip"}, timeout=WAIT)
    )

    assert isinstance(error, ResponseError)
    assert "gzip" == error.response.headers["content-encoding"]


@at(HOLDING)
@on_every_shell
def test_nginx_holds_events(shell: Shell, site: Site, gate: str) -> None:
    """Without a word from the server or its configuration it buffers what has no framing.

    Of a short stream nothing comes before its end, not even the head; then all of it.
    """
    url = site.url(f"events?gate={gate}")
    timeout = Timeout(connect=WAIT, head=SHORT, idle=WAIT)
    _, items, error = shell.collect(shell.stream(url, timeout=timeout))
    assert [] == items
    assert isinstance(error, HeadTimeout)

    site.open(gate)
    _, items, error = shell.collect(shell.stream(url, comments=True, timeout=WAIT))

    assert (items_of(site.endpoint.server), None) == (items, error)
