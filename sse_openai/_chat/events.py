"""chunks -> what a user interface draws: text that grows, calls, ends. Knows no transport.

    events = ChatEvents()
    for chunk in chunks:
        for event in events.receive_chunk(chunk):
            if event.type == "content.delta":
                print(event.delta, end="")
    if chat.complete:                # of a stream that was cut nothing more is told
        events.receive_eof()

``type`` and the attributes are those of openai-python's ``.stream()`` where it has them.
Whatever is told of the whole so far is made when it is asked for, so that the cost is
linear in what arrives. Rules are cited by their numbers in docs/openai.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeAlias, TypeVar

from .._partial_json import PartialJSON
from .chunks import ChatCompletionChunk, Choice, JSONObject, ToolCallDelta
from .stream import Call, Calls, usage_of, with_whole_characters

__all__ = [
    "ArgumentsDelta",
    "AsyncEventIterator",
    "ChatEvent",
    "ChatEvents",
    "ChoiceDone",
    "ContentDelta",
    "EventIterator",
    "ReasoningDelta",
    "RefusalDelta",
    "ToolCallDone",
    "UsageReport",
]

_CUT_OFF = ("length", "content_filter")
"""The finish reasons of an answer that is not what the model meant to say."""


class _Text:
    """Text in parts. Half a character at the end of one waits for the next (O24)."""

    __slots__ = ("_half", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._half = ""

    def add(self, part: str | None) -> str:
        """Add a part; return what there is to show of it, which may be nothing."""
        if not part:
            return ""
        if self._half or not part.isascii():
            part, self._half = self._half + part, ""
            if "\ud800" <= part[-1] <= "\udbff":
                part, self._half = part[:-1], part[-1]
            part = with_whole_characters(part)
        if part:
            self.parts.append(part)
        return part

    def end(self) -> str:
        """Take the end; return what is left to show: a half that stayed alone."""
        part, self._half = with_whole_characters(self._half), ""
        if part:
            self.parts.append(part)
        return part

    def joined(self, parts: int | None = None) -> str:
        return "".join(self.parts[:parts])


@dataclass(slots=True)
class _TextDelta:
    choice_index: int
    """Which choice, counted from 0."""
    delta: str
    """Text to append; never empty."""
    _text: _Text = field(repr=False, compare=False)
    _parts: int = field(repr=False, compare=False)

    @property
    def snapshot(self) -> str:
        """All of the text up to and with this delta; joined when it is asked for."""
        return self._text.joined(self._parts)


@dataclass(slots=True)
class ContentDelta(_TextDelta):
    """Text of the answer: ``content`` of a delta (docs/openai.md, 1.2).

    ``type`` and attributes are those of openai-python's event, but for ``choice_index``.
    """

    type: ClassVar[Literal["content.delta"]] = "content.delta"
    """What tells the events apart."""


@dataclass(slots=True)
class ReasoningDelta(_TextDelta):
    """Text of the model's reasoning, where an endpoint shows it (docs/openai.md, O14)."""

    type: ClassVar[Literal["reasoning.delta"]] = "reasoning.delta"
    """What tells the events apart; openai-python has no such event."""


@dataclass(slots=True)
class RefusalDelta(_TextDelta):
    """Text of a refusal: ``refusal`` of a delta (docs/openai.md, 1.2)."""

    type: ClassVar[Literal["refusal.delta"]] = "refusal.delta"
    """What tells the events apart."""


@dataclass(slots=True)
class ArgumentsDelta:
    """A fragment of a tool call; the first one tells that the call has begun.

    Of ``tool_calls`` of a delta (docs/openai.md, 1.2 and O20), in the words of
    openai-python's event.
    """

    type: ClassVar[Literal["tool_calls.function.arguments.delta"]] = (
        "tool_calls.function.arguments.delta"
    )
    """What tells the events apart."""
    choice_index: int
    """Which choice, counted from 0."""
    index: int
    """Which call: its place in the choice's ``message.tool_calls``."""
    id: str | None
    """The call's, if it has come."""
    name: str | None
    """The tool's, if it has come."""
    arguments_delta: str
    """Text to append, possibly none: of JSON, or of a custom tool's input."""
    _call: _LiveCall = field(repr=False, compare=False)
    _parts: int = field(repr=False, compare=False)

    @property
    def custom(self) -> bool:
        """Whether the tool is a custom one, whose input is free text."""
        return self._call.custom

    @property
    def arguments(self) -> str:
        """All of the text up to and with this delta; joined when it is asked for."""
        return self._call.text.joined(self._parts)

    @property
    def parsed_arguments(self) -> Any:
        """What is known of the arguments' value by now, as ``PartialJSON.value``.

        It is live: always the same object, which grows with the call. None until anything
        is known, and of custom tools. Of text that is no JSON it is what came before the
        fault.
        """
        return self._call.reader.value


