"""Checks for JSON values: a place and the value there -> the value to use, or a ``Misfit``.

Each function here is a check, or makes one. A ``Misfit`` says where a value does not fit,
what was expected there and what was found.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias


class Misfit(Exception):
    def __init__(self, place: str, problem: str) -> None:
        self.place = place
        self.problem = problem


Read: TypeAlias = Callable[[str, Any], Any]
"""Takes a place and a value; returns the value to use, or raises Misfit."""


def unexpected(place: str, expected: str, value: Any) -> Misfit:
    return Misfit(place, f"expected {expected}, got {_shown(value)}")


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def read_text(place: str, value: Any) -> str:
    if not isinstance(value, str):
        raise unexpected(place, "a string", value)
    return value


def read_bool(place: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise unexpected(place, "true or false", value)
    return value


def integer(low: int, high: int | None = None) -> Read:
    limits = f"at least {low}" if high is None else f"from {low} to {high}"

    def read(place: str, value: Any) -> int:
        if type(value) is not int or value < low or (high is not None and value > high):
            raise unexpected(place, f"a whole number, {limits}", value)
        return value

    return read


def number(low: float, high: float = math.inf, *, above: bool = False) -> Read:
    limits = f"above {low}" if above else f"at least {low}" if high == math.inf else "from 0 to 1"

    def read(place: str, value: Any) -> float:
        # The upper limit is for float(), which raises an error for larger integers.
        if type(value) not in (int, float) or not (
            low <= value <= min(high, sys.float_info.max) and not (above and value == low)
        ):
            raise unexpected(place, f"a number, {limits}", value)
        return float(value)

    return read


def endless(read: Read) -> Read:
    """Read null as infinity."""
    return lambda place, value: math.inf if value is None else read(place, value)


read_seconds: Final = endless(number(0))


def one_of(names: Iterable[str]) -> Read:
    names = list(names)

    def read(place: str, value: Any) -> str:
        if value not in names:
            raise unexpected(place, f"one of {', '.join(names)}", value)
        return str(value)

    return read


def list_of(read_item: Read) -> Read:
    def read(place: str, value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise unexpected(place, "a list", value)
        return [read_item(f"{place}[{index}]", item) for index, item in enumerate(value)]

    return read


def object_of(**readers: Read) -> Read:
    def read(place: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise unexpected(place, "an object", value)
        found = {}
        for key, item in value.items():
            if key not in readers:
                close = difflib.get_close_matches(str(key), readers, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                known = ", ".join(readers)
                raise Misfit(place, f"unknown key {key!r}{hint} (known: {known})")
            found[key] = readers[key](f"{place}.{key}", item)
        return found

    return read


def read_header_value(place: str, value: Any) -> str:
    text = read_text(place, value)
    if not (text.isascii() and text.isprintable()):
        raise unexpected(place, "printable ASCII", value)
    return text


def read_headers(place: str, value: Any) -> tuple[tuple[bytes, bytes], ...]:
    if not isinstance(value, Mapping):
        raise unexpected(place, "an object", value)
    fields = []
    for key, item in value.items():
        name = str(key)
        if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII):
            raise unexpected(place, "a header name", key)
        if name.lower() in ("content-type", "content-length", "transfer-encoding"):
            raise Misfit(f"{place}.{name}", "this header cannot be added")
        text = str(item) if type(item) is int else read_header_value(f"{place}.{name}", item)
        fields.append((name.lower().encode(), text.encode()))
    return tuple(fields)


def read_retry_after(place: str, value: Any) -> str:
    if isinstance(value, str):
        return read_header_value(place, value)
    return f"{number(0)(place, value):g}"
