"""JSON -> the answers to give, request by request. docs/testing.md describes the format.

A script is validated completely when it is read; ``ScriptError`` says where it is wrong and
what was expected. So no test can fail mid-stream because of a mistake in its script.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .answer import NO_FAULT, Answer
from .checks import (
    Misfit,
    Read,
    check,
    endless,
    integer,
    list_of,
    number,
    object_of,
    one_of,
    or_null,
    read_bool,
    read_header_value,
    read_headers,
    read_retry_after,
    read_seconds,
    read_text,
    unexpected,
)
from .errors import SHAPES
from .faults import LINE_ENDS, Fault
from .reply import Recording, dumps
from .turn import Call, Part, Token, fragments, split


class ScriptError(ValueError):
    """A script is invalid; the message gives the file, the place in it and the reason."""


@dataclass(slots=True, frozen=True)
class Script:
    """Answers in order, read from a file or from the same values in Python."""

    answers: tuple[Answer, ...]

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Script:
        """Read a script file. Paths of recordings in it are relative to the file.

        Raises:
            ScriptError: it is not a valid script.
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
        """Read the contents of a script file: a list of answers.

        Args:
            value: the list.
            source: its name in errors.
            folder: the folder of its recordings.

        Raises:
            ScriptError: it is not a valid script.
        """
        try:
            read = list_of(_answer(Path(folder)))
            return cls(tuple(read("", value)))
        except Misfit as misfit:
            raise ScriptError(f"{source}{misfit.place}: {misfit.problem}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


_pieces_of: Final = list_of(
    lambda place, item: item if isinstance(item, str) else read_seconds(place, item)
)


def _pieces(place: str, value: Any, cut: Callable[[str], list[str]] = split) -> list[Any]:
    """Return the tokens (strings) and pauses (numbers) of a text, or of a list of both."""
    if isinstance(value, str):
        return cut(value) or [""]
    if not isinstance(value, list | tuple):
        raise unexpected(place, "a string, or a list of strings and pauses", value)
    pieces: list[Any] = _pieces_of(place, value)
    return pieces


def _arguments(place: str, value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        try:
            value = dumps(value)
        except (TypeError, ValueError, RecursionError) as exc:
            raise Misfit(place, f"cannot be written as JSON: {exc}") from None
    return _pieces(place, value, fragments)


_text_or_null: Final = or_null(read_text)
_code: Final = check(
    "a string, a whole number or null",
    lambda value: value is None or isinstance(value, str) or type(value) is int,
)
_count: Final = integer(0)

_ERROR: Final = object_of(message=read_text, type=_text_or_null, code=_code, param=_text_or_null)
_USAGE: Final = object_of(
    input_tokens=_count, output_tokens=_count, reasoning_tokens=_count, cached_tokens=_count
)
_CALL: Final = object_of(name=read_text, arguments=_arguments, id=read_text)
_WHEN: Final = object_of(path=read_text, model=read_text, user=read_text)
_FAULT: Final = object_of(
    cut=_count,
    by=one_of(["fin", "reset"]),
    silence=read_seconds,
    after=_count,
    comments=endless(_count),
    every=number(0),
    content_type=read_header_value,
    bom=read_bool,
    line_end=one_of(LINE_ENDS),
    chunk=integer(1),
    done=read_bool,
    json=read_bool,
)

_TEXTS: Final = ("reasoning", "text", "refusal")


def _fault(place: str, value: Any) -> Fault:
    given = _FAULT(place, value)
    for name, needed in (("by", "cut"), ("after", "silence"), ("every", "comments")):
        if name in given and needed not in given:
            raise Misfit(f"{place}.{name}", f"it needs {needed!r} beside it")
    if given.get("comments") == math.inf and not given.get("every"):
        raise Misfit(f"{place}.comments", "comments without end need 'every', above 0")
    return Fault(**given)


def _answer(folder: Path) -> Read:
    def recording(place: str, value: Any) -> Recording:
        try:
            return Recording.from_path(folder / read_text(place, value))
        except OSError as exc:
            raise Misfit(place, f"expected a recording: {exc}") from None

    read_fields = object_of(
        when=_WHEN,
        times=endless(integer(1)),
        wait=read_seconds,
        rate=number(0, above=True),
        jitter=number(0, 1),
        **dict.fromkeys(_TEXTS, _pieces),
        calls=list_of(_CALL),
        finish_reason=read_text,
        usage=_USAGE,
        error=_ERROR,
        shape=one_of(SHAPES),
        status=integer(200, 599),
        retry_after=read_retry_after,
        headers=read_headers,
        body=read_text,
        content_type=read_header_value,
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
    error_status = "status" in given and "body" not in given
    whole = ["status"] if error_status else []
    whole += [name for name in ("body", "recording") if name in given]
    spoken = [name for name in (*_TEXTS, "calls", "finish_reason", "usage") if name in given]
    if len(kinds := [*whole, *spoken[:1]]) > 1:
        raise Misfit(place, f"{kinds[0]!r} and {kinds[1]!r} are two different answers")
    if "error" in given and whole and not error_status:
        raise Misfit(f"{place}.error", f"it cannot stand beside {whole[0]!r}")
    if error_status and given["status"] < 400:
        raise Misfit(f"{place}.status", "below 400, it needs 'body' beside it")
    if given.get("status") in (204, 304) and given.get("body"):
        raise Misfit(f"{place}.body", "it has to be empty with this status")
    if "shape" in given and ("error" not in given or "status" in given):
        raise Misfit(f"{place}.shape", "it needs 'error' beside it, and no 'status'")
    if "content_type" in given and "body" not in given:
        raise Misfit(f"{place}.content_type", "it needs 'body' beside it")
    if whole and not given.get("fault", NO_FAULT).done:
        raise Misfit(f"{place}.fault.done", f"it cannot stand beside {whole[0]!r}")


def _spoken(place: str, given: dict[str, Any]) -> dict[str, Any]:
    """Remove the contents of an answer from ``given``; return them as fields of ``Answer``."""
    speaks = any(name in given for name in (*_TEXTS, "calls"))
    speaks = speaks or ("error" in given and "status" not in given)
    said: list[tuple[Part, Any]] = []
    for text in _TEXTS:
        said += [(text, piece) for piece in given.pop(text, [])]
    calls = []
    for index, call in enumerate(given.pop("calls", [])):
        if "name" not in call:
            raise Misfit(f"{place}.calls[{index}]", "expected a 'name'")
        calls.append(Call(call["name"], call.get("id")))
        pieces = call.get("arguments", ["{}"])
        if not any(isinstance(piece, str) for piece in pieces):
            pieces = [*pieces, ""]  # a call that begins, with empty arguments
        said += [(index, piece) for piece in pieces]
    tokens: list[Token] = []
    pause = 0.0
    for part, piece in said:
        if isinstance(piece, str):
            tokens.append(Token(part, piece, pause))
            pause = 0.0
        else:
            pause += piece
    return {"tokens": tuple(tokens), "calls": tuple(calls), "pause": pause, "speaks": speaks}
