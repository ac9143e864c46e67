"""Event -> typed event -> the response so far. No I/O.

    responses = ResponseStream()
    for event in events:
        match responses.receive_event(event):
            case ResponseTextDeltaEvent(delta=text):
                print(text, end="")
    responses.receive_eof()                    # raises if the stream was cut off
    print(responses.response.status, responses.response.usage)

Text is kept in pieces and joined when it is asked for, so that folding is linear in what
arrives. Rules are cited by their numbers in docs/maintainers/openai.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .._errors import ChatError
from . import events
from .events import EVENTS, ResponseStreamEvent, UnknownEvent
from .partial import PartialList, PartialObject, PartialTexts
from .response import Response
from .typed import TypedEventStream

if TYPE_CHECKING:
    from sse_core import ServerSentEvent

FINAL_TYPES = ("response.completed", "response.failed", "response.incomplete")


class _Place(NamedTuple):
    """The place of a text: in its item, or in a part in one of the item's lists."""

    item_type: str
    key: str
    list_key: str = ""
    part_type: str = ""


# The keys are event types without their last part, which is "delta" or "done".
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
"""Items whose status the reference does not derive from these events."""


class ResponseStream:
    """Reads the events of one streamed response and folds them into the response so far.

    The events answer ``POST /responses`` of the API reference. A response that failed, or is
    incomplete, has reached its end: it has that ``status``, and nothing is raised. An
    ``error`` event raises ``APIError``.

    Args:
        loads: decodes JSON text; ``json.loads`` by default. It may raise ValueError or
            RecursionError.
    """

    def __init__(self, *, loads: Callable[[str], Any] = json.loads) -> None:
        self._events = TypedEventStream(FINAL_TYPES, loads=loads)
        self._response = PartialObject({})
        self.done = False
        """True if a final event came: the response is completed, failed or incomplete.

        Nothing after it is read.
        """
        self.complete = False
        """True if the response is whole: ``response.completed`` came."""
        self.sequence_number: int | None = None
        """The number of the last event that had one: a stream can be resumed after it."""
        self._resumed_after = -1

    @property
    def response(self) -> Response:
        """Everything so far, folded into one value; a new object each time.

        Values below the parts of its items are shared with the events.
        """
        return Response(self._response.folded())

    def receive_event(self, event: ServerSentEvent) -> ResponseStreamEvent | None:
        """Receive the next event; return it with its type, or None if it is empty.

        Raises:
            APIError: the event reports an error. ``.response`` has what came before it.
            MalformedChunk: its data is not JSON, or JSON but not an object.
            StreamTruncated: ``[DONE]`` came before a final event.
            Nothing is read after any of them: later events return None.
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
        self.done = self._events.complete
        received = EVENTS.get(typed.type, UnknownEvent)(typed.type, typed.data)
        if received.sequence_number is not None:
            if received.sequence_number <= self._resumed_after:
                return None  # replayed by a server that ignores starting_after
            self.sequence_number = received.sequence_number
        self.complete = received.type == "response.completed"
        self._fold(received)
        return received

    def resume(self) -> int | None:
        """Prepare for events of another connection; return the number to resume after.

        Events up to that number are not folded a second time. None if the response cannot be
        resumed, because no event had a number or the response has no id.
        """
        if self.sequence_number is None or not self.response.id:
            return None
        self._resumed_after = self.sequence_number
        return self.sequence_number

    def receive_eof(self) -> None:
        """Signal that the body has ended, complete as far as HTTP is concerned.

        Raises:
            StreamTruncated: no final event came. An empty body is truncated as well.
        """
        try:
            self._events.receive_eof()
        except ChatError as exc:
            exc.response = self.response
            raise

    def _fold(self, event: ResponseStreamEvent) -> None:
        """Change the response as the table of events in docs/maintainers/openai.md says."""
        kind, _, verb = event.type.rpartition(".")
        match event:
            case UnknownEvent():
                pass
            case _ if kind in TEXTS:
                self._fold_text(event, TEXTS[kind], verb)
            case events.ResponseLifecycleEvent():
                self._replace(event.get("response"))
            case events.ResponseItemStatusEvent():
                item_type = kind.removeprefix("response.")
                if item_type not in WITHOUT_STATUS:
                    self._item(event, item_type).set("status", verb)
            case (
                events.ResponseOutputItemAddedEvent(item=item)
                | events.ResponseOutputItemDoneEvent(item=item)
            ):
                self._output().put(item, event.output_index, new=verb == "added")
            case (
                events.ResponseContentPartAddedEvent(part=part)
                | events.ResponseContentPartDoneEvent(part=part)
            ):
                item_type = "reasoning" if part.type == "reasoning_text" else "message"
                parts = self._item(event, item_type).part("content", PartialList)
                parts.put(part, event.content_index, new=verb == "added")
            case (
                events.ResponseReasoningSummaryPartAddedEvent(part=part)
                | events.ResponseReasoningSummaryPartDoneEvent(part=part)
            ):
                parts = self._item(event, "reasoning").part("summary", PartialList)
                parts.put(part, event.summary_index, new=verb == "added")
            case events.ResponseOutputTextAnnotationAddedEvent(annotation=annotation):
                parts = self._item(event, "message").part("content", PartialList)
                text = parts.find("output_text", event.content_index)
                annotations = text.part("annotations", PartialList)
                annotations.put(annotation, event.annotation_index, new=True)
            case (
                events.ResponseShellCallCommandAddedEvent()
                | events.ResponseShellCallCommandDeltaEvent()
                | events.ResponseShellCallCommandDoneEvent()
            ):
                self._fold_command(event, verb)
            case events.ResponseShellCallOutputContentDeltaEvent(delta=delta):
                written = self._outputs(event).find("", event.command_index)
                for key in ("stdout", "stderr"):
                    if isinstance(delta.get(key), str):
                        written.add(key, delta[key])
            case events.ResponseShellCallOutputContentDoneEvent(output=outputs):
                for position, output in enumerate(outputs):
                    # A second output of the same command comes after all others.
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
        else:  # O33: a done event replaces the text of the deltas
            target.set(place.key, text)
            if not place.list_key and isinstance(name := event.get("name"), str):
                target.set("name", target.get("name") or name)  # if no added event had it

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
        """Return the output item that an event is about; a new one has the given type."""
        return self._output().find(type, event.output_index, event.item_id or None)

    def _outputs(self, event: ResponseStreamEvent) -> PartialList:
        return self._item(event, "shell_call_output").part("output", PartialList)

    def _replace(self, value: Any) -> None:
        """Replace the response so far with that of a lifecycle event."""
        if not isinstance(value, dict):
            return
        before, self._response = self._response, PartialObject(value)
        # O33: if its output is empty, the accumulated items replace it.
        if not self._output():
            self._response.keep("output", before.part("output", PartialList))
        # O33: the last usage that is not null counts.
        if isinstance(before.get("usage"), dict) and not isinstance(value.get("usage"), dict):
            self._response.set("usage", before.get("usage"))
