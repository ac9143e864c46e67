"""Chunks -> the events that a user interface draws: growing text, calls, ends. No I/O.

    events = ChatEvents()
    for chunk in chunks:
        for event in events.receive_chunk(chunk):
            if event.type == "content.delta":
                print(event.delta, end="")
    if chat.complete:                # a stream that was cut yields nothing more
        events.receive_eof()

A snapshot of all the text so far is joined when it is asked for, so that the cost is
linear in what arrives. Rules are cited by their numbers in docs/maintainers/openai.md.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeAlias, TypeVar

from .._text import Shown
from . import events
from .calls import Calls, LiveCall
from .chunks import ChatCompletionChunk, Choice, ToolCallDelta
from .completion import ChatCompletion
from .stream import ChatStream, usage_of

_TextEvent: TypeAlias = (
    type[events.ContentDelta] | type[events.ReasoningDelta] | type[events.RefusalDelta]
)


class ChatEvents:
    """Turns the chunks of one chat completion into events; ``events()`` of a stream uses it.

    It takes chunks as ``ChatStream.receive_event`` returns them. Only text, tool calls, finish
    reasons and usage become events.
    """

    def __init__(self) -> None:
        self._choices: dict[int, _LiveChoice] = {}

    def receive_chunk(self, chunk: ChatCompletionChunk) -> list[events.ChatEvent]:
        """Receive the next chunk; return its events."""
        found: list[events.ChatEvent] = []
        for choice in chunk.choices:
            live = self._choices.get(choice.index)
            if live is None:
                live = self._choices[choice.index] = _LiveChoice(choice.index)
            found += live.receive(choice)
        if (usage := usage_of(chunk)) is not None:
            found.append(events.UsageReport(usage))
        return found

    def receive_eof(self) -> list[events.ChatEvent]:
        """Signal the end of an answer that is ``complete``; return the last events."""
        return [event for choice in self._choices.values() for event in choice.receive_eof()]


class _LiveChoice:
    """One choice while it arrives."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._finish_reason: str | None = None
        self._reasoning = Shown()
        self._content = Shown()
        self._refusal = Shown()
        self._calls = Calls(LiveCall)

    def receive(self, choice: Choice) -> Iterator[events.ChatEvent]:
        """Receive a chunk's part of this choice; yield its events."""
        delta = choice.delta
        if shown := self._reasoning.add(delta.reasoning):
            yield self._text_delta(events.ReasoningDelta, shown, self._reasoning)
        if shown := self._content.add(delta.content):
            yield self._text_delta(events.ContentDelta, shown, self._content)
        if shown := self._refusal.add(delta.refusal):
            yield self._text_delta(events.RefusalDelta, shown, self._refusal)
        for fragment in delta.tool_calls:
            yield from self._receive_fragment(fragment)
        reason = choice.finish_reason
        if reason and reason != self._finish_reason:
            self._finish_reason = reason
            yield from self._end_parts()
            yield events.ChoiceDone(self._index, reason)

    def receive_eof(self) -> Iterator[events.ChatEvent]:
        """Signal the end of the answer; yield the events that no finish reason has brought yet."""
        yield from self._end_parts()
        if self._finish_reason is None:
            yield events.ChoiceDone(self._index, None)

    def _receive_fragment(self, fragment: ToolCallDelta) -> Iterator[events.ChatEvent]:
        earlier = len(self._calls)
        call = self._calls.add(fragment)
        if call is None:
            return  # over the limit of ChatStream, which has refused the chunk
        if len(self._calls) > earlier:
            # The next call begins. An earlier one that is not complete yet may continue,
            # because some servers send fragments of several calls in turns.
            for index, each in enumerate(self._calls[:earlier]):
                if not each.done and each.reader.complete:
                    yield self._call_done(index, each)
        yield self._arguments_delta(self._calls.index(call), call)

    def _end_parts(self) -> Iterator[events.ChatEvent]:
        for kind, text in (
            (events.ReasoningDelta, self._reasoning),
            (events.ContentDelta, self._content),
            (events.RefusalDelta, self._refusal),
        ):
            if shown := text.end():
                yield self._text_delta(kind, shown, text)
        for index, call in enumerate(self._calls):
            call.end()
            if call.piece:
                yield self._arguments_delta(index, call)
            if not call.done and call.whole(self._finish_reason):
                yield self._call_done(index, call)

    def _text_delta(self, kind: _TextEvent, delta: str, text: Shown) -> events.ChatEvent:
        return kind(self._index, delta, text, len(text.parts))

    def _arguments_delta(self, index: int, call: LiveCall) -> events.ArgumentsDelta:
        parts = len(call.text.parts)
        return events.ArgumentsDelta(
            self._index, index, call.id, call.name, call.piece, call, parts
        )

    def _call_done(self, index: int, call: LiveCall) -> events.ToolCallDone:
        call.done = True
        text, value = call.text.joined(), call.reader.value
        return events.ToolCallDone(self._index, index, call.id, call.name, text, value, call.custom)


