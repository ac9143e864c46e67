"""A turn -> a chat completion in the API's format: whole, or in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .errors import error_events, error_object
from .reply import Piece, Reply, event, json_reply, stream_reply, utf8
from .request import ChatRequest
from .turn import Part, Token, Turn

CREATED: Final = 1_700_000_000
"""Every ``created``, in Unix seconds."""

_KEYS: Final = {"reasoning": "reasoning_content", "text": "content", "refusal": "refusal"}
"""``reasoning_content`` is DeepSeek's name, used by most others; OpenAI's chats have none."""


@dataclass(slots=True, frozen=True)
class Completion:
    """One answer to one request."""

    _number: int
    _request: ChatRequest
    _turn: Turn

    def reply(self, *, stream: bool) -> Reply:
        """Return the reply, with its timing."""
        if stream:
            return stream_reply(self._pieces())
        pause = self._turn.seconds
        if self._turn.error is not None:
            return json_reply(500, {"error": error_object(self._turn.error)}, pause=pause)
        return json_reply(200, self._whole(), pause=pause)

    def _whole(self) -> dict[str, Any]:
        choices = [
            {
                "index": choice,
                "message": self._message(choice),
                "logprobs": self._logprobs(self._turn.tokens),
                "finish_reason": self._turn.finish_reason,
            }
            for choice in range(self._request.n)
        ]
        return {**self._envelope("chat.completion"), "choices": choices, "usage": self._usage()}

    def _pieces(self) -> Iterator[Piece]:
        turn = self._turn
        usage = {"usage": None} if self._request.include_usage else {}
        envelope = {**self._envelope("chat.completion.chunk"), **usage}
        for pause, choice in self._deltas():
            yield pause, event({**envelope, "choices": [choice]})
        if turn.error is not None:
            yield turn.pause, error_events(turn.shape, error_object(turn.error), chunk=envelope)
            return
        for index in range(self._request.n):
            end = self._choice(index, {}, finish_reason=turn.finish_reason)
            yield (0.0 if index else turn.pause), event({**envelope, "choices": [end]})
        if usage:
            yield 0.0, event({**envelope, "choices": [], "usage": self._usage()})
        yield 0.0, event("[DONE]")

    def _deltas(self) -> Iterator[tuple[float, dict[str, Any]]]:
        """Yield the pause before each chunk, and the choice in it."""
        choices = range(self._request.n)
        opening = {"role": "assistant", "content": "" if self._turn.has_content else None}
        for choice in choices:
            yield 0.0, self._choice(choice, opening)
        last: Part | None = None
        for token in self._turn.tokens:
            for choice in choices:
                pause = token.pause if choice == 0 else 0.0  # once for all choices
                if isinstance(token.part, int) and token.part != last:
                    begun = {"index": token.part, **self._call(choice, token.part, "")}
                    yield pause, self._choice(choice, {"tool_calls": [begun]})
                    pause = 0.0
                yield pause, self._choice(choice, _delta(token), [token])
            last = token.part

    def _choice(
        self,
        choice: int,
        delta: dict[str, Any],
        tokens: Sequence[Token] = (),
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        return {
            "index": choice,
            "delta": delta,
            "logprobs": self._logprobs(tokens) if tokens else None,
            "finish_reason": finish_reason,
        }

    def _message(self, choice: int) -> dict[str, Any]:
        turn = self._turn
        content = (turn.text("text") or "") if turn.has_content else None
        message = {"role": "assistant", "content": content, "refusal": turn.text("refusal")}
        if (reasoning := turn.text("reasoning")) is not None:
            message["reasoning_content"] = reasoning
        calls = [self._call(choice, call, turn.text(call) or "") for call in range(len(turn.calls))]
        return {**message, "tool_calls": calls} if calls else message

    def _call(self, choice: int, index: int, arguments: str) -> dict[str, Any]:
        call = self._turn.calls[index]
        return {
            "id": call.id or f"call_{self._number:06d}_{choice}_{index}",
            "type": "function",
            "function": {"name": call.name, "arguments": arguments},
        }

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any] | None:
        """Return log(1) for each token of the text: a script has no alternatives."""
        if not (self._request.logprobs and self._turn.has_content):
            return None
        content = []
        for token in tokens:
            if token.part == "text":
                own = {"token": token.text, "logprob": 0.0, "bytes": list(utf8(token.text))}
                top = [own] if self._request.top_logprobs else []
                content.append({**own, "top_logprobs": top})
        return {"content": content, "refusal": None}

    def _usage(self) -> dict[str, Any]:
        given = self._turn.usage or {}
        prompt = given.get("input_tokens", self._request.prompt_tokens)
        completion = given.get("output_tokens", len(self._turn.tokens) * self._request.n)
        details = {
            f"{side}_tokens_details": {key: given[key]}
            for side, key in (("prompt", "cached_tokens"), ("completion", "reasoning_tokens"))
            if key in given
        }
        counts = {"prompt_tokens": prompt, "completion_tokens": completion}
        return {**counts, "total_tokens": prompt + completion, **details}

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._number:06d}",
            "object": kind,
            "created": CREATED,
            "model": self._request.model,
            "system_fingerprint": "fp_mock",
        }


def _delta(token: Token) -> dict[str, Any]:
    if isinstance(token.part, str):
        return {_KEYS[token.part]: token.text}
    return {"tool_calls": [{"index": token.part, "function": {"arguments": token.text}}]}
