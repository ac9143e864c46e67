"""The mock endpoint: what it says, what it refuses, and that OpenAI's own client agrees."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import openai
import pytest

from sse_core import serve
from sse_core.asgi import Receive, Send
from sse_openai.mock import MockOpenAI, Recording
from sse_openai.mock.sampler import Sampler
from sse_openai.mock.turn import SCRIPT

pytestmark = pytest.mark.anyio

RECORDED = Path(__file__).parents[2] / "data" / "recorded"
CHAT = "/v1/chat/completions"
ABC = ["A", " B", " C"]
ASK = [{"role": "user", "content": "Hello?"}]
"""Six bytes: two prompt tokens."""


def tool(name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    function = {"name": name} if parameters is None else {"name": name, "parameters": parameters}
    return {"type": "function", "function": function}


CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["°C", "°F"]}, "days": {}},
    "required": ["city", "unit"],
}
TOOLS = [tool("get_time"), tool("get_weather", CITY)]


@asynccontextmanager
async def endpoint(app: Any) -> AsyncGenerator[str]:
    """Serve ``app``; give its base URL."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as task_group:
            port = await task_group.start(serve, app)
            yield f"http://127.0.0.1:{port}/v1"
            task_group.cancel_scope.cancel()


@asynccontextmanager
async def client(app: Any, **headers: str) -> AsyncGenerator[httpx.AsyncClient]:
    headers = headers or {"authorization": "Bearer key"}
    async with endpoint(app) as url:
        base = url.removesuffix("/v1")
        async with httpx.AsyncClient(
            base_url=base, headers=headers, trust_env=False, verify=False
        ) as http:
            yield http


async def post(app: Any, **fields: Any) -> httpx.Response:
    """Ask ``app``; a field that is ``...`` is left out."""
    fields = {"model": "m", "messages": ASK, **fields}
    fields = {name: value for name, value in fields.items() if value is not ...}
    async with client(app) as http:
        return await http.post(CHAT, json=fields)


async def chunks(app: Any, **fields: Any) -> list[Any]:
    """Ask for a stream; give its chunks, without the end."""
    response = await post(app, stream=True, **fields)
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


async def whole(app: Any, **fields: Any) -> Any:
    return (await post(app, **fields)).json()


def choice(found: list[Any], index: int = 0) -> list[Any]:
    return [each for chunk in found for each in chunk["choices"] if each["index"] == index]


def text(found: list[Any], index: int = 0) -> str:
    return "".join(each["delta"].get("content") or "" for each in choice(found, index))


def arguments(found: list[Any], call: int, index: int = 0) -> str:
    return "".join(
        each["function"]["arguments"]
        for one in choice(found, index)
        for each in one["delta"].get("tool_calls", ())
        if each["index"] == call
    )


# What it says


async def test_stream() -> None:
    """A role, a chunk for each token, a reason, the end."""
    response = await post(MockOpenAI(["て", "います", "。"]), stream=True)

    def chunk(delta: str, reason: str = "null") -> str:
        return (
            'data: {"id":"chatcmpl-000001","object":"chat.completion.chunk","created":1700000000,'
            '"model":"m","system_fingerprint":"fp_mock","choices":[{"index":0,"delta":'
            f'{delta},"logprobs":null,"finish_reason":{reason}}}]}}\n\n'
        )

    assert response.text == (
        chunk('{"role":"assistant","content":""}')
        + chunk('{"content":"て"}')
        + chunk('{"content":"います"}')
        + chunk('{"content":"。"}')
        + chunk("{}", '"stop"')
        + "data: [DONE]\n\n"
    )
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-request-id"] == "req_000001"


async def test_whole() -> None:
    """Without ``stream`` the same comes in one piece, with its usage."""
    response = await post(MockOpenAI(ABC))

    assert response.json() == {
        "id": "chatcmpl-000001",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "system_fingerprint": "fp_mock",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "A B C", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
    }
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == "req_000001"


async def test_script() -> None:
    """Unless told otherwise it explains Server-Sent Events, in three languages."""
    said = text(await chunks(MockOpenAI()))

    english, japanese, chinese = said.split("\n\n")
    assert english.startswith("Server-Sent Events let a server send text to a client,")
    assert "表示されています。" in japanese
    assert chinese.endswith("。你好！")
    assert "います" in SCRIPT


