"""A chat completion as one value: what the endpoint would have answered without streaming."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._chunks import JSONObject

__all__ = ["ChatCompletion", "CompletionChoice", "Custom", "Function", "Message", "ToolCall"]


@dataclass(slots=True)
class Function:
    """A call of a function: its name, and its arguments as JSON text."""

    name: str | None = None
    arguments: str = ""


@dataclass(slots=True)
class Custom:
    """A call of a custom tool: its name, and its input as free text."""

    name: str | None = None
    input: str = ""


@dataclass(slots=True)
class ToolCall:
    """One call that the model asks for."""

    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Custom | None = None


@dataclass(slots=True)
class Message:
    """What one choice says. None where nothing of the kind was sent."""

    role: str | None = None
    content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    function_call: Function | None = None
    audio: JSONObject | None = None


@dataclass(slots=True)
class CompletionChoice:
    """One choice of a completion."""

    index: int
    finish_reason: str | None = None
    """Why the model stopped; None while it has not."""
    message: Message = field(default_factory=Message)
    logprobs: JSONObject | None = None


@dataclass(slots=True)
class ChatCompletion:
    """Everything a stream has brought. Nothing in it is made up: what never came is None."""

    id: str | None = None
    created: int | None = None
    """Unix seconds."""
    model: str | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: JSONObject | None = None
    """The last count of tokens, as sent."""
    moderation: JSONObject | None = None
    choices: list[CompletionChoice] = field(default_factory=list)
    """By ``index``."""
