"""The shells against a real peer: one table of scenarios for asyncio, trio and blocking."""

from __future__ import annotations

import errno
import gc
import json as jsonlib
import math
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

import sse_core
import sse_core.sync
from sse_core import (
    Comment,
    ConnectTimeout,
    EventTimeout,
    EventTooLarge,
    HeadTimeout,
    ProtocolError,
    ReadTimeout,
    Request,
    ResponseError,
    ServerSentEvent,
    SSEError,
    Timeout,
    TotalTimeout,
    TransportError,
    WriteTimeout,
)
from sse_core._client.sync_connector import transport_errors
from sse_core._http.limits import Limit
from tests.support.callers import Caller, with_client
from tests.support.counting import CountingSocket, CountingStream, connect_to
from tests.support.scripted_server import HEAD, WAIT, Script, ScriptedServer, chunked, chunks
from tests.support.shells import (
    SHELLS,
    Shell,
    cancelled_at,
    on_every_shell,
)
from tests.support.waiting import waiting_in_a_thread

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
A, B = b"id: 1\ndata: a\n\n", b"data: b\n\n"
EVENTS = [ServerSentEvent("a", id="1"), ServerSentEvent("b", id="1")]
ERROR = b"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nX-Request-Id: r\r\n"
SHORT = 0.05
"""Seconds, where a time limit is what is tested."""

Scenario = Callable[[Any], Awaitable[Any]]


