"""Pieces of the OpenAPI 3.1 documents by which the mock and the relay describe themselves."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
TEXT: Final[Schema] = {"type": "string"}
NOT_EMPTY: Final[Schema] = {"type": "string", "minLength": 1}


def object_of(required: str = "", **properties: Schema) -> Schema:
    return {"type": "object", "required": required.split(), "properties": properties}


def content(*media_types: str, **schema: Any) -> Schema:
    """Return a body of these media types, all with the same schema, or with none."""
    return {media_type: {"schema": schema} if schema else {} for media_type in media_types}


def parameter(name: str, place: str, schema: Schema, **more: Any) -> Schema:
    return {"name": name, "in": place, **more, "schema": schema}
