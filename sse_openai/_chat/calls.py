"""Fragments of tool calls -> the calls of one choice.

The rules for assigning a fragment to its call are written once, in ``Calls`` (rule O20).
What is kept of a call differs: ``WholeCall`` keeps its texts, ``LiveCall`` also parses them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .._partial_json import PartialJSON
from .._text import Parts, Shown
from .chunks import ToolCallDelta
from .completion import Custom, Function, ToolCall

MAX_TOOL_CALLS = 128

# With these finish reasons the answer is not what the model meant to say.
_CUT_OFF = ("length", "content_filter")


class Call:
    """The identity of a tool call, or of the older function_call."""

    __slots__ = ("custom", "id", "kind", "name")

    def __init__(self) -> None:
        self.id: str | None = None
        self.kind: str | None = None
        self.name: str | None = None
        self.custom = False

    def add(self, delta: ToolCallDelta) -> None:
        """Add a fragment. The subclasses keep its text as well."""
        # O20: id, type and name are set once, because some servers repeat them.
        self.id = self.id or delta.id
        self.kind = self.kind or delta.type
        if delta.function is not None:
            self.name = self.name or delta.function.name
        if delta.custom is not None:
            self.custom = True
            self.name = self.name or delta.custom.name


AnyCall = TypeVar("AnyCall", bound=Call)


class Calls(list[AnyCall]):
    """The tool calls of one choice, in the order in which they began."""

    def __init__(self, new: Callable[[], AnyCall]) -> None:
        self._new = new
        self._by_id: dict[str, AnyCall] = {}
        self._by_index: dict[int, AnyCall] = {}

    def add(self, delta: ToolCallDelta) -> AnyCall | None:
        """Add a fragment to its call and return that call; None if there are too many calls."""
        call = self._call_of(delta)
        if call is None:
            if len(self) == MAX_TOOL_CALLS:
                return None
            call = self._new()
            self.append(call)
        call.add(delta)
        if call.id:
            self._by_id[call.id] = call
        if delta.index is not None:
            self._by_index[delta.index] = call
        return call

    def _call_of(self, delta: ToolCallDelta) -> AnyCall | None:
        """Return the call that a fragment continues, or None if it starts one (O20)."""
        if delta.id and delta.id in self._by_id:
            return self._by_id[delta.id]
        if delta.index is not None:
            call = self._by_index.get(delta.index)
            return None if call and call.id and delta.id else call
        if delta.id or not self:
            return None
        latest = self[-1]
        named = (delta.function and delta.function.name) or (delta.custom and delta.custom.name)
        return None if named and latest.name else latest


class WholeCall(Call):
    """A call with its texts, to be folded into a completion."""

    __slots__ = ("arguments", "input")

    def __init__(self) -> None:
        super().__init__()
        self.arguments = Parts()
        self.input = Parts()

    def add(self, delta: ToolCallDelta) -> None:
        super().add(delta)
        if delta.function is not None:
            self.arguments.add(delta.function.arguments)
        if delta.custom is not None:
            self.input.add(delta.custom.input)

    def function(self) -> Function:
        return Function(self.name, self.arguments.joined() or "")

    def folded(self) -> ToolCall:
        if self.custom:
            custom = Custom(self.name, self.input.joined() or "")
            return ToolCall(self.id, self.kind, custom=custom)
        return ToolCall(self.id, self.kind, self.function())


class LiveCall(Call):
    """A call whose arguments are shown and parsed while they arrive."""

    __slots__ = ("_broken", "done", "piece", "reader", "text")

    def __init__(self) -> None:
        super().__init__()
        self.text = Shown()
        self.piece = ""
        self.reader = PartialJSON()
        self.done = False
        self._broken = False

    def add(self, delta: ToolCallDelta) -> None:
        super().add(delta)
        part = delta.function.arguments if delta.function else None
        if delta.custom:
            part = delta.custom.input
        self._show(self.text.add(part))

    def end(self) -> None:
        self._show(self.text.end())

    def _show(self, piece: str) -> None:
        self.piece = piece
        if not (self.custom or self._broken):
            try:
                self.reader.receive_text(piece)
            except ValueError:
                self._broken = True

    def whole(self, finish_reason: str | None) -> bool:
        """True if the call is complete, now that its choice has finished."""
        if self.custom or not self.text.parts:
            return finish_reason not in _CUT_OFF
        try:
            self.reader.receive_eof()
        except ValueError:
            return False
        return True
