"""ChatStream and its chunks without I/O: rule by rule, and with any JSON at all."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sse_core import ServerSentEvent
from sse_openai import (
    APIError,
    ChatCompletion,
    ChatCompletionChunk,
    ChatError,
    ChatStream,
    CompletionChoice,
    Custom,
    Function,
    JSONObject,
    MalformedChunk,
    Message,
    StreamTruncated,
    ToolCall,
    ToolCallDelta,
)
from tests.support.calls import Calls


def event(value: Any, name: str = "message") -> ServerSentEvent:
    """Return the event whose data is that text, or that value as JSON."""
    return ServerSentEvent(value if isinstance(value, str) else json.dumps(value), name)


def chunk(*choices: Any, **fields: Any) -> dict[str, Any]:
    return {"choices": list(choices), **fields}


def delta(**fields: Any) -> dict[str, Any]:
    """Return a chunk whose only choice has that delta."""
    return chunk({"index": 0, "delta": fields})


def read(*values: Any) -> ChatStream:
    chat = ChatStream()
    for value in values:
        chat.receive_event(event(value))
    return chat


def message_of(*deltas: dict[str, Any]) -> Message:
    return read(*(delta(**fields) for fields in deltas)).completion.choices[0].message


def chunk_of(value: Any) -> ChatCompletionChunk:
    received = ChatStream().receive_event(event(value))
    assert received is not None
    return received


# Below and in the stream: O4 to O9.


@pytest.mark.parametrize("data", ["", " ", "\t\n ", "\u3000"])
@pytest.mark.parametrize("name", ["message", "error", "ping"])
def test_o4_empty_data_is_skipped(data: str, name: str) -> None:
    """Also of an event named error."""
    chat = ChatStream()

    assert None is chat.receive_event(ServerSentEvent(data, name))
    assert ChatCompletion() == chat.completion


@pytest.mark.parametrize("data", ["[DONE]", " [DONE]", "[DONE]\n", "\t[DONE] "])
@pytest.mark.parametrize("name", ["message", "error", "done"])
def test_o5_done(data: str, name: str) -> None:
    """It ends the stream under any name, is no JSON to anyone, and nothing follows it."""
    seen: list[str] = []
    chat = ChatStream(loads=lambda text: seen.append(text))

    assert None is chat.receive_event(ServerSentEvent(data, name))
    assert (True, True) == (chat.done, chat.complete)
    assert None is chat.receive_event(event("{"))
    assert None is chat.receive_event(event({"error": "x"}))
    assert [] == seen
    chat.receive_eof()


@pytest.mark.parametrize(
    "data",
    [
        "{",
        "nope",
        "[done]",
        "[DONE",
        "[DONE]x",
        '"[DONE]"',
        "[]",
        "[1]",
        "1",
        "true",
        '"text"',
        "NaN",
        '{"a": 1} {"a": 2}',
        "{'a': 1}",
        '{"a": "\x01"}',
        "\ufeff{}",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5000,
    ],
    ids=lambda data: ascii(data)[:20],
)
def test_o6_malformed(data: str) -> None:
    """What is no JSON, or none of an object, ends the reading; what came before is kept."""
    chat = read(delta(content="a"))

    with pytest.raises(MalformedChunk, match="data that is not a chunk: ") as caught:
        chat.receive_event(event(data))

    assert data == caught.value.event.data
    assert caught.value.completion == chat.completion
    assert "a" == chat.completion.choices[0].message.content
    assert len(str(caught.value)) < 250
    assert None is chat.receive_event(event(delta(content="b")))
    chat.receive_eof()
    assert "a" == chat.completion.choices[0].message.content


@pytest.mark.parametrize("exception", [ValueError, RecursionError, json.JSONDecodeError])
def test_o6_other_decoders(exception: type[Exception]) -> None:
    """Any decoder's own ValueError is a malformed chunk."""

    def loads(text: str) -> Any:
        if exception is json.JSONDecodeError:
            raise json.JSONDecodeError("no", text, 0)
        raise exception("no")

    with pytest.raises(MalformedChunk, match="no"):
        ChatStream(loads=loads).receive_event(event("{}"))


def test_decoder_of_the_caller() -> None:
    """It is given the stripped text."""
    chat = ChatStream(loads=lambda text: {"id": text})

    received = chat.receive_event(event(" x "))

    assert received is not None
    assert "x" == received.id


