"""Errors as endpoints report them: instead of an answer, and in the middle of a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http.client import responses as phrases
from typing import Any, Final

from .reply import dumps, event, utf8

_DEFAULTS: Final = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
"""The type and code that the API uses most often for a status."""


def error_object(fields: Mapping[str, Any], status: int = 500) -> dict[str, Any]:
    """Return the usual error of a status, overridden by the given fields."""
    default = ("server_error", None) if status >= 500 else ("invalid_request_error", None)
    type, code = _DEFAULTS.get(status, default)
    message = f"{phrases.get(status, 'Error')}, as scripted."
    return {"message": message, "type": type, "param": None, "code": code, **fields}


Shape = Callable[[dict[str, Any], dict[str, Any]], bytes]
"""Takes the error, and the chunk to put it in, without choices."""


def _choice(error: dict[str, Any], chunk: dict[str, Any]) -> bytes:
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    detail = {"code": error["code"], "message": error["message"]}
    return event({**chunk, "error": detail, "choices": [choice]})


def _empty(error: dict[str, Any], chunk: dict[str, Any]) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    return event({**chunk, "choices": [choice]})


SHAPES: Final[dict[str, Shape]] = {
    "openai": lambda error, _: event({"error": error}),
    "done": lambda error, _: event({"error": error}) + event("[DONE]"),
    "string": lambda error, _: event({"error": error["message"]}),
    "flat": lambda error, _: event({**error, "type": "error"}, "error"),
    "named": lambda error, _: event({"error": error}, "error"),
    "text": lambda error, _: event(error["message"], "error"),
    "object": lambda error, _: event({**error, "object": "error"}),
    "beside": lambda error, _: event({"error": error, "message": error["message"]}),
    # Parsers ignore this field, so only the truncation is visible.
    "field": lambda error, _: b"error: " + utf8(dumps(error)) + b"\n\n",
    "choice": _choice,
    "empty": _empty,
    "failed": lambda error, _: event({"error": error}),
}
"""The shapes of an error in a stream, by their names in scripts."""

CHAT_SHAPES: Final = ("choice", "empty")
"""Shapes that only chats can have."""


def error_events(
    shape: str, error: dict[str, Any], *, chunk: dict[str, Any] | None, sequence_number: int = 0
) -> bytes:
    """Return the end of a failing stream; ``chunk`` is None in a stream of the Responses API."""
    if chunk is None:
        if shape in ("openai", "failed", *CHAT_SHAPES):
            fields = {"type": "error", "sequence_number": sequence_number, "error": error}
            return event(fields, "error")
        if shape == "flat":
            error = {**error, "sequence_number": sequence_number}
    return SHAPES[shape](error, chunk or {})