async def test_deterministic() -> None:
    """The same requests in the same order get the same bytes."""
    first, second = MockOpenAI(), MockOpenAI()
    for app in (first, second):
        await post(app)
    a, b = await post(first, stream=True), await post(second, stream=True)

    assert a.content == b.content
    assert a.headers["x-request-id"] == b.headers["x-request-id"] == "req_000002"


async def test_usage() -> None:
    """Usage comes in a chunk of its own, and as null in every other, if asked for."""
    found = await chunks(MockOpenAI(ABC), n=2, stream_options={"include_usage": True})

    *others, last = found
    assert {None} == {chunk["usage"] for chunk in others}
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 2, "completion_tokens": 6, "total_tokens": 8}


async def test_no_usage() -> None:
    """Otherwise no chunk speaks of it."""
    found = await chunks(MockOpenAI(ABC), stream_options={"include_obfuscation": False})

    assert not any("usage" in chunk for chunk in found)


async def test_prompt_tokens() -> None:
    """Every message counts for itself, in text or in parts; what is no text counts nothing."""
    parts = [{"type": "text", "text": "十字"}, {"type": "image_url", "image_url": {"url": "a"}}]
    found = await whole(
        MockOpenAI(ABC),
        messages=[
            {"role": "system", "content": "a"},
            {"role": "user", "content": parts},
            {"role": "assistant", "content": None},
        ],
    )

    assert found["usage"]["prompt_tokens"] == 1 + 2


async def test_choices_take_turns() -> None:
    """The choices of a stream come abreast, token by token, and say the same."""
    found = await chunks(MockOpenAI(ABC), n=3)

    assert [chunk["choices"][0]["index"] for chunk in found] == [0, 1, 2] * 5
    assert [text(found, index) for index in range(3)] == ["A B C"] * 3


async def test_choices_whole() -> None:
    """Without ``stream`` too there are as many choices as asked for."""
    found = await whole(MockOpenAI(ABC), n=128)

    assert [each["index"] for each in found["choices"]] == list(range(128))
    assert {each["message"]["content"] for each in found["choices"]} == {"A B C"}


@pytest.mark.sweep(quick=9)
@pytest.mark.parametrize(
    ("fields", "said", "reason", "tokens"),
    [
        ({"stop": " B"}, "A", "stop", 1),
        ({"stop": ["x", " C"]}, "A B", "stop", 2),
        ({"stop": "B C"}, "A ", "stop", 2),
        ({"stop": "A"}, "", "stop", 0),
        ({"stop": ["A B", " "]}, "A", "stop", 1),
        ({"stop": "x"}, "A B C", "stop", 3),
        ({"stop": []}, "A B C", "stop", 3),
        ({"max_tokens": 2}, "A B", "length", 2),
        ({"max_completion_tokens": 1}, "A", "length", 1),
        ({"max_tokens": 3}, "A B C", "stop", 3),
        ({"max_tokens": 10**30}, "A B C", "stop", 3),
        ({"max_tokens": 2, "stop": "C"}, "A B", "length", 2),
        ({"max_tokens": 2, "stop": "B"}, "A ", "stop", 2),
    ],
    ids=str,
)
async def test_ends(fields: dict[str, Any], said: str, reason: str, tokens: int) -> None:
    """The text ends before a stop string, or at the limit of tokens, and says why."""
    app = MockOpenAI(ABC)
    found = await chunks(app, stream_options={"include_usage": True}, **fields)
    one = (await whole(app, **fields))["choices"][0]

    assert (text(found), choice(found)[-1]["finish_reason"]) == (said, reason)
    assert (one["message"]["content"], one["finish_reason"]) == (said, reason)
    assert found[-1]["usage"]["completion_tokens"] == tokens


async def test_logprobs() -> None:
    """Every token comes with its probability, which is one."""
    app = MockOpenAI(["て"])
    own = {"token": "て", "logprob": 0.0, "bytes": [0xE3, 0x81, 0xA6]}
    found = choice(await chunks(app, logprobs=True))
    one = (await whole(app, logprobs=True, top_logprobs=2))["choices"][0]

    assert [each["logprobs"] for each in found] == [
        None,
        {"content": [{**own, "top_logprobs": []}], "refusal": None},
        None,
    ]
    assert one["logprobs"] == {"content": [{**own, "top_logprobs": [own]}], "refusal": None}


async def test_nulls() -> None:
    """A field that is null is as good as absent."""
    names = ("stream", "stream_options", "n", "stop", "max_tokens", "tools", "tool_choice")
    found = await whole(MockOpenAI(ABC), **dict.fromkeys(names))

    assert found["choices"][0]["message"]["content"] == "A B C"


