"""ChatStream and its events next to the official client's, over well-formed streams; errors too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_core import EventStreamParser, Headers, Response, ResponseError
from sse_openai import (
    APIError,
    ArgumentsDelta,
    ChatCompletion,
    ChatStream,
    MalformedChunk,
    StreamTruncated,
    ToolCallDone,
    read_chat,
)
from sse_openai._errors import api_error
from tests.support.chat_streams import WellFormedChat, well_formed_chats
from tests.support.examples import examples
from tests.support.official_client import Official
from tests.support.response_streams import JSON


@pytest.fixture(scope="module")
def official() -> Iterator[Official]:
    opened = Official()
    with opened.client:
        yield opened


def read(body: bytes) -> ChatStream:
    """Read a body to its end, or raise what reading it raises."""
    chat = ChatStream()
    for event in EventStreamParser().receive_data(body):
        if not chat.done:
            chat.receive_event(event)
    chat.receive_eof()
    return chat


MESSAGE = ("role", "content", "refusal")
COMPLETION = ("id", "created", "model", "usage", "service_tier", "system_fingerprint")


def of_ours(completion: ChatCompletion) -> JSON:
    """Return all of a completion, in the shape of the API."""
    choices = []
    for choice in completion.choices:
        message = choice.message
        calls = [
            {"id": call.id, "type": call.type}
            | (
                {"custom": {"name": call.custom.name, "input": call.custom.input}}
                if call.custom
                else {
                    "function": {"name": call.function.name, "arguments": call.function.arguments}
                }
                if call.function
                else {}
            )
            for call in message.tool_calls
        ]
        older = message.function_call
        choices.append(
            {
                "index": choice.index,
                "finish_reason": choice.finish_reason,
                "logprobs": choice.logprobs,
                "reasoning_content": message.reasoning,
                "tool_calls": calls,
                "audio": message.audio,
                "function_call": older and {"name": older.name, "arguments": older.arguments},
            }
            | {key: getattr(message, key) for key in MESSAGE}
        )
    return {"choices": choices} | {key: getattr(completion, key) for key in COMPLETION}


def of_theirs(completion: JSON) -> JSON:
    """Return the same of the official client's."""
    choices = []
    for choice in completion["choices"]:
        message = choice["message"]
        calls = [
            {key: value for key, value in call.items() if key != "index" and value is not None}
            for call in message.get("tool_calls") or []
        ]
        # Of audio it has every key, null where nothing came.
        audio = {k: v for k, v in (message.get("audio") or {}).items() if v is not None}
        choices.append(
            {
                "index": choice["index"],
                "finish_reason": choice["finish_reason"],
                "logprobs": choice.get("logprobs"),
                "tool_calls": calls,
                "audio": audio or None,
            }
            | {key: message.get(key) for key in (*MESSAGE, "reasoning_content", "function_call")}
        )
    return {"choices": choices} | {key: completion.get(key) for key in COMPLETION}


@given(well_formed_chats())
@examples(60)
def test_same_completion(official: Official, stream: WellFormedChat) -> None:
    """Field by field, of every choice."""
    _, completion = official.answers(stream.body).chat()

    chat = read(stream.body)

    assert of_theirs(completion) == of_ours(chat.completion)
    assert (True, True) == (chat.done, chat.complete)


@given(well_formed_chats())
@examples(60)
def test_same_chunks(official: Official, stream: WellFormedChat) -> None:
    """Chunk by chunk, as ``create`` has them."""
    their_chunks = official.answers(stream.body).chunks()
    ours = list(read_chat([stream.body]))

    for theirs, mine in zip(their_chunks, ours, strict=True):
        for key in (*COMPLETION, "object"):
            found = getattr(theirs, key)
            assert getattr(mine, key) == (found.to_dict() if key == "usage" and found else found)
        for their_choice, my_choice in zip(theirs.choices, mine.choices, strict=True):
            assert their_choice.index == my_choice.index
            assert their_choice.finish_reason == my_choice.finish_reason
            for key in MESSAGE:
                assert getattr(their_choice.delta, key) == getattr(my_choice.delta, key)
            their_calls = their_choice.delta.tool_calls or []
            for their_call, my_call in zip(their_calls, my_choice.delta.tool_calls, strict=True):
                for key in ("index", "id", "type"):
                    assert getattr(their_call, key) == getattr(my_call, key)
                if my_call.function:
                    assert their_call.function.name == my_call.function.name
                    assert their_call.function.arguments == my_call.function.arguments


