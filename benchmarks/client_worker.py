"""One client in its own process: it reads questions from standard input, measures, answers.

The clocks are those of this process: ``process_time`` is user and system time of all its
threads. They run from the response head to the end of the stream.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import json
import os
import ssl
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio

from sse_core import ServerSentEvent

from .client_peers import CLIENTS, Client, Read, Take
from .client_server import Shared, expected, paced
from .measure import verdict
from .parsers import Outcome, View

PATIENCE = 300.0
"""Seconds after which a question ends this process."""

OPENING = 50
"""The number of streams opened at the same time."""


class Meter:
    """Clocks that run from the entry of the last of ``streams`` until all have been left."""

    def __init__(self, streams: int = 1, entered: Callable[[], object] | None = None) -> None:
        self._missing = streams
        self._open = streams
        self._entered = entered
        self.cpu = 0.0
        self.wall = 0.0

    def __enter__(self) -> None:
        self._missing -= 1
        if not self._missing:
            gc.collect()
            self.wall = time.perf_counter()
            self.cpu = time.process_time()
        if self._entered:
            self._entered()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open -= 1
        if not self._open:
            self.cpu = time.process_time() - self.cpu
            self.wall = time.perf_counter() - self.wall


class Worker:
    """The questions that one client answers."""

    def __init__(self, client: Client, shared: Shared) -> None:
        self._client = client
        self._count = shared.count

    def single(self, url: str, events: int, *, lockstep: bool, keep: bool) -> dict[str, Any]:
        """Read one stream. ``keep`` the events and compare them, or count them in C."""
        items: list[Any] = []
        numbers = count()
        # Takes an event and drops it, as the default of next().
        take: Take = items.append if keep else partial(next, numbers)
        if lockstep:
            take = self._in_step(take)
        meter = Meter()
        self._count[0] = 0
        if self._client.loop:
            self._run(partial(self._read, url, meter, take))
        else:
            with self._client.session() as read:
                read(url, meter, take)
        if keep:
            wrong = verdict(expected(events), self._outcome(items))
        else:
            taken = next(numbers)
            wrong = "" if taken == events else f"{taken:,} of {events:,} events"
        return {"verdict": wrong, "cpu": meter.cpu / events, "wall": meter.wall / events}

    def paced(self, url: str, streams: int, events: int) -> dict[str, Any]:
        """Read many streams at a time. The delay is from the send to the consumer."""
        arrived: list[tuple[int, str]] = []

        def take(event: Any) -> None:
            arrived.append((time.monotonic_ns(), event.data))

        meter: Meter

        async def read_all() -> None:
            nonlocal meter
            opening = anyio.Semaphore(OPENING)
            meter = Meter(streams, opening.release)
            self._count[0] = 0
            async with self._client.session(None) as read, anyio.create_task_group() as group:
                for _ in range(streams):
                    await opening.acquire()
                    group.start_soon(read, url, meter, take)
                for _ in range(OPENING):  # all are open
                    await opening.acquire()
                self._count[0] = 1

        self._run(read_all)
        sent = [(int(data.split(" ", 1)[0]), data) for _, data in arrived]
        got = sorted(data[21:] for _, data in sent)
        wrong = verdict(
            [ServerSentEvent(paced(0, *divmod(at, events))[21:]) for at in range(streams * events)],
            Outcome([View("message", data, None) for data in got], None),
        )
        delays = sorted(now - then for (now, _), (then, _) in zip(arrived, sent, strict=True))
        last = len(delays) - 1
        return {
            "verdict": wrong,
            "cpu": meter.cpu / (streams * events),
            "wall": meter.wall / (streams * events),
            "delay": [delays[last // 2] / 1e9, delays[last * 99 // 100] / 1e9] if delays else [],
        }

    def idle(self, url: str, streams: int, tls: str) -> dict[str, Any]:
        """Open streams and wait for their first events; return the growth of the process."""
        context = ssl.create_default_context(cafile=tls) if tls else None
        grown = 0

        async def open_all() -> None:
            nonlocal grown
            opening = anyio.Semaphore(OPENING)

            async def opened(number: int) -> None:
                for _ in range(number):
                    await opening.acquire()
                    group.start_soon(read, url, Meter(number), lambda _: opening.release())
                for _ in range(OPENING):
                    await opening.acquire()
                for _ in range(OPENING):
                    opening.release()
                gc.collect()

            async with self._client.session(context) as read, anyio.create_task_group() as group:
                await opened(min(OPENING, streams))  # one-time costs are paid now
                before = _resident()
                await opened(streams)
                grown = _resident() - before
                group.cancel_scope.cancel()

        self._run(open_all)
        return {"verdict": "", "bytes": grown / streams}

    async def _read(self, url: str, meter: Meter, take: Take) -> None:
        read: Read
        async with self._client.session(None) as read:
            await read(url, meter, take)

    def _run(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        match self._client.loop:
            case "trio":
                anyio.run(function, backend="trio")
            case "uvloop":
                anyio.run(function, backend_options={"use_uvloop": True})
            case _:
                asyncio.run(function())

    def _in_step(self, take: Take) -> Take:
        taken = 0
        shared = self._count

        def take_and_tell(event: Any) -> None:
            nonlocal taken
            take(event)
            taken += 1
            shared[0] = taken

        return take_and_tell

    def _outcome(self, items: list[Any]) -> Outcome:
        name = self._client.event_name
        return Outcome([View(name(item) or "message", item.data, None) for item in items], None)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Answer each line of JSON with another."""
    name, shared = sys.argv[1:]
    worker = Worker(CLIENTS[name], Shared(Path(shared)))
    print(json.dumps({"client": name}), flush=True)
    for line in sys.stdin:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        question = json.loads(line)
        try:
            answer = getattr(worker, question.pop("ask"))(**question)
        except Exception as exc:
            while isinstance(exc, ExceptionGroup):
                exc = exc.exceptions[0]
            answer = {"verdict": f"raises {type(exc).__name__}: {str(exc)[:200]}"}
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
