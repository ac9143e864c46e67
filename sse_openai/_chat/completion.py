"""A chat completion as one value: what the endpoint would have answered without streaming."""

from __future__ import annotations

from dataclasses import dataclass, field

from .chunks import JSONObject

__all__ = ["ChatCompletion", "CompletionChoice", "Custom", "Function", "Message", "ToolCall"]


@dataclass(slots=True)
class Function:
    """A call of a function: ``function`` of a message's ``tool_calls`` (docs/openai.md, 1.2)."""

    name: str | None = None
    """None where it never came."""
    arguments: str = ""
    """JSON text as the model wrote it: perhaps not whole, perhaps no JSON."""


@dataclass(slots=True)
class Custom:
    """A call of a custom tool: ``custom`` of a message's ``tool_calls`` (docs/openai.md, 1.2)."""

    name: str | None = None
    """None where it never came."""
    input: str = ""
    """Free text."""


@dataclass(slots=True)
class ToolCall:
    """One call that the model asks for: of a message's ``tool_calls`` (docs/openai.md, 1.2)."""

    id: str | None = None
    """What the tool's result has to name; None where the server gave none."""
    type: str | None = None
    """``function`` or ``custom``."""
    function: Function | None = None
    """None in the call of a custom tool."""
    custom: Custom | None = None
    """None in the call of a function."""


@dataclass(slots=True)
class Message:
    """What one choice says: ``message`` of a ``chat.completion`` (docs/openai.md, 1.2).

    None where nothing of the kind was sent.
    """

    role: str | None = None
    """``assistant``."""
    content: str | None = None
    """Text; ``""`` where only empty text was sent."""
    reasoning: str | None = None
    """What the endpoint shows of the model's reasoning; OpenAI's own chats show none (O14)."""
    refusal: str | None = None
    """Text in the content's place."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    """In the order in which they began."""
    function_call: Function | None = None
    """The predecessor of ``tool_calls``."""
    audio: JSONObject | None = None
    """``id``, ``data`` (base64), ``transcript``, ``expires_at`` (Unix seconds)."""


@dataclass(slots=True)
class CompletionChoice:
    """One choice of a completion: of ``choices`` of a ``chat.completion`` (docs/openai.md, 1.2)."""

    index: int
    """Counted from 0."""
    finish_reason: str | None = None
    """``stop``, ``length``, ``tool_calls``, ``content_filter``; None while it has not stopped."""
    message: Message = field(default_factory=Message)
    """What it says."""
    logprobs: JSONObject | None = None
    """``content`` and ``refusal``: each a list of ``token``, ``logprob``, ``bytes`` and
    ``top_logprobs``, or None."""


@dataclass(slots=True)
class ChatCompletion:
    """Everything a stream has brought. Nothing in it is made up: what never came is None.

    The reference's ``chat.completion``, as far as it was streamed (docs/openai.md, 1.2).
    """

    id: str | None = None
    """Of the completion."""
    created: int | None = None
    """Unix seconds."""
    model: str | None = None
    """The model that answered, by its full name."""
    service_tier: str | None = None
    """Who was served first: ``default``, ``flex``, ``priority``, …"""
    system_fingerprint: str | None = None
    """What the model runs on; OpenAI calls it deprecated."""
    usage: JSONObject | None = None
    """The last count of tokens, as sent: ``prompt_tokens``, ``completion_tokens``,
    ``total_tokens``, and details."""
    moderation: JSONObject | None = None
    """``input`` and ``output``: results, or an error, of each."""
    choices: list[CompletionChoice] = field(default_factory=list)
    """By ``index``."""
