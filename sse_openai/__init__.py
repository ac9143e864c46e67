"""OpenAI's streams over ``sse_core``: chunks, what they add up to, and how they ended.

``ChatStream`` reads events from any transport; ``stream_chat`` brings its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._chat import ChatStream
from ._chunks import (
    ChatCompletionChunk,
    Choice,
    CustomDelta,
    Delta,
    FunctionDelta,
    JSONObject,
    ToolCallDelta,
)
from ._completion import ChatCompletion, CompletionChoice, Custom, Function, Message, ToolCall
from ._errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ChatError,
    ConflictError,
    InternalServerError,
    MalformedChunk,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    StreamTruncated,
    UnprocessableEntityError,
)

if TYPE_CHECKING:
    from ._client import ChatEventStream, Client, stream_chat
    from ._request import Endpoint, chat_request

__all__ = [
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatError",
    "ChatEventStream",
    "ChatStream",
    "Choice",
    "Client",
    "CompletionChoice",
    "ConflictError",
    "Custom",
    "CustomDelta",
    "Delta",
    "Endpoint",
    "Function",
    "FunctionDelta",
    "InternalServerError",
    "JSONObject",
    "MalformedChunk",
    "Message",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "StreamTruncated",
    "ToolCall",
    "ToolCallDelta",
    "UnprocessableEntityError",
    "chat_request",
    "stream_chat",
]

_LAZY = {
    "ChatEventStream": "_client",
    "Client": "_client",
    "Endpoint": "_request",
    "chat_request": "_request",
    "stream_chat": "_client",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
