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


def check(expected: str, fits: Callable[[Any], bool]) -> Read:
    """Read a value that fits, unchanged."""

    def read(place: str, value: Any) -> Any:
        if not fits(value):
            raise unexpected(place, expected, value)
        return value

    return read


read_text: Final = check("a string", lambda value: isinstance(value, str))
read_bool: Final = check("true or false", lambda value: isinstance(value, bool))
_read_object: Final = check("an object", lambda value: isinstance(value, Mapping))
_read_list: Final = check("a list", lambda value: isinstance(value, list | tuple))


def integer(low: int, high: int | None = None) -> Read:
    limits = f"at least {low}" if high is None else f"from {low} to {high}"
    top = math.inf if high is None else high
    return check(
        f"a whole number, {limits}", lambda value: type(value) is int and low <= value <= top
    )


def number(low: float, high: float = math.inf, *, above: bool = False) -> Read:
    limits = f"above {low}" if above else f"at least {low}" if high == math.inf else "from 0 to 1"
    # float() raises an error for integers beyond this.
    top = min(high, sys.float_info.max)
    read = check(
        f"a number, {limits}",
        lambda value: (
            type(value) in (int, float) and low <= value <= top and not (above and value == low)
        ),
    )
    return lambda place, value: float(read(place, value))


def or_null(read: Read, null: Any = None) -> Read:
    """Read null as the value ``null``."""
    return lambda place, value: null if value is None else read(place, value)


def endless(read: Read) -> Read:
    return or_null(read, math.inf)


read_seconds: Final = endless(number(0))


def one_of(names: Iterable[str]) -> Read:
    names = list(names)
    return check(f"one of {', '.join(names)}", lambda value: value in names)


def list_of(read_item: Read) -> Read:
    def read(place: str, value: Any) -> list[Any]:
        items = enumerate(_read_list(place, value))
        return [read_item(f"{place}[{index}]", item) for index, item in items]

    return read


def object_of(**readers: Read) -> Read:
    def read(place: str, value: Any) -> dict[str, Any]:
        found = {}
        for key, item in _read_object(place, value).items():
            if key not in readers:
                close = difflib.get_close_matches(str(key), readers, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                known = ", ".join(readers)
                raise Misfit(place, f"unknown key {key!r}{hint} (known: {known})")
            found[key] = readers[key](f"{place}.{key}", item)
        return found

    return read


def read_header_value(place: str, value: Any) -> str:
    text: str = read_text(place, value)
    if not (text.isascii() and text.isprintable()):
        raise unexpected(place, "printable ASCII", value)
    return text


def read_headers(place: str, value: Any) -> tuple[tuple[bytes, bytes], ...]:
    fields = []
    for key, item in _read_object(place, value).items():
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
