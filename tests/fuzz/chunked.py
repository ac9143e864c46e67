"""Mutated chunked bodies in random reads: skimming changes nothing.

    python -m tests.fuzz.chunked --seconds 600
    python -m tests.fuzz.chunked --seed 7 --case 1234    # one again, shown

Each response goes, read by read, to a ``Connection`` and to one where h11 reads every
byte, and what can be seen of the two has to be the same after every read; what the first
hands to its parser has to be what plain h11 hands out of the same reads. The tests run
some thousands of the same cases.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any, cast

import h11

from sse_core import Connection, Request, ResponseError, SSEError
from sse_core._http import exchange, wire

REQUESTS = {
    "plain": Request("http://h"),
    "closing": Request("http://h", headers={"Connection": "close"}),
    "head": Request("http://h", "HEAD"),
}
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
HEADS = [
    OK + b"Connection: close\r\n" + CHUNKED,
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\n" + OK + CHUNKED,
    (OK + CHUNKED).replace(b"\r\n", b"\n"),
    b"HTTP/1.1 401 No\r\nContent-Type: text/plain\r\n" + CHUNKED,
    b"HTTP/1.1 204 No Content\r\n" + CHUNKED,
    b"HTTP/1.1 302 F\r\nLocation: /x\r\n" + CHUNKED,
    OK + b"Content-Length: 0\r\n\r\n",
    OK + b"Content-Length: 40\r\n\r\n",
    OK + b"\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n" + CHUNKED,
    b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    OK + b"\n" + CHUNKED,
    OK + b" folded\r\n" + CHUNKED,
]
TEXTS = [
    *[b"data: a\n\n", b"data: hello\n\n", b"data: h\r\n\r\n", b"id: 7\ndata: x\n\n"],
    *[b"event: e\ndata: b\n\n", b": comment\n\n", b"retry: 5\n\n", b"\xef\xbb\xbf", b"\n", b"\r"],
    *[b"data: ", b"d", b"\r\n", b"5\r\nhello\r\n", b"\r\n3\r\nabc\r\n", b"0\r\n\r\n", b"1\r\n"],
    *[b"data: \xe3\x81", b"\xa6\n\n", b"data: " + 40 * b"x" + b"\n\n", 300 * b"data: y\n\n"],
]
EXTENSIONS = [b";", b";a", b';a="b"', b";a\rb", b";a\nb", b" ;a", b" ", b"\t", b";" + 60 * b"x"]
EXTENSIONS += [b";" + 17_000 * b"x"]
LINE_ENDS = [b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\r\n", b"", b" \r\n", b"xy", b"\rx"]
LAST_CHUNKS = [b"0\r\n\r\n", b"000\r\n\r\n", b"0;x\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"0\r\n\n"]
LAST_CHUNKS += [b"0\nA: b\n\n", b"0\r\nno colon\r\n\r\n", b"0\r\nA: " + 17_000 * b"x" + b"\r\n\r\n"]
BEHIND = [b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n", b"x", b"3\r\nabc\r\n"]
ODD_BYTES = [b"\r", b"\n", b"\r\n", b"0", b"1", b"f", b"F", b";", b"x", b" ", b"_", b"+", b"\0"]


@dataclass
class Case:
    """One response in reads, and how it is read."""

    request: Request
    reads: list[bytes]
    options: dict[str, Any]
    limits: dict[str, int]


def make_case(seed: int) -> Case:
    """Return the case of that number."""
    choose = Random(seed)
    often = choose.random() < 0.8
    response = bytearray(OK + CHUNKED if often else choose.choice(HEADS))
    # Where one thing ends and the next begins: the cuts that matter are near.
    borders = [len(response)]
    # Some bodies are plain, so that skimming goes on for long; some are broken all over.
    mutated = choose.choice([0, 0.03, 0.1, 0.5])
    for _ in range(choose.choice([1, 3, 8, 20])):
        for part in chunk(choose, mutated):
            response += part
            borders.append(len(response))
    if choose.random() < 0.8:
        odd = choose.random() < mutated
        response += choose.choice(LAST_CHUNKS) if odd else LAST_CHUNKS[0]
        borders.append(len(response))
        if choose.random() < 0.2:
            response += choose.choice(BEHIND)
    if choose.random() < mutated:
        at = choose.choice(borders) + choose.randint(-3, 3)
        response[at : at + choose.randint(0, 2)] = choose.choice(ODD_BYTES)
    reads = list(cut(choose, bytes(response), borders))
    if choose.random() < 0.5:
        reads.append(b"")
    if choose.random() < 0.1:
        reads.append(choose.choice(BEHIND))
    small = choose.random() < 0.3
    return Case(
        REQUESTS["plain" if often else choose.choice(list(REQUESTS))],
        reads,
        {
            "max_event_size": choose.choice([*8 * [None], 0, 12, 60, 100_000]),
            "comments": choose.random() < 0.5,
        },
        # Limits that some cases meet. The size of a piece also says what h11 holds.
        {"MAX_CHUNK_OVERHEAD": 40, "MAX_ERROR_BODY": 30, "PIECE_SIZE": 256} if small else {},
    )


def chunk(choose: Random, mutated: float) -> Iterator[bytes]:
    """Yield one chunk in its parts, each of which may be mutated."""
    count = choose.choice([1, 1, 2, 4])
    data = b"".join(choose.choice(TEXTS[:-1] if count > 1 else TEXTS) for _ in range(count))
    size = len(data)
    if choose.random() < mutated / 4:
        size += choose.choice([-2, -1, 1, 2, -size, 16, 256, 2**32, 2**62])
    digits = choose.choice(["%x", "%x", "%X"]) % size
    if choose.random() < 0.1 + mutated / 4:
        digits = digits.rjust(choose.choice([2, 3, 8, 15, 16, 17, 19, 20, 21]), "0")
    if choose.random() < mutated / 8:
        digits = choose.choice(["0x", "+", "-", " ", "_", "1_", "\n", "g", "٣"]) + digits
    yield digits.encode()
    if choose.random() < mutated / 2:
        # The long one is worth less than its time.
        yield choose.choice(EXTENSIONS if choose.random() < 0.05 else EXTENSIONS[:-1])
    yield choose.choice(LINE_ENDS) if choose.random() < mutated / 10 else b"\r\n"
    yield data
    yield choose.choice(LINE_ENDS) if choose.random() < mutated / 10 else b"\r\n"


def cut(choose: Random, response: bytes, borders: list[int]) -> Iterator[bytes]:
    """Yield the response in reads: whole, of one size, at random, at the borders or near."""
    way = choose.choice(["whole", "size", "random", "borders", "near"])
    cuts: set[int] = set()
    if way == "size":
        # Long responses are not read in ones and twos.
        size = choose.choice([1, 2, 3, 7, 50, 200]) + len(response) // 500
        cuts.update(range(0, len(response), size))
    elif way == "random":
        cuts.update(choose.randrange(len(response)) for _ in range(choose.randint(1, 8)))
    elif way == "borders":
        cuts.update(choose.sample(borders, choose.randint(1, len(borders))))
    elif way == "near":
        cuts.update(at + choose.randint(-2, 2) for at in borders if choose.random() < 0.7)
    edges = [0, *sorted(at for at in cuts if 0 < at < len(response)), len(response)]
    for start, end in pairwise(edges):
        yield response[start:end]


def check(case: Case) -> None:
    """Raise AssertionError where skimming makes a difference, or differs from plain h11."""
    modules = {name: exchange if name == "MAX_ERROR_BODY" else wire for name in case.limits}
    before = {name: getattr(module, name) for name, module in modules.items()}
    try:
        for name, module in modules.items():
            setattr(module, name, case.limits[name])
        check_framing(case)
        check_connections(case)
    finally:
        wire.SKIM = True
        for name, module in modules.items():
            setattr(module, name, before[name])


def check_connections(case: Case) -> None:
    """Compare a connection that skims and one that does not, read by read."""
    skimming, plain = (
        Connection[Any](case.request, **case.options),
        Connection[Any](case.request, **case.options),
    )
    skimming.data_to_send()
    plain.data_to_send()
    for read in case.reads:
        wire.SKIM = True
        got = outcome(skimming, read)
        wire.SKIM = False
        assert outcome(plain, read) == got


def outcome(connection: Connection[Any], read: bytes) -> list[Any]:
    """Return what one read brings, and all that can be seen of the connection after it."""
    items: list[Any] = []
    error: list[Any] = []
    try:
        items = connection.receive_data(read)
    except SSEError as exc:
        error = [type(exc), str(exc), str(exc.__cause__)]
        if isinstance(exc, ResponseError):
            error += [exc.body, exc.response.status]
    return [
        items,
        error,
        connection.ended,
        connection.end,
        connection.failed,
        connection.answered,
        connection.reusable,
        connection.response and connection.response.status,
        connection.parser.last_event_id,
        connection.parser.reconnection_time,
    ]


class Recorder:
    """In place of the parser: keeps what it gets."""

    last_event_id = ""

    def __init__(self) -> None:
        self.data = b""

    def receive_data(self, data: bytes) -> list[Any]:
        self.data += data
        return []

    def receive_eof(self) -> None:
        pass


def check_framing(case: Case) -> None:
    """Compare what a connection makes of the framing with what h11 does, read by read."""
    wire.SKIM = True
    connection = Connection[Any](case.request)
    recorder = Recorder()
    connection.parser = cast(Any, recorder)
    plain = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * wire.PIECE_SIZE)
    plain.send(
        h11.Request(
            method=case.request.method,
            target=case.request.url.target,
            headers=list(case.request.headers),
        )
    )
    plain.send(h11.EndOfMessage())
    connection.data_to_send()

    expected = b""
    for read in case.reads:
        error = broken = ended = None
        try:
            connection.receive_data(read)
        except SSEError as exc:
            error = exc
        if connection.response and connection.response.status != 200:
            return  # whose body does not go to the parser
        try:
            # In the same pieces: h11 shows as much of a wrong line end as it has.
            for start in range(0, len(read) or 1, wire.PIECE_SIZE):
                plain.receive_data(read[start : start + wire.PIECE_SIZE])
                while not isinstance(event := plain.next_event(), type):
                    if isinstance(event, h11.Data):
                        expected += event.data
                    elif isinstance(event, h11.EndOfMessage):
                        ended = True
                        break
                if ended:
                    break
        except h11.RemoteProtocolError as exc:
            broken = exc
        if broken is not None:
            assert error is not None
            if error.__cause__:  # else a limit came first
                assert recorder.data == expected
                assert str(error.__cause__) == str(broken)
            return
        if error is not None:
            # What h11 lets pass: limits, heads, statuses that are no stream's.
            assert error.__cause__ is None
            return
        assert recorder.data == expected
        assert connection.ended == bool(ended)
        if ended:
            return


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz.chunked")
    arguments.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    arguments.add_argument("--seed", type=int, default=0, help="another one, other cases")
    arguments.add_argument("--case", type=int, help="only this one, shown")
    options = arguments.parse_args()
    first = options.seed * 10**9
    if options.case is not None:
        case = make_case(first + options.case)
        print(case)
        check(case)
        return
    end = time.monotonic() + options.seconds
    count = 0
    while time.monotonic() < end:
        try:
            check(make_case(first + count))
        except Exception:
            print(f"--seed {options.seed} --case {count}")
            raise
        count += 1
    print(f"{count:,} cases in {options.seconds:.0f} s, no difference")


if __name__ == "__main__":
    main()
