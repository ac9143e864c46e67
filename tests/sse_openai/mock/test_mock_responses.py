"""The mock's Responses API, read by ResponseStream, our clients and the official one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseTextDeltaEvent,
)

import sse_openai
import sse_openai.sync
from sse_core import EventStreamParser, TransportError
from sse_openai import APIError, NotFoundError, ResponseStream, StreamTruncated
from sse_openai._endpoint import retry
from sse_openai._responses.events import EVENTS
from sse_openai.mock import MockServer
from sse_openai.mock import responses as _mock_responses
from sse_openai.mock.request import ResponsesRequest
from sse_openai.mock.responses import Response
from sse_openai.mock.turn import SCRIPT, Token, Turn
from tests.support.asking import ask as ask_chat
from tests.support.asking import with_client
from tests.support.shells import Shell, on_every_shell

TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
EVERYTHING = {
    "reasoning": "Let me think.",
    "text": ["It", " is", " ☀."],
    "refusal": "No more.",
    "calls": [
        {"name": "get_weather", "arguments": {"city": "Kyoto"}},
        {"name": "now", "arguments": ["{", "}"], "id": "call_x"},
        {"name": "end", "arguments": []},
    ],
    "usage": {"input_tokens": 7, "output_tokens": 9, "reasoning_tokens": 3, "cached_tokens": 2},
}


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as served:
        yield served


@pytest.fixture
def official(server: MockServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0) as client:
        yield client


@pytest.fixture
def http(server: MockServer) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.api_key}"}
    with httpx.Client(
        base_url=server.base_url, headers=headers, trust_env=False, verify=False
    ) as client:
        yield client


def post(http: httpx.Client, **fields: Any) -> Any:
    return http.post("responses", json={"model": "m", "input": "hi", **fields})


def events_of(response: httpx.Response) -> list[Any]:
    """Return the events of a stream, whose names are those in their data."""
    assert "text/event-stream; charset=utf-8" == response.headers["content-type"]
    events = EventStreamParser().receive_data(response.content)
    values = [event.json() for event in events]
    assert [event.event for event in events] == [value["type"] for value in values]
    return values


def test_events(server: MockServer, http: httpx.Client) -> None:
    """The lifecycle, the item, its part, the text, and back; numbered from 0."""
    server.script({"text": ["Hel", "lo"]})

    events = events_of(post(http, stream=True))

    assert [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ] == [event["type"] for event in events]
    assert [*range(10)] == [event["sequence_number"] for event in events]
    place = {"item_id": "msg_000001", "output_index": 0, "content_index": 0}
    assert {
        "type": "response.output_text.delta",
        "sequence_number": 5,
        **place,
        "delta": "lo",
        "logprobs": [],
    } == events[5]
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    message = {
        "id": "msg_000001",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    assert {"output_index": 0, "item": message}.items() <= events[8].items()
    response = events[-1]["response"]
    assert ("resp_000001", "completed", [message]) == (
        response["id"],
        response["status"],
        response["output"],
    )
    assert {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 3,
    } == response["usage"]


def test_whole(server: MockServer, http: httpx.Client) -> None:
    """Without ``stream`` the same comes in one piece, and can be had again."""
    server.script({**EVERYTHING, "times": 2})
    fields = {"instructions": "Be brief.", "metadata": {"a": "b"}, "tools": [TOOL]}

    whole = post(http, **fields).json()
    last = events_of(post(http, **fields, stream=True))[-1]["response"]

    assert whole == json.loads(json.dumps(last).replace("000002", "000001"))
    assert fields.items() <= whole.items()
    assert whole == http.get("responses/resp_000001").json()


def test_every_event_is_known(server: MockServer, http: httpx.Client) -> None:
    """Each event is of a type that the reference has, and folds to what the last one says."""
    server.script(EVERYTHING)

    stream = ResponseStream()
    body = post(http, stream=True).content
    events = EventStreamParser().receive_data(body)
    for event in events[:-1]:
        received = stream.receive_event(event)
        assert received is not None
        assert received.type in EVENTS
    folded = stream.response
    stream.receive_event(events[-1])

    assert stream.complete
    assert folded.output == stream.response.output
    assert ("Let me think.", "It is ☀.", "No more.") == (
        folded.reasoning_summary,
        folded.output_text,
        folded.refusal,
    )
    assert [
        ("call_000001_0", "get_weather", '{"city":"Kyoto"}'),
        ("call_x", "now", "{}"),
        ("call_000001_2", "end", ""),
    ] == [(call.call_id, call.name, call.arguments) for call in folded.function_calls]
    assert stream.response.usage is not None
    assert {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 16,
    } == stream.response.usage


def test_official_client(server: MockServer, official: openai.OpenAI) -> None:
    """The official client's helper, its events and its whole response agree."""
    server.script({**EVERYTHING, "times": 3})
    fields: Any = {"model": "m", "input": "hi"}

    with official.responses.stream(**fields) as stream:
        events = list(stream)
        final = stream.get_final_response()
    chunks = list(official.responses.create(stream=True, **fields))
    whole = official.responses.create(**fields)

    assert "It is ☀." == final.output_text == whole.output_text
    assert final.usage == whole.usage
    assert [event.type for event in events] == [chunk.type for chunk in chunks]
    assert not [chunk for chunk in chunks if type(chunk).__name__ == "BaseModel"]
    assert isinstance(chunks[-1], ResponseCompletedEvent)
    assert "It is ☀." == "".join(
        chunk.delta for chunk in chunks if isinstance(chunk, ResponseTextDeltaEvent)
    )
    assert ['{"city":"Kyoto"}', "{}", ""] == [
        chunk.arguments
        for chunk in chunks
        if isinstance(chunk, ResponseFunctionCallArgumentsDoneEvent)
    ]