# Where the official helper has an event that ours has too: what of it is compared.
SHARED = {
    "content.delta": ("delta", "snapshot"),
    "refusal.delta": ("delta", "snapshot"),
    "tool_calls.function.arguments.delta": ("name", "index", "arguments", "arguments_delta"),
    "tool_calls.function.arguments.done": ("name", "index", "arguments"),
}


@given(well_formed_chats(for_events=True))
@examples(60)
def test_same_events(official: Official, stream: WellFormedChat) -> None:
    """Deltas and calls that are done, with what had come of each by then."""
    events, _ = official.answers(stream.body).chat()

    expected = [
        (event.type, *(getattr(event, key) for key in SHARED[event.type]))
        for event in events
        if event.type in SHARED and getattr(event, "delta", None) != ""
    ]
    found = [
        (event.type, *(getattr(event, key) for key in SHARED[event.type]))
        for event in read_chat([stream.body]).events()
        if event.type in SHARED
    ]
    # Theirs has a call done behind the first fragment of the next, ours before it.
    assert sorted(expected) == sorted(found)


# Errors.

WORDS = st.none() | st.text(max_size=8)
ERRORS = st.fixed_dictionaries(
    {"message": st.text(min_size=1, max_size=20)},
    optional={"type": WORDS, "param": WORDS, "code": WORDS | st.integers(0, 999)},
)
STATUSES = st.sampled_from(
    [400, 401, 402, 403, 404, 405, 408, 409, 413, 418, 422, 424, 429, 451, 500, 502, 503, 504, 529]
)


# As OpenAI has it, as others have it, and what stands in front of them.
BODIES = st.one_of(
    ERRORS.map(lambda error: {"error": error}),
    ERRORS,
    st.sampled_from([{}, [], None, "overloaded", {"error": None}, {"detail": "no"}]),
).map(lambda value: json.dumps(value).encode()) | st.sampled_from([b"", b"<html>", b"{"])


@given(STATUSES, BODIES, st.none() | st.just("req_1"))
@examples(60)
def test_same_status_errors(
    official: Official, status: int, body: bytes, request_id: str | None
) -> None:
    """The class by its name, and what the body and the head say."""
    headers = {"content-type": "application/json"}
    if request_id:
        headers["x-request-id"] = request_id
    with pytest.raises(openai.APIStatusError) as caught:
        official.answers(body, status, headers).chunks()
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]

    ours = api_error(ResponseError(Response(status, Headers(fields)), body))

    theirs = caught.value
    assert isinstance(ours, APIError)
    named = type(theirs).__name__
    assert type(ours).__name__ == ("APIError" if named == "APIStatusError" else named)
    assert (status, request_id) == (ours.status, ours.request_id)
    assert (theirs.status_code, theirs.request_id) == (ours.status, ours.request_id)
    assert (theirs.type, theirs.param) == (ours.type, ours.param)
    assert theirs.code == (None if ours.code is None else str(ours.code))
    if isinstance(theirs.body, dict) and "message" in theirs.body:
        assert theirs.body["message"] == ours.message


@given(well_formed_chats(), ERRORS, st.integers(0, 20))
@examples(60)
def test_same_errors_in_the_stream(
    official: Official, stream: WellFormedChat, error: JSON, after: int
) -> None:
    """An error object among the chunks is raised, with the same news; here with what had come."""
    before = WellFormedChat([*stream.chunks[:after], {"error": error}])
    with pytest.raises(openai.APIError) as theirs:
        official.answers(before.body).chunks()

    with pytest.raises(APIError) as ours:
        read(before.body)

    assert theirs.value.message == ours.value.message
    assert (theirs.value.type, theirs.value.param) == (ours.value.type, ours.value.param)
    assert theirs.value.code == (None if ours.value.code is None else str(ours.value.code))
    whole = read(WellFormedChat(stream.chunks[:after]).body).completion
    assert whole == ours.value.completion


