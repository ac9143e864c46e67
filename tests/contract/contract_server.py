"""The server of the contract tests: every write arrives as a read of its own.

The harness puts milliseconds between two writes. Here a write is held back until the
client has taken, or reported, what was written before: as slow as the client, and sure.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import Any, Self

import pytest

import sse_core
import sse_core.sync
from sse_core import Connection, Disconnected, Opened
from sse_core._http.proxies import Proxy
from tests.support.scripted_server import HEAD, WAIT, End, Script, ScriptedServer, chunks
from tests.support.shells import Shell

STOP = b"HTTP/1.1 204 No Content\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class ContractServer(ScriptedServer):
    """A scripted server whose small writes go out at once."""

    def __init__(self, *scripts: Script) -> None:
        super().__init__(*scripts)
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Client:
    """Knows how far the client under test has come, and holds writes back by it.

    A context manager around the use of the client; at its end nothing is held any more.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bytes = 0
        self._items = 0
        self._left = False
        self.reads: list[int] = []
        """The size of each read of the client, the end of file being 0."""
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> Self:
        data_to_send, receive_data = Connection.data_to_send, Connection.receive_data

        def asks(connection: Connection[Any], proxy: Proxy | None = None) -> bytes:
            with self._changed:
                self._bytes = 0
            return data_to_send(connection, proxy)

        def takes(connection: Connection[Any], data: bytes) -> list[Any]:
            with self._changed:
                self.reads.append(len(data))
                self._bytes += len(data)
                self._changed.notify_all()
            return receive_data(connection, data)

        self._patch.setattr(Connection, "data_to_send", asks)
        self._patch.setattr(Connection, "receive_data", takes)
        return self

    def __exit__(self, *exc: object) -> None:
        self._patch.undo()
        with self._changed:
            self._left = True
            self._changed.notify_all()

    def reports(self) -> None:
        """Note that the client has reported one more item."""
        with self._changed:
            self._items += 1
            self._changed.notify_all()

    def paced(self, pieces: Sequence[bytes], end: End = "hold") -> Script:
        """Return a script whose pieces are held back until those before have been taken."""
        script: list[bytes | threading.Event] = []
        sent = 0
        for piece in pieces:
            script += [_Held(self, sent), piece]
            sent += len(piece)
        return Script(script, end)

    def stream(
        self, writes: Sequence[bytes], *, end: End = "hold", last_chunk: bool = False
    ) -> Script:
        """The same for an event stream: its head, then each write as one chunk."""
        tail = [LAST_CHUNK] if last_chunk else []
        return self.paced([CHUNKED, *chunks(writes), *tail], end)

    def has_reported(self, items: int) -> threading.Event:
        """Return what a piece of a script waits for: so many items have been reported."""
        return _Held(self, items=items)

    def wait(self, received: int, items: int, timeout: float | None) -> bool:
        """Wait until the client has come that far, or has left."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._left or (self._bytes >= received and self._items >= items), timeout
            )


class _Held(threading.Event):
    """What a script waits for: so many bytes of its connection were taken, items reported."""

    def __init__(self, client: Client, received: int = 0, items: int = 0) -> None:
        super().__init__()
        self._client = client
        self._until = received, items

    def wait(self, timeout: float | None = None) -> bool:
        return self._client.wait(*self._until, timeout)


def source_of(shell: Shell, url: str, **options: Any) -> Any:
    """Return a source of the shell's kind that waits for nothing between attempts.

    Two failures in a row are the end, so that no test can go on for ever.
    """
    kind = sse_core.sync.EventSource if shell.blocking else sse_core.EventSource
    defaults: dict[str, Any] = {
        "reconnection_time": 0.0,
        "min_reconnection_time": 0.0,
        "uniform": lambda: 0.0,
        "timeout": WAIT,
        "max_attempts": 2,
    }
    return kind(url, **defaults | options)


async def next_of(items: Any) -> Any:
    """Return the next of ``source.items()``, of either kind."""
    if hasattr(items, "__anext__"):
        return await items.__anext__()
    try:
        return next(items)
    except StopIteration:
        raise StopAsyncIteration from None


async def take(items: Any, number: int) -> list[Any]:
    """Return so many items; connections and faults are items as well."""
    return [await next_of(items) for _ in range(number)]


async def events_of(items: Any, number: int) -> list[Any]:
    """Return so many events, whatever stands between them."""
    found: list[Any] = []
    while len(found) < number:
        item = await next_of(items)
        if not isinstance(item, Opened | Disconnected):
            found.append(item)
    return found


def header(script: Script, name: str) -> bytes | None:
    """Return a field of the request that a script was asked with."""
    head = script.request.partition(b"\r\n\r\n")[0]
    for line in head.split(b"\r\n")[1:]:
        field, _, value = line.partition(b":")
        if field.lower() == name.encode():
            return value.strip(b" ")
    return None
