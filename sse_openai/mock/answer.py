"""The answers of a script: what each one sends, and which request gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from .errors import error_object
from .faults import Fault
from .reply import Recording, Reply, json_reply, stream_reply
from .request import AnyRequest
from .turn import Call, Token, Turn, made_up_turn

NO_FAULT: Final = Fault()


@dataclass(slots=True, frozen=True, kw_only=True)
class Answer:
    """One answer of a script, validated."""

    when: Mapping[str, str] = field(default_factory=dict)
    times: float = 1
    wait: float = 0.0
    rate: float | None = None
    jitter: float | None = None
    tokens: tuple[Token, ...] = ()
    calls: tuple[Call, ...] = ()
    pause: float = 0.0
    finish_reason: str | None = None
    usage: Mapping[str, int] | None = None
    status: int = 200
    error: Mapping[str, Any] | None = None
    shape: str = "openai"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = None
    content_type: str | None = None
    recording: Recording | None = None
    fault: Fault = NO_FAULT
    speaks: bool = False
    """True if the script gives the contents of the answer; otherwise they are made up."""

    def turn(self, request: AnyRequest, tokens: Sequence[str], seconds: Iterator[float]) -> Turn:
        """Return its contents; made up from ``tokens`` or tools if the script gives none."""
        if not self.speaks:
            turn = made_up_turn(request, tokens, seconds)
            reason = self.finish_reason or turn.finish_reason
            return replace(turn, finish_reason=reason, usage=self.usage)
        said = [
            token._replace(pause=token.pause + each)
            for token, each in zip(self.tokens, seconds, strict=False)
        ]
        return Turn(
            tokens=said,
            calls=self.calls,
            finish_reason=self.finish_reason or ("tool_calls" if self.calls else "stop"),
            pause=self.pause,
            usage=self.usage,
            error=self.error,
            shape=self.shape,
        )

    def reply(self, say: Callable[[], Reply]) -> Reply:
        """Return the reply with its faults; ``say`` makes the reply of a turn if it is needed."""
        if self.recording is not None:
            reply = stream_reply(self.recording.pieces)
        elif self.body is not None:
            reply = stream_reply([(0.0, self.body)], status=self.status)
            if self.content_type is not None:
                headers = ((b"content-type", self.content_type.encode()),)
                reply = replace(reply, headers=headers, streamed=False)
        elif self.status != 200:
            reply = json_reply(self.status, {"error": error_object(self.error or {}, self.status)})
        else:
            reply = say()
        reply = replace(reply, headers=(*reply.headers, *self.headers), wait=self.wait)
        return self.fault.applied(reply)

    @property
    def path(self) -> str:
        """The pattern of the paths it answers."""
        return self.when.get("path", "*")

    def fits(self, path: str, model: str, user: str) -> bool:
        return (
            fnmatchcase(path, self.path)
            and fnmatchcase(model, self.when.get("model", "*"))
            and self.when.get("user", "") in user
        )


class Answers:
    """The answers that are left. A request gets the first one that fits."""

    def __init__(self) -> None:
        self._left: list[tuple[Answer, float]] = []
        self._paths: set[str] = set()

    def add(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            self._left.append((answer, answer.times))
            self._paths.add(answer.path)

    def scripted(self, path: str) -> bool:
        """True if there have ever been answers for that path."""
        return any(fnmatchcase(path, pattern) for pattern in self._paths)

    def take(self, path: str, model: str = "", user: str = "", *, body: bool) -> Answer | None:
        """Return the answer to a request; None if the script has none for it.

        A request without a body gets only answers that name a path and have no contents.
        """
        for index, (answer, left) in enumerate(self._left):
            if answer.fits(path, model, user) and (
                body or ("path" in answer.when and not answer.speaks)
            ):
                if left > 1:
                    self._left[index] = answer, left - 1
                else:
                    del self._left[index]
                return answer
        return None
