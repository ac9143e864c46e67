"""A server that is killed again and again: each event of its log comes once, in order.

    python -m tests.faults.kills [--kills 500] [--shell NAME] [--seed N] [--tls]

NAME is asyncio, trio, blocking or uvloop; without it, the first three.

Each connection is broken off at a random byte, head included: by FIN, by RST, with a part
of a chunk that had been announced, or by silence, which the client's limits have to find
out. When it has been killed so often, the server serves the rest of its log, then 204.
"""

from __future__ import annotations

import argparse
import collections
import random
import ssl
import time
from typing import Any, get_args

import anyio
import trustme

from sse_core import ServerSentEvent, Timeout
from tests.support.log_server import (
    FRAMINGS,
    LINE_ENDS,
    STOP,
    Answer,
    How,
    LogServer,
    body,
    events,
    response,
    source_kind,
)

AHEAD = 8
"""Events that a connection would get if it were not killed."""

SILENCE = Timeout(connect=10.0, head=0.05, idle=0.05)
"""Shorter than any server would like; a limit that passes too early is one kill more."""


class Killer:
    """Breaks off so many connections; the log grows as long as it does."""

    def __init__(self, kills: int, seed: int) -> None:
        self._left = kills
        self._rest = 2 * kills  # answers that are whole; a client that asks for more is sent away
        self._random = random.Random(seed)
        self.killed: collections.Counter[How] = collections.Counter()
        self.log = 0

    def answer(self, path: str, last_event_id: int) -> Answer:
        choose = self._random
        if not self._left:
            self._rest -= 1
            if last_event_id == self.log or not self._rest:
                return Answer(STOP)
        if self._left:
            self.log = max(self.log, last_event_id + AHEAD)
        pieces = body(self.log, last_event_id, choose.choice(LINE_ENDS))
        if not self._left:
            return Answer(response(pieces, choose.choice(FRAMINGS)))
        self._left -= 1
        how = choose.choice(get_args(How))
        self.killed[how] += 1
        if how == "half chunk":
            data = response([b"".join(pieces)], "chunked")  # one chunk, so that any cut is in it
            start, end = data.index(b"\r\n\r\n") + 4, len(data) - len(b"\r\n0\r\n\r\n")
        else:
            data = response(pieces, choose.choice(FRAMINGS))
            start, end = 0, len(data)
        return Answer(data[: choose.randrange(start, end)], how, choose.randrange(1, 6))


def run(shell: str, kills: int, seed: int, *, tls: bool = False) -> Killer:
    """Read the log of a server that is killed so often; return the server's side of it."""
    killer = Killer(kills, seed)
    client = server = None
    if tls:
        authority = trustme.CA()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(server)
        client = ssl.create_default_context()
        authority.configure_trust(client)
    received: list[ServerSentEvent] = []

    def source_of(log_server: LogServer) -> Any:
        return source_kind(shell)(
            log_server.url,
            reconnection_time=0.0,
            min_reconnection_time=0.001,
            max_reconnection_time=0.01,
            uniform=random.Random(seed).random,
            timeout=SILENCE,
            ssl_context=client,
        )

    async def read(log_server: LogServer) -> None:
        async with source_of(log_server) as source:
            received.extend([event async for event in source])

    with LogServer(killer.answer, server) as log_server:
        if shell == "blocking":
            with source_of(log_server) as source:
                received.extend(source)
        else:
            anyio.run(read, log_server, **loop(shell))
    assert events(killer.log) == received
    return killer


def loop(shell: str) -> dict[str, Any]:
    """Return the arguments of ``anyio.run`` for a shell, uvloop being another asyncio."""
    if shell == "uvloop":
        return {"backend": "asyncio", "backend_options": {"use_uvloop": True}}
    return {"backend": shell}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=500)
    shells = ["asyncio", "trio", "blocking", "uvloop"]
    parser.add_argument("--shell", choices=shells, action="append")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--tls", action="store_true")
    arguments = parser.parse_args()
    for shell in arguments.shell or shells[:3]:
        start = time.monotonic()
        killer = run(shell, arguments.kills, arguments.seed, tls=arguments.tls)
        seconds = time.monotonic() - start
        how = ", ".join(f"{number} {how}" for how, number in sorted(killer.killed.items()))
        print(
            f"{shell}: killed {killer.killed.total()} times ({how}), {killer.log} events, "
            f"each once and in order, {seconds:.1f} s, seed {arguments.seed}",
            flush=True,
        )


if __name__ == "__main__":
    main()