async def test_lone_surrogates() -> None:
    """What a request escapes and UTF-8 cannot say becomes a replacement character."""
    app = MockOpenAI(ABC)
    async with client(app) as http:
        content = rb'{"model": "a\ud800", "stream": %b, "messages": [{"role": "user"}]}'
        streamed = await http.post(CHAT, content=content % b"true")
        one = await http.post(CHAT, content=content % b"false")

    assert '"model":"a\ufffd"' in streamed.text
    assert one.json()["model"] == "a?"


# Tools


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, None),
        ({"question": "What does Get_Weather say?"}, ["get_weather"]),
        ({"question": "get_weather and get_time"}, ["get_time", "get_weather"]),
        ({"question": "get_weather, get_time", "parallel_tool_calls": False}, ["get_time"]),
        ({"question": "get_weather", "parallel_tool_calls": True}, ["get_weather"]),
        ({"question": "get_weather", "tool_choice": "none"}, None),
        ({"question": "get_weather", "tool_choice": "auto"}, ["get_weather"]),
        ({"question": "get_weather", "tool_choice": "required"}, ["get_weather"]),
        ({"tool_choice": "required"}, ["get_time"]),
        ({"tool_choice": tool("get_weather")}, ["get_weather"]),
        (
            {"messages": [*ASK, {"role": "tool", "tool_call_id": "a", "content": "get_time"}]},
            None,
        ),
    ],
    ids=str,
)
async def test_tool_choice(fields: dict[str, Any], names: list[str] | None) -> None:
    """A tool is called when the user names it, or when the request says so."""
    question = [{"role": "user", "content": fields.get("question", "Hello?")}]
    fields = {"messages": question, "tools": TOOLS, **fields}
    one = (await whole(MockOpenAI(ABC), **fields))["choices"][0]

    calls = one["message"].get("tool_calls")
    assert names == (calls and [call["function"]["name"] for call in calls])
    assert one["finish_reason"] == ("tool_calls" if names else "stop")
    assert one["message"]["content"] == (None if names else "A B C")


async def test_tool_calls() -> None:
    """Calls come in fragments, keyed by index; id and name come once, before them."""
    app = MockOpenAI()
    question = {"messages": [{"role": "user", "content": "get_time, get_weather"}]}
    found = await chunks(app, tools=TOOLS, n=2, logprobs=True, **question)
    one = await whole(app, tools=TOOLS, n=2, logprobs=True, **question)

    for index in range(2):
        first, *deltas, last = [each["delta"] for each in choice(found, index)]
        begun = [each for delta in deltas for each in delta["tool_calls"] if "id" in each]
        assert first == {"role": "assistant", "content": None}
        assert last == {}
        assert begun == [
            {
                "index": call,
                "id": f"call_000001_{index}_{call}",
                "type": "function",
                "function": {"name": name, "arguments": ""},
            }
            for call, name in enumerate(["get_time", "get_weather"])
        ]
        assert arguments(found, 0, index) == "{}"
        assert json.loads(arguments(found, 1, index)) == {"city": "example", "unit": "°C"}
        assert len(deltas) > 5
        assert [
            {"name": "get_time", "arguments": "{}"},
            {"name": "get_weather", "arguments": arguments(found, 1, index)},
        ] == [call["function"] for call in one["choices"][index]["message"]["tool_calls"]]
        assert one["choices"][index]["logprobs"] is None


async def test_tool_calls_cut() -> None:
    """The limit of tokens cuts arguments too; what was not begun is not there."""
    app = MockOpenAI()
    fields = {
        "tools": [tool("one", CITY), tool("two", CITY)],
        "messages": [{"role": "user", "content": "one two"}],
        "max_tokens": 2,
    }
    found = await chunks(app, **fields)
    one = (await whole(app, **fields))["choices"][0]

    assert arguments(found, 0) == '{"city'
    assert [call["function"] for call in one["message"]["tool_calls"]] == [
        {"name": "one", "arguments": '{"city'}
    ]
    assert choice(found)[-1]["finish_reason"] == one["finish_reason"] == "length"


