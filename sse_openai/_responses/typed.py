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
from .._errors import APIError, StreamTruncated, error_in
from .._reading import Machine

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


class TypedEventStream(Machine[TypedEvent]):
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
        super().__init__(loads)
        self._final_types = final_types
        self._complete = False

    @property
    def complete(self) -> bool:
        """True if the stream may end here. More can follow: each of several images has an end."""
        return self._complete

    def _receive(self, value: dict[str, Any], event: ServerSentEvent) -> TypedEvent | None:
        type = value.get("type")
        if not (isinstance(type, str) and type):
            type = event.event  # O30: without a type, the name of the event counts
        # O30: events of a response can contain errors that are not the stream's.
        if not type.startswith("response.") and (error := error_in(value, event.event)):
            raise APIError(**error)
        if type in ("ping", "keepalive"):
            return None
        self._complete = self._complete or type in self._final_types
        return TypedEvent(type, JSONObject(value))

    def _receive_done(self) -> None:
        self.done = True
        self._complete = self._complete or not self._final_types
        self.receive_eof()

    def _truncated(self) -> StreamTruncated:
        return StreamTruncated(message="the stream ended before its final event")
