"""The contents of an answer, for either API: tokens, calls, finish reason and usage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NamedTuple, TypeAlias

from .reply import dumps
from .request import AnyRequest
from .sampler import Sampler

_TOKENS: Final = (
    "Server|-S|ent| Events| let| a| server| send| text| to| a| client|,| piece| by| piece|,"
    "| over| one| HTTP| response| that| stays| open|.| Each| event| is| a| few| lines| that"
    "| begin| with| `|data|:`|,| and| a| blank| line| ends| it|.| A| client| that| lost| its"
    "| connection| asks| again| with| the| last| ID| it| saw|.|\n\n|"
    "サーバー|送信|イベント|は|、|サーバー|から|クライアント|へ|文字|を|少し|ずつ|送る|仕組み|です"
    "|。|一つ|の|HTTP|応答|が|開いた|まま|になり|、|言葉|が|届く|たび|に|画面|に|表示|され|て"
    "|います|。|空行|が|イベント|の|終わり|を|示し|ます|。|\n\n|"
    "服|务|器|发|送|事|件|让|服|务|器|通|过|一|个|不|关|闭|的|HTTP|响|应|，|把|文|字|一|点|一|点"
    "|地|送|给|客|户|端|。|每|个|事|件|以|空|行|结|束|。|你|好|！"
)
SCRIPT: Final = tuple(_TOKENS.split("|"))
"""The mock's default answer: it explains Server-Sent Events, in three languages."""

Part: TypeAlias = str | int
"""``reasoning``, ``text`` or ``refusal``; or the index of a call."""


class Token(NamedTuple):
    part: Part
    text: str
    pause: float = 0.0
    """Seconds before it."""


class Call(NamedTuple):
    name: str
    id: str | None = None
    """None if it is to be derived from the request's number."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Turn:
    """The contents of one answer. All choices of a chat completion share them."""

    tokens: Sequence[Token]
    calls: Sequence[Call] = ()
    finish_reason: str
    pause: float = 0.0
    """Seconds between the last token and the end."""
    usage: Mapping[str, int] | None = None
    """``input_tokens``, ``output_tokens``, …; None to count them."""
    error: Mapping[str, Any] | None = None
    """The error that ends the stream after the last token."""
    shape: str = "openai"

    def text(self, part: Part) -> str | None:
        """Return the whole text of a part; None if the answer lacks that part."""
        found = [token.text for token in self.tokens if token.part == part]
        return "".join(found) if found else None

    @property
    def has_content(self) -> bool:
        """True if it has text, even empty text, and not only calls or a refusal."""
        parts = {token.part for token in self.tokens}
        return "text" in parts or not (self.calls or "refusal" in parts)

    @property
    def seconds(self) -> float:
        """Its total duration."""
        return sum(token.pause for token in self.tokens) + self.pause


def split(text: str) -> list[str]:
    """Split a text into tokens: words with the space before them, other scripts by character.

    A real tokenizer cuts elsewhere. All that matters is that the result is always the same.
    """
    return re.findall(r"\s*(?:[!-~]+|\S)|\s+", text)


def fragments(arguments: str) -> list[str]:
    return re.findall(r"\w+|\W+", arguments)


def pace(delay: float, jitter: float, seed: str) -> Iterator[float]:
    """Yield the seconds before each token, varied by the share ``jitter`` at most."""
    uniform: Callable[[float, float], float] = Random(seed).uniform
    while True:
        yield delay * (1 + uniform(-jitter, jitter)) if jitter else delay


def made_up_turn(request: AnyRequest, script: Sequence[str], seconds: Iterator[float]) -> Turn:
    """Answer a request by the rules in the docstring of ``MockOpenAI``."""
    tokens: list[Token] = []
    for index, tool in enumerate(request.calls):
        arguments = dumps(Sampler(tool.parameters).arguments())
        tokens += [Token(index, text, next(seconds)) for text in fragments(arguments)]
    if not request.calls:
        tokens = [Token("text", text, next(seconds)) for text in script]
    sent = tokens[: request.max_tokens]
    reason = "tool_calls" if request.calls else "stop"
    if not request.calls and (stopped := _stopped(sent, request.stop)) is not None:
        sent = stopped
    elif len(sent) < len(tokens):
        reason = "length"
    # A call whose first fragment is beyond the limit is not sent at all.
    begun = len({token.part for token in sent}) if request.calls else 0
    calls = [Call(tool.name) for tool in request.calls[:begun]]
    return Turn(tokens=sent, calls=calls, finish_reason=reason)


def _stopped(tokens: Sequence[Token], stop: tuple[str, ...]) -> list[Token] | None:
    """Return the tokens before the stop string that ends first; None if none occurs."""
    text = "".join(token.text for token in tokens)
    found = [(start + len(each), start) for each in stop if (start := text.find(each)) >= 0]
    if not found:
        return None
    _, left = min(found)
    before: list[Token] = []
    for token in tokens:
        if left > 0:
            before.append(token._replace(text=token.text[:left]))
        left -= len(token.text)
    return before
