"""stream_chat on every shell, over real sockets: errors, retries, closing."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Generator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import sse_openai
from sse_core import (
    HeadTimeout,
    ProtocolError,
    ProxyError,
    ReadTimeout,
    ResponseError,
    Timeout,
    TransportError,
)
from sse_openai import (
    APIError,
    AuthenticationError,
    ChatCompletionChunk,
    InternalServerError,
    MalformedChunk,
    RateLimit,
    RateLimitError,
    StreamTruncated,
)
from sse_openai._endpoint.conversation import at_once
from tests.support.chats import CHUNKED, DONE, FIELDS, STOP, A, B, answered, chat_script
from tests.support.scripted_server import HEAD, WAIT, Script, ScriptedServer, chunks
from tests.support.shells import (
    Cancelling,
    Shell,
    cancelled_at,
    on_every_shell,
    on_every_way_to_cancel,
)

SHORT = 0.05


@pytest.fixture(scope="module", autouse=True)
def _no_leaks() -> Iterator[None]:
    """A socket that was not closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


def opened(shell: Shell, server: ScriptedServer, **options: Any) -> Any:
    arguments = {"model": "m", "messages": [], "api_key": "k", "timeout": WAIT, **options}
    return shell.stream_chat(**{"base_url": server.url, **arguments})


def over_socket(shell: Shell, *scripts: Script, **options: Any) -> tuple[Any, list[Any], Any]:
    """Read a chat to its end; return it, its tokens and what it raised. All sockets are closed."""
    with ScriptedServer(*scripts) as server:
        chat = opened(shell, server, **options)
        _, found, error = shell.collect(chat)
        for script in scripts:
            if script.opened.is_set():
                assert script.end == "reset" or script.closed.wait(WAIT)
    return chat, [chunk.content for chunk in found], error


def attempts(scripts: list[Script]) -> int:
    return sum(script.opened.is_set() for script in scripts)


@on_every_shell
def test_chat(shell: Shell) -> None:
    """Chunks come in order; after [DONE] the connection is closed, the body unfinished."""
    chat, tokens, error = over_socket(shell, chat_script(A, B, STOP, DONE, A))

    assert (["a", "b", ""], None) == (tokens, error)
    assert "ab" == chat.completion.choices[0].message.content
    assert (True, True) == (chat.done, chat.complete)
    assert (200, "r1") == (chat.response.status, chat.request_id)
    assert RateLimit(reset_tokens=360) == chat.rate_limit


@on_every_shell
def test_chat_without_done(shell: Shell) -> None:
    """An end of the body with every choice finished is an end as well."""
    chat, tokens, error = over_socket(shell, chat_script(A, STOP, last_chunk=True))

    assert (["a", ""], None) == (tokens, error)
    assert (False, True) == (chat.done, chat.complete)


@on_every_shell
def test_request_on_the_wire(shell: Shell) -> None:
    """The arguments of chat_request are the arguments here."""
    script = chat_script(DONE)

    over_socket(
        shell,
        script,
        messages=[{"role": "user", "content": "你好"}],
        organization="o",
        project="p",
        headers={"X-Key": "v"},
        stream_options=None,
        temperature=0,
    )

    head, _, body = script.request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /events/chat/completions HTTP/1.1\r\n")
    assert {
        b"authorization: Bearer k",
        b"openai-organization: o",
        b"openai-project: p",
        b"x-key: v",
    } <= set(head.split(b"\r\n"))
    assert {
        "model": "m",
        "messages": [{"role": "user", "content": "你好"}],
        "stream": True,
        "temperature": 0,
    } == json.loads(body)


@on_every_shell
def test_error_status(shell: Shell) -> None:
    """A status is the error of its class, with the body's and the head's news, and a cause."""
    body = b'{"error": {"message": "bad key", "type": "t", "code": "c", "param": null}}'

    _, _, error = over_socket(shell, answered(401, FIELDS, body))

    assert type(error) is AuthenticationError
    assert ("bad key", "t", "c", None) == (error.message, error.type, error.code, error.param)
    assert (401, "r1", 7, body) == (
        error.status,
        error.request_id,
        error.retry_after,
        error.body,
    )
    assert RateLimit(reset_tokens=360) == error.rate_limit
    assert isinstance(error.__cause__, ResponseError)


@on_every_shell
def test_no_stream(shell: Shell) -> None:
    """200 with JSON is no stream, and not interpreted."""
    _, _, error = over_socket(shell, answered(200, body=b'{"error": {"message": "m"}}'))

    assert type(error) is ResponseError
    assert b'{"error": {"message": "m"}}' == error.body
    assert None is error.__cause__


