"""JSON objects and events whose known keys are attributes with known types.

    class Response(JSONObject):
        status = Field(as_optional_text)

A field is read when it is asked for, so that such an object costs no more than its dict,
and every key that was sent is kept. A value of the wrong type is treated as missing (O11).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar, overload

from .._chat.chunks import JSONObject

T = TypeVar("T")


class Keyed(Protocol):
    """An object that fields can be read from."""

    def get(self, key: str, /) -> Any: ...


class Field(Generic[T]):
    """An attribute that reads the key of the same name, as one type."""

    def __init__(self, read: Callable[[Any], T]) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, value: None, owner: type) -> Self: ...

    @overload
    def __get__(self, value: Keyed, owner: type) -> T: ...

    def __get__(self, value: Keyed | None, owner: type) -> Self | T:
        return self if value is None else self._read(value.get(self._name))


def as_text(value: Any) -> str:
    """Return a text, empty if none was sent."""
    return value if isinstance(value, str) else ""


def as_optional_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def as_int(value: Any) -> int | None:
    return value if type(value) is int else None  # not True or False


def as_number(value: Any) -> float | None:
    return value if type(value) in (int, float) else None


def as_object(value: Any) -> JSONObject:
    """Return an object, empty if none was sent."""
    return JSONObject(value) if isinstance(value, dict) else JSONObject()


def as_optional_object(value: Any) -> JSONObject | None:
    return JSONObject(value) if isinstance(value, dict) else None


def as_objects(value: Any) -> list[JSONObject]:
    """Return the objects of a list; an empty list if there is no list."""
    items = value if isinstance(value, list) else []
    return [JSONObject(item) for item in items if isinstance(item, dict)]
