"""F54 to F56: clocks that jump, processes that fork, and interpreters that end."""

from __future__ import annotations

import asyncio
import selectors
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import trio.testing

import sse_core
import sse_core.sync
from sse_core import Timeout
from tests.support.counting import CountingSocket, CountingStream, connect_to
from tests.support.scripted_server import HEAD, Script, ScriptedServer, chunked, chunks
from tests.support.shells import SHELLS, Shell, on_every_shell
from tests.support.tls import AUTHORITY, SERVER

ROOT = Path(__file__).parents[2]

LONGEST = 30
"""Seconds after which a process has failed."""

DAY = 24 * 3600.0
MONTH = 30 * DAY
IDLE, WAIT, PING, PINGS = 3600.0, 3.0, 15.0, 20


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


class JumpingSelector(selectors.DefaultSelector):
    """Moves the clock to the next deadline instead of waiting for it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing would ever happen"
        self._clock.wait(timeout)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on that clock."""

    def __init__(self) -> None:
        self._clock = Clock()
        super().__init__(JumpingSelector(self._clock))

    def time(self) -> float:
        return self._clock.now


def connection(number: int) -> list[bytes]:
    """Return what a connection of that month gets; before each piece it waits."""
    event = b"id: %d\ndata: %d\n\n" % (number, number)
    return [HEAD + b"\r\n" + event, *[b": ping\n"] * PINGS]


class QuietStream(CountingStream):
    """Pings for a while, then falls silent."""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self._pieces:
            await anyio.sleep_forever()
        if self.reads:
            await anyio.sleep(PING)
        return await super().receive(max_bytes)


class QuietSocket(CountingSocket):
    """The same, blocking, on a clock of its own."""

    def __init__(self, pieces: list[bytes], clock: Clock) -> None:
        super().__init__(pieces)
        self._clock = clock
        self._timeout = 0.0

    def settimeout(self, value: float | None, /) -> None:
        assert value is not None
        self._timeout = value

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if not self._pieces:
            self._clock.wait(self._timeout)
            raise TimeoutError("timed out")
        if self.reads:
            self._clock.wait(PING)
        return super().recv(bufsize)


