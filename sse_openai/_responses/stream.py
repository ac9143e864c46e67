"""event -> typed event -> the response so far. Knows no transport.

    responses = ResponseStream()
    for event in events:
        match responses.receive_event(event):
            case ResponseTextDeltaEvent(delta=text):
                print(text, end="")
    responses.receive_eof()                    # raises where the stream broke off
    print(responses.response.status, responses.response.usage)

Text is kept in pieces and joined when asked for, so that folding is linear in what
arrives. Rules are cited by their numbers in docs/openai.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .._errors import ChatError
from .events import (
    EVENTS,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseItemStatusEvent,
    ResponseLifecycleEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputTextAnnotationAddedEvent,
    ResponseReasoningSummaryPartAddedEvent,
    ResponseReasoningSummaryPartDoneEvent,
    ResponseShellCallCommandAddedEvent,
    ResponseShellCallCommandDeltaEvent,
    ResponseShellCallCommandDoneEvent,
    ResponseShellCallOutputContentDeltaEvent,
    ResponseShellCallOutputContentDoneEvent,
    ResponseStreamEvent,
    UnknownEvent,
)
from .partial import PartialList, PartialObject, PartialTexts
from .response import Response
from .typed import TypedEventStream

if TYPE_CHECKING:
    from sse_core import ServerSentEvent

FINAL_TYPES = ("response.completed", "response.failed", "response.incomplete")


class _Place(NamedTuple):
    """Where a text goes: to its item, or to a part in one of the item's lists."""

    item_type: str
    key: str
    list_key: str = ""
    part_type: str = ""


# By the types of their events without the last part, which is "delta" or "done".
TEXTS = {
    "response.output_text": _Place("message", "text", "content", "output_text"),
    "response.refusal": _Place("message", "refusal", "content", "refusal"),
    "response.reasoning_text": _Place("reasoning", "text", "content", "reasoning_text"),
    "response.reasoning_summary_text": _Place("reasoning", "text", "summary", "summary_text"),
    "response.function_call_arguments": _Place("function_call", "arguments"),
    "response.custom_tool_call_input": _Place("custom_tool_call", "input"),
    "response.mcp_call_arguments": _Place("mcp_call", "arguments"),
    "response.code_interpreter_call_code": _Place("code_interpreter_call", "code"),
}

WITHOUT_STATUS = ("mcp_list_tools", "compaction")
"""Items of whose events the reference does not say that they set the item's status."""


