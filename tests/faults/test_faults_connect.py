"""F1 to F14: what can go wrong before a response is there, met by an EventSource."""

from __future__ import annotations

import datetime
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from sse_core import (
    ConnectTimeout,
    Disconnected,
    HeadTimeout,
    Opened,
    ProtocolError,
    ServerSentEvent,
    Timeout,
    TransportError,
)
from sse_core._errors import TLSError
from tests.support.log_server import STOP
from tests.support.peer import Peer
from tests.support.scripted_server import HEAD, WAIT, Script, ScriptedServer, chunked
from tests.support.shells import Shell, on_every_shell
from tests.support.sources import AllItems, next_item, quick_source
from tests.support.tls import AUTHORITY, CLIENT, SERVER, server_context

A = b"data: a\n\n"
NAME = "name.test"
SHORT = 0.05


def after_a_fault(
    shell: Shell, url: str, between: Callable[[], object], **options: Any
) -> tuple[Any, list[str]]:
    """Return the error of the first attempt, and the events after ``between`` was called."""

    async def scenario(source: Any) -> tuple[Any, list[str]]:
        async with source:
            first = await next_item(shell, source)
            assert isinstance(first, Disconnected)
            between()
            return first.error, [event.data async for event in source]

    found: tuple[Any, list[str]] = shell.run(scenario, quick_source(shell, url, **options))
    return found


class Resolver:
    """Stands in for getaddrinfo: what it returns for NAME, whatever the port."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.answers = threading.Event()
        self.answers.set()

    def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if name != NAME:
            return self._real(host, port, family, type, proto, flags)
        if flags & socket.AI_NUMERICHOST:  # trio asks so first, without a thread
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        assert self.answers.wait(WAIT)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in self.addresses
        ]

    _real = staticmethod(socket.getaddrinfo)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver("127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
    yield resolver
    resolver.answers.set()


@on_every_shell
def test_f1_refused(shell: Shell) -> None:
    """A port that nobody listens at leads to another attempt, and somebody may be there then."""
    server = ScriptedServer(chunked([A]), Script([STOP]))
    url = server.url
    server.listener.close()  # nobody yet

    def start() -> None:
        server.listen()
        server.__enter__()

    try:
        error, received = after_a_fault(shell, url, start)
    finally:
        server.__exit__(None, None, None)

    assert type(error) is TransportError
    assert ["a"] == received


@on_every_shell
def test_f2_name_that_does_not_exist(shell: Shell, resolver: Resolver) -> None:
    """It may exist later on."""
    resolver.addresses = ()

    def register() -> None:
        resolver.addresses = ("127.0.0.1",)

    with ScriptedServer(chunked([A]), Script([STOP])) as server:
        url = f"http://{NAME}:{server.port}/"
        error, received = after_a_fault(shell, url, register)

    assert type(error) is TransportError
    assert f"connecting to {NAME}:{server.port} failed" in str(error)
    assert ["a"] == received


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_f2_name_look_up_that_hangs(backend: str, resolver: Resolver) -> None:
    """It counts against the limit for connecting.

    Not in the blocking shell: no limit reaches into the system's resolver, which has its
    own.
    """
    resolver.answers.clear()
    with ScriptedServer(chunked([A]), Script([STOP])) as server:
        error, received = after_a_fault(
            Shell(backend),
            f"http://{NAME}:{server.port}/",
            resolver.answers.set,
            timeout=Timeout(connect=SHORT),
        )

    assert type(error) is ConnectTimeout
    assert ["a"] == received


@on_every_shell
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_f3_second_address(tls: bool, shell: Shell, resolver: Resolver) -> None:
    """Where nobody answers at the first address of a name, the next one is tried."""
    resolver.addresses = ("127.0.0.2", "127.0.0.1")
    script = chunked([A])
    context = server_context(NAME) if tls else None
    with ScriptedServer(script, ssl_context=context) as server:
        url = server.url.replace("127.0.0.1", NAME)
        _, events, error = shell.collect(shell.stream(url, ssl_context=CLIENT, timeout=WAIT))

    assert ([ServerSentEvent("a")], None) == (events, error)
    assert f"\r\nhost: {NAME}:{server.port}\r\n".encode() in script.request


def full(port: int, *addresses: str) -> list[socket.socket]:
    """Return what keeps that port at these addresses from answering a SYN."""
    sockets = []
    for address in addresses:
        listener = socket.socket()
        listener.bind((address, port))
        listener.listen(0)
        port = listener.getsockname()[1]
        sockets.append(listener)
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((address, port))
            sockets.append(client)
    return sockets


@on_every_shell
def test_f4_no_answer(shell: Shell) -> None:
    """ConnectTimeout is like a cut: it leads to another attempt."""
    sockets = full(0, "127.0.0.1")
    port = sockets[0].getsockname()[1]
    try:
        source = quick_source(
            shell, f"http://127.0.0.1:{port}/", timeout=Timeout(connect=SHORT), max_attempts=2
        )
        _, items, error = shell.collect(AllItems(source))
    finally:
        for each in sockets:
            each.close()

    assert [ConnectTimeout] == [type(item.error) for item in items]
    assert type(error) is ConnectTimeout


@on_every_shell
def test_f4_no_answer_at_several_addresses(
    shell: Shell, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is for all addresses of a name together."""
    limit = 0.2
    addresses = [f"127.0.0.{number}" for number in range(2, 8)]
    sockets = full(0, *addresses)
    resolver.addresses = tuple(addresses)
    url = f"http://{NAME}:{sockets[0].getsockname()[1]}/"
    try:
        start = time.monotonic()
        _, _, error = shell.collect(shell.stream(url, timeout=Timeout(connect=limit)))
        elapsed = time.monotonic() - start
    finally:
        for each in sockets:
            each.close()

    assert type(error) is ConnectTimeout
    assert elapsed < 4 * limit  # of six that it would take one after the other


