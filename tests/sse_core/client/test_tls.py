"""TLS by a certificate authority of our own: whom the shells trust, and how streams end."""

from __future__ import annotations

import gc
import os
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
import trustme

import sse_core
import sse_core.sync
from sse_core import (
    ConnectTimeout,
    HeadTimeout,
    ReadTimeout,
    ServerSentEvent,
    Timeout,
    TLSError,
    TransportError,
)
from tests.support.scripted_server import HEAD, WAIT, Script, ScriptedServer, chunked, chunks
from tests.support.shells import (
    Shell,
    on_every_shell,
)
from tests.support.tls import AUTHORITY, CLIENT, SERVER, server_context, trusting
from tests.support.waiting import waiting_in_a_thread

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
A, B = b"data: a\n\n", b"data: b\n\n"
EVENTS = [ServerSentEvent("a"), ServerSentEvent("b")]
SHORT = 0.05


@pytest.fixture(scope="module", autouse=True)
def _no_leaks() -> Iterator[None]:
    """A socket that was not closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


def over_tls(shell: Shell, script: Script, **options: Any) -> tuple[Any, list[Any], Any]:
    with ScriptedServer(script, ssl_context=SERVER) as server:
        return shell.collect(
            shell.stream(server.url, **{"ssl_context": CLIENT, "timeout": WAIT, **options})
        )


@on_every_shell
@pytest.mark.parametrize(
    "pieces",
    [
        [CHUNKED, *chunks([A[:4], A[4:], B]), b"0\r\n\r\n"],
        [HEAD + b"Content-Length: 18\r\n\r\n", A, B],
    ],
    ids=["chunked", "length"],
)
@pytest.mark.parametrize("end", ["hold", "close"])
def test_stream(pieces: list[bytes], end: Any, shell: Shell) -> None:
    """A framed body ends by its framing, whatever TLS does then; the peer sees the close."""
    script = Script(pieces, end)

    _, events, error = over_tls(shell, script)

    assert (EVENTS, None) == (events, error)
    assert script.closed.wait(WAIT)


@on_every_shell
def test_post(shell: Shell) -> None:
    """A large body arrives as it was given."""
    script = chunked([A], "hold")

    over_tls(shell, script, content=b"0123456789" * 300_000)

    assert b"0123456789" * 300_000 == script.request.partition(b"\r\n\r\n")[2]


@on_every_shell
def test_close_with_close_notify(shell: Shell) -> None:
    """TLS's own close ends a close-delimited body."""
    _, events, error = over_tls(shell, Script([HEAD + b"\r\n", A, B], "unwrap"))

    assert (EVENTS, None) == (events, error)


@on_every_shell
@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"\r\n", A, B],
        [HEAD + b"Content-Length: 19\r\n\r\n", A, B],
        [CHUNKED, *chunks([A, B])],
    ],
    ids=["closed", "length", "chunked"],
)
def test_close_without_close_notify(pieces: list[bytes], shell: Shell) -> None:
    """Anyone on the way can send a FIN: without TLS's own close the body was cut short."""
    _, events, error = over_tls(shell, Script(pieces, "close"))

    assert (EVENTS, TransportError) == (events, type(error))


@on_every_shell
def test_close_notify_within_a_framed_body(shell: Shell) -> None:
    """A proper close of TLS is no end of a body either."""
    script = Script([CHUNKED, *chunks([A, B])], "unwrap")

    _, events, error = over_tls(shell, script)

    assert (EVENTS, TransportError) == (events, type(error))


@on_every_shell
def test_reset(shell: Shell) -> None:
    """A reset in the middle is a TransportError."""
    gate = threading.Event()

    async def scenario(events: Any) -> None:
        async with events:
            assert EVENTS[0] == await anext(events)
            gate.set()
            with pytest.raises(TransportError):
                await anext(events)

    with ScriptedServer(
        Script([CHUNKED, *chunks([A]), gate], "reset"), ssl_context=SERVER
    ) as server:
        shell.run(scenario, shell.stream(server.url, ssl_context=CLIENT, timeout=WAIT))


def refusal(shell: Shell, context: ssl.SSLContext | None, **options: Any) -> BaseException | None:
    """Return what connecting raises; no request must have been sent."""
    script = chunked([A])
    with ScriptedServer(script, ssl_context=context) as server:
        url = server.url.replace("http:", "https:")
        error = shell.collect(shell.stream(url, **{"timeout": WAIT, **options}))[2]
    assert b"" == script.request
    return error


@on_every_shell
def test_certificate_of_another_host(shell: Shell) -> None:
    """The certificate has to be for the host that was asked for."""
    error = refusal(shell, server_context("other.example"), ssl_context=CLIENT)

    assert isinstance(error, TransportError)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


@on_every_shell
def test_unknown_authority(shell: Shell) -> None:
    """The system's trust store is the default, and does not know ours."""
    error = refusal(shell, SERVER)

    assert isinstance(error, TransportError)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)


