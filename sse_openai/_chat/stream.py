"""Event -> chunk -> the completion so far. No I/O.

    chat = ChatStream()
    for event in events:
        if chunk := chat.receive_event(event):
            print(chunk.content or "", end="")
    chat.receive_eof()                         # raises if the stream was cut off
    print(chat.completion.choices[0].finish_reason)

Text is kept in parts and joined when it is asked for, so that folding is linear in what
arrives. Rules are cited by their numbers in docs/maintainers/openai.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._errors import APIError, StreamTruncated, error_in
from .._reading import Machine
from .._text import Parts, loads
from .calls import MAX_TOOL_CALLS, Calls, WholeCall
from .chunks import ChatCompletionChunk, Choice, JSONObject, ToolCallDelta
from .completion import ChatCompletion, CompletionChoice, Message

if TYPE_CHECKING:
    from sse_core import ServerSentEvent

MAX_CHOICES = 128
"""The largest ``n`` that a request can have, and the limit of the official SDKs."""

_CHUNK = "chat.completion.chunk"


class ChatStream(Machine[ChatCompletionChunk]):
    """Reads the events of one streamed chat completion and folds them into the answer so far.

    The events answer ``POST /chat/completions`` of the API reference. The ``completion`` of
    an error has everything that came before it.

    Args:
        loads: decodes JSON text, as ``orjson.loads`` does; the standard library's decoder
            by default. It may raise ValueError or RecursionError.
    """

    def __init__(self, *, loads: Callable[[str], Any] = loads) -> None:
        super().__init__(loads)
        self._head = ChatCompletion()
        self._choices: dict[int, _Choice] = {}

    @property
    def complete(self) -> bool:
        """True if the answer is whole: ``[DONE]``, or a finish reason on every choice seen."""
        return self.done or (
            bool(self._choices)
            and all(choice.finish_reason is not None for choice in self._choices.values())
        )

    @property
    def completion(self) -> ChatCompletion:
        """Everything so far, folded into one value; a new object each time."""
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

    def _receive(self, value: dict[str, Any], event: ServerSentEvent) -> ChatCompletionChunk | None:
        # Recognize an ordinary chunk first: nearly all are.
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

    def _so_far(self) -> ChatCompletion:
        return self.completion

    def _truncated(self) -> StreamTruncated:
        return StreamTruncated(self.completion)

    def _fold(self, event: ServerSentEvent, chunk: ChatCompletionChunk) -> None:
        head = self._head
        # Equal in every chunk, but empty in Azure's first ones.
        head.id = head.id or chunk.id
        head.created = head.created or chunk.created
        head.model = head.model or chunk.model
        # O21, O22: the last value that is not null counts; a later null changes nothing.
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
    """Return the chunk's count of tokens, which Groq sends in its own place (O21)."""
    if chunk.usage is None and isinstance(groq := chunk.extra.get("x_groq"), dict):
        usage = groq.get("usage")
        return JSONObject(usage) if isinstance(usage, dict) else None
    return chunk.usage


class _Choice:
    """One choice under construction."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.finish_reason: str | None = None
        self._role: str | None = None
        self._content = Parts()
        self._reasoning = Parts()
        self._refusal = Parts()
        self._calls = Calls(WholeCall)
        self._function_call: WholeCall | None = None
        self._logprobs: dict[str, list[Any] | None] | None = None
        self._audio: dict[str, Any] = {}
        self._audio_text = {"data": Parts(), "transcript": Parts()}

    def add(self, choice: Choice) -> bool:
        """Add a chunk's part of this choice; return False if it has too many tool calls."""
        delta = choice.delta
        # O12, O16: an empty string or a null changes nothing.
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
                self._function_call = WholeCall()
            self._function_call.add(ToolCallDelta(function=delta.function_call))
        # Checked first: most deltas have none, and a generator costs more than all of the above.
        return not delta.tool_calls or all(
            self._calls.add(call) is not None for call in delta.tool_calls
        )

    def _add_logprobs(self, logprobs: JSONObject) -> None:
        if self._logprobs is None:
            self._logprobs = {"content": None, "refusal": None}
        for key, tokens in self._logprobs.items():
            # O17: lists are joined; null until one comes.
            if isinstance(more := logprobs.get(key), list):
                if tokens is None:
                    tokens = self._logprobs[key] = []
                tokens += more

    def _add_audio(self, audio: JSONObject) -> None:
        # O18: the first id, data and transcript appended, the last expires_at.
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
            # Copies, because these lists continue to grow.
            logprobs = JSONObject({key: more and [*more] for key, more in self._logprobs.items()})
        return CompletionChoice(self.index, self.finish_reason, message, logprobs)
