"""ResponseStream and its events without I/O: rule by rule, and with any JSON at all."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import sse_openai
from sse_core import ServerSentEvent
from sse_openai import (
    APIError,
    ChatCompletion,
    ChatError,
    JSONObject,
    MalformedChunk,
    Response,
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
    ResponseItemStatusEvent,
    ResponseLifecycleEvent,
    ResponseOutputItemDoneEvent,
    ResponseStream,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
    StreamTruncated,
    UnknownEvent,
)
from sse_openai._responses.events import EVENTS
from tests.support.calls import Calls
from tests.support.examples import examples
from tests.support.response_streams import WellFormed, event, well_formed


def read(*values: Any) -> ResponseStream:
    stream = ResponseStream()
    for value in values:
        stream.receive_event(event(value))
    return stream


def received(value: Any, name: str = "message") -> ResponseStreamEvent:
    found = ResponseStream().receive_event(event(value, name))
    assert found is not None
    return found


def lifecycle(kind: str, **response: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response": response}


def text(delta: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "delta": delta, **fields}


def added(item: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "item": item, **fields}


def arguments(delta: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "response.function_call_arguments.delta", "delta": delta, **fields}


# Events: what they are and what can be read from them.


def test_every_event_is_public() -> None:
    assert {cls.__name__ for cls in EVENTS.values()} <= set(sse_openai.__all__)


@pytest.mark.parametrize("type", EVENTS)
@pytest.mark.parametrize("named", [False, True], ids=["type in JSON", "type in name"])
def test_o30_every_type(type: str, named: bool) -> None:
    """It is an event of its class, with nothing in it; the type may be in the name alone."""
    found = received({}, type) if named else received({"type": type}, "message")

    assert EVENTS[type] is found.__class__
    assert type == found.type
    assert ({} if named else {"type": type}) == found.data
    for name in dir(found):
        if name[0] != "_" and name not in ("type", "data", "get", "status"):
            assert getattr(found, name) in (None, "", {}, [])


@pytest.mark.parametrize("value", [None, 5, True, 1.5, "x", [], ["x"], {"y": 1}])
def test_fields_of_any_shape(value: Any) -> None:
    """What has another shape than the reference says is as good as absent; get() has it."""
    for type, cls in EVENTS.items():
        keys = {name for name in dir(cls) if name[0] != "_"} - {"type", "data", "get", "status"}
        found = received({"type": type} | dict.fromkeys(keys, value))
        for key in keys:
            read = getattr(found, key)
            if read not in (None, "", {}, []):
                assert value == read or [value] == [read]
            assert value == found.get(key)


def test_event_values() -> None:
    """Type and object make an event; it is equal to its like, and can be kept."""
    value = text("a", output_index=1, item_id="i", content_index=2, sequence_number=3, x=4)
    found = received(value)

    assert ResponseTextDeltaEvent(value["type"], JSONObject(value)) == found
    assert isinstance(found, ResponseTextDeltaEvent)
    assert ("a", 1, "i", 2, 3, 4) == (
        found.delta,
        found.output_index,
        found.item_id,
        found.content_index,
        found.sequence_number,
        found.data.x,
    )
    assert repr(found).startswith("ResponseTextDeltaEvent(type='response.output_text.delta', data=")
    assert found == pickle.loads(pickle.dumps(found)) == copy.deepcopy(found)
    assert not hasattr(found, "dleta")


def test_match() -> None:
    """Classes and fields are patterns."""
    match received(lifecycle("completed", id="r", usage={"total_tokens": 3})):
        case ResponseTextDeltaEvent():
            pytest.fail("another type")
        case ResponseLifecycleEvent(response=response, type="response.completed"):
            assert ("r", 3) == (response.id, response.usage and response.usage.total_tokens)
        case _:
            pytest.fail("no match")
    match received({"type": "response.output_item.done", "item": {"type": "message", "x": 1}}):
        case ResponseOutputItemDoneEvent(item=item) if item.type == "message":
            assert 1 == item.x
        case _:
            pytest.fail("no match")


def test_status_events() -> None:
    """One class for all that only say how far a tool is."""
    found = received({"type": "response.mcp_list_tools.failed", "item_id": "i"})

    assert isinstance(found, ResponseItemStatusEvent)
    assert ("failed", "i") == (found.status, found.item_id)


@pytest.mark.parametrize("type", ["response.new.thing", "response.output_text.new", "x", "message"])
def test_o30_unknown_events(type: str) -> None:
    """They are handed on, and the response takes nothing from them."""
    stream = ResponseStream()
    found = stream.receive_event(event({"type": type, "text": "a", "delta": "b", "response": {}}))

    assert isinstance(found, UnknownEvent)
    assert (type, "b") == (found.type, found.data.delta)
    assert {} == stream.response


@pytest.mark.parametrize("type", [None, 5, "", [], {}])
def test_o30_type_of_another_shape(type: Any) -> None:
    """The name stands in for what is no type."""
    found = received({"type": type, "delta": "a"}, "response.output_text.delta")

    assert isinstance(found, ResponseTextDeltaEvent)
    assert isinstance(received({"type": type}), UnknownEvent)


@pytest.mark.parametrize(
    "value", [None, {"type": "ping"}, {"type": "keepalive", "sequence_number": 9}]
)
def test_o7_ignored(value: Any) -> None:
    """null, ping and keepalive are no events."""
    stream = ResponseStream()

    assert None is stream.receive_event(event(json.dumps(value)))
    assert ({}, None) == (stream.response, stream.sequence_number)


@pytest.mark.parametrize("data", ["", " ", "\t\n "])
def test_o4_empty_data(data: str) -> None:
    assert None is ResponseStream().receive_event(ServerSentEvent(data, "error"))


def test_nothing_yet() -> None:
    stream = ResponseStream()

    assert (False, False, None) == (stream.done, stream.complete, stream.sequence_number)
    assert Response() == stream.response


def test_sequence_number() -> None:
    """That of the last event with one, which need not be a known one."""
    stream = read({"type": "x", "sequence_number": 7}, {"type": "y"})
    assert 7 == stream.sequence_number

    for wrong in (None, True, 8.0, "8"):
        stream.receive_event(event({"type": "x", "sequence_number": wrong}))
    assert 7 == stream.sequence_number


# Errors and ends.


@pytest.mark.parametrize("data", ["{", "nope", "[]", "1", '"x"', "[" * 100_000, "9" * 5000])
def test_o6_malformed(data: str) -> None:
    """What is no JSON object ends the reading; what came before is kept."""
    stream = read(lifecycle("created", id="r"), text("a"))

    with pytest.raises(MalformedChunk) as caught:
        stream.receive_event(event(data))

    assert data == caught.value.event.data
    assert stream.response == caught.value.response
    assert ("r", "a") == (stream.response.id, stream.response.output_text)
    assert ChatCompletion() == caught.value.completion
    assert None is stream.receive_event(event(text("b")))
    stream.receive_eof()
    assert "a" == stream.response.output_text


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"type": "error", "message": "m", "code": "c", "param": "p"}, "message"),
        ({"type": "error", "error": {"message": "m", "code": "c", "param": "p"}}, "error"),
        ({"error": {"message": "m", "code": "c", "param": "p"}}, "message"),
        ({"message": "m", "code": "c", "param": "p"}, "error"),
        ({"object": "error", "message": "m", "code": "c", "param": "p"}, "message"),
        ({"type": "new", "error": "m", "code": "c", "param": "p"}, "response.created"),
    ],
)
def test_o8_errors(value: Any, name: str) -> None:
    """An error is raised with what had come, and ends the reading."""
    stream = read(lifecycle("created", id="r"), text("a"))

    with pytest.raises(APIError) as caught:
        stream.receive_event(event(value, name))

    error = caught.value
    assert ("m", "c", "p", None) == (error.message, error.code, error.param, error.completion)
    assert error.response is not None
    assert ("r", "a") == (error.response.id, error.response.output_text)
    assert (False, False) == (stream.done, stream.complete)
    assert None is stream.receive_event(event(lifecycle("completed")))
    stream.receive_eof()


def test_o8_error_that_is_no_json() -> None:
    with pytest.raises(APIError, match="plain words"):
        ResponseStream().receive_event(event("plain words", "error"))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"type": "response.mcp_call.failed", "error": "m"}, "error"),
        ({"type": "response.failed", "error": {"message": "m"}}, "message"),
        ({"error": {"message": "m"}}, "response.mcp_call.failed"),
    ],
)
def test_o30_errors_of_the_response(value: Any, name: str) -> None:
    """They are part of it, and no errors of the stream."""
    assert received(value, name).type.endswith("failed")


@pytest.mark.parametrize("kind", ["completed", "failed", "incomplete"])
def test_o31_final(kind: str) -> None:
    """Nothing after a final event is looked at, errors included; the status is as sent."""
    stream = read(text("a"), lifecycle(kind, status="cancelled"))

    assert (True, kind == "completed") == (stream.done, stream.complete)
    for value in (text("b"), "{", "[DONE]", {"type": "error"}):
        assert None is stream.receive_event(event(value))
    stream.receive_eof()
    assert ("a", "cancelled") == (stream.response.output_text, stream.response.status)


@pytest.mark.parametrize("value", [{}, {"response": None}, {"response": "x"}])
def test_o31_final_without_response(value: Any) -> None:
    """The type alone decides; the status that came last stays."""
    stream = read(lifecycle("created", status="in_progress"), {"type": "response.failed", **value})

    assert (True, False) == (stream.done, stream.complete)
    assert {"status": "in_progress"} == stream.response


@pytest.mark.parametrize("end", ["[DONE]", " [DONE]\n", ""])
def test_o31_truncated(end: str) -> None:
    """Neither [DONE] nor the end of the body completes a response."""
    stream = read(text("a"), {"type": "response.cancelled", "response": {"status": "cancelled"}})

    with pytest.raises(StreamTruncated, match="before its final event") as caught:
        stream.receive_event(event(end)) if end else stream.receive_eof()

    assert stream.response == caught.value.response
    assert "a" == stream.response.output_text
    assert ChatCompletion() == caught.value.completion
    assert None is stream.receive_event(event(lifecycle("completed")))
    stream.receive_eof()
    assert (False, False) == (stream.done, stream.complete)


# Which item, which part: O32.

A, B = {"id": "a", "type": "message"}, {"id": "b", "type": "message"}

# Events, and the texts of the items that they make.
PLACES: dict[str, tuple[list[Any], list[str]]] = {
    "index before id": (
        [added(A, output_index=0), added(B, output_index=1),
         text("1", item_id="b", output_index=0), text("2", item_id="x", output_index=1)],
        ["1", "2"],
    ),
    "by id": (
        [added(A), added(B), text("1", item_id="a"), text("2", item_id="b"),
         text("3", item_id="a")],
        ["13", "2"],
    ),
    "nothing added": (
        [text("2", output_index=1), text("1", output_index=0), text("3", output_index=1)],
        ["1", "23"],
    ),
    "nothing added, by id": (
        [text("1", item_id="b"), text("2", item_id="a"), text("3", item_id="b")], ["13", "2"]
    ),
    "neither": ([text("1"), text("2"), added(A), text("3"), text("4")], ["12", "34"]),
    "the id of none, without index": ([added(A), text("1", item_id="x")], ["", "1"]),
    "the index comes later": (
        [added(A), text("1", item_id="a", output_index=3), text("2", output_index=3)], ["12"]
    ),
    "the index comes later, without ids": (
        [added({"type": "message"}), text("1", output_index=3), text("2")], ["", "12"]
    ),
    "one id at two indexes": (
        [text("1", item_id="a", output_index=0), text("2", item_id="a", output_index=1),
         text("3", item_id="a")],
        ["1", "23"],
    ),
    "in the order of indexes": (
        [text("3", output_index=10**30), text("1", output_index=-1), text("2", output_index=4)],
        ["1", "2", "3"],
    ),
    "without index where they came": (
        [added(A, output_index=0), added(B), text("1", item_id="b"), text("0", item_id="a"),
         text("2", output_index=2)],
        ["0", "1", "2"],
    ),
    "indexes of another shape": (
        [added(A, output_index="0"), text("1", item_id="a", output_index=True),
         text("2", item_id="a", output_index=0.0), text("3", item_id="a", output_index=None)],
        ["123"],
    ),
    "ids of another shape": (
        [added({"id": 5, "type": "message"}, output_index=0), text("1", item_id=[]),
         text("2", item_id={}), text("3", item_id="")],
        ["123"],
    ),
    "unhashable ids": (
        [added(A | {"id": [1]}), text("1", item_id={"a": 1}), text("2", item_id=[1])],
        ["12"],
    ),
    "deltas of another shape": (
        [text(None), text(5, item_id="x"), text(["y"], output_index=7), text("1")], ["1"]
    ),
    "added again": ([added(A), text("1", item_id="a"), added(A | {"content": []})], [""]),
    "added over another": (
        [added(A, output_index=0), text("1", output_index=0), added(B, output_index=0)], [""]
    ),
    "no item": ([added(None), added("x"), added({}), added([])], []),
    "untyped": ([added({"id": "a"}), text("1", item_id="a")], ["1"]),
    "added with content": (
        [added(A | {"content": [{"type": "output_text", "text": "1"}, "x"]}, output_index=0),
         text("2", output_index=0, content_index=0)],
        ["12"],
    ),
    "parts by index": (
        [text("3", content_index=2), text("1", content_index=0), text("2", content_index=0)],
        ["123"],
    ),
    "parts without index": (
        [added(A), *2 * [{"type": "response.content_part.added", "item_id": "a",
                          "part": {"type": "output_text", "text": ""}}, text("1", item_id="a")],
         {"type": "response.output_text.done", "item_id": "a", "text": "2"},
         {"type": "response.content_part.done", "item_id": "a",
          "part": {"type": "output_text", "text": "3"}}],
        ["13"],
    ),
    "part without type": (
        [{"type": "response.content_part.added", "content_index": 0, "part": {"text": ""}},
         text("1", content_index=0)],
        ["1"],
    ),
    "no part": (
        [text("1"), {"type": "response.content_part.done", "part": None},
         {"type": "response.content_part.done", "part": {}}],
        ["1"],
    ),
    "done replaces": (
        [text("1", output_index=0),
         {"type": "response.output_text.done", "output_index": 0, "text": "2"},
         text("3", output_index=0)],
        ["23"],
    ),
    "done of another shape does not": (
        [text("1"), {"type": "response.output_text.done", "text": None},
         {"type": "response.output_text.done"}],
        ["1"],
    ),
    "item done": (
        [text("1", item_id="a"),
         {"type": "response.output_item.done", "item": A | {"content": [{"text": "2"}]}}],
        ["2"],
    ),
    "item done, without ids": (
        [text("1"), {"type": "response.output_item.done",
                     "item": {"type": "message", "content": [{"text": "2"}]}}],
        ["2"],
    ),
    "item done, never added": (
        [{"type": "response.output_item.done", "item": A | {"content": [{"text": "2"}]}}], ["2"]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "texts"), PLACES.values(), ids=PLACES)
def test_o32_places(values: list[Any], texts: list[str]) -> None:
    """Each event finds its item and its part; missing beginnings are made up for."""
    response = read(*values).response

    assert texts == [Response(output=[item]).output_text for item in response.output]


def test_o32_made_up_items_have_nothing_more() -> None:
    """Of an item that was never added there is what the events say of it."""
    stream = read(
        text("a", item_id="m"),
        arguments("{", output_index=3),
        {"type": "response.web_search_call.searching", "item_id": "w"},
        {"type": "response.compaction.compacting", "item_id": "c"},
        {"type": "response.mcp_list_tools.failed", "item_id": "l"},
    )

    assert {
        "output": [
            {"id": "m", "type": "message", "content": [{"type": "output_text", "text": "a"}]},
            {"id": "w", "type": "web_search_call", "status": "searching"},
            {"type": "function_call", "arguments": "{"},
        ]
    } == stream.response


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("output_text", {"type": "message", "content": [{"type": "output_text", "text": "a"}]}),
        ("refusal", {"type": "message", "content": [{"type": "refusal", "refusal": "a"}]}),
        (
            "reasoning_text",
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "a"}]},
        ),
        (
            "reasoning_summary_text",
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]},
        ),
        ("function_call_arguments", {"type": "function_call", "arguments": "a"}),
        ("custom_tool_call_input", {"type": "custom_tool_call", "input": "a"}),
        ("mcp_call_arguments", {"type": "mcp_call", "arguments": "a"}),
        ("code_interpreter_call_code", {"type": "code_interpreter_call", "code": "a"}),
    ],
)
def test_o32_made_up_by_a_delta(kind: str, item: dict[str, Any]) -> None:
    """The type of the event says what the text belongs to."""
    assert [item] == read({"type": f"response.{kind}.delta", "delta": "a"}).response.output


def test_o32_types_stay() -> None:
    """What an item or a part is called is not changed by what is written into it."""
    part = {"type": "new_part", "text": "a"}
    item = {"id": "a", "type": "new_item", "content": [part]}
    stream = read(added(item), text("b", item_id="a", content_index=0))

    assert [item | {"content": [part | {"text": "ab"}]}] == stream.response.output


def test_o32_items_without_anything() -> None:
    """A done event without index, id and type is about the latest such item."""
    done = {"type": "response.output_item.done", "item": {"y": 2}}

    assert [{"y": 2}] == read(added({"x": 1}), done).response.output
    assert [{"x": 1}, {"x": 2}] == read(added({"x": 1}), added({"x": 2})).response.output


def test_o32_calls_without_id() -> None:
    """llama.cpp names calls by the call_id, and its deltas name that."""
    call = {"type": "function_call", "call_id": "fc_1", "name": "f", "arguments": ""}
    other = call | {"call_id": "fc_2"}
    stream = read(
        added(call), added(other), arguments("1", item_id="fc_1"), arguments("2", item_id="fc_2")
    )

    assert [call | {"arguments": "1"}, other | {"arguments": "2"}] == stream.response.output


def test_name_of_a_call() -> None:
    """It stands in the done event too, and serves where no added event had it."""
    done = {"type": "response.function_call_arguments.done", "arguments": "{}", "name": "f"}
    named = added({"type": "function_call", "name": "g"}, output_index=1)

    assert isinstance(received(done), ResponseFunctionCallArgumentsDoneEvent)
    calls = read(done | {"output_index": 0}, named, done | {"output_index": 1}).response
    assert ["f", "g"] == [call.name for call in calls.function_calls]
    assert None is read(done | {"name": 5}).response.function_calls[0].name


# What adds up: O33, O34.


@pytest.mark.parametrize("output", [None, [], "x", {}, [5, None]])
@pytest.mark.parametrize("kind", ["created", "in_progress", "completed", "failed", "incomplete"])
def test_o33_empty_output(kind: str, output: Any) -> None:
    """Where a lifecycle event has no output, the accumulated items stand in."""
    stream = read(text("a"), lifecycle(kind, id="r", output=output))

    assert ("r", "a") == (stream.response.id, stream.response.output_text)
    if not stream.done:
        stream.receive_event(event(text("b")))
        assert "ab" == stream.response.output_text


def test_o33_output_is_trusted() -> None:
    """Another output replaces the accumulated items; later deltas go on with that one."""
    item = A | {"content": [{"type": "output_text", "text": "x"}]}
    stream = read(text("a", output_index=0), lifecycle("in_progress", output=[item]))
    assert "x" == stream.response.output_text

    stream.receive_event(event(text("y", output_index=0, content_index=0)))
    stream.receive_event(event(text("z", item_id="a", content_index=0)))
    assert [A | {"content": [{"type": "output_text", "text": "xyz"}]}] == stream.response.output


def test_o33_output_as_sent() -> None:
    """Nothing is added where nothing came, and nothing taken away."""
    responses: list[dict[str, Any]] = [
        {},
        {"output": None},
        {"output": []},
        {"output": [{"x": 1}], "y": [2]},
    ]
    for response in responses:
        assert response == read(lifecycle("created", **response)).response


def test_snapshots_are_replaced() -> None:
    """What a later lifecycle event does not have is gone, but for the usage."""
    stream = read(
        lifecycle("created", id="r", model="m", usage={"total_tokens": 1}),
        lifecycle("in_progress", id="s", usage=None),
    )
    assert {"id": "s", "usage": {"total_tokens": 1}} == stream.response

    stream.receive_event(event(lifecycle("in_progress", usage={"total_tokens": 2})))
    assert {"usage": {"total_tokens": 2}} == stream.response


def test_o34_texts() -> None:
    """All messages, all refusals, all summaries: joined with nothing between, by kind."""
    response = Response(
        output=[
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}, {"text": "t"}],
             "content": [{"type": "reasoning_text", "text": "no"}]},
            {"type": "message", "content": [
                {"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "r"},
                {"type": "output_text", "text": 5}, {"type": "new", "text": "no"}, "no"]},
            {"type": "new", "content": [{"type": "output_text", "text": "no"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "b"}]},
            {"type": "message", "content": None},
            {"type": "message", "content": [{"type": "refusal", "refusal": "q"}]},
        ]
    )  # fmt: skip

    assert ("ab", "rq", "st") == (
        response.output_text,
        response.refusal,
        response.reasoning_summary,
    )
    empty = Response()
    assert ("", None, None, []) == (
        empty.output_text,
        empty.refusal,
        empty.reasoning_summary,
        empty.function_calls,
    )


def test_function_calls() -> None:
    """In output order; what was not sent is None, and arguments are always text."""
    calls = read(
        added({"type": "function_call", "id": "1", "call_id": "c", "name": "f", "x": 2}),
        text("a"),
        added({"type": "function_call", "arguments": None, "name": 5}),
    ).response.function_calls

    assert [ResponseFunctionToolCall] * 2 == [call.__class__ for call in calls]
    assert [("1", "c", "f", ""), (None, None, None, "")] == [
        (call.id, call.call_id, call.name, call.arguments) for call in calls
    ]
    assert (2, None) == (calls[0].x, calls[0].status)


@pytest.mark.parametrize(
    ("kind", "key", "type"),
    [
        ("function_call_arguments", "arguments", "function_call"),
        ("custom_tool_call_input", "input", "custom_tool_call"),
        ("mcp_call_arguments", "arguments", "mcp_call"),
        ("code_interpreter_call_code", "code", "code_interpreter_call"),
    ],
)
def test_texts_of_items(kind: str, key: str, type: str) -> None:
    """Appended to what the item began with, and replaced by the done event."""
    delta = {"type": f"response.{kind}.delta", "output_index": 0}
    stream = read(
        added({"type": type, key: "a"}, output_index=0), delta | {"delta": "b"}, delta,
        delta | {"delta": "c"},
    )  # fmt: skip
    assert [{"type": type, key: "abc"}] == stream.response.output

    done = {"type": f"response.{kind}.done", "output_index": 0}
    stream.receive_event(event(done | {key: "d"}))
    stream.receive_event(event(done | {key: None}))
    assert [{"type": type, key: "d"}] == stream.response.output


def test_reasoning() -> None:
    """Summary and text of the reasoning are lists of their own."""
    stream = read(
        {"type": "response.reasoning_summary_part.added", "summary_index": 0, "part": None},
        {"type": "response.reasoning_summary_part.added", "summary_index": 0,
         "part": {"type": "summary_text", "text": ""}},
        {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": "a"},
        {"type": "response.reasoning_summary_text.delta", "summary_index": 1, "delta": "b"},
        {"type": "response.content_part.added", "content_index": 0,
         "part": {"type": "reasoning_text", "text": ""}},
        {"type": "response.reasoning_text.delta", "content_index": 0, "delta": "c"},
        {"type": "response.reasoning_summary_part.done", "summary_index": 1,
         "part": {"type": "summary_text", "text": "d"}, "status": "incomplete"},
    )  # fmt: skip

    assert [
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text} for text in "ad"],
            "content": [{"type": "reasoning_text", "text": "c"}],
        }
    ] == stream.response.output


def test_summary_parts_without_index() -> None:
    """Each added one is another, and a done event is about the latest."""
    kind = "response.reasoning_summary_part"
    values = [("added", "a"), ("added", "b"), ("done", "c")]
    stream = read(
        *(
            {"type": f"{kind}.{verb}", "part": {"type": "summary_text", "text": text}}
            for verb, text in values
        )
    )

    assert "ac" == stream.response.reasoning_summary


def test_annotations() -> None:
    """They stand in the text part, by their indexes; one without is one more."""
    annotation = {"type": "response.output_text.annotation.added", "output_index": 0}
    stream = read(
        text("a", output_index=0),
        annotation | {"annotation_index": 1, "annotation": {"url": "1"}},
        annotation | {"annotation_index": 0, "annotation": {"url": "0"}},
        annotation | {"annotation": {"url": "2"}},
        annotation | {"annotation": None},
    )

    assert [{"url": "0"}, {"url": "1"}, {"url": "2"}] == (
        stream.response.output[0]["content"][0]["annotations"]
    )
    alone = read(annotation | {"annotation": {"url": "0"}}).response.output
    part = {"type": "output_text", "annotations": [{"url": "0"}]}
    assert [{"type": "message", "content": [part]}] == alone


def test_shell_commands() -> None:
    """They are texts of the item's action."""
    command = {"type": "response.shell_call_command.", "output_index": 0}

    def say(verb: str, **fields: Any) -> dict[str, Any]:
        return command | {"type": f"response.shell_call_command.{verb}"} | fields

    item = {"type": "shell_call", "action": {"commands": ["a", "x", 5], "timeout_ms": 1}}
    stream = read(
        added(item, output_index=0),
        say("delta", command_index=0, delta="b"),
        say("delta", command_index=0, delta=None),
        say("done", command_index=0, command=None),
        say("added", command_index=2, command=""),
        say("delta", command_index=2, delta="c"),
        say("added", command_index=1, command="d"),
        say("done", command_index=2, command="e"),
    )
    assert {"commands": ["ab", "d", "e"], "timeout_ms": 1} == stream.response.output[0]["action"]
    stream = read(added(item, output_index=0), say("delta", command_index=0, delta="b"))
    assert ["ab", "x"] == stream.response.output[0]["action"]["commands"]

    stream = read(say("delta", delta="a"), say("added", command="b"), say("delta", delta="c"),
                  say("done", command="d"), say("added", command="e"))  # fmt: skip
    assert [{"type": "shell_call", "action": {"commands": ["a", "d", "e"]}}] == (
        stream.response.output
    )


