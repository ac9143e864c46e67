"""Further contract cases, H100 to H117: iterating, closing, memory, content over HTTP.

Where a case is not here, the table in docs/conformance.md says which test holds it.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
import pytest

import sse_core
import sse_core.sync
from sse_core import (
    Disconnected,
    EventStreamParser,
    EventTooLarge,
    Opened,
    ServerSentEvent,
    TransportError,
)
from tests.contract.contract_cases import BOM, by_pairs, bytewise, event
from tests.contract.contract_server import CHUNKED, STOP, Client, ContractServer, header, source_of
from tests.contract.contract_server import take as take_items
from tests.support.scripted_server import WAIT, Script, chunked, chunks
from tests.support.shells import (
    Cancelling,
    Shell,
    cancelled_at,
    on_every_shell,
    on_every_way_to_cancel,
)

Scenario = Callable[[Any], Awaitable[Any]]


# --- 4.9 Iteration, closing, memory ---


@pytest.mark.anyio
async def test_h101_deadline_around_each_next() -> None:
    """A caller that gives up on every event, again and again, misses none."""
    gates = [threading.Event() for _ in range(5)]
    pieces: list[bytes | threading.Event] = [CHUNKED]
    for number, gate in enumerate(gates):
        pieces += [gate, *chunks([b"data: ", b"%d\n\n" % number])]
    found = []

    with ContractServer(Script(pieces, "hold")) as server:
        async with sse_core.EventSource(server.url) as source:
            items = source.items()
            assert isinstance(await anext(items), Opened)
            for gate in gates:
                with anyio.move_on_after(0.001) as scope:
                    await anext(source)
                assert scope.cancelled_caught
                gate.set()
                found.append((await anext(source)).data)

    assert list("01234") == found


@on_every_way_to_cancel
def test_h102_cancelled_source_leaves_no_socket(backend: str, way: Cancelling) -> None:
    """Cancelled anywhere on the way to the first event, and left: the peer sees the close."""

    async def run(url: str, suspension: int) -> bool:
        async with sse_core.EventSource(url) as source:
            return (await cancelled_at(suspension, way, source.__anext__()))[0]

    for suspension in range(1, 60):
        script = chunked([b"data: a\n\n"], "hold", last_chunk=False)
        with ContractServer(script) as server:
            cancelled = anyio.run(run, server.url, suspension, backend=backend)
            if script.opened.is_set():
                assert script.closed.wait(WAIT)
        if not cancelled:
            assert suspension > 2
            return
    raise AssertionError("never ran to its end")


async def leaves_by_break(source: Any) -> None:
    async with source:
        async for _ in source:
            break


async def leaves_by_return(source: Any) -> Any:
    async with source:
        return await source.__anext__()


async def leaves_by_exception(source: Any) -> None:
    with suppress(ZeroDivisionError):
        async with source:
            await source.__anext__()
            raise ZeroDivisionError


async def closes_twice(source: Any) -> None:
    async with source:
        await source.__anext__()
        await source.aclose()
        await source.aclose()


@on_every_shell
@pytest.mark.parametrize(
    "scenario",
    [leaves_by_break, leaves_by_return, leaves_by_exception, closes_twice],
    ids=lambda scenario: scenario.__name__,
)
def test_h103_h106_leaving(scenario: Scenario, shell: Shell) -> None:
    """However a source is left, the peer sees the close, and every later call is the end."""
    script, second = chunked([b"data: a\n\n"], "hold", last_chunk=False), Script([STOP])

    async def scenario_and_after(source: Any) -> None:
        await scenario(source)
        for _ in range(2):
            assert [] == [item async for item in source]
        assert "closed" == source.state

    with ContractServer(script, second) as server:
        shell.run(scenario_and_after, source_of(shell, server.url))
        assert script.closed.wait(WAIT)
    assert not second.opened.is_set()


class Flood(threading.Thread):
    """Sends one event after the other, up to 1 GiB, until the client takes no more."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.sent = 0
        self.blocked = threading.Event()
        """Set when a quarter of a second brought no room for another byte."""

    def run(self) -> None:
        client, _ = self._listener.accept()
        with client, self._listener:
            client.recv(65536)
            client.sendall(CHUNKED)
            client.setblocking(False)
            piece = chunks([b"data: " + b"x" * 1000 + b"\n\n"])[0] * 64
            data = memoryview(piece)
            while self.sent < 2**30 and select.select([], [client], [], 0.25)[1]:
                sent = client.send(data)
                self.sent += sent
                data = data[sent:] or memoryview(piece)
            self.blocked.set()


@on_every_shell
def test_h108_slow_caller_slows_the_server(shell: Shell) -> None:
    """One event was asked for: nothing is read ahead, and TCP stops the server."""
    flood = Flood()
    flood.start()

    async def scenario(source: Any) -> Any:
        async with source:
            found = await source.__anext__()
            if shell.blocking:
                assert flood.blocked.wait(WAIT)
            else:
                assert await anyio.to_thread.run_sync(flood.blocked.wait, WAIT)
            return found

    found = shell.run(scenario, source_of(shell, flood.url))
    flood.join(WAIT)

    assert event("x" * 1000) == found
    assert flood.sent < 2**25  # what the two sockets hold


