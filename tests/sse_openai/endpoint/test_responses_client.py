"""Client.responses on every shell, over a server that drops its connections."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
import pytest

import sse_openai
import sse_openai.sync
from sse_core import TransportError
from sse_openai import (
    APIError,
    BadRequestError,
    InternalServerError,
    StreamTruncated,
)
from sse_openai._endpoint import retry
from tests.support.asking import with_client
from tests.support.chats import answered
from tests.support.scripted_server import HEAD, NEXT, WAIT, Script, ScriptedServer, chunks
from tests.support.shells import (
    Cancelling,
    Shell,
    cancelled_at,
    on_every_shell,
    on_every_way_to_cancel,
)

FIELDS = b"X-Request-Id: r1\r\nX-RateLimit-Remaining-Requests: 59\r\n"
CHUNKED = HEAD + FIELDS + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
ID = "resp_1"
TEXT = "streams"


@pytest.fixture(autouse=True)
def _no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.0)


def event(number: int, kind: str, **fields: Any) -> bytes:
    value = {"type": kind, "sequence_number": number, **fields}
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps(value).encode())


def delta(number: int, text: str) -> bytes:
    return event(
        number,
        "response.output_text.delta",
        item_id="m",
        output_index=0,
        content_index=0,
        delta=text,
    )


EVENTS = [
    event(0, "response.created", response={"id": ID, "status": "in_progress", "output": []}),
    *[delta(number, letter) for number, letter in enumerate(TEXT, 1)],
    event(8, "response.completed", response={"id": ID, "status": "completed", "output": None}),
]


def stream(events: list[bytes], end: Any = "hold", *, whole: bool = True) -> Script:
    """Return a script that sends these events; not whole, its body has no end."""
    return Script([CHUNKED, *chunks(events), *[END] * whole], end)


def refused(status: int) -> Script:
    return answered(status, b"Connection: close\r\nretry-after-ms: 0\r\n")


def read_over(shell: Shell, *scripts: Script, **fields: Any) -> Any:
    """Return the stream of one response, after it was read, and what it raised."""

    async def scenario(read: Any) -> Any:
        return await read(**fields)

    with ScriptedServer(*scripts) as server:
        found = with_client(shell, scenario, server.url)
        for script in scripts:
            if script.opened.is_set():
                assert script.end == "reset" or script.closed.wait(WAIT)
    return found


def target(script: Script) -> bytes:
    return script.request.partition(b" HTTP/1.1")[0]


@on_every_shell
def test_response(shell: Shell) -> None:
    """Events, what they add up to, and the connection that serves again."""
    script = Script([CHUNKED, *chunks(EVENTS), END, NEXT, CHUNKED, *chunks(EVENTS), END], "hold")

    async def scenario(read: Any) -> None:
        for _ in range(2):
            responses, error = await read(temperature=0)
            assert error is None
            assert (TEXT, True, True) == (
                responses.response.output_text,
                responses.done,
                responses.complete,
            )
            assert "r1" == responses.request_id
            assert 59 == responses.rate_limit.remaining_requests

    with ScriptedServer(script) as server:
        with_client(shell, scenario, server.url)

    body = json.loads(script.request.partition(b"\r\n\r\n")[2])
    assert {"model": "m", "input": "hi", "stream": True, "temperature": 0} == body
    assert b"POST /events/responses" == target(script)


@on_every_shell
@pytest.mark.parametrize("cut", range(1, len(EVENTS)))
@pytest.mark.parametrize("end", ["close", "reset"])
def test_resumed(end: Any, cut: int, shell: Shell) -> None:
    """Cut behind any event, it goes on behind that event: nothing lost, nothing twice."""
    first, rest = stream(EVENTS[:cut], end, whole=False), stream(EVENTS[cut:])

    responses, error = read_over(shell, first, rest, resume=True)

    assert error is None
    assert responses.complete
    if end == "close":  # what a reset takes with it is asked for again, and not here anew
        assert resumed_after(cut - 1) == rest.request.partition(b" HTTP/1.1")[0]
        assert TEXT == responses.response.output_text
    assert json.loads(first.request.partition(b"\r\n\r\n")[2])["background"] is True


def resumed_after(number: int) -> bytes:
    return b"GET /events/responses/resp_1?stream=true&starting_after=%d" % number


@on_every_shell
def test_resumed_after_an_end(shell: Shell) -> None:
    """An end in good order for HTTP is none for the response."""
    answers = [[CHUNKED, *chunks(events), END] for events in (EVENTS[:4], EVENTS[4:])]
    script = Script([*answers[0], NEXT, *answers[1]], "hold")

    responses, error = read_over(shell, script, resume=True)

    assert (TEXT, None) == (responses.response.output_text, error)
    assert resumed_after(3) == script.requests[1].partition(b" HTTP/1.1")[0]


@on_every_shell
def test_replayed(shell: Shell) -> None:
    """A server that begins anew is not taken at its word."""
    responses, error = read_over(
        shell, stream(EVENTS[:4], whole=False, end="close"), stream(EVENTS), resume=True
    )

    assert (TEXT, None) == (responses.response.output_text, error)


@on_every_shell
def test_dropped_again_and_again(shell: Shell) -> None:
    """Attempts are counted anew with every event; statuses that pass are asked again."""
    scripts = [stream([each], whole=False, end="close") for each in EVENTS[:-1]]
    scripts[3:3] = [refused(503)]

    responses, error = read_over(shell, *scripts, stream(EVENTS[-1:]), resume=True)

    assert (TEXT, None) == (responses.response.output_text, error)


@on_every_shell
@pytest.mark.parametrize(
    ("status", "attempts", "expected"),
    [(503, 2, InternalServerError), (400, 1, BadRequestError)],
)
def test_refused(status: int, attempts: int, expected: type[APIError], shell: Shell) -> None:
    """An endpoint that does not have it any more, or fails too often: its error."""
    scripts = [refused(status) for _ in range(3)]

    responses, error = read_over(
        shell, stream(EVENTS[:3], whole=False, end="close"), *scripts, resume=True
    )

    assert (expected, status) == (type(error), error.status)
    assert attempts == sum(script.opened.is_set() for script in scripts)
    assert "st" == responses.response.output_text


@on_every_shell
@pytest.mark.parametrize(
    ("first", "resume", "expected"),
    [
        (stream(EVENTS[:3], "close", whole=False), False, TransportError),
        (stream(EVENTS[:3]), False, StreamTruncated),
        (stream([b"data: {}\n\n"]), True, StreamTruncated),
        (stream([], "close", whole=False), True, TransportError),
    ],
    ids=["cut", "ended", "nothing to go on with", "cut before anything"],
)
def test_not_resumed(first: Script, resume: bool, expected: type[Exception], shell: Shell) -> None:
    """Without being asked to, or without an id and a number: the end is what it is."""
    second = stream(EVENTS)

    _, error = read_over(shell, first, second, resume=resume)

    assert expected is type(error)
    assert not second.opened.is_set()


@on_every_shell
def test_error_in_the_stream(shell: Shell) -> None:
    """An error event is an APIError of the response that brought it, and is not resumed."""
    failure = event(3, "error", code="server_error", message="m", param=None)

    responses, error = read_over(shell, stream([*EVENTS[:3], failure]), resume=True)

    assert (APIError, "m", 200, "r1") == (
        type(error),
        error.message,
        error.status,
        error.request_id,
    )
    assert "st" == responses.response.output_text


@on_every_shell
def test_use(shell: Shell) -> None:
    """Entered once, read inside; after a failure the iteration is over."""

    async def scenario(responses: Any) -> None:
        with pytest.raises(RuntimeError, match="enter"):
            responses.http_response  # noqa: B018
        with pytest.raises(RuntimeError, match="enter"):
            await anext(responses)
        await responses.aclose()
        async with responses:
            with pytest.raises(RuntimeError, match="entered once"):
                await responses.__aenter__()
            await anext(responses)
            with pytest.raises(TransportError):
                await anext(responses)
            with pytest.raises(StopAsyncIteration):
                await anext(responses)

    with ScriptedServer(stream(EVENTS[:1], "close", whole=False)) as server:
        shell.run(scenario, responses_of(shell, server.url))
    with pytest.raises(ValueError, match="always true"):
        responses_of(shell, "http://h", stream=False)


def responses_of(shell: Shell, url: str, **fields: Any) -> Any:
    module: Any = sse_openai.sync if shell.blocking else sse_openai
    client = module.Client(api_key="k", base_url=url, timeout=WAIT)
    return client.responses(model="m", input="hi", **fields)


@on_every_shell
def test_closed_in_resuming(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed while it waits, it does not ask again."""

    async def closes(seconds: float) -> None:
        await responses.aclose()

    async def scenario(responses: Any) -> None:
        async with responses:
            await anext(responses)
            with pytest.raises(StopAsyncIteration):
                await anext(responses)

    monkeypatch.setattr(anyio, "sleep", closes)
    monkeypatch.setattr(time, "sleep", lambda _: responses.close())
    second = stream(EVENTS)
    with ScriptedServer(stream(EVENTS[:1], "close", whole=False), second) as server:
        responses: Any = responses_of(shell, server.url, resume=True)
        shell.run(scenario, responses)

    assert not second.opened.is_set()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_in_failing(backend: str) -> None:
    """A failure whose close was cancelled is raised by the next call: it is no end."""

    async def scenario(url: str) -> int:
        async with sse_openai.Client(api_key="k", base_url=url, timeout=WAIT) as client:
            async with client.responses(model="m", input="hi") as responses:
                await anext(responses)
                for attempts in range(9):
                    try:
                        await cancelled_at(1, "scope", anext(responses))
                    except APIError:
                        return attempts
        raise AssertionError("an end where there was a failure")

    failure = event(1, "error", code="server_error", message="m", param=None)
    with ScriptedServer(stream([EVENTS[0] + failure], whole=False)) as server:
        assert 1 == anyio.run(scenario, server.url, backend=backend)


@on_every_way_to_cancel
def test_cancelled_in_resuming(backend: str, way: Cancelling) -> None:
    """Cancelled anywhere, an ``anext()`` can be called again: all events, once, in order."""

    async def scenario(url: str, suspension: int) -> bool:
        cancelled = False
        async with (
            sse_openai.Client(api_key="k", base_url=url, timeout=WAIT, max_retries=9) as client,
            client.responses(model="m", input="hi", resume=True) as responses,
        ):
            for _ in range(3):
                await anext(responses)
            cancelled, found = await cancelled_at(suspension, way, anext(responses))
            assert cancelled or found is not None
            async for _ in responses:
                pass
            assert TEXT == responses.response.output_text
        return cancelled

    for suspension in range(1, 40):
        scripts = [stream(EVENTS[:3], "close", whole=False), stream(EVENTS[3:]), stream(EVENTS[3:])]
        with ScriptedServer(*scripts) as server:
            if not anyio.run(scenario, server.url, suspension, backend=backend):
                assert suspension > 2
                return
    raise AssertionError("never ran to its end")
