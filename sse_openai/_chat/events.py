"""The events of a chat, as values; ``ChatEvents`` makes them.

``type`` and the attributes are those of openai-python's ``.stream()``, if it has the event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from .._text import Shown
from .calls import LiveCall
from .chunks import JSONObject


@dataclass(slots=True)
class _TextDelta:
    choice_index: int
    """The choice, counted from 0."""
    delta: str
    """Text to append; never empty."""
    _text: Shown = field(repr=False, compare=False)
    _parts: int = field(repr=False, compare=False)

    @property
    def snapshot(self) -> str:
        """All of the text up to and including this delta; joined when it is asked for."""
        return self._text.joined(self._parts)


@dataclass(slots=True)
class ContentDelta(_TextDelta):
    """Text of the answer: ``content`` of a delta.

    ``type`` and attributes are those of openai-python's event, except ``choice_index``.
    """

    type: ClassVar[Literal["content.delta"]] = "content.delta"
    """Distinguishes the events."""


@dataclass(slots=True)
class ReasoningDelta(_TextDelta):
    """Text of the model's reasoning, if the endpoint shows it."""

    type: ClassVar[Literal["reasoning.delta"]] = "reasoning.delta"
    """Distinguishes the events; openai-python has no such event."""


@dataclass(slots=True)
class RefusalDelta(_TextDelta):
    """Text of a refusal: ``refusal`` of a delta."""

    type: ClassVar[Literal["refusal.delta"]] = "refusal.delta"
    """Distinguishes the events."""


@dataclass(slots=True)
class ArgumentsDelta:
    """A fragment of a tool call; the first one means that the call has begun.

    It comes from ``tool_calls`` of a delta, and its names are those of openai-python's event.
    """

    type: ClassVar[Literal["tool_calls.function.arguments.delta"]] = (
        "tool_calls.function.arguments.delta"
    )
    """Distinguishes the events."""
    choice_index: int
    """The choice, counted from 0."""
    index: int
    """The call: its place in the choice's ``message.tool_calls``."""
    id: str | None
    """The id of the call, if it has arrived."""
    name: str | None
    """The name of the tool, if it has arrived."""
    arguments_delta: str
    """Text to append, possibly empty: JSON, or the input of a custom tool."""
    _call: LiveCall = field(repr=False, compare=False)
    _parts: int = field(repr=False, compare=False)

    @property
    def custom(self) -> bool:
        """True if the tool is a custom one, whose input is free text."""
        return self._call.custom

    @property
    def arguments(self) -> str:
        """All of the text up to and including this delta; joined when it is asked for."""
        return self._call.text.joined(self._parts)

    @property
    def parsed_arguments(self) -> Any:
        """The arguments parsed so far; see ``PartialJSON.value``.

        The value is live: always the same object, which grows with the call. It is None
        until anything is known, and for custom tools. If the text turns out not to be
        JSON, the value is what came before the fault.
        """
        return self._call.reader.value


@dataclass(slots=True)
class ToolCallDone:
    """A tool call is complete: its arguments are valid JSON, or empty.

    Emitted when the next call begins, or when the choice finishes. A call that was cut off,
    or whose arguments are not JSON, is never done. The names are those of openai-python.
    """

    type: ClassVar[Literal["tool_calls.function.arguments.done"]] = (
        "tool_calls.function.arguments.done"
    )
    """Distinguishes the events."""
    choice_index: int
    """The choice, counted from 0."""
    index: int
    """The call: its place in the choice's ``message.tool_calls``."""
    id: str | None
    """The id that the tool's result must name; None if the server gave none."""
    name: str | None
    """The name of the tool; None if it never arrived."""
    arguments: str
    """JSON text, ``""`` if none was sent; free text for a custom tool."""
    parsed_arguments: Any
    """Their value; None if none were sent, and for custom tools."""
    custom: bool = False
    """True if the tool is a custom one, whose input is free text."""


@dataclass(slots=True)
class ChoiceDone:
    """A choice has finished: its ``finish_reason``.

    Emitted again only if a server changes the reason.
    """

    type: ClassVar[Literal["choice.done"]] = "choice.done"
    """Distinguishes the events; openai-python has no such event."""
    choice_index: int
    """The choice, counted from 0."""
    finish_reason: str | None
    """As sent; None if ``[DONE]`` came without one."""


@dataclass(slots=True)
class UsageReport:
    """Tokens counted so far, each time the endpoint reports them: usually once, at the end.

    ``usage`` of a chunk.
    """

    type: ClassVar[Literal["usage"]] = "usage"
    """Distinguishes the events; openai-python has no such event."""
    usage: JSONObject
    """``prompt_tokens``, ``completion_tokens``, ``total_tokens``, and details, as sent."""


ChatEvent: TypeAlias = (
    ContentDelta
    | ReasoningDelta
    | RefusalDelta
    | ArgumentsDelta
    | ToolCallDone
    | ChoiceDone
    | UsageReport
)
