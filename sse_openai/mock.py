"""An OpenAI-compatible endpoint that needs no model and no network: an ASGI application.

``POST /v1/chat/completions`` and ``GET /v1/models``, with or without ``/v1``. Nothing
is random and no clock is read: the same requests in the same order get the same bytes,
``id``, ``created`` and ``x-request-id`` included.

body -> ChatRequest -> _Answer -> _Completion -> (pause, bytes) pieces -> send()

All of it is decided before the first byte leaves, so no error comes half-way through a
response. Only ``MockOpenAI`` reads, sleeps and sends; a client that goes away ends that
at once.
"""

from __future__ import annotations

import hmac
import itertools
import json
import os
import re
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio

from sse_core._encoder import encode
from sse_core._events import ServerSentEvent

from ._mock_request import ChatRequest, Refusal, utf8
from ._mock_schema import Sampler

__all__ = ["MockOpenAI", "Recording"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Piece: TypeAlias = tuple[float, bytes]
"""Seconds to wait, then what to send."""
Token: TypeAlias = tuple[int | None, str]
"""The index of the tool call it belongs to, None for text; and the token."""

MAX_BODY: Final = 10 * 2**20
"""Bytes of a request body; what is longer gets 413."""
CREATED: Final = 1_700_000_000
"""Every ``created``, in Unix seconds."""

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
"""What the mock says unless told otherwise: Server-Sent Events, in three languages."""

JSON: Final = (b"content-type", b"application/json")
EVENT_STREAM: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
)


@dataclass(slots=True, frozen=True)
class Recording:
    """A recorded event stream, with the pauses in which it arrived.

    The file holds the bytes of the stream as they are. A line ``: pause 0.25`` says that
    the recording waited there for 0.25 seconds; such lines are not sent. To the format
    they are comments, so a recording is itself a valid event stream. Between two pauses
    everything is sent in one piece.
    """

    pieces: tuple[Piece, ...]
    """Seconds to wait, then bytes to send."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Recording:
        """Read a recording; a stream without pauses is one as well."""
        first, *rest = re.split(
            rb"(?:\A|(?<=[\r\n])): pause (\d+(?:\.\d+)?)(?:\r\n|\r|\n|\Z)", data
        )
        pauses = map(float, rest[::2])
        return cls(((0.0, first), *zip(pauses, rest[1::2], strict=True)))

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Recording:
        """Read a recording from a file."""
        return cls.from_bytes(Path(path).read_bytes())

    @property
    def body(self) -> bytes:
        """All that is sent."""
        return b"".join(data for _, data in self.pieces)


class MockOpenAI:
    """An ASGI application that answers as the OpenAI API does.

    Args:
        script: the tokens to answer with; an explanation of Server-Sent Events if None.
        api_key: the key that requests have to bring; if None, any will do, but not none.
        delay: seconds before each token.
        recordings: a request whose ``model`` is one of these names gets that recording.

    What it makes of a request, which may name any model:

    * Each of the ``n`` choices says the same; those of a stream take turns, token by token.
    * ``max_tokens`` and ``max_completion_tokens`` count tokens of the script, or fragments
      of tool calls. ``stop`` is looked for in the text within that limit.
    * Of ``tools``, those whose names occur in the last message are called, if that message
      is the user's. ``tool_choice``: ``"none"`` calls none, ``"required"`` the first where
      none is named, a function that function. ``parallel_tool_calls: false`` leaves one.
      Arguments are made up to fit ``parameters``, with the required properties only.
    * ``usage``: one prompt token for every four bytes of each message's text, rounded up;
      one completion token for every token or fragment sent, over all choices.
    """

    def __init__(
        self,
        script: Sequence[str] | None = None,
        *,
        api_key: str | None = None,
        delay: float = 0.0,
        recordings: Mapping[str, Recording] | None = None,
    ) -> None:
        self._script = SCRIPT if script is None else tuple(script)
        self._api_key = api_key
        self._delay = delay
        self._recordings = dict(recordings or {})
        self._numbers = itertools.count(1)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request; NotImplementedError for every other kind of scope."""
        if scope["type"] != "http":
            raise NotImplementedError(f"expected an HTTP request, got {scope['type']!r}")
        number = next(self._numbers)
        request_id = (b"x-request-id", b"req_%06d" % number)
        try:
            respond = self._admit(scope)
            body = await _read_body(scope, receive)
            if body is None:
                return
            response = respond(number, body)
        except Refusal as refusal:
            error = _json_response(refusal.status, {"error": refusal.error}, refusal.headers)
            await _play(error, request_id, send)
            return
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(_cancel_when_gone, receive, task_group.cancel_scope)
            await _play(response, request_id, send)
            task_group.cancel_scope.cancel()

    def _admit(self, scope: Mapping[str, Any]) -> Callable[[int, bytes], _Response]:
        """Return what answers such a request, by its path, its method and its key."""
        routes = {
            "/chat/completions": ("POST", self._chat_completions),
            "/models": ("GET", self._models),
        }
        asked: str = scope["method"]
        path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/v1")
        if path not in routes:
            raise Refusal(f"Invalid URL ({asked} {scope['path']})", status=404)
        method, respond = routes[path]
        if asked != method:
            raise Refusal(
                f"Not allowed to {asked} on {path[1:]}.",
                status=405,
                code="method_not_supported",
                headers=((b"allow", method.encode()),),
            )
        self._authenticate(_header(scope, b"authorization"))
        return respond

    def _authenticate(self, authorization: bytes) -> None:
        challenge = ((b"www-authenticate", b'Bearer realm="OpenAI API"'),)
        scheme, _, key = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not key:
            raise Refusal(
                "You didn't provide an API key. You need to provide your API key in an "
                "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
                status=401,
                headers=challenge,
            )
        if self._api_key is not None and not hmac.compare_digest(key, self._api_key.encode()):
            # The API repeats a part of the key here. Errors end in logs: this one does not.
            raise Refusal(
                "Incorrect API key provided.",
                status=401,
                code="invalid_api_key",
                headers=challenge,
            )

    def _models(self, number: int, body: bytes) -> _Response:
        models = [
            {"id": name, "object": "model", "created": CREATED, "owned_by": "sse-toolkit"}
            for name in ("mock", *self._recordings)
        ]
        return _json_response(200, {"object": "list", "data": models})

    def _chat_completions(self, number: int, body: bytes) -> _Response:
        try:
            request = ChatRequest.from_body(body)
            answer = _answer(request, self._script)
        except RecursionError:
            raise Refusal("The JSON body is nested too deeply.") from None
        if recording := self._recordings.get(request.model):
            if not request.stream:
                raise Refusal("This model is a recording, which is always streamed.", "stream")
            return _Response(200, EVENT_STREAM, recording.pieces)
        completion = _Completion(number, request, answer)
        if request.stream:
            return _Response(200, EVENT_STREAM, completion.pieces(self._delay))
        pause = self._delay * len(completion.tokens)
        return _json_response(200, completion.whole(), pause=pause)


