"""A request's body -> the request it makes, or the error that the API would return.

The mock is as strict as the API: a field of the wrong type, a value out of range or a
forbidden combination raises ``Refusal``, which names the field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from .._refusal import Refusal
from .reply import utf8

T = TypeVar("T")

MAX_CHOICES: Final = 128
"""The specification's limit for ``n``."""
MAX_LOGPROBS: Final = 20
MAX_STOP: Final = 4
ROLES: Final = ("developer", "system", "user", "assistant", "tool", "function")
CHOICES: Final = ("none", "auto", "required")
FUNCTION_NAME: Final = "[a-zA-Z0-9_-]{1,64}"


class _Tool(NamedTuple):
    name: str
    parameters: dict[str, Any] | None
    """A JSON Schema."""


@dataclass(slots=True, frozen=True, kw_only=True)
class AnyRequest:
    """The fields of a valid request to either API."""

    model: str
    user: str
    """The text of the user's last message."""
    prompt_tokens: int
    stream: bool
    stop: tuple[str, ...] = ()
    max_tokens: int | None
    calls: tuple[_Tool, ...]
    """The tools to call; empty for an answer in text."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ChatRequest(AnyRequest):
    """A body of ``POST /chat/completions``."""

    include_usage: bool
    n: int
    logprobs: bool
    top_logprobs: int

    @classmethod
    def from_body(cls, body: bytes) -> ChatRequest:
        """Read a request's body; raise Refusal if the API would refuse it."""
        fields = _Fields.from_body(body)
        model = _read_model(fields)
        texts, user, question = _read_messages(fields.some_objects("messages", "message"))
        stream = fields.flag("stream")
        logprobs, top_logprobs = _read_logprobs(fields)
        return cls(
            model=model,
            user=user,
            prompt_tokens=_count(texts),
            stream=stream,
            include_usage=_read_stream_options(fields, stream),
            n=fields.integer("n", 1, MAX_CHOICES) or 1,
            stop=_read_stop(fields),
            max_tokens=_read_max_tokens(fields),
            logprobs=logprobs,
            top_logprobs=top_logprobs,
            calls=_read_calls(fields, question, nested="function"),
        )


@dataclass(slots=True, frozen=True, kw_only=True)
class ResponsesRequest(AnyRequest):
    """A body of ``POST /responses``."""

    background: bool
    store: bool
    echoed: dict[str, Any]
    """Fields that the response repeats."""

    @classmethod
    def from_body(cls, body: bytes) -> ResponsesRequest:
        """Read a request's body; raise Refusal if the API would refuse it."""
        fields = _Fields.from_body(body)
        model = _read_model(fields)
        instructions = fields.optional("instructions", str)
        texts, user, question = _read_input(fields)
        background = fields.flag("background")
        store = fields.flag("store", True)
        if background and not store:
            raise fields.invalid("background", "it needs 'store'")
        stream = fields.flag("stream")
        _read_stream_options(fields, stream)
        max_tokens = fields.integer("max_output_tokens", 1)
        return cls(
            model=model,
            user=user,
            prompt_tokens=_count([*texts, instructions or ""]),
            stream=stream,
            max_tokens=max_tokens,
            calls=_read_calls(fields, question, nested=""),
            background=background,
            store=store,
            echoed={
                "instructions": instructions,
                "max_output_tokens": max_tokens,
                "metadata": fields.optional("metadata", dict) or {},
                "parallel_tool_calls": fields.flag("parallel_tool_calls", True),
                "previous_response_id": fields.optional("previous_response_id", str),
                "tool_choice": fields.values.get("tool_choice") or "auto",
                "tools": fields.values.get("tools") or [],
            },
        )


