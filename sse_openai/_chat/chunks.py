"""JSON objects -> the chunks of a chat completion, as values.

Nothing is validated beyond what reading needs, because compatible servers differ: a
field of the wrong shape is as good as absent, and a key that is not known survives in
``extra``. Rules are cited by their numbers in docs/openai.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = [
    "ChatCompletionChunk",
    "Choice",
    "CustomDelta",
    "Delta",
    "FunctionDelta",
    "JSONObject",
    "ToolCallDelta",
]


class JSONObject(dict[str, Any]):
    """A JSON object as it was sent, whose keys can be read as attributes too.

    For the parts that only get handed on: usage, log probabilities, audio, moderation; their
    keys are those of the API reference (docs/openai.md, 1.2). A key that was not sent is None
    as an attribute.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copy and pickle ask for is no key
            raise AttributeError(name)
        return self.get(name)


@dataclass(slots=True)
class FunctionDelta:
    """What one chunk adds to a function call (docs/openai.md, 1.2)."""

    name: str | None = None
    """The whole name; None when this chunk carries none."""
    arguments: str | None = None
    """Text to append."""


@dataclass(slots=True)
class CustomDelta:
    """What one chunk adds to the call of a custom tool (docs/openai.md, 1.2)."""

    name: str | None = None
    """The whole name; None when this chunk carries none."""
    input: str | None = None
    """Text to append."""


@dataclass(slots=True)
class ToolCallDelta:
    """What one chunk adds to one tool call: an item of a delta's ``tool_calls``.

    A call's first fragment brings id, type and name, the others only text (docs/openai.md, 1.2;
    which fragment belongs to which call is rule O20).
    """

    index: int | None = None
    """Which call, counted from 0, where the server numbers them."""
    id: str | None = None
    """What the tool's result has to name; None when this chunk carries none."""
    type: str | None = None
    """``function`` or ``custom``; None when this chunk carries none."""
    function: FunctionDelta | None = None
    """None in the call of a custom tool."""
    custom: CustomDelta | None = None
    """None in the call of a function."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that are not in OpenAI's reference, as sent."""


@dataclass(slots=True)
class Delta:
    """What one chunk adds to one choice; None for what it does not carry.

    ``delta`` of the reference's ``chat.completion.chunk`` (docs/openai.md, 1.2).
    """

    role: str | None = None
    """``assistant``, in the first chunk of a choice."""
    content: str | None = None
    """Text to append."""
    reasoning: str | None = None
    """Text to append: ``reasoning_content`` or ``reasoning``, or thinking parts of content."""
    refusal: str | None = None
    """Text to append."""
    tool_calls: list[ToolCallDelta] = field(default_factory=list)
    """Fragments of calls, in any order; empty when this chunk carries none."""
    function_call: FunctionDelta | None = None
    """The predecessor of ``tool_calls``, which OpenAI calls deprecated."""
    audio: JSONObject | None = None
    """``id``, ``data`` (base64 to append), ``transcript`` (text to append), ``expires_at``
    (Unix seconds), each in some chunks only."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that are not in OpenAI's reference, as sent."""


@dataclass(slots=True)
class Choice:
    """One choice's part of a chunk: an item of its ``choices`` (docs/openai.md, 1.2)."""

    index: int
    """Which choice, counted from 0; its place in the chunk where the server does not say."""
    delta: Delta
    """What is new."""
    finish_reason: str | None = None
    """``stop``, ``length``, ``tool_calls``, ``content_filter``, or what else a server says."""
    logprobs: JSONObject | None = None
    """``content`` and ``refusal``: each a list of ``token``, ``logprob``, ``bytes`` and
    ``top_logprobs``, or None."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that are not in OpenAI's reference, as sent."""


@dataclass(slots=True)
class ChatCompletionChunk:
    """One event of a streamed chat completion.

    The reference's ``chat.completion.chunk`` (docs/openai.md, 1.2).
    """

    id: str | None = None
    """Of the completion: the same in every chunk."""
    object: str | None = None
    """``chat.completion.chunk``."""
    created: int | None = None
    """Unix seconds."""
    model: str | None = None
    """The model that answers, by its full name."""
    choices: list[Choice] = field(default_factory=list)
    """As sent: none on a chunk of usage, several where a server puts them together."""
    service_tier: str | None = None
    """Who was served first: ``default``, ``flex``, ``priority``, …"""
    system_fingerprint: str | None = None
    """What the model runs on; OpenAI calls it deprecated."""
    usage: JSONObject | None = None
    """Tokens counted so far: usually on one chunk, the last, whose ``choices`` are empty."""
    moderation: JSONObject | None = None
    """``input`` and ``output``: results, or an error, of each."""
    obfuscation: str | None = None
    """Padding against an observer who counts bytes."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that are not in OpenAI's reference, as sent."""

    @property
    def content(self) -> str | None:
        """``choices[0].delta.content``; None when there is none."""
        return self.choices[0].delta.content if self.choices else None

    @property
    def reasoning(self) -> str | None:
        """``choices[0].delta.reasoning``; None when there is none."""
        return self.choices[0].delta.reasoning if self.choices else None

    @property
    def tool_calls(self) -> list[ToolCallDelta]:
        """``choices[0].delta.tool_calls``."""
        return self.choices[0].delta.tool_calls if self.choices else []

    @property
    def finish_reason(self) -> str | None:
        """``choices[0].finish_reason``; None when there is none."""
        return self.choices[0].finish_reason if self.choices else None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ChatCompletionChunk:
        """Return the chunk that a decoded JSON object stands for."""
        get = value.get
        usage, moderation = get("usage"), get("moderation")
        return cls(
            get("id"),
            get("object"),
            get("created"),
            get("model"),
            _choices(get("choices")),
            get("service_tier"),
            get("system_fingerprint"),
            usage if usage is None else _json_object(usage),
            moderation if moderation is None else _json_object(moderation),
            get("obfuscation"),
            {} if _CHUNK_KEYS.issuperset(value) else _extra(value, _CHUNK_KEYS),
        )