@pytest.mark.slow
@on_every_shell
def test_f54_a_month_of_idling_and_reconnecting(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timers fire when they should for thirty days, while the wall clock jumps by days."""
    of_each = PINGS * PING + IDLE + WAIT
    connections = int(MONTH / of_each)
    clock = Clock()
    opened = 0
    wall = iter(range(10**9))

    def transport() -> Any:
        nonlocal opened
        opened += 1
        pieces = connection(opened)
        if opened > connections:
            pieces = [b"HTTP/1.1 204 No Content\r\n\r\n"]
        return QuietSocket(pieces, clock) if shell.blocking else QuietStream(pieces)

    async def read() -> tuple[list[str], float]:
        start = anyio.current_time()
        async with sse_core.EventSource("http://h", timeout=Timeout(idle=IDLE)) as source:
            received = [event.data async for event in source]
        return received, anyio.current_time() - start

    monkeypatch.setattr(time, "time", lambda: next(wall) * DAY * (-1) ** opened)
    connect_to(transport, monkeypatch, blocking=shell.blocking)
    if shell.blocking:
        wakeup = SimpleNamespace(wait=clock.wait, set=lambda: None)
        monkeypatch.setattr(threading, "Event", lambda: wakeup)
        monkeypatch.setattr(time, "monotonic", clock.monotonic)
        with sse_core.sync.EventSource("http://127.0.0.1", timeout=Timeout(idle=IDLE)) as source:
            received = [event.data for event in source]
        elapsed = clock.now
    else:
        options: dict[str, Any] = {"loop_factory": JumpingLoop}
        if shell.name == "trio":
            options = {"clock": trio.testing.MockClock(autojump_threshold=0)}
        received, elapsed = anyio.run(read, backend=shell.name, backend_options=options)

    assert [str(number) for number in range(1, connections + 1)] == received
    assert connections * of_each == pytest.approx(elapsed, abs=1.0)
    assert elapsed > MONTH - of_each


def run_python(code: str, *arguments: str, warnings: str = "error") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", warnings, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )


FORKING = """
import gc, os, ssl, sys
import sse_core.sync
context = ssl.create_default_context(cafile=sys.argv[2])
events = sse_core.sync.stream(sys.argv[1], ssl_context=context)
events.__enter__()
print(next(events).data, flush=True)
child = os.fork()
if child == 0:
    {in_the_child}
    os._exit(0)
assert os.waitpid(child, 0) == (child, 0)
print("forked", flush=True)
print(*[event.data for event in events])
events.close()
"""

FORKING_ASYNC = """
import gc, os, ssl, sys
import anyio, sse_core
async def main():
    global events
    context = ssl.create_default_context(cafile=sys.argv[2])
    events = sse_core.stream(sys.argv[1], ssl_context=context)
    await events.__aenter__()
    print((await anext(events)).data, flush=True)
    child = os.fork()
    if child == 0:
        {in_the_child}
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    print("forked", flush=True)
    print(*[event.data async for event in events])
    await events.aclose()
anyio.run(main, backend="{backend}")
"""

DROPS = "import warnings; warnings.simplefilter('ignore'); del events; gc.collect()"

# An event loop is of no use in a child, so that closing cannot be awaited there.
IN_THE_CHILD = [
    pytest.param(shell, code, id=f"{shell.name}-{name}")
    for shell in SHELLS
    for name, code in (("ends", "pass"), ("drops", DROPS))
]
CLOSES = pytest.param(SHELLS[-1], "events.close()", id="blocking-closes")


@pytest.mark.sweep(quick=4)
@pytest.mark.parametrize(("shell", "in_the_child"), [*IN_THE_CHILD, CLOSES])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_f55_fork(in_the_child: str, tls: bool, shell: Shell, tmp_path: Path) -> None:
    """A child that has the stream too sends nothing, and the parent's goes on."""
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    code = FORKING if shell.blocking else FORKING_ASYNC
    gate = threading.Event()
    a, b = chunks([b"data: a\n\n", b"data: b\n\n"])
    script = Script([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", a, gate, b, b"0\r\n\r\n"])

    with ScriptedServer(script, ssl_context=SERVER if tls else None) as server:
        client = run_python(
            code.format(in_the_child=in_the_child, backend=shell.name),
            server.url,
            str(tmp_path / "authority.pem"),
        )
        assert client.stdout is not None
        came = [client.stdout.readline(), client.stdout.readline()]
        gate.set()
        rest, errors = client.communicate(timeout=LONGEST)

    assert ("", ["a\n", "forked\n"], "b\n") == (errors, came, rest)


ENDING = """
import sys
import sse_core.sync
{items}
first = next(iter(items))
{then}
"""

ENDING_ASYNC = """
import sys
import anyio, sse_core
async def main():
    global items
    {items}
    first = await anext(aiter(items))
    {then}
anyio.run(main, backend="{backend}")
"""

STREAM = "items = {module}.stream(sys.argv[1]); {enter}"
SOURCE = "items = {module}.EventSource(sys.argv[1])"


@pytest.mark.sweep(quick=3)
@on_every_shell
@pytest.mark.parametrize("items", [STREAM, SOURCE], ids=["stream", "source"])
@pytest.mark.parametrize(
    ("then", "status"),
    [("pass", 0), ("sys.exit(3)", 3)],
    ids=["ends", "exits"],
)
def test_f56_interpreter_ends_with_an_open_stream(
    then: str, status: int, items: str, shell: Shell
) -> None:
    """No traceback; whether it warns of what was not closed is for the caller to say."""
    module = "sse_core.sync" if shell.blocking else "sse_core"
    enter = "items.__enter__()" if shell.blocking else "await items.__aenter__()"
    code = (ENDING if shell.blocking else ENDING_ASYNC).format(
        items=items.format(module=module, enter=enter), then=then, backend=shell.name
    )
    found = []
    for warnings in ("ignore", "default"):
        script = chunked([b"data: a\n\n"], "hold", last_chunk=False)
        with ScriptedServer(script) as server:
            client = run_python(code, server.url, warnings=warnings)
            _, errors = client.communicate(timeout=LONGEST)
            found.append((client.returncode, errors))

    assert (status, "") == found[0]
    assert status == found[1][0]
    assert "Traceback" not in found[1][1]
    warned = [line for line in found[1][1].splitlines() if "Warning: " in line]
    assert all("ResourceWarning: " in line for line in warned), warned