def test_shell_outputs() -> None:
    """Deltas add to what a command wrote, the done event replaces it, with all there is."""
    kind = "response.shell_call_output_content"
    delta = {"type": f"{kind}.delta", "output_index": 0, "command_index": 0}
    stream = read(
        added({"type": "shell_call_output", "output": []}, output_index=0),
        delta | {"delta": {"stdout": "a"}},
        delta | {"delta": {"stdout": "b", "stderr": "c", "x": "d"}},
        delta | {"delta": {"stdout": 5}},
        delta | {"delta": "e"},
        delta | {"delta": {"stderr": "f"}, "command_index": 1},
    )
    outputs: list[Any] = [{"stdout": "ab", "stderr": "c"}, {"stderr": "f"}]
    assert [{"type": "shell_call_output", "output": outputs}] == stream.response.output

    done = {"type": f"{kind}.done", "output_index": 0, "command_index": 0}
    stream.receive_event(event(done | {"output": [{"stdout": "g"}, {"stdout": "h"}]}))
    stream.receive_event(event(done | {"output": None}))
    outputs = [{"stdout": "g"}, {"stderr": "f"}, {"stdout": "h"}]
    assert outputs == stream.response.output[0]["output"]

    without_index = {"type": f"{kind}.delta", "delta": {"stdout": "a"}}
    stream = read(without_index, without_index)
    assert [{"type": "shell_call_output", "output": [{"stdout": "aa"}]}] == stream.response.output
    stream.receive_event(event({"type": f"{kind}.done", "output": [{"stdout": "b"}]}))
    assert [{"stdout": "b"}] == stream.response.output[0]["output"]


