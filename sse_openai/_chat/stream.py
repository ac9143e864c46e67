"""event -> chunk -> the completion so far. Knows no transport.

    chat = ChatStream()
    for event in events:
        if chunk := chat.receive_event(event):
            print(chunk.content or "", end="")
    chat.receive_eof()                         # raises where the stream broke off
    print(chat.completion.choices[0].finish_reason)

Text is kept in parts and joined when asked for, so that folding is linear in what
arrives. Rules are cited by their numbers in docs/openai.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .._errors import APIError, ChatError, MalformedChunk, StreamTruncated, error_in
from .chunks import ChatCompletionChunk, Choice, JSONObject, ToolCallDelta
from .completion import ChatCompletion, CompletionChoice, Custom, Function, Message, ToolCall

if TYPE_CHECKING:
    from sse_core import ServerSentEvent

__all__ = ["ChatStream"]

MAX_CHOICES = 128
"""The most that ``n`` can ask for, and what the official SDKs allow."""

MAX_TOOL_CALLS = 128

_CHUNK = "chat.completion.chunk"
_raw_decode = json.JSONDecoder().raw_decode


def loads(text: str) -> Any:
    """Return ``json.loads`` of text without white space around it, in two thirds of the time."""
    value, end = _raw_decode(text)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


class ChatStream:
    """Reads the events of one streamed chat completion and keeps what they add up to.

    ``POST /chat/completions`` of the API reference (docs/openai.md, 1), by the rules O3 to O25.

    Args:
        loads: decodes JSON text, as ``orjson.loads`` does; the standard library's decoder
            by default. It may raise ValueError or RecursionError.
    """

    def __init__(self, *, loads: Callable[[str], Any] = loads) -> None:
        self._loads = loads
        self._head = ChatCompletion()
        self._choices: dict[int, _Choice] = {}
        self._failed = False
        self.done = False
        """Whether ``[DONE]`` came. Nothing after it is looked at."""

    @property
    def complete(self) -> bool:
        """Whether the answer is whole: ``[DONE]``, or a finish reason on every choice seen."""
        return self.done or (
            bool(self._choices)
            and all(choice.finish_reason is not None for choice in self._choices.values())
        )

    @property
    def completion(self) -> ChatCompletion:
        """Everything so far, folded into one value; a new one each time."""
        head = self._head
        return ChatCompletion(
            head.id,
            head.created,
            head.model,
            head.service_tier,
            head.system_fingerprint,
            head.usage,
            head.moderation,
            [choice.folded() for _, choice in sorted(self._choices.items())],
        )

    def receive_event(self, event: ServerSentEvent) -> ChatCompletionChunk | None:
        """Take the next event; return its chunk, or None for one that carries none.

        Raises:
            APIError: the event reports an error. ``.completion`` has what came before it.
            MalformedChunk: its data is not JSON, or JSON but no object.
            Nothing is read after either: later events give None.
        """
        if self.done or self._failed:
            return None
        try:
            return self._receive(event)
        except ChatError:
            self._failed = True
            raise

    def receive_eof(self) -> None:
        """Take the end of the stream, where the body ended as HTTP has it.

        Raises:
            StreamTruncated: neither ``[DONE]`` nor a finish reason on every choice came.
                An empty body is truncated as well.
        """
        if not (self.complete or self._failed):
            self._failed = True
            raise StreamTruncated(self.completion)

    def _receive(self, event: ServerSentEvent) -> ChatCompletionChunk | None:
        data = event.data.strip()
        if not data:
            return None  # O4: also of an event named error
        if data == "[DONE]":
            self.done = True
            return None
        try:
            value = self._loads(data)
        except (ValueError, RecursionError) as exc:
            if event.event == "error":
                raise APIError(data, completion=self.completion) from None  # O8
            raise self._malformed(event, str(exc)) from exc
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._malformed(event, f"expected an object, got {type(value).__name__}")
        # An ordinary chunk is told from everything else at once.
        ordinary = value.get("object") == _CHUNK and event.event != "error"
        if not ordinary or "error" in value or "type" in value:
            if error := error_in(value, event.event):
                raise APIError(**error, completion=self.completion)
            if value.get("type") in ("ping", "keepalive"):
                return None
        try:
            chunk = ChatCompletionChunk.from_json(value)
        except RecursionError as exc:  # writing an object of arguments as text
            raise self._malformed(event, str(exc)) from exc
        self._fold(event, chunk)
        return chunk

    def _malformed(self, event: ServerSentEvent, reason: str) -> MalformedChunk:
        return MalformedChunk(event, self.completion, reason[:200])

    def _fold(self, event: ServerSentEvent, chunk: ChatCompletionChunk) -> None:
        head = self._head
        # Equal in every chunk, but empty in the first ones of Azure.
        head.id = head.id or chunk.id
        head.created = head.created or chunk.created
        head.model = head.model or chunk.model
        # O21, O22: the last that is not null; a later null takes nothing back.
        if (chunk.usage is not None or chunk.extra) and (usage := usage_of(chunk)) is not None:
            head.usage = usage
        if chunk.service_tier is not None:
            head.service_tier = chunk.service_tier
        if chunk.system_fingerprint is not None:
            head.system_fingerprint = chunk.system_fingerprint
        if chunk.moderation is not None:
            head.moderation = chunk.moderation
        for choice in chunk.choices:
            fold = self._choices.get(choice.index)
            if fold is None:
                if len(self._choices) == MAX_CHOICES:
                    raise self._malformed(event, f"more than {MAX_CHOICES} choices")
                fold = self._choices[choice.index] = _Choice(choice.index)
            if not fold.add(choice):
                raise self._malformed(event, f"more than {MAX_TOOL_CALLS} tool calls")


def usage_of(chunk: ChatCompletionChunk) -> JSONObject | None:
    """O21: the chunk's count of tokens, which Groq sends in a place of its own."""
    if chunk.usage is None and isinstance(groq := chunk.extra.get("x_groq"), dict):
        usage = groq.get("usage")
        return JSONObject(usage) if isinstance(usage, dict) else None
    return chunk.usage


