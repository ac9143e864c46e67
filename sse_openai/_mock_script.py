"""JSON -> what to answer, request by request. docs/testing.md describes the format.

Everything is checked when a script is read; what is wrong in it is a ``ScriptError`` that
says where and what was expected, so that no test fails of a script in the middle of a stream.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, TypeAlias

from ._mock_errors import SHAPES
from ._mock_faults import LINE_ENDS, Fault
from ._mock_reply import Recording, dumps
from ._mock_turn import Call, Part, Token, fragments, split

__all__ = ["Answer", "Answers", "Script", "ScriptError"]


class ScriptError(ValueError):
    """A script that cannot be used; the message names the file, the place in it, and why."""


NO_FAULT: Final = Fault()


@dataclass(slots=True, frozen=True, kw_only=True)
class Answer:
    """One answer of a script, checked."""

    when: Mapping[str, str] = field(default_factory=dict)
    times: float = 1
    wait: float = 0.0
    rate: float | None = None
    jitter: float | None = None
    tokens: tuple[Token, ...] = ()
    calls: tuple[Call, ...] = ()
    pause: float = 0.0
    finish_reason: str | None = None
    usage: Mapping[str, int] | None = None
    status: int = 200
    error: Mapping[str, Any] | None = None
    shape: str = "openai"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = None
    content_type: str | None = None
    recording: Recording | None = None
    fault: Fault = NO_FAULT
    speaks: bool = False
    """Whether it says what the answer is made of; else that is made up."""

    def fits(self, path: str, model: str, user: str) -> bool:
        return (
            fnmatchcase(path, self.when.get("path", "*"))
            and fnmatchcase(model, self.when.get("model", "*"))
            and self.when.get("user", "") in user
        )


@dataclass(slots=True, frozen=True)
class Script:
    """What to answer, in order; read from a file, or from the same values in Python."""

    answers: tuple[Answer, ...]

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Script:
        """Read a script file. Recordings in it are found beside it.

        Raises:
            ScriptError: it is no script.
            OSError: it cannot be read.
        """
        path = Path(path)
        try:
            value = json.loads(path.read_bytes(), parse_constant=_no_constant)
        except json.JSONDecodeError as exc:
            place = f"line {exc.lineno}, column {exc.colno}"
            raise ScriptError(f"{path}: {place}: {exc.msg}") from None
        except (ValueError, RecursionError) as exc:
            raise ScriptError(f"{path}: not JSON in UTF-8: {exc}") from None
        return cls.from_value(value, source=str(path), folder=path.parent)

    @classmethod
    def from_value(
        cls, value: Any, *, source: str = "script", folder: str | os.PathLike[str] = "."
    ) -> Script:
        """Read what a script file holds: a list of answers.

        Args:
            value: the list.
            source: what to call it in errors.
            folder: where recordings are.

        Raises:
            ScriptError: it is no script.
        """
        try:
            read = _list_of(_answer(Path(folder)))
            return cls(tuple(read("", value)))
        except _Misfit as misfit:
            raise ScriptError(f"{source}{misfit.place}: {misfit.problem}") from None


class Answers:
    """Those that are left: in order, the first one that fits."""

    def __init__(self) -> None:
        self._left: list[tuple[Answer, float]] = []
        self.scripted = False
        """Whether there have been any."""

    def add(self, script: Script) -> None:
        self.scripted = True
        self._left += [(answer, answer.times) for answer in script.answers]

    def take(self, path: str, model: str = "", user: str = "", *, body: bool) -> Answer | None:
        """Return the answer to a request; None where the script has none for it.

        A request without a body is answered by what names its path, and does not speak.
        """
        for index, (answer, left) in enumerate(self._left):
            if answer.fits(path, model, user) and (
                body or ("path" in answer.when and not answer.speaks)
            ):
                if left > 1:
                    self._left[index] = answer, left - 1
                else:
                    del self._left[index]
                return answer
        return None


class _Misfit(Exception):
    def __init__(self, place: str, problem: str) -> None:
        self.place = place
        self.problem = problem


Read: TypeAlias = Callable[[str, Any], Any]
"""Place and value -> what is made of it; or a _Misfit."""


def _expected(expected: str) -> Callable[[str, Any], _Misfit]:
    def misfit(place: str, value: Any) -> _Misfit:
        return _Misfit(place, f"expected {expected}, got {_shown(value)}")

    return misfit


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _text(place: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _expected("a string")(place, value)
    return value


def _bool(place: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _expected("true or false")(place, value)
    return value


def _integer(low: int, high: int | None = None) -> Read:
    limits = f"at least {low}" if high is None else f"from {low} to {high}"

    def read(place: str, value: Any) -> int:
        if type(value) is not int or value < low or (high is not None and value > high):
            raise _expected(f"a whole number, {limits}")(place, value)
        return value

    return read


def _number(low: float, high: float = math.inf, *, above: bool = False) -> Read:
    limits = f"above {low}" if above else f"at least {low}" if high == math.inf else "from 0 to 1"

    def read(place: str, value: Any) -> float:
        # Compared with what float() can take: it refuses larger integers.
        if type(value) not in (int, float) or not (
            low <= value <= min(high, sys.float_info.max) and not (above and value == low)
        ):
            raise _expected(f"a number, {limits}")(place, value)
        return float(value)

    return read


def _endless(read: Read) -> Read:
    """Null is for ever."""
    return lambda place, value: math.inf if value is None else read(place, value)


_seconds: Final = _endless(_number(0))


def _one_of(names: Iterable[str]) -> Read:
    names = list(names)

    def read(place: str, value: Any) -> str:
        if value not in names:
            raise _expected(f"one of {', '.join(names)}")(place, value)
        return str(value)

    return read


def _list_of(read_item: Read) -> Read:
    def read(place: str, value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise _expected("a list")(place, value)
        return [read_item(f"{place}[{index}]", item) for index, item in enumerate(value)]

    return read


def _object(**readers: Read) -> Read:
    def read(place: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _expected("an object")(place, value)
        found = {}
        for key, item in value.items():
            if key not in readers:
                close = difflib.get_close_matches(str(key), readers, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                known = ", ".join(readers)
                raise _Misfit(place, f"unknown key {key!r}{hint} (known: {known})")
            found[key] = readers[key](f"{place}.{key}", item)
        return found

    return read


def _pieces(place: str, value: Any, cut: Callable[[str], list[str]] = split) -> list[Any]:
    """Return tokens, as strings, and pauses, as numbers, of a text or a list of both."""
    if isinstance(value, str):
        return cut(value) or [""]
    if not isinstance(value, list | tuple):
        raise _expected("a string, or a list of strings and pauses")(place, value)
    pieces = []
    for index, item in enumerate(value):
        if not isinstance(item, str):
            item = _seconds(f"{place}[{index}]", item)
        pieces.append(item)
    return pieces


def _arguments(place: str, value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        try:
            value = dumps(value)
        except (TypeError, ValueError, RecursionError) as exc:
            raise _Misfit(place, f"cannot be written as JSON: {exc}") from None
    return _pieces(place, value, fragments)


def _header_value(place: str, value: Any) -> str:
    text = _text(place, value)
    if not (text.isascii() and text.isprintable()):
        raise _expected("printable ASCII")(place, value)
    return text


def _headers(place: str, value: Any) -> tuple[tuple[bytes, bytes], ...]:
    if not isinstance(value, Mapping):
        raise _expected("an object")(place, value)
    fields = []
    for name, item in value.items():
        if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", str(name), re.ASCII):
            raise _expected("names of headers")(place, name)
        if name.lower() in ("content-type", "content-length", "transfer-encoding"):
            raise _Misfit(f"{place}.{name}", "it is not among those that can be added")
        text = str(item) if type(item) is int else _header_value(f"{place}.{name}", item)
        fields.append((name.lower().encode(), text.encode()))
    return tuple(fields)


def _retry_after(place: str, value: Any) -> str:
    if isinstance(value, str):
        return _header_value(place, value)
    return f"{_number(0)(place, value):g}"


def _code(place: str, value: Any) -> Any:
    if not (value is None or isinstance(value, str) or type(value) is int):
        raise _expected("a string, a whole number or null")(place, value)
    return value


def _text_or_null(place: str, value: Any) -> Any:
    return value if value is None else _text(place, value)


_count: Final = _integer(0)

_ERROR: Final = _object(message=_text, type=_text_or_null, code=_code, param=_text_or_null)

_USAGE: Final = _object(
    input_tokens=_count, output_tokens=_count, reasoning_tokens=_count, cached_tokens=_count
)

_CALL: Final = _object(name=_text, arguments=_arguments, id=_text)

_WHEN: Final = _object(path=_text, model=_text, user=_text)

_FAULT: Final = _object(
    cut=_count,
    by=_one_of(["fin", "reset"]),
    silence=_seconds,
    after=_count,
    comments=_endless(_count),
    every=_number(0),
    content_type=_header_value,
    bom=_bool,
    line_end=_one_of(LINE_ENDS),
    chunk=_integer(1),
    done=_bool,
    json=_bool,
)

_SPEAKING: Final = ("reasoning", "text", "refusal", "calls", "finish_reason", "usage")


def _fault(place: str, value: Any) -> Fault:
    given = _FAULT(place, value)
    for name, needed in (("by", "cut"), ("after", "silence"), ("every", "comments")):
        if name in given and needed not in given:
            raise _Misfit(f"{place}.{name}", f"it needs {needed!r} beside it")
    if given.get("comments") == math.inf and not given.get("every"):
        raise _Misfit(f"{place}.comments", "comments without end need 'every', above 0")
    return Fault(**given)


def _answer(folder: Path) -> Read:
    def recording(place: str, value: Any) -> Recording:
        try:
            return Recording.from_path(folder / _text(place, value))
        except OSError as exc:
            raise _Misfit(place, f"expected a recording: {exc}") from None

    read_fields = _object(
        when=_WHEN,
        times=_endless(_integer(1)),
        wait=_seconds,
        rate=_number(0, above=True),
        jitter=_number(0, 1),
        reasoning=_pieces,
        text=_pieces,
        refusal=_pieces,
        calls=_list_of(_CALL),
        finish_reason=_text,
        usage=_USAGE,
        error=_ERROR,
        shape=_one_of(SHAPES),
        status=_integer(200, 599),
        retry_after=_retry_after,
        headers=_headers,
        body=_text,
        content_type=_header_value,
        recording=recording,
        fault=_fault,
    )

    def read(place: str, value: Any) -> Answer:
        given = read_fields(place, value)
        _check_combination(place, given)
        if (retry_after := given.pop("retry_after", None)) is not None:
            given["headers"] = (*given.get("headers", ()), (b"retry-after", retry_after.encode()))
        if "body" in given:
            given["body"] = given["body"].encode("utf-8", "replace")
        return Answer(**_spoken(place, given), **given)

    return read


def _check_combination(place: str, given: dict[str, Any]) -> None:
    spoken = [name for name in _SPEAKING if name in given]
    kinds = [
        *(["status"] if "status" in given and "body" not in given else []),
        *(name for name in ("body", "recording") if name in given),
        *spoken[:1],
    ]
    if len(kinds) > 1:
        raise _Misfit(place, f"{kinds[0]!r} and {kinds[1]!r} are two different answers")
    if "error" in given and kinds and kinds[0] in ("body", "recording"):
        raise _Misfit(f"{place}.error", f"it cannot stand beside {kinds[0]!r}")
    if "status" in given and "body" not in given and given["status"] < 400:
        raise _Misfit(f"{place}.status", "below 400, it needs 'body' beside it")
    if given.get("status") in (204, 304) and given.get("body"):
        raise _Misfit(f"{place}.body", "it has to be empty with this status")
    if "shape" in given and ("error" not in given or "status" in given):
        raise _Misfit(f"{place}.shape", "it needs 'error' beside it, and no 'status'")
    if "content_type" in given and "body" not in given:
        raise _Misfit(f"{place}.content_type", "it needs 'body' beside it")
    fault = given.get("fault", NO_FAULT)
    if not fault.done and kinds and kinds[0] in ("status", "body", "recording"):
        raise _Misfit(f"{place}.fault.done", f"it cannot stand beside {kinds[0]!r}")


def _spoken(place: str, given: dict[str, Any]) -> dict[str, Any]:
    """Take what is said out of ``given``, and return it as tokens and calls."""
    speaks = bool({"reasoning", "text", "refusal", "calls"} & set(given))
    speaks = speaks or ("error" in given and "status" not in given)
    tokens: list[Token] = []
    pause = 0.0

    def say(part: Part, pieces: list[Any]) -> None:
        nonlocal pause
        for piece in pieces:
            if isinstance(piece, str):
                tokens.append(Token(part, piece, pause))
                pause = 0.0
            else:
                pause += piece

    for part in ("reasoning", "text", "refusal"):
        say(part, given.pop(part, []))
    calls = []
    for index, call in enumerate(given.pop("calls", [])):
        if "name" not in call:
            raise _Misfit(f"{place}.calls[{index}]", "expected a 'name'")
        calls.append(Call(call["name"], call.get("id")))
        pieces = call.get("arguments", ["{}"])
        if not any(isinstance(piece, str) for piece in pieces):
            pieces = [*pieces, ""]  # a call that is begun, with nothing in it
        say(index, pieces)
    return {"tokens": tuple(tokens), "calls": tuple(calls), "pause": pause, "speaks": speaks}
