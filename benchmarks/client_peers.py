"""url -> a client's events, in the way that its own documentation shows.

A program has one session for all its streams. The session yields a function that reads one
stream: it enters ``meter`` when the response head arrives, calls ``take`` with each event,
and leaves ``meter`` after the last one, so that connecting and closing do not count. Clients
are imported on demand, so none needs to be installed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager as Meter
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from operator import attrgetter
from typing import Any, Literal
from urllib.parse import urlsplit

from .parsers import OURS

__all__ = ["CLIENTS", "REQUIREMENTS", "Client", "Read", "ReadBlocking", "Take", "installed"]

Take = Callable[[Any], object]
Read = Callable[[str, "Meter[Any]", Take], Awaitable[None]]
ReadBlocking = Callable[[str, "Meter[Any]", Take], None]


@asynccontextmanager
async def _ours(tls: ssl.SSLContext | None, **options: Any) -> AsyncIterator[Read]:
    stream = import_module("sse_core").stream

    async def read(url: str, meter: Meter[Any], take: Take) -> None:
        async with stream(url, ssl_context=tls, **options) as events:
            with meter:
                async for event in events:
                    take(event)

    yield read


@asynccontextmanager
async def _ours_idle_limit(tls: ssl.SSLContext | None) -> AsyncIterator[Read]:
    async with _ours(tls, timeout=60) as read:
        yield read


@asynccontextmanager
async def _ours_event_source(tls: ssl.SSLContext | None) -> AsyncIterator[Read]:
    event_source = import_module("sse_core").EventSource

    async def read(url: str, meter: Meter[Any], take: Take) -> None:
        async with event_source(url, ssl_context=tls, on_end="stop") as source:
            await anext(source.items())  # Opened
            with meter:
                async for event in source:
                    take(event)

    yield read


@contextmanager
def _ours_blocking() -> Iterator[ReadBlocking]:
    stream = import_module("sse_core.sync").stream

    def read(url: str, meter: Meter[Any], take: Take) -> None:
        with stream(url) as events, meter:
            for event in events:
                take(event)

    yield read


@asynccontextmanager
async def _aiohttp(tls: ssl.SSLContext | None) -> AsyncIterator[Read]:
    """aiohttp parses HTTP in C; its reads go to our parser one by one."""
    aiohttp = import_module("aiohttp")
    parser_class = import_module("sse_core").EventStreamParser
    connector = aiohttp.TCPConnector(limit=0, ssl=tls or True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def read(url: str, meter: Meter[Any], take: Take) -> None:
            async with session.get(url) as response:
                receive_data = parser_class().receive_data
                with meter:
                    async for data in response.content.iter_any():
                        for event in receive_data(data):
                            take(event)

        yield read


class _Bare:
    """The minimum work of any client in Python: take chunks out of bytes, and parse them.

    It checks no head, no odd framing, no error and no limit, so its time is the floor.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "", parts.port or 80)
        self.request = f"GET {parts.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        self.rest = b""
        self.ended = False
        self._skim = import_module("sse_core._http.chunks").skim
        self._receive_data = import_module("sse_core").EventStreamParser().receive_data

    def head(self, data: bytes) -> bool:
        self.rest += data
        head, separator, rest = self.rest.partition(b"\r\n\r\n")
        if separator:
            self.rest = rest
        return bool(separator and head)

    def body(self, data: bytes) -> list[Any]:
        data = self.rest + data
        found, end = self._skim(data, 0)
        self.rest = data[end:]
        self.ended = self.rest == b"0\r\n\r\n"
        return self._receive_data(found) if found else []


@asynccontextmanager
async def _bare_asyncio(tls: ssl.SSLContext | None) -> AsyncIterator[Read]:
    class Protocol(asyncio.Protocol):
        def __init__(self) -> None:
            self.data = b""
            self.waiter: asyncio.Future[None] | None = None

        def data_received(self, data: bytes) -> None:
            self.data += data
            if self.waiter is not None:
                self.waiter.set_result(None)
                self.waiter = None

    async def read(url: str, meter: Meter[Any], take: Take) -> None:
        bare = _Bare(url)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Protocol, *bare.address)

        async def receive() -> bytes:
            if not protocol.data:
                protocol.waiter = loop.create_future()
                await protocol.waiter
            data, protocol.data = protocol.data, b""
            return data

        transport.write(bare.request)
        while not bare.head(await receive()):
            pass
        with meter:
            for event in bare.body(b""):
                take(event)
            while not bare.ended:
                for event in bare.body(await receive()):
                    take(event)
        transport.close()

    yield read


@contextmanager
def _bare_socket() -> Iterator[ReadBlocking]:
    def read(url: str, meter: Meter[Any], take: Take) -> None:
        bare = _Bare(url)
        with socket.create_connection(bare.address) as connection:
            connection.sendall(bare.request)
            while not bare.head(connection.recv(65536)):
                pass
            with meter:
                for event in bare.body(b""):
                    take(event)
                while not bare.ended:
                    for event in bare.body(connection.recv(65536)):
                        take(event)

    yield read


class _Ended(Exception):
    pass


