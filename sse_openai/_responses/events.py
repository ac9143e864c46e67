"""The events of the Responses API, with the names that the official SDKs give them.

Their fields are read from the JSON object as it was sent, and ``match`` can use them:

    match event:
        case ResponseTextDeltaEvent(delta=text):
            print(text, end="")
        case ResponseOutputItemDoneEvent(item=item) if item.type == "function_call":
            print(item.name, item.arguments)

Their effect on a response is in ``stream.py``.
"""

from __future__ import annotations

from .fields import Field, as_int, as_object, as_objects, as_optional_text, as_text
from .response import Response
from .typed import TypedEvent

EVENTS: dict[str, type[ResponseStreamEvent]] = {}
"""The classes by their types; any other type is an UnknownEvent."""


class ResponseStreamEvent(TypedEvent):
    """Any event of a streamed response.

    A field that was not sent is None, or empty. Ids and indexes are those of the API
    reference; an event that is not about an item, or about a part of one, has none.
    """

    sequence_number = Field(as_int)
    """Its number in the stream; a resumed stream can start after it."""
    output_index = Field(as_int)
    """The index of the output item."""
    item_id = Field(as_optional_text)
    """The ``id`` of that item; some servers send another one with each event."""
    content_index = Field(as_int)
    """The index of the part in the item's content."""
    summary_index = Field(as_int)
    """The index of the part in the item's summary."""
    command_index = Field(as_int)
    """The index of the command in a shell call."""

    def __init_subclass__(cls, type: str = "") -> None:
        if type:
            EVENTS[f"response.{type}"] = cls


class UnknownEvent(ResponseStreamEvent):
    """An event of a type that has no class here.

    It changes nothing in the response; ``type`` and ``data`` have all of it.
    """


class ResponseLifecycleEvent(ResponseStreamEvent):
    """The base class of events with a new state of the response, such as ``response.created``."""

    response = Field(lambda value: Response(as_object(value)))
    """As sent; ``ResponseStream.response`` also has what came before this event."""


class _DeltaEvent(ResponseStreamEvent):
    delta = Field(as_text)
    """Text to append; for arguments it is a piece of JSON."""


class _PartEvent(ResponseStreamEvent):
    part = Field(as_object)
    """The part; still empty when it is added."""


class _TextDoneEvent(ResponseStreamEvent):
    text = Field(as_text)
    """The whole text."""


class _ArgumentsDoneEvent(ResponseStreamEvent):
    arguments = Field(as_text)
    """JSON text."""


class ResponseCreatedEvent(ResponseLifecycleEvent, type="created"):
    """``response.created``: the first event."""


class ResponseQueuedEvent(ResponseLifecycleEvent, type="queued"):
    """``response.queued``: the response waits for its turn."""


class ResponseInProgressEvent(ResponseLifecycleEvent, type="in_progress"):
    """``response.in_progress``: the model is working."""


class ResponseCompletedEvent(ResponseLifecycleEvent, type="completed"):
    """``response.completed``: the end; the response is whole."""


class ResponseFailedEvent(ResponseLifecycleEvent, type="failed"):
    """``response.failed``: the end; ``response.error`` gives the reason."""


class ResponseIncompleteEvent(ResponseLifecycleEvent, type="incomplete"):
    """``response.incomplete``: the end; ``response.incomplete_details`` gives the reason."""


class ResponseOutputItemAddedEvent(ResponseStreamEvent, type="output_item.added"):
    """``response.output_item.added``: an output item begins."""

    item = Field(as_object)
    """The item, still empty."""


class ResponseOutputItemDoneEvent(ResponseStreamEvent, type="output_item.done"):
    """``response.output_item.done``: an output item is whole."""

    item = Field(as_object)
    """The message, function call, or other item."""


class ResponseContentPartAddedEvent(_PartEvent, type="content_part.added"):
    """``response.content_part.added``: a part of an item's content begins."""


