"""A response as one value: the answer to a request without streaming."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._chat.chunks import JSONObject
from .._text import Parts
from .fields import (
    Field,
    as_number,
    as_objects,
    as_optional_object,
    as_optional_text,
    as_text,
)


class ResponseFunctionToolCall(JSONObject):
    """An output item of type ``function_call``: a call that the model requests.

    Its keys are those of the API reference.
    """

    id = Field(as_optional_text)
    """The id of the item."""
    call_id = Field(as_optional_text)
    """The id that the output of the call must name."""
    name = Field(as_optional_text)
    """The name of the function."""
    arguments = Field(as_text)
    """JSON text; only its beginning if the response was cut off."""
    status = Field(as_optional_text)
    """``in_progress``, ``completed`` or ``incomplete``."""


class Response(JSONObject):
    """The ``response`` of the API reference.

    Fields that never arrived are None, or empty. Other keys, such as ``metadata`` or
    ``service_tier``, can be read as attributes too.
    """

    id = Field(as_optional_text)
    """The id with which it is retrieved, or continued by another response."""
    created_at = Field(as_number)
    """Unix seconds."""
    model = Field(as_optional_text)
    """The model that answers."""
    status = Field(as_optional_text)
    """``queued``, ``in_progress``, ``completed``, ``failed``, ``cancelled``, ``incomplete``."""
    output = Field(as_objects)
    """The output items: messages, reasoning, tool calls."""
    usage = Field(as_optional_object)
    """The last count of tokens, as sent."""
    error = Field(as_optional_object)
    """The reason of a failure: ``code`` and ``message``."""
    incomplete_details = Field(as_optional_object)
    """If it is incomplete: ``reason`` is ``max_output_tokens`` or ``content_filter``."""

    def __repr__(self) -> str:
        return f"Response({super().__repr__()})"

    @property
    def output_text(self) -> str:
        """The ``output_text`` parts of all messages, joined."""
        return _joined(_parts(self.output, "message", "content", "output_text"), "text") or ""

    @property
    def refusal(self) -> str | None:
        """The refusals of all messages, joined; None without any."""
        return _joined(_parts(self.output, "message", "content", "refusal"), "refusal")

    @property
    def reasoning_summary(self) -> str | None:
        """All parts of all summaries, joined; None without any."""
        return _joined(_parts(self.output, "reasoning", "summary", "summary_text"), "text")

    @property
    def function_calls(self) -> list[ResponseFunctionToolCall]:
        """The function calls, in output order."""
        calls = (item for item in self.output if item.get("type") == "function_call")
        return [ResponseFunctionToolCall(item) for item in calls]


def _parts(items: list[JSONObject], type: str, key: str, part_type: str) -> Iterator[JSONObject]:
    for item in items:
        if item.get("type") == type:
            for part in as_objects(item.get(key)):
                if part.get("type") in (part_type, None):
                    yield part


def _joined(parts: Iterator[JSONObject], key: str) -> str | None:
    # O34: joined with nothing between; O24: two halves of a character may meet here too.
    text = Parts()
    for part in parts:
        value: Any = part.get(key)
        text.add(value if isinstance(value, str) else None)
    return text.joined()