@pytest.mark.parametrize(
    "value", [None, {"type": "ping"}, {"type": "keepalive", "choices": [{"delta": {}}]}]
)
@pytest.mark.parametrize("name", ["message", "ping"])
def test_o7_ignored(value: Any, name: str) -> None:
    """null, ping and keepalive are no chunks."""
    chat = ChatStream()

    assert None is chat.receive_event(event(json.dumps(value), name))
    assert ChatCompletion() == chat.completion


# value, event name -> message, type, code, param
ERRORS: list[tuple[Any, str, tuple[Any, Any, Any, Any]]] = [
    ({"error": {"message": "m", "type": "t", "code": "c", "param": "p"}}, "message",
     ("m", "t", "c", "p")),
    ({"error": {"message": "m"}}, "error", ("m", None, None, None)),
    ({"error": {"code": 429}, "message": "m", "code": 1}, "message", ("m", None, 429, None)),
    ({"error": {"message": "m"}, "code": "c", "param": "p", "type": "t"}, "message",
     ("m", None, "c", "p")),
    ({"error": "m", "code": "c"}, "message", ("m", None, "c", None)),
    ({"error": "m", "type": "t", "message": "x"}, "message", ("m", "t", None, None)),
    ({"error": "m", "type": "error"}, "message", ("m", None, None, None)),
    ({"object": "error", "message": "m", "type": "t", "code": 400}, "message",
     ("m", "t", 400, None)),
    ({"type": "error", "message": "m", "code": None}, "message", ("m", None, None, None)),
    ({"type": "error", "error": {"type": "overloaded", "message": "m"}}, "message",
     ("m", "overloaded", None, None)),
    ({"message": "m", "type": "t"}, "error", ("m", "t", None, None)),
    ({}, "error", ("the endpoint reported an error", None, None, None)),
    ({"error": {}}, "error", ("the endpoint reported an error", None, None, None)),
    ({"error": {"message": ["m"]}}, "message", ("the endpoint reported an error",) + 3 * (None,)),
    ({"error": {"x": 1}}, "message", ("the endpoint reported an error",) + 3 * (None,)),
    ("plain text", "error", ("plain text", None, None, None)),
    ("{broken", "error", ("{broken", None, None, None)),
    ({"error": "m", "choices": [{"delta": {"content": "x"}}]}, "message", ("m",) + 3 * (None,)),
]  # fmt: skip


@pytest.mark.parametrize(("value", "name", "expected"), ERRORS)
def test_o8_o9_error(value: Any, name: str, expected: tuple[Any, ...]) -> None:
    """An error is raised with all its parts and what had come; its event adds nothing."""
    chat = read(delta(content="a"))

    with pytest.raises(APIError) as caught:
        chat.receive_event(event(value, name))

    error = caught.value
    assert expected == (error.message, error.type, error.code, error.param)
    assert expected[0] == str(error)
    assert (None, None, None) == (error.status, error.request_id, error.retry_after)
    assert error.completion == chat.completion
    assert "a" == chat.completion.choices[0].message.content
    assert None is chat.receive_event(event(delta(content="b")))
    assert not chat.complete
    chat.receive_eof()


@pytest.mark.parametrize("error", [None, {}, "", False, True, 0, 1, [], ["x"]])
def test_o8_no_error(error: Any) -> None:
    """null, nothing and what is neither object nor text is no error."""
    assert "a" == chunk_of({**delta(content="a"), "error": error}).content


# Chunks: O10 to O22.


@pytest.mark.parametrize("choices", [None, [], {}, "x", 5, [None, 1, "x", []]])
def test_o10_no_choices(choices: Any) -> None:
    """Whatever is no list of objects is no choice."""
    received = chunk_of({"choices": choices})

    assert [] == received.choices
    assert (None, None, [], None) == (
        received.content,
        received.reasoning,
        received.tool_calls,
        received.finish_reason,
    )


@pytest.mark.parametrize("index", [None, "0", 0.0, True, [], {}])
def test_o10_index_by_position(index: Any) -> None:
    """An index that is no integer is as good as none: the position counts."""
    received = chunk_of(chunk({"index": 7}, {"index": index}))

    assert [7, 1] == [choice.index for choice in received.choices]


