"""F36, F37, F46: a connection that breaks off at any byte loses no event, and doubles none."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from sse_core import Disconnected, Request, SSEError, TransportError
from sse_core._client.reconnection import Reconnection
from tests.faults import cuts
from tests.faults.cuts import LOG, MOST_CONNECTIONS, Cut, check, every_cut, whole
from tests.support.log_server import FRAMINGS, LINE_ENDS, STOP, Framing
from tests.support.shells import Shell, on_every_shell

CUTS = list(every_cut())

SAMPLE = 300
"""Cuts of which each shell meets a socket; ``python -m tests.faults.cuts`` has them all."""


class Source:
    """What the shells are, without sockets: connections run by the machine."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._machine = Reconnection(
            Request("http://h"), reconnection_time=0.0, max_attempts=5, uniform=lambda: 0.0
        )
        self.items: list[Any] = []

    def run(self) -> list[Any]:
        delay = self._connect(first=True)
        for _ in range(MOST_CONNECTIONS):
            if delay is None:
                return self.items
            delay = self._connect()
        raise AssertionError("there is no end of connections")

    def _answer(self, request: bytes) -> bytes:
        found = re.search(rb"\r\nlast-event-id: (\d+)\r\n", request)
        last_event_id = int(found[1]) if found else 0
        if last_event_id == LOG:
            return STOP
        return whole(self._cut.framing, self._cut.line_end, last_event_id)

    def _connect(self, first: bool = False) -> float | None:
        connection = self._machine.connect(0.0)
        data = self._answer(connection.data_to_send())
        try:
            if data := data[: self._cut.offset] if first else data:
                self._receive(connection, data)
            while not connection.ended:
                if first and self._cut.how == "RST" and not connection.failed:
                    raise connection.transport_failed(TransportError("reset"))
                self._receive(connection, b"")
        except SSEError as exc:
            return self._closed(exc)
        return self._closed(None)

    def _receive(self, connection: Any, data: bytes) -> None:
        items = connection.receive_data(data)
        self._machine.received(items, 0.0)
        self.items += items

    def _closed(self, error: SSEError | None) -> float | None:
        delay = self._machine.closed(0.0, error)
        if delay is not None:
            self.items.append(Disconnected(error, delay))
        return delay


@pytest.mark.sweep(quick=2)
@pytest.mark.parametrize("line_end", LINE_ENDS, ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_f36_f37_f46_every_cut(framing: Framing, line_end: bytes) -> None:
    """Without I/O: each byte, FIN and RST; and the end is told apart from a cut."""
    head = whole(framing, line_end).index(b"\r\n\r\n") + 4
    length = len(whole(framing, line_end))
    for cut in CUTS:
        if (cut.framing, cut.line_end) != (framing, line_end):
            continue
        items = Source(cut).run()

        check(cut, items)
        first = next(item for item in items if isinstance(item, Disconnected))
        ends = framing == "closed" and cut.how == "FIN" and cut.offset >= head
        complete = framing != "closed" and cut.offset == length
        assert (first.error is None) == (ends or complete), cut


@pytest.mark.slow
@on_every_shell
def test_f36_f37_f46_over_sockets(shell: Shell) -> None:
    """A seeded sample of the same, through each shell."""
    cuts.run(shell.name, random.Random(36).sample(CUTS, SAMPLE))
