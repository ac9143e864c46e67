"""sse_openai.Client on every shell: one endpoint, its connections, its requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import sse_openai
import sse_openai.sync
from sse_core import HeadTimeout, Timeout
from sse_openai import APIError, Endpoint, RateLimitError
from tests.support.chats import CHUNKED, DONE, STOP, A, answered
from tests.support.scripted_server import NEXT, WAIT, Script, ScriptedServer, chunks
from tests.support.shells import Shell, on_every_shell

SHORT = 0.05
END = b"0\r\n\r\n"
WHOLE = [CHUNKED, *chunks([A, STOP, DONE]), END]

Scenario = Callable[[Any], Awaitable[Any]]


def with_client(shell: Shell, scenario: Scenario, **options: Any) -> None:
    """Run ``scenario`` with a function that reads a chat of one client to its end."""
    options = {"api_key": "k", "timeout": WAIT, **options}

    if shell.blocking:
        with sse_openai.sync.Client(**options) as client:

            async def read(**fields: Any) -> str | None:
                with client.chat(model="m", messages=[], **fields) as chat:
                    return "".join(chunk.content or "" for chunk in chat)

            with pytest.raises(StopIteration):
                scenario(read).__await__().send(None)
        return

    async def run() -> None:
        async with sse_openai.Client(**options) as client:

            async def read(**fields: Any) -> str | None:
                async with client.chat(model="m", messages=[], **fields) as chat:
                    return "".join([chunk.content or "" async for chunk in chat])

            await scenario(read)

    anyio.run(run, backend=shell.name)


@on_every_shell
def test_one_connection(shell: Shell) -> None:
    """Chat after chat over one connection, which is drained behind ``[DONE]``."""
    gate = threading.Event()
    script = Script([*WHOLE[:-1], gate, END, NEXT, *WHOLE], "hold")
    gate.set()

    async def scenario(read: Any) -> None:
        assert "a" == await read()
        assert "a" == await read(temperature=0)

    with ScriptedServer(script) as server:
        with_client(shell, scenario, base_url=server.url)
        assert script.closed.wait(WAIT)

    first, second = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in script.requests]
    assert {"temperature": 0} == {key: second[key] for key in second if key not in first}


@on_every_shell
def test_no_end_behind_done(shell: Shell) -> None:
    """A server that leaves the body open is waited for a moment, and then left."""
    first, second = Script(WHOLE[:-1], "hold"), Script(WHOLE, "hold")

    async def scenario(read: Any) -> None:
        assert "a" == await read()
        assert first.closed.wait(WAIT)
        assert "a" == await read()

    with ScriptedServer(first, second) as server:
        with_client(shell, scenario, base_url=server.url)


@on_every_shell
def test_retries_of_the_client(shell: Shell) -> None:
    """An error whose body was read leaves the connection to the next attempt."""
    refusal = answered(429).pieces[0]
    assert isinstance(refusal, bytes)
    script = Script([refusal, NEXT, *WHOLE], "hold")

    async def scenario(read: Any) -> None:
        assert "a" == await read()

    async def fails(read: Any) -> None:
        with pytest.raises(RateLimitError):
            await read()

    with ScriptedServer(script) as server:
        with_client(shell, scenario, base_url=server.url, max_retries=1)
    with ScriptedServer(answered(429)) as server:
        with_client(shell, fails, base_url=server.url, max_retries=0)


@on_every_shell
def test_timeouts(shell: Shell) -> None:
    """A chat has the client's limits, or its own."""

    async def scenario(read: Any) -> None:
        with pytest.raises(HeadTimeout, match=r"0\.05"):
            await read()
        with pytest.raises(HeadTimeout, match=r"0\.07"):
            await read(timeout=Timeout(head=0.07))

    with ScriptedServer(Script([], "hold"), Script([], "hold")) as server:
        timeout = Timeout(head=SHORT)
        with_client(shell, scenario, base_url=server.url, timeout=timeout, max_retries=0)