@pytest.fixture(scope="module", autouse=True)
def _no_leaks() -> Iterator[None]:
    """A socket that was not closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


async def read(events: Any) -> list[Any]:
    return [event async for event in events]


def over_socket(shell: Shell, script: Script, **options: Any) -> tuple[Any, list[Any], Any]:
    """Read what the script answers to the end; the peer must see the close."""
    with ScriptedServer(script) as server:
        found = shell.collect(shell.stream(server.url, **{"timeout": WAIT, **options}))
        assert script.end == "reset" or script.closed.wait(WAIT)
    return found


@on_every_shell
@pytest.mark.parametrize(
    "script",
    [
        chunked([A, B], "hold"),
        chunked([A[:3], A[3:] + B[:1], B[1:]], "hold"),
        Script([CHUNKED + b"".join(chunks([A, B])) + b"0\r\nX: y\r\n\r\n"], "hold"),
        Script([HEAD + b"Content-Length: 24\r\n\r\n", A, B + b"data: after\n\n"], "hold"),
        Script([HEAD + b"\r\n", A, B]),
        Script([HEAD.replace(b"1.1", b"1.0") + b"\r\n" + A, B + b"data: cut"]),
        Script([b"HTTP/1.1 103 E\r\n\r\n", CHUNKED, *chunks([A + B]), b"0\r\n\r\n"], "hold"),
    ],
    ids=["chunked", "cut", "trailers", "length", "closed", "HTTP/1.0", "informational"],
)
def test_stream(script: Script, shell: Shell) -> None:
    """Events come in every framing; the socket is closed at the end of the stream."""
    script = Script(script.pieces, script.end)

    opened, events, error = over_socket(shell, script)

    assert (EVENTS, None) == (events, error)
    assert "text/event-stream" == opened.response.headers["content-type"]
    assert ("1", None) == (opened.last_event_id, opened.reconnection_time)


@on_every_shell
def test_204(shell: Shell) -> None:
    """A stream without events."""
    _, events, error = over_socket(shell, Script([b"HTTP/1.1 204 No Content\r\n\r\n"], "hold"))

    assert ([], None) == (events, error)


@on_every_shell
def test_comments_and_reconnection_time(shell: Shell) -> None:
    """Options reach the parser."""
    opened, items, _ = over_socket(
        shell, chunked([b": c\nretry: 5\ndata: a\n\n"], "hold"), comments=True, last_event_id="7"
    )

    assert [Comment("c"), ServerSentEvent("a", id="7", retry=5)] == items
    assert ("7", 5) == (opened.last_event_id, opened.reconnection_time)


@on_every_shell
def test_many_events_over_many_reads(shell: Shell) -> None:
    """More events than one read can hold, none lost and none twice."""
    pieces = [b"".join(b"data: %d\n\n" % (1000 * i + j) for j in range(1000)) for i in range(40)]

    _, events, error = over_socket(shell, chunked(pieces, "hold"))

    assert (list(map(str, range(40_000))), None) == ([event.data for event in events], error)


@on_every_shell
@pytest.mark.parametrize(
    ("rest", "end"),
    [
        ([b'Content-Length: 12\r\n\r\n{"error": 1}'], "hold"),
        ([b"Transfer-Encoding: chunked\r\n\r\n", *chunks([b'{"error"', b": 1}"]), b"0\r\n\r\n"],
         "hold"),
        ([b'\r\n{"error": 1}'], "close"),
        ([b'Content-Length: 99\r\n\r\n{"error": 1}'], "close"),
        ([b"Transfer-Encoding: chunked\r\n\r\n", *chunks([b'{"error": 1}']), b"x\r\n"], "hold"),
    ],
    ids=["length", "chunked", "closed", "cut", "broken"],
)  # fmt: skip
def test_error_response(rest: list[bytes], end: Any, shell: Shell) -> None:
    """Status, headers and body of an error reach the caller, however the body ends."""
    _, _, error = over_socket(shell, Script([ERROR, *rest], end))

    assert isinstance(error, ResponseError)
    assert (401, "r") == (error.response.status, error.response.headers["x-request-id"])
    assert b'{"error": 1}' == error.body


@on_every_shell
def test_error_response_that_is_reset(shell: Shell) -> None:
    """What had come of the body is kept, and the reset is the cause."""
    script = Script([ERROR + b"Content-Length: 99\r\n\r\n{}"], "reset")

    _, _, error = over_socket(shell, script)

    assert isinstance(error, ResponseError)
    assert isinstance(error.__cause__, TransportError)
    assert error.body in (b"", b"{}")  # a reset may overtake it


@on_every_shell
def test_error_response_that_stalls(shell: Shell) -> None:
    """An error whose body never ends is still that error, when the time for the head is up."""
    script = Script([ERROR + b"Content-Length: 99\r\n\r\n{}"], "hold")

    _, _, error = over_socket(shell, script, timeout=Timeout(head=SHORT))

    assert isinstance(error, ResponseError)
    assert b"{}" == error.body
    assert isinstance(error.__cause__, HeadTimeout)


@on_every_shell
def test_endless_error_body(shell: Shell) -> None:
    """64 KiB are read of it, then the connection is closed."""
    script = Script([ERROR + b"\r\n", *[b"x" * 65536] * 400], "hold")

    _, _, error = over_socket(shell, script)

    assert isinstance(error, ResponseError)
    assert b"x" * 65536 == error.body


FAILURES: list[tuple[str, Script, list[ServerSentEvent], type[SSEError], str]] = [
    ("cut chunks", chunked([A, B[:-1]], last_chunk=False), EVENTS[:1], TransportError, "the body"),
    ("cut length", Script([HEAD + b"Content-Length: 30\r\n\r\n", A]), EVENTS[:1], TransportError,
     "the body"),
    ("closed early", Script([]), [], TransportError, "the response head"),
    ("cut head", Script([HEAD]), [], TransportError, "the response head"),
    ("broken chunk", Script([CHUNKED, *chunks([A]), b"x\r\n"], "hold"), EVENTS[:1], ProtocolError,
     "illegal chunk header"),
    ("no HTTP", Script([b"220 mail.example ESMTP\r\n"] * 2, "hold"), [], ProtocolError, ""),
    ("large event", chunked([A, b"data: " + b"x" * 99], "hold"), EVENTS[:1], EventTooLarge, "50"),
    ("large event in one read", Script([CHUNKED + b"63\r\n" + A + b"data: " + b"x" * 79], "hold"),
     EVENTS[:1], EventTooLarge, "50"),
]  # fmt: skip


@on_every_shell
@pytest.mark.parametrize(
    ("script", "came", "exception", "text"),
    [failure[1:] for failure in FAILURES],
    ids=[failure[0] for failure in FAILURES],
)
def test_failure(
    script: Script, came: list[Any], exception: type[SSEError], text: str, shell: Shell
) -> None:
    """Complete events come first, then what went wrong; the socket is closed at once."""
    script = Script(script.pieces, script.end)

    _, events, error = over_socket(shell, script, max_event_size=50)

    assert (came, exception) == (events, type(error))
    assert text in str(error)


@on_every_shell
def test_reset(shell: Shell) -> None:
    """A reset is a TransportError with the system's error as its cause."""
    gate = threading.Event()

    async def scenario(events: Any) -> ServerSentEvent:
        async with events:
            first: ServerSentEvent = await anext(events)
            gate.set()
            with pytest.raises(TransportError, match="reading the response failed") as caught:
                await anext(events)
            assert isinstance(root_of(caught.value), ConnectionResetError)
            return first

    with ScriptedServer(Script([CHUNKED, *chunks([A]), gate], "reset")) as server:
        assert EVENTS[0] == shell.run(scenario, shell.stream(server.url, timeout=WAIT))