@asynccontextmanager
async def _aiohttp_sse_client2(tls: ssl.SSLContext | None) -> AsyncIterator[Read]:
    aiohttp = import_module("aiohttp")
    event_source = import_module("aiohttp_sse_client2.client").EventSource

    def ended() -> None:  # otherwise it would reconnect
        raise _Ended

    connector = aiohttp.TCPConnector(limit=0, ssl=tls or True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def read(url: str, meter: Meter[Any], take: Take) -> None:
            async with event_source(url, session=session, on_error=ended) as source:
                try:
                    with meter:
                        async for event in source:
                            take(event)
                except _Ended:
                    pass

        yield read


@asynccontextmanager
async def _httpx_sse(tls: ssl.SSLContext | None) -> AsyncIterator[Read]:
    httpx = import_module("httpx")
    aconnect_sse = import_module("httpx_sse").aconnect_sse
    limits = httpx.Limits(max_connections=None)
    timeout = httpx.Timeout(60, read=None)  # its 5 s would end idle streams
    async with httpx.AsyncClient(verify=tls or True, limits=limits, timeout=timeout) as client:

        async def read(url: str, meter: Meter[Any], take: Take) -> None:
            async with aconnect_sse(client, "GET", url) as source:
                with meter:
                    async for event in source.aiter_sse():
                        take(event)

        yield read


@contextmanager
def _httpx_sse_blocking() -> Iterator[ReadBlocking]:
    httpx = import_module("httpx")
    connect_sse = import_module("httpx_sse").connect_sse
    with httpx.Client(timeout=httpx.Timeout(60, read=None)) as client:

        def read(url: str, meter: Meter[Any], take: Take) -> None:
            with connect_sse(client, "GET", url) as source, meter:
                for event in source.iter_sse():
                    take(event)

        yield read


@asynccontextmanager
async def _httpx2(tls: ssl.SSLContext | None) -> AsyncIterator[Read]:
    httpx2 = import_module("httpx2")
    limits = httpx2.Limits(max_connections=None)
    timeout = httpx2.Timeout(60, read=None)
    async with httpx2.AsyncClient(verify=tls or True, limits=limits, timeout=timeout) as client:

        async def read(url: str, meter: Meter[Any], take: Take) -> None:
            async with client.sse(url) as source:
                with meter:
                    async for event in source:
                        take(event)

        yield read


@contextmanager
def _httpx2_blocking() -> Iterator[ReadBlocking]:
    httpx2 = import_module("httpx2")
    with httpx2.Client(timeout=httpx2.Timeout(60, read=None)) as client:

        def read(url: str, meter: Meter[Any], take: Take) -> None:
            with client.sse(url) as source, meter:
                for event in source:
                    take(event)

        yield read


@contextmanager
def _sseclient_py() -> Iterator[ReadBlocking]:
    requests = import_module("requests")
    client = import_module("sseclient").SSEClient
    with requests.Session() as session:

        def read(url: str, meter: Meter[Any], take: Take) -> None:
            with session.get(url, stream=True) as response, meter:
                for event in client(response).events():
                    take(event)

        yield read


@contextmanager
def _launchdarkly() -> Iterator[ReadBlocking]:
    client_class = import_module("ld_eventsource").SSEClient

    def read(url: str, meter: Meter[Any], take: Take) -> None:
        with client_class(url) as client:
            client.start()
            with meter:
                for event in client.events:
                    take(event)

    yield read


@dataclass(frozen=True)
class Client:
    """A client, and the event loop that it runs on; "" means that it blocks."""

    name: str
    session: Callable[..., Any]
    loop: Literal["asyncio", "uvloop", "trio", ""] = "asyncio"
    distributions: tuple[str, ...] = ()
    event_name: Callable[[Any], str | None] = attrgetter("event")

    @property
    def ours(self) -> str:
        """The client of ours that it is compared with."""
        return {
            "asyncio": OURS,
            "uvloop": f"{OURS}, uvloop",
            "trio": OURS,
            "": f"{OURS}, blocking",
        }[self.loop]


CLIENTS = {
    client.name: client
    for client in [
        Client(OURS, _ours),
        Client(f"{OURS}, idle limit", _ours_idle_limit),
        Client(f"{OURS}, EventSource", _ours_event_source),
        Client(f"{OURS}, trio", _ours, "trio", ("trio",)),
        Client("bare asyncio + our parser", _bare_asyncio),
        Client("aiohttp + our parser", _aiohttp, distributions=("aiohttp",)),
        Client(
            "aiohttp-sse-client2",
            _aiohttp_sse_client2,
            distributions=("aiohttp-sse-client2",),
            event_name=attrgetter("type"),
        ),
        Client("httpx + httpx-sse", _httpx_sse, distributions=("httpx", "httpx-sse")),
        Client("httpx2", _httpx2, distributions=("httpx2",)),
        Client(f"{OURS}, uvloop", _ours, "uvloop", ("uvloop",)),
        Client("aiohttp + our parser, uvloop", _aiohttp, "uvloop", ("aiohttp", "uvloop")),
        Client(f"{OURS}, blocking", _ours_blocking, ""),
        Client("bare socket + our parser", _bare_socket, ""),
        Client("requests + sseclient-py", _sseclient_py, "", ("requests", "sseclient-py")),
        Client("launchdarkly-eventsource", _launchdarkly, "", ("launchdarkly-eventsource",)),
        Client("httpx + httpx-sse, blocking", _httpx_sse_blocking, "", ("httpx", "httpx-sse")),
        Client("httpx2, blocking", _httpx2_blocking, "", ("httpx2",)),
    ]
}

REQUIREMENTS = sorted(
    {"trustme"}.union(*(client.distributions for client in CLIENTS.values())),
)
"""The distributions that ``--install`` installs."""


def installed(names: Iterable[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the versions of each client's packages, and the reasons why others are left out."""
    versions: dict[str, dict[str, str]] = {}
    left_out = []
    for name in names:
        try:
            needed = CLIENTS[name].distributions
            versions[name] = {each: metadata.version(each) for each in needed}
        except metadata.PackageNotFoundError as exc:
            left_out.append(f"{name}: {exc.name} is not installed")
    return versions, left_out