class _Text:
    """Text that arrives in parts: null until the first one comes."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[str] | None = None

    def add(self, part: str | None) -> None:
        if part is not None:
            if self._parts is None:
                self._parts = []
            self._parts.append(part)

    def joined(self) -> str | None:
        if self._parts is None:
            return None
        # O24: JSON escapes of the two halves of a character may come in two deltas.
        return with_whole_characters("".join(self._parts))


def with_whole_characters(text: str) -> str:
    """Return the text with surrogate halves joined; one that is alone becomes U+FFFD."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            units = text.encode("utf-16-le", "surrogatepass")
            text = units.decode("utf-16-le", "replace")
    return text


class Call:
    """A tool call, or the older function_call: which one it is."""

    __slots__ = ("custom", "id", "kind", "name")

    def __init__(self) -> None:
        self.id: str | None = None
        self.kind: str | None = None
        self.name: str | None = None
        self.custom = False

    def identify(self, delta: ToolCallDelta) -> None:
        """Take what a fragment says of which call it belongs to."""
        # O20: id, type and name are set once, because some servers repeat them.
        self.id = self.id or delta.id
        self.kind = self.kind or delta.type
        if delta.function is not None:
            self.name = self.name or delta.function.name
        if delta.custom is not None:
            self.custom = True
            self.name = self.name or delta.custom.name

    def add(self, delta: ToolCallDelta) -> None:
        """Take the text that a fragment brings: for the classes that keep it."""


_Call = TypeVar("_Call", bound=Call)


class Calls(list[_Call]):
    """The tool calls of one choice, in the order of their beginning."""

    def __init__(self, new: Callable[[], _Call]) -> None:
        self._new = new
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}

    def add(self, delta: ToolCallDelta) -> _Call | None:
        """Give a fragment to its call, and return that; None where there are too many."""
        call = self._call_of(delta)
        if call is None:
            if len(self) == MAX_TOOL_CALLS:
                return None
            call = self._new()
            self.append(call)
        call.identify(delta)
        call.add(delta)
        if call.id:
            self._by_id[call.id] = call
        if delta.index is not None:
            self._by_index[delta.index] = call
        return call

    def _call_of(self, delta: ToolCallDelta) -> _Call | None:
        """O20: the call that a fragment continues, or None when it starts one."""
        if delta.id and delta.id in self._by_id:
            return self._by_id[delta.id]
        if delta.index is not None:
            call = self._by_index.get(delta.index)
            return None if call and call.id and delta.id else call
        if delta.id or not self:
            return None
        latest = self[-1]
        named = (delta.function and delta.function.name) or (delta.custom and delta.custom.name)
        return None if named and latest.name else latest