@pytest.mark.parametrize(
    ("parts", "joined"),
    [(["\ud83d", "\ude00"], "😀"), (["\ud83d"], "\ufffd"), (["a\ud83d", "x"], "a\ufffdx")],
)
def test_o24_surrogates(parts: list[str], joined: str) -> None:
    """Two halves that meet become one character, a lone one U+FFFD, wherever the part ends."""
    stream = read(*(text(part) for part in parts), *(arguments(part) for part in parts))
    assert joined == stream.response.output_text
    assert joined == stream.response.function_calls[0].arguments

    whole = {"type": "message", "content": [{"text": part} for part in parts]}
    assert joined == Response(output=[whole]).output_text


# Values and cost.


def test_response_is_a_snapshot() -> None:
    """What was folded once does not change with what comes later, or with what is done to it."""
    stream = read(lifecycle("created", id="r"), text("a", output_index=0))
    first = stream.response
    kept = copy.deepcopy(first)

    stream.receive_event(event(text("b", output_index=0)))
    assert kept == first
    first["id"] = "s"
    first["output"][0]["content"].clear()

    assert ("r", "ab") == (stream.response.id, stream.response.output_text)


def test_response_values() -> None:
    """Any key is an attribute; known ones have their types; it can be kept and written."""
    response = Response(id=5, created_at=1.5, status=None, metadata={"a": 1}, error="x")

    assert (None, 1.5, None, {"a": 1}, None, None) == (
        response.id,
        response.created_at,
        response.status,
        response.metadata,
        response.error,
        response.service_tier,
    )
    assert response == pickle.loads(pickle.dumps(response)) == json.loads(json.dumps(response))
    assert "Response({'id': 5" == repr(response)[:17]
    assert "Field" in repr(Response.id)


