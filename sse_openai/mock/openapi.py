"""The mock's requests and responses, as an OpenAPI 3.1 document.

A body that its schema forbids gets 400. A body that it allows may get 400 as well: the
descriptions give the rules that concern several fields.
"""

from __future__ import annotations

from typing import Final

from sse_core import __version__

from .._openapi import EVENTS, JSON, NOT_EMPTY, TEXT, Schema, content, object_of, parameter
from .request import CHOICES, FUNCTION_NAME, MAX_CHOICES, MAX_LOGPROBS, MAX_STOP, ROLES


def description() -> Schema:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mock of the OpenAI API",
            "version": __version__,
            "description": "A field of a request that is null is treated as missing.",
        },
        "servers": [{"url": "/v1"}, {"url": "/"}],
        "security": [{"key": []}],
        "paths": {
            "/chat/completions": {
                "post": _operation(
                    "ChatCompletion",
                    "stream_options needs stream; top_logprobs needs logprobs; tool_choice needs "
                    "tools, and names one of them; max_tokens and max_completion_tokens exclude "
                    "each other.",
                    body="ChatCompletionRequest",
                    streamed=True,
                )
            },
            "/responses": {
                "post": _operation(
                    "Response",
                    "stream_options needs stream; tool_choice needs tools, and names one of them; "
                    "background excludes store: false.",
                    body="ResponsesRequest",
                    streamed=True,
                )
            },
            "/responses/{response_id}": {
                "get": _operation(
                    "Response",
                    "Only a response created with background and stream can be streamed again.",
                    _ID,
                    parameter("stream", "query", {"enum": ["true", "false"]}),
                    parameter("starting_after", "query", {"type": "integer", "minimum": 0}),
                    streamed=True,
                )
            },
            "/responses/{response_id}/cancel": {
                "post": _operation(
                    "Response", "Only a response created with background can be cancelled.", _ID
                )
            },
            "/models": {"get": _operation("ModelList", "The recordings, and one more model.")},
            "/openapi.json": {
                "get": {
                    "description": "This document.",
                    "security": [],
                    "responses": {"200": _json("The document.", {"type": "object"})},
                }
            },
        },
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    result: str, text: str, *parameters: Schema, body: str | None = None, streamed: bool = False
) -> Schema:
    done = _json("The answer.", _ref(result))
    if streamed:
        done["description"] = "The answer; as events if stream is true."
        done["content"] |= content(EVENTS, **TEXT)
    errors = {"401": "No key, or a wrong one."}
    more: Schema = {}
    if parameters:
        more["parameters"] = [*parameters]
        errors |= {"400": "The request is invalid.", "404": "No such response."}
    if body:
        more["requestBody"] = {"required": True, "content": content(JSON, **_ref(body))}
        errors |= {"400": "The request is invalid.", "413": "The body is too long."}
    refused = {status: _json(why, _ref("Error")) for status, why in sorted(errors.items())}
    responses = {"200": done, **refused, "default": {"description": "As scripted."}}
    return {"description": text, "responses": responses, **more}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": content(JSON, **schema)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def _any_of(*schemas: Schema) -> Schema:
    return {"anyOf": [*schemas]}


def _or_null(schema: Schema) -> Schema:
    return _any_of(schema, _NULL)


def _integer(low: int, **limits: int) -> Schema:
    return _or_null({"type": "integer", "minimum": low, **limits})


def _head(kind: str, created: str) -> dict[str, Schema]:
    return {"id": TEXT, "object": {"const": kind}, created: _INTEGER, "model": TEXT}


_NULL: Final[Schema] = {"type": "null"}
_ID: Final = parameter("response_id", "path", TEXT, required=True)
_INTEGER: Final[Schema] = {"type": "integer"}
_BOOL: Final = _or_null({"type": "boolean"})
_ANY: Final = _or_null({"type": "object"})

_FUNCTION: Final[Schema] = {"name": {**TEXT, "pattern": f"^{FUNCTION_NAME}$"}, "parameters": _ANY}
_TOOL_TYPE: Final[Schema] = {"const": "function"}
_CHOICE: Final[Schema] = {"enum": [*CHOICES, None]}
_ROLE: Final[Schema] = {"enum": [*ROLES]}
_CONTENT: Final = _any_of(TEXT, _NULL, _list(object_of(text=_or_null(TEXT))))
_COMMON: Final = {
    "stream": _BOOL,
    "stream_options": _or_null(object_of(include_usage=_BOOL, include_obfuscation=_BOOL)),
    "parallel_tool_calls": _BOOL,
}
_ITEM: Final = _any_of(
    object_of("role", type={"enum": ["message", None]}, role=_ROLE, content=_CONTENT),
    object_of("type", type={**TEXT, "not": {"const": "message"}}),
)
_STATUSES: Final = ["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]

_SCHEMAS: Final[dict[str, Schema]] = {
    "ChatCompletionRequest": object_of(
        "model messages",
        model=NOT_EMPTY,
        messages=_list(object_of("role", role=_ROLE, content=_CONTENT), minItems=1),
        n=_integer(1, maximum=MAX_CHOICES),
        stop=_any_of(NOT_EMPTY, _NULL, _list(NOT_EMPTY, maxItems=MAX_STOP)),
        max_tokens=_integer(1),
        max_completion_tokens=_integer(1),
        logprobs=_BOOL,
        top_logprobs=_integer(0, maximum=MAX_LOGPROBS),
        tools=_or_null(
            _list(
                object_of("type function", type=_TOOL_TYPE, function=object_of("name", **_FUNCTION))
            )
        ),
        tool_choice=_any_of(_CHOICE, object_of("function", function=object_of("name", name=TEXT))),
        **_COMMON,
    ),
    "ResponsesRequest": object_of(
        "model input",
        model=NOT_EMPTY,
        input=_any_of(TEXT, _list(_ITEM, minItems=1)),
        instructions=_or_null(TEXT),
        background=_BOOL,
        store=_BOOL,
        max_output_tokens=_integer(1),
        metadata=_ANY,
        previous_response_id=_or_null(TEXT),
        tools=_or_null(_list(object_of("type name", type=_TOOL_TYPE, **_FUNCTION))),
        tool_choice=_any_of(_CHOICE, object_of("name", name=TEXT)),
        **_COMMON,
    ),
    "ChatCompletion": object_of(
        "id object created model choices usage",
        **_head("chat.completion", "created"),
        choices=_list(
            object_of(
                "index message finish_reason",
                index=_INTEGER,
                message=object_of("role content refusal", role={"const": "assistant"}),
                finish_reason=TEXT,
            ),
            minItems=1,
        ),
        usage=object_of("prompt_tokens completion_tokens total_tokens"),
    ),
    "Response": object_of(
        "id object created_at model status output error incomplete_details usage",
        **_head("response", "created_at"),
        status={"enum": _STATUSES},
        output=_list(object_of("id type", id=TEXT, type=TEXT)),
    ),
    "ModelList": object_of(
        "object data",
        object={"const": "list"},
        data=_list(object_of("id object created owned_by", id=TEXT, object={"const": "model"})),
    ),
    "Error": object_of(
        "error",
        error=object_of(
            "message type param code",
            message=TEXT,
            type=_or_null(TEXT),
            param=_or_null(TEXT),
            code=_any_of(TEXT, _INTEGER, _NULL),
        ),
    ),
}