RECURSIVE: dict[str, Any] = {"$defs": {}, "$ref": "#/$defs/a~1b"}
RECURSIVE["$defs"]["a/b"] = {"type": "object", "required": ["a", "b"]}
RECURSIVE["$defs"]["a/b"]["properties"] = {name: {"$ref": RECURSIVE["$ref"]} for name in "ab"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "example"),
        ({"type": "string"}, "example"),
        ({"type": "string", "minLength": 9}, "example.."),
        ({"type": "string", "minLength": 10**9}, "example".ljust(64, ".")),
        ({"type": "string", "maxLength": 3}, "exa"),
        ({"type": "string", "format": "date"}, "2025-01-31"),
        ({"type": "string", "format": ["odd"]}, "example"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 3.5}, 4),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "number", "maximum": -0.5}, -1),
        ({"type": "number", "exclusiveMaximum": 1}, 0),
        ({"type": "number", "minimum": "odd"}, 1),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 1),
        ({"type": []}, "example"),
        ({"type": "array"}, ["example"]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "object"}, {}),
        ({"properties": {"a": {"const": 7}}, "required": ["a", "b"]}, {"a": 7, "b": "example"}),
        ({"properties": "odd", "required": [1]}, {"1": "example"}),
        ({"enum": ["x", "y"]}, "x"),
        ({"enum": []}, "example"),
        ({"default": None}, None),
        ({"examples": [[]]}, []),
        ({"anyOf": [{"type": "boolean"}]}, True),
        ({"allOf": []}, "example"),
        ({"$ref": "#/properties/other"}, 1),
        ({"$ref": "#/properties/other/type/odd"}, None),
        ({"$ref": 7}, None),
        (True, None),
    ],
    ids=str,
)
def test_arguments(schema: Any, value: Any) -> None:
    """Arguments fit their schema; what is odd in one is ignored."""
    properties = {"a": schema, "other": {"type": "integer"}}
    parameters = {"type": "object", "properties": properties, "required": ["a"]}

    assert Sampler(parameters).arguments() == {"a": value}


@pytest.mark.parametrize("schema", [None, {}, {"type": "integer"}], ids=str)
def test_arguments_are_an_object(schema: Any) -> None:
    """Arguments are an object, whatever the schema says."""
    assert Sampler(schema).arguments() == {}


def test_arguments_are_bounded() -> None:
    """A schema that requires itself twice ends."""
    assert len(json.dumps(Sampler(RECURSIVE).arguments())) < 10_000


# What it refuses


@pytest.mark.sweep(quick=25)
@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": ...}, "model", "missing_required_parameter"),
        ({"model": ""}, "model", "invalid_value"),
        ({"model": 1}, "model", "invalid_type"),
        ({"messages": ...}, "messages", "missing_required_parameter"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": ["hi"]}, "messages[0]", "invalid_type"),
        ({"messages": [{}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [*ASK, {"role": "king"}]}, "messages[1].role", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": 1.5}]},
            "messages[0].content",
            "invalid_type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"text": True}]}]},
            "messages[0].content[0].text",
            "invalid_type",
        ),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        ({"stream_options": [], "stream": True}, "stream_options", "invalid_type"),
        (
            {"stream_options": {"include_usage": 1}, "stream": True},
            "stream_options.include_usage",
            "invalid_type",
        ),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"n": "2"}, "n", "invalid_type"),
        ({"n": True}, "n", "invalid_type"),
        ({"n": 1.0}, "n", "invalid_type"),
        ({"stop": list("abcde")}, "stop", "array_above_max_length"),
        ({"stop": ["a", None]}, "stop[1]", "invalid_type"),
        ({"stop": ""}, "stop", "invalid_value"),
        ({"stop": 1}, "stop", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens", "invalid_value"),
        ({"top_logprobs": 2}, "top_logprobs", "invalid_value"),
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": [{}]}, "tools[0].type", "missing_required_parameter"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "invalid_value"),
        (
            {"tools": [{"type": "function"}]},
            "tools[0].function",
            "missing_required_parameter",
        ),
        ({"tools": [tool("no spaces")]}, "tools[0].function.name", "invalid_value"),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": []}}]},
            "tools[0].function.parameters",
            "invalid_type",
        ),
        ({"tool_choice": "auto"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "any", "tools": TOOLS}, "tool_choice", "invalid_value"),
        ({"tool_choice": tool("other"), "tools": TOOLS}, "tool_choice", "invalid_value"),
        (
            {"tool_choice": {"type": "function"}, "tools": TOOLS},
            "tool_choice.function",
            "missing_required_parameter",
        ),
    ],
    ids=str,
)
async def test_bad_request(fields: dict[str, Any], param: str, code: str) -> None:
    """A field that does not fit is named."""
    response = await post(MockOpenAI(), **fields)

    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert f"'{param}'" in error["message"]
    assert response.headers["x-request-id"] == "req_000001"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff{}",
        b'{"n": NaN}',
        b'{"n": 1e999}',
        b'{"n": %b}' % (b"1" * 5000),
        b"[" * 100_000,
        b'{"n": ' + b"[" * 100_000,
    ],
    ids=lambda content: repr(content[:10]),
)
async def test_bad_json(content: bytes) -> None:
    """A body that is no JSON object is refused."""
    async with client(MockOpenAI()) as http:
        response = await http.post(CHAT, content=content)

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("api_key", "authorization", "status", "code"),
    [
        (None, None, 401, None),
        (None, "Bearer", 401, None),
        (None, "Basic a2V5", 401, None),
        (None, "Bearer key", 200, None),
        ("sk-secret", None, 401, None),
        ("sk-secret", "Bearer sk-wrong", 401, "invalid_api_key"),
        ("sk-secret", "bearer sk-secret", 200, None),
    ],
)
async def test_key(
    api_key: str | None, authorization: str | None, status: int, code: str | None
) -> None:
    """Without a key nothing is answered; with a wrong one neither, if one is asked for."""
    headers = {} if authorization is None else {"authorization": authorization}
    async with client(MockOpenAI(api_key=api_key), **headers or {"a": "b"}) as http:
        response = await http.get("/v1/models")

    assert response.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)
    if status == 401:
        assert response.json()["error"]["code"] == code
        assert "sk-" not in response.text


