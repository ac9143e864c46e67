"""A peer that sends without end: memory stays within its limit, and work is linear.

    python -m tests.faults.hostile [--mebibytes 256]

Each flood goes through a ``Connection`` without a socket. Printed are how much of it was
taken until it was refused, the peak of memory, and t(2n)/t(n) with reads of 64 KiB, 64
bytes and 1 byte, where the flood has no limit of its own.
``tests/sse_core/http/test_limits.py`` does it with less, and counts calls instead of seconds.
"""

from __future__ import annotations

import argparse
import resource
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from sse_core import Connection, Request, SSEError
from sse_core._http.exchange import MAX_ERROR_BODY
from sse_core._http.wire import MAX_CHUNK_OVERHEAD, MAX_HEAD_SIZE

KIB, MIB = 2**10, 2**20

EVENT_LIMIT = 512 * KIB
READ = 64 * KIB

ALLOWANCE = 3 * READ
"""Bytes beside what a limit is about: a read, h11's copy of it, and what is cut out of it."""

RATIO = 2.3
"""How much longer twice as much may take."""

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ERROR = b"HTTP/1.1 401 No\r\n\r\n"
CLOSED = OK + b"\r\n"


class Flood(NamedTuple):
    """A beginning, and what comes then without end."""

    start: bytes
    unit: bytes
    limit: int
    """The limit that bounds it, in bytes."""
    refused: bool = True
    """Whether it comes to that limit: what is not kept does not."""


FLOODS = {
    "field value": Flood(OK + b"A: ", b"x", MAX_HEAD_SIZE),
    "field name": Flood(OK, b"x", MAX_HEAD_SIZE),
    "fields": Flood(OK, b"a: b\r\n", MAX_HEAD_SIZE),
    "reason": Flood(b"HTTP/1.1 200 ", b"x", MAX_HEAD_SIZE),
    "1xx responses": Flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n", MAX_HEAD_SIZE),
    "error body": Flood(ERROR, b"x", MAX_ERROR_BODY),
    "chunk extension": Flood(CHUNKED + b"1;", b"x", MAX_CHUNK_OVERHEAD),
    "chunk extensions": Flood(CHUNKED, b"2;%b\r\n:\n\r\n" % (b"x" * 99), MAX_CHUNK_OVERHEAD),
    "chunk size": Flood(CHUNKED, b"0", MAX_CHUNK_OVERHEAD),
    "trailer": Flood(CHUNKED + b"0\r\na: ", b"x", MAX_CHUNK_OVERHEAD),
    "trailers": Flood(CHUNKED + b"0\r\n", b"a: b\r\n", MAX_CHUNK_OVERHEAD),
    "line": Flood(CLOSED + b"data: ", b"x", EVENT_LIMIT),
    "line of U+FFFD": Flood(CLOSED + b"data: ", b"\xff", EVENT_LIMIT),
    "data lines": Flood(CLOSED, b"data: x\n", EVENT_LIMIT),
    "empty data lines": Flood(CLOSED, b"data\n", EVENT_LIMIT),
    "event type": Flood(CLOSED + b"event: ", b"x", EVENT_LIMIT),
    "event types": Flood(CLOSED, b"event: x\n", EVENT_LIMIT),
    "ID": Flood(CLOSED + b"id: ", b"x", EVENT_LIMIT),
    "retry": Flood(CLOSED + b"retry: ", b"9", EVENT_LIMIT),
    "comment": Flood(CLOSED + b": ", b"x", EVENT_LIMIT, refused=False),
    "comments": Flood(CLOSED, b": ping\n", EVENT_LIMIT, refused=False),
    "unknown field": Flood(CLOSED + b"x: ", b"y", EVENT_LIMIT, refused=False),
    "unknown fields": Flood(CLOSED, b"x: y\n", EVENT_LIMIT, refused=False),
    "field name without colon": Flood(CLOSED, b"x", EVENT_LIMIT, refused=False),
    "blank lines": Flood(CLOSED, b"\n", EVENT_LIMIT, refused=False),
    "carriage returns": Flood(CLOSED, b"\r", EVENT_LIMIT, refused=False),
    "IDs": Flood(CLOSED, b"id: 7\n\n", EVENT_LIMIT, refused=False),
    "events": Flood(CLOSED, b"data: %b\n\n" % (b"x" * 99), EVENT_LIMIT, refused=False),
    "small chunks": Flood(CHUNKED, b"5\r\n: x\n\n\r\n", EVENT_LIMIT, refused=False),
}