class _Fields:
    """A JSON object in the request, and its path. A field that does not fit raises Refusal.

    Like the API, it treats a field that is null as missing.
    """

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        self.values = values
        self._path = path

    @classmethod
    def from_body(cls, body: bytes) -> _Fields:
        try:
            values = json.loads(body, parse_constant=_finite, parse_float=_finite)
        except ValueError:
            # Not JSON, not UTF-8, or an integer with more digits than int() accepts.
            raise Refusal("We could not parse the JSON body of your request.") from None
        if type(values) is not dict:
            raise Refusal(f"Invalid body: expected an object, but got {_JSON_TYPES[type(values)]}.")
        return cls(values)

    def optional(self, name: str, kind: type[T]) -> T | None:
        value = self.values.get(name)
        # type(), not isinstance(): in Python, True is an integer.
        if value is None or type(value) is kind:
            return value
        raise self.invalid_type(name, kind, value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.optional(name, bool)
        return default if value is None else value

    def required(self, name: str, kind: type[T]) -> T:
        value = self.optional(name, kind)
        if value is None:
            param = self._path + name
            message = f"Missing required parameter: '{param}'."
            raise Refusal(message, param, code="missing_required_parameter")
        return value

    def integer(self, name: str, low: int, high: int | None = None) -> int | None:
        value = self.optional(name, int)
        # The message omits the value: str() raises an error for thousands of digits.
        if value is not None and value < low:
            raise self.invalid(name, f"expected a value >= {low}", "integer_below_min_value")
        if value is not None and high is not None and value > high:
            raise self.invalid(name, f"expected a value <= {high}", "integer_above_max_value")
        return value

    def strings(self, name: str) -> list[str]:
        """Return the strings of a field: one string, or an array of them."""
        value = self.values.get(name)
        if type(value) is not list:
            text = self.optional(name, str)
            return [] if text is None else [text]
        for index, item in enumerate(value):
            if type(item) is not str:
                raise self.invalid_type(f"{name}[{index}]", str, item)
        return value

    def object(self, name: str) -> _Fields:
        """Return the object in a field; the fields themselves if the name is empty."""
        return _Fields(self.required(name, dict), f"{self._path}{name}.") if name else self

    def objects(self, name: str) -> list[_Fields]:
        """Return the objects in an array; empty if the field is missing."""
        objects = []
        for index, item in enumerate(self.optional(name, list) or ()):
            if type(item) is not dict:
                raise self.invalid_type(f"{name}[{index}]", dict, item)
            objects.append(_Fields(item, f"{self._path}{name}[{index}]."))
        return objects

    def some_objects(self, name: str, item: str) -> list[_Fields]:
        self.required(name, list)
        objects = self.objects(name)
        if not objects:
            raise self.invalid(name, f"expected at least one {item}", "empty_array")
        return objects

    def has(self, name: str, kind: type) -> bool:
        return type(self.values.get(name)) is kind

    def invalid_type(self, name: str, kind: type, value: Any) -> Refusal:
        reason = f"expected {_JSON_TYPES[kind]}, but got {_JSON_TYPES[type(value)]} instead"
        return self.invalid(name, reason, "invalid_type")

    def invalid(self, name: str, reason: str, code: str = "invalid_value") -> Refusal:
        param = self._path + name
        return Refusal(f"Invalid '{param}': {reason}.", param, code=code)


_JSON_TYPES: Final[dict[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "an integer",
    float: "a decimal",
    bool: "a boolean",
    type(None): "null",
}


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} cannot be written as JSON again")
    return value


def _read_model(fields: _Fields) -> str:
    model = fields.required("model", str)
    if not model:
        raise fields.invalid("model", "it is empty")
    return model


def _count(texts: Iterable[str]) -> int:
    return sum(math.ceil(len(utf8(text)) / 4) for text in texts)


def _read_messages(messages: list[_Fields]) -> tuple[list[str], str, str]:
    """Return each message's text, the user's last one, and the question.

    The question is the user's last text if no other message follows it; otherwise it is empty.
    """
    roles = [message.required("role", str) for message in messages]
    for message, role in zip(messages, roles, strict=True):
        if role not in ROLES:
            raise message.invalid("role", f"expected one of {', '.join(ROLES)}")
    texts = [_read_text(message) for message in messages]
    by_user = [text for role, text in zip(roles, texts, strict=True) if role == "user"]
    user = by_user[-1] if by_user else ""
    return texts, user, user if roles[-1:] == ["user"] else ""


def _read_input(fields: _Fields) -> tuple[list[str], str, str]:
    """Like ``_read_messages``, for ``input``: a text or a list of items."""
    if fields.has("input", str):
        text = fields.required("input", str)
        return [text], text, text
    items = fields.some_objects("input", "item")
    types = [item.optional("type", str) for item in items]
    messages = [
        item
        for item, type in zip(items, types, strict=True)
        if type == "message" or (type is None and item.required("role", str))
    ]
    texts, user, question = _read_messages(messages)
    # If anything follows the user's last message, such as the output of a call, it is no
    # longer the question.
    return texts, user, question if messages[-1:] == items[-1:] else ""


def _read_text(message: _Fields) -> str:
    if not message.has("content", list):
        return message.optional("content", str) or ""
    return "".join(part.optional("text", str) or "" for part in message.objects("content"))


def _read_logprobs(fields: _Fields) -> tuple[bool, int]:
    logprobs = fields.flag("logprobs")
    top_logprobs = fields.integer("top_logprobs", 0, MAX_LOGPROBS)
    if top_logprobs is not None and not logprobs:
        raise fields.invalid("top_logprobs", "it needs 'logprobs'")
    return logprobs, top_logprobs or 0


def _read_stream_options(fields: _Fields, stream: bool) -> bool:
    if fields.optional("stream_options", dict) is None:
        return False
    if not stream:
        raise fields.invalid("stream_options", "it needs 'stream'")
    options = fields.object("stream_options")
    options.flag("include_obfuscation")  # checked only, not imitated
    return options.flag("include_usage")


def _read_stop(fields: _Fields) -> tuple[str, ...]:
    stop = fields.strings("stop")
    if len(stop) > MAX_STOP:
        reason = f"expected at most {MAX_STOP} strings, but got {len(stop)}"
        raise fields.invalid("stop", reason, "array_above_max_length")
    if "" in stop:
        raise fields.invalid("stop", "a string is empty")
    return tuple(stop)


def _read_max_tokens(fields: _Fields) -> int | None:
    old = fields.integer("max_tokens", 1)
    new = fields.integer("max_completion_tokens", 1)
    if old is not None and new is not None:
        raise fields.invalid("max_tokens", "'max_completion_tokens' is set as well")
    return old if new is None else new


def _read_calls(fields: _Fields, question: str, *, nested: str) -> tuple[_Tool, ...]:
    """Return the tools to call, by the rule that MockOpenAI documents.

    Tools and ``tool_choice`` describe a function in their key ``nested``, or themselves if
    it is empty.
    """
    read = [_read_tool(tool, nested) for tool in fields.objects("tools")]
    tools = {tool.name: tool for tool in read}
    parallel = fields.flag("parallel_tool_calls", True)
    if fields.has("tool_choice", dict):
        name = fields.object("tool_choice").object(nested).required("name", str)
        if name not in tools:
            raise fields.invalid("tool_choice", "the function is not among 'tools'")
        return (tools[name],)
    choice = fields.optional("tool_choice", str)
    if choice not in (None, *CHOICES):
        raise fields.invalid("tool_choice", "expected none, auto, required or a function")
    if choice is not None and not tools:
        raise fields.invalid("tool_choice", "it needs 'tools'")
    if choice == "none":
        return ()
    question = question.casefold()
    calls = [tool for name, tool in tools.items() if name.casefold() in question]
    if choice == "required" and not calls:
        calls = list(tools.values())[:1]
    return tuple(calls if parallel else calls[:1])


def _read_tool(tool: _Fields, nested: str) -> _Tool:
    if tool.required("type", str) != "function":
        raise tool.invalid("type", "the mock only knows functions")
    function = tool.object(nested)
    name = function.required("name", str)
    if not re.fullmatch(FUNCTION_NAME, name):
        raise function.invalid("name", "expected 1 to 64 of a-z, A-Z, 0-9, _ and -")
    return _Tool(name, function.optional("parameters", dict))