@pytest.mark.parametrize(
    "error",
    [
        lambda: MalformedChunk(event("{"), None, "why"),
        lambda: StreamTruncated(message="why"),
        lambda: APIError("m", code=5),
    ],
)
def test_errors_can_be_pickled(error: Callable[[], ChatError]) -> None:
    """With the response they carry."""
    before = error()
    assert None is before.response
    before.response = Response(id="r")

    after = pickle.loads(pickle.dumps(before))

    assert (type(before), str(before), vars(before)) == (type(after), str(after), vars(after))


@pytest.mark.sweep(quick=1)
@pytest.mark.parametrize("kind", ["text", "arguments", "text without index", "ids without index"])
def test_o25_folding_is_linear(kind: str) -> None:
    """20,000 deltas, 4 MiB: none costs more than those before it."""
    piece = 210 * "x"
    values: Callable[[int], dict[str, Any]] = {
        "text": lambda n: text(piece, output_index=0, content_index=0, item_id=f"i{n}"),
        "arguments": lambda n: arguments(piece, output_index=0, item_id="i"),
        "text without index": lambda n: text(piece) if n % 2 else arguments(piece),
        "ids without index": lambda n: text(piece, item_id=f"i{n}"),
    }[kind]
    numbers = iter(range(20_000))
    stream = ResponseStream(loads=lambda data: values(next(numbers)))
    per_thousand = []
    for _ in range(20):
        with Calls() as calls:
            for _ in range(1000):
                stream.receive_event(event("{}"))
        per_thousand.append(calls.number)

    assert max(per_thousand) <= min(per_thousand) + 100
    response = stream.response
    written = response.output_text + "".join(call.arguments for call in response.function_calls)
    assert 20_000 * 210 == len(written)