class ResponseContentPartDoneEvent(_PartEvent, type="content_part.done"):
    """``response.content_part.done``: a part is whole: text, refusal or reasoning text."""


class ResponseTextDeltaEvent(_DeltaEvent, type="output_text.delta"):
    """``response.output_text.delta``: more text of a message."""

    logprobs = Field(as_objects)
    """Those of its tokens, if requested."""


class ResponseTextDoneEvent(_TextDoneEvent, type="output_text.done"):
    """``response.output_text.done``: a text is whole."""

    logprobs = Field(as_objects)
    """Those of its tokens, if requested."""


class ResponseOutputTextAnnotationAddedEvent(
    ResponseStreamEvent, type="output_text.annotation.added"
):
    """``response.output_text.annotation.added``: a citation in a text."""

    annotation_index = Field(as_int)
    """The index of the annotation in the text."""
    annotation = Field(as_object)
    """The source of the text."""


class ResponseRefusalDeltaEvent(_DeltaEvent, type="refusal.delta"):
    """``response.refusal.delta``: more of a refusal."""


class ResponseRefusalDoneEvent(ResponseStreamEvent, type="refusal.done"):
    """``response.refusal.done``: a refusal is whole."""

    refusal = Field(as_text)
    """The whole text."""


class ResponseReasoningSummaryPartAddedEvent(_PartEvent, type="reasoning_summary_part.added"):
    """``response.reasoning_summary_part.added``: a part of a reasoning summary begins."""


class ResponseReasoningSummaryPartDoneEvent(_PartEvent, type="reasoning_summary_part.done"):
    """``response.reasoning_summary_part.done``: a part of a reasoning summary has ended."""

    status = Field(as_optional_text)
    """``incomplete`` if it was cut off."""


class ResponseReasoningSummaryTextDeltaEvent(_DeltaEvent, type="reasoning_summary_text.delta"):
    """``response.reasoning_summary_text.delta``: more of a reasoning summary."""


class ResponseReasoningSummaryTextDoneEvent(_TextDoneEvent, type="reasoning_summary_text.done"):
    """``response.reasoning_summary_text.done``: the text of such a part is whole."""


class ResponseReasoningTextDeltaEvent(_DeltaEvent, type="reasoning_text.delta"):
    """``response.reasoning_text.delta``: more of the reasoning itself."""


class ResponseReasoningTextDoneEvent(_TextDoneEvent, type="reasoning_text.done"):
    """``response.reasoning_text.done``: a text of the reasoning itself is whole."""


class ResponseFunctionCallArgumentsDeltaEvent(_DeltaEvent, type="function_call_arguments.delta"):
    """``response.function_call_arguments.delta``: more of a function call's arguments."""


class ResponseFunctionCallArgumentsDoneEvent(
    _ArgumentsDoneEvent, type="function_call_arguments.done"
):
    """``response.function_call_arguments.done``: a function call's arguments are whole."""

    name = Field(as_optional_text)
    """The name of the function; only newer streams have it."""


class ResponseCustomToolCallInputDeltaEvent(_DeltaEvent, type="custom_tool_call_input.delta"):
    """``response.custom_tool_call_input.delta``: more of the input of a custom tool."""


class ResponseCustomToolCallInputDoneEvent(ResponseStreamEvent, type="custom_tool_call_input.done"):
    """``response.custom_tool_call_input.done``: the input of a custom tool is whole."""

    input = Field(as_text)
    """The whole text."""


class ResponseMcpCallArgumentsDeltaEvent(_DeltaEvent, type="mcp_call_arguments.delta"):
    """``response.mcp_call_arguments.delta``: more of the arguments for a tool of an MCP server."""


class ResponseMcpCallArgumentsDoneEvent(_ArgumentsDoneEvent, type="mcp_call_arguments.done"):
    """``response.mcp_call_arguments.done``: the arguments for a tool of an MCP server are whole."""


class ResponseCodeInterpreterCallCodeDeltaEvent(
    _DeltaEvent, type="code_interpreter_call_code.delta"
):
    """``response.code_interpreter_call_code.delta``: more code for the code interpreter."""