def test_o10_choices_by_index() -> None:
    """Accumulated choices are listed by index, negative and huge ones too."""
    chat = read(chunk({"index": 10**9}, {"index": -1}, {"index": 3}))

    assert [-1, 3, 10**9] == [choice.index for choice in chat.completion.choices]


@pytest.mark.parametrize("missing", [{}, {"delta": None}])
def test_o10_message_in_place_of_delta(missing: dict[str, Any]) -> None:
    """A whole completion as one event has a message; a delta wins over it."""
    assert "m" == chunk_of(chunk({**missing, "message": {"content": "m"}})).content
    assert "d" == chunk_of(chunk({"delta": {"content": "d"}, "message": {"content": "m"}})).content
    assert None is chunk_of(chunk({**missing})).content


@pytest.mark.parametrize("value", [5, "x", [], True])
def test_o10_delta_of_another_type(value: Any) -> None:
    """It is empty."""
    assert None is chunk_of(chunk({"delta": value, "message": {"content": "m"}})).content


def test_o11_unknown_keys() -> None:
    """They survive on chunk, choice, delta and call, and known ones are not among them."""
    call = {"index": 0, "id": "i", "type": "function", "function": {}, "custom": {}, "e": 4}
    received = chunk_of(
        chunk(
            {"index": 0, "delta": {"content": "", "tool_calls": [call], "c": 3}, "b": 2},
            id="x",
            object="o",
            a=1,
            obfuscation="xxx",
        )
    )
    choice = received.choices[0]

    assert {"a": 1} == received.extra
    assert {"b": 2} == choice.extra
    assert {"c": 3} == choice.delta.extra
    assert {"e": 4} == choice.delta.tool_calls[0].extra
    assert "xxx" == received.obfuscation
    assert "xxx" not in repr(read(chunk(obfuscation="xxx")).completion)


def test_o11_other_fields_are_not_validated() -> None:
    """A number as id or a float as time is handed on, and an empty one is no value."""
    chat = read(
        chunk(id="", created=0, model=""), chunk(id=5, created=1.5, model=["m"]), chunk(id=6)
    )

    found: Any = chat.completion
    assert (5, 1.5, ["m"]) == (found.id, found.created, found.model)


def test_o11_the_event_is_left_alone() -> None:
    """Reading takes nothing out of the decoded value."""
    value = delta(content="a", x=1)
    before = copy.deepcopy(value)

    ChatCompletionChunk.from_json(value)

    assert before == value


def test_o12_role() -> None:
    """The last non-empty string."""
    assert None is message_of({}).role
    assert "b" == message_of({"role": "a"}, {"role": "b"}, {"role": ""}, {"role": None}).role
    assert None is message_of({"role": 5}).role


@pytest.mark.parametrize(
    ("contents", "content", "reasoning"),
    [
        ([None], None, None),
        ([""], "", None),
        (["a", None, "b"], "ab", None),
        ([5, True, {}], None, None),
        ([[]], None, None),
        ([[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]], "ab", None),
        ([[{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"}], "b"], "ab", "t"),
        ([[{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}]], None, "t"),
        ([[{"type": "thinking", "thinking": [{"type": "text"}, 5, {"text": 6}]}]], None, None),
        ([[{"type": "image", "text": "a"}, {"text": "b"}, "c", None]], None, None),
        ([[{"type": "text", "text": 5}, {"type": "text"}, {"type": []}]], None, None),
    ],
)
def test_o13_content(contents: list[Any], content: str | None, reasoning: str | None) -> None:
    """Strings are appended; of a list, its text is content and its thinking reasoning."""
    message = message_of(*({"content": value} for value in contents))

    assert (content, reasoning) == (message.content, message.reasoning)


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"reasoning_content": "a", "reasoning": "b"}, "a"),
        ({"reasoning_content": "", "reasoning": "b"}, "b"),
        ({"reasoning_content": None, "reasoning": "b"}, "b"),
        ({"reasoning_content": ""}, ""),
        ({"reasoning_content": "", "reasoning": None}, None),
        ({"reasoning": "b", "content": [{"type": "thinking", "thinking": "t"}]}, "b"),
        ({"reasoning_content": 5, "reasoning": ["x"]}, None),
    ],
)
def test_o14_reasoning(fields: dict[str, Any], reasoning: str | None) -> None:
    """One of its two names counts, never both."""
    assert reasoning == message_of(fields).reasoning
    assert reasoning == chunk_of(delta(**fields)).reasoning