@pytest.mark.anyio
async def test_h109_events_of_one_read() -> None:
    """Delivered one by one, and a call that is cancelled takes none with it."""
    stream = b"".join(b"data: %d\n\n" % number for number in range(3000))
    found: list[str] = []

    with ContractServer(chunked([stream], "hold", last_chunk=False)) as server:
        async with sse_core.EventSource(server.url) as source:
            cancelled = False
            while len(found) < 3000:
                cancelled = not cancelled
                with anyio.CancelScope() as scope:
                    if cancelled:
                        scope.cancel()
                    found.append((await anext(source)).data)

    assert list(map(str, range(3000))) == found


@on_every_shell
def test_h111_event_too_large(shell: Shell) -> None:
    """Raised, and not asked for again: the same event would come."""
    scripts = [chunked([b"data: a\n\ndata: 0123456789\n\n"]), Script([STOP])]

    with ContractServer(*scripts) as server:
        _, items, error = shell.collect(source_of(shell, server.url, max_event_size=5))

    assert [event("a")] == items
    assert isinstance(error, EventTooLarge)
    assert not scripts[1].opened.is_set()


# --- 4.10 Stream content over HTTP ---

CONTENT: dict[str, tuple[bytes, list[ServerSentEvent]]] = {
    "H112 data": (b"data: a\xffb\n\ndata: c\n\n", [event("a\ufffdb"), event("c")]),
    "H112 id": (b"id: \xfe\ndata: a\n\n", [event("a", id="\ufffd")]),
    "H112 type": (b"event: \xc3(\ndata: a\n\n", [event("a", "\ufffd(")]),
    "H112 cut sequence": (b"data: \xe2\x82\ndata: b\n\n", [event("\ufffd\nb")]),
    "H113 no line ends": (
        "data: \0\v\f\x1c\x1d\x1e\x85\u2028\u2029.\n\n".encode(),
        [event("\0\v\f\x1c\x1d\x1e\x85\u2028\u2029.")],
    ),
    "H114 two byte order marks": (BOM + BOM + b"data: a\ndata: b\n\n", [event("b")]),
    "H115 no data": (b"event: x\n\n:c\n\n\nid: 1\n\nretry: 7\n\n:c\n\ndata: a\n\n",
                     [event("a", id="1")]),
    "H116 type emptied": (b"event: x\nevent:\ndata: a\n\nevent: x\nevent\ndata: b\n\n",
                          [event("a"), event("b")]),
}  # fmt: skip


@on_every_shell
@pytest.mark.parametrize("cut", [lambda stream: [stream], bytewise], ids=["whole", "bytes"])
@pytest.mark.parametrize("name", CONTENT)
def test_h112_to_h116_content(name: str, cut: Callable[[bytes], list[bytes]], shell: Shell) -> None:
    """What the parser says of a stream is what comes through, in one read or in many."""
    stream, expected = CONTENT[name]
    client = Client()

    with ContractServer(client.stream(cut(stream), last_chunk=True), Script([STOP])) as server:
        with client:
            _, items, error = shell.collect(source_of(shell, server.url))

    assert error is None
    assert expected == [event(item.data, item.event, item.id) for item in items]


STREAM = (
    BOM
    + ": c\r\nid: 1\r\ndata: 豆腐\r\n\r\nevent: x\rdata\rdata: b\r\rretry: 5\nid: é\n\n"
    "id: lost\ndata: lost\n".encode()
)

CUTS: dict[str, list[list[bytes]]] = {
    "whole": [[STREAM]],
    "by bytes": [bytewise(STREAM)],
    "by pairs": [by_pairs(STREAM)],
    "in two": [[STREAM[:at], STREAM[at:]] for at in range(1, len(STREAM))],
}


@pytest.mark.sweep(quick=6)
@on_every_shell
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("last_chunk", [True, False], ids=["ended", "cut"])
def test_h117_reads_change_nothing(last_chunk: bool, cut: str, shell: Shell) -> None:
    """Events, IDs, reconnection time and error are the same for every way to cut a stream."""

    async def scenario(source: Any) -> list[Any]:
        found = await take_items(source.items(), 4)
        with suppress(StopAsyncIteration):
            await source.__anext__()
        return found

    for writes in CUTS[cut]:
        client = Client()
        stream = client.stream(writes, end="close", last_chunk=last_chunk)
        again = Script([STOP])
        with ContractServer(stream, again) as server, client:
            opened, a, b, ended = shell.run(scenario, source_of(shell, server.url))

        assert isinstance(opened, Opened)
        assert [event("豆腐", id="1"), event("\nb", "x", "1")] == [a, b]
        assert isinstance(ended, Disconnected)
        assert 0.005 == ended.delay
        assert (type(None) if last_chunk else TransportError) is type(ended.error)
        assert "é".encode() == header(again, "last-event-id")


def test_h117_in_any_two_reads() -> None:
    """The same without I/O, as the parser alone sees it."""
    for at in range(len(STREAM) + 1):
        parser = EventStreamParser()
        events = parser.receive_data(STREAM[:at]) + parser.receive_data(STREAM[at:])

        assert [event("豆腐", id="1"), event("\nb", "x", "1")] == events
        assert ("é", 5) == (parser.last_event_id, parser.reconnection_time)