@dataclass(slots=True, frozen=True)
class _Response:
    """All that is sent, and when."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    pieces: Iterable[Piece]


def _json_response(
    status: int,
    value: Any,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    *,
    pause: float = 0.0,
) -> _Response:
    body = utf8(_dumps(value))
    length = (b"content-length", b"%d" % len(body))
    return _Response(status, (JSON, length, *headers), [(pause, body)])


def _dumps(value: Any) -> str:
    # Not escaped, as from the API: characters of several bytes are a client's daily bread.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _header(scope: Mapping[str, Any], name: bytes) -> bytes:
    values = [bytes(value) for key, value in scope["headers"] if key == name]
    return values[0].strip() if values else b""


async def _read_body(scope: Mapping[str, Any], receive: Receive) -> bytes | None:
    """Return the request's body; None if the client has gone before its end."""
    declared = _header(scope, b"content-length")
    # Up to 19 digits: int() refuses thousands of them with an error of its own.
    if len(declared) > 19 or (declared.isdigit() and int(declared) > MAX_BODY):
        raise _too_large()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _too_large() -> Refusal:
    return Refusal(f"The request body is longer than {MAX_BODY} bytes.", status=413)


async def _play(response: _Response, request_id: tuple[bytes, bytes], send: Send) -> None:
    headers = [*response.headers, request_id]
    with suppress(OSError):  # the client has gone: nothing is left to do
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        for pause, data in response.pieces:
            # Also for 0: a checkpoint, or a client's going would be noticed too late.
            await anyio.sleep(pause)
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    await receive()  # the body has been read: what comes is http.disconnect
    scope.cancel()


@dataclass(slots=True, frozen=True)
class _Answer:
    """What every choice of a completion says."""

    tokens: Sequence[Token]
    finish_reason: str


