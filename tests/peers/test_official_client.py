"""The official client, pointed at the mock, sees what ours sees: text, tool calls, usage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import openai
import pytest

from sse_core import serve
from sse_openai.mock import MockOpenAI
from sse_openai.sync import stream_chat

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """The mock, served over real HTTP from a thread of its own."""
    ports: list[int] = []
    started, stop = threading.Event(), threading.Event()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            ports.append(await tasks.start(partial(serve, MockOpenAI())))
            started.set()
            await anyio.to_thread.run_sync(stop.wait)
            tasks.cancel_scope.cancel()

    thread = threading.Thread(target=anyio.run, args=(main,))
    thread.start()
    assert started.wait(10)
    yield f"http://127.0.0.1:{ports[0]}/v1"
    stop.set()
    thread.join(10)


def by_openai(base_url: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Fold the official client's chunks."""
    choices: dict[int, dict[str, Any]] = {}
    usage = None
    with openai.OpenAI(base_url=base_url, api_key="k") as client:
        for chunk in client.chat.completions.create(stream=True, **fields):
            usage = chunk.usage.to_dict() if chunk.usage else usage
            for choice in chunk.choices:
                empty: dict[str, Any] = {"text": "", "calls": {}, "finish": None}
                found = choices.setdefault(choice.index, empty)
                found["text"] += choice.delta.content or ""
                found["finish"] = choice.finish_reason or found["finish"]
                for call in choice.delta.tool_calls or ():
                    known = found["calls"].setdefault(call.index, [call.id, "", ""])
                    known[1] += call.function.name or ""
                    known[2] += call.function.arguments or ""
    for found in choices.values():
        found["calls"] = [tuple(call) for call in found["calls"].values()]
    return {"choices": choices, "usage": usage}


def by_ours(base_url: str, fields: dict[str, Any]) -> dict[str, Any]:
    with stream_chat(base_url=base_url, api_key="k", **fields) as chat:
        for _ in chat:
            pass
    choices = {
        choice.index: {
            "text": choice.message.content or "",
            "calls": [
                (
                    call.id,
                    call.function and call.function.name,
                    call.function and call.function.arguments,
                )
                for call in choice.message.tool_calls
            ],
            "finish": choice.finish_reason,
        }
        for choice in chat.completion.choices
    }
    return {"choices": choices, "usage": chat.completion.usage}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 3},
        {"max_tokens": 7},
        {"stop": ["です"]},
        {"tools": [WEATHER], "tool_choice": "required"},
        {"stream_options": {"include_usage": False}},
    ],
    ids=["plain", "n", "max_tokens", "stop", "tools", "without usage"],
)
def test_same_text_tool_calls_and_usage(base_url: str, fields: dict[str, Any]) -> None:
    """Ids are the mock's own count of requests, so they are left out of the comparison."""
    asked = {
        "model": "m",
        "messages": [{"role": "user", "content": "What are Server-Sent Events?"}],
        "stream_options": {"include_usage": True},
    } | fields

    official, ours = by_openai(base_url, asked), by_ours(base_url, asked)

    for answer in (official, ours):
        for choice in answer["choices"].values():
            choice["calls"] = [call[1:] for call in choice["calls"]]
    assert official == ours
    assert official["choices"]