@pytest.mark.parametrize("path", [CHAT, "/chat/completions", "/v1/models", "/models"])
async def test_method(path: str) -> None:
    """Another method is refused, and the right one named."""
    async with client(MockOpenAI()) as http:
        response = await http.put(path)

    assert response.status_code == 405
    assert response.headers["allow"] == ("GET" if "models" in path else "POST")
    assert response.json()["error"]["code"] == "method_not_supported"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/chat", f"{CHAT}/", "/v1/v1/models"])
async def test_path(path: str) -> None:
    """An unknown path is an error of the same shape."""
    async with client(MockOpenAI()) as http:
        response = await http.get(path)

    assert response.status_code == 404
    assert response.json()["error"]["message"] == f"Invalid URL (GET {path})"
    assert response.headers["x-request-id"] == "req_000001"


@pytest.mark.parametrize("length", [True, False], ids=["content-length", "chunked"])
async def test_body_limit(length: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body over the limit is refused, by what it declares or by what it holds."""
    monkeypatch.setattr("sse_openai.mock.app.MAX_BODY", 1000)

    async def content() -> AsyncGenerator[bytes]:
        for _ in range(3):
            yield bytes(400)

    async with client(MockOpenAI()) as http:
        response = await http.post(CHAT, content=bytes(1001) if length else content())

    assert response.status_code == 413
    assert response.json()["error"]["message"] == "The request body is longer than 1000 bytes."


async def test_refused_without_asking_for_the_body() -> None:
    """A client that waits for 100 (Continue) gets its error instead."""
    async with endpoint(MockOpenAI()) as url:
        port = int(url.removesuffix("/v1").rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key\r\n"
                b"Expect: 100-continue\r\nContent-Length: 99999999999999999999\r\n\r\n"
            )
            assert (await stream.receive()).startswith(b"HTTP/1.1 413 ")


async def test_models() -> None:
    """The models are the mock and its recordings."""
    async with client(MockOpenAI(recordings={"tape": Recording(())})) as http:
        found = (await http.get("/v1/models")).json()

    assert found["object"] == "list"
    assert [each["id"] for each in found["data"]] == ["mock", "tape"]


async def test_mounted() -> None:
    """Below a path of another application it answers to the rest of the path."""
    inner = MockOpenAI()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await inner({**scope, "root_path": "/openai"}, receive, send)

    async with client(app) as http:
        assert (await http.get("/openai/v1/models")).status_code == 200


async def test_other_protocols() -> None:
    """Nothing but HTTP is answered."""

    async def none(*_: Any) -> Any:
        raise AssertionError  # pragma: no cover - nothing is read or sent

    with pytest.raises(NotImplementedError, match="websocket"):
        await MockOpenAI()({"type": "websocket"}, none, none)


# When it says it


async def diary(app: Any, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> list[float | bytes]:
    """Call ``app`` without a network; give its pauses and what it sent, in their order."""
    seen: list[float | bytes] = []
    request = json.dumps({"model": "m", "messages": ASK, **fields}).encode()
    messages = [{"type": "http.request", "body": request}]

    async def receive() -> Any:
        if not messages:
            await anyio.Event().wait()
        return messages.pop()

    async def send(message: Any) -> None:
        seen.append(message.get("body", b""))

    async def sleep(seconds: float) -> None:
        seen.append(seconds)

    scope = {
        "type": "http",
        "method": "POST",
        "path": CHAT,
        "headers": [(b"authorization", b"Bearer key")],
    }
    monkeypatch.setattr(anyio, "sleep", sleep)
    await app(scope, receive, send)
    assert seen.pop() == b""
    assert seen.pop(0) == b""
    return seen


async def test_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a delay before each token, and before no other event."""
    seen = await diary(MockOpenAI(ABC, delay=0.5), monkeypatch, stream=True, n=2)

    assert seen[::2] == [0, 0, 0.5, 0, 0.5, 0, 0.5, 0, 0, 0, 0]


async def test_delay_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call begins with its first fragment, without a delay of its own."""
    fields = {"tools": [tool("a")], "tool_choice": "required"}
    seen = await diary(MockOpenAI(delay=0.5), monkeypatch, stream=True, **fields)

    assert seen[::2] == [0, 0.5, 0, 0, 0]


async def test_delay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``stream`` the delays of all tokens come first."""
    seen = await diary(MockOpenAI(ABC, delay=0.5), monkeypatch)

    assert seen[0] == 1.5


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (b"", [(0, b"")]),
        (b"data: a\n\n", [(0, b"data: a\n\n")]),
        (b"data: a\n\n: pause 0.25\ndata: b\n\n", [(0, b"data: a\n\n"), (0.25, b"data: b\n\n")]),
        (b": pause 1\ndata: a\n\n", [(0, b""), (1, b"data: a\n\n")]),
        (b"data: a\r\n: pause 2\r\n\r\n", [(0, b"data: a\r\n"), (2, b"\r\n")]),
        (b"data: a\r: pause 2\r\r", [(0, b"data: a\r"), (2, b"\r")]),
        (b"data: a\n\n: pause 1\n: pause 2", [(0, b"data: a\n\n"), (1, b""), (2, b"")]),
        (b"data: : pause 1\n: pause x\n: pauses\n:pause 1\n", None),
    ],
)
def test_recording(data: bytes, pieces: list[tuple[float, bytes]] | None) -> None:
    """Lines of their own say when; everything else is what is sent."""
    recording = Recording.from_bytes(data)

    assert recording.pieces == tuple(pieces or [(0.0, data)])