def test_o15_refusal() -> None:
    """Appended, as content."""
    assert "no!" == message_of({"refusal": "no"}, {"refusal": None}, {"refusal": "!"}).refusal


@pytest.mark.parametrize("later", [None, "", 5, {}])
def test_o16_finish_reason(later: Any) -> None:
    """The last non-empty string, whatever it says; nothing takes it back."""
    chat = read(chunk({"finish_reason": "x"}), chunk({"finish_reason": later}))

    assert "x" == chat.completion.choices[0].finish_reason
    assert chat.complete
    assert "x" == chunk_of(chunk({"finish_reason": "x"})).finish_reason


def test_o17_logprobs() -> None:
    """Lists are joined by kind; null as long as none came."""
    token = {"token": "a", "logprob": -9999.0}
    chat = read(
        chunk({"logprobs": None}),
        chunk({"logprobs": {"content": [token], "refusal": None}}),
        chunk({"logprobs": {"content": [token, token], "x": [1]}}),
        chunk({"logprobs": {"refusal": [], "content": "no list"}}),
        chunk({"logprobs": 5}),
    )

    assert {"content": 3 * [token], "refusal": []} == chat.completion.choices[0].logprobs
    assert None is read(chunk({"logprobs": None})).completion.choices[0].logprobs


def test_o18_audio() -> None:
    """The id once, data and transcript appended, what else there is as it came last."""
    message = message_of(
        {"audio": {"id": "a", "data": "QQ", "transcript": None}},
        {"audio": {"id": "b", "data": "==", "transcript": "x", "expires_at": 1}},
        {"audio": {"transcript": 5, "expires_at": 2, "format": None}},
        {"audio": "none"},
    )

    assert {"id": "a", "data": "QQ==", "transcript": "x", "expires_at": 2} == message.audio
    assert None is message_of({"audio": {}}).audio


def test_o19_function_call() -> None:
    """The name once, arguments appended, apart from the tool calls."""
    message = message_of(
        {"function_call": {"name": "f", "arguments": "{"}},
        {"function_call": {"name": "f", "arguments": "}"}, "tool_calls": [{"id": "i"}]},
        {"function_call": None},
        {"function_call": "x"},
    )

    assert Function("f", "{}") == message.function_call
    assert 1 == len(message.tool_calls)
    assert None is message_of({"function_call": []}).function_call