def root_of(error: BaseException | None) -> BaseException | None:
    """Follow the causes to the first; they may not go in a circle."""
    seen: list[BaseException | None] = []
    while error is not None and error.__cause__ is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__
    return error


@on_every_shell
def test_refused(shell: Shell) -> None:
    """A refused connection names the peer, and has the system's error as its cause."""
    with ScriptedServer() as server:
        pass

    _, _, error = shell.collect(shell.stream(server.url + "?key=secret"))

    assert type(error) is TransportError
    assert f"connecting to 127.0.0.1:{server.port} failed" in str(error)
    assert isinstance(root_of(error), OSError)


@pytest.fixture
def unanswering() -> Iterator[str]:
    """The URL of a port where connecting gets no answer: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        try:
            for _ in range(3):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(listener.getsockname())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            for client in waiting:
                client.close()


@on_every_shell
def test_connect_timeout(unanswering: str, shell: Shell) -> None:
    """No answer from TCP within the limit."""
    _, _, error = shell.collect(shell.stream(unanswering, timeout=Timeout(connect=SHORT)))

    assert type(error) is ConnectTimeout
    assert "no connection within 0.05 seconds" == str(error)
    assert isinstance(error, TimeoutError)


@on_every_shell
@pytest.mark.parametrize("pieces", [[], [HEAD]], ids=["silence", "half a head"])
def test_head_timeout(pieces: list[bytes], shell: Shell) -> None:
    """No whole response head within the limit."""
    _, _, error = over_socket(shell, Script(pieces, "hold"), timeout=Timeout(head=SHORT))

    assert type(error) is HeadTimeout
    assert "no response head within 0.05 seconds" == str(error)


@on_every_shell
def test_write_timeout(shell: Shell) -> None:
    """A peer that does not read the request: no progress within the limit."""
    gate = threading.Event()
    script = Script([gate], "hold", reads="nothing")

    with ScriptedServer(script) as server:
        _, _, error = shell.collect(
            shell.stream(server.url, content=bytes(2**24), timeout=Timeout(write=SHORT))
        )
        gate.set()
        assert script.closed.wait(WAIT)

    assert type(error) is WriteTimeout
    assert "no progress in sending the request within 0.05 seconds" == str(error)


TOO_LARGE = b"HTTP/1.1 413 No\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nlimit"


@on_every_shell
@pytest.mark.parametrize("end", ["reset", "close", "hold"])
def test_early_answer(end: Any, shell: Shell) -> None:
    """A peer that answers without reading all of a large body: its answer is the news."""
    script = Script([TOO_LARGE], end, reads="head")

    with ScriptedServer(script) as server:
        timeout = Timeout(write=SHORT if end == "hold" else WAIT)
        _, _, error = shell.collect(shell.stream(server.url, content=bytes(2**24), timeout=timeout))

    assert isinstance(error, ResponseError)
    assert (413, b"limit") == (error.response.status, error.body)


@on_every_shell
def test_early_answer_that_is_a_stream(shell: Shell) -> None:
    """So it is where the answer is an event stream; its connection does not serve again."""
    answer = b"".join([CHUNKED, *chunks([A, B]), b"0\r\n\r\n"])
    scripts = [Script([answer], "reset", reads="head"), chunked([A, B], "hold")]

    async def scenario(caller: Caller) -> None:
        assert EVENTS == await caller.read(server.url, content=bytes(2**24))
        assert EVENTS == await caller.read(server.url)

    with ScriptedServer(*scripts) as server:
        with_client(shell, scenario, timeout=WAIT)
    assert scripts[1].opened.is_set()


@on_every_shell
def test_reset_while_sending(shell: Shell) -> None:
    """Without an answer, what went wrong with the request is the news."""
    with ScriptedServer(Script([], "reset", reads="head")) as server:
        _, _, error = shell.collect(shell.stream(server.url, content=bytes(2**24), timeout=WAIT))

    assert type(error) is TransportError
    assert str(error).startswith("sending the request failed")


@on_every_shell
def test_read_timeout(shell: Shell) -> None:
    """No byte of the body within the limit: events before it have come."""
    _, events, error = over_socket(shell, chunked([A], "hold", last_chunk=False), timeout=SHORT)

    assert (EVENTS[:1], ReadTimeout) == (events, type(error))
    assert "no byte within 0.05 seconds" == str(error)


@on_every_shell
@pytest.mark.parametrize("limit", ["event", "idle"])
def test_event_timeout(limit: str, shell: Shell) -> None:
    """H95, H96, H97: what is no event keeps the peer alive, and does not count as one."""
    answers = threading.Event()
    script = Script([HEAD + b"\r\n", A, b": c\n\n", b"id: 1\n\nretry: 9\n\n", b"data: x"], "hold")

    with ScriptedServer(script) as server:
        _, events, error = shell.collect(
            shell.stream(server.url, comments=True, timeout=Timeout(**{limit: SHORT}))
        )
        answers.set()

    expected = {"event": EventTimeout, "idle": ReadTimeout}[limit]
    assert ([EVENTS[0], Comment("c")], expected) == (events, type(error))
    if limit == "event":
        assert "no event within 0.05 seconds" == str(error)


@on_every_shell
@pytest.mark.parametrize("pieces", [[], [HEAD], [HEAD + b"\r\n", A]], ids=["none", "head", "event"])
def test_total_timeout(pieces: list[bytes], shell: Shell) -> None:
    """The limit for all of a stream, whatever it is doing when time is up."""
    _, events, error = over_socket(
        shell, Script(pieces, "hold"), timeout=Timeout(total=SHORT, idle=WAIT)
    )

    assert (EVENTS[: max(0, len(pieces) - 1)], TotalTimeout) == (events, type(error))
    assert "no end of the stream within 0.05 seconds" == str(error)


@on_every_shell
def test_slow_caller(shell: Shell) -> None:
    """H98: the time that a caller takes between two events is not waiting."""
    gate = threading.Event()
    stream = Script([CHUNKED, *chunks([A]), gate, *chunks([B]), b"0\r\n\r\n"], "hold")

    async def scenario(events: Any) -> list[Any]:
        async with events:
            first = await anext(events)
            time.sleep(2 * SHORT)  # noqa: ASYNC251  # a caller that computes
            gate.set()
            return [first, *await read(events)]

    with ScriptedServer(stream) as server:
        timeout = Timeout(idle=SHORT, event=SHORT)
        assert EVENTS == shell.run(scenario, shell.stream(server.url, timeout=timeout))


@on_every_shell
def test_total_timeout_of_a_slow_caller(shell: Shell) -> None:
    """The limit for all of a stream counts the caller's time, too."""

    async def scenario(events: Any) -> None:
        async with events:
            await anext(events)
            time.sleep(2 * SHORT)  # noqa: ASYNC251  # as above
            with pytest.raises(TotalTimeout):
                await anext(events)

    with ScriptedServer(chunked([A], "hold", last_chunk=False)) as server:
        shell.run(scenario, shell.stream(server.url, timeout=Timeout(total=SHORT)))