@pytest.mark.parametrize("name", ["japanese", "chinese"])
async def test_replay(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording is sent byte for byte, in its pieces, with its pauses."""
    path = RECORDED / f"{name}.sse"
    app = MockOpenAI(recordings={"tape": Recording.from_path(path)}, delay=7)
    seen = await diary(app, monkeypatch, model="tape", stream=True)

    lines = path.read_bytes().splitlines(keepends=True)
    pauses = [float(line[8:]) for line in lines if line.startswith(b": pause ")]
    assert seen[::2] == [0, *pauses]
    assert b"".join(each for each in seen[1::2] if isinstance(each, bytes)) == b"".join(
        line for line in lines if not line.startswith(b": pause ")
    )


async def test_replay_over_http() -> None:
    """A recording is an event stream like any other."""
    recording = Recording.from_path(RECORDED / "japanese.sse")
    response = await post(MockOpenAI(recordings={"tape": recording}), model="tape", stream=True)

    assert response.content == recording.body
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "ています。" == "".join(
        json.loads(line[6:])["choices"][0]["delta"].get("content", "")
        for line in response.text.splitlines()
        if line.startswith("data: {")
    )


async def test_replay_whole() -> None:
    """A recording cannot be had in one piece."""
    response = await post(MockOpenAI(recordings={"tape": Recording(())}), model="tape")

    assert (response.status_code, response.json()["error"]["param"]) == (400, "stream")


@pytest.mark.parametrize("stream", [True, False])
async def test_client_goes(stream: bool) -> None:
    """A client that goes away ends the answer at once, also within a pause."""
    inner, waiting, ended = MockOpenAI(ABC, delay=3600), anyio.Event(), anyio.Event()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        async def watched() -> Any:
            message = await receive()
            waiting.set()  # at the end of the request: from here on, for the client to go
            return message

        await inner(scope, watched, send)
        ended.set()

    async with client(app) as http:
        async with anyio.create_task_group() as task_group:
            fields = {"model": "m", "messages": ASK, "stream": stream}
            task_group.start_soon(partial(http.post, CHAT, json=fields, timeout=None))
            await waiting.wait()
            task_group.cancel_scope.cancel()
        await ended.wait()


async def test_client_goes_within_the_request() -> None:
    """A request that breaks off is answered nothing."""
    ended = anyio.Event()
    inner = MockOpenAI()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)
        ended.set()

    async with endpoint(app) as url:
        port = int(url.removesuffix("/v1").rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key\r\n"
                b"Content-Length: 9\r\n\r\n{"
            )
            await stream.send_eof()
            await ended.wait()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


# What OpenAI's own client makes of it

# It leaves the generators of its streams to the garbage collector, which trio warns of.
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@ASYNCIO
async def test_openai_async() -> None:
    """The official client reads the same text and the same usage, streamed and whole."""
    fields: Any = {"model": "m", "messages": ASK}
    options: Any = {"stream": True, "stream_options": {"include_usage": True}}
    async with endpoint(MockOpenAI()) as url, openai.AsyncOpenAI(base_url=url, api_key="k") as api:
        found = [chunk async for chunk in await api.chat.completions.create(**fields, **options)]
        one = await api.chat.completions.create(**fields)

    said = "".join(chunk.choices[0].delta.content or "" for chunk in found if chunk.choices)
    assert said == one.choices[0].message.content == "".join(SCRIPT)
    assert found[-1].usage == one.usage
    assert one.usage is not None
    assert one.usage.completion_tokens == len(SCRIPT)
    assert one._request_id == "req_000002"


async def test_openai_blocking() -> None:
    """The blocking client folds the same tool calls from a stream as it gets whole."""

    def ask(url: str) -> tuple[Any, Any]:
        fields: Any = {
            "model": "m",
            "messages": [{"role": "user", "content": "get_time, get_weather"}],
            "tools": TOOLS,
            "n": 2,
        }
        with openai.OpenAI(base_url=url, api_key="k") as api:
            with api.chat.completions.stream(**fields) as stream:
                folded = stream.get_final_completion()
            return folded, api.chat.completions.create(**fields)

    async with endpoint(MockOpenAI()) as url:
        folded, one = await anyio.to_thread.run_sync(ask, url)

    def calls(completion: Any) -> list[list[tuple[str, str, str]]]:
        return [
            [(call.id[-4:], call.function.name, call.function.arguments) for call in calls]
            for calls in (each.message.tool_calls for each in completion.choices)
        ]

    assert calls(folded) == calls(one)
    assert calls(one)[1][0] == ("_1_0", "get_time", "{}")
    assert {each.finish_reason for each in folded.choices} == {"tool_calls"}


@pytest.mark.parametrize(
    ("api_key", "fields", "error"),
    [
        ("wrong", {}, openai.AuthenticationError),
        ("key", {"n": 0}, openai.BadRequestError),
    ],
)
async def test_openai_errors(
    api_key: str, fields: dict[str, Any], error: type[openai.APIStatusError]
) -> None:
    """The official client raises what the API's errors make it raise."""
    async with endpoint(MockOpenAI(api_key="key")) as url:
        async with openai.AsyncOpenAI(base_url=url, api_key=api_key) as api:
            with pytest.raises(error) as caught:
                await api.chat.completions.create(**{"model": "m", "messages": ASK, **fields})

    assert caught.value.request_id == "req_000001"
    assert caught.value.type == "invalid_request_error"


@ASYNCIO
async def test_openai_replay() -> None:
    """The official client reads a recording, with its two blank lines between the events."""
    app = MockOpenAI(recordings={"tape": Recording.from_path(RECORDED / "chinese.sse")})
    fields: Any = {"model": "tape", "messages": ASK, "stream": True}
    async with endpoint(app) as url, openai.AsyncOpenAI(base_url=url, api_key="k") as api:
        found = [chunk async for chunk in await api.chat.completions.create(**fields)]
        said = [chunk.choices[0].delta.content for chunk in found]

    assert said == [None, "你", "好", "!", None]