def call(**fields: Any) -> dict[str, Any]:
    """Return a fragment of a call; ``name`` and ``arguments`` are its function's."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return {**fields, "function": function} if function else fields


# Fragments, each in a chunk of its own, and the calls they make: id, name, arguments.
CALLS: dict[str, tuple[list[dict[str, Any]], list[tuple[Any, Any, str]]]] = {
    "by index": (
        [call(index=0, id="a", name="f", arguments=""), call(index=1, id="b", name="g"),
         call(index=0, arguments="1"), call(index=1, arguments="2")],
        [("a", "f", "1"), ("b", "g", "2")],
    ),
    "by id before index": (
        [call(index=0, id="a", name="f"), call(index=1, id="b", name="g"),
         call(index=1, id="a", arguments="1"), call(index=1, arguments="2")],
        [("a", "f", "12"), ("b", "g", "")],
    ),
    "one index, two ids": (
        [call(index=0, id="a", name="f"), call(index=0, id="b", name="g"),
         call(index=0, arguments="2"), call(id="a", arguments="1")],
        [("a", "f", "1"), ("b", "g", "2")],
    ),
    "id comes later": (
        [call(index=0, name="f"), call(index=0, id="a", arguments="1"),
         call(id="a", arguments="2")],
        [("a", "f", "12")],
    ),
    "empty id": (
        [call(index=0, id="", name="f"), call(index=0, id="a"), call(id="", arguments="1")],
        [("a", "f", "1")],
    ),
    "neither": (
        [call(name="f"), call(arguments="1"), call(name="g", arguments="2"), call(arguments="3")],
        [(None, "f", "1"), (None, "g", "23")],
    ),
    "neither, name late": ([call(arguments="1"), call(name="f")], [(None, "f", "1")]),
    "neither, after an index": (
        [call(index=4, id="a", name="f"), call(arguments="1")], [("a", "f", "1")]
    ),
    "a new id without index": (
        [call(id="a", name="f"), call(id="b", arguments="1")], [("a", "f", ""), ("b", None, "1")]
    ),
    "a new index": ([call(index=0, name="f"), call(index=1)], [(None, "f", ""), (None, None, "")]),
    "nothing at all": ([{}], [(None, None, "")]),
    "set once": (
        [call(index=0, id="a", type="function", name="f"),
         call(index=0, id="a", type="x", name="g")],
        [("a", "f", "")],
    ),
    "empty name": (
        [call(index=0, id="a", name="f"), call(name="", arguments="1")], [("a", "f", "1")]
    ),
    "object": (
        [call(index=0, arguments={"a": [1, "て"]}), call(index=0, arguments={})],
        [(None, None, '{"a":[1,"て"]}{}')],
    ),
    "wrong types": (
        [call(index="0", id=5, type=[], name=6, arguments=7), call(index=True, id={}, name=[])],
        [(None, None, "")],
    ),
    "other shapes": ([{"function": "f", "custom": "c", "index": 0}], [(None, None, "")]),
    "negative and huge": (
        [call(index=-1, name="f"), call(index=10**30, name="g"), call(index=-1, arguments="1")],
        [(None, "f", "1"), (None, "g", "")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fragments", "calls"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("together", [False, True], ids=["apart", "in one chunk"])
def test_o20_tool_calls(
    fragments: list[dict[str, Any]], calls: list[tuple[Any, Any, str]], together: bool
) -> None:
    """Each fragment finds its call, whether in chunks of their own or all in one."""
    groups = [fragments] if together else [[fragment] for fragment in fragments]
    message = message_of(*({"tool_calls": group} for group in groups))

    found = [
        (call.id, call.function and call.function.name, call.function and call.function.arguments)
        for call in message.tool_calls
    ]
    assert calls == found


def test_o20_type() -> None:
    """The type is set once as well, and none is made up."""
    message = message_of(
        {"tool_calls": [{"index": 0}, {"index": 1, "type": "function"}]},
        {"tool_calls": [{"index": 1, "type": "x"}]},
    )

    assert [None, "function"] == [call.type for call in message.tool_calls]


def test_o20_custom_tools() -> None:
    """The call of a custom tool has an input; fragments find it by the same rules."""
    message = message_of(
        {"tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "1"}}]},
        {"tool_calls": [{"custom": {"input": "2", "name": ""}}]},
        {"tool_calls": [{"custom": {"name": "g"}}]},
        {"tool_calls": [{"custom": {"input": 5}}]},
    )

    assert [
        ToolCall("a", "custom", custom=Custom("f", "12")),
        ToolCall(custom=Custom("g", "")),
    ] == message.tool_calls


def test_o20_choices_do_not_mix() -> None:
    """Equal ids and indexes of two choices are different calls."""
    chat = read(
        chunk(
            {"index": 0, "delta": {"tool_calls": [call(index=0, id="a", arguments="0")]}},
            {"index": 1, "delta": {"tool_calls": [call(index=0, id="a", arguments="1")]}},
        )
    )

    assert [[ToolCall("a", None, Function(None, text))] for text in "01"] == [
        choice.message.tool_calls for choice in chat.completion.choices
    ]


@pytest.mark.parametrize("tool_calls", [None, {}, "x", 5, [None, 1, "x", []]])
def test_o20_no_tool_calls(tool_calls: Any) -> None:
    """Whatever is no list of objects is no call."""
    assert [] == message_of({"tool_calls": tool_calls}).tool_calls


def test_chunk_tool_calls() -> None:
    """The fragments of the first choice are at hand on the chunk."""
    received = chunk_of(delta(tool_calls=[{"index": 3}]))

    assert [ToolCallDelta(3)] == received.tool_calls


@pytest.mark.parametrize(
    ("chunks", "usage"),
    [
        ([chunk(usage={"a": 1}), chunk(usage={"a": 2})], {"a": 2}),
        ([chunk(usage={"a": 1}), chunk(usage=None), chunk()], {"a": 1}),
        ([chunk(usage={"a": 1}), chunk(usage={})], {}),
        ([chunk(x_groq={"usage": {"a": 1}})], {"a": 1}),
        ([chunk(usage={"a": 1}), chunk(x_groq={"usage": None})], {"a": 1}),
        ([chunk(usage={"a": 2}, x_groq={"usage": {"a": 1}})], {"a": 2}),
        ([chunk(x_groq=5), chunk(x_groq={"usage": [1]}), chunk(usage="x")], None),
    ],
)
def test_o21_usage(chunks: list[Any], usage: Any) -> None:
    """The last one that is not null, never summed and never erased."""
    assert usage == read(*chunks).completion.usage


def test_o22_last_not_null() -> None:
    """Service tier, fingerprint and moderation."""
    completion = read(
        chunk(service_tier="a", system_fingerprint="b", moderation={"input": 1}),
        chunk(service_tier="c", system_fingerprint=None, moderation=None),
        chunk(service_tier=None, moderation="x"),
    ).completion

    assert ("c", "b", {"input": 1}) == (
        completion.service_tier,
        completion.system_fingerprint,
        completion.moderation,
    )


@pytest.mark.parametrize(
    ("chunks", "complete"),
    [
        ([], False),
        ([chunk()], False),
        ([delta(content="a")], False),
        ([chunk({"finish_reason": "stop"})], True),
        ([chunk({"index": 0, "finish_reason": "stop"}, {"index": 1})], False),
        ([chunk({"index": 0, "finish_reason": "stop"}), chunk({"index": 1})], False),
        ([chunk({"finish_reason": ""})], False),
        (["[DONE]"], True),
        ([delta(content="a"), "[DONE]"], True),
    ],
)
def test_o23_complete(chunks: list[Any], complete: bool) -> None:
    """[DONE], or a finish on every choice seen and at least one; else the end is truncation."""
    chat = read(*chunks)

    assert complete is chat.complete
    if complete:
        chat.receive_eof()
    else:
        with pytest.raises(StreamTruncated) as caught:
            chat.receive_eof()
        assert caught.value.completion == chat.completion
        chat.receive_eof()
        assert None is chat.receive_event(event(delta(content="b")))


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["\ud83d", "\ude00"], "😀"),
        (["a\ud83d", "\ude00b"], "a😀b"),
        (["\ud83d", "", "\ude00"], "😀"),
        (["\ud83d"], "\ufffd"),
        (["\ude00", "\ud83d"], "\ufffd\ufffd"),
        (["\ud83d", "x", "\ude00"], "\ufffdx\ufffd"),
        (["\ud83d\ud83d\ude00"], "\ufffd😀"),
        (["é", "て"], "éて"),
    ],
)
def test_o24_surrogates(parts: list[str], text: str) -> None:
    """Two halves that meet become one character, a lone one U+FFFD, in every kind of text."""
    message = message_of(
        *(
            {
                "content": part,
                "reasoning": part,
                "refusal": part,
                "audio": {"transcript": part},
                "function_call": {"arguments": part},
                "tool_calls": [{"index": 0, "function": {"arguments": part}},
                               {"index": 1, "custom": {"input": part}}],
            }
            for part in parts
        )
    )  # fmt: skip
    first, second = message.tool_calls

    assert first.function is not None
    assert second.custom is not None
    assert message.function_call is not None
    assert message.audio is not None
    assert {text} == {
        message.content,
        message.reasoning,
        message.refusal,
        message.audio["transcript"],
        message.function_call.arguments,
        first.function.arguments,
        second.custom.input,
    }


@given(st.text(alphabet="aé\ud83d\ude00\udfff\U0001f600", max_size=12), st.data())
def test_o24_any_split(text: str, data: st.DataObject) -> None:
    """Content does not depend on where the text was cut, and can be encoded."""
    # As UTF-16 units, which is what JSON escapes are.
    units = text.encode("utf-16-le", "surrogatepass")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(units) // 2), max_size=6)))
    borders = [0, *(2 * cut for cut in cuts), len(units)]
    parts = [
        units[start:end].decode("utf-16-le", "surrogatepass")
        if _whole(units[start:end])
        else "".join(map(chr, memoryview(units[start:end]).cast("H")))
        for start, end in pairwise(borders)
    ]

    content = message_of(*({"content": part} for part in parts)).content

    assert units.decode("utf-16-le", "replace") == content
    content.encode()


def _whole(units: bytes) -> bool:
    try:
        units.decode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


# Bounds and cost: O25.


class CountedText(str):
    """Text that counts how many of its characters are copied into other text."""

    __slots__ = ()
    copied = 0

    def __add__(self, other: str) -> CountedText:
        CountedText.copied += len(self) + len(other)
        return CountedText(str(self) + other)

    def __radd__(self, other: str) -> CountedText:
        return CountedText(other) + self


def test_o25_folding_is_linear() -> None:
    """20,000 chunks are kept in parts: no chunk makes the text before it be copied."""
    CountedText.copied = 0
    value = delta(content=CountedText("token"), tool_calls=[call(index=0, arguments="{}")])
    chat = ChatStream(loads=lambda text: copy.copy(value))
    per_thousand = []
    for _ in range(20):
        with Calls() as calls:
            for _ in range(1000):
                chat.receive_event(event("{}"))
        per_thousand.append(calls.number)

    assert 20_000 * "token" == chat.completion.choices[0].message.content
    assert 0 == CountedText.copied
    assert max(per_thousand) <= min(per_thousand) + 100


def test_o25_choices() -> None:
    """128 choices are read, one more is refused; what came before is kept."""
    chat = read(chunk(*({"index": index} for index in range(128))))

    chat.receive_event(event(chunk({"index": 127, "delta": {"content": "a"}})))
    with pytest.raises(MalformedChunk, match="more than 128 choices"):
        chat.receive_event(event(chunk({"index": 128})))

    assert 128 == len(chat.completion.choices)


def test_o25_tool_calls() -> None:
    """128 calls in a choice, and as many in another, but not one more."""
    calls = [call(index=index) for index in range(128)]
    chat = read(
        chunk({"index": 0, "delta": {"tool_calls": calls}}),
        chunk({"index": 1, "delta": {"tool_calls": calls}}),
        delta(tool_calls=[call(index=127, arguments="a")]),
    )

    with pytest.raises(MalformedChunk, match="more than 128 tool calls"):
        chat.receive_event(event(delta(tool_calls=[call(index=128)])))

    assert [128, 128] == [len(choice.message.tool_calls) for choice in chat.completion.choices]


# Values.


def test_completion_is_a_snapshot() -> None:
    """What was folded once does not change with what comes later, or with what is done to it."""
    chat = read(
        chunk(
            {"delta": {"content": "a", "tool_calls": [call(index=0, arguments="1")]},
             "logprobs": {"content": [1]}}
        )
    )  # fmt: skip
    first = chat.completion
    kept = copy.deepcopy(first)

    chat.receive_event(
        event(
            chunk(
                {"delta": {"content": "b", "tool_calls": [call(index=0, arguments="2")]},
                 "logprobs": {"content": [2]}},
                usage={},
            )
        )
    )  # fmt: skip
    assert kept == first
    assert first.choices[0].logprobs is not None
    first.choices[0].logprobs["content"].clear()

    assert {"content": [1, 2], "refusal": None} == chat.completion.choices[0].logprobs


def test_completion_of_nothing() -> None:
    """Nothing is made up."""
    assert ChatCompletion() == ChatStream().completion
    assert [CompletionChoice(0)] == read(chunk({})).completion.choices


def test_json_object() -> None:
    """Keys are attributes too; one that was not sent is None; copies and pickles are the same."""
    usage = JSONObject({"prompt_tokens": 1, "items": 2})

    assert 1 == usage.prompt_tokens
    assert None is usage.completion_tokens
    assert 2 == usage["items"]
    assert usage == copy.deepcopy(usage) == pickle.loads(pickle.dumps(usage))
    assert not hasattr(usage, "__html__")


@pytest.mark.parametrize(
    "error",
    [
        lambda: MalformedChunk(event("{"), ChatCompletion("x"), "why"),
        lambda: StreamTruncated(ChatCompletion("x")),
        lambda: APIError("m", type="t", code=5, param="p", completion=ChatCompletion("x")),
    ],
)
def test_errors_can_be_pickled(error: Callable[[], ChatError]) -> None:
    """As between processes, with all they carry."""
    before = error()
    after = pickle.loads(pickle.dumps(before))

    assert (type(before), str(before), vars(before)) == (type(after), str(after), vars(after))


# Any JSON in any place.

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["error", "ping", "text", "thinking", "\ud83d", 10**400, -1, "", 0]),
)
KEYS = st.sampled_from(
    ["index", "delta", "content", "text", "type", "thinking", "error", "usage", "id", "x"]
)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=6,
)


def objects(*keys: str, **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects with any of those keys, with what they should hold or with anything."""
    optional = dict.fromkeys(keys, ANY)
    optional |= {key: strategy | ANY for key, strategy in strategies.items()}
    return st.fixed_dictionaries({}, optional=optional)


