"""Clients that nobody here wrote, against the mock and the relay in front of it.

OpenAI's client for Python is in `test_official_client`, a browser in `test_page`.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from shutil import which
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from anyio.from_thread import start_blocking_portal

from sse_core import iter_events, serve
from sse_openai import Endpoint
from sse_openai.mock import MockOpenAI, MockServer
from sse_openai.mock.turn import SCRIPT
from sse_openai.relay import Relay
from sse_openai.sync import stream_chat
from tests.peers.servers.launch import KINDS, Server

CLIENTS = Path(__file__).parent / "clients"
REQUIRED = "SSE_REQUIRE_SERVERS" in os.environ
KEY = "sk-of-a-caller"
TEXT = "".join(SCRIPT)
CHAT: dict[str, Any] = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}
WAIT = 60


class Service:
    """What clients are pointed at, and a hold on the end of its streams."""

    def __init__(self, kind: str, stack: ExitStack) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        app: Any = self.holding(MockOpenAI(api_key=KEY))
        if kind == "relay":
            upstream = stack.enter_context(served(app)) + "/v1"
            app = Relay(Endpoint(base_url=upstream, api_key=KEY), tokens=[KEY])
        self.base_url = stack.enter_context(served(app)) + "/v1"

    def holding(self, app: Any) -> Any:
        """Wrap an application: its `[DONE]` waits until the test lets it go on."""
        from anyio.to_thread import run_sync

        async def held(scope: Any, receive: Any, send: Any) -> None:
            async def hold(message: Any) -> None:
                if b"[DONE]" in message.get("body", b""):
                    assert await run_sync(partial(self.go_on.wait, WAIT / 2))
                await send(message)

            await app(scope, receive, hold)

        return held


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application over HTTP, from a thread; the value is its URL."""
    with start_blocking_portal() as portal:
        running, port = portal.start_task(partial(serve, app))
        yield f"http://127.0.0.1:{port}"
        running.cancel()


@pytest.fixture(scope="module", params=["mock", "relay"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with ExitStack() as stack:
        yield Service(request.param, stack)


@cache
def missing(*packages: str) -> str | None:
    """Return why a program for Node cannot run here, if so."""
    node = which("node")
    if node is None:
        return "no node"
    script = f"{json.dumps(packages)}.forEach(require)"
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, timeout=WAIT)
    return None if done.returncode == 0 else f"not all of {packages} where NODE_PATH says"


def run(program: str, package: str, *arguments: str) -> list[Any]:
    """Run one of the programs in `clients`; return the lines of JSON that it prints."""
    if reason := missing(package):
        assert not REQUIRED, reason
        pytest.skip(reason)
    done = subprocess.run(
        ["node", str(CLIENTS / program), *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_openai_for_python(service: Service) -> None:
    """OpenAI's client for Python: a chat, a tool call's stream, a response, an error."""
    with openai.OpenAI(base_url=service.base_url, api_key=KEY) as client:
        with client.chat.completions.stream(**CHAT) as stream:
            content = stream.get_final_completion().choices[0].message.content
        with client.responses.stream(model="mock", input="hi") as events:
            output = events.get_final_response().output_text
    with openai.OpenAI(base_url=service.base_url, api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(stream=True, **CHAT)

    assert (TEXT, TEXT) == (content, output)


def test_openai_for_node(service: Service) -> None:
    """OpenAI's client for Node: a chat, a tool call, a response, an error."""
    (seen,) = run("openai_node.cjs", "openai", service.base_url, KEY, "mock")

    assert seen["chat"]["deltas"] == seen["chat"]["content"] == TEXT
    assert seen["chat"]["finish_reason"] == "stop"
    assert seen["chat"]["usage"]["completion_tokens"] == len(SCRIPT)
    assert seen["tools"]["calls"] == [["get_weather", '{"city":"example"}']]
    assert seen["tools"]["finish_reason"] == "tool_calls"
    assert seen["response"] == {
        "text": TEXT,
        "first": "response.created",
        "last": "response.completed",
    }
    assert seen["failure"] == {"name": "AuthenticationError", "status": 401}


def test_openai_for_node_3(service: Service) -> None:
    """The client of the articles, which hands out the bytes: `responseType: "stream"`."""
    (seen,) = run("openai_v3.cjs", "openai-v3", service.base_url, KEY, "mock")

    assert seen["type"].startswith("text/event-stream")
    assert (seen["content"], seen["done"]) == (TEXT, "[DONE]")


def test_curl(service: Service) -> None:
    """`curl -N` shows every token before the stream ends."""
    service.go_on.clear()
    command = ["curl", "-sS", "-N", f"{service.base_url}/chat/completions"]
    command += ["-H", f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json"]
    command += ["-d", json.dumps(CHAT | {"stream": True}), "--max-time", str(WAIT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        lines = iter(partial(curl.stdout.readline), b"")
        body = b""
        for line in lines:
            body += line
            if b'"finish_reason":"stop"' in line:
                break  # all but the held `[DONE]`: it is on the way, and nothing came late
        service.go_on.set()
        body += b"".join(lines)

    events = [event.data for event in iter_events([body])]
    assert "[DONE]" == events.pop()
    chunks = [json.loads(data)["choices"][0]["delta"].get("content") or "" for data in events]
    assert (TEXT, 0) == ("".join(chunks), curl.returncode)


@pytest.mark.parametrize("service", ["relay"], indirect=True)
def test_nginx_holds_nothing_back(service: Service, tmp_path: Path) -> None:
    """Behind nginx as it comes, which buffers, all tokens arrive before the stream ends."""
    nginx = KINDS["nginx"]
    if reason := nginx.missing():
        assert not REQUIRED, reason
        pytest.skip(reason)
    service.go_on.clear()
    upstream: Any = SimpleNamespace(
        kind=SimpleNamespace(name="relay"), port=urlsplit(service.base_url).port
    )
    proxy = Server(nginx, tmp_path, upstream)
    proxy.start()
    try:
        url = f"http://127.0.0.1:{proxy.port}/default/v1"
        with stream_chat(base_url=url, api_key=KEY, **CHAT) as chat:
            for chunk in chat:
                if chunk.finish_reason:
                    service.go_on.set()
    finally:
        service.go_on.set()
        proxy.stop()

    assert TEXT == chat.completion.choices[0].message.content
    assert chat.done


def test_eventsource_for_node() -> None:
    """npm's eventsource reads a stream of the relay by its ID, over a connection that breaks."""
    connections = 0

    def breaking(app: Any) -> Any:
        async def broken(scope: Any, receive: Any, send: Any) -> None:
            nonlocal connections
            connections += scope.get("path", "").startswith("/v1/streams/")

            async def send_half(message: Any) -> None:
                if connections == 1 and (body := message.get("body")):
                    await send(message | {"body": body[: len(body) // 2], "more_body": True})
                    raise ConnectionAbortedError("as the test wants it")
                await send(message)

            await app(scope, receive, send_half)

        return broken

    with MockServer(MockOpenAI(api_key=KEY)) as mock:
        relay = Relay(Endpoint(base_url=mock.base_url, api_key=KEY))
        with served(breaking(relay)) as url:
            with stream_chat(base_url=f"{url}/v1", api_key="none", **CHAT) as chat:
                chunks = len(list(chat))
                stream = chat.response.headers["x-stream-id"]
            events = run("eventsource_node.cjs", "eventsource", f"{url}/v1/streams/{stream}")

    assert 2 == connections
    assert [str(n) for n in range(1, chunks + 2)] == [event["lastEventId"] for event in events]
    assert "[DONE]" == events[-1]["data"]