@on_every_shell
@pytest.mark.parametrize("limit", ["connect", "write", "head", "idle", "event", "total"])
def test_no_time_at_all(limit: str, shell: Shell) -> None:
    """A limit of zero passes at once."""
    script = chunked([A], "hold", last_chunk=False)

    with ScriptedServer(script) as server:
        _, _, error = shell.collect(shell.stream(server.url, timeout=Timeout(**{limit: 0})))

    expected = {
        "connect": ConnectTimeout,
        "write": WriteTimeout,
        "head": HeadTimeout,
        "idle": ReadTimeout,
        "event": EventTimeout,
        "total": TotalTimeout,
    }
    assert expected[limit] is type(error)


@on_every_shell
@pytest.mark.parametrize("seconds", [None, math.inf, 1e300])
def test_no_limits(seconds: float | None, shell: Shell) -> None:
    """Limits can be switched off, or be as good as."""
    _, events, error = over_socket(shell, chunked([A, B], "hold"), timeout=seconds)

    assert (EVENTS, None) == (events, error)


def test_timeout_of_the_system() -> None:
    """ETIMEDOUT, a TimeoutError in Python, is a failed read and not our limit."""
    limit = Limit(math.inf, ReadTimeout, "byte", 1)

    with pytest.raises(TransportError) as caught, transport_errors("reading", limit):
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    assert type(caught.value) is TransportError


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelling_does_not_put_the_idle_timer_back(backend: str) -> None:
    """Only a byte does: a caller with a shorter limit of its own sees ReadTimeout too."""

    async def scenario(url: str) -> int:
        timeout = Timeout(idle=3 * SHORT)
        async with sse_core.stream(url, timeout=timeout) as events:
            await anext(events)
            for attempts in range(1, 20):
                try:
                    with anyio.move_on_after(SHORT):
                        await anext(events)
                except ReadTimeout:
                    return attempts
        return 0

    with ScriptedServer(chunked([A], "hold", last_chunk=False)) as server:
        assert 1 < anyio.run(scenario, server.url, backend=backend) < 6


