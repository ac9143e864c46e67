"""F42 to F44, F51: peers that get nowhere, and callers that forget to close."""

from __future__ import annotations

import gc
import select
import socket
import warnings
from typing import Any

import pytest

from sse_core import EventTimeout, ReadTimeout, ServerSentEvent, Timeout
from tests.support.log_server import STOP, source_kind
from tests.support.peer import Peer
from tests.support.scripted_server import HEAD, WAIT, Script, ScriptedServer, chunked
from tests.support.shells import Shell, on_every_shell
from tests.support.sources import AllItems, quick_source

SHORT = 0.05


def drips_then_stops(drop: bytes, every: float) -> Peer:
    """Return a peer that sends an event and then drops, until the client goes; then 204."""
    connections = iter([1, 2])

    def serve(client: socket.socket) -> None:
        if next(connections) == 2:
            client.sendall(STOP)
            return
        client.sendall(HEAD + b"\r\ndata: a\n\n")
        while not select.select([client], [], [], every)[0]:
            client.sendall(drop)

    return Peer(serve)


@on_every_shell
def test_f42_half_open_peer(shell: Shell) -> None:
    """No byte at all: ReadTimeout, and another attempt."""
    silent = chunked([b"data: a\n\n"], "hold", last_chunk=False)
    with ScriptedServer(silent, Script([STOP])) as server:
        source = quick_source(shell, server.url, timeout=Timeout(idle=SHORT))
        _, items, error = shell.collect(AllItems(source))
        assert silent.closed.wait(WAIT)

    _, event, disconnected = items
    assert (ServerSentEvent("a"), None) == (event, error)
    assert type(disconnected.error) is ReadTimeout


@on_every_shell
@pytest.mark.parametrize("drop", [b": ping\n", b"x"], ids=["comments", "a byte at a time"])
def test_f43_f44_nothing_but_drops(drop: bytes, shell: Shell) -> None:
    """Comments, or a byte now and then, are no events: EventTimeout, and another attempt."""
    with drips_then_stops(drop, SHORT / 10) as peer:
        source = quick_source(shell, peer.url, timeout=Timeout(event=4 * SHORT))
        _, items, error = shell.collect(AllItems(source))

    _, event, disconnected = items
    assert (ServerSentEvent("a"), None) == (event, error)
    assert type(disconnected.error) is EventTimeout


@on_every_shell
@pytest.mark.parametrize("kind", ["stream", "source"])
def test_f51_dropped_without_closing(kind: str, shell: Shell) -> None:
    """The socket is closed on collection, with one ResourceWarning that names this file."""

    async def scenario(_: Any) -> None:
        items = (shell.stream if kind == "stream" else source_kind(shell.name))(server.url)
        if kind == "stream":
            items.__enter__() if shell.blocking else await items.__aenter__()
        next(items) if shell.blocking else await anext(items)
        del items
        gc.collect()

    script = chunked([b"data: a\n\n"], "hold", last_chunk=False)
    with ScriptedServer(script) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        shell.run(scenario, None)
        gc.collect()
        assert script.closed.wait(WAIT)

    assert [ResourceWarning] == [warning.category for warning in caught]
    assert __file__ == caught[0].filename