# The deliberate differences, as docs/design.md lists them.

BASE: JSON = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def chunk(delta: JSON | None = None, index: int = 0, **fields: Any) -> JSON:
    choice = {"index": index, "delta": delta or {}, "finish_reason": fields.pop("finish", None)}
    return {**BASE, "choices": [choice], **fields}


HI = chunk({"role": "assistant", "content": "Hi"})
STOP = chunk(finish="stop")


def body(*chunks: JSON) -> bytes:
    return WellFormedChat(list(chunks)).body


def call(**fields: Any) -> JSON:
    return chunk({"tool_calls": [{"type": "function", **fields}]})


FIRST = call(index=0, id="a", function={"name": "f", "arguments": "{"})


@pytest.mark.parametrize(
    ("chunks", "exception"),
    [
        ([chunk({"content": "x"}, index=1), HI], IndexError),
        ([HI, call(id="a", function={"name": "f", "arguments": "{}"})], TypeError),
        ([FIRST, call(index=None, function={"arguments": "}"})], TypeError),
        ([HI, call(index=5, id="a", function={"name": "f", "arguments": "{}"})], IndexError),
        ([HI | {"choices": None}], TypeError),
    ],
    ids=["choice 1 first", "no index", "null index", "index with a gap", "choices null"],
)
def test_differs_in_what_it_accepts(
    official: Official, chunks: list[JSON], exception: type[Exception]
) -> None:
    """What compatible servers send is an exception of the interpreter there, and read here."""
    with pytest.raises(exception):
        official.answers(body(*chunks, STOP)).chat()

    assert read(body(*chunks, STOP)).complete


def test_differs_in_what_is_repeated(official: Official) -> None:
    """Role, id and name that come again are doubled there."""
    again = [
        chunk({"role": "assistant"}),
        call(index=0, id="a", function={"name": "f", "arguments": "{"}),
        chunk({"role": "assistant"}),
        call(index=0, id="a", function={"name": "f", "arguments": "}"}),
    ]
    _, completion = official.answers(body(*again, STOP)).chat()
    message = completion["choices"][0]["message"]
    assert ("assistantassistant", "aa") == (message["role"], message["tool_calls"][0]["id"])
    assert "ff" == message["tool_calls"][0]["function"]["name"]

    ours = read(body(*again, STOP)).completion.choices[0].message
    assert ("assistant", "a") == (ours.role, ours.tool_calls[0].id)
    assert ours.tool_calls[0].function is not None
    assert ("f", "{}") == (ours.tool_calls[0].function.name, ours.tool_calls[0].function.arguments)


def test_differs_in_usage_that_is_not_last(official: Official) -> None:
    """A chunk without usage erases it there, and the fingerprint."""
    known = {"usage": {"total_tokens": 3}, "system_fingerprint": "fp"}
    chunks = body(HI | known, STOP)
    _, completion = official.answers(chunks).chat()
    assert (None, None) == (completion["usage"], completion["system_fingerprint"])

    ours = read(chunks).completion
    assert ({"total_tokens": 3}, "fp") == (ours.usage, ours.system_fingerprint)


@pytest.mark.parametrize("data", [b"", body(HI).partition(b"data: [DONE]")[0]])
def test_differs_in_truncation(official: Official, data: bytes) -> None:
    """A stream that just ends is a success there, and so is one that never began."""
    assert len(official.answers(data).chunks()) == data.count(b"data:")

    with pytest.raises(StreamTruncated):
        read(data)


def test_differs_in_chunks_without_object(official: Official) -> None:
    """They are dropped by ``.stream()`` there."""
    bare = {key: value for key, value in HI.items() if key != "object"}
    _, completion = official.answers(body(HI, bare, STOP)).chat()
    assert "Hi" == completion["choices"][0]["message"]["content"]

    assert "HiHi" == read(body(HI, bare, STOP)).completion.choices[0].message.content