@on_every_shell
def test_error_in_the_stream(shell: Shell) -> None:
    """It carries what had come, and which response it was in; the connection is closed."""
    chat, tokens, error = over_socket(shell, chat_script(A, b'data: {"error": "m"}\n\n', B))

    assert ["a"] == tokens
    assert type(error) is APIError
    assert ("m", 200, "r1", 7) == (
        error.message,
        error.status,
        error.request_id,
        error.retry_after,
    )
    assert RateLimit(reset_tokens=360) == error.rate_limit
    assert error.completion == chat.completion
    assert "a" == chat.completion.choices[0].message.content


FAILURES = [
    (chat_script(A, b"data: {\n\n", B), MalformedChunk),
    (chat_script(A, last_chunk=True), StreamTruncated),
    (chat_script(A, end="close"), TransportError),
    (chat_script(A, STOP, end="close"), TransportError),
    (Script([CHUNKED, *chunks([A]), b"x\r\n"], "hold"), ProtocolError),
]


@on_every_shell
@pytest.mark.parametrize(
    ("script", "exception"), FAILURES, ids=["malformed", "truncated", "cut", "cut late", "broken"]
)
def test_failure_after_an_event(script: Script, exception: type[Exception], shell: Shell) -> None:
    """It is raised once, never retried, and what had come stays at hand."""
    scripts = [Script(script.pieces, script.end), chat_script(B, DONE)]

    async def scenario(chat: Any) -> list[Any]:
        async with chat:
            received = [(await anext(chat)).content]
            with pytest.raises(exception) as caught:
                async for _ in chat:
                    pass
            assert exception is caught.type
            async for chunk in chat:
                received.append(chunk.content)  # noqa: PERF401  # there is none
        assert "a" == chat.completion.choices[0].message.content
        return received

    with ScriptedServer(*scripts) as server:
        assert ["a"] == shell.run(scenario, opened(shell, server))
        assert scripts[0].closed.wait(WAIT)

    assert 1 == attempts(scripts)


# Retries: before the first event, and never after it.


@on_every_shell
@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_retried_status(status: int, shell: Shell) -> None:
    """A transient status is tried again, with the same request."""
    scripts = [answered(status), answered(status), chat_script(A, DONE)]

    _, tokens, error = over_socket(shell, *scripts)

    assert (["a"], None) == (tokens, error)
    assert 1 == len({script.request for script in scripts})


@on_every_shell
@pytest.mark.parametrize(("max_retries", "expected"), [(0, 1), (1, 2), (2, 3), (3, 4), (-1, 1)])
def test_max_retries(max_retries: int, expected: int, shell: Shell) -> None:
    """The last error is raised when all retries are used up."""
    scripts = [answered(429, b"retry-after-ms: 0\r\nx-request-id: r%d\r\n" % n) for n in range(5)]

    _, _, error = over_socket(shell, *scripts, max_retries=max_retries)

    assert type(error) is RateLimitError
    assert f"r{expected - 1}" == error.request_id
    assert expected == attempts(scripts)


@on_every_shell
@pytest.mark.parametrize("status", [403, 407])
def test_proxy_that_refuses(status: int, shell: Shell) -> None:
    """It would refuse again: one attempt, through a tunnel or without."""
    for base_url in ("https://origin.test/v1", "http://origin.test/v1"):
        scripts = [answered(status), chat_script(A, DONE)]
        with ScriptedServer(*scripts) as proxy:
            address = f"127.0.0.1:{proxy.port}"
            chat = opened(shell, proxy, base_url=base_url, proxy=address)
            _, _, error = shell.collect(chat)

        assert isinstance(error, ProxyError if base_url.startswith("https") else APIError)
        assert 1 == attempts(scripts)


@on_every_shell
def test_proxy_that_fails(shell: Shell) -> None:
    """A 503 to CONNECT is tried again, after the time that it asks for."""
    scripts = [answered(503), answered(503), answered(503, b"retry-after: 121\r\n"), answered(503)]
    with ScriptedServer(*scripts) as proxy:
        address = f"127.0.0.1:{proxy.port}"
        chat = opened(shell, proxy, base_url="https://origin.test/v1", proxy=address, max_retries=9)
        _, _, error = shell.collect(chat)

    assert isinstance(error, ProxyError)
    assert 3 == attempts(scripts)


@on_every_shell
def test_two_retries_by_default(shell: Shell) -> None:
    """As the official SDKs have it."""
    scripts = [answered(500) for _ in range(4)]

    _, _, error = over_socket(shell, *scripts)

    assert type(error) is InternalServerError
    assert 3 == attempts(scripts)