@on_every_shell
@pytest.mark.parametrize("fault", ["host", "authority", "expired", "no TLS"])
def test_f7_f9_final(fault: str, shell: Shell) -> None:
    """A refused certificate, or a peer without TLS, would be the same again: no reconnect."""
    context: ssl.SSLContext | None = None
    if fault == "host":
        context = server_context("other.test")
    elif fault == "authority":
        context = server_context(authority=trustme.CA())
    elif fault == "expired":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        past = datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)
        AUTHORITY.issue_cert("127.0.0.1", not_after=past).configure_cert(context)
    again = chunked([A])
    first = Script([b"HTTP/1.1 400 X\r\n\r\n"], reads="head" if context else "nothing")

    with ScriptedServer(first, again, ssl_context=context) as server:
        url = server.url.replace("http:", "https:")
        _, items, error = shell.collect(AllItems(quick_source(shell, url, ssl_context=CLIENT)))

    assert ([], TLSError) == (items, type(error))
    assert not again.opened.is_set()


@on_every_shell
def test_f9_plain_request_to_a_tls_port(shell: Shell) -> None:
    """A TLS server answers plain HTTP with an alert, which is no HTTP: final."""

    def serve(client: socket.socket) -> None:
        client.sendall(b"\x15\x03\x03\x00\x02\x02\x46")

    with Peer(serve) as peer:
        _, items, error = shell.collect(AllItems(quick_source(shell, peer.url)))

    assert ([], ProtocolError) == (items, type(error))


@on_every_shell
def test_f10_server_that_speaks_only_http_2(shell: Shell) -> None:
    """It has to choose without being asked, and its first frame is no HTTP/1.1: final."""
    context = server_context()
    context.set_alpn_protocols(["h2"])
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"

    with ScriptedServer(Script([settings], "hold"), ssl_context=context) as server:
        source = quick_source(shell, server.url, ssl_context=CLIENT)
        _, items, error = shell.collect(AllItems(source))

    assert ([], ProtocolError) == (items, type(error))
    assert "HTTP/1.1" in str(error)