Events = TypeVar("Events")


class Chat(Generic[Events]):
    """A chat that is being read: its state, whatever brings its events."""

    def __init__(self, loads: Callable[[str], Any]) -> None:
        self._chat = ChatStream(loads=loads)
        self._event_iterator: Events | None = None

    @abstractmethod
    def _iterate(self) -> Events: ...

    def events(self) -> Events:
        """Iterate over what the chunks mean: text, tool calls, finish reasons, usage.

        Every call returns the same iterator. Chunks that you have already read from the
        stream itself produce no events.
        """
        if self._event_iterator is None:
            self._event_iterator = self._iterate()
        return self._event_iterator

    @property
    def completion(self) -> ChatCompletion:
        """Everything so far, folded into the answer of a request without streaming."""
        return self._chat.completion

    @property
    def done(self) -> bool:
        """True if ``[DONE]`` came. Nothing after it is read."""
        return self._chat.done

    @property
    def complete(self) -> bool:
        """True if the answer is whole: ``[DONE]``, or a finish reason on every choice seen."""
        return self._chat.complete


class BlockingChat(Chat["EventIterator"], Iterator[ChatCompletionChunk]):
    """A chat whose chunks come from a blocking iterator."""

    def _iterate(self) -> EventIterator:
        return EventIterator(self)


class AsyncChat(Chat["AsyncEventIterator"], AsyncIterator[ChatCompletionChunk]):
    """A chat whose chunks come from an asynchronous iterator."""

    def _iterate(self) -> AsyncEventIterator:
        return AsyncEventIterator(self)


AnyChat = TypeVar("AnyChat", bound=Chat[Any])


class _Waiting(Generic[AnyChat]):
    """Events that wait to be asked for. They outlive a call that is cancelled."""

    def __init__(self, chat: AnyChat) -> None:
        self._chat = chat
        self._machine = ChatEvents()
        self._waiting: deque[events.ChatEvent] = deque()
        self._ended = False

    def _end(self) -> bool:
        """Signal the end of the chunks; return True if any event is left."""
        if not self._ended:
            self._ended = True
            if self._chat.complete:
                self._waiting += self._machine.receive_eof()
        return bool(self._waiting)


class EventIterator(_Waiting[BlockingChat], Iterator[events.ChatEvent]):
    """The events of a chat whose chunks come from a blocking iterator."""

    def __next__(self) -> events.ChatEvent:
        while not self._waiting:
            try:
                chunk = next(self._chat)
            except StopIteration:
                if not self._end():
                    raise
            else:
                self._waiting += self._machine.receive_chunk(chunk)
        return self._waiting.popleft()


class AsyncEventIterator(_Waiting[AsyncChat], AsyncIterator[events.ChatEvent]):
    """The events of a chat whose chunks come from an asynchronous iterator."""

    async def __anext__(self) -> events.ChatEvent:
        while not self._waiting:
            try:
                chunk = await anext(self._chat)
            except StopAsyncIteration:
                if not self._end():
                    raise
            else:
                self._waiting += self._machine.receive_chunk(chunk)
        return self._waiting.popleft()
