"""OpenAI's streams over ``sse_core``: chunks, what they add up to, and how they ended.

``read_chat`` reads bytes from any transport; ``ChatStream``, ``ResponseStream`` and
``TypedEventStream`` read events; ``stream_chat`` brings its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._chat.chunks import (
    ChatCompletionChunk,
    Choice,
    CustomDelta,
    Delta,
    FunctionDelta,
    JSONObject,
    ToolCallDelta,
)
from ._chat.completion import ChatCompletion, CompletionChoice, Custom, Function, Message, ToolCall
from ._chat.events import (
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
from ._chat.reader import AsyncChatReader, ChatReader, aread_chat, read_chat
from ._chat.stream import ChatStream
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

if TYPE_CHECKING:
    from ._chat.legacy import CompletionStream
    from ._endpoint.client import ChatEventStream, Client, ResponseEventStream, stream_chat
    from ._endpoint.request import Endpoint, chat_request, responses_request
    from ._responses.events import (
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
    from ._responses.response import Response, ResponseFunctionToolCall
    from ._responses.stream import ResponseStream
    from ._responses.typed import TypedEvent, TypedEventStream

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
    "ChatEventStream": "_endpoint.client",
    "Client": "_endpoint.client",
    "ResponseEventStream": "_endpoint.client",
    "responses_request": "_endpoint.request",
    "CompletionStream": "_chat.legacy",
    "Endpoint": "_endpoint.request",
    "Response": "_responses.response",
    "ResponseFunctionToolCall": "_responses.response",
    "ResponseStream": "_responses.stream",
    "TypedEvent": "_responses.typed",
    "TypedEventStream": "_responses.typed",
    "UnknownEvent": "_responses.events",
    "chat_request": "_endpoint.request",
    "stream_chat": "_endpoint.client",
}
# The events of the Responses API, which are many.
_LAZY |= {
    name: "_responses.events"
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
