"""The mock's requests and responses, as an OpenAPI 3.1 document.

A body that its schema forbids gets 400. A body that it allows may get 400 as well: the
descriptions give the rules that concern several fields.
"""

from __future__ import annotations

from typing import Any, Final

from sse_core import __version__

from .request import MAX_CHOICES, ROLES

Schema = dict[str, Any]


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
                    streamed=True,
                    parameters=[
                        _ID,
                        _query("stream", {"enum": ["true", "false"]}),
                        _query("starting_after", {"type": "integer", "minimum": 0}),
                    ],
                )
            },
            "/responses/{response_id}/cancel": {
                "post": _operation(
                    "Response",
                    "Only a response created with background can be cancelled.",
                    parameters=[_ID],
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
    result: str,
    text: str,
    *,
    body: str | None = None,
    streamed: bool = False,
    parameters: list[Schema] | None = None,
) -> Schema:
    done = _json("The answer.", _ref(result))
    if streamed:
        done["description"] = "The answer; as events if stream is true."
        done["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    errors = {"401": "No key, or a wrong one."}
    if body or parameters:
        errors["400"] = "The request is invalid."
    if body:
        errors["413"] = "The body is too long."
    if parameters:
        errors["404"] = "No such response."
    operation: Schema = {
        "description": text,
        "responses": {
            "200": done,
            **{status: _json(why, _ref("Error")) for status, why in sorted(errors.items())},
            "default": {"description": "As scripted."},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        content = {"application/json": {"schema": _ref(body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def _object(required: str = "", **properties: Schema) -> Schema:
    return {"type": "object", "required": required.split(), "properties": properties}


def _list(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _integer(low: int, high: int | None = None) -> Schema:
    limits = {"minimum": low} if high is None else {"minimum": low, "maximum": high}
    return _or_null({"type": "integer", **limits})


_ID: Final[Schema] = {
    "name": "response_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
}
_TEXT: Final[Schema] = {"type": "string"}
_NOT_EMPTY: Final[Schema] = {"type": "string", "minLength": 1}
_BOOL: Final = _or_null({"type": "boolean"})
_ANY: Final = _or_null({"type": "object"})

_FUNCTION: Final = {
    "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
    "parameters": _ANY,
}
_TOOL_TYPE: Final[Schema] = {"const": "function"}
_CHOICE: Final[Schema] = {"enum": ["none", "auto", "required", None]}
_CONTENT: Final[Schema] = {"anyOf": [_TEXT, {"type": "null"}, _list(_object(text=_or_null(_TEXT)))]}
_STREAM: Final = {
    "stream": _BOOL,
    "stream_options": _or_null(_object(include_usage=_BOOL, include_obfuscation=_BOOL)),
    "parallel_tool_calls": _BOOL,
}

_SCHEMAS: Final[dict[str, Schema]] = {
    "ChatCompletionRequest": _object(
        "model messages",
        model=_NOT_EMPTY,
        messages=_list(_object("role", role={"enum": [*ROLES]}, content=_CONTENT), minItems=1),
        n=_integer(1, MAX_CHOICES),
        stop={"anyOf": [_NOT_EMPTY, {"type": "null"}, _list(_NOT_EMPTY, maxItems=4)]},
        max_tokens=_integer(1),
        max_completion_tokens=_integer(1),
        logprobs=_BOOL,
        top_logprobs=_integer(0, 20),
        tools=_or_null(
            _list(_object("type function", type=_TOOL_TYPE, function=_object("name", **_FUNCTION)))
        ),
        tool_choice={"anyOf": [_CHOICE, _object("function", function=_object("name", name=_TEXT))]},
        **_STREAM,
    ),
    "ResponsesRequest": _object(
        "model input",
        model=_NOT_EMPTY,
        input={
            "anyOf": [
                _TEXT,
                _list(
                    {
                        "anyOf": [
                            _object(
                                "role",
                                type={"enum": ["message", None]},
                                role={"enum": [*ROLES]},
                                content=_CONTENT,
                            ),
                            _object("type", type={"type": "string", "not": {"const": "message"}}),
                        ]
                    },
                    minItems=1,
                ),
            ]
        },
        instructions=_or_null(_TEXT),
        background=_BOOL,
        store=_BOOL,
        max_output_tokens=_integer(1),
        metadata=_ANY,
        previous_response_id=_or_null(_TEXT),
        tools=_or_null(_list(_object("type name", type=_TOOL_TYPE, **_FUNCTION))),
        tool_choice={"anyOf": [_CHOICE, _object("name", name=_TEXT)]},
        **_STREAM,
    ),
    "ChatCompletion": _object(
        "id object created model choices usage",
        id=_TEXT,
        object={"const": "chat.completion"},
        created={"type": "integer"},
        model=_TEXT,
        choices=_list(
            _object(
                "index message finish_reason",
                index={"type": "integer"},
                message=_object("role content refusal", role={"const": "assistant"}),
                finish_reason=_TEXT,
            ),
            minItems=1,
        ),
        usage=_object("prompt_tokens completion_tokens total_tokens"),
    ),
    "Response": _object(
        "id object created_at model status output error incomplete_details usage",
        id=_TEXT,
        object={"const": "response"},
        created_at={"type": "integer"},
        model=_TEXT,
        status={
            "enum": [
                *("queued", "in_progress"),
                *("completed", "failed", "incomplete", "cancelled"),
            ]
        },
        output=_list(_object("id type", id=_TEXT, type=_TEXT)),
    ),
    "ModelList": _object(
        "object data",
        object={"const": "list"},
        data=_list(_object("id object created owned_by", id=_TEXT, object={"const": "model"})),
    ),
    "Error": _object(
        "error",
        error=_object(
            "message type param code",
            message=_TEXT,
            type=_or_null(_TEXT),
            param=_or_null(_TEXT),
            code={"anyOf": [_TEXT, {"type": "integer"}, {"type": "null"}]},
        ),
    ),
}
