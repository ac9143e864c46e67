"""JSON objects under construction: their texts in pieces, their lists by index.

Text is joined when it is asked for, and every lookup is a dict's, so that the cost is
linear in what arrives. Rules are cited by their numbers in docs/maintainers/openai.md.
"""

from __future__ import annotations

from typing import Any, TypeVar

from .._chat.chunks import JSONObject
from .._text import Parts


class PartialObject:
    """An object to which events add."""

    __slots__ = ("_parts", "_texts", "_value", "index")

    def __init__(self, value: Any, index: int | None = None) -> None:
        self.index = index
        """Its place in its list, if an event gave one."""
        self.replace(value if isinstance(value, dict) else {})

    def get(self, key: str) -> Any:
        """Return a value as it was sent."""
        return self._value.get(key)

    def set(self, key: str, value: Any) -> None:
        """Replace a value and everything that was added to it."""
        self._texts.pop(key, None)
        self._value[key] = value

    def add(self, key: str, text: str) -> None:
        """Append to a text."""
        if key not in self._texts:
            self._texts[key] = Parts()
            before = self._value.get(key)
            self._texts[key].add(before if isinstance(before, str) else None)
        self._texts[key].add(text)

    def part(self, key: str, kind: type[P]) -> P:
        """Return an inner object or list to add to, empty if there was none."""
        part = self._parts.get(key)
        if not isinstance(part, kind):
            part = self._parts[key] = kind(self._value.get(key))
        return part

    def keep(self, key: str, part: Part) -> None:
        """Adopt a part of another object."""
        self._parts[key] = part

    def replace(self, value: dict[str, Any]) -> None:
        """Replace it with another object."""
        self._value = dict(value)
        self._texts: dict[str, Parts] = {}
        self._parts: dict[str, Part] = {}

    def folded(self) -> JSONObject:
        """Return the object as far as it is known; a new one each time."""
        value = JSONObject(self._value)
        for key, text in self._texts.items():
            value[key] = text.joined()
        for key, part in self._parts.items():
            if part:  # an empty list stays as sent: missing, null or empty
                value[key] = part.folded()
        return value


class PartialList:
    """Objects that events find by index, or else by id, or else as the latest of their type."""

    __slots__ = ("_by_id", "_by_index", "_items", "_latest")

    def __init__(self, values: Any = None) -> None:
        self._items: list[PartialObject] = []
        self._by_index: dict[int, PartialObject] = {}
        self._by_id: dict[str, PartialObject] = {}
        self._latest: dict[str, PartialObject] = {}
        for index, value in enumerate(values if isinstance(values, list) else ()):
            if isinstance(value, dict):
                self._add(value, index)

    def __bool__(self) -> bool:
        return bool(self._items)

    def find(self, type: str, index: int | None, id: str | None = None) -> PartialObject:
        """Return the object that an event is about; a new one if it is not known (O32)."""
        item = self._known(type, index, id)
        if item is None:
            known = {"id": id, "type": type or None}
            item = self._add({key: value for key, value in known.items() if value}, index)
        elif type and not isinstance(item.get("type"), str):
            item.set("type", type)
        return item

    def put(self, value: dict[str, Any], index: int | None, *, new: bool) -> None:
        """Put an object at its index, or replace the one with its id.

        An object without both is another one if it is ``new``, or else the latest of its type.
        """
        if not value:
            return
        id, type = _id(value), _text(value, "type")
        item = self._known(None if new else type or "", index, id)
        if item is None:
            self._add(value, index)
        else:
            item.replace(value)
            self._note(item, id, type)

    def folded(self) -> list[JSONObject]:
        """Return the objects by index; one without an index keeps the place where it came."""
        places = [
            (position if item.index is None else item.index, position, item)
            for position, item in enumerate(self._items)
        ]
        return [item.folded() for _, _, item in sorted(places, key=lambda place: place[:2])]

    def _known(self, type: str | None, index: int | None, id: str | None) -> PartialObject | None:
        if index is not None and index in self._by_index:
            return self._by_index[index]
        if id is None:
            return self._latest.get(type) if index is None and type is not None else None
        item = self._by_id.get(id)
        if item is not None and index is not None:
            if item.index is not None:
                return None  # one id at two indexes means two objects: the index decides
            item.index = index
            self._by_index[index] = item
        return item

    def _add(self, value: dict[str, Any], index: int | None) -> PartialObject:
        item = PartialObject(value, index)
        self._items.append(item)
        if index is not None:
            self._by_index[index] = item
        self._note(item, _id(value), _text(value, "type"))
        return item

    def _note(self, item: PartialObject, id: str | None, type: str | None) -> None:
        if id is not None:
            self._by_id[id] = item
        self._latest[type or ""] = item


class PartialTexts:
    """Texts by index; a text without an index is the latest."""

    __slots__ = ("_latest", "_texts")

    def __init__(self, values: Any = None) -> None:
        self._texts: dict[int, Parts] = {}
        self._latest = -1
        for index, value in enumerate(values if isinstance(values, list) else ()):
            if isinstance(value, str):
                self.set(index, value)

    def __bool__(self) -> bool:
        return bool(self._texts)

    def begin(self, index: int | None, text: str) -> None:
        """Put a text at its index, or after the latest."""
        self.set(self._latest + 1 if index is None else index, text)

    def set(self, index: int | None, text: str) -> None:
        """Replace a text."""
        self._texts.pop(self._at(index), None)
        self.add(self._latest, text)

    def add(self, index: int | None, text: str) -> None:
        """Append to a text."""
        self._texts.setdefault(self._at(index), Parts()).add(text)

    def folded(self) -> list[str | None]:
        """Return the texts by index."""
        return [text.joined() for _, text in sorted(self._texts.items(), key=lambda item: item[0])]

    def _at(self, index: int | None) -> int:
        self._latest = max(self._latest, 0) if index is None else index
        return self._latest


Part = PartialObject | PartialList | PartialTexts
P = TypeVar("P", PartialObject, PartialList, PartialTexts)


def _id(value: dict[str, Any]) -> str | None:
    # llama.cpp sends only a call_id with calls, and no id.
    return _text(value, "id") or _text(value, "call_id")


def _text(value: dict[str, Any], key: str) -> str | None:
    text = value.get(key)
    return text if isinstance(text, str) and text else None
