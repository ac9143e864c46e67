"""Unix sockets: where the connection goes, while the request stays as the URL says."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sse_core
import sse_core.sync
from sse_core import ConnectTimeout, ServerSentEvent, Timeout, TLSError, TransportError
from sse_core.__main__ import main
from tests.support.callers import Caller, with_client
from tests.support.dropping import a_stream, drop_one
from tests.support.scripted_server import HEAD, NEXT, WAIT, Script, ScriptedServer, chunked
from tests.support.shells import (
    Shell,
    on_every_shell,
)
from tests.support.sources import STOP
from tests.support.tls import CLIENT, server_context

A = b"data: a\n\n"
EVENTS = [ServerSentEvent("a")]
SHORT = 0.05
TLS = server_context("origin.test")


@pytest.fixture(scope="module", autouse=True)
def _no_leaks() -> Iterator[None]:
    """A socket that was not closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


@on_every_shell
@pytest.mark.parametrize("kind", [str, Path])
def test_http(kind: type, path: Path, shell: Shell) -> None:
    """Host, port and target are those of the URL, whose host need not be there."""
    script = chunked([A], "hold")
    with ScriptedServer(script, path=path):
        opened = shell.stream("http://origin.test:81/events", uds=kind(path), timeout=WAIT)
        _, events, error = shell.collect(opened)
        assert script.closed.wait(WAIT)

    assert (EVENTS, None) == (events, error)
    assert script.request.startswith(b"GET /events HTTP/1.1\r\nhost: origin.test:81\r\n")


@on_every_shell
def test_https(path: Path, shell: Shell) -> None:
    """TLS is spoken on it, with the host of the URL."""
    script = chunked([A], "hold")
    with ScriptedServer(script, chunked([A]), ssl_context=TLS, path=path):
        options = {"uds": path, "ssl_context": CLIENT, "timeout": WAIT}
        _, events, error = shell.collect(shell.stream("https://origin.test/", **options))
        assert script.closed.wait(WAIT)
        _, _, refused = shell.collect(shell.stream("https://other.test/", **options))

    assert (EVENTS, None) == (events, error)
    assert TLSError is type(refused)


@on_every_shell
def test_nobody_there(path: Path, shell: Shell) -> None:
    """The message names the path."""
    error = shell.collect(shell.stream("http://origin.test", uds=path))[2]

    assert TransportError is type(error)
    assert f"connecting to origin.test at {path} failed: " in str(error)


@on_every_shell
def test_server_that_does_not_accept(path: Path, shell: Shell) -> None:
    """A full backlog is an error, and leaves nothing behind."""
    waiting = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        for _ in range(9):
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            if waiting[-1].connect_ex(str(path)):
                break
        error = shell.collect(shell.stream("http://origin.test", uds=path, timeout=SHORT))[2]
    for client in waiting:
        client.close()

    assert TransportError is type(error)


@on_every_shell
def test_redirects(path: Path, shell: Shell) -> None:
    """All requests go there, whatever host they are for."""
    target = chunked([A])
    first = Script([b"HTTP/1.1 302 X\r\nLocation: http://other.test/x\r\n\r\n"])
    with ScriptedServer(first, target, path=path):
        opened = shell.stream("http://origin.test/", uds=path, timeout=WAIT)
        _, events, error = shell.collect(opened)

    assert (EVENTS, None) == (events, error)
    assert target.request.startswith(b"GET /x HTTP/1.1\r\nhost: other.test\r\n")


@on_every_shell
def test_event_source(path: Path, shell: Shell) -> None:
    """Every attempt goes there."""
    kind: Any = sse_core.sync.EventSource if shell.blocking else sse_core.EventSource
    options = {"reconnection_time": 0, "min_reconnection_time": 0, "uniform": lambda: 0.0}
    with ScriptedServer(chunked([A]), chunked([A]), STOP, path=path):
        _, events, error = shell.collect(kind("http://origin.test/", uds=path, **options))

    assert (EVENTS * 2, None) == (events, error)


@on_every_shell
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_dropped(scheme: str, path: Path, shell: Shell) -> None:
    """What is lost without being closed warns, and is closed."""
    script = chunked([A], "hold", last_chunk=False)
    with ScriptedServer(script, ssl_context=TLS if scheme == "https" else None, path=path):
        with pytest.warns(ResourceWarning, match="unclosed EventStream"):
            drop_one(shell, a_stream, f"{scheme}://origin.test/", uds=path, ssl_context=CLIENT)
        assert script.closed.wait(WAIT)


@on_every_shell
def test_connection_that_is_kept(path: Path, shell: Shell) -> None:
    """A client's next request goes over the same one."""
    answer = [HEAD + b"Content-Length: 9\r\n\r\n", A]
    script = Script([*answer, NEXT, *answer], "hold")

    async def scenario(caller: Caller) -> None:
        for _ in range(2):
            assert EVENTS == await caller.read("http://origin.test/")

    with ScriptedServer(script, path=path):
        with_client(shell, scenario, uds=path)
        assert script.closed.wait(WAIT)

    assert 2 == len(script.requests)


@on_every_shell
def test_proxies(path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the environment are for other ways; one that is given is a contradiction."""
    monkeypatch.setenv("ALL_PROXY", "127.0.0.1:1")
    script = chunked([A], "hold")
    with ScriptedServer(script, path=path):
        _, events, error = shell.collect(shell.stream("http://origin.test/", uds=path))

    assert (EVENTS, None) == (events, error)
    assert script.request.startswith(b"GET / HTTP/1.1\r\n")
    kind: Any = sse_core.sync.EventSource if shell.blocking else sse_core.EventSource
    for opened in (shell.stream, kind):
        with pytest.raises(ValueError, match="Unix socket"):
            opened("http://origin.test/", uds=path, proxy="http://p")


@on_every_shell
def test_handshake_that_stalls(path: Path, shell: Shell) -> None:
    """It belongs to the time for connecting."""
    script = Script([], "hold", reads="nothing")
    with ScriptedServer(script, path=path):
        opened = shell.stream("https://origin.test", uds=path, timeout=Timeout(connect=SHORT))
        error = shell.collect(opened)[2]
        assert script.closed.wait(WAIT)

    assert ConnectTimeout is type(error)


def test_command(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`sse --unix-socket`, as curl has it."""
    with ScriptedServer(chunked([A]), path=path):
        status = main(["http://origin.test/", "--unix-socket", str(path)])

    assert (0, "data: a\n\n", "") == (status, *capfd.readouterr())