class BetweenBuffers:
    """TLS of the server's side that can be told to send an alert."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = SERVER.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._call(self._tls.do_handshake)
        request = b""
        while b"\r\n\r\n" not in request:
            request += self._call(self._tls.read)

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def send_alert(self) -> None:
        """Send what a record brings about that nobody encrypted."""
        self._incoming.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ssl.SSLError):
            self._tls.read()
        self._flush()

    def _call(self, method: Callable[[], Any]) -> Any:
        while True:
            try:
                result = method()
            except ssl.SSLWantReadError:
                self._flush()
                self._incoming.write(self._client.recv(65536))
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        self._client.sendall(self._outgoing.read())


@on_every_shell
@pytest.mark.parametrize("forged", [False, True], ids=["genuine", "forged"])
def test_f11_alert_in_mid_stream(forged: bool, shell: Shell) -> None:
    """An alert of TLS breaks the stream off: another attempt, and half an event is dropped."""
    connections = iter([1, 2])

    def serve(client: socket.socket) -> None:
        tls = BetweenBuffers(client)
        if next(connections) == 2:
            tls.send(STOP)
            return
        tls.send(HEAD + b"\r\n" + A + b"data: half")
        if forged:
            client.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
        else:
            tls.send_alert()
        while client.recv(1024):
            pass

    with Peer(serve, reads_request=False) as peer:
        source = quick_source(shell, peer.url.replace("http:", "https:"), ssl_context=CLIENT)
        _, items, error = shell.collect(AllItems(source))

    opened, event, disconnected = items
    assert isinstance(opened, Opened)
    assert (ServerSentEvent("a"), None) == (event, error)
    assert type(disconnected.error) is TransportError
    assert forged or "ALERT" in str(disconnected.error)


@on_every_shell
def test_f13_end_before_the_status_line(shell: Shell) -> None:
    """A peer that accepts and closes is asked again."""
    with ScriptedServer(Script([]), chunked([A]), Script([STOP])) as server:
        _, items, error = shell.collect(AllItems(quick_source(shell, server.url)))

    disconnected, opened, event, _ = items
    assert type(disconnected.error) is TransportError
    assert isinstance(opened, Opened)
    assert (ServerSentEvent("a"), None) == (event, error)


def drips(client: socket.socket, data: bytes, drop: bytes) -> None:
    """Send ``data``, then a drop again and again until the client goes."""
    client.sendall(data)
    while not select.select([client], [], [], 0.005)[0]:
        client.sendall(drop)


@on_every_shell
def test_f14_head_that_drips(shell: Shell) -> None:
    """Bytes do not put the head's timer back: HeadTimeout, and another attempt."""
    connections = iter([1, 2])

    def serve(client: socket.socket) -> None:
        if next(connections) == 1:
            drips(client, b"HTTP/1.1 200 OK\r\nX: ", b"x")
        else:
            client.sendall(STOP)

    with Peer(serve) as peer:
        source = quick_source(shell, peer.url, timeout=Timeout(head=4 * SHORT))
        _, items, error = shell.collect(AllItems(source))

    assert ([HeadTimeout], None) == ([type(item.error) for item in items], error)


@on_every_shell
def test_t12_redirect_with_a_bomb(shell: Shell) -> None:
    """Nothing is read of a redirect's body, whatever its coding."""
    head = b"HTTP/1.1 302 X\r\nLocation: /there\r\nContent-Encoding: gzip\r\n\r\n"
    redirect = Script([head, *[b"x" * 65536] * 400], "hold")
    with ScriptedServer(redirect, chunked([A])) as server:
        _, events, error = shell.collect(shell.stream(server.url, timeout=WAIT))

    assert ([ServerSentEvent("a")], None) == (events, error)
    assert redirect.closed.is_set()