@on_every_shell
def test_our_clients(shell: Shell, server: MockServer) -> None:
    """Ours, on every shell: what is made up without a script, and then a script."""

    async def scenario(read: Any) -> None:
        responses, error = await read()
        assert error is None
        assert "".join(SCRIPT) == responses.response.output_text
        server.script(EVERYTHING)
        responses, error = await read()
        assert error is None
        assert 3 == len(responses.response.function_calls)

    with_client(shell, scenario, server.base_url, api_key=server.api_key)


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ({"text": "a b", "finish_reason": "length"}, "incomplete", "max_output_tokens"),
        ({"text": "a b", "finish_reason": "content_filter"}, "incomplete", "content_filter"),
        ({"text": "a b", "finish_reason": "odd"}, "completed", None),
        ({"finish_reason": "length"}, "incomplete", "max_output_tokens"),
        ({"calls": [{"name": "f"}]}, "completed", None),
    ],
    ids=str,
)
def test_ends(
    server: MockServer, http: httpx.Client, answer: Any, status: str, reason: str | None
) -> None:
    """A response that is incomplete says why."""
    server.script(answer)

    last = events_of(post(http, stream=True))[-1]

    details = last["response"]["incomplete_details"]
    assert f"response.{status}" == last["type"]
    assert status == last["response"]["status"] == last["response"]["output"][0]["status"]
    assert reason == (details and details["reason"])


@pytest.mark.parametrize(
    ("fields", "text", "calls", "status"),
    [
        ({"max_output_tokens": 2}, "Server-S", [], "incomplete"),
        ({"tools": [TOOL], "input": "get_weather"}, "", ["get_weather"], "completed"),
        ({"tools": [TOOL], "tool_choice": "required"}, "", ["get_weather"], "completed"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "name": "get_weather"}},
            "",
            ["get_weather"],
            "completed",
        ),
        (
            {
                "tools": [TOOL],
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "get_weather"}]},
                ],
            },
            "",
            ["get_weather"],
            "completed",
        ),
        (
            {
                "tools": [TOOL],
                "input": [
                    {"role": "user", "content": "get_weather"},
                    {"type": "function_call_output", "call_id": "c", "output": "get_weather"},
                ],
                "max_output_tokens": 1,
            },
            "Server",
            [],
            "incomplete",
        ),
    ],
    ids=str,
)
def test_made_up(
    http: httpx.Client, fields: dict[str, Any], text: str, calls: list[str], status: str
) -> None:
    """Without a script, limits and tools are heeded as in chats."""
    found = sse_openai.Response(post(http, **fields).json())

    assert (text, calls, status) == (
        found.output_text,
        [call.name for call in found.function_calls],
        found.status,
    )


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": None}, "model", "missing_required_parameter"),
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": 1}, "input", "invalid_type"),
        ({"input": []}, "input", "empty_array"),
        ({"input": [{}]}, "input[0].role", "missing_required_parameter"),
        ({"input": [{"type": "message", "role": "king"}]}, "input[0].role", "invalid_value"),
        ({"instructions": 1}, "instructions", "invalid_type"),
        ({"background": True, "store": False}, "background", "invalid_value"),
        ({"max_output_tokens": 0}, "max_output_tokens", "integer_below_min_value"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": {}}, "tool_choice.name", "missing_required_parameter"),
        ({"metadata": []}, "metadata", "invalid_type"),
    ],
    ids=str,
)
def test_bad_request(http: httpx.Client, fields: Any, param: str, code: str) -> None:
    """A field that does not fit is named."""
    response = post(http, **fields)

    error = response.json()["error"]
    assert (400, param, code) == (response.status_code, error["param"], error["code"])


