"""An OpenAI-compatible endpoint that needs no model and no network: an ASGI application.

``POST /v1/chat/completions`` and ``GET /v1/models``, with or without ``/v1``. Nothing
is random and no clock is read: the same requests in the same order get the same bytes,
``id``, ``created`` and ``x-request-id`` included.

body -> _ChatRequest -> _Answer -> _Completion -> (pause, bytes) pieces -> send()

All of it is decided before the first byte leaves, so no error comes half-way through a
response. Only ``MockOpenAI`` reads, sleeps and sends; a client that goes away ends that
at once.
"""

from __future__ import annotations

import hmac
import itertools
import json
import math
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
from typing import Any, Final, TypeAlias, TypeVar

import anyio

from sse_core._encoder import encode
from sse_core._events import ServerSentEvent

__all__ = ["MockOpenAI", "Recording"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Piece: TypeAlias = tuple[float, bytes]
"""Seconds to wait, then what to send."""
Token: TypeAlias = tuple[int | None, str]
"""The index of the tool call it belongs to, None for text; and the token."""
T = TypeVar("T")

MAX_BODY: Final = 10 * 2**20
"""Bytes of a request body; what is longer gets 413."""
MAX_CHOICES: Final = 128
"""The specification's limit of ``n``."""
MAX_DEPTH: Final = 16
"""Levels of a schema that get a value: a schema can require itself."""
MAX_VALUES: Final = 256
"""Values that are made up for one schema."""
MAX_SAMPLE: Final = 64
"""Characters and items that the minimum of a schema can ask for."""
CREATED: Final = 1_700_000_000
"""Every ``created``, in Unix seconds."""
ROLES: Final = ("developer", "system", "user", "assistant", "tool", "function")

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
        except _Refusal as refusal:
            await _play(refusal.response, request_id, send)
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
            raise _Refusal(f"Invalid URL ({asked} {scope['path']})", status=404)
        method, respond = routes[path]
        if asked != method:
            raise _Refusal(
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
            raise _Refusal(
                "You didn't provide an API key. You need to provide your API key in an "
                "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
                status=401,
                headers=challenge,
            )
        if self._api_key is not None and not hmac.compare_digest(key, self._api_key.encode()):
            # The API repeats a part of the key here. Errors end in logs: this one does not.
            raise _Refusal(
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
            request = _ChatRequest.from_body(body)
            answer = _answer(request, self._script)
        except RecursionError:
            raise _Refusal("The JSON body is nested too deeply.") from None
        if recording := self._recordings.get(request.model):
            if not request.stream:
                raise _Refusal("This model is a recording, which is always streamed.", "stream")
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


class _Refusal(Exception):
    """A request that gets an error, in the API's shape."""

    def __init__(
        self,
        message: str,
        param: str | None = None,
        *,
        status: int = 400,
        code: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        error = {
            "message": message,
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        }
        self.response = _json_response(status, {"error": error}, headers)


def _json_response(
    status: int,
    value: Any,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    *,
    pause: float = 0.0,
) -> _Response:
    body = _utf8(_dumps(value))
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


def _too_large() -> _Refusal:
    return _Refusal(f"The request body is longer than {MAX_BODY} bytes.", status=413)


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
class _Tool:
    name: str
    parameters: dict[str, Any] | None
    """A JSON Schema."""


@dataclass(slots=True, frozen=True, kw_only=True)
class _ChatRequest:
    """What a valid request asks for."""

    model: str
    prompt_tokens: int
    stream: bool
    include_usage: bool
    n: int
    stop: tuple[str, ...]
    max_tokens: int | None
    logprobs: bool
    top_logprobs: int
    calls: tuple[_Tool, ...]
    """The tools to call; none of them for an answer in text."""

    @classmethod
    def from_body(cls, body: bytes) -> _ChatRequest:
        """Read a request's body; _Refusal for what the API would refuse."""
        fields = _Fields.from_body(body)
        model = fields.required("model", str)
        if not model:
            raise fields.invalid("model", "it is empty")
        texts, question = _read_messages(fields)
        stream = fields.optional("stream", bool) or False
        logprobs, top_logprobs = _read_logprobs(fields)
        return cls(
            model=model,
            prompt_tokens=sum(math.ceil(len(_utf8(text)) / 4) for text in texts),
            stream=stream,
            include_usage=_read_stream_options(fields, stream),
            n=fields.integer("n", 1, MAX_CHOICES) or 1,
            stop=_read_stop(fields),
            max_tokens=_read_max_tokens(fields),
            logprobs=logprobs,
            top_logprobs=top_logprobs,
            calls=_read_calls(fields, question),
        )


class _Fields:
    """A JSON object of the request, and where it stands. Every misfit is a _Refusal.

    To the API a field that is null is as good as absent.
    """

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path

    @classmethod
    def from_body(cls, body: bytes) -> _Fields:
        try:
            values = json.loads(body, parse_constant=_finite, parse_float=_finite)
        except ValueError:
            # Not JSON, not UTF-8, or an integer of more digits than int() reads.
            raise _Refusal("We could not parse the JSON body of your request.") from None
        if type(values) is not dict:
            raise _Refusal(f"Invalid body: expected an object, but got {_json_type(values)}.")
        return cls(values)

    def optional(self, name: str, kind: type[T]) -> T | None:
        value = self._values.get(name)
        # type() rather than isinstance(): to Python, True is an integer.
        if value is None or type(value) is kind:
            return value
        raise self.invalid_type(name, kind, value)

    def required(self, name: str, kind: type[T]) -> T:
        value = self.optional(name, kind)
        if value is None:
            param = self._path + name
            message = f"Missing required parameter: '{param}'."
            raise _Refusal(message, param, code="missing_required_parameter")
        return value

    def integer(self, name: str, low: int, high: int | None = None) -> int | None:
        value = self.optional(name, int)
        # The value is not repeated: str() refuses thousands of digits.
        if value is not None and value < low:
            raise self.invalid(name, f"expected a value >= {low}", "integer_below_min_value")
        if value is not None and high is not None and value > high:
            raise self.invalid(name, f"expected a value <= {high}", "integer_above_max_value")
        return value

    def strings(self, name: str) -> list[str]:
        """Return a field that holds a string or an array of strings."""
        value = self._values.get(name)
        if type(value) is not list:
            text = self.optional(name, str)
            return [] if text is None else [text]
        for index, item in enumerate(value):
            if type(item) is not str:
                raise self.invalid_type(f"{name}[{index}]", str, item)
        return value

    def object(self, name: str) -> _Fields:
        return _Fields(self.required(name, dict), f"{self._path}{name}.")

    def objects(self, name: str) -> list[_Fields]:
        """Return the objects of an array; none where the field is absent."""
        objects = []
        for index, item in enumerate(self.optional(name, list) or ()):
            if type(item) is not dict:
                raise self.invalid_type(f"{name}[{index}]", dict, item)
            objects.append(_Fields(item, f"{self._path}{name}[{index}]."))
        return objects

    def has(self, name: str, kind: type) -> bool:
        return type(self._values.get(name)) is kind

    def invalid_type(self, name: str, kind: type, value: Any) -> _Refusal:
        reason = f"expected {_JSON_TYPES[kind]}, but got {_json_type(value)} instead"
        return self.invalid(name, reason, "invalid_type")

    def invalid(self, name: str, reason: str, code: str = "invalid_value") -> _Refusal:
        param = self._path + name
        return _Refusal(f"Invalid '{param}': {reason}.", param, code=code)


_JSON_TYPES: Final[dict[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "an integer",
    float: "a decimal",
    bool: "a boolean",
    type(None): "null",
}


def _json_type(value: Any) -> str:
    return _JSON_TYPES[type(value)]


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} cannot be written as JSON again")
    return value


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a request may bring lone surrogates


def _read_messages(fields: _Fields) -> tuple[list[str], str]:
    """Return each message's text, and once more the last one's if it is the user's."""
    fields.required("messages", list)
    messages = fields.objects("messages")
    if not messages:
        raise fields.invalid("messages", "expected at least one message", "empty_array")
    for message in messages:
        if message.required("role", str) not in ROLES:
            raise message.invalid("role", f"expected one of {', '.join(ROLES)}")
    texts = [_read_text(message) for message in messages]
    return texts, texts[-1] if messages[-1].required("role", str) == "user" else ""


def _read_text(message: _Fields) -> str:
    if not message.has("content", list):
        return message.optional("content", str) or ""
    return "".join(part.optional("text", str) or "" for part in message.objects("content"))


def _read_logprobs(fields: _Fields) -> tuple[bool, int]:
    logprobs = fields.optional("logprobs", bool) or False
    top_logprobs = fields.integer("top_logprobs", 0, 20)
    if top_logprobs is not None and not logprobs:
        raise fields.invalid("top_logprobs", "it needs 'logprobs'")
    return logprobs, top_logprobs or 0


def _read_stream_options(fields: _Fields, stream: bool) -> bool:
    if fields.optional("stream_options", dict) is None:
        return False
    if not stream:
        raise fields.invalid("stream_options", "it needs 'stream'")
    options = fields.object("stream_options")
    options.optional("include_obfuscation", bool)  # checked, and not imitated
    return options.optional("include_usage", bool) or False


def _read_stop(fields: _Fields) -> tuple[str, ...]:
    stop = fields.strings("stop")
    if len(stop) > 4:
        reason = f"expected at most 4 strings, but got {len(stop)}"
        raise fields.invalid("stop", reason, "array_above_max_length")
    if "" in stop:
        raise fields.invalid("stop", "a string is empty")
    return tuple(stop)


def _read_max_tokens(fields: _Fields) -> int | None:
    old = fields.integer("max_tokens", 1)
    new = fields.integer("max_completion_tokens", 1)
    if old is not None and new is not None:
        raise fields.invalid("max_tokens", "'max_completion_tokens' is set as well")
    return old if new is None else new


def _read_calls(fields: _Fields, question: str) -> tuple[_Tool, ...]:
    """Return the tools to call, by the rule that MockOpenAI documents."""
    tools = {tool.name: tool for tool in map(_read_tool, fields.objects("tools"))}
    parallel = fields.optional("parallel_tool_calls", bool)
    if fields.has("tool_choice", dict):
        name = fields.object("tool_choice").object("function").required("name", str)
        if name not in tools:
            raise fields.invalid("tool_choice", "the function is not among 'tools'")
        return (tools[name],)
    choice = fields.optional("tool_choice", str)
    if choice not in (None, "none", "auto", "required"):
        raise fields.invalid("tool_choice", "expected none, auto, required or a function")
    if choice is not None and not tools:
        raise fields.invalid("tool_choice", "it needs 'tools'")
    if choice == "none":
        return ()
    question = question.casefold()
    calls = [tool for name, tool in tools.items() if name.casefold() in question]
    if choice == "required" and not calls:
        calls = list(tools.values())[:1]
    return tuple(calls[:1] if parallel is False else calls)


def _read_tool(tool: _Fields) -> _Tool:
    if tool.required("type", str) != "function":
        raise tool.invalid("type", "the mock knows functions only")
    function = tool.object("function")
    name = function.required("name", str)
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise function.invalid("name", "expected 1 to 64 of a-z, A-Z, 0-9, _ and -")
    return _Tool(name, function.optional("parameters", dict))


@dataclass(slots=True, frozen=True)
class _Answer:
    """What every choice of a completion says."""

    tokens: Sequence[Token]
    finish_reason: str


def _answer(request: _ChatRequest, script: Sequence[str]) -> _Answer:
    tokens: list[Token] = []
    for index, tool in enumerate(request.calls):
        arguments = _dumps(_Sampler(tool.parameters).arguments())
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

    def __init__(self, number: int, request: _ChatRequest, answer: _Answer) -> None:
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
            own = {"token": token, "logprob": 0.0, "bytes": list(_utf8(token))}
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


class _Sampler:
    """Makes up a value for a JSON Schema; what it does not know in one, it ignores."""

    def __init__(self, schema: dict[str, Any] | None) -> None:
        self._root = schema
        self._left = MAX_VALUES

    def arguments(self) -> dict[str, Any]:
        """Return a function's arguments: an object, whatever the schema says."""
        value = self._value(self._root, 0)
        return value if isinstance(value, dict) else {}

    def _value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        # A schema can require itself, in several places even.
        if type(schema) is not dict or depth > MAX_DEPTH or self._left < 0:
            return None
        if "$ref" in schema:
            return self._value(self._resolve(str(schema["$ref"])), depth + 1)
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        for name in ("enum", "examples"):
            for value in _part(schema, name, list):
                return value
        for name in ("anyOf", "oneOf", "allOf"):
            for branch in _part(schema, name, list):
                return self._value(branch, depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        kinds = _part(schema, "type", list) or [schema.get("type", _guess(schema))]
        match kinds[0]:
            case "object":
                properties = _part(schema, "properties", dict)
                names = map(str, _part(schema, "required", list))
                return {name: self._value(properties.get(name, {}), depth + 1) for name in names}
            case "array":
                count = min(max(_part(schema, "minItems", int), 1), MAX_SAMPLE)
                return [self._value(schema.get("items", {}), depth + 1) for _ in range(count)]
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return _string(schema)

    def _resolve(self, reference: str) -> Any:
        """Follow a reference into the schema itself (RFC 6901); None where it leads nowhere."""
        node: Any = self._root if reference.startswith("#") else None
        for name in reference.split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if type(node) is dict else None
        return node


def _part(schema: dict[str, Any], name: str, kind: type[T]) -> T:
    value = schema.get(name)
    return value if type(value) is kind else kind()


def _guess(schema: dict[str, Any]) -> str:
    return "object" if "properties" in schema else "string"


def _number(schema: dict[str, Any]) -> int:
    value = 1
    for name, beyond in (("minimum", 0), ("exclusiveMinimum", 1)):
        if isinstance(bound := schema.get(name), int | float):
            value = max(value, math.ceil(bound) + beyond)
    for name, beyond in (("maximum", 0), ("exclusiveMaximum", 1)):
        if isinstance(bound := schema.get(name), int | float):
            value = min(value, math.floor(bound) - beyond)
    return value


def _string(schema: dict[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), "example")
    text = text.ljust(min(_part(schema, "minLength", int), MAX_SAMPLE), ".")
    return text[: schema["maxLength"]] if _part(schema, "maxLength", int) > 0 else text


_FORMATS: Final = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "user@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