class _WholeCall(Call):
    """A call under construction, with its texts."""

    __slots__ = ("arguments", "input")

    def __init__(self) -> None:
        super().__init__()
        self.arguments = _Text()
        self.input = _Text()

    def add(self, delta: ToolCallDelta) -> None:
        if delta.function is not None:
            self.arguments.add(delta.function.arguments)
        if delta.custom is not None:
            self.input.add(delta.custom.input)

    def function(self) -> Function:
        return Function(self.name, self.arguments.joined() or "")

    def folded(self) -> ToolCall:
        if self.custom:
            custom = Custom(self.name, self.input.joined() or "")
            return ToolCall(self.id, self.kind, custom=custom)
        return ToolCall(self.id, self.kind, self.function())


class _Choice:
    """One choice under construction."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.finish_reason: str | None = None
        self._role: str | None = None
        self._content = _Text()
        self._reasoning = _Text()
        self._refusal = _Text()
        self._calls = Calls(_WholeCall)
        self._function_call: _WholeCall | None = None
        self._logprobs: dict[str, list[Any] | None] | None = None
        self._audio: dict[str, Any] = {}
        self._audio_text = {"data": _Text(), "transcript": _Text()}

    def add(self, choice: Choice) -> bool:
        """Add what a chunk says of this choice; False when it has too many tool calls."""
        delta = choice.delta
        # O12, O16: an empty string or a null takes nothing back.
        if delta.role:
            self._role = delta.role
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
        if delta.content is not None:
            self._content.add(delta.content)
        if delta.reasoning is not None:
            self._reasoning.add(delta.reasoning)
        if delta.refusal is not None:
            self._refusal.add(delta.refusal)
        if choice.logprobs is not None:
            self._add_logprobs(choice.logprobs)
        if delta.audio is not None:
            self._add_audio(delta.audio)
        if delta.function_call is not None:
            if self._function_call is None:
                self._function_call = _WholeCall()
            self._function_call.identify(fragment := ToolCallDelta(function=delta.function_call))
            self._function_call.add(fragment)
        # Asked first, as most deltas have none and a generator costs more than all of that.
        return not delta.tool_calls or all(
            self._calls.add(call) is not None for call in delta.tool_calls
        )

    def _add_logprobs(self, logprobs: JSONObject) -> None:
        if self._logprobs is None:
            self._logprobs = {"content": None, "refusal": None}
        for key, tokens in self._logprobs.items():
            # O17: joined; null as long as none came.
            if isinstance(more := logprobs.get(key), list):
                if tokens is None:
                    tokens = self._logprobs[key] = []
                tokens += more

    def _add_audio(self, audio: JSONObject) -> None:
        # O18: id once, data and transcript appended, expires_at last.
        for key, value in audio.items():
            if key in self._audio_text:
                self._audio_text[key].add(value if isinstance(value, str) else None)
            elif value is not None and (key != "id" or "id" not in self._audio):
                self._audio[key] = value

    def folded(self) -> CompletionChoice:
        texts = {key: text.joined() for key, text in self._audio_text.items()}
        audio = self._audio | {key: text for key, text in texts.items() if text is not None}
        message = Message(
            self._role,
            self._content.joined(),
            self._reasoning.joined(),
            self._refusal.joined(),
            [call.folded() for call in self._calls],
            None if self._function_call is None else self._function_call.function(),
            JSONObject(audio) if audio else None,
        )
        logprobs = None
        if self._logprobs is not None:
            # Lists of their own: these here go on growing.
            logprobs = JSONObject({key: more and [*more] for key, more in self._logprobs.items()})
        return CompletionChoice(self.index, self.finish_reason, message, logprobs)
