"""ResponseStream next to the official client's accumulator, over well-formed streams."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent as OfficialEvent

from sse_core import EventStreamParser
from sse_openai import APIError, ResponseItemStatusEvent, ResponseStream, StreamTruncated
from sse_openai._responses.events import EVENTS
from tests.support.examples import examples
from tests.support.official_client import Official, without_parsed
from tests.support.response_streams import JSON, WellFormed, event, well_formed


@pytest.fixture(scope="module")
def official() -> Iterator[Official]:
    opened = Official()
    with opened.client:
        yield opened


def read(body: bytes) -> ResponseStream:
    stream = ResponseStream()
    for received in EventStreamParser().receive_data(body):
        stream.receive_event(received)
    stream.receive_eof()
    return stream


@given(well_formed(), st.booleans())
@examples(60)
def test_same_response(official: Official, stream: WellFormed, without_output: bool) -> None:
    """Field by field, also where the last event has no output and the items stand in."""
    if without_output:
        stream.response["output"] = None

    events, response = official.answers(stream.body).response()
    ours = ResponseStream()
    received = [ours.receive_event(event(value)) for value in stream.events]

    # Where nothing came at all, null stays null here, and is a list there.
    assert response == ours.response | {"output": ours.response.output}
    for theirs, mine in zip(events, received, strict=True):
        assert mine is not None
        assert (theirs.type, theirs.sequence_number) == (mine.type, mine.sequence_number)


@given(well_formed(ends=("incomplete", "failed")))
@examples(60)
def test_same_other_ends(official: Official, stream: WellFormed) -> None:
    """Failed and incomplete responses, by the official client's last event."""
    events = official.answers(stream.body).response_events()
    ours = ResponseStream()
    received = [ours.receive_event(event(value)) for value in stream.events]

    assert without_parsed(events[-1].response.to_dict()) == ours.response
    assert (True, False) == (ours.done, ours.complete)
    assert [each.type for each in events] == [each.type for each in received if each]


@given(well_formed())
@examples(60)
def test_same_events(official: Official, stream: WellFormed) -> None:
    """Event by event, every field, under the same names."""
    events, _ = official.answers(stream.body).response()
    ours = ResponseStream()

    for value, theirs in zip(stream.events, events, strict=True):
        mine = ours.receive_event(event(value))
        assert mine is not None
        assert theirs.type == mine.type
        for name in value:
            found = getattr(theirs, name)
            if name in ("item", "part", "response", "logprobs", "annotation"):
                found = without_parsed(json.loads(json.dumps(found, default=as_dict)))
            assert found == getattr(mine, name)


def as_dict(model: Any) -> Any:
    return model.to_dict()


@given(well_formed())
@examples(60)
def test_same_snapshots(official: Official, stream: WellFormed) -> None:
    """After each delta of text or arguments, what has come of it so far."""
    events, _ = official.answers(stream.body).response()
    ours = ResponseStream()

    for value, theirs in zip(stream.events, events, strict=True):
        ours.receive_event(event(value))
        if hasattr(theirs, "snapshot"):
            item = next(item for item in ours.response.output if item.id == value["item_id"])
            mine = item.arguments
            if "content_index" in value:
                mine = item.content[value["content_index"]].text
            assert theirs.snapshot == mine


def test_same_names() -> None:
    """Each type has the class that the client gives it, but for those of status alone."""
    names = {
        get_args(variant.model_fields["type"].annotation)[0]: variant.__name__
        for variant in get_args(get_args(OfficialEvent)[0])
    }

    both = names.keys() & EVENTS.keys()
    assert len(both) > 45
    for type in both:
        if EVENTS[type] is not ResponseItemStatusEvent:
            assert names[type] == EVENTS[type].__name__


# The deliberate differences, as docs/design.md lists them.

