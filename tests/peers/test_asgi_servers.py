"""`EventStreamResponse` under servers that nobody here wrote, each a process of its own.

Skipped where they are not installed, unless SSE_REQUIRE_SERVERS is set.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from time import monotonic

import pytest

from sse_core import ServerSentEvent, TransportError
from sse_core.sync import EventStream, stream
from tests.peers.servers.launch import ROOT

SERVERS = ["uvicorn", "hypercorn-asyncio", "hypercorn-trio"]
WAIT = 20


class Program:
    """A server that runs, and what it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = int(self.line())
        self.url = f"http://127.0.0.1:{self.port}"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def lines(self) -> list[str]:
        """Wait for the end; return the lines that were left."""
        return self.process.communicate(timeout=WAIT)[0].split()

    @contextmanager
    def reading(self, path: str) -> Iterator[EventStream[ServerSentEvent]]:
        with closing(self.opened(path)) as events:
            assert "first" == next(iter(events)).data
            yield events

    def opened(self, path: str) -> EventStream[ServerSentEvent]:
        """Ask, once the server is ready to be asked."""
        deadline = monotonic() + WAIT
        while True:
            try:
                return stream(self.url + path).__enter__()
            except TransportError:
                assert monotonic() < deadline


def rest(events: EventStream[ServerSentEvent]) -> list[ServerSentEvent] | None:
    """Return what still comes, or None if the stream is cut off."""
    try:
        return list(events)
    except TransportError:
        return None


@contextmanager
def running(program: str, name: str) -> Iterator[Program]:
    if find_spec(name.partition("-")[0]) is None:
        reason = f"{name} needs the extra `servers`"
        if os.environ.get("SSE_REQUIRE_SERVERS"):
            pytest.fail(f"SSE_REQUIRE_SERVERS is set, but {reason}")
        pytest.skip(reason)
    command = [sys.executable, "-m", f"tests.peers.servers.{program}", name]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield Program(process)
        finally:
            process.terminate()


@pytest.fixture(params=[*SERVERS, "granian"])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with running("stream_program", request.param) as program:
        yield program


@pytest.mark.parametrize("program", SERVERS, indirect=True)
def test_shutdown_with_a_hundred_streams(program: Program) -> None:
    """SIGTERM: every stream comes to an end, every producer cleans up, and all within 3 s."""
    with ExitStack() as stack:
        streams = [stack.enter_context(program.reading("/")) for _ in range(100)]
        asked = monotonic()
        program.process.send_signal(signal.SIGTERM)
        left = [rest(events) for events in streams]
        finished = program.lines()
        took = monotonic() - asked

    # hypercorn cancels the application, which cuts the response off.
    assert left == [[] if "uvicorn" in str(program.process.args) else None] * 100
    assert ["/"] * 100 == finished
    assert took < 3


@pytest.mark.parametrize(
    "program",
    [
        *SERVERS,
        pytest.param(
            "granian",
            marks=pytest.mark.xfail(
                strict=True,
                raises=subprocess.TimeoutExpired,
                reason="nothing tells a stream that begins after the signal; granian waits for it",
            ),
        ),
    ],
    indirect=True,
)
def test_shutdown_before_a_stream_begins(program: Program) -> None:
    """One whose endpoint is still at work when SIGTERM comes does not hold up the end."""
    with program.reading("/"), socket.create_connection(("127.0.0.1", program.port)) as late:
        late.sendall(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
        assert "asked" == program.line()
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(timeout=3)


def test_leaving_ends_the_producer(program: Program) -> None:
    """Also one that waits for nothing; and it does not keep others from being served."""
    with program.reading("/busy"), program.reading("/waiting"):
        pass

    assert {"/busy", "/waiting"} == {program.line(), program.line()}


@pytest.mark.parametrize("path", ["/silent", "/wrapped"])
def test_leaving_in_a_long_silence_ends_the_producer(program: Program, path: str) -> None:
    """The wait for that is given up for each comment, and no server minds."""
    with program.reading(path), socket.create_connection(("127.0.0.1", program.port)) as client:
        client.settimeout(WAIT)
        client.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
        received = b""
        while received.count(b"\n:\n\n") < 5:
            data = client.recv(2**16)
            assert data
            received += data

    assert [path, path] == [program.line(), program.line()]


@pytest.mark.parametrize("framework", ["starlette", "fastapi", "litestar", "quart"])
@pytest.mark.parametrize("path", ["/events", "/mounted"])
def test_frameworks(framework: str, path: str) -> None:
    """Returned from an endpoint where that works, and mounted."""
    with running("framework_program", framework) as program:
        with closing(program.opened(path)) as events:
            ids = [event.id for event in events]

    assert ["0", "1", "2"] == ids