FUNCTIONS = objects("name", "arguments")
CALL_FRAGMENTS = objects("index", "id", "type", function=FUNCTIONS, custom=objects("name", "input"))
DELTAS = objects(
    "role",
    "content",
    "reasoning",
    "reasoning_content",
    "refusal",
    tool_calls=st.lists(CALL_FRAGMENTS, max_size=3),
    function_call=FUNCTIONS,
    audio=objects("id", "data", "transcript", "expires_at"),
)
CHOICES = objects(
    "index", "finish_reason", delta=DELTAS, message=DELTAS, logprobs=objects("content", "refusal")
)
CHUNKS = objects(
    "id",
    "object",
    "created",
    "model",
    "type",
    "error",
    "service_tier",
    "system_fingerprint",
    "moderation",
    "obfuscation",
    "usage",
    choices=st.lists(CHOICES, max_size=3),
    x_groq=objects("usage"),
)
NAMES = st.sampled_from(["message", "error", "ping"])


@pytest.mark.slow
@given(st.lists(st.tuples(CHUNKS | ANY, NAMES), max_size=5))
@example([({"choices": [{"delta": {"tool_calls": [{"id": []}, {"index": {}}]}}]}, "message")])
@example([({"type": []}, "message"), ({"object": {}}, "error")])
def test_any_json(values: list[tuple[Any, str]]) -> None:
    """Whatever the JSON, nothing but a ChatError is raised, and the rest can be read and kept."""
    chat = ChatStream()

    try:
        for value, name in values:
            received = chat.receive_event(ServerSentEvent(json.dumps(value), name))
            if received is not None:
                _ = (received.content, received.reasoning, received.tool_calls)
                _ = received.finish_reason
        chat.receive_eof()
    except ChatError as exc:
        str(exc)
        repr(getattr(exc, "completion", None))

    completion = chat.completion
    assert repr(completion) == repr(copy.deepcopy(completion))
    for choice in completion.choices:
        for text in (choice.message.content, choice.message.reasoning, choice.message.refusal):
            (text or "").encode()