def test_no_user(http: httpx.Client) -> None:
    """A conversation may have no message of the user's, and items of types unknown here."""
    items = [{"type": "item_reference", "id": "a"}, {"role": "developer", "content": "b"}]

    assert "completed" == post(http, input=items).json()["status"]
    assert "completed" == post(http, input=items[:1]).json()["status"]


def test_background(server: MockServer, http: httpx.Client) -> None:
    """It is queued, then in progress, then done: a step each time it is asked for."""
    created = post(http, background=True).json()

    states = [http.get(f"responses/{created['id']}").json() for _ in range(3)]

    assert "queued" == created["status"]
    assert ["in_progress", "completed", "completed"] == [state["status"] for state in states]
    assert [[], "message"] == [states[0]["output"], states[1]["output"][0]["type"]]


def test_background_stream(http: httpx.Client) -> None:
    """Its events begin with those of the queue, and can be had again from any on."""
    events = events_of(post(http, background=True, stream=True))
    path = "responses/resp_000001"

    assert ["response.created", "response.queued", "response.in_progress"] == [
        event["type"] for event in events[:3]
    ]
    assert ["queued", "queued", "in_progress"] == [
        event["response"]["status"] for event in events[:3]
    ]
    assert events == events_of(http.get(path, params={"stream": "true"}))
    for after in (0, 7, len(events) - 2, len(events) - 1, 10**6):
        query = {"stream": "true", "starting_after": str(after)}
        assert events[after + 1 :] == events_of(http.get(path, params=query))
    assert "completed" == http.get(path).json()["status"]


def test_cancel(server: MockServer, http: httpx.Client, official: openai.OpenAI) -> None:
    """A background response can be cancelled: its streams end without an end."""
    server.script({"text": ["a", None, "b"]}, {"text": "done"})

    with http.stream(
        "POST",
        "responses",
        json={"model": "m", "input": "hi", "background": True, "stream": True},
    ) as stream:
        lines = stream.iter_lines()
        while "output_text.delta" not in next(lines):
            pass
        cancelled = official.responses.cancel("resp_000001")
    resumed = http.get("responses/resp_000001", params={"stream": "true", "starting_after": 1})
    assert "cancelled" == cancelled.status
    assert b"" == resumed.content
    assert "cancelled" == http.get("responses/resp_000001").json()["status"]

    # What has come to its end cannot be cancelled any more, which is no error.
    post(http, background=True, stream=True)
    assert "completed" == official.responses.cancel("resp_000005").status


def test_cancelled_stream_is_truncated() -> None:
    """A stream that runs when its response is cancelled ends there, without an end."""
    body = b'{"model": "m", "input": "hi", "background": true, "stream": true}'
    turn = Turn(tokens=[Token("text", "a"), Token("text", "b")], finish_reason="stop")
    response = Response(1, ResponsesRequest.from_body(body), turn)
    pieces = iter(response.created(stream=True).pieces)
    parser, stream = EventStreamParser(), ResponseStream()

    while stream.response.output_text != "a":
        _, data = next(pieces)
        for event in parser.receive_data(data):
            stream.receive_event(event)
    response.cancelled()

    assert [] == list(pieces)
    with pytest.raises(StreamTruncated):
        stream.receive_eof()


@pytest.mark.parametrize(
    ("fields", "method", "path", "query", "status"),
    [
        ({}, "GET", "responses/resp_9", {}, 404),
        ({}, "POST", "responses/resp_9/cancel", {}, 404),
        ({"store": False}, "GET", "responses/resp_000001", {}, 404),
        ({}, "POST", "responses/resp_000001/cancel", {}, 400),
        ({}, "GET", "responses/resp_000001", {"stream": "true"}, 400),
        ({"background": True}, "GET", "responses/resp_000001", {"stream": "true"}, 400),
        ({}, "GET", "responses/resp_000001", {"stream": "yes"}, 400),
        ({}, "GET", "responses/resp_000001", {"starting_after": "1"}, 400),
        ({}, "GET", "responses/resp_000001", {"stream": "true", "starting_after": "-1"}, 400),
        ({}, "GET", "responses/resp_000001", {"stream": "true", "starting_after": "²"}, 400),
        ({}, "GET", "responses/resp_000001", {"stream": "true", "starting_after": "9" * 99}, 400),
        ({}, "POST", "responses/resp_000001", {}, 405),
        ({}, "GET", "responses/resp_000001/input_items", {}, 404),
        ({}, "GET", "responses", {}, 405),
    ],
    ids=str,
)
def test_refused(
    http: httpx.Client, fields: Any, method: str, path: str, query: Any, status: int
) -> None:
    """What was not stored cannot be had again, nor what never ran in the background."""
    assert 200 == post(http, **fields).status_code

    response = http.request(method, path, params=query)

    assert status == response.status_code
    assert response.json()["error"]["message"]


