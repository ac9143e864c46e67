"""OpenAI's streams over ``sse_core``: chunks, what they add up to, and how they ended.

``read_chat`` reads bytes from any transport; ``ChatStream``, ``ResponseStream`` and
``TypedEventStream`` read events; ``stream_chat`` brings its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._chat import ChatStream
from ._chat_events import (
    ArgumentsDelta,
    ChatEvent,
    ChatEvents,
    ChoiceDone,
    ContentDelta,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDone,
    UsageReport,
)
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
from ._partial_json import PartialJSON
from ._rate_limit import RateLimit
from ._read import AsyncChatReader, ChatReader, aread_chat, read_chat

if TYPE_CHECKING:
    from ._client import ChatEventStream, Client, ResponseEventStream, stream_chat
    from ._legacy import CompletionStream
    from ._request import Endpoint, chat_request, responses_request
    from ._response import Response, ResponseFunctionToolCall
    from ._response_events import (
        ResponseAudioDeltaEvent,
        ResponseAudioDoneEvent,
        ResponseAudioTranscriptDeltaEvent,
        ResponseAudioTranscriptDoneEvent,
        ResponseCodeInterpreterCallCodeDeltaEvent,
        ResponseCodeInterpreterCallCodeDoneEvent,
        ResponseCompletedEvent,
        ResponseContentPartAddedEvent,
        ResponseContentPartDoneEvent,
        ResponseCreatedEvent,
        ResponseCustomToolCallInputDeltaEvent,
        ResponseCustomToolCallInputDoneEvent,
        ResponseFailedEvent,
        ResponseFunctionCallArgumentsDeltaEvent,
        ResponseFunctionCallArgumentsDoneEvent,
        ResponseImageGenCallPartialImageEvent,
        ResponseIncompleteEvent,
        ResponseInProgressEvent,
        ResponseItemStatusEvent,
        ResponseLifecycleEvent,
        ResponseMcpCallArgumentsDeltaEvent,
        ResponseMcpCallArgumentsDoneEvent,
        ResponseOutputItemAddedEvent,
        ResponseOutputItemDoneEvent,
        ResponseOutputTextAnnotationAddedEvent,
        ResponseQueuedEvent,
        ResponseReasoningSummaryPartAddedEvent,
        ResponseReasoningSummaryPartDoneEvent,
        ResponseReasoningSummaryTextDeltaEvent,
        ResponseReasoningSummaryTextDoneEvent,
        ResponseReasoningTextDeltaEvent,
        ResponseReasoningTextDoneEvent,
        ResponseRefusalDeltaEvent,
        ResponseRefusalDoneEvent,
        ResponseShellCallCommandAddedEvent,
        ResponseShellCallCommandDeltaEvent,
        ResponseShellCallCommandDoneEvent,
        ResponseShellCallOutputContentDeltaEvent,
        ResponseShellCallOutputContentDoneEvent,
        ResponseStreamEvent,
        ResponseTextDeltaEvent,
        ResponseTextDoneEvent,
        UnknownEvent,
    )
    from ._responses import ResponseStream
    from ._typed import TypedEvent, TypedEventStream

__all__ = [
    "APIError",
    "ArgumentsDelta",
    "AsyncChatReader",
    "AuthenticationError",
    "BadRequestError",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatError",
    "ChatEvent",
    "ChatEventStream",
    "ChatEvents",
    "ChatReader",
    "ChatStream",
    "Choice",
    "ChoiceDone",
    "Client",
    "CompletionChoice",
    "CompletionStream",
    "ConflictError",
    "ContentDelta",
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
    "PartialJSON",
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitError",
    "ReasoningDelta",
    "RefusalDelta",
    "Response",
    "ResponseAudioDeltaEvent",
    "ResponseAudioDoneEvent",
    "ResponseAudioTranscriptDeltaEvent",
    "ResponseAudioTranscriptDoneEvent",
    "ResponseCodeInterpreterCallCodeDeltaEvent",
    "ResponseCodeInterpreterCallCodeDoneEvent",
    "ResponseCompletedEvent",
    "ResponseContentPartAddedEvent",
    "ResponseContentPartDoneEvent",
    "ResponseCreatedEvent",
    "ResponseCustomToolCallInputDeltaEvent",
    "ResponseCustomToolCallInputDoneEvent",
    "ResponseEventStream",
    "ResponseFailedEvent",
    "ResponseFunctionCallArgumentsDeltaEvent",
    "ResponseFunctionCallArgumentsDoneEvent",
    "ResponseFunctionToolCall",
    "ResponseImageGenCallPartialImageEvent",
    "ResponseInProgressEvent",
    "ResponseIncompleteEvent",
    "ResponseItemStatusEvent",
    "ResponseLifecycleEvent",
    "ResponseMcpCallArgumentsDeltaEvent",
    "ResponseMcpCallArgumentsDoneEvent",
    "ResponseOutputItemAddedEvent",
    "ResponseOutputItemDoneEvent",
    "ResponseOutputTextAnnotationAddedEvent",
    "ResponseQueuedEvent",
    "ResponseReasoningSummaryPartAddedEvent",
    "ResponseReasoningSummaryPartDoneEvent",
    "ResponseReasoningSummaryTextDeltaEvent",
    "ResponseReasoningSummaryTextDoneEvent",
    "ResponseReasoningTextDeltaEvent",
    "ResponseReasoningTextDoneEvent",
    "ResponseRefusalDeltaEvent",
    "ResponseRefusalDoneEvent",
    "ResponseShellCallCommandAddedEvent",
    "ResponseShellCallCommandDeltaEvent",
    "ResponseShellCallCommandDoneEvent",
    "ResponseShellCallOutputContentDeltaEvent",
    "ResponseShellCallOutputContentDoneEvent",
    "ResponseStream",
    "ResponseStreamEvent",
    "ResponseTextDeltaEvent",
    "ResponseTextDoneEvent",
    "StreamTruncated",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallDone",
    "TypedEvent",
    "TypedEventStream",
    "UnknownEvent",
    "UnprocessableEntityError",
    "UsageReport",
    "aread_chat",
    "chat_request",
    "read_chat",
    "responses_request",
    "stream_chat",
]

_LAZY = {
    "ChatEventStream": "_client",
    "Client": "_client",
    "ResponseEventStream": "_client",
    "responses_request": "_request",
    "CompletionStream": "_legacy",
    "Endpoint": "_request",
    "Response": "_response",
    "ResponseFunctionToolCall": "_response",
    "ResponseStream": "_responses",
    "TypedEvent": "_typed",
    "TypedEventStream": "_typed",
    "UnknownEvent": "_response_events",
    "chat_request": "_request",
    "stream_chat": "_client",
}
# The events of the Responses API, which are many.
_LAZY |= {
    name: "_response_events"
    for name in __all__
    if name.startswith("Response") and name.endswith("Event")
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