class ResponseStream:
    """Reads the events of one streamed response and keeps what they add up to.

    ``POST /responses`` of the API reference (docs/openai.md, 4), by the rules O30 to O34.

    A response that failed, or is incomplete, has come to its end: that is its ``status``,
    and no exception. An ``error`` event is an ``APIError``.

    Args:
        loads: decodes JSON text; the standard ``json.loads`` by default. It may raise
            ValueError or RecursionError.
    """

    def __init__(self, *, loads: Callable[[str], Any] = json.loads) -> None:
        self._events = TypedEventStream(FINAL_TYPES, loads=loads)
        self._response = PartialObject({})
        self.complete = False
        """Whether the response is whole: ``response.completed`` came."""
        self.sequence_number: int | None = None
        """That of the last event that had one: a stream can be resumed after it."""
        self._resumed_after = -1

    @property
    def done(self) -> bool:
        """Whether a final event came: the response is completed, failed or incomplete.

        Nothing after it is looked at.
        """
        return self._events.complete

    @property
    def response(self) -> Response:
        """Everything so far, folded into one value; a new one each time.

        It shares with the events what lies deeper than the parts of its items.
        """
        return Response(self._response.folded())

    def receive_event(self, event: ServerSentEvent) -> ResponseStreamEvent | None:
        """Take the next event; return it with its type, or None for one that says nothing.

        Raises:
            APIError: the event reports an error. ``.response`` has what came before it.
            MalformedChunk: its data is not JSON, or JSON but no object.
            StreamTruncated: ``[DONE]`` came before a final event.
            Nothing is read after any of them: later events give None.
        """
        if self.done:
            return None
        try:
            typed = self._events.receive_event(event)
        except ChatError as exc:
            exc.response = self.response
            raise
        if typed is None:
            return None
        received = EVENTS.get(typed.type, UnknownEvent)(typed.type, typed.data)
        if received.sequence_number is not None:
            if received.sequence_number <= self._resumed_after:
                return None  # replayed by a server that does not look at starting_after
            self.sequence_number = received.sequence_number
        self.complete = received.type == "response.completed"
        self._fold(received)
        return received

    def resume(self) -> int | None:
        """Prepare for events of another connection; return the number to go on after.

        Events up to it are not folded a second time. None where no event had a number, or
        the response has no id, so that it cannot be resumed.
        """
        if self.sequence_number is None or not self.response.id:
            return None
        self._resumed_after = self.sequence_number
        return self.sequence_number

    def receive_eof(self) -> None:
        """Take the end of the stream, where the body ended as HTTP has it.

        Raises:
            StreamTruncated: no final event came. An empty body is truncated as well.
        """
        try:
            self._events.receive_eof()
        except ChatError as exc:
            exc.response = self.response
            raise

    def _fold(self, event: ResponseStreamEvent) -> None:
        """Do to the response what the table of events in docs/openai.md says."""
        kind, _, verb = event.type.rpartition(".")
        match event:
            case UnknownEvent():
                pass
            case _ if kind in TEXTS:
                self._fold_text(event, TEXTS[kind], verb)
            case ResponseLifecycleEvent():
                self._replace(event.get("response"))
            case ResponseItemStatusEvent():
                item_type = kind.removeprefix("response.")
                if item_type not in WITHOUT_STATUS:
                    self._item(event, item_type).set("status", verb)
            case ResponseOutputItemAddedEvent(item=item) | ResponseOutputItemDoneEvent(item=item):
                self._output().put(item, event.output_index, new=verb == "added")
            case ResponseContentPartAddedEvent(part=part) | ResponseContentPartDoneEvent(part=part):
                item_type = "reasoning" if part.type == "reasoning_text" else "message"
                parts = self._item(event, item_type).part("content", PartialList)
                parts.put(part, event.content_index, new=verb == "added")
            case (
                ResponseReasoningSummaryPartAddedEvent(part=part)
                | ResponseReasoningSummaryPartDoneEvent(part=part)
            ):
                parts = self._item(event, "reasoning").part("summary", PartialList)
                parts.put(part, event.summary_index, new=verb == "added")
            case ResponseOutputTextAnnotationAddedEvent(annotation=annotation):
                parts = self._item(event, "message").part("content", PartialList)
                text = parts.find("output_text", event.content_index)
                annotations = text.part("annotations", PartialList)
                annotations.put(annotation, event.annotation_index, new=True)
            case (
                ResponseShellCallCommandAddedEvent()
                | ResponseShellCallCommandDeltaEvent()
                | ResponseShellCallCommandDoneEvent()
            ):
                self._fold_command(event, verb)
            case ResponseShellCallOutputContentDeltaEvent(delta=delta):
                written = self._outputs(event).find("", event.command_index)
                for key in ("stdout", "stderr"):
                    if isinstance(delta.get(key), str):
                        written.add(key, delta[key])
            case ResponseShellCallOutputContentDoneEvent(output=outputs):
                for position, output in enumerate(outputs):
                    # A second one of the same command stands behind those of all.
                    index = None if position else event.command_index
                    self._outputs(event).put(output, index, new=position > 0)

    def _fold_text(self, event: ResponseStreamEvent, place: _Place, verb: str) -> None:
        text = event.get("delta" if verb == "delta" else place.key)
        if not isinstance(text, str):
            return
        target = self._item(event, place.item_type)
        if place.list_key:
            index = event.summary_index if place.list_key == "summary" else event.content_index
            target = target.part(place.list_key, PartialList).find(place.part_type, index)
        if verb == "delta":
            target.add(place.key, text)
        else:  # O33: what a done event says replaces what the deltas made
            target.set(place.key, text)
            if not place.list_key and isinstance(name := event.get("name"), str):
                target.set("name", target.get("name") or name)  # where no added event had it

    def _fold_command(self, event: ResponseStreamEvent, verb: str) -> None:
        text = event.get("delta" if verb == "delta" else "command")
        if not isinstance(text, str):
            return
        action = self._item(event, "shell_call").part("action", PartialObject)
        commands = action.part("commands", PartialTexts)
        fold = {"added": commands.begin, "delta": commands.add, "done": commands.set}[verb]
        fold(event.command_index, text)

    def _output(self) -> PartialList:
        return self._response.part("output", PartialList)

    def _item(self, event: ResponseStreamEvent, type: str) -> PartialObject:
        """Return the output item that an event is about, of that type if it is new."""
        return self._output().find(type, event.output_index, event.item_id or None)

    def _outputs(self, event: ResponseStreamEvent) -> PartialList:
        return self._item(event, "shell_call_output").part("output", PartialList)

    def _replace(self, value: Any) -> None:
        """Put the response of a lifecycle event in the place of what there is."""
        if not isinstance(value, dict):
            return
        before, self._response = self._response, PartialObject(value)
        # O33: where its output is empty, the accumulated items stand in.
        if not self._output():
            self._response.keep("output", before.part("output", PartialList))
        # O33: the last usage that is not null.
        if isinstance(before.get("usage"), dict) and not isinstance(value.get("usage"), dict):
            self._response.set("usage", before.get("usage"))
