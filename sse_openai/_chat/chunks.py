"""JSON objects -> the chunks of a chat completion, as values.

Compatible servers differ, so nothing is validated beyond what reading needs: a field of
the wrong type is treated as missing, and unknown keys are kept in ``extra``. Rules are
cited by their numbers in docs/maintainers/openai.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any


class JSONObject(dict[str, Any]):
    """A JSON object as it was sent, whose keys can be read as attributes too.

    Used for parts that are only passed on: usage, log probabilities, audio, moderation. Their
    keys are those of the API reference. A key that was not sent is None as an attribute.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # looked up by copy and pickle
            raise AttributeError(name)
        return self.get(name)


@dataclass(slots=True)
class FunctionDelta:
    """One chunk's addition to a function call."""

    name: str | None = None
    """The whole name; None if this chunk carries none."""
    arguments: str | None = None
    """Text to append."""


@dataclass(slots=True)
class CustomDelta:
    """One chunk's addition to the call of a custom tool."""

    name: str | None = None
    """The whole name; None if this chunk carries none."""
    input: str | None = None
    """Text to append."""


@dataclass(slots=True)
class ToolCallDelta:
    """One chunk's addition to one tool call: an item of a delta's ``tool_calls``.

    The first fragment of a call brings id, type and name, the others only text.
    """

    index: int | None = None
    """The call, counted from 0, if the server numbers them."""
    id: str | None = None
    """The id that the tool's result must name; None if this chunk carries none."""
    type: str | None = None
    """``function`` or ``custom``; None if this chunk carries none."""
    function: FunctionDelta | None = None
    """None for a custom tool."""
    custom: CustomDelta | None = None
    """None for a function."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that OpenAI's reference does not have, as sent."""


@dataclass(slots=True)
class Delta:
    """One chunk's addition to one choice; fields that it does not carry are None.

    ``delta`` of the reference's ``chat.completion.chunk``.
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
    """Fragments of calls, in any order; empty if this chunk carries none."""
    function_call: FunctionDelta | None = None
    """The predecessor of ``tool_calls``, which OpenAI calls deprecated."""
    audio: JSONObject | None = None
    """``id``, ``data`` (base64 to append), ``transcript`` (text to append), ``expires_at``
    (Unix seconds), each in some chunks only."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that OpenAI's reference does not have, as sent."""


@dataclass(slots=True)
class Choice:
    """One choice's part of a chunk: an item of its ``choices``."""

    index: int
    """The choice, counted from 0; its place in the chunk if the server sends no index."""
    delta: Delta
    """The new part."""
    finish_reason: str | None = None
    """``stop``, ``length``, ``tool_calls``, ``content_filter``, or a server's own."""
    logprobs: JSONObject | None = None
    """``content`` and ``refusal``: each a list of ``token``, ``logprob``, ``bytes`` and
    ``top_logprobs``, or None."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that OpenAI's reference does not have, as sent."""


@dataclass(slots=True)
class ChatCompletionChunk:
    """One event of a streamed chat completion.

    The reference's ``chat.completion.chunk``.
    """

    id: str | None = None
    """The id of the completion: the same in every chunk."""
    object: str | None = None
    """``chat.completion.chunk``."""
    created: int | None = None
    """Unix seconds."""
    model: str | None = None
    """The full name of the model that answers."""
    choices: list[Choice] = field(default_factory=list)
    """As sent: none in a chunk of usage, several if a server combines them."""
    service_tier: str | None = None
    """The priority of the request: ``default``, ``flex``, ``priority``, …"""
    system_fingerprint: str | None = None
    """The configuration that the model runs on; OpenAI calls it deprecated."""
    usage: JSONObject | None = None
    """Tokens counted so far: usually in one chunk, the last, whose ``choices`` are empty."""
    moderation: JSONObject | None = None
    """``input`` and ``output``: results, or an error, for each."""
    obfuscation: str | None = None
    """Padding against observers who count bytes."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that OpenAI's reference does not have, as sent."""

    @property
    def content(self) -> str | None:
        """``choices[0].delta.content``; None if there is none."""
        return self.choices[0].delta.content if self.choices else None

    @property
    def reasoning(self) -> str | None:
        """``choices[0].delta.reasoning``; None if there is none."""
        return self.choices[0].delta.reasoning if self.choices else None

    @property
    def tool_calls(self) -> list[ToolCallDelta]:
        """``choices[0].delta.tool_calls``."""
        return self.choices[0].delta.tool_calls if self.choices else []

    @property
    def finish_reason(self) -> str | None:
        """``choices[0].finish_reason``; None if there is none."""
        return self.choices[0].finish_reason if self.choices else None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ChatCompletionChunk:
        """Return the chunk for a decoded JSON object."""
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


# The keys that are read from each object. The rest is its ``extra``.
_CHUNK_KEYS = frozenset(each.name for each in fields(ChatCompletionChunk)) - {"extra"}
_CHOICE_KEYS = frozenset(each.name for each in fields(Choice)) - {"extra"}
_DELTA_KEYS = frozenset(each.name for each in fields(Delta)) - {"extra"} | {"reasoning_content"}
_TOOL_CALL_KEYS = frozenset(each.name for each in fields(ToolCallDelta)) - {"extra"}


# Callers check first: there is almost never anything in it, and the check runs in C.
def _extra(value: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {key: value[key] for key in value if key not in known}


def _choices(values: Any) -> list[Choice]:
    # O10: null or missing counts as empty; without an index, the position counts.
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
        # O10: a whole completion sent as one event has a message instead of the delta.
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
    # O14: `reasoning_content` if it is a non-empty string, else `reasoning`; never both.
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
    """Return the ``text`` parts of a list as content, its ``thinking`` parts as reasoning (O13)."""
    found: dict[str, list[str]] = {"text": [], "thinking": []}
    for part in parts:
        if isinstance(part, dict) and (kind := part.get("type")) in ("text", "thinking"):
            value = part.get(kind)
            # Mistral nests text parts in a thinking part, one level deep: no need to recurse.
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
        # O20: some servers send the object itself, not its text.
        arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    return FunctionDelta(_text(value.get("name")), _text(arguments))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _json_object(value: Any) -> JSONObject | None:
    return JSONObject(value) if isinstance(value, dict) else None