@on_every_shell
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (answered(400, b"x-should-retry: true\r\nretry-after-ms: 0\r\n"), 3),
        (answered(500, b"x-should-retry: false\r\nretry-after-ms: 0\r\n"), 1),
        (answered(401), 1),
        (answered(429, b"retry-after: 121\r\n"), 1),
        (answered(200), 1),
        (Script([b"220 ESMTP\r\n"], "hold"), 1),
    ],
    ids=["told to", "told not to", "final status", "too long a wait", "no stream", "no HTTP"],
)
def test_whether_it_is_retried(script: Script, expected: int, shell: Shell) -> None:
    """The server has a say; what would come out the same is not repeated."""
    scripts = [Script(script.pieces, script.end) for _ in range(4)]

    _, _, error = over_socket(shell, *scripts)

    assert error is not None
    assert expected == attempts(scripts)


@pytest.fixture
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own back-off, which has a test of its own, takes no time here."""
    monkeypatch.setattr("sse_openai._endpoint.retry.FIRST_DELAY", 0.0)


@on_every_shell
@pytest.mark.usefixtures("no_delay")
@pytest.mark.parametrize(
    "script", [Script([]), Script([HEAD]), Script([], "reset")], ids=["closed", "cut", "reset"]
)
def test_retried_connection(script: Script, shell: Shell) -> None:
    """A connection that broke before the head is tried again."""
    first = Script(script.pieces, script.end)

    _, tokens, error = over_socket(shell, first, chat_script(A, DONE))

    assert (["a"], None) == (tokens, error)


@on_every_shell
@pytest.mark.usefixtures("no_delay")
def test_retried_until_refused(shell: Shell) -> None:
    """A refused connection is a TransportError in the end, and no circle of causes."""
    _, _, error = over_socket(shell, Script([]))

    assert type(error) is TransportError
    assert isinstance(error.__cause__, OSError)


@on_every_shell
@pytest.mark.usefixtures("no_delay")
def test_retried_head_timeout(shell: Shell) -> None:
    """So is one that did not answer in time."""
    scripts = [Script([], "hold"), Script([], "hold")]

    with ScriptedServer(*scripts) as server:
        # The server serves one after the other, so that the second waits for its turn.
        _, _, error = shell.collect(
            opened(shell, server, max_retries=1, timeout=Timeout(head=SHORT))
        )

    assert type(error) is HeadTimeout


@on_every_shell
def test_read_timeout(shell: Shell) -> None:
    """Silence in the stream is not retried."""
    scripts = [chat_script(A), chat_script(B, DONE)]

    _, tokens, error = over_socket(shell, *scripts, timeout=Timeout(idle=SHORT))

    assert (["a"], ReadTimeout) == (tokens, type(error))
    assert 1 == attempts(scripts)


# Using it.


@on_every_shell
def test_use_before_entering(shell: Shell) -> None:
    """There is no response yet, and nothing to iterate over."""
    chat = shell.stream_chat(model="m", messages=[], base_url="http://127.0.0.1:1")

    async def scenario(chat: Any) -> None:
        with pytest.raises(RuntimeError, match="with"):
            await anext(chat)
        for name in ("response", "request_id", "rate_limit"):
            with pytest.raises(RuntimeError, match="with"):
                getattr(chat, name)
        assert [] == chat.completion.choices
        assert (False, False) == (chat.done, chat.complete)

    shell.run(scenario, chat)


@on_every_shell
def test_entered_once(shell: Shell) -> None:
    """A second request would be a second answer."""
    scripts = [chat_script(A), chat_script(B)]

    async def scenario(chat: Any) -> None:
        async with chat:
            with pytest.raises(RuntimeError, match="entered once"):
                await chat.__aenter__()

    with ScriptedServer(*scripts) as server:
        shell.run(scenario, opened(shell, server))

    assert 1 == attempts(scripts)


@on_every_shell
@pytest.mark.parametrize("how", ["break", "close", "exception"])
def test_closing(how: str, shell: Shell) -> None:
    """However it is left, the peer sees the close; the iteration is over, and nothing is raised."""
    script = chat_script(A, B)

    async def scenario(chat: Any) -> list[Any]:
        try:
            async with chat:
                assert "a" == (await anext(chat)).content
                if how == "close":
                    await chat.aclose()
                    assert [] == [chunk async for chunk in chat]
                elif how == "exception":
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        return [chunk async for chunk in chat]

    with ScriptedServer(script) as server:
        chat = opened(shell, server)
        assert [] == shell.run(scenario, chat)
        assert script.closed.wait(WAIT)

    assert "a" == chat.completion.choices[0].message.content


@on_every_shell
def test_closing_before_entering(shell: Shell) -> None:
    """Nothing to close is no mistake."""

    async def scenario(chat: Any) -> None:
        await chat.aclose()

    shell.run(scenario, shell.stream_chat(model="m", messages=[], api_key="k"))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_closed_by_another_task(backend: str) -> None:
    """Whoever waits for the next chunk sees the end of the iteration, not a truncated answer."""

    async def scenario(url: str) -> list[Any]:
        received: list[Any] = []
        async with sse_openai.stream_chat(model="m", messages=[], base_url=url) as chat:
            async with anyio.create_task_group() as task_group:

                async def reader() -> None:
                    received.append(await anext(chat, "end"))

                task_group.start_soon(reader)
                await anyio.wait_all_tasks_blocked()
                await chat.aclose()
        return received

    with ScriptedServer(chat_script()) as server:
        assert ["end"] == anyio.run(scenario, server.url, backend=backend)


async def contents(chat: Any) -> list[Any]:
    return [chunk.content async for chunk in chat]


@on_every_way_to_cancel
@pytest.mark.parametrize(
    ("script", "exception"),
    [
        (chat_script(A, B, STOP, DONE), None),
        (chat_script(A, B, b'data: {"error": "m"}\n\n'), APIError),
        (chat_script(A, B, b"data: {\n\n"), MalformedChunk),
        (chat_script(A, B, last_chunk=True), StreamTruncated),
        (chat_script(A, B, end="close"), TransportError),
    ],
    ids=["done", "error", "malformed", "truncated", "cut"],
)
def test_cancelled_next(
    script: Script, exception: type[Exception] | None, backend: str, way: Cancelling
) -> None:
    """Cancelled at any suspension, it can be called again: no chunk and no error is lost."""

    async def scenario(url: str, suspension: int) -> bool:
        async with sse_openai.stream_chat(model="m", messages=[], base_url=url) as chat:
            received: list[ChatCompletionChunk] = []
            error: type[Exception] | None = None
            cancelled = False

            async def reader() -> None:
                async for chunk in chat:
                    received.append(chunk)  # noqa: PERF401  # seen even when cancelled

            try:
                cancelled, _ = await cancelled_at(suspension, way, reader())
                await reader()
            except (APIError, MalformedChunk, StreamTruncated, TransportError) as exc:
                error = type(exc)
            assert exception is error
            assert ["a", "b"] == [chunk.content for chunk in received[:2]]
            assert [] == await contents(chat)
            return cancelled

    for suspension in range(1, 40):
        with ScriptedServer(Script(script.pieces, script.end)) as server:
            if not anyio.run(scenario, server.url, suspension, backend=backend):
                return
    raise AssertionError("never ran to its end")


@on_every_way_to_cancel
def test_cancelled_entering_leaves_no_socket(backend: str, way: Cancelling) -> None:
    """Also between two attempts."""

    async def scenario(url: str, suspension: int) -> bool:
        async def enter() -> None:
            async with sse_openai.stream_chat(model="m", messages=[], base_url=url):
                pass

        return (await cancelled_at(suspension, way, enter()))[0]

    for suspension in range(1, 40):
        scripts = [answered(429), chat_script(A)]
        with ScriptedServer(*scripts) as server:
            cancelled = anyio.run(scenario, server.url, suspension, backend=backend)
            for script in scripts:
                if script.opened.is_set():
                    assert script.closed.wait(WAIT)
        if not cancelled:
            return
    raise AssertionError("never ran to its end")


@on_every_shell
def test_slow_answer(shell: Shell) -> None:
    """A model may think: the stream begins when it does."""
    gate = threading.Event()

    async def scenario(chat: Any) -> list[Any]:
        async with chat:
            gate.set()
            return await contents(chat)

    with ScriptedServer(Script([CHUNKED, gate, *chunks([A, DONE])], "hold")) as server:
        assert ["a"] == shell.run(scenario, opened(shell, server))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_other_tasks_run_in_a_burst(backend: str) -> None:
    """Chunks that one read brought do not keep the event loop from other tasks."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async def scenario(url: str) -> int:
        async with sse_openai.stream_chat(model="m", messages=[], base_url=url) as chat:
            async with anyio.create_task_group() as group:
                await anext(chat)
                group.start_soon(other)
                for _ in range(600):
                    await anext(chat)
                within = turns
                group.cancel_scope.cancel()
        return within

    with ScriptedServer(chat_script(b"data: {}\n\n" * 700)) as server:
        assert anyio.run(scenario, server.url, backend=backend) > 0


class Suspension:
    def __await__(self) -> Generator[None, None, None]:
        yield


def test_a_blocking_step_must_not_be_suspended() -> None:
    """It is a mistake in the library, and not passed over."""

    async def suspended() -> None:
        await Suspension()

    steps = suspended()
    with pytest.raises(RuntimeError, match="suspended"):
        at_once(steps)
    steps.close()
