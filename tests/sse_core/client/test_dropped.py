"""F51, H104: what is dropped without being closed warns once, and leaves no socket behind."""

from __future__ import annotations

import gc
import os
import ssl
import warnings
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import sse_core
import sse_core.sync
from tests.support import dropping
from tests.support.counting import CountingStream, connect_to
from tests.support.dropping import Open, a_chat, a_source, a_stream, drop_one
from tests.support.duplicate import duplicate
from tests.support.scripted_server import HEAD, WAIT, ScriptedServer, chunked
from tests.support.shells import Shell, on_every_shell
from tests.support.tls import CLIENT, SERVER

CHUNK = b'data: {"object": "chat.completion.chunk", "choices": []}\n\n'


@on_every_shell
@pytest.mark.parametrize("context", [None, CLIENT], ids=["http", "https"])
@pytest.mark.parametrize("opened", [a_stream, a_source, a_chat])
def test_dropped(opened: Open, context: ssl.SSLContext | None, shell: Shell) -> None:
    """Exactly one ResourceWarning, which names the place in the caller's code."""
    script = chunked([CHUNK], "hold", last_chunk=False)
    with ScriptedServer(script, ssl_context=SERVER if context else None) as server:
        with pytest.warns(ResourceWarning) as caught:
            drop_one(shell, opened, server.url, ssl_context=context)
        assert script.closed.wait(WAIT)

    (warning,) = caught
    assert "unclosed EventStream: leave its block, or close it" == str(warning.message)
    assert dropping.__file__ == warning.filename


@pytest.mark.sweep(quick=2)
@on_every_shell
@pytest.mark.parametrize("opened", [a_stream, a_source, a_chat])
def test_never_opened(opened: Open, shell: Shell) -> None:
    """What was never entered holds nothing, and does not warn."""

    async def scenario() -> None:
        opened(shell, "http://127.0.0.1:1/")

    if shell.blocking:
        opened(shell, "http://127.0.0.1:1/")
    else:
        anyio.run(scenario, backend=shell.name)
    gc.collect()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_dropped_after_the_event_loop(backend: str) -> None:
    """Nothing can be scheduled any more: no error comes of it."""
    kept: list[Any] = []

    async def scenario(url: str) -> None:
        kept.append(sse_core.stream(url))
        await anext(await kept[0].__aenter__())

    with ScriptedServer(chunked([CHUNK], "hold", last_chunk=False)) as server:
        anyio.run(scenario, server.url, backend=backend)
        with warnings.catch_warnings(record=True, action="always") as caught:
            kept.clear()
            gc.collect()  # asyncio has warnings of its own
    assert "unclosed EventStream: leave its block, or close it" == str(caught[0].message)


def test_closed_in_a_forked_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent's connection stays open: it is closed here, and not shut down."""
    script = chunked([CHUNK], "hold", last_chunk=False)
    with ScriptedServer(script) as server, sse_core.sync.stream(server.url) as events:
        next(events)  # all that the server sends
        with duplicate(server.port) as parents:
            monkeypatch.setattr(os, "getpid", lambda: -1)  # as after a fork
            events.close()
            parents.settimeout(0.02)
            with pytest.raises(TimeoutError):
                parents.recv(1)
            assert not script.closed.is_set()
        assert script.closed.wait(WAIT)


@pytest.mark.anyio
async def test_dropped_in_a_forked_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop is the parent's: nothing is done to it, and nothing is said."""
    transport = CountingStream([HEAD + b"\r\n"])
    connect_to(lambda: transport, monkeypatch, blocking=False)
    events = sse_core.stream("http://h")
    await events.__aenter__()
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as after a fork
    del events
    gc.collect()

    assert 1 == transport.reads
    assert not transport.closed
