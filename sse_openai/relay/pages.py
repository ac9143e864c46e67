"""A relay's own pages: the HTML page with its security policy, and the OpenAPI document."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, Self

from .._openapi import EVENTS, JSON, NOT_EMPTY, TEXT, Schema, content, object_of, parameter
from .._refusal import Fields
from .guard import STREAM_ID

_INLINE: Final = rb"<%b(?:\s[^>]*)?>(.*?)</%b>"


@dataclass(frozen=True, slots=True)
class Page:
    """One self-contained HTML file, which may load no other."""

    body: bytes
    headers: Fields

    @classmethod
    def load(cls) -> Self:
        return cls.of(files("sse_openai.relay").joinpath("page.html").read_bytes())

    @classmethod
    def of(cls, body: bytes) -> Self:
        """Return a page whose policy allows its own scripts and styles, and nothing else."""
        policy = "; ".join(
            (
                "default-src 'none'",
                _sources(body, "script"),
                _sources(body, "style"),
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        )
        headers = (
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", policy.encode()),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cache-control", b"no-cache"),
        )
        return cls(body, headers)


def _sources(body: bytes, element: str) -> str:
    name = element.encode()
    found = re.findall(_INLINE % (name, name), body, re.DOTALL | re.IGNORECASE)
    hashes = [f"'sha256-{b64encode(sha256(text).digest()).decode()}'" for text in found]
    return " ".join((f"{element}-src", *(hashes or ["'none'"])))


def model_list(models: Iterable[str]) -> dict[str, Any]:
    """Return a list of models in the API's shape."""
    shared = {"object": "model", "created": 0, "owned_by": "relay"}
    return {"object": "list", "data": [{"id": model, **shared} for model in models]}


def _operation(
    summary: str, errors: str, done: Schema, *parameters: Schema, body: Schema | None = None
) -> Schema:
    head: Schema = {"summary": summary}
    if parameters:
        head["parameters"] = [*parameters]
    if body:
        head["requestBody"] = {"required": True, "content": content(JSON, **body)}
    refused = {status: {"$ref": "#/components/responses/Error"} for status in errors.split()}
    return {**head, "responses": {**done, **refused}}


def _read(summary: str, description: str, media_type: str) -> Schema:
    done = {"200": {"description": description, "content": content(media_type)}}
    operation = _operation(summary, "403 421", done)
    return {"get": operation, "head": operation}


def _relayed(name: str) -> Schema:
    stream = {
        "description": "The API's answer, unchanged: frames as they arrive, or JSON.",
        "headers": {
            "X-Stream-Id": {"description": "The ID to resume the stream with.", "schema": TEXT}
        },
        "content": content(EVENTS, **TEXT) | content(JSON, type="object"),
    }
    fields = object_of("model", model=NOT_EMPTY, stream={"type": "boolean"})
    keep = parameter(
        "X-Stream-Keep",
        "header",
        {"type": "number", "minimum": 0, "default": 0},
        description="Seconds for which the API is read on without a reader.",
    )
    statuses = "400 401 403 404 413 415 421 429 502 503 504"
    summary = f"Relay a request for {name}."
    return {"post": _operation(summary, statuses, {"200": stream}, keep, body=fields)}


_OR_NULL: Final = {"type": ["string", "null"]}
_ERROR: Final = object_of(
    "error",
    error=object_of(
        "message type param code", message=TEXT, type=TEXT, param=_OR_NULL, code=_OR_NULL
    ),
)

DESCRIPTION: Final[Schema] = {
    "openapi": "3.1.0",
    "info": {"title": "sse-openai relay", "version": "1"},
    "paths": {
        "/": _read("A page for trying it out.", "HTML.", "text/html"),
        "/openapi.json": _read("This description.", "JSON.", JSON),
        "/v1/models": {
            "get": _operation(
                "The models that may be requested.",
                "401 403 421 429 502 504",
                {"200": {"description": "A list.", "content": content(JSON)}},
            )
        },
        "/v1/chat/completions": _relayed("a chat completion"),
        "/v1/responses": _relayed("a response"),
        "/v1/streams/{id}": {
            "parameters": [
                parameter("id", "path", {**TEXT, "pattern": f"^{STREAM_ID}$"}, required=True)
            ],
            "get": _operation(
                "Resume a stream after the caller's last frame.",
                "400 401 403 404 410 421 429",
                {
                    "200": {
                        "description": "Frames, each with its number as its ID.",
                        "content": content(EVENTS, **TEXT),
                    },
                    "204": {"description": "The stream has ended, and the caller has all of it."},
                },
                parameter(
                    "Last-Event-ID",
                    "header",
                    {"type": "integer", "minimum": 0, "default": 0},
                    description="The number of frames that the caller has.",
                ),
            ),
            "delete": _operation(
                "Stop a stream.",
                "401 403 404 421",
                {"204": {"description": "It is being stopped."}},
            ),
        },
    },
    "components": {
        "responses": {
            "Error": {
                "description": "An error in the API's shape, from the relay or from the API.",
                "content": content(JSON, **_ERROR),
            }
        },
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
    "security": [{}, {"token": []}],
}