# Laws.


@given(well_formed())
@examples(100)
def test_accumulated_is_the_response(stream: WellFormed) -> None:
    """All events but the last make the output that the last one has; with it, its response."""
    reader = read(*stream.events[:-1])
    assert stream.response["output"] == reader.response.output

    reader.receive_event(event(stream.events[-1]))
    assert stream.response == reader.response
    assert stream.events[-1]["sequence_number"] == reader.sequence_number


@pytest.mark.slow
@given(well_formed(), st.booleans())
@examples(100)
def test_deltas_alone(stream: WellFormed, added_too: bool) -> None:
    """Without any done event, and without any added one, the texts are all there."""
    left_out = ("done", "completed") if added_too else ("done", "completed", "added")
    kept = [
        value
        for value in stream.events
        if value["type"].rpartition(".")[2] not in left_out
        or value["type"] == "response.output_text.annotation.added"
    ]

    found = read(*kept).response

    whole = Response(stream.response)
    assert whole.output_text == found.output_text
    assert (whole.refusal or "", whole.reasoning_summary or "") == (
        found.refusal or "",
        found.reasoning_summary or "",
    )
    assert [call.arguments for call in whole.function_calls if call.arguments] == [
        call.arguments for call in found.function_calls if call.arguments
    ]


@given(well_formed(), st.data())
@examples(100)
def test_every_cut_is_truncation(stream: WellFormed, data: st.DataObject) -> None:
    """Of what was cut off there is the beginning, and it grows with every event."""
    whole = Response(stream.response)
    cut = data.draw(st.integers(0, len(stream.events) - 1))
    reader = read(*stream.events[:cut])

    with pytest.raises(StreamTruncated) as caught:
        reader.receive_eof()

    found = caught.value.response
    assert found is not None
    for item in found.output:
        index = next(n for n, whole in enumerate(stream.response["output"])
                     if whole["id"] == item["id"])  # fmt: skip
        of_whole = Response(output=[stream.response["output"][index]])
        of_found = Response(output=[item])
        assert of_whole.output_text.startswith(of_found.output_text)
        assert (of_whole.refusal or "").startswith(of_found.refusal or "")
        assert (of_whole.reasoning_summary or "").startswith(of_found.reasoning_summary or "")
        for call in of_found.function_calls:
            assert of_whole.function_calls[0].arguments.startswith(call.arguments)
    assert whole.id == found.id or cut == 0


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["error", "ping", "message", "output_text", "\ud83d", 10**400, "", "a", "b"]),
)
FIELDS = [
    *("id", "call_id", "type", "status", "content", "summary", "text", "refusal", "arguments"),
    *("input", "code", "action", "commands", "output", "annotations", "stdout", "stderr"),
    *("usage", "error", "index", "name"),
]
ANY = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=8,
)
ITEM_TYPES = st.sampled_from(["message", "reasoning", "function_call", "shell_call"])
ITEMS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(FIELDS, ANY) | {"type": ITEM_TYPES | ANY, "content": ANY}
)
KEYS = [
    *("sequence_number", "output_index", "item_id", "content_index", "summary_index"),
    *("command_index", "annotation_index", "annotation", "delta", "text", "refusal"),
    *("arguments", "input", "code", "command", "output", "name", "error", "object", "message"),
    *("partial_image_b64", "logprobs"),
]
VALUES = st.fixed_dictionaries(
    {"type": st.sampled_from([*EVENTS]) | ANY},
    optional=dict.fromkeys(KEYS, ANY)
    | {"item": ITEMS | ANY, "part": ITEMS | ANY}
    | {
        "response": ANY
        | st.fixed_dictionaries({}, optional={"output": st.lists(ITEMS | ANY), "usage": ANY})
    },
)
EVENT_NAMES = st.sampled_from(["message", "error", *EVENTS])


