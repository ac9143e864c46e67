"""The shared Responses streams and captures: each with the outcome stated for it."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest

from sse_core import EventStreamParser, Headers, Response, ResponseError
from sse_openai import APIError, ChatError, MalformedChunk, ResponseStream, StreamTruncated
from sse_openai._errors import api_error

DATA = Path(__file__).parents[2] / "data"
CASES = json.loads((DATA / "responses_streams.json").read_text())
CAPTURES = [
    capture
    for capture in json.loads((DATA / "captures" / "index.json").read_text())
    if capture["api"] == "responses"
]

each_case = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])

OUTCOMES: dict[type[BaseException], str] = {
    APIError: "api_error",
    MalformedChunk: "malformed",
    StreamTruncated: "truncated",
}


def read(chunks: list[bytes]) -> tuple[ResponseStream, ChatError | None]:
    """Read a body to its end, or to the error that it brings."""
    parser, stream = EventStreamParser(), ResponseStream()
    try:
        for chunk in chunks:
            for event in parser.receive_data(chunk):
                stream.receive_event(event)
        stream.receive_eof()
    except ChatError as exc:
        return stream, exc
    return stream, None


def outcome_of(stream: ResponseStream, error: ChatError | None) -> dict[str, Any]:
    """Return what happened in the form of the vectors' ``expect``."""
    response = stream.response
    if error is not None:
        assert response == error.response
        outcome = OUTCOMES[type(error)]
    else:
        assert stream.done
        assert stream.complete is (response.status == "completed")
        outcome = "complete" if stream.complete else str(response.status)
    found: dict[str, Any] = {
        "outcome": outcome,
        "status": response.status,
        "text": response.output_text,
        "function_calls": [
            {"call_id": call.call_id, "name": call.name, "arguments": call.arguments}
            for call in response.function_calls
        ],
        "reasoning_summary": response.reasoning_summary,
        "refusal": response.refusal,
        "usage": response.usage,
        "error": None,
        "incomplete_reason": response.incomplete_details and response.incomplete_details.reason,
    }
    source = error if isinstance(error, APIError) else response.error
    if source is not None:
        found["error"] = {"message": source.message, "code": source.code, "type": source.type}
    return found


def body_of(case: dict[str, Any]) -> bytes:
    return b"".join(base64.b64decode(piece) for piece in case["segments_b64"])


@pytest.mark.sweep(quick=40)
@each_case
@pytest.mark.parametrize("size", [1, 7, 1_000_000], ids="reads of {}".format)
def test_outcome(case: dict[str, Any], size: int) -> None:
    """It is the stated one, however the bytes were cut."""
    body = body_of(case)

    found = outcome_of(*read([body[at : at + size] for at in range(0, len(body), size)]))

    assert case["expect"] == found


@pytest.mark.sweep(quick=10)
@each_case
def test_outcome_of_random_cuts(case: dict[str, Any]) -> None:
    """Also of cuts anywhere."""
    body = body_of(case)
    chance = random.Random(case["name"])
    for _ in range(20):
        cuts = sorted(chance.choices(range(len(body) + 1), k=chance.randrange(12)))
        borders = zip([0, *cuts], [*cuts, len(body)], strict=True)

        found = outcome_of(*read([body[start:end] for start, end in borders]))

        assert case["expect"] == found


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture["name"])
def test_captured_answer(capture: dict[str, Any]) -> None:
    """Answers of real servers, byte for byte."""
    body = (DATA / "captures" / capture["file"]).read_bytes()
    expected = capture["expect"]

    if expected["outcome"] == "http_error":
        head = Response(
            capture["status"], Headers([(b"content-type", capture["content_type"].encode())])
        )
        error = api_error(ResponseError(head, body))

        assert isinstance(error, APIError)
        assert capture["status"] == error.status
        assert expected["error"] == {
            "message": error.message,
            "code": error.code,
            "type": error.type,
        }
        assert None is error.response
    else:
        assert expected == outcome_of(*read([body]))
