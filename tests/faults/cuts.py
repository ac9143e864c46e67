"""Every cut of a small stream: no event lost, none twice, none in part (F36, F37, F46).

    python -m tests.faults.cuts [--shell asyncio|trio|blocking]

Each byte of a response, head included, is once where the first connection breaks off, by
FIN and by RST, in each framing and with each line end. ``tests/faults/test_faults_cuts.py`` runs
all of it without sockets, and a sample of it over sockets; this runs all of it over
sockets.
"""

from __future__ import annotations

import argparse
import collections
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import anyio

from sse_core import Disconnected, ServerSentEvent, SSEError
from tests.support.log_server import (
    FRAMINGS,
    LINE_ENDS,
    STOP,
    Answer,
    Framing,
    How,
    LogServer,
    body,
    events,
    response,
    source_kind,
)

LOG = 3

MOST_CONNECTIONS = 8
"""Twice as many as any cut takes: a client that asks for more is sent away."""


class Cut(NamedTuple):
    """Where and how the first connection of a source breaks off."""

    framing: Framing
    line_end: bytes
    how: How
    offset: int


def every_cut() -> Iterator[Cut]:
    for framing in FRAMINGS:
        for line_end in LINE_ENDS:
            for how in ("FIN", "RST"):
                for offset in range(len(whole(framing, line_end)) + 1):
                    yield Cut(framing, line_end, how, offset)


def whole(framing: Framing, line_end: bytes, after: int = 0) -> bytes:
    return response(body(LOG, after, line_end), framing)


class Cutter:
    """Answers a cut's first request with a part, the next with the rest, the last with 204."""

    def __init__(self, cuts: Iterable[Cut]) -> None:
        self._cuts = list(cuts)
        self._answers: collections.Counter[str] = collections.Counter()

    def answer(self, path: str, last_event_id: int) -> Answer:
        cut = self._cuts[int(path[1:])]
        rest = whole(cut.framing, cut.line_end, last_event_id)
        self._answers[path] += 1
        if self._answers[path] == 1:
            return Answer(rest[: cut.offset], cut.how)
        ends = last_event_id == LOG or self._answers[path] > MOST_CONNECTIONS
        return Answer(STOP if ends else rest)


def check(cut: Cut, items: list[Any]) -> None:
    """Raise AssertionError unless each event came once, in order and whole."""
    assert events(LOG) == [item for item in items if isinstance(item, ServerSentEvent)], cut
    faults = [item.error for item in items if isinstance(item, Disconnected)]
    assert all(fault is None or isinstance(fault, SSEError) for fault in faults), (cut, faults)


def source_of(shell: str, server: LogServer, number: int) -> Any:
    return source_kind(shell)(
        f"{server.url}/{number}",
        reconnection_time=0.0,
        min_reconnection_time=0.0,
        uniform=lambda: 0.0,
        max_attempts=5,
    )


def run(shell: str, cuts: list[Cut]) -> None:
    """Meet each cut over a socket."""

    async def each(server: LogServer) -> None:
        for number, cut in enumerate(cuts):
            async with source_of(shell, server, number) as source:
                check(cut, [item async for item in source.items()])

    with LogServer(Cutter(cuts).answer) as server:
        if shell != "blocking":
            anyio.run(each, server, backend=shell)
            return
        for number, cut in enumerate(cuts):
            with source_of(shell, server, number) as source:
                check(cut, list(source.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shell", choices=["asyncio", "trio", "blocking"], action="append")
    arguments = parser.parse_args()
    cuts = list(every_cut())
    for shell in arguments.shell or ["asyncio", "trio", "blocking"]:
        start = time.monotonic()
        run(shell, cuts)
        print(f"{shell}: {len(cuts)} cuts, none lost, none twice, none in part", end="")
        print(f" ({time.monotonic() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