@dataclass(slots=True)
class ToolCallDone:
    """A tool call is whole: its arguments are one JSON text, or none were sent.

    Told when the next call begins, or else when the choice has finished. A call that was
    cut off, or whose arguments are no JSON, is never done. Of ``tool_calls`` (docs/openai.md,
    1.2), in the words of openai-python's event.
    """

    type: ClassVar[Literal["tool_calls.function.arguments.done"]] = (
        "tool_calls.function.arguments.done"
    )
    """What tells the events apart."""
    choice_index: int
    """Which choice, counted from 0."""
    index: int
    """Which call: its place in the choice's ``message.tool_calls``."""
    id: str | None
    """What the tool's result has to name; None where the server gave none."""
    name: str | None
    """The tool's; None where it never came."""
    arguments: str
    """JSON text, ``""`` where none was sent; free text of a custom tool."""
    parsed_arguments: Any
    """Their value; None where none were sent, and of custom tools."""
    custom: bool = False
    """Whether the tool is a custom one, whose input is free text."""


@dataclass(slots=True)
class ChoiceDone:
    """A choice has finished: its ``finish_reason`` (docs/openai.md, 1.2 and O16).

    Told again only where a server changes the reason.
    """

    type: ClassVar[Literal["choice.done"]] = "choice.done"
    """What tells the events apart; openai-python has no such event."""
    choice_index: int
    """Which choice, counted from 0."""
    finish_reason: str | None
    """As sent; None where ``[DONE]`` came without one."""


@dataclass(slots=True)
class UsageReport:
    """Tokens counted so far, as often as the endpoint says: usually once, at the end.

    ``usage`` of a chunk (docs/openai.md, 1.2 and O21).
    """

    type: ClassVar[Literal["usage"]] = "usage"
    """What tells the events apart; openai-python has no such event."""
    usage: JSONObject
    """``prompt_tokens``, ``completion_tokens``, ``total_tokens``, and details, as sent."""


ChatEvent: TypeAlias = (
    ContentDelta
    | ReasoningDelta
    | RefusalDelta
    | ArgumentsDelta
    | ToolCallDone
    | ChoiceDone
    | UsageReport
)


_TextEvent: TypeAlias = type[ContentDelta] | type[ReasoningDelta] | type[RefusalDelta]


class ChatEvents:
    """Turns the chunks of one chat completion into events; ``events()`` of a stream uses it.

    Chunks as ``ChatStream.receive_event`` returns them (docs/openai.md, 1.2). What they carry
    beside text, tool calls, finish reasons and usage is not told.
    """

    def __init__(self) -> None:
        self._choices: dict[int, _LiveChoice] = {}

    def receive_chunk(self, chunk: ChatCompletionChunk) -> list[ChatEvent]:
        """Take the next chunk; return what it tells."""
        events: list[ChatEvent] = []
        for choice in chunk.choices:
            live = self._choices.get(choice.index)
            if live is None:
                live = self._choices[choice.index] = _LiveChoice(choice.index)
            events += live.receive(choice)
        if (usage := usage_of(chunk)) is not None:
            events.append(UsageReport(usage))
        return events

    def receive_eof(self) -> list[ChatEvent]:
        """Take the end of an answer that is ``complete``; return what is left to tell."""
        return [event for choice in self._choices.values() for event in choice.receive_eof()]


class _LiveCall(Call):
    """A tool call as it comes in."""

    __slots__ = ("_broken", "done", "piece", "reader", "text")

    def __init__(self) -> None:
        super().__init__()
        self.text = _Text()
        self.piece = ""
        self.reader = PartialJSON()
        self.done = False
        self._broken = False

    def add(self, delta: ToolCallDelta) -> None:
        part = delta.function.arguments if delta.function else None
        if delta.custom:
            part = delta.custom.input
        self._show(self.text.add(part))

    def end(self) -> None:
        self._show(self.text.end())

    def _show(self, piece: str) -> None:
        self.piece = piece
        if not (self.custom or self._broken):
            try:
                self.reader.receive_text(piece)
            except ValueError:
                self._broken = True

    def whole(self, finish_reason: str | None) -> bool:
        """Whether the call is complete, now that its choice has finished."""
        if self.custom or not self.text.parts:
            return finish_reason not in _CUT_OFF
        try:
            self.reader.receive_eof()
        except ValueError:
            return False
        return True


