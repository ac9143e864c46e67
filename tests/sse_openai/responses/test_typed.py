"""TypedEventStream and CompletionStream without I/O."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_core import EventStreamParser, ServerSentEvent, encode
from sse_openai import (
    APIError,
    ChatError,
    CompletionStream,
    JSONObject,
    MalformedChunk,
    StreamTruncated,
    TypedEvent,
    TypedEventStream,
)
from tests.support.examples import examples
from tests.support.response_streams import event

CAPTURES = Path(__file__).parents[2] / "data" / "captures"

TRANSCRIPT = [
    {"type": "transcript.text.delta", "delta": "Hel"},
    {"type": "transcript.text.delta", "delta": "lo", "logprobs": []},
    {"type": "transcript.text.segment", "id": "s", "start": 0.0, "end": 0.5, "text": "Hello"},
    {"type": "transcript.text.done", "text": "Hello", "usage": {"total_tokens": 3}},
]
SPEECH = [
    {"type": "speech.audio.delta", "audio": "QQ=="},
    {"type": "speech.audio.done", "usage": {"total_tokens": 3}},
]
IMAGES = [
    {"type": "image_generation.partial_image", "b64_json": 100_000 * "QUFB"},
    {"type": "image_generation.completed", "b64_json": "Qg==", "usage": {"total_tokens": 3}},
    {"type": "image_generation.completed", "b64_json": "Qw==", "usage": {"total_tokens": 3}},
]
EDIT = [
    {"type": "image_edit.partial_image", "partial_image_index": 0, "b64_json": "QQ=="},
    {"type": "image_edit.completed", "b64_json": "Qg=="},
]
STREAMS = {"transcript": TRANSCRIPT, "speech": SPEECH, "images": IMAGES, "edit": EDIT}
each_stream = pytest.mark.parametrize("values", STREAMS.values(), ids=STREAMS)


@each_stream
@pytest.mark.parametrize("named", [False, True], ids=["data only", "named"])
@pytest.mark.parametrize("size", [7, 16_384], ids="reads of {}".format)
def test_streams(values: list[dict[str, Any]], named: bool, size: int) -> None:
    """Each event comes with its type and its object as sent, however the bytes were cut."""
    body = b"".join(
        encode(ServerSentEvent(json.dumps(value), value["type"] if named else "message"))
        for value in values
    )
    parser, stream = EventStreamParser(), TypedEventStream()

    found = [
        stream.receive_event(received)
        for start in range(0, len(body), size)
        for received in parser.receive_data(body[start : start + size])
    ]

    assert [TypedEvent(value["type"], JSONObject(value)) for value in values] == found
    assert stream.complete
    stream.receive_eof()


@each_stream
def test_every_cut_before_the_final_event_is_truncation(values: list[dict[str, Any]]) -> None:
    final = next(n for n, value in enumerate(values) if value["type"][-4:] in ("done", "eted"))
    for cut in range(final + 1):
        stream = TypedEventStream()
        for value in values[:cut]:
            stream.receive_event(event(value))

        assert not stream.complete
        with pytest.raises(StreamTruncated, match="before its final event"):
            stream.receive_eof()
        assert None is stream.receive_event(event(values[0]))
        stream.receive_eof()


def test_done_after_the_final_event() -> None:
    """[DONE] ends the reading."""
    stream = TypedEventStream()
    stream.receive_event(event(SPEECH[1]))

    assert not stream.done
    assert None is stream.receive_event(event("[DONE]"))
    assert None is stream.receive_event(event(SPEECH[0]))
    assert (True, True) == (stream.done, stream.complete)
    stream.receive_eof()


def test_done_before_the_final_event() -> None:
    """[DONE] completes nothing where the stream has a final event."""
    stream = TypedEventStream()
    stream.receive_event(event(SPEECH[0]))

    with pytest.raises(StreamTruncated):
        stream.receive_event(event(" [DONE]"))
    assert not stream.complete
    stream.receive_eof()


def test_streams_that_end_with_done() -> None:
    """Assistants: names instead of types, and [DONE] for the end."""
    stream = TypedEventStream(())

    assert TypedEvent("thread.created", JSONObject(id="t")) == stream.receive_event(
        event({"id": "t"}, "thread.created")
    )
    assert not stream.complete
    assert None is stream.receive_event(event("[DONE]", "done"))
    assert stream.complete
    stream.receive_eof()
    with pytest.raises(StreamTruncated):
        TypedEventStream(()).receive_eof()


def test_long_reasons_are_cut() -> None:
    def loads(data: str) -> Any:
        raise ValueError(300 * "x")

    with pytest.raises(MalformedChunk) as caught:
        TypedEventStream(loads=loads).receive_event(event("{}"))

    assert str(caught.value) == "data that is not a chunk: " + 200 * "x"


def test_final_types_of_the_caller() -> None:
    stream = TypedEventStream({"message_stop"}, loads=lambda data: {"type": data})

    assert TypedEvent("x", JSONObject(type="x")) == stream.receive_event(event(" x "))
    assert not stream.complete
    stream.receive_event(event("message_stop"))
    assert stream.complete


@pytest.mark.parametrize("data", ["", " ", "null", '{"type": "ping"}', '{"type": "keepalive"}'])
def test_ignored(data: str) -> None:
    assert None is TypedEventStream().receive_event(event(data))
    assert None is TypedEventStream().receive_event(event("{}", "ping"))


@pytest.mark.parametrize("data", ["{", "[]", "1", "true", '"x"', "[" * 100_000, "9" * 5000])
def test_malformed(data: str) -> None:
    stream = TypedEventStream()

    with pytest.raises(MalformedChunk) as caught:
        stream.receive_event(event(data))

    assert data == caught.value.event.data
    if data == "[]":
        assert str(caught.value).endswith(": expected an object, got list")
    assert None is caught.value.response
    assert None is stream.receive_event(event(SPEECH[0]))
    stream.receive_eof()


@pytest.mark.parametrize(
    ("value", "name", "message", "code"),
    [
        ({"error": {"message": "m", "code": 5}}, "message", "m", 5),
        ({"type": "error", "message": "m", "code": "c"}, "message", "m", "c"),
        ({"type": "speech.audio.done", "error": "m"}, "message", "m", None),
        ({"message": "m"}, "error", "m", None),
        ("plain words", "error", "plain words", None),
    ],
)
def test_errors(value: Any, name: str, message: str, code: Any) -> None:
    """As in chats."""
    stream = TypedEventStream()

    with pytest.raises(APIError) as caught:
        stream.receive_event(event(value, name))

    assert (message, code) == (caught.value.message, caught.value.code)
    assert not stream.complete
    assert None is stream.receive_event(event(SPEECH[1]))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "error", "choices", "text", "x"]), inner)
    ),
    max_leaves=8,
)


@given(st.lists(st.tuples(ANY, st.sampled_from(["message", "error", "ping"])), max_size=4))
@examples(100)
def test_any_json(values: list[tuple[Any, str]]) -> None:
    """Whatever the JSON, nothing but a ChatError is raised."""
    for stream in (TypedEventStream(), CompletionStream()):
        try:
            for value, name in values:
                stream.receive_event(ServerSentEvent(json.dumps(value), name))
            stream.receive_eof()
        except ChatError as exc:
            str(exc)


# The older /completions.


def test_completions_capture() -> None:
    """The answer of a real server, byte for byte."""
    index = json.loads((CAPTURES / "index.json").read_text())
    captures = [capture for capture in index if capture["api"] == "completions"]
    assert captures
    for capture in captures:
        stream = CompletionStream()
        texts = []
        for received in EventStreamParser().receive_data((CAPTURES / capture["file"]).read_bytes()):
            chunk = stream.receive_event(received)
            texts.append((chunk and chunk.content) or "")
        stream.receive_eof()

        expected, completion = capture["expect"], stream.completion
        assert expected["saw_done"] is stream.done
        assert expected["usage"] == completion.usage
        assert expected["choices"] == [
            {
                "index": choice.index,
                "text": choice.message.content,
                "finish_reason": choice.finish_reason,
            }
            for choice in completion.choices
        ]
        assert expected["choices"][0]["text"] == "".join(texts)


def test_completions() -> None:
    """Text is content; the rest of a choice and of a chunk stays."""
    logprobs = {"tokens": ["a"], "token_logprobs": [-0.5]}
    stream = CompletionStream()
    chunk = stream.receive_event(
        event(
            {
                "object": "text_completion",
                "choices": [
                    {"text": "a", "index": 1, "logprobs": logprobs, "finish_reason": None, "x": 1},
                    {"index": 0, "finish_reason": "stop"},
                    "no choice",
                ],
            }
        )
    )

    assert chunk is not None
    assert ("text_completion", "a", logprobs, {"x": 1}) == (
        chunk.object,
        chunk.content,
        chunk.choices[0].logprobs,
        chunk.choices[0].extra,
    )
    assert [(0, None), (1, "a")] == [
        (choice.index, choice.message.content) for choice in stream.completion.choices
    ]
    assert not stream.complete
    with pytest.raises(StreamTruncated) as caught:
        stream.receive_eof()
    assert stream.completion == caught.value.completion


def test_completions_errors() -> None:
    """As in chats, with what had come; the decoder may be another."""
    stream = CompletionStream(loads=lambda data: json.loads(data.replace("'", '"')))
    stream.receive_event(event("{'choices': [{'text': 'a'}]}"))

    with pytest.raises(APIError, match="m") as caught:
        stream.receive_event(event("{'error': {'message': 'm'}}"))

    assert caught.value.completion is not None
    assert "a" == caught.value.completion.choices[0].message.content
    with pytest.raises(MalformedChunk):
        CompletionStream().receive_event(event("[]"))
