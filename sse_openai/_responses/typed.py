"""Event -> typed event, for every stream whose events have a type in their JSON.

    transcript = TypedEventStream()
    for event in events:
        typed = transcript.receive_event(event)
        if typed is not None and typed.type == "transcript.text.delta":
            print(typed.data.delta, end="")
    transcript.receive_eof()                   # raises if the stream was cut off

Nothing is accumulated here; ``ResponseStream`` does that for responses. No I/O. Rules are
cited by their numbers in docs/maintainers/openai.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._chat.chunks import JSONObject
from .._errors import APIError, ChatError, MalformedChunk, StreamTruncated, error_in

if TYPE_CHECKING:
    from sse_core import ServerSentEvent

FINAL_TYPES = (
    "transcript.text.done",
    "speech.audio.done",
    "image_generation.completed",
    "image_edit.completed",
)


@dataclass(slots=True)
class TypedEvent:
    """One event with its type."""

    type: str
    """Its JSON ``type``, or the name of the event if that is missing."""
    data: JSONObject
    """Its JSON object, as sent."""

    def get(self, key: str) -> Any:
        """Return a value of the object as sent, or None."""
        return self.data.get(key)


class TypedEventStream:
    """Reads streams of typed events: transcriptions, speech, images, and similar ones.

    Their events are those of OpenAI's API reference: ``transcript.text.delta``,
    ``speech.audio.delta``, ``image_generation.partial_image`` and so on.

    Args:
        final_types: the types after which the stream may end; by default those of
            ``/audio/transcriptions``, ``/audio/speech`` and ``/images/…``. With ``()``,
            ``[DONE]`` is the end, as for Assistants.
        loads: decodes JSON text; ``json.loads`` by default. It may raise ValueError or
            RecursionError.
    """

    def __init__(
        self,
        final_types: Collection[str] = FINAL_TYPES,
        *,
        loads: Callable[[str], Any] = json.loads,
    ) -> None:
        self._final_types = final_types
        self._loads = loads
        self._failed = False
        self.done = False
        """True if ``[DONE]`` came. Nothing after it is read."""
        self.complete = False
        """True if the stream may end here. More can follow: each of several images has an end."""

    def receive_event(self, event: ServerSentEvent) -> TypedEvent | None:
        """Receive the next event; return it with its type, or None if it is empty.

        Raises:
            APIError: the event reports an error.
            MalformedChunk: its data is not JSON, or JSON but not an object.
            StreamTruncated: ``[DONE]`` came before an event of a final type.
            Nothing is read after any of them: later events return None.
        """
        if self.done or self._failed:
            return None
        try:
            return self._receive(event)
        except ChatError:
            self._failed = True
            raise

    def receive_eof(self) -> None:
        """Signal that the body has ended, complete as far as HTTP is concerned.

        Raises:
            StreamTruncated: no event of a final type came. An empty body is truncated as well.
        """
        if not (self.complete or self._failed):
            self._failed = True
            raise StreamTruncated(message="the stream ended before its final event")

    def _receive(self, event: ServerSentEvent) -> TypedEvent | None:
        data = event.data.strip()
        if not data:
            return None  # O4: no data, no event; also if it is named error
        if data == "[DONE]":
            self.done = True
            self.complete = self.complete or not self._final_types
            self.receive_eof()
            return None
        try:
            value = self._loads(data)
        except (ValueError, RecursionError) as exc:
            if event.event == "error":
                raise APIError(data) from None  # O8: plain text
            raise MalformedChunk(event, None, str(exc)[:200]) from exc
        if value is None:
            return None
        if not isinstance(value, dict):
            reason = f"expected an object, got {value.__class__.__name__}"
            raise MalformedChunk(event, None, reason)
        type = value.get("type")
        if not (isinstance(type, str) and type):
            type = event.event  # O30: without a type, the name of the event counts
        # O30: events of a response can contain errors that are not the stream's.
        if not type.startswith("response.") and (error := error_in(value, event.event)):
            raise APIError(**error)
        if type in ("ping", "keepalive"):
            return None
        self.complete = self.complete or type in self._final_types
        return TypedEvent(type, JSONObject(value))
