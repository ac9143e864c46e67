"""OpenAI's streams over ``sse_core``: typed chunks and events, folded into the answer so far.

``read_chat`` reads bytes from any transport; ``ChatStream``, ``ResponseStream`` and
``TypedEventStream`` read events; ``stream_chat`` and ``Client`` have their own transport.
"""

from __future__ import annotations

from sse_core.lazy import TYPE_CHECKING, publish

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
    ChoiceDone,
    ContentDelta,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDone,
    UsageReport,
)
from ._chat.live import ChatEvents
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
    "ChatEvents",
    "ChatReader",
    "ChatStream",
    "Choice",
    "ChoiceDone",
    "CompletionChoice",
    "ConflictError",
    "ContentDelta",
    "Custom",
    "CustomDelta",
    "Delta",
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
    "StreamTruncated",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallDone",
    "UnprocessableEntityError",
    "UsageReport",
    "aread_chat",
    "read_chat",
]
publish(globals())

__all__ += ["CompletionStream"]
publish(globals(), "_chat.legacy")

__all__ += ["ChatEventStream", "Client", "ResponseEventStream", "stream_chat"]
publish(globals(), "_endpoint.client")

__all__ += ["Endpoint", "chat_request", "responses_request"]
publish(globals(), "_endpoint.request")

__all__ += [
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
    "ResponseFailedEvent",
    "ResponseFunctionCallArgumentsDeltaEvent",
    "ResponseFunctionCallArgumentsDoneEvent",
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
    "ResponseStreamEvent",
    "ResponseTextDeltaEvent",
    "ResponseTextDoneEvent",
    "UnknownEvent",
]
publish(globals(), "_responses.events")

__all__ += ["Response", "ResponseFunctionToolCall"]
publish(globals(), "_responses.response")

__all__ += ["ResponseStream"]
publish(globals(), "_responses.stream")

__all__ += ["TypedEvent", "TypedEventStream"]
publish(globals(), "_responses.typed")
