"""F5, F6, F49: system calls that fail: a typed error or another attempt, and nothing is left."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from sse_core import Disconnected, TransportError
from tests.support.failing_calls import ALL, TRANSFER, FailingCall
from tests.support.leaks import files, held
from tests.support.log_server import STOP, Answer, LogServer, body, events, response
from tests.support.scripted_server import WAIT, Script, ScriptedServer, chunked
from tests.support.shells import Shell, on_every_shell
from tests.support.sources import source_of
from tests.support.tls import CLIENT, SERVER

LOG = 3
MOST = 200
"""Calls that none of these comes to."""


def aborted() -> OSError:
    return OSError(errno.ECONNABORTED, "Software caused connection abort")


def failed() -> OSError:
    return OSError(errno.EIO, "Input/output error")


with_and_without_tls = pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])


def answer(path: str, last_event_id: int) -> Answer:
    """Two events and a half, the rest, and a stop."""
    if last_event_id == LOG:
        return Answer(STOP)
    whole = response(body(LOG, last_event_id), "chunked")
    return Answer(whole if last_event_id else whole[:300])


def outcome(
    shell: Shell, make_server: Callable[[], Any], open_items: Callable[[Any], Any], call: Any
) -> tuple[list[Any], BaseException | None]:
    """Read to the end in the block of ``call``; return what came, and what was raised."""
    received: list[Any] = []

    async def read(items: Any) -> None:
        if shell.blocking:
            with items:
                for item in items:
                    received.append(item)  # noqa: PERF402  # one by one: it may fail
        else:
            async with items:
                async for item in items:
                    received.append(item)  # noqa: PERF401  # one by one: it may fail

    async def scenario(_: Any) -> BaseException | None:
        before = files() if shell.blocking else await held()
        error: BaseException | None = None
        with make_server() as server:
            try:
                with call:
                    await read(open_items(server))
            except Exception as exc:
                error = exc.with_traceback(None)  # its frames hold the socket they had
            if not shell.blocking:
                await held()  # lets it close, so that the server does not wait
        assert before == (files() if shell.blocking else await held()), call.failed
        return error

    error = shell.run(scenario, None)
    return received, error


@pytest.mark.sweep(quick=6)
@on_every_shell
@with_and_without_tls
@pytest.mark.parametrize(
    ("failure", "names"),
    [
        (failed, ALL),
        (aborted, ALL),
        # In connecting, CPython itself leaves a socket open when there is no memory.
        (MemoryError, TRANSFER),
    ],
    ids=["EIO", "ECONNABORTED", "MemoryError"],
)
def test_f49_stream(
    failure: Callable[[], Exception], names: frozenset[str], tls: bool, shell: Shell
) -> None:
    """Each call fails once: a typed error, or no error; what came is whole, and in order."""
    for number in range(1, MOST):
        call = FailingCall(number, failure(), names)

        def make_server() -> ScriptedServer:
            return ScriptedServer(chunked(body(LOG)), ssl_context=SERVER if tls else None)

        def open_items(server: Any) -> Any:
            return shell.stream(server.url, ssl_context=CLIENT, timeout=WAIT)

        received, error = outcome(shell, make_server, open_items, call)

        assert events(LOG)[: len(received)] == received
        if not call.failed:
            assert (events(LOG), None) == (received, error)
            assert number > 2
            return
        assert error is None or isinstance(error, TransportError | MemoryError), call.failed
        assert error is not None or events(LOG) == received
    raise AssertionError("never ran to its end")


@pytest.mark.sweep(quick=3)
@on_every_shell
@with_and_without_tls
def test_f6_f49_source(tls: bool, shell: Shell) -> None:
    """Each call of several connections fails once: each event comes once and in order."""
    for number in range(1, MOST):
        call = FailingCall(number, aborted())

        def make_server() -> LogServer:
            return LogServer(answer, SERVER if tls else None)

        def open_items(server: Any) -> Any:
            return source_of(shell, server, ssl_context=CLIENT, timeout=WAIT, max_attempts=3)

        found = outcome(shell, make_server, open_items, call)

        assert (events(LOG), None) == found, (number, call.failed)
        if not call.failed:
            assert number > 8
            return
    raise AssertionError("never ran to its end")


class EveryMillisecond:
    """In this block, a signal interrupts whatever call there is, again and again."""

    failed = ""

    def __init__(self) -> None:
        self.interruptions = 0

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGALRM, self._interrupted)
        self._bound = signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)

    def __exit__(self, *exc: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)
        signal.setitimer(signal.ITIMER_REAL, *self._bound)

    def _interrupted(self, number: int, frame: Any) -> None:
        self.interruptions += 1


@on_every_shell
@with_and_without_tls
def test_f6_interrupted(tls: bool, shell: Shell) -> None:
    """EINTR: a call that a signal interrupted is made again (PEP 475)."""
    call = EveryMillisecond()
    pieces = body(400)

    def make_server() -> ScriptedServer:
        return ScriptedServer(chunked(pieces), ssl_context=SERVER if tls else None)

    def open_items(server: Any) -> Any:
        return shell.stream(server.url, ssl_context=CLIENT, timeout=WAIT)

    assert (events(400), None) == outcome(shell, make_server, open_items, call)
    assert call.interruptions > 0


@contextmanager
def no_more_files() -> Iterator[None]:
    """In this block, the process cannot open another file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    hoard = []
    try:
        with suppress(OSError):
            while True:
                hoard.append(os.dup(0))
        yield
    finally:
        for file in hoard:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@on_every_shell
def test_f5_no_more_files(shell: Shell) -> None:
    """EMFILE leads to another attempt, which succeeds when there are files again."""

    async def scenario(source: Any) -> list[Any]:
        async with source:
            items = source.items() if not shell.blocking else _Items(source.items())
            before = files()
            with no_more_files():
                first = await anext(items)
            assert before == files()
            assert isinstance(first, Disconnected)
            assert isinstance(first.error, TransportError)
            assert "Too many open files" in str(first.error)
            return [event.data async for event in source]

    with ScriptedServer(chunked([b"data: a\n\n"]), Script([STOP])) as server:
        assert ["a"] == shell.run(scenario, source_of(shell, server, timeout=WAIT))


class _Items:
    """A blocking iterator that a scenario awaits."""

    def __init__(self, items: Any) -> None:
        self._items = items

    async def __anext__(self) -> Any:
        return next(self._items)