# Takes h11 a hundred times as long as the others: so much less of it.
SMALL = {"small chunks": 16}

TRACED = 8 * MIB
"""Bytes of a flood during which each allocation is traced, which is slow."""

# Each is a line of its own, for the moment in which a read is taken apart.
LINES = {"carriage returns": 96 * READ}


def reads(flood: Flood, total: int, size: int) -> Iterator[bytes]:
    """Return that many bytes of a flood in reads of that size, each with memory of its own."""
    period = flood.unit * (1 + (size + len(flood.unit)) // len(flood.unit))
    yield from (flood.start[at : at + size] for at in range(0, len(flood.start), size))
    at = 0
    for _ in range(total // size):
        yield bytes(bytearray(period[at : at + size]))
        at = (at + size) % len(flood.unit)


class Outcome(NamedTuple):
    """What a connection made of a flood."""

    taken: int
    error: SSEError | None
    peak: int = 0
    """Bytes, where memory was traced."""
    grown: int = 0
    """Bytes by which the process grew after that, when it took the rest without tracing."""


def connection(limit: int | None) -> Connection[Any]:
    """Return a connection that awaits its response."""
    connection: Connection[Any] = Connection(Request("http://h"), max_event_size=limit)
    connection.data_to_send()
    return connection


def take(connection: Connection[Any], pieces: Iterable[bytes]) -> tuple[int, SSEError | None]:
    """Take reads until they are refused; return how many bytes there were, and the error."""
    taken = 0
    try:
        for data in pieces:
            taken += len(data)
            connection.receive_data(data)
    except SSEError as exc:
        return taken, exc
    return taken, None


def receive(flood: Flood, total: int, size: int, *, limit: int | None = EVENT_LIMIT) -> Outcome:
    """Take so many bytes of a flood, or as many as it takes to refuse it."""
    return Outcome(*take(connection(limit), reads(flood, total, size)))


def traced(flood: Flood, total: int) -> Outcome:
    """The same in large reads, with the peak of memory; of a long flood after its beginning."""
    pieces = reads(flood, total, READ)
    client = connection(EVENT_LIMIT)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        taken, error = take(client, islice(pieces, TRACED // READ))
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    if error is not None:
        return Outcome(taken, error, peak)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rest, error = take(client, pieces)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Outcome(taken + rest, error, peak, grown * KIB)


def memory_bound(name: str) -> int:
    """Return how much memory a flood may take."""
    return max(4 * FLOODS[name].limit + 64 * KIB, LINES.get(name, 0)) + ALLOWANCE


def ratio(work: Callable[[int], float], size: int) -> float:
    """Return how much more work twice as much is."""
    return work(2 * size) / work(size)


def seconds(flood: Flood, size: int) -> Callable[[int], float]:
    """Return what measures how long so many bytes take, at best."""

    def work(total: int) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            receive(flood, total, size, limit=None)
            times.append(time.process_time() - start)
        return min(times)

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mebibytes", type=int, default=256)
    arguments = parser.parse_args()
    worst = 0.0
    failed = []
    for name, flood in FLOODS.items():
        total = arguments.mebibytes * MIB // SMALL.get(name, 1)
        outcome = traced(flood, total)
        bound = memory_bound(name)
        verdict = type(outcome.error).__name__ if outcome.error else "taken"
        line = f"{name}: {verdict} after {outcome.taken / MIB:.2f} MiB, peak "
        line += f"{outcome.peak / KIB:.0f} of {bound / KIB:.0f} KiB"
        line += f", then {outcome.grown / KIB:.0f} more" if outcome.grown else ""
        if max(outcome.peak, outcome.grown) > bound or (outcome.error is not None) != flood.refused:
            failed.append(name)
        if flood.limit == EVENT_LIMIT:
            ratios = [
                ratio(seconds(flood, size), most // SMALL.get(name, 1))
                for size, most in ((READ, 4 * MIB), (64, MIB // 2), (1, MIB // 16))
            ]
            worst = max(worst, *ratios)
            line += ", t(2n)/t(n) " + " ".join(f"{each:.2f}" for each in ratios)
            if max(ratios) > RATIO:
                failed.append(name)
        print(line, flush=True)
    print(f"{len(FLOODS)} floods, worst t(2n)/t(n) {worst:.2f}, failed: {failed or 'none'}")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
