"""Clients that were not written for the relay: our own, and OpenAI's."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import httpx
import openai
import pytest

import sse_core
from sse_core import serve
from sse_openai import Endpoint, stream_chat
from sse_openai.__main__ import main as sse_openai
from sse_openai.mock import MockOpenAI
from sse_openai.relay import Relay

pytestmark = pytest.mark.anyio

ABC = ["A", " B", " C"]
ASK: Any = [{"role": "user", "content": "Hello?"}]


@asynccontextmanager
async def relayed(**options: Any) -> AsyncGenerator[str]:
    """Serve a relay before the mock; give its base URL."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            mock = MockOpenAI(ABC, api_key="sk-server")
            port = await tasks.start(serve, mock)
            endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-server")
            relay = Relay(endpoint, **options)
            yield f"http://127.0.0.1:{await tasks.start(partial(serve, relay))}/v1"
            await relay.aclose()
            tasks.cancel_scope.cancel()


async def test_our_chat() -> None:
    """The text, and the usage."""
    async with relayed(tokens=["mine"]) as base_url:
        chat = stream_chat(model="m", messages=ASK, base_url=base_url, api_key="mine")
        async with chat:
            text = [chunk.content async for chunk in chat if chunk.content]

    assert ABC == text
    assert chat.completion.usage is not None


@pytest.mark.sweep(quick=1)
async def test_our_event_source_goes_on_by_itself() -> None:
    """By the frames' numbers; at the end it is told to stop."""
    async with relayed() as base_url:
        body = {"model": "m", "stream": True, "messages": ASK}
        async with sse_core.stream(f"{base_url}/chat/completions", json=body) as events:
            stream_id = events.response.headers["x-stream-id"]
            whole = [event.data async for event in events]
        async with sse_core.EventSource(f"{base_url}/streams/{stream_id}") as source:
            again = [(event.id, event.data) async for event in source]

    assert list(enumerate(whole, 1)) == [(int(id), data) for id, data in again]
    assert "[DONE]" == whole[-1]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # on trio it leaves generators behind
async def test_the_official_client() -> None:
    """Streams, whole answers, models and errors."""
    async with relayed(models=["m"]) as base_url:
        async with openai.AsyncOpenAI(
            base_url=base_url, api_key="callers-own", max_retries=0
        ) as client:
            stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
            text = [
                chunk.choices[0].delta.content
                async for chunk in stream
                if chunk.choices and chunk.choices[0].delta.content
            ]
            whole = await client.chat.completions.create(model="m", messages=ASK)
            models = [model.id async for model in client.models.list()]
            with pytest.raises(openai.NotFoundError) as unknown:
                await client.chat.completions.create(model="x", messages=ASK)
            with pytest.raises(openai.BadRequestError) as bad:
                await client.chat.completions.create(model="m", messages=[])

    assert ABC == text
    assert "A B C" == whole.choices[0].message.content
    assert ["m"] == models
    assert "model_not_found" == unknown.value.code
    assert "messages" == bad.value.param


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints the address of the page, serves it, and ends with Ctrl-C."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    command = [sys.executable, "-m", "sse_openai", "relay", "--port", "0", "--model", "m"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            url = next(line for line in process.stderr if line.startswith("http")).strip()
            hint = process.stderr.readline()
            page = httpx.get(url, trust_env=False)
            models = httpx.get(f"{url}v1/models", trust_env=False).json()
            process.send_signal(signal.SIGINT)
            status = process.wait(20)
        finally:
            process.kill()

    assert "text/html; charset=utf-8" == page.headers["content-type"]
    assert "m" == models["data"][0]["id"]
    assert "uvicorn --factory sse_openai.relay:from_environment" in hint
    assert 130 == status


def test_the_command_is_for_one_person(capfd: pytest.CaptureFixture[str]) -> None:
    """Where others can reach it, they need a token."""
    assert 1 == sse_openai(["relay", "--host", "0.0.0.0", "--upstream", "http://127.0.0.1:9/v1"])

    assert "--token" in capfd.readouterr().err