async def leaves_at_the_end(events: Any) -> None:
    async with events:
        assert EVENTS == await read(events)


async def leaves_by_break(events: Any) -> None:
    async with events:
        async for _ in events:
            break


async def leaves_without_reading(events: Any) -> None:
    async with events:
        pass


async def leaves_by_exception(events: Any) -> None:
    with suppress(ZeroDivisionError):
        async with events:
            await anext(events)
            raise ZeroDivisionError


async def leaves_by_closing(events: Any) -> None:
    async with events:
        await anext(events)
        await events.aclose()
        await events.aclose()


async def leaves_by_cancellation(events: Any) -> None:
    with anyio.CancelScope() as scope:
        async with events:
            assert EVENTS == [await anext(events), await anext(events)]
            scope.cancel()
            await anyio.sleep_forever()


LEAVING: list[Scenario] = [
    leaves_at_the_end,
    leaves_by_break,
    leaves_without_reading,
    leaves_by_exception,
    leaves_by_closing,
    leaves_by_cancellation,
]


@pytest.mark.parametrize(
    ("scenario", "shell"),
    [
        pytest.param(scenario, shell, id=f"{scenario.__name__}-{shell.name}")
        for scenario in LEAVING
        for shell in SHELLS
        if not (shell.blocking and scenario is leaves_by_cancellation)  # threads have none
    ],
)
def test_closing(scenario: Scenario, shell: Shell) -> None:
    """However the block is left, the peer sees the close, and the iteration is over."""
    script = chunked([A, B], "hold", last_chunk=scenario is leaves_at_the_end)

    async def scenario_and_after(events: Any) -> None:
        await scenario(events)
        assert [] == await read(events)
        assert 200 == events.response.status

    with ScriptedServer(script) as server:
        shell.run(scenario_and_after, shell.stream(server.url, timeout=WAIT))
        assert script.closed.wait(WAIT)


@on_every_shell
def test_iteration_after_a_failure(shell: Shell) -> None:
    """A failure is raised once; then the iteration is over."""

    async def scenario(events: Any) -> None:
        async with events:
            with pytest.raises(TransportError):
                await read(events)
            assert [] == await read(events)

    with ScriptedServer(chunked([A], last_chunk=False)) as server:
        shell.run(scenario, shell.stream(server.url, timeout=WAIT))


@on_every_shell
def test_entered_once(shell: Shell) -> None:
    """A stream is one exchange: entering it again is a mistake, also after the end or a failure."""

    async def scenario(events: Any) -> None:
        async with events:
            with pytest.raises(RuntimeError, match="entered once"):
                await events.__aenter__()
            assert EVENTS[:1] == await read(events)
        with pytest.raises(RuntimeError, match="entered once"):
            await events.__aenter__()

    async def failing(events: Any) -> None:
        with pytest.raises(ResponseError):
            await events.__aenter__()
        with pytest.raises(RuntimeError, match="entered once"):
            await events.__aenter__()

    async def closed(events: Any) -> None:
        await events.aclose()
        with pytest.raises(RuntimeError, match="entered once"):
            await events.__aenter__()

    with ScriptedServer(chunked([A]), Script([ERROR + b"\r\n"])) as server:
        for each in (scenario, failing, closed):
            shell.run(each, shell.stream(server.url, timeout=WAIT))