@on_every_shell
def test_loads(shell: Shell) -> None:
    """Another decoder reads every chunk."""
    seen: list[str] = []

    def loads(text: str) -> Any:
        seen.append(text)
        return json.loads(text)

    async def scenario(read: Any) -> None:
        assert "a" == await read()

    with ScriptedServer(Script(WHOLE, "hold")) as server:
        with_client(shell, scenario, base_url=server.url, loads=loads)

    assert [A[6:-2].decode(), STOP[6:-2].decode()] == seen


@on_every_shell
def test_azure(shell: Shell) -> None:
    """The deployment in the path, the version in the query, the key in a field of its own."""
    script = Script(WHOLE, "hold")

    async def scenario(read: Any) -> None:
        assert "a" == await read(headers={"x-extra": "1"})

    with ScriptedServer(script) as server:
        endpoint = Endpoint.azure(
            server.url, deployment="my gpt/4", api_version="2024-10-21", api_key="azure"
        )
        with_client(shell, scenario, endpoint=endpoint, api_key=None)

    head = script.request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    path = b"/events/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21"
    assert b"POST %b HTTP/1.1" % path == head[0]
    assert b"api-key: azure" in head
    assert b"x-extra: 1" in head
    assert not [line for line in head if line.lower().startswith(b"authorization")]


@on_every_shell
def test_204(shell: Shell) -> None:
    """O1: a status other than 200 is the error of its status, also one without a body."""
    script = Script([b"HTTP/1.1 204 No Content\r\nX-Request-Id: r1\r\n\r\n"], "hold")

    async def scenario(read: Any) -> None:
        with pytest.raises(APIError, match="204") as caught:
            await read()
        assert (204, "r1") == (caught.value.status, caught.value.request_id)

    with ScriptedServer(script) as server:
        with_client(shell, scenario, base_url=server.url)


def test_endpoint_and_its_arguments() -> None:
    """Either an endpoint, or what describes one."""
    endpoint = Endpoint(base_url="http://h", api_key="k")

    with pytest.raises(ValueError, match="endpoint has its own"):
        sse_openai.Client(endpoint=endpoint, api_key="k")


def test_azure_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key from the environment, a token in its place, or an error."""
    monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_ORG_ID", "of another service")
    azure: dict[str, Any] = {"deployment": "d", "api_version": "v"}

    with pytest.raises(ValueError, match="AZURE_OPENAI_API_KEY"):
        Endpoint.azure("https://h", **azure)
    request = Endpoint.azure("https://h/", headers={"Authorization": "Bearer t"}, **azure).request(
        "p", {}
    )
    assert (b"authorization", b"Bearer t") in request.headers
    assert "openai-organization" not in str(request.headers)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "secret")
    endpoint = Endpoint.azure("https://h", **azure)
    assert (b"api-key", b"secret") in endpoint.request("p", {}).headers
    assert "<Endpoint https://h/openai/deployments/d>" == repr(endpoint)


def test_request_of_an_endpoint() -> None:
    """A path, a query and headers for one request; GET without a body."""
    endpoint = Endpoint(base_url="https://h/v1?a=1", api_key="k", headers={"X": "1", "Y": "1"})

    request = endpoint.request("responses/r", query={"b": "2"}, headers={"x": "2"})

    assert ("GET", "/v1/responses/r?a=1&b=2") == (request.method, request.url.target)
    assert [b"2"] == [value for name, value in request.headers if name == b"x"]
    assert (b"y", b"1") in request.headers


@on_every_shell
def test_unix_socket(shell: Shell, tmp_path: Path) -> None:
    """How to connect is for the transport, and no field of the body."""
    script = Script(WHOLE, "hold")
    path = tmp_path / "socket"

    async def scenario(read: Any) -> None:
        assert "a" == await read()

    with ScriptedServer(script, path=path):
        with_client(shell, scenario, base_url="http://h/v1", uds=path, trust_env=False)

    assert b"\r\nhost: h\r\n" in script.request
    assert b"uds" not in script.request
