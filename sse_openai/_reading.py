"""The part of reading that all streams share: the data of an event is a JSON object or the end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._errors import APIError, ChatError, MalformedChunk, StreamTruncated

if TYPE_CHECKING:
    from sse_core import ServerSentEvent

    from ._chat.completion import ChatCompletion

T = TypeVar("T")


class Machine(Generic[T]):
    """Reads events until ``[DONE]``, or until one of them raises."""

    def __init__(self, loads: Callable[[str], Any]) -> None:
        self._loads = loads
        self._failed = False
        self.done = False
        """True if ``[DONE]`` came. Nothing after it is read."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """True if the stream may end here."""

    @abstractmethod
    def _receive(self, value: dict[str, Any], event: ServerSentEvent) -> T | None: ...

    @abstractmethod
    def _truncated(self) -> StreamTruncated: ...

    def _receive_done(self) -> None:
        self.done = True

    def _so_far(self) -> ChatCompletion | None:
        return None

    def receive_event(self, event: ServerSentEvent) -> T | None:
        """Receive the next event; return its meaning, or None if it carries none.

        Raises:
            APIError: the event reports an error.
            MalformedChunk: its data is not JSON, or JSON but not an object.
            StreamTruncated: ``[DONE]`` came before the stream was ``complete``.
            Nothing is read after any of them: later events return None.
        """
        if self.done or self._failed:
            return None
        try:
            data = event.data.strip()
            if not data:
                return None  # O4: no data, no meaning; also in an event named error
            if data == "[DONE]":
                self._receive_done()
                return None
            try:
                value = self._loads(data)
            except (ValueError, RecursionError) as exc:
                if event.event == "error":
                    raise APIError(data, completion=self._so_far()) from None  # O8: plain text
                raise self._malformed(event, str(exc)) from exc
            if isinstance(value, dict):
                return self._receive(value, event)
            if value is None:
                return None
            raise self._malformed(event, f"expected an object, got {type(value).__name__}")
        except ChatError:
            self._failed = True
            raise

    def receive_eof(self) -> None:
        """Signal that the body has ended, complete as far as HTTP is concerned.

        Raises:
            StreamTruncated: the stream is not ``complete``. An empty body is truncated as well.
        """
        if not (self.complete or self._failed):
            self._failed = True
            raise self._truncated()

    def _malformed(self, event: ServerSentEvent, reason: str) -> MalformedChunk:
        return MalformedChunk(event, self._so_far(), reason[:200])
