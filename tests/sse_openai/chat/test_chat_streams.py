"""The shared chat streams: each with the outcome stated for it, over a real socket."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from sse_core import EventStreamParser, ResponseError, TransportError
from sse_openai import APIError, ChatCompletion, ChatStream, MalformedChunk, StreamTruncated
from tests.support.scripted_server import Script, ScriptedServer
from tests.support.shells import Shell, on_every_shell

DATA = Path(__file__).parents[2] / "data"
CASES = json.loads((DATA / "chat_streams.json").read_text())
CAPTURES = json.loads((DATA / "captures" / "index.json").read_text())

# Outcomes that only a connection can have.
OF_THE_CONNECTION = ("transport_error", "not_event_stream")


def each(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


OUTCOMES: dict[type[BaseException] | None, str] = {
    None: "complete",
    APIError: "api_error",
    MalformedChunk: "malformed",
    StreamTruncated: "truncated",
    ResponseError: "not_event_stream",
    TransportError: "transport_error",
}


def pieces_of(case: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(piece) for piece in case["segments_b64"] if isinstance(piece, str)]


def script_of(case: dict[str, Any]) -> Script:
    pieces = pieces_of(case)
    fault = "" if len(pieces) == len(case["segments_b64"]) else case["segments_b64"][-1]["fault"]
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: {case['content_type']}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    ).encode()
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
    last = [] if fault else [b"0\r\n\r\n"]
    return Script([head, *chunks, *last], "reset" if fault == "rst" else "close")


def outcome_of(
    completion: ChatCompletion, done: bool, error: BaseException | None, expected: dict[str, Any]
) -> dict[str, Any]:
    """Return what happened in the form of the vectors' ``expect``."""
    found: dict[str, Any] = {
        "outcome": OUTCOMES[type(error) if error else None],
        "choices": [
            choice_of(choice, wanted)
            for choice, wanted in zip(
                completion.choices, [*expected["choices"], *[{}] * 200], strict=False
            )
        ],
        "usage": completion.usage,
        "error": None,
        "saw_done": done,
    }
    if isinstance(error, APIError):
        found["error"] = {"message": error.message, "code": error.code, "type": error.type}
    if "meta" in expected:
        found["meta"] = {key: getattr(completion, key) for key in expected["meta"]}
    return found


def choice_of(choice: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    message = choice.message
    found: dict[str, Any] = {
        "index": choice.index,
        "role": message.role,
        "content": message.content,
        "reasoning": message.reasoning,
        "refusal": message.refusal,
        "tool_calls": [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in message.tool_calls
        ],
        "finish_reason": choice.finish_reason,
    }
    if "logprobs" in wanted:
        found["logprobs"] = choice.logprobs
    if "audio" in wanted:
        found["audio"] = message.audio
    if "function_call" in wanted:
        call = message.function_call
        found["function_call"] = {"name": call.name, "arguments": call.arguments}
    return found


def accepted(expected: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in expected.items() if key != "preserved"}


@pytest.mark.sweep(quick=60)
@each(CASES)
@on_every_shell
def test_outcome_over_a_socket(case: dict[str, Any], shell: Shell) -> None:
    """Every shell reads the stream to the stated outcome, with everything that had come."""
    with ScriptedServer(script_of(case)) as server:
        opened = shell.stream_chat(
            model="m", messages=[], base_url=server.url, api_key="k", max_retries=0, timeout=10
        )
        _, chunks, error = shell.collect(opened)

    found = outcome_of(opened.completion, opened.done, error, case["expect"])
    wanted = [accepted(expect) for expect in (case["expect"], *case.get("also_accepted", []))]
    assert found in wanted
    for item in case["expect"].get("preserved", []):
        assert item["value"] == preserved(chunks[item["event"]], item["path"])


def preserved(value: Any, path: list[Any]) -> Any:
    """Follow a path of keys, which are attributes or, where unknown, in ``extra``."""
    for key in path:
        if isinstance(key, int):
            value = value[key]
        elif hasattr(value, key):
            value = getattr(value, key)
        else:
            value = value.extra[key]
    return value


@pytest.mark.sweep(quick=100)
@each([case for case in CASES if case["expect"]["outcome"] not in OF_THE_CONNECTION])
@pytest.mark.parametrize("size", [1, 7, 1_000_000], ids="reads of {}".format)
def test_outcome_does_not_depend_on_the_cut(case: dict[str, Any], size: int) -> None:
    """Parser and ChatStream alone give the same, however the bytes were cut."""
    body = b"".join(pieces_of(case))
    parser, chat = EventStreamParser(), ChatStream()
    error: BaseException | None = None

    try:
        for start in range(0, len(body), size):
            for event in parser.receive_data(body[start : start + size]):
                chat.receive_event(event)
        chat.receive_eof()
    except (APIError, MalformedChunk, StreamTruncated) as exc:
        error = exc

    found = outcome_of(chat.completion, chat.done, error, case["expect"])
    assert getattr(error, "completion", chat.completion) == chat.completion
    assert found in [accepted(e) for e in (case["expect"], *case.get("also_accepted", []))]


@on_every_shell
@pytest.mark.parametrize(
    "capture",
    [capture for capture in CAPTURES if capture["api"] == "chat"],
    ids=lambda capture: capture["name"],
)
def test_captured_answer(capture: dict[str, Any], shell: Shell) -> None:
    """Answers of real servers, byte for byte."""
    body = (DATA / "captures" / capture["file"]).read_bytes()
    fields = {"Content-Type": capture["content_type"], **capture["headers"]}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    script = Script(
        [
            f"HTTP/1.1 {capture['status']} X\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode(),
            body,
        ]
    )

    with ScriptedServer(script) as server:
        opened = shell.stream_chat(
            model="m", messages=[], base_url=server.url, max_retries=0, timeout=10
        )
        _, _, error = shell.collect(opened)

    expected = capture["expect"]
    if expected["outcome"] == "http_error":
        assert isinstance(error, APIError)
        assert error.status == capture["status"]
        found: dict[str, Any] = {"outcome": "http_error"} | {
            "error": {"message": error.message, "code": error.code, "type": error.type}
        }
        assert error.request_id == capture["headers"].get("x-request-id")
    else:
        found = outcome_of(opened.completion, opened.done, error, expected)
    assert accepted(expected) == found