@pytest.mark.sweep(quick=20)
@pytest.mark.parametrize("depth", [50, 200, 300, 400, 450, 470, 480, 490, 900, 950, 970, 980, 5000])
@pytest.mark.parametrize(
    ("before", "opening", "closing", "after"),
    [
        ('{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":', '{"a":', "}", "}}]}}]}"),
        ('{"choices":[{"delta":{"content":', '[{"type":"text","text":', "}]", "}}]}"),
        ('{"choices":[{"delta":{"content":', '[{"type":"thinking","thinking":', "}]", "}}]}"),
        ('{"choices":[{"delta":{"audio":{"x":', '{"a":', "}", "}}}]}"),
        ('{"x":', "[", "]", "}"),
    ],
    ids=["arguments", "text", "thinking", "audio", "unknown"],
)
def test_any_depth(depth: int, before: str, opening: str, closing: str, after: str) -> None:
    """Values nested near what the decoder can take are read or malformed, never a crash."""
    chat = ChatStream()

    try:
        chat.receive_event(ServerSentEvent(f"{before}{opening * depth}0{closing * depth}{after}"))
    except MalformedChunk:
        return
    _ = chat.completion


def test_depth_that_only_writing_cannot_take() -> None:
    """An object of arguments too deep to be written as text is malformed."""
    value: Any = {}
    for _ in range(100_000):
        value = {"a": value}
    chat = ChatStream(loads=lambda _: delta(tool_calls=[call(arguments=value)]))

    with pytest.raises(MalformedChunk, match="recursion"):
        chat.receive_event(event("{}"))


def test_depth_that_another_decoder_takes() -> None:
    """Nested content is not followed any deeper than servers nest it."""
    value: Any = "t"
    for _ in range(5000):
        value = [{"type": "text", "text": value}]
    chat = ChatStream(loads=lambda _: delta(content=value))

    received = chat.receive_event(event("{}"))

    assert received is not None
    assert None is received.content