class ResponseCodeInterpreterCallCodeDoneEvent(
    ResponseStreamEvent, type="code_interpreter_call_code.done"
):
    """``response.code_interpreter_call_code.done``: the code for the code interpreter is whole."""

    code = Field(as_text)
    """The whole code."""


class ResponseImageGenCallPartialImageEvent(
    ResponseStreamEvent, type="image_generation_call.partial_image"
):
    """``response.image_generation_call.partial_image``: an image, as far as it is generated."""

    partial_image_index = Field(as_int)
    """Counted from 0."""
    partial_image_b64 = Field(as_text)
    """Base64."""
    size = Field(as_optional_text)
    """Such as ``1024x1024``."""
    quality = Field(as_optional_text)
    """Such as ``high``."""
    background = Field(as_optional_text)
    """Such as ``transparent``."""
    output_format = Field(as_optional_text)
    """Such as ``png``."""


class ResponseShellCallCommandAddedEvent(ResponseStreamEvent, type="shell_call_command.added"):
    """``response.shell_call_command.added``: a command of a shell call begins."""

    command = Field(as_text)
    """Its beginning."""


class ResponseShellCallCommandDeltaEvent(_DeltaEvent, type="shell_call_command.delta"):
    """``response.shell_call_command.delta``: more of a command."""


class ResponseShellCallCommandDoneEvent(ResponseStreamEvent, type="shell_call_command.done"):
    """``response.shell_call_command.done``: a command is whole."""

    command = Field(as_text)
    """The whole command."""


class ResponseShellCallOutputContentDeltaEvent(
    ResponseStreamEvent, type="shell_call_output_content.delta"
):
    """``response.shell_call_output_content.delta``: more output of a command."""

    delta = Field(as_object)
    """``stdout`` and ``stderr``: text to append."""


class ResponseShellCallOutputContentDoneEvent(
    ResponseStreamEvent, type="shell_call_output_content.done"
):
    """``response.shell_call_output_content.done``: the whole output of a command."""

    output = Field(as_objects)
    """Each with ``outcome``, ``stdout`` and ``stderr``."""


class ResponseAudioDeltaEvent(ResponseStreamEvent, type="audio.delta"):
    """``response.audio.delta``: more sound."""

    delta = Field(as_text)
    """Base64; each piece is encoded separately."""


class ResponseAudioDoneEvent(ResponseStreamEvent, type="audio.done"):
    """``response.audio.done``: the sound is whole."""


class ResponseAudioTranscriptDeltaEvent(_DeltaEvent, type="audio.transcript.delta"):
    """``response.audio.transcript.delta``: more of the transcript."""


class ResponseAudioTranscriptDoneEvent(ResponseStreamEvent, type="audio.transcript.done"):
    """``response.audio.transcript.done``: the transcript is whole."""


class ResponseItemStatusEvent(ResponseStreamEvent):
    """A hosted tool reports its progress, such as ``response.web_search_call.searching``.

    One class for all events that say everything in their type: those of ``web_search_call``,
    ``file_search_call``, ``code_interpreter_call``, ``image_generation_call``, ``mcp_call``,
    ``mcp_list_tools`` and ``compaction``.
    """

    @property
    def status(self) -> str:
        """The last part of the type, such as ``in_progress``, ``searching`` or ``completed``."""
        return self.type.rpartition(".")[2]


for _tool, _statuses in {
    "web_search_call": "in_progress searching completed",
    "file_search_call": "in_progress searching completed",
    "code_interpreter_call": "in_progress interpreting completed",
    "image_generation_call": "in_progress generating completed",
    "mcp_call": "in_progress completed failed",
    "mcp_list_tools": "in_progress completed failed",
    "compaction": "compacting",
}.items():
    for _status in _statuses.split():
        EVENTS[f"response.{_tool}.{_status}"] = ResponseItemStatusEvent
