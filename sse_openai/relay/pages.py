"""A relay's own pages: the HTML page with its security policy, and the OpenAPI document."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, Self

from .guard import Fields

_INLINE: Final = rb"<%b(?:\s[^>]*)?>(.*?)</%b>"


@dataclass(frozen=True, slots=True)
class Page:
    """One self-contained HTML file, which may load no other."""

    body: bytes
    headers: Fields

    @classmethod
    def load(cls) -> Self:
        """Read the page in this package."""
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
    entries = [
        {"id": model, "object": "model", "created": 0, "owned_by": "relay"} for model in models
    ]
    return {"object": "list", "data": entries}


def _answers(*statuses: str, **described: Any) -> dict[str, Any]:
    refused = {"$ref": "#/components/responses/Error"}
    answers = {status[1:]: answer for status, answer in described.items()}
    return answers | dict.fromkeys(statuses, refused)


def _relayed(name: str) -> dict[str, Any]:
    stream = {
        "description": "The API's answer, unchanged: frames as they arrive, or JSON.",
        "headers": {
            "X-Stream-Id": {
                "description": "The ID to resume the stream with.",
                "schema": {"type": "string"},
            }
        },
        "content": {
            "text/event-stream": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
    return {
        "summary": f"Relay a request for {name}.",
        "parameters": [
            {
                "name": "X-Stream-Keep",
                "in": "header",
                "description": "Seconds for which the API is read on without a reader.",
                "schema": {"type": "number", "minimum": 0, "default": 0},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["model"],
                        "properties": {
                            "model": {"type": "string", "minLength": 1},
                            "stream": {"type": "boolean"},
                        },
                    }
                }
            },
        },
        "responses": _answers(
            *("400", "401", "403", "404", "413", "415", "421", "429", "502", "503", "504"),
            _200=stream,
        ),
    }


def _read(summary: str, description: str, media_type: str) -> dict[str, Any]:
    answer = {"description": description, "content": {media_type: {}}}
    operation = {"summary": summary, "responses": _answers("403", "421", _200=answer)}
    return {"get": operation, "head": operation}


_STREAM_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}

DESCRIPTION: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "sse-openai relay", "version": "1"},
    "paths": {
        "/": _read("A page for trying it out.", "HTML.", "text/html"),
        "/openapi.json": _read("This description.", "JSON.", "application/json"),
        "/v1/models": {
            "get": {
                "summary": "The models that may be requested.",
                "responses": _answers(
                    *("401", "403", "421", "429", "502", "504"),
                    _200={"description": "A list.", "content": {"application/json": {}}},
                ),
            }
        },
        "/v1/chat/completions": {"post": _relayed("a chat completion")},
        "/v1/responses": {"post": _relayed("a response")},
        "/v1/streams/{id}": {
            "parameters": [_STREAM_ID],
            "get": {
                "summary": "Resume a stream after the caller's last frame.",
                "parameters": [
                    {
                        "name": "Last-Event-ID",
                        "in": "header",
                        "description": "The number of frames that the caller has.",
                        "schema": {"type": "integer", "minimum": 0, "default": 0},
                    }
                ],
                "responses": _answers(
                    *("400", "401", "403", "404", "410", "421", "429"),
                    _200={
                        "description": "Frames, each with its number as its ID.",
                        "content": {"text/event-stream": {"schema": {"type": "string"}}},
                    },
                    _204={"description": "The stream has ended, and the caller has all of it."},
                ),
            },
            "delete": {
                "summary": "Stop a stream.",
                "responses": _answers(
                    *("401", "403", "404", "421"), _204={"description": "It is being stopped."}
                ),
            },
        },
    },
    "components": {
        "responses": {
            "Error": {
                "description": "An error in the API's shape, from the relay or from the API.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["error"],
                            "properties": {
                                "error": {
                                    "type": "object",
                                    "required": ["message", "type", "param", "code"],
                                    "properties": {
                                        "message": {"type": "string"},
                                        "type": {"type": "string"},
                                        "param": {"type": ["string", "null"]},
                                        "code": {"type": ["string", "null"]},
                                    },
                                }
                            },
                        }
                    }
                },
            }
        },
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
    "security": [{}, {"token": []}],
}