# What is read of each object. The rest is its ``extra``.
_CHUNK_KEYS = frozenset(each.name for each in fields(ChatCompletionChunk)) - {"extra"}
_CHOICE_KEYS = frozenset(each.name for each in fields(Choice)) - {"extra"}
_DELTA_KEYS = frozenset(each.name for each in fields(Delta)) - {"extra"} | {"reasoning_content"}
_TOOL_CALL_KEYS = frozenset(each.name for each in fields(ToolCallDelta)) - {"extra"}


# Asked where an object is made: nearly always there is nothing else, and asking is in C.
def _extra(value: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {key: value[key] for key in value if key not in known}


def _choices(values: Any) -> list[Choice]:
    # O10: null or missing is empty; without an index, the position counts.
    if not isinstance(values, list):
        return []
    if len(values) == 1 and isinstance(values[0], dict):  # nearly always
        return [_choice(values[0], 0)]
    return [_choice(value, at) for at, value in enumerate(values) if isinstance(value, dict)]


def _choice(value: dict[str, Any], position: int) -> Choice:
    get = value.get
    index, message = get("index"), get("delta")
    finish_reason, logprobs = get("finish_reason"), get("logprobs")
    extra = {} if _CHOICE_KEYS.issuperset(value) else _extra(value, _CHOICE_KEYS)
    if message is None:
        # O10: a whole completion as one event has a message in the delta's place.
        message = extra.pop("message", None)
    return Choice(
        index if type(index) is int else position,
        _delta(message) if isinstance(message, dict) else Delta(),
        finish_reason if finish_reason is None else _text(finish_reason),
        logprobs if logprobs is None else _json_object(logprobs),
        extra,
    )


def _delta(value: dict[str, Any]) -> Delta:
    get = value.get
    content, calls = get("content"), get("tool_calls")
    if len(value) == 1:  # nearly always
        if isinstance(content, str):
            return Delta(None, content, None, None, [], None, None, {})
        if isinstance(calls, list):
            return Delta(None, None, None, None, _tool_calls(calls), None, None, {})
    # O14: `reasoning_content` when a non-empty string, else `reasoning`; never both.
    reasoning = _text(get("reasoning_content"))
    reasoning = reasoning or _text(get("reasoning", reasoning))
    if isinstance(content, list):
        content, thinking = _content_parts(content)
        reasoning = reasoning or thinking
    return Delta(
        _text(get("role")),
        _text(content),
        reasoning,
        _text(get("refusal")),
        _tool_calls(calls),
        _function(get("function_call")),
        _json_object(get("audio")),
        {} if _DELTA_KEYS.issuperset(value) else _extra(value, _DELTA_KEYS),
    )


def _content_parts(parts: list[Any]) -> tuple[str | None, str | None]:
    """O13: of a list, ``text`` parts are content and ``thinking`` parts reasoning."""
    found: dict[str, list[str]] = {"text": [], "thinking": []}
    for part in parts:
        if isinstance(part, dict) and (kind := part.get("type")) in ("text", "thinking"):
            value = part.get(kind)
            # Mistral nests text parts in a thinking part: once, so that no depth is followed.
            inner = value if isinstance(value, list) else [{"text": value}]
            texts = [item.get("text") for item in inner if isinstance(item, dict)]
            found[kind] += [text for text in texts if isinstance(text, str)]
    return tuple("".join(texts) if texts else None for texts in found.values())  # type: ignore[return-value]  # two keys, two values


def _tool_calls(values: Any) -> list[ToolCallDelta]:
    if not isinstance(values, list):
        return []
    return [_tool_call(value) for value in values if isinstance(value, dict)]


def _tool_call(value: dict[str, Any]) -> ToolCallDelta:
    get = value.get
    index = get("index")
    custom = get("custom")
    return ToolCallDelta(
        index if type(index) is int else None,
        _text(get("id")),
        _text(get("type")),
        _function(get("function")),
        CustomDelta(_text(custom.get("name")), _text(custom.get("input")))
        if isinstance(custom, dict)
        else None,
        {} if _TOOL_CALL_KEYS.issuperset(value) else _extra(value, _TOOL_CALL_KEYS),
    )


def _function(value: Any) -> FunctionDelta | None:
    if not isinstance(value, dict):
        return None
    arguments = value.get("arguments")
    if isinstance(arguments, dict):
        # O20: some servers send the object itself.
        arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    return FunctionDelta(_text(value.get("name")), _text(arguments))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _json_object(value: Any) -> JSONObject | None:
    return JSONObject(value) if isinstance(value, dict) else None
