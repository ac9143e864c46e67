"""A request's body -> what it asks of the mock, or the error that the API would answer.

Nothing is made up and nothing is let through: a field of the wrong type, a value out of
range or a combination that the API refuses is a ``Refusal``, with the field's name.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final, TypeVar

__all__ = ["ChatRequest", "Refusal", "utf8"]

T = TypeVar("T")

MAX_CHOICES: Final = 128
"""The specification's limit of ``n``."""
ROLES: Final = ("developer", "system", "user", "assistant", "tool", "function")


class Refusal(Exception):
    """A request that gets an error, in the API's shape."""

    def __init__(
        self,
        message: str,
        param: str | None = None,
        *,
        status: int = 400,
        code: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.error = {
            "message": message,
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        }


@dataclass(slots=True, frozen=True)
class _Tool:
    name: str
    parameters: dict[str, Any] | None
    """A JSON Schema."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ChatRequest:
    """What a valid request asks for."""

    model: str
    prompt_tokens: int
    stream: bool
    include_usage: bool
    n: int
    stop: tuple[str, ...]
    max_tokens: int | None
    logprobs: bool
    top_logprobs: int
    calls: tuple[_Tool, ...]
    """The tools to call; none of them for an answer in text."""

    @classmethod
    def from_body(cls, body: bytes) -> ChatRequest:
        """Read a request's body; Refusal for what the API would refuse."""
        fields = _Fields.from_body(body)
        model = fields.required("model", str)
        if not model:
            raise fields.invalid("model", "it is empty")
        texts, question = _read_messages(fields)
        stream = fields.optional("stream", bool) or False
        logprobs, top_logprobs = _read_logprobs(fields)
        return cls(
            model=model,
            prompt_tokens=sum(math.ceil(len(utf8(text)) / 4) for text in texts),
            stream=stream,
            include_usage=_read_stream_options(fields, stream),
            n=fields.integer("n", 1, MAX_CHOICES) or 1,
            stop=_read_stop(fields),
            max_tokens=_read_max_tokens(fields),
            logprobs=logprobs,
            top_logprobs=top_logprobs,
            calls=_read_calls(fields, question),
        )


class _Fields:
    """A JSON object of the request, and where it stands. Every misfit is a Refusal.

    To the API a field that is null is as good as absent.
    """

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path

    @classmethod
    def from_body(cls, body: bytes) -> _Fields:
        try:
            values = json.loads(body, parse_constant=_finite, parse_float=_finite)
        except ValueError:
            # Not JSON, not UTF-8, or an integer of more digits than int() reads.
            raise Refusal("We could not parse the JSON body of your request.") from None
        if type(values) is not dict:
            raise Refusal(f"Invalid body: expected an object, but got {_json_type(values)}.")
        return cls(values)

    def optional(self, name: str, kind: type[T]) -> T | None:
        value = self._values.get(name)
        # type() rather than isinstance(): to Python, True is an integer.
        if value is None or type(value) is kind:
            return value
        raise self.invalid_type(name, kind, value)

    def required(self, name: str, kind: type[T]) -> T:
        value = self.optional(name, kind)
        if value is None:
            param = self._path + name
            message = f"Missing required parameter: '{param}'."
            raise Refusal(message, param, code="missing_required_parameter")
        return value

    def integer(self, name: str, low: int, high: int | None = None) -> int | None:
        value = self.optional(name, int)
        # The value is not repeated: str() refuses thousands of digits.
        if value is not None and value < low:
            raise self.invalid(name, f"expected a value >= {low}", "integer_below_min_value")
        if value is not None and high is not None and value > high:
            raise self.invalid(name, f"expected a value <= {high}", "integer_above_max_value")
        return value

    def strings(self, name: str) -> list[str]:
        """Return a field that holds a string or an array of strings."""
        value = self._values.get(name)
        if type(value) is not list:
            text = self.optional(name, str)
            return [] if text is None else [text]
        for index, item in enumerate(value):
            if type(item) is not str:
                raise self.invalid_type(f"{name}[{index}]", str, item)
        return value

    def object(self, name: str) -> _Fields:
        return _Fields(self.required(name, dict), f"{self._path}{name}.")

    def objects(self, name: str) -> list[_Fields]:
        """Return the objects of an array; none where the field is absent."""
        objects = []
        for index, item in enumerate(self.optional(name, list) or ()):
            if type(item) is not dict:
                raise self.invalid_type(f"{name}[{index}]", dict, item)
            objects.append(_Fields(item, f"{self._path}{name}[{index}]."))
        return objects

    def has(self, name: str, kind: type) -> bool:
        return type(self._values.get(name)) is kind

    def invalid_type(self, name: str, kind: type, value: Any) -> Refusal:
        reason = f"expected {_JSON_TYPES[kind]}, but got {_json_type(value)} instead"
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


def _json_type(value: Any) -> str:
    return _JSON_TYPES[type(value)]


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} cannot be written as JSON again")
    return value


def utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a request may bring lone surrogates


def _read_messages(fields: _Fields) -> tuple[list[str], str]:
    """Return each message's text, and once more the last one's if it is the user's."""
    fields.required("messages", list)
    messages = fields.objects("messages")
    if not messages:
        raise fields.invalid("messages", "expected at least one message", "empty_array")
    for message in messages:
        if message.required("role", str) not in ROLES:
            raise message.invalid("role", f"expected one of {', '.join(ROLES)}")
    texts = [_read_text(message) for message in messages]
    return texts, texts[-1] if messages[-1].required("role", str) == "user" else ""


def _read_text(message: _Fields) -> str:
    if not message.has("content", list):
        return message.optional("content", str) or ""
    return "".join(part.optional("text", str) or "" for part in message.objects("content"))


def _read_logprobs(fields: _Fields) -> tuple[bool, int]:
    logprobs = fields.optional("logprobs", bool) or False
    top_logprobs = fields.integer("top_logprobs", 0, 20)
    if top_logprobs is not None and not logprobs:
        raise fields.invalid("top_logprobs", "it needs 'logprobs'")
    return logprobs, top_logprobs or 0


def _read_stream_options(fields: _Fields, stream: bool) -> bool:
    if fields.optional("stream_options", dict) is None:
        return False
    if not stream:
        raise fields.invalid("stream_options", "it needs 'stream'")
    options = fields.object("stream_options")
    options.optional("include_obfuscation", bool)  # checked, and not imitated
    return options.optional("include_usage", bool) or False


def _read_stop(fields: _Fields) -> tuple[str, ...]:
    stop = fields.strings("stop")
    if len(stop) > 4:
        reason = f"expected at most 4 strings, but got {len(stop)}"
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


def _read_calls(fields: _Fields, question: str) -> tuple[_Tool, ...]:
    """Return the tools to call, by the rule that MockOpenAI documents."""
    tools = {tool.name: tool for tool in map(_read_tool, fields.objects("tools"))}
    parallel = fields.optional("parallel_tool_calls", bool)
    if fields.has("tool_choice", dict):
        name = fields.object("tool_choice").object("function").required("name", str)
        if name not in tools:
            raise fields.invalid("tool_choice", "the function is not among 'tools'")
        return (tools[name],)
    choice = fields.optional("tool_choice", str)
    if choice not in (None, "none", "auto", "required"):
        raise fields.invalid("tool_choice", "expected none, auto, required or a function")
    if choice is not None and not tools:
        raise fields.invalid("tool_choice", "it needs 'tools'")
    if choice == "none":
        return ()
    question = question.casefold()
    calls = [tool for name, tool in tools.items() if name.casefold() in question]
    if choice == "required" and not calls:
        calls = list(tools.values())[:1]
    return tuple(calls[:1] if parallel is False else calls)


def _read_tool(tool: _Fields) -> _Tool:
    if tool.required("type", str) != "function":
        raise tool.invalid("type", "the mock knows functions only")
    function = tool.object("function")
    name = function.required("name", str)
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise function.invalid("name", "expected 1 to 64 of a-z, A-Z, 0-9, _ and -")
    return _Tool(name, function.optional("parameters", dict))