@on_every_shell
def test_use_before_entering(shell: Shell) -> None:
    """A stream that was never entered is no empty stream."""

    async def scenario(events: Any) -> None:
        with pytest.raises(RuntimeError, match="with"):
            await anext(events)
        with pytest.raises(RuntimeError, match="with"):
            _ = events.response
        assert ("7", None) == (events.last_event_id, events.reconnection_time)

    shell.run(scenario, shell.stream("http://127.0.0.1:1/", last_event_id="7"))


@on_every_shell
def test_caller_mistakes_are_found_before_connecting(shell: Shell) -> None:
    """What cannot be asked for is a ValueError from the call itself."""
    with pytest.raises(ValueError, match="URL"):
        shell.stream("ftp://h")
    for character in "\r\n\0":
        with pytest.raises(ValueError, match="CR, LF or NUL"):
            shell.stream("http://h", last_event_id=f"a{character}b")
    with pytest.raises(ValueError, match="time limit"):
        shell.stream("http://h", timeout=-1)
    for argument in ("method", "headers", "content", "json"):
        with pytest.raises(ValueError, match="a Request has"):
            shell.stream(Request("http://h"), **{argument: ""})


@on_every_shell
@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_post(size: int, shell: Shell) -> None:
    """A body arrives as it was given, with its headers."""
    script = chunked([A], "hold")
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    over_socket(shell, script, content=content, headers={"X-Key": "v"}, last_event_id="é")

    head, _, body = script.request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /events HTTP/1.1\r\n")
    assert {b"x-key: v", b"content-length: %d" % size, b"last-event-id: \xc3\xa9"} <= set(
        head.lower().split(b"\r\n")
    )
    assert content == body


@on_every_shell
def test_post_json(shell: Shell) -> None:
    """JSON arrives as JSON."""
    script = chunked([A], "hold")
    value = {"messages": [{"content": "你好 😀"}], "n": 1.5, "x": None}

    over_socket(shell, script, json=value, method="PUT")

    head, _, body = script.request.partition(b"\r\n\r\n")
    assert head.startswith(b"PUT ")
    assert b"content-type: application/json" in head
    assert value == jsonlib.loads(body)


