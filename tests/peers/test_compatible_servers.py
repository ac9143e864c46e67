"""The client against real servers that answer as OpenAI does, or nearly.

Each is skipped where it is not installed, unless SSE_REQUIRE_COMPATIBLE names it. How they
are installed and what was found stands in docs/conformance.md, how they are started in
``tests/peers/servers``.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

import anyio
import pytest

import sse_openai
import sse_openai.sync
from sse_core import ResponseError, SSEError, TransportError
from sse_openai import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ChatCompletion,
    InternalServerError,
    RateLimit,
    RateLimitError,
    StreamTruncated,
)
from tests.peers.servers.launch import KINDS, Server, Servers
from tests.peers.servers.tiny_model import CALL_TOKEN
from tests.support.shells import Shell, on_every_shell

WAIT = 20
"""Seconds after which a test has failed that waits for a server."""

JSON = dict[str, Any]


def user(text: str) -> JSON:
    return {"messages": [{"role": "user", "content": text}]}


@dataclass(frozen=True)
class Kin:
    """A server, and how it is asked for what."""

    name: str
    model: str
    text: JSON
    call: JSON
    upstreams: tuple[str, ...] = ()
    more: dict[str, JSON] = field(default_factory=dict)
    """Requests that not every server understands."""
    usage: bool = True
    """Whether it streams usage."""

    def __str__(self) -> str:
        return self.name


SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "city": {"enum": ["京都", "Paris"]}},
    "required": ["ok", "city"],
    "additionalProperties": False,
}
TOOL: JSON = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
FORCED = {"type": "function", "function": {"name": "get_weather"}}
LONG = "a " * 5000

GREEDY = {**user("hi"), "temperature": 0}

AIMOCK = Kin(
    "aimock",
    "aimock",
    text=user("text"),
    call=user("call"),
    more={
        "reasoning": user("reason"),
        "length": user("short"),
        "endless": user("endless"),
        "responses": {"input": [{"role": "user", "content": "both"}]},
        "response with a call": {"input": [{"role": "user", "content": "call"}]},
    },
)
LITELLM = Kin(
    "litellm",
    "aimock",
    text=user("text"),
    call=user("call"),
    upstreams=("aimock", "mock"),
    more={**AIMOCK.more, "choices": {**user("hi"), "model": "m", "n": 2, "max_tokens": 5}},
)
LLAMA_SERVER = Kin(
    "llama-server",
    "tiny",
    text={**GREEDY, "max_tokens": 12, "stop": ["é"]},
    # The model says anything; asked for the first token of a call, it has to go on with it.
    call={
        **GREEDY,
        "max_tokens": 600,
        "tools": [TOOL],
        "tool_choice": "required",
        "logit_bias": {str(CALL_TOKEN): 100},
    },
    more={
        "length": {**GREEDY, "max_tokens": 3},
        "endless": {**GREEDY, "max_tokens": 1500},
        "choices": {**GREEDY, "n": 2, "max_tokens": 8},
        "logprobs": {**GREEDY, "max_tokens": 5, "logprobs": True, "top_logprobs": 2},
        "responses": {"input": "hi", "temperature": 0, "max_output_tokens": 5},
        "response with a call": {
            "input": "hi",
            "temperature": 0,
            "max_output_tokens": 600,
            "tools": [{"type": "function", **TOOL["function"]}],
            "tool_choice": "required",
            "logit_bias": {str(CALL_TOKEN): 100},
        },
    },
)
LLAMA_CPP_PYTHON = Kin(
    "llama-cpp-python",
    "tiny",
    text={**GREEDY, "max_tokens": 12},
    call={**GREEDY, "max_tokens": 100, "tools": [TOOL], "tool_choice": FORCED},
    more={"length": {**GREEDY, "max_tokens": 3}, "endless": {**GREEDY, "max_tokens": 450}},
    usage=False,
)
ALL = [AIMOCK, LITELLM, LLAMA_SERVER, LLAMA_CPP_PYTHON]


def at(*kin: Kin) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kin", kin, ids=str)


def able(request: str) -> pytest.MarkDecorator:
    """Parametrize by the servers that understand such a request."""
    return at(*[kin for kin in ALL if request in kin.more])


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture
def server(kin: Kin, servers: Servers) -> Iterator[Server]:
    """The server of the test, running; what it logs is shown if the test fails."""
    for name in (kin.name, *kin.upstreams):
        if reason := KINDS[name].missing():
            if kin.name in os.environ.get("SSE_REQUIRE_COMPATIBLE", "").split(","):
                pytest.fail(f"SSE_REQUIRE_COMPATIBLE names {kin.name}, but {reason}")
            pytest.skip(reason)
    upstreams = [servers.get(KINDS[name]) for name in kin.upstreams]
    server = servers.get(KINDS[kin.name], *upstreams)
    before = len(server.log())
    yield server
    print(f"{kin.name} logged:\n{server.log()[before:]}")


@dataclass
class Call:
    """One call of a client: what it is to be asked, and what came of it."""

    fields: JSON
    method: str = "chat"
    most: int | None = None
    """How many items to read before the stream is left; None for all."""
    stream: Any = None
    items: list[Any] = field(default_factory=list)
    error: SSEError | None = None


def asked(shell: Shell, kin: Kin, server: Server, *calls: Call) -> None:
    """Make the calls one after the other, by one client."""
    options: Any = {
        "base_url": f"http://127.0.0.1:{server.port}/v1",
        "api_key": "k",
        "max_retries": 0,
        "timeout": WAIT,
    }
    if shell.blocking:
        with sse_openai.sync.Client(**options) as client:
            for call in calls:
                _read(client, kin, call)
        return

    async def main() -> None:
        async with sse_openai.Client(**options) as client:
            for call in calls:
                await _aread(client, kin, call)

    anyio.run(main, backend=shell.name)


def _read(client: sse_openai.sync.Client, kin: Kin, call: Call) -> None:
    opened = getattr(client, call.method)(**{"model": kin.model, **call.fields})
    try:
        with opened as call.stream:
            for item in itertools.islice(call.stream, call.most):
                call.items.append(item)  # one by one: a failure keeps the rest
    except SSEError as exc:
        call.error = exc


async def _aread(client: sse_openai.Client, kin: Kin, call: Call) -> None:
    opened = getattr(client, call.method)(**{"model": kin.model, **call.fields})
    try:
        async with opened as call.stream:
            async for item in call.stream:
                call.items.append(item)
                if len(call.items) == call.most:
                    break
    except SSEError as exc:
        call.error = exc


def one(shell: Shell, kin: Kin, server: Server, fields: JSON, method: str = "chat") -> Call:
    """Make one call; return what came of it."""
    call = Call(fields, method)
    asked(shell, kin, server, call)
    return call


def at_once(kin: Kin, server: Server, path: str, fields: JSON) -> Any:
    """Ask for the same without streaming."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
    headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
    try:
        body = json.dumps({"model": kin.model, **fields})
        connection.request("POST", f"/v1/{path}", body, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    finally:
        connection.close()
    assert 200 == response.status, answer
    return answer


COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def folded(completion: ChatCompletion) -> list[JSON]:
    """Return what is compared of a completion."""
    return [
        {
            "index": choice.index,
            "finish_reason": choice.finish_reason,
            "role": choice.message.role,
            "content": choice.message.content or None,
            "reasoning": choice.message.reasoning,
            "refusal": choice.message.refusal,
            "logprobs": choice.logprobs and choice.logprobs["content"],
            "tool_calls": [
                (call.type, call.function and (call.function.name, call.function.arguments))
                for call in choice.message.tool_calls
            ],
        }
        for choice in completion.choices
    ]


def as_folded(answer: JSON) -> list[JSON]:
    """Return the same of an answer that came at once."""
    return [
        {
            "index": choice["index"],
            "finish_reason": choice["finish_reason"],
            "role": message["role"],
            "content": message.get("content") or None,  # "" here may be null there
            "reasoning": message.get("reasoning_content"),
            "refusal": message.get("refusal"),
            "logprobs": choice.get("logprobs") and choice["logprobs"]["content"],
            "tool_calls": [
                (call["type"], (call["function"]["name"], call["function"]["arguments"]))
                for call in message.get("tool_calls") or []
            ],
        }
        for choice in answer["choices"]
        for message in [choice["message"]]
    ]


def check_same(kin: Kin, server: Server, call: Call) -> JSON:
    """Compare what a chat added up to with the answer at once; return the first choice."""
    assert None is call.error
    completion = call.stream.completion
    answer = at_once(kin, server, "chat/completions", call.fields)
    assert as_folded(answer) == folded(completion)
    assert call.stream.complete
    assert call.stream.done
    assert completion.id
    assert completion.created
    if kin.usage:
        assert [answer["usage"][name] for name in COUNTS] == [
            completion.usage[name] for name in COUNTS
        ]
    else:
        assert None is completion.usage
    return folded(completion)[0]


@at(*ALL)
@on_every_shell
def test_text(shell: Shell, kin: Kin, server: Server) -> None:
    """Text in several pieces adds up to the answer at once, usage included."""
    call = one(shell, kin, server, kin.text)

    choice = check_same(kin, server, call)
    assert choice["content"]
    assert len([chunk for chunk in call.items if chunk.content]) > 2
    assert call.stream.request_id or kin is LLAMA_SERVER  # which gives none


@at(*ALL)
@on_every_shell
def test_tool_calls(shell: Shell, kin: Kin, server: Server) -> None:
    """So do the fragments of calls. The arguments of the first are whole, and JSON."""
    call = one(shell, kin, server, kin.call)

    choice = check_same(kin, server, call)
    _, (_, arguments) = choice["tool_calls"][0]
    assert isinstance(json.loads(arguments), dict)
    for tool_call in call.stream.completion.choices[0].message.tool_calls:
        assert tool_call.id


@able("reasoning")
@on_every_shell
def test_reasoning(shell: Shell, kin: Kin, server: Server) -> None:
    """Reasoning is kept from the answer."""
    choice = check_same(kin, server, one(shell, kin, server, kin.more["reasoning"]))

    assert ("Let me think about it.", "So it is.") == (choice["reasoning"], choice["content"])


@able("length")
@on_every_shell
def test_length(shell: Shell, kin: Kin, server: Server) -> None:
    """An answer that was cut off by its limit says so, and is no error."""
    choice = check_same(kin, server, one(shell, kin, server, kin.more["length"]))

    assert "length" == choice["finish_reason"]


@at(LLAMA_SERVER)
@on_every_shell
def test_choices(shell: Shell, kin: Kin, server: Server) -> None:
    """Two choices come interleaved, each with a usage chunk, of which the last one counts."""
    call = one(shell, kin, server, kin.more["choices"])

    check_same(kin, server, call)
    assert [0, 1] == [choice.index for choice in call.stream.completion.choices]
    assert 2 == len([chunk for chunk in call.items if chunk.usage])


@at(LITELLM)
@on_every_shell
def test_choices_without_a_finish(shell: Shell, kin: Kin, server: Server) -> None:
    """LiteLLM forgets the finish of every choice but one: nothing is made up for it."""
    call = one(shell, kin, server, kin.more["choices"])

    assert None is call.error
    answer = at_once(kin, server, "chat/completions", kin.more["choices"])
    wanted, found = as_folded(answer), folded(call.stream.completion)
    assert "length" == wanted[1].pop("finish_reason")
    assert wanted[1].pop("role")
    assert (None, None) == (found[1].pop("finish_reason"), found[1].pop("role"))
    assert wanted == found
    assert (True, True) == (call.stream.done, call.stream.complete)


@able("logprobs")
@on_every_shell
def test_logprobs(shell: Shell, kin: Kin, server: Server) -> None:
    """They are joined, token by token."""
    call = one(shell, kin, server, kin.more["logprobs"])

    assert None is call.error
    [choice] = folded(call.stream.completion)
    [wanted] = as_folded(at_once(kin, server, "chat/completions", kin.more["logprobs"]))
    assert [found["token"] for found in wanted["logprobs"]] == [
        found["token"] for found in choice["logprobs"]
    ]
    assert choice["content"] == "".join(found["token"] for found in choice["logprobs"])
    assert 5 == len(choice["logprobs"])


@at(*ALL)
@on_every_shell
def test_events(shell: Shell, kin: Kin, server: Server) -> None:
    """What a chat's events tell is what its chunks add up to."""
    call = one(shell, kin, server, kin.text)
    teller = sse_openai.ChatEvents()
    told = [event for chunk in call.items for event in teller.receive_chunk(chunk)]

    text = "".join(event.delta for event in told if event.type == "content.delta")
    assert call.stream.completion.choices[0].message.content == text


@able("endless")
@on_every_shell
def test_early_close(shell: Shell, kin: Kin, server: Server) -> None:
    """After a stream that was left, the client's next one is answered, and whole."""
    left, next = Call(kin.more["endless"], most=3), Call(kin.text)

    asked(shell, kin, server, left, next)

    assert (3, None) == (len(left.items), left.error)
    assert not left.stream.done
    check_same(kin, server, next)


NOT_COMPARED = ("id", "created_at", "completed_at", "call_id")


def told(value: Any) -> Any:
    """Return a response without what differs from one answer to the next, and without nulls."""
    if isinstance(value, dict):
        return {
            key: told(item)
            for key, item in value.items()
            if item is not None and key not in NOT_COMPARED
        }
    return [told(item) for item in value] if isinstance(value, list) else value


@able("responses")
@on_every_shell
def test_response(shell: Shell, kin: Kin, server: Server) -> None:
    """The Responses API, as far as it is served: what came adds up to the answer at once."""
    call = one(shell, kin, server, kin.more["responses"], "responses")

    assert None is call.error
    answer = told(at_once(kin, server, "responses", kin.more["responses"]))
    response = call.stream.response
    found = told(dict(response))
    for key in ("output", "status", "model"):
        assert answer[key] == found[key]
    assert [answer["usage"][name] for name in ("input_tokens", "output_tokens")] == [
        found["usage"][name] for name in ("input_tokens", "output_tokens")
    ]
    assert response.output_text
    deltas = [item.delta for item in call.items if item.type == "response.output_text.delta"]
    assert response.output_text == "".join(deltas)
    assert (True, True) == (call.stream.done, call.stream.complete)


@able("response with a call")
@on_every_shell
def test_response_with_a_call(shell: Shell, kin: Kin, server: Server) -> None:
    """Calls, whose arguments are the same in their deltas as in the response."""
    fields = kin.more["response with a call"]
    call = one(shell, kin, server, fields, "responses")

    assert None is call.error
    answer = told(at_once(kin, server, "responses", fields))
    response = call.stream.response
    assert answer["output"] == told(response["output"])
    deltas: dict[str, str] = {}
    for item in call.items:
        if item.type == "response.function_call_arguments.delta":
            deltas[item.item_id] = deltas.get(item.item_id, "") + item.delta
    assert [call.arguments for call in response.function_calls] == list(deltas.values())
    assert isinstance(json.loads(response.function_calls[0].arguments), dict)
    assert all(call.call_id for call in response.function_calls)


# What goes wrong.

LIMITS = RateLimit(
    limit_requests=60,
    remaining_requests=0,
    reset_requests=1,
    limit_tokens=150000,
    remaining_tokens=0,
    reset_tokens=360,
)


@at(AIMOCK, LITELLM)
@pytest.mark.parametrize("method", ["chat", "responses"])
@on_every_shell
def test_no_key(shell: Shell, kin: Kin, server: Server, method: str) -> None:
    """A 401 before the stream, by either method."""
    fields = user("unauthorized")
    if method == "responses":
        fields = {"input": fields["messages"]}
    error = one(shell, kin, server, fields, method).error

    assert isinstance(error, AuthenticationError)
    assert "bad key" in error.message
    assert "invalid_api_key" == error.code or kin is LITELLM  # which has "401"
    assert error.request_id


@at(AIMOCK, LITELLM)
@pytest.mark.parametrize("prompt", ["limited", "ratelimit"])
@on_every_shell
def test_limited(shell: Shell, kin: Kin, server: Server, prompt: str) -> None:
    """A 429 with limits, and when to come again, though LiteLLM does not pass that on."""
    error = one(shell, kin, server, user(prompt)).error

    assert isinstance(error, RateLimitError)
    assert (LIMITS.limit_tokens, 0) == (
        error.rate_limit.limit_tokens,
        error.rate_limit.remaining_requests,
    )
    if kin is AIMOCK:
        assert (LIMITS, 7 if prompt == "limited" else 1) == (error.rate_limit, error.retry_after)


@at(AIMOCK)
@on_every_shell
def test_retried(shell: Shell, kin: Kin, server: Server) -> None:
    """What is refused once is answered at the next attempt."""
    opened = shell.stream_chat(
        model="m",
        **user("again"),
        base_url=f"http://127.0.0.1:{server.port}/v1",
        api_key="k",
        headers={"X-Test-Id": shell.name},  # what aimock counts by
        timeout=WAIT,
    )
    _, _, error = shell.collect(opened)

    assert None is error
    assert "now" == opened.completion.choices[0].message.content


@at(LLAMA_SERVER)
@on_every_shell
def test_prompt_too_long(shell: Shell, kin: Kin, server: Server) -> None:
    """A 400 with a number for its code."""
    error = one(shell, kin, server, user(LONG)).error

    assert isinstance(error, BadRequestError)
    assert (400, "exceed_context_size_error") == (error.code, error.type)


@at(LLAMA_CPP_PYTHON)
@on_every_shell
def test_prompt_too_long_without_a_word(shell: Shell, kin: Kin, server: Server) -> None:
    """200, an event stream, and nothing in it: that is no empty answer."""
    call = one(shell, kin, server, user(LONG))

    assert isinstance(call.error, StreamTruncated)
    assert [] == call.items
    assert 200 == call.stream.response.status


@at(AIMOCK)
@on_every_shell
def test_cut(shell: Shell, kin: Kin, server: Server) -> None:
    """A connection that breaks within the answer: what had come, and an error."""
    call = one(shell, kin, server, user("cut"))

    assert isinstance(call.error, TransportError)
    content = call.stream.completion.choices[0].message.content
    assert content
    assert "This will not come to its end.".startswith(content)
    assert not call.stream.complete


@at(AIMOCK, LITELLM)
@on_every_shell
def test_dropped(shell: Shell, kin: Kin, server: Server) -> None:
    """A 500 in place of an answer."""
    error = one(shell, kin, server, user("drop")).error

    assert isinstance(error, InternalServerError)
    assert "Chaos: request dropped" in error.message


@at(AIMOCK)
@on_every_shell
def test_malformed(shell: Shell, kin: Kin, server: Server) -> None:
    """200 with something that is no stream."""
    error = one(shell, kin, server, user("malform")).error

    assert isinstance(error, ResponseError)
    assert error.body.startswith(b"{malformed json")


@at(AIMOCK)
@on_every_shell
def test_disconnected(shell: Shell, kin: Kin, server: Server) -> None:
    """No answer at all."""
    assert isinstance(one(shell, kin, server, user("disconnect")).error, TransportError)


@at(LITELLM)
@on_every_shell
def test_error_in_the_stream(shell: Shell, kin: Kin, server: Server) -> None:
    """An error behind the first token, with what had come before it."""
    error = one(shell, kin, server, {**user("hi"), "model": "error"}).error

    assert type(error) is APIError
    assert "overloaded" in error.message
    assert (200, "500") == (error.status, error.code)
    assert error.completion is not None
    assert "a" == error.completion.choices[0].message.content


@at(LITELLM)
@pytest.mark.parametrize("model", ["cut", "finished"])
@on_every_shell
def test_end_that_litellm_invents(shell: Shell, kin: Kin, server: Server, model: str) -> None:
    """A stream cut behind it arrives as a whole one: no client could tell."""
    call = one(shell, kin, server, {**user("hi"), "model": model})

    assert None is call.error
    assert ("a", "stop", True) == (
        call.stream.completion.choices[0].message.content,
        call.stream.completion.choices[0].finish_reason,
        call.stream.done,
    )
