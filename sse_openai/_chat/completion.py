"""A chat completion as one value: the answer to a request without streaming."""

from __future__ import annotations

from dataclasses import dataclass, field

from .chunks import JSONObject


@dataclass(slots=True)
class Function:
    """A function call: ``function`` of a message's ``tool_calls``."""

    name: str | None = None
    """None if it never arrived."""
    arguments: str = ""
    """JSON text as the model wrote it; it may be cut off, or invalid."""


@dataclass(slots=True)
class Custom:
    """A custom tool's call: ``custom`` of a message's ``tool_calls``."""

    name: str | None = None
    """None if it never arrived."""
    input: str = ""
    """Free text."""


@dataclass(slots=True)
class ToolCall:
    """A call that the model requests: an item of ``tool_calls``."""

    id: str | None = None
    """The id that the tool's result must name; None if the server gave none."""
    type: str | None = None
    """``function`` or ``custom``."""
    function: Function | None = None
    """None for a custom tool."""
    custom: Custom | None = None
    """None for a function."""


@dataclass(slots=True)
class Message:
    """The message of a choice: ``message`` of a ``chat.completion``.

    A field that was not sent is None.
    """

    role: str | None = None
    """``assistant``."""
    content: str | None = None
    """Text; ``""`` if only empty text was sent."""
    reasoning: str | None = None
    """The model's reasoning, if the endpoint shows it; OpenAI's own chats do not (O14)."""
    refusal: str | None = None
    """Text that replaces the content."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    """In the order in which they began."""
    function_call: Function | None = None
    """The predecessor of ``tool_calls``."""
    audio: JSONObject | None = None
    """``id``, ``data`` (base64), ``transcript``, ``expires_at`` (Unix seconds)."""


@dataclass(slots=True)
class CompletionChoice:
    """A choice: an item of ``choices`` of a ``chat.completion``."""

    index: int
    """Counted from 0."""
    finish_reason: str | None = None
    """``stop``, ``length``, ``tool_calls``, ``content_filter``; None until it stops."""
    message: Message = field(default_factory=Message)
    """Its message."""
    logprobs: JSONObject | None = None
    """``content`` and ``refusal``: each a list of ``token``, ``logprob``, ``bytes`` and
    ``top_logprobs``, or None."""


@dataclass(slots=True)
class ChatCompletion:
    """Everything that a stream has brought. Fields that never arrived are None.

    The reference's ``chat.completion``, as far as it was streamed.
    """

    id: str | None = None
    """The id of the completion."""
    created: int | None = None
    """Unix seconds."""
    model: str | None = None
    """The full name of the model that answered."""
    service_tier: str | None = None
    """The priority of the request: ``default``, ``flex``, ``priority``, …"""
    system_fingerprint: str | None = None
    """The configuration that the model runs on; OpenAI calls it deprecated."""
    usage: JSONObject | None = None
    """The last count of tokens, as sent: ``prompt_tokens``, ``completion_tokens``,
    ``total_tokens``, and details."""
    moderation: JSONObject | None = None
    """``input`` and ``output``: results, or an error, for each."""
    choices: list[CompletionChoice] = field(default_factory=list)
    """Sorted by ``index``."""
