"""Text that arrives in parts, and JSON text.

A server may escape the two halves of a character (a surrogate pair) in two different
deltas. Both classes join them, and a half that stays alone becomes U+FFFD (rule O24).
"""

from __future__ import annotations

import json
from typing import Any

_raw_decode = json.JSONDecoder().raw_decode


def loads(text: str) -> Any:
    """Return ``json.loads`` of text without white space around it, in two thirds of the time."""
    value, end = _raw_decode(text)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def mended(text: str) -> str:
    """Return the text with surrogate halves joined; a lone half becomes U+FFFD."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            units = text.encode("utf-16-le", "surrogatepass")
            text = units.decode("utf-16-le", "replace")
    return text


class Parts:
    """Text that arrives in parts: None until the first one, joined when asked for."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[str] | None = None

    def add(self, part: str | None) -> None:
        if part is not None:
            if self._parts is None:
                self._parts = []
            self._parts.append(part)

    def joined(self) -> str | None:
        return None if self._parts is None else mended("".join(self._parts))


class Shown:
    """Text that is shown while it arrives: half a character waits for the other half."""

    __slots__ = ("_half", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._half = ""

    def add(self, part: str | None) -> str:
        """Add a part; return the text to show now, which may be empty."""
        if not part:
            return ""
        if self._half or not part.isascii():
            part, self._half = self._half + part, ""
            if "\ud800" <= part[-1] <= "\udbff":
                part, self._half = part[:-1], part[-1]
            part = mended(part)
        if part:
            self.parts.append(part)
        return part

    def end(self) -> str:
        """End the text; return what is left to show: a half that stayed alone."""
        part, self._half = mended(self._half), ""
        if part:
            self.parts.append(part)
        return part

    def joined(self, parts: int | None = None) -> str:
        return "".join(self.parts[:parts])