@pytest.mark.slow
@given(st.lists(st.tuples(VALUES | ANY, EVENT_NAMES), max_size=6))
@examples(150)
@example([({"type": []}, "message"), ({"object": {}}, "error")])
@example([({"type": "response.output_item.added", "item": {"action": 5}}, "message")])
def test_any_json(values: list[tuple[Any, str]]) -> None:
    """Whatever the JSON, nothing but a ChatError is raised, and the rest can be read and kept."""
    stream = ResponseStream()

    try:
        for value, name in values:
            found = stream.receive_event(ServerSentEvent(json.dumps(value), name))
            if found is not None:
                for attribute in dir(found):
                    getattr(found, attribute)
            for attribute in dir(Response):
                getattr(stream.response, attribute)
        stream.receive_eof()
    except ChatError as exc:
        raised = exc
    else:
        raised = ChatError()
        raised.response = stream.response

    response = stream.response
    assert repr(response) == repr(raised.response)
    assert repr(response) == repr(copy.deepcopy(response))
    response.output_text.encode()
    assert all(isinstance(call.arguments, str) for call in response.function_calls)


def test_as_deep_as_json_goes() -> None:
    """What the decoder could read is never too deep to fold."""
    for depth in range(100, 3000, 100):
        nested = "[" * depth + "]" * depth
        stream = ResponseStream()
        try:
            stream.receive_event(
                event(f'{{"type": "response.created", "response": {{"x": {nested}}}}}')
            )
        except MalformedChunk:
            break
        assert [] != stream.response["x"]


def test_completed_and_created_are_told_apart() -> None:
    assert isinstance(received(lifecycle("created")), ResponseCreatedEvent)
    assert isinstance(received(lifecycle("completed")), ResponseCompletedEvent)