def _answer(request: ChatRequest, script: Sequence[str]) -> _Answer:
    tokens: list[Token] = []
    for index, tool in enumerate(request.calls):
        arguments = _dumps(Sampler(tool.parameters).arguments())
        tokens += [(index, fragment) for fragment in re.findall(r"\w+|\W+", arguments)]
    if not request.calls:
        tokens = [(None, token) for token in script]
    sent = tokens[: request.max_tokens]
    if not request.calls and (stopped := _stopped(sent, request.stop)) is not None:
        return _Answer(stopped, "stop")
    if len(sent) < len(tokens):
        return _Answer(sent, "length")
    return _Answer(sent, "tool_calls" if request.calls else "stop")


def _stopped(tokens: Sequence[Token], stop: tuple[str, ...]) -> list[Token] | None:
    """Return what comes before the stop string that is complete first; None: none is."""
    text = "".join(token for _, token in tokens)
    found = [(start + len(each), start) for each in stop if (start := text.find(each)) >= 0]
    if not found:
        return None
    _, left = min(found)
    before: list[Token] = []
    for call, token in tokens:
        if left > 0:
            before.append((call, token[:left]))
        left -= len(token)
    return before


class _Completion:
    """One answer as the API writes it: whole or in chunks."""

    def __init__(self, number: int, request: ChatRequest, answer: _Answer) -> None:
        self.tokens = answer.tokens
        self._number = number
        self._request = request
        self._finish_reason = answer.finish_reason

    def whole(self) -> dict[str, Any]:
        """Return what is sent without ``stream``."""
        choices = [
            {
                "index": choice,
                "message": self._message(choice),
                "logprobs": self._logprobs(self.tokens),
                "finish_reason": self._finish_reason,
            }
            for choice in range(self._request.n)
        ]
        return {**self._envelope("chat.completion"), "choices": choices, "usage": self._usage()}

    def pieces(self, delay: float) -> Iterator[Piece]:
        """Yield the event stream, with a delay before each token."""
        usage = {"usage": None} if self._request.include_usage else {}
        envelope = {**self._envelope("chat.completion.chunk"), **usage}
        for pause, choice in self._choices(delay):
            yield pause, _event({**envelope, "choices": [choice]})
        if usage:
            yield 0.0, _event({**envelope, "choices": [], "usage": self._usage()})
        yield 0.0, encode(ServerSentEvent("[DONE]"))

    def _choices(self, delay: float) -> Iterator[tuple[float, dict[str, Any]]]:
        """Yield what each chunk adds, and the pause before it."""
        choices = range(self._request.n)
        opening = {"role": "assistant", "content": None if self._request.calls else ""}
        for choice in choices:
            yield 0.0, self._choice(choice, opening)
        last: int | None = None
        for call, token in self.tokens:
            for choice in choices:
                pause = delay if choice == 0 else 0.0  # once for all that are abreast
                if call is not None and call != last:
                    begun = {"index": call, **self._call(choice, call, "")}
                    yield pause, self._choice(choice, {"tool_calls": [begun]})
                    pause = 0.0
                yield pause, self._choice(choice, _delta(call, token), [(call, token)])
            last = call
        for choice in choices:
            yield 0.0, self._choice(choice, {}, finish_reason=self._finish_reason)

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
        if not self._request.calls:
            content = "".join(token for _, token in self.tokens)
            return {"role": "assistant", "content": content, "refusal": None}
        calls = []
        for call, tokens in itertools.groupby(self.tokens, key=itemgetter(0)):
            calls.append(self._call(choice, call, "".join(token for _, token in tokens)))
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}

    def _call(self, choice: int, call: int, arguments: str) -> dict[str, Any]:
        return {
            "id": f"call_{self._number:06d}_{choice}_{call}",
            "type": "function",
            "function": {"name": self._request.calls[call].name, "arguments": arguments},
        }

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any] | None:
        """Return the logarithm of one for each token of a text: a script is sure of itself."""
        if not self._request.logprobs or self._request.calls:
            return None
        content = []
        for _, token in tokens:
            own = {"token": token, "logprob": 0.0, "bytes": list(utf8(token))}
            top = [own] if self._request.top_logprobs else []
            content.append({**own, "top_logprobs": top})
        return {"content": content, "refusal": None}

    def _usage(self) -> dict[str, int]:
        prompt, completion = self._request.prompt_tokens, len(self.tokens) * self._request.n
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._number:06d}",
            "object": kind,
            "created": CREATED,
            "model": self._request.model,
            "system_fingerprint": "fp_mock",
        }


def _event(chunk: dict[str, Any]) -> bytes:
    return encode(ServerSentEvent(_dumps(chunk)))


def _delta(call: int | None, token: str) -> dict[str, Any]:
    if call is None:
        return {"content": token}
    return {"tool_calls": [{"index": call, "function": {"arguments": token}}]}