class _LiveChoice:
    """One choice as it comes in."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._finish_reason: str | None = None
        self._reasoning = _Text()
        self._content = _Text()
        self._refusal = _Text()
        self._calls = Calls(_LiveCall)

    def receive(self, choice: Choice) -> Iterator[ChatEvent]:
        """Take what a chunk says of this choice; yield what it tells."""
        delta = choice.delta
        if shown := self._reasoning.add(delta.reasoning):
            yield self._text_delta(ReasoningDelta, shown, self._reasoning)
        if shown := self._content.add(delta.content):
            yield self._text_delta(ContentDelta, shown, self._content)
        if shown := self._refusal.add(delta.refusal):
            yield self._text_delta(RefusalDelta, shown, self._refusal)
        for fragment in delta.tool_calls:
            yield from self._receive_fragment(fragment)
        reason = choice.finish_reason
        if reason and reason != self._finish_reason:
            self._finish_reason = reason
            yield from self._end_parts()
            yield ChoiceDone(self._index, reason)

    def receive_eof(self) -> Iterator[ChatEvent]:
        """Take the end of the answer; yield what no finish reason has told yet."""
        yield from self._end_parts()
        if self._finish_reason is None:
            yield ChoiceDone(self._index, None)

    def _receive_fragment(self, fragment: ToolCallDelta) -> Iterator[ChatEvent]:
        earlier = len(self._calls)
        call = self._calls.add(fragment)
        if call is None:
            return  # over the limit of ChatStream, which has refused the chunk
        if len(self._calls) > earlier:
            # The next call begins. One that is not whole yet may still go on: some servers
            # send fragments of several calls in turns.
            for index, each in enumerate(self._calls[:earlier]):
                if not each.done and each.reader.complete:
                    yield self._call_done(index, each)
        yield self._arguments_delta(self._calls.index(call), call)

    def _end_parts(self) -> Iterator[ChatEvent]:
        for kind, text in (
            (ReasoningDelta, self._reasoning),
            (ContentDelta, self._content),
            (RefusalDelta, self._refusal),
        ):
            if shown := text.end():
                yield self._text_delta(kind, shown, text)
        for index, call in enumerate(self._calls):
            call.end()
            if call.piece:
                yield self._arguments_delta(index, call)
            if not call.done and call.whole(self._finish_reason):
                yield self._call_done(index, call)

    def _text_delta(self, kind: _TextEvent, delta: str, text: _Text) -> ChatEvent:
        return kind(self._index, delta, text, len(text.parts))

    def _arguments_delta(self, index: int, call: _LiveCall) -> ArgumentsDelta:
        parts = len(call.text.parts)
        return ArgumentsDelta(self._index, index, call.id, call.name, call.piece, call, parts)

    def _call_done(self, index: int, call: _LiveCall) -> ToolCallDone:
        call.done = True
        text, value = call.text.joined(), call.reader.value
        return ToolCallDone(self._index, index, call.id, call.name, text, value, call.custom)


# The iterators of both shells. They are objects: events that are waiting outlive a call
# that is cancelled.


class _Chat(Protocol):
    @property
    def complete(self) -> bool: ...


class _Blocking(_Chat, Protocol):
    def __next__(self) -> ChatCompletionChunk: ...


class _Asynchronous(_Chat, Protocol):
    async def __anext__(self) -> ChatCompletionChunk: ...


_C = TypeVar("_C", bound=_Chat)


class _Waiting(Generic[_C]):
    def __init__(self, chat: _C) -> None:
        self._chat = chat
        self._machine = ChatEvents()
        self._waiting: deque[ChatEvent] = deque()
        self._ended = False

    def _end(self) -> bool:
        """Take the end of the chunks; return whether anything is left to tell."""
        if not self._ended:
            self._ended = True
            if self._chat.complete:
                self._waiting += self._machine.receive_eof()
        return bool(self._waiting)


class EventIterator(_Waiting[_Blocking]):
    """The events of a chat whose chunks come from a blocking iterator."""

    def __iter__(self) -> EventIterator:
        return self

    def __next__(self) -> ChatEvent:
        while not self._waiting:
            try:
                chunk = next(self._chat)
            except StopIteration:
                if not self._end():
                    raise
            else:
                self._waiting += self._machine.receive_chunk(chunk)
        return self._waiting.popleft()


class AsyncEventIterator(_Waiting[_Asynchronous]):
    """The events of a chat whose chunks come from an asynchronous iterator."""

    def __aiter__(self) -> AsyncEventIterator:
        return self

    async def __anext__(self) -> ChatEvent:
        while not self._waiting:
            try:
                chunk = await anext(self._chat)
            except StopAsyncIteration:
                if not self._end():
                    raise
            else:
                self._waiting += self._machine.receive_chunk(chunk)
        return self._waiting.popleft()