def test_stored_responses_are_bounded(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first."""
    monkeypatch.setattr(_mock_responses, "MAX_STORED", 2)
    for _ in range(3):
        post(http)

    found = [http.get(f"responses/resp_{number:06d}").status_code for number in (1, 2, 3)]
    assert [404, 200, 200] == found


@pytest.fixture
def _no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.0)


@pytest.mark.usefixtures("_no_back_off")
@on_every_shell
@pytest.mark.parametrize("by", ["fin", "reset"])
def test_resumed(shell: Shell, server: MockServer, by: str) -> None:
    """A background response is cut again and again, and comes whole in the end."""
    whole = "".join(SCRIPT)
    cut = {"cut": 5000, "by": by}
    server.script(
        {"fault": cut},
        {"when": {"path": "/responses/*"}, "fault": cut, "times": 2},
        {"when": {"path": "/responses/*"}, "status": 503, "retry_after": 0},
    )

    async def scenario(read: Any) -> None:
        responses, error = await read(background=True, resume=True)
        assert error is None
        assert whole == responses.response.output_text
        assert responses.complete

    with_client(shell, scenario, server.base_url, api_key=server.api_key)

    posted, *resumptions = server.requests
    assert posted.json["background"]
    numbers = [int(request.query["starting_after"]) for request in resumptions]
    assert 4 == len(numbers)
    assert numbers[0] < numbers[1] < numbers[2] == numbers[3]


@pytest.mark.usefixtures("_no_back_off")
@on_every_shell
def test_not_resumed(shell: Shell, server: MockServer) -> None:
    """Without ``resume`` the cut is an error, and so is a resumption that is refused."""
    refused = {"when": {"path": "/responses/*"}, "status": 404}
    server.script({"fault": {"cut": 5000}}, {"fault": {"cut": 5000}}, refused)

    async def scenario(read: Any) -> None:
        _, error = await read(background=True)
        assert isinstance(error, TransportError)
        _, error = await read(background=True, resume=True)
        assert isinstance(error, NotFoundError | APIError | TransportError)

    with_client(shell, scenario, server.base_url, api_key=server.api_key)
    assert ["POST", "POST", "GET"] == [request.method for request in server.requests]


def test_official_client_retrieves(server: MockServer, official: openai.OpenAI) -> None:
    """The official client goes on from a number, and its helper by an id."""
    with official.responses.stream(model="m", input="hi", background=True) as stream:
        events = list(stream)
    id = stream.get_final_response().id

    rest = official.responses.retrieve(id, stream=True, starting_after=10)
    assert [event.sequence_number for event in events[11:]] == [
        event.sequence_number for event in rest
    ]
    assert "".join(SCRIPT) == official.responses.retrieve(id).output_text
    with official.responses.stream(response_id=id, starting_after=10) as resumed:
        assert 11 == next(iter(resumed)).sequence_number


@on_every_shell
def test_chat_and_response_say_the_same(shell: Shell, server: MockServer) -> None:
    """One answer of a script is an answer to either API."""
    server.script({**EVERYTHING, "times": 2})
    chat, _, error = ask_chat(shell, server)

    async def scenario(read: Any) -> Any:
        return (await read())[0].response

    response = with_client(shell, scenario, server.base_url, api_key=server.api_key)

    assert error is None
    message = chat.completion.choices[0].message
    assert (message.content, message.refusal, message.reasoning) == (
        response.output_text,
        response.refusal,
        response.reasoning_summary,
    )
    assert [call.function.arguments for call in message.tool_calls] == [
        call.arguments for call in response.function_calls
    ]
    assert {
        "prompt_tokens": 7,
        "completion_tokens": 9,
        "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3},
    } == chat.completion.usage