@pytest.mark.parametrize(
    ("reason", "exception"),
    [
        ("length", openai.LengthFinishReasonError),
        ("content_filter", openai.ContentFilterFinishReasonError),
    ],
)
def test_differs_in_finish_reasons(
    official: Official, reason: str, exception: type[Exception]
) -> None:
    """The official final completion is an exception; here they are finish reasons."""
    data = body(HI, chunk(finish=reason))
    client = official.answers(data).client
    with (
        client.chat.completions.stream(model="m", messages=[]) as stream,
        pytest.raises(exception),
    ):
        stream.get_final_completion()

    assert reason == read(data).completion.choices[0].finish_reason


def test_differs_in_errors_that_are_texts(official: Official) -> None:
    """Their message is lost there."""
    data = body(HI, {"error": "overloaded"})
    with pytest.raises(openai.APIError, match="An error occurred during streaming"):
        official.answers(data).chunks()

    with pytest.raises(APIError, match="overloaded"):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        body(HI, {"object": "error", "message": "overloaded", "code": 40303}),
        b'event: error\ndata: {"message": "overloaded"}\n\n',
    ],
    ids=["object", "event"],
)
def test_differs_in_flat_errors(official: Official, data: bytes) -> None:
    """They are chunks there."""
    assert "overloaded" == official.answers(data).chunks()[-1].message

    with pytest.raises(APIError, match="overloaded"):
        read(data)


@pytest.mark.parametrize("data", [b"retry: 5\n\n", b"event: ping\ndata:\n\n", b"data: \n\n"])
def test_differs_in_blocks_without_data(official: Official, data: bytes) -> None:
    """They are JSON that cannot be read there."""
    with pytest.raises(json.JSONDecodeError):
        official.answers(data + body(HI, STOP)).chunks()

    assert read(data + body(HI, STOP)).complete


def test_differs_in_data_that_is_no_json(official: Official) -> None:
    """An exception of the adapter's own, with what had come."""
    data = body(HI)[: -len("data: [DONE]\n\n")] + b"data: {\n\n"
    with pytest.raises(json.JSONDecodeError):
        official.answers(data).chunks()

    with pytest.raises(MalformedChunk) as caught:
        read(data)
    assert "Hi" == caught.value.completion.choices[0].message.content


def test_differs_in_fragments_of_one_chunk(official: Official) -> None:
    """Its event of the first of two fragments has both."""
    fragments = [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}},
        {"index": 0, "function": {"arguments": "}"}},
    ]
    data = body(HI, chunk({"tool_calls": fragments}), STOP)
    kind = "tool_calls.function.arguments.delta"
    events, _ = official.answers(data).chat()
    assert ["{}", "{}"] == [event.arguments for event in events if event.type == kind]

    told = read_chat([data]).events()
    assert ["{", "{}"] == [event.arguments for event in told if isinstance(event, ArgumentsDelta)]


def test_differs_in_custom_tools(official: Official) -> None:
    """There are no events of their input there."""
    custom = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}
    data = body(HI, chunk({"tool_calls": [custom]}), chunk(finish="tool_calls"))
    events, _ = official.answers(data).chat()
    assert not [event for event in events if event.type.startswith("tool_calls")]

    told = [e for e in read_chat([data]).events() if isinstance(e, ArgumentsDelta | ToolCallDone)]
    assert ["x", "x"] == [event.arguments for event in told]


def test_differs_in_surrogates(official: Official) -> None:
    """Two halves of a character that come in two deltas are one character here."""
    halves = body(*(chunk({"content": half}) for half in ("\ud83d", "\ude00")), STOP)
    events, _ = official.answers(halves).chat()
    assert "\ud83d\ude00" in [getattr(event, "snapshot", None) for event in events]

    assert "😀" == read(halves).completion.choices[0].message.content


@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
def test_differs_in_content_types(official: Official, content_type: str) -> None:
    """An empty iteration there; ours is ``test_no_stream`` of test_chat_client."""
    answer = official.answers(
        b'{"error": {"message": "m"}}', headers={"content-type": content_type}
    )

    assert [] == answer.chunks()