CREATED: JSON = {
    "type": "response.created",
    "sequence_number": 0,
    "response": {"id": "r", "object": "response", "status": "in_progress", "output": []},
}
ITEM: JSON = {"id": "a", "type": "message", "role": "assistant", "content": []}
ADDED: JSON = {
    "type": "response.output_item.added",
    "sequence_number": 1,
    "output_index": 0,
    "item": ITEM,
}
PART: JSON = {
    "type": "response.content_part.added",
    "sequence_number": 2,
    "item_id": "a",
    "output_index": 0,
    "content_index": 0,
    "part": {"type": "output_text", "text": "", "annotations": []},
}
DELTA: JSON = {
    "type": "response.output_text.delta",
    "sequence_number": 3,
    "item_id": "a",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hi",
    "logprobs": [],
}
ITEM_DONE: JSON = ADDED | {
    "type": "response.output_item.done",
    "item": ITEM | {"content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
}


def final(kind: str = "completed", **response: Any) -> JSON:
    value = CREATED["response"] | {"status": kind, "output": [ITEM_DONE["item"]]} | response
    return {"type": f"response.{kind}", "sequence_number": 9, "response": value}


def body_of(*values: JSON) -> bytes:
    return WellFormed(list(values), {}).body


WHOLE = [CREATED, ADDED, PART, DELTA, ITEM_DONE]


@pytest.mark.parametrize(
    "values",
    [
        [ADDED, PART, DELTA, ITEM_DONE, final()],
        [CREATED, PART, DELTA, ITEM_DONE, final()],
        [CREATED, ADDED, DELTA, final()],
        [*WHOLE, final(id="s")],
    ],
    ids=["without created", "without item added", "without part added", "another id"],
)
def test_differs_in_what_it_accepts(official: Official, values: list[JSON]) -> None:
    """Missing beginnings are made up for, and the id of a response may change."""
    with pytest.raises((RuntimeError, IndexError)):
        official.answers(body_of(*values)).response()

    assert "Hi" == read(body_of(*values)).response.output_text


@pytest.mark.parametrize("kind", ["failed", "incomplete"])
def test_differs_in_other_ends(official: Official, kind: str) -> None:
    """Failed and incomplete responses are values, with what they have; there they are none."""
    body = body_of(*WHOLE, final(kind))
    with pytest.raises(RuntimeError, match=r"response\.completed"):
        official.answers(body).response()

    stream = read(body)
    assert (kind, "Hi", False) == (
        stream.response.status,
        stream.response.output_text,
        stream.complete,
    )


def test_differs_in_truncation(official: Official) -> None:
    """The iteration there just ends; here it raises, with what had come."""
    body = body_of(*WHOLE)
    assert len(WHOLE) == len(official.answers(body).response_events())

    with pytest.raises(StreamTruncated) as caught:
        read(body)
    assert caught.value.response is not None
    assert "Hi" == caught.value.response.output_text


def test_differs_in_flat_errors(official: Official) -> None:
    """The error as the reference has it is an ordinary event there, and raised here."""
    body = body_of(*WHOLE, {"type": "error", "message": "m", "code": "c", "param": None})
    assert "error" == official.answers(body).response_events()[-1].type

    with pytest.raises(APIError, match="m") as caught:
        read(body)
    assert "c" == caught.value.code


def test_differs_in_empty_output(official: Official) -> None:
    """Where the last event has an empty output, the text is lost there."""
    body = body_of(*WHOLE, final(output=[]))

    _, response = official.answers(body).response()
    assert [] == response["output"]
    assert "Hi" == read(body).response.output_text


def test_differs_after_the_end(official: Official) -> None:
    """Nothing after the final event is looked at here."""
    body = body_of(*WHOLE, final(), {"type": "error", "error": {"message": "late"}})
    with pytest.raises(openai.APIError, match="late"):
        official.answers(body).response()

    assert read(body).complete


def test_differs_in_surrogates(official: Official) -> None:
    """Two halves of a character that come in two deltas are one character here."""
    halves = [DELTA | {"delta": half} for half in ("\ud83d", "\ude00")]
    body = body_of(CREATED, ADDED, PART, *halves, ITEM_DONE, final())
    events, _ = official.answers(body).response()
    assert "\ud83d\ude00" == events[4].snapshot

    stream = ResponseStream()
    for value in (CREATED, ADDED, PART, *halves):
        stream.receive_event(event(json.dumps(value)))
    assert "😀" == stream.response.output_text