@on_every_shell
def test_system_trust_store(shell: Shell, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system trusts is trusted without a word."""
    AUTHORITY.cert_pem.write_to_path(os.fspath(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(tmp_path / "ca.pem"))

    _, events, error = over_tls(shell, chunked([A, B], "hold"), ssl_context=None)

    assert (EVENTS, None) == (events, error)


@on_every_shell
def test_peer_that_speaks_no_tls(shell: Shell) -> None:
    """A plain peer is told apart from one that is not there."""
    with ScriptedServer(Script([b"HTTP/1.1 400 No\r\n\r\n"], reads="nothing")) as server:
        url = server.url.replace("http:", "https:")
        _, _, error = shell.collect(shell.stream(url, ssl_context=CLIENT, timeout=WAIT))

    assert isinstance(error, TransportError)
    assert f"connecting to 127.0.0.1:{server.port} failed" in str(error)


@on_every_shell
def test_peer_that_closes_in_the_handshake(shell: Shell) -> None:
    """Neither is that an end of anything."""
    with ScriptedServer(Script([], reads="nothing"), ssl_context=SERVER) as server:
        _, _, error = shell.collect(shell.stream(server.url, ssl_context=CLIENT, timeout=WAIT))

    assert isinstance(error, TransportError)


@on_every_shell
def test_plain_request_to_a_tls_port(shell: Shell) -> None:
    """The other way round the peer closes, or sends what is no HTTP."""
    with ScriptedServer(chunked([A]), ssl_context=SERVER) as server:
        url = server.url.replace("https:", "http:")
        _, _, error = shell.collect(shell.stream(url, timeout=WAIT))

    assert isinstance(error, sse_core.SSEError)


@on_every_shell
def test_handshake_that_stalls(shell: Shell) -> None:
    """The handshake belongs to the time for connecting."""
    script = Script([], "hold", reads="nothing")
    with ScriptedServer(script, ssl_context=SERVER) as server:
        _, _, error = shell.collect(
            shell.stream(server.url, ssl_context=CLIENT, timeout=Timeout(connect=SHORT))
        )
        assert script.closed.wait(WAIT)

    assert type(error) is ConnectTimeout


@on_every_shell
@pytest.mark.parametrize(
    ("pieces", "exception"), [([], HeadTimeout), ([CHUNKED, *chunks([A])], ReadTimeout)]
)
def test_timeouts(pieces: list[bytes], exception: type[Exception], shell: Shell) -> None:
    """Head and silence have their limits as without TLS."""
    _, _, error = over_tls(
        shell, Script(pieces, "hold"), timeout=Timeout(connect=WAIT, head=SHORT, idle=SHORT)
    )

    assert exception is type(error)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_closed_by_another_task(backend: str) -> None:
    """Whoever waits for the next event sees the end of the iteration."""

    async def scenario(url: str) -> list[Any]:
        received: list[Any] = []
        async with sse_core.stream(url, ssl_context=CLIENT) as events:
            async with anyio.create_task_group() as task_group:

                async def reader() -> None:
                    received.append(await anext(events, "end"))

                task_group.start_soon(reader)
                await anyio.wait_all_tasks_blocked()
                await events.aclose()
        return received

    script = chunked([], "hold", last_chunk=False)
    with ScriptedServer(script, ssl_context=SERVER) as server:
        assert ["end"] == anyio.run(scenario, server.url, backend=backend)
        assert script.closed.wait(WAIT)


def test_closed_by_another_thread() -> None:
    """A thread that waits in TLS sees the end of the iteration too."""
    script = chunked([], "hold", last_chunk=False)
    with ScriptedServer(script, ssl_context=SERVER) as server:
        with sse_core.sync.stream(server.url, ssl_context=CLIENT) as events:
            thread, received = waiting_in_a_thread(lambda: next(events, "end"))
            events.close()
            thread.join(WAIT)
            assert ["end"] == received
            assert script.closed.wait(WAIT)


def demanding_context(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a server's context that asks for a certificate of ours."""
    context = server_context()
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)
    return context


on_every_version = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)


@on_every_shell
@on_every_version
def test_client_certificate(version: ssl.TLSVersion, shell: Shell) -> None:
    """What the context holds is shown to a server that asks."""
    context = trusting()
    AUTHORITY.issue_cert("client.example").configure_cert(context)

    with ScriptedServer(chunked([A, B], "hold"), ssl_context=demanding_context(version)) as server:
        _, events, error = shell.collect(shell.stream(server.url, ssl_context=context))

    assert (EVENTS, None) == (events, error)


@pytest.mark.sweep(quick=4)
@on_every_shell
@on_every_version
@pytest.mark.parametrize("authority", [None, trustme.CA()], ids=["none", "another authority's"])
def test_client_certificate_that_is_missing(
    authority: trustme.CA | None, version: ssl.TLSVersion, shell: Shell
) -> None:
    """TLS 1.2 is refused in the handshake, TLS 1.3 where the answer should be.

    There the server's alert is lost if its reset overtakes it, so that this cannot be told
    apart from other resets.
    """
    context = trusting()
    if authority is not None:
        authority.issue_cert("client.example").configure_cert(context)
    script = chunked([A])

    with ScriptedServer(script, ssl_context=demanding_context(version)) as server:
        _, events, error = shell.collect(shell.stream(server.url, ssl_context=context))

    assert [] == events
    assert b"" == script.request
    assert (TLSError if version is ssl.TLSVersion.TLSv1_2 else TransportError) is type(error)
