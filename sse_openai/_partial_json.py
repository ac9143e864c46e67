"""Pieces of a JSON text -> the part of its value that is known so far.

    reader = PartialJSON()
    for piece in ('{"city": "Ky', 'oto", "days"', ": 3"):
        reader.receive_text(piece)
        print(reader.value)              # {'city': 'Ky'}, then {'city': 'Kyoto'} twice

Every character is read once: regular expressions cut a piece into tokens, and an
unfinished token waits for the next piece. Nothing here recurses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeAlias

MAX_DEPTH: Final = 200
"""Nested arrays and objects, as in jiter. Printing or copying them is recursive."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_BARE: Final = re.compile(r"[-+.0-9A-Za-z]+")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
# Possessive: a matched character stays matched, and no state for backtracking is kept.
_CHARACTERS: Final = re.compile(
    r'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+', re.DOTALL
)
_BROKEN_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")

# The last three are not JSON, but json.loads accepts them.
_LITERALS: Final[dict[str, Any]] = {
    "true": True,
    "false": False,
    "null": None,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
_LITERAL_BEGINNINGS: Final = frozenset(
    literal[:length] for literal in _LITERALS for length in range(1, len(literal))
)


class PartialJSON:
    """Reads one JSON text (RFC 8259) that arrives in pieces; knows its value so far.

    The value has the received part of strings, and of arrays and objects. It leaves out a key
    without a value, a number that may continue, and an unfinished ``true``. A complete text
    has the value that ``json.loads`` returns, also for NaN and repeated keys.
    """

    def __init__(self) -> None:
        # The open arrays and objects, outermost first, and the slot of the latest value in
        # each: its key in an object, -1 in a list. The first one holds the value itself.
        self._open: list[Any] = [[]]
        self._slots: list[Any] = [-1]
        self._state: _State = PartialJSON._at_value
        self._rest = ""  # the part of an escape, at most 11 characters
        # Of an open key, number or literal; of a string, only the latest.
        self._parts: list[str] = []
        self._first = ""  # the first two characters of a number or literal
        self._before = 0  # the characters before the current piece
        self._failure: str | None = None

    @property
    def value(self) -> Any:
        """The value so far; None until anything is known.

        Lists and objects are the same ones each time, and grow: copy them to keep a state.
        Reading the value after every piece costs time that is linear in the text, unless the
        caller keeps a reference to an open string: then the next piece copies it.
        """
        if self._state is PartialJSON._in_string:
            self._show_string()
        root = self._open[0]
        return root[0] if root else None

    @property
    def complete(self) -> bool:
        """True if the text is whole. For a bare number, only ``receive_eof`` can decide."""
        return self._state is PartialJSON._at_end and self._failure is None

    def receive_text(self, text: str) -> None:
        """Receive the next piece of the text.

        Raises:
            ValueError: this is not JSON, or nested over 200 deep. ``value`` keeps what came
                before the fault, and every later call raises the same error.
        """
        self._raise_failure()
        if self._rest:
            self._before -= len(self._rest)
            text, self._rest = self._rest + text, ""
        at, end = 0, len(text)
        try:
            while at < end:
                at = self._state(self, text, at)
        except ValueError as exc:
            self._failure = str(exc)
            raise
        self._before += end

    def receive_eof(self) -> Any:
        """Signal the end of the text; return its value.

        Raises:
            ValueError: the text is not whole, or an earlier call found that it is not JSON.
        """
        self._raise_failure()
        try:
            if self._state is PartialJSON._in_bare:
                self._end_bare("".join(self._parts), 0)
            if self._state is not PartialJSON._at_end:
                self._fail("the text ends too early", 0)
        except ValueError as exc:
            self._failure = str(exc)
            raise
        return self.value

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise ValueError(self._failure)

    def _fail(self, reason: str, at: int) -> NoReturn:
        raise ValueError(f"{reason} at character {self._before + at}")

    def _unexpected(self, expected: str, text: str, at: int) -> NoReturn:
        self._fail(f"expected {expected}, got {text[at]!r}", at)

    # The states: each reads the text from a position and returns the position it reached.

    def _at_value(self, text: str, at: int) -> int:
        at = _after_space(text, at)
        if at == len(text):
            return at
        character = text[at]
        if character == '"':
            self._put("")
            self._state = PartialJSON._in_string
        elif character == "{":
            self._begin({}, PartialJSON._at_first_key, at)
        elif character == "[":
            self._begin([], PartialJSON._at_first_item, at)
        elif _BARE.match(character):
            self._first = ""
            self._state = PartialJSON._in_bare
            return at
        else:
            self._unexpected("a value", text, at)
        return at + 1

    def _at_first_item(self, text: str, at: int) -> int:
        return self._at_first("]", PartialJSON._at_value, text, at)

    def _at_first_key(self, text: str, at: int) -> int:
        return self._at_first("}", PartialJSON._at_key, text, at)

    def _at_key(self, text: str, at: int) -> int:
        return self._expect('"', "a key in quotes", PartialJSON._in_key, text, at)

    def _in_key(self, text: str, at: int) -> int:
        at, ended = self._characters(text, at)
        if ended:
            self._slots[-1] = "".join(self._parts)
            self._parts.clear()
            self._state = PartialJSON._at_colon
        return at

    def _at_colon(self, text: str, at: int) -> int:
        return self._expect(":", "':'", PartialJSON._at_value, text, at)

    def _expect(self, character: str, name: str, then: _State, text: str, at: int) -> int:
        at = _after_space(text, at)
        if at == len(text):
            return at
        if text[at] != character:
            self._unexpected(name, text, at)
        self._state = then
        return at + 1

    def _in_string(self, text: str, at: int) -> int:
        at, ended = self._characters(text, at)
        if ended:
            self._show_string()
            self._after_value()
        return at

    def _in_bare(self, text: str, at: int) -> int:
        """Read a part of a number or a literal, which have no delimiters."""
        match = _BARE.match(text, at)
        if match is not None:
            self._parts.append(match[0])
            self._first = (self._first + match[0])[:2]
            at = match.end()
        if self._first[0] in "-0123456789" and self._first != "-I":
            # Complete only when something follows; joined once, because it may be long.
            if at < len(text):
                self._end_bare("".join(self._parts), at)
            return at
        literal = "".join(self._parts)
        if literal in _LITERALS:
            self._end_bare(literal, at)
        elif at < len(text) or literal not in _LITERAL_BEGINNINGS:
            self._fail(f"expected a value, got {literal[:20]!r}", at - len(literal))
        return at

    def _at_comma(self, text: str, at: int) -> int:
        at = _after_space(text, at)
        if at == len(text):
            return at
        in_list = type(self._open[-1]) is list
        if text[at] == ",":
            self._state = PartialJSON._at_value if in_list else PartialJSON._at_key
            return at + 1
        closing = "]" if in_list else "}"
        if text[at] != closing:
            self._unexpected(f"',' or {closing!r}", text, at)
        return self._end(at)

    def _at_end(self, text: str, at: int) -> int:
        at = _after_space(text, at)
        if at < len(text):
            self._unexpected("nothing more", text, at)
        return at

    # Shared by the states.

    def _at_first(self, closing: str, state: _State, text: str, at: int) -> int:
        at = _after_space(text, at)
        if text[at : at + 1] == closing:
            return self._end(at)
        if at < len(text):
            self._state = state
        return at

    def _put(self, value: Any) -> None:
        inner = self._open[-1]
        if type(inner) is list:
            inner.append(value)
        else:
            inner[self._slots[-1]] = value

    def _begin(self, value: Any, state: _State, at: int) -> None:
        if len(self._open) > MAX_DEPTH:
            self._fail(f"nested more than {MAX_DEPTH} deep", at)
        self._put(value)
        self._open.append(value)
        self._slots.append(-1)
        self._state = state

    def _end(self, at: int) -> int:
        self._open.pop()
        self._slots.pop()
        self._after_value()
        return at + 1

    def _after_value(self) -> None:
        self._state = PartialJSON._at_comma if len(self._open) > 1 else PartialJSON._at_end

    def _end_bare(self, token: str, at: int) -> None:
        if token in _LITERALS:
            self._put(_LITERALS[token])
        elif number := _NUMBER.fullmatch(token):
            self._put(float(token) if number.lastindex else int(token))
        else:
            self._fail(f"expected a value, got {token[:20]!r}", at - len(token))
        self._parts.clear()
        self._after_value()

    def _characters(self, text: str, at: int) -> tuple[int, bool]:
        """Read the characters of a key or string; return their end, and True if it is complete."""
        match = _CHARACTERS.match(text, at)
        assert match is not None  # it also matches an empty text
        raw, at = match[0], match.end()
        characters = json.loads(f'"{raw}"') if "\\" in raw else raw
        if text[at : at + 1] == '"':
            self._parts.append(characters)
            return at + 1, True
        broken = text[at:]
        if "\ud800" <= characters[-1:] <= "\udbff" and raw[-1] != characters[-1]:
            # An escape of half a character (a surrogate): the other half may follow.
            characters, broken = characters[:-1], raw[-6:] + broken
        self._parts.append(characters)
        if at < len(text) and not _BROKEN_ESCAPE.fullmatch(text, at):
            reason = "an invalid escape" if text[at] == "\\" else "a control character"
            self._fail(reason, at)
        self._rest = broken
        return len(text), False

    def _show_string(self) -> None:
        if self._parts:
            inner, slot = self._open[-1], self._slots[-1]
            string: str = inner[slot]
            # If there is no other reference to it, CPython extends the string in place.
            inner[slot] = None
            string += "".join(self._parts)
            inner[slot] = string
            self._parts.clear()


_State: TypeAlias = Callable[[PartialJSON, str, int], int]


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None  # it also matches an empty text
    return match.end()