@on_every_shell
def test_stream_of_a_request(shell: Shell) -> None:
    """A Request says it all."""
    script = chunked([A], "hold")

    with ScriptedServer(script) as server:
        request = Request(server.url + "?a=b", "REPORT", headers={"A": "c"})
        shell.collect(shell.stream(request, timeout=WAIT))

    assert script.request.startswith(b"REPORT /events?a=b HTTP/1.1\r\n")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_two_tasks(backend: str) -> None:
    """The second to ask for the next event gets a RuntimeError; the first goes on."""
    gate = threading.Event()

    async def scenario(url: str) -> None:
        async with sse_core.stream(url) as events, anyio.create_task_group() as task_group:
            received = []

            async def first() -> None:
                received.append(await anext(events))

            task_group.start_soon(first)
            await anyio.wait_all_tasks_blocked()
            for _ in range(2):
                with pytest.raises(RuntimeError, match="another task"):
                    await anext(events)
            gate.set()
            while not received:
                await anyio.lowlevel.checkpoint()
            assert EVENTS == [*received, await anext(events)]

    with ScriptedServer(Script([CHUNKED, gate, *chunks([A, B])], "hold")) as server:
        anyio.run(scenario, server.url, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_closed_by_another_task(backend: str) -> None:
    """Whoever waits for the next event sees the end of the iteration."""

    async def scenario(url: str) -> list[Any]:
        async with sse_core.stream(url) as events, anyio.create_task_group() as task_group:
            received: list[Any] = []

            async def reader() -> None:
                received.append(await anext(events, "end"))

            task_group.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            await events.aclose()
        return received

    script = chunked([], "hold", last_chunk=False)
    with ScriptedServer(script) as server:
        assert ["end"] == anyio.run(scenario, server.url, backend=backend)
        assert script.closed.wait(WAIT)


@pytest.mark.parametrize("items", ["events", "comments"])
def test_closed_by_another_thread(items: str) -> None:
    """The thread that waits sees the end of the iteration at once, and the peer the close."""
    script = chunked([], "hold", last_chunk=False)
    with ScriptedServer(script) as server:
        stream = sse_core.sync.stream(server.url, comments=items == "comments")
        with stream as events:
            thread, received = waiting_in_a_thread(lambda: next(events, "end"))
            events.close()
            thread.join(WAIT)
            assert ["end"] == received
            assert script.closed.wait(WAIT)


def test_two_threads() -> None:
    """The second to ask for the next event gets a RuntimeError; the first goes on."""
    gate = threading.Event()
    with ScriptedServer(Script([CHUNKED, gate, *chunks([A, B])], "hold")) as server:
        with sse_core.sync.stream(server.url) as events:
            thread, received = waiting_in_a_thread(lambda: next(events, "end"))
            with pytest.raises(RuntimeError, match="another thread"):
                next(events)
            gate.set()
            thread.join(WAIT)
            assert EVENTS == [*received, next(events)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_deadline_around_each_next(backend: str) -> None:
    """A caller may give up on every single event, again and again; the stream goes on."""
    gates = [threading.Event() for _ in range(5)]
    pieces: list[bytes | threading.Event] = [CHUNKED]
    for number, gate in enumerate(gates):
        pieces += [gate, *chunks([b"data: ", b"%d\n\n" % number])]

    async def scenario(url: str) -> list[str]:
        received = []
        async with sse_core.stream(url, timeout=WAIT) as events:
            for gate in gates:
                with anyio.move_on_after(0.001) as scope:
                    await anext(events)
                assert scope.cancelled_caught
                gate.set()
                received.append((await anext(events)).data)
        return received

    with ScriptedServer(Script(pieces, "hold")) as server:
        assert list("01234") == anyio.run(scenario, server.url, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("content", [None, bytes(2**24)], ids=["head", "sending"])
def test_cancelled_while_the_peer_stalls(content: bytes | None, backend: str) -> None:
    """A peer that does not read, or does not answer, cannot hold the socket."""
    gate = threading.Event()
    script = Script([gate], "hold", reads="nothing")

    async def scenario(url: str) -> None:
        with anyio.move_on_after(SHORT) as scope:
            async with sse_core.stream(url, content=content):
                raise AssertionError("there is no answer")
        assert scope.cancelled_caught

    with ScriptedServer(script) as server:
        anyio.run(scenario, server.url, backend=backend)
        gate.set()
        assert script.closed.wait(WAIT)


@on_every_shell
def test_nothing_is_read_ahead(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is read only when an event is asked for and none is left."""
    pieces = [CHUNKED, *chunks([A + B, A, b": c\n\n", B])]
    fake: Any = CountingSocket(pieces) if shell.blocking else CountingStream(pieces)
    stream = shell.stream("http://127.0.0.1")
    reads = []

    async def scenario(events: Any) -> None:
        async with events:
            reads.append(fake.reads)
            for _ in range(4):
                await anext(events)
                reads.append(fake.reads)

    connect_to(lambda: fake, monkeypatch, blocking=shell.blocking)
    shell.run(scenario, stream)

    assert [1, 2, 2, 3, 5] == reads


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_cancellation_of_every_call(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one checkpoint in each read, every call is cancelled once, and nothing is lost."""
    stream = [b"data: %d\n\n" % number for number in range(5)]
    pieces = [CHUNKED, *[bytes([byte]) for byte in b"".join(chunks(stream))], b"0\r\n\r\n"]
    connect_to(lambda: CountingStream(pieces), monkeypatch, blocking=False)

    async def scenario() -> list[str]:
        received: list[str] = []
        async with sse_core.stream("http://h", timeout=WAIT) as events:
            while True:
                # The first call is cancelled at its first read, the next at its second …
                cancelled, event = await cancelled_at(2, "scope", anext(events, None))
                if not cancelled:
                    if event is None:
                        return received
                    received.append(event.data)

    assert list("01234") == anyio.run(scenario, backend=backend)


@pytest.mark.anyio
async def test_closed_by_another_task_in_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other tasks have their turn, one of them may close the stream: that is its end."""
    turns = 0

    async def closes() -> None:
        nonlocal turns
        turns += 1
        await events.aclose()

    burst = b"data\n\n" * 1024
    with ScriptedServer(Script([HEAD + b"\r\n" + burst], "hold")) as server:
        async with sse_core.stream(server.url) as events:
            await anext(events)  # and the rest of the burst is there
            monkeypatch.setattr(anyio.lowlevel, "checkpoint", closes)
            received = [event async for event in events]
    assert 1 == turns
    assert len(received) < 1023
