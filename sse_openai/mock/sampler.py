"""A JSON Schema -> a plausible value, as the arguments of a tool call."""

from __future__ import annotations

import math
from typing import Any, Final, TypeVar

T = TypeVar("T")

MAX_DEPTH: Final = 16
"""Maximum depth of a value: a schema can require itself."""
MAX_VALUES: Final = 256
"""Maximum number of values made up for one schema."""
MAX_SAMPLE: Final = 64
"""Maximum number of characters or items that a schema's minimum can demand."""


class Sampler:
    """Makes up a value for a JSON Schema; unknown keywords are ignored."""

    def __init__(self, schema: dict[str, Any] | None) -> None:
        self._root = schema
        self._left = MAX_VALUES

    def arguments(self) -> dict[str, Any]:
        """Return a function's arguments: an object, whatever the schema says."""
        value = self._value(self._root, 0)
        return value if isinstance(value, dict) else {}

    def _value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        # A schema can require itself, even in several places.
        if type(schema) is not dict or depth > MAX_DEPTH or self._left < 0:
            return None
        if "$ref" in schema:
            return self._value(self._resolve(str(schema["$ref"])), depth + 1)
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        for name in ("enum", "examples"):
            for value in _part(schema, name, list):
                return value
        for name in ("anyOf", "oneOf", "allOf"):
            for branch in _part(schema, name, list):
                return self._value(branch, depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        guess = "object" if "properties" in schema else "string"
        kinds = _part(schema, "type", list) or [schema.get("type", guess)]
        match kinds[0]:
            case "object":
                properties = _part(schema, "properties", dict)
                names = map(str, _part(schema, "required", list))
                return {name: self._value(properties.get(name, {}), depth + 1) for name in names}
            case "array":
                count = min(max(_part(schema, "minItems", int), 1), MAX_SAMPLE)
                return [self._value(schema.get("items", {}), depth + 1) for _ in range(count)]
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return _string(schema)

    def _resolve(self, reference: str) -> Any:
        """Follow a reference within the schema (RFC 6901); None if it leads nowhere."""
        node: Any = self._root if reference.startswith("#") else None
        for name in reference.split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if type(node) is dict else None
        return node


def _part(schema: dict[str, Any], name: str, kind: type[T]) -> T:
    value = schema.get(name)
    return value if type(value) is kind else kind()


def _number(schema: dict[str, Any]) -> int:
    value = 1
    for name, beyond in (("minimum", 0), ("exclusiveMinimum", 1)):
        if isinstance(bound := schema.get(name), int | float):
            value = max(value, math.ceil(bound) + beyond)
    for name, beyond in (("maximum", 0), ("exclusiveMaximum", 1)):
        if isinstance(bound := schema.get(name), int | float):
            value = min(value, math.floor(bound) - beyond)
    return value


def _string(schema: dict[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), "example")
    text = text.ljust(min(_part(schema, "minLength", int), MAX_SAMPLE), ".")
    return text[: schema["maxLength"]] if _part(schema, "maxLength", int) > 0 else text


_FORMATS: Final = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "user@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
