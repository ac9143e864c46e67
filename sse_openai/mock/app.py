"""OpenAI-compatible endpoints that need no model and no network: an ASGI application.

It serves chat completions, responses and models, with or without ``/v1``, and describes them
at ``/openapi.json``. Nothing is random and no clock is read: the same requests in the same
order get the same bytes, including ``id``, ``created`` and ``x-request-id``.

body -> request -> Answer of the script -> Turn -> Reply, with its Fault -> send()

The contents and timing of a reply are decided before its first byte is sent, so a refused
request gets no part of an answer. Only ``MockOpenAI`` reads, sleeps and sends, and it stops
immediately when the client goes away. ``MockServer`` serves one over HTTP from a thread;
pytest offers it as the fixture ``mock_openai``. docs/testing.md describes all this.
"""

from __future__ import annotations

import hmac
import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import anyio

from sse_core import Headers
from sse_core.asgi import Receive, Scope, Send

from .._refusal import Refusal
from .answer import Answer, Answers
from .chat import CREATED, Completion
from .openapi import description
from .reply import Recording, Reply, json_reply, stream_reply
from .request import AnyRequest, ChatRequest, ResponsesRequest
from .responses import Response, Responses
from .script import Script
from .turn import SCRIPT, Turn, pace

Respond: TypeAlias = Callable[[int, "LoggedRequest"], Reply]

MAX_BODY: Final = 10 * 2**20
"""Maximum bytes of a request body; a longer one gets 413."""
MAX_LOG: Final = 1000
"""Number of requests kept in the log; the oldest are dropped first."""
ABORT: Final = "sse_toolkit.abort"
"""The message that makes our own server close a connection without ending the response."""


@dataclass(slots=True, repr=False)
class LoggedRequest:
    """One request, as it arrived. Its ``repr`` shows neither headers nor body."""

    method: str
    path: str
    query: dict[str, str]
    headers: Headers
    """By name, ignoring case."""
    body: bytes = b""
    """Empty until it has been read; never read if the path or the key is wrong."""

    @property
    def json(self) -> Any:
        """The body parsed as JSON; raises ``json.JSONDecodeError`` if it is not JSON."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<LoggedRequest {self.method} {self.path} with {len(self.body)} bytes>"


class MockOpenAI:
    """An ASGI application that answers as the OpenAI API does.

    Args:
        script: either the tokens of every answer, or the answers to give one after the
            other: a ``Script``, or the objects of a script file. By default, every answer
            explains Server-Sent Events.
        api_key: the key that requests must carry; if None, any key is accepted, but one
            must be present.
        delay: seconds before each token.
        rate: tokens per second, instead of ``delay``.
        jitter: the random share of each delay, from 0 to 1.
        seed: seed of that randomness; the same requests get the same delays again.
        recordings: recordings by model name, for requests that name such a ``model``.

    Raises:
        ScriptError: the script is not valid.
        ValueError: a number is out of range.

    A request that no script answers may name any model. It is answered by these rules:

    * Each of the ``n`` choices has the same text; in a stream they alternate token by token.
    * ``max_tokens``, ``max_completion_tokens`` and ``max_output_tokens`` count tokens of the
      answer, or fragments of tool calls. ``stop`` applies to the text within that limit.
    * If the last message is the user's, the ``tools`` whose names occur in it are called.
      ``tool_choice``: ``"none"`` calls none; ``"required"`` calls the first one if none is
      named; a function calls that function. ``parallel_tool_calls: false`` keeps one call.
      Arguments are made up to fit ``parameters``, with the required properties only.
    * ``usage``: one prompt token for every four bytes of each message's text, rounded up;
      one completion token for every token or fragment sent, over all choices.
    """

    def __init__(
        self,
        script: Script | Sequence[str | Mapping[str, Any]] | None = None,
        *,
        api_key: str | None = None,
        delay: float = 0.0,
        rate: float | None = None,
        jitter: float = 0.0,
        seed: int = 0,
        recordings: Mapping[str, Recording] | None = None,
    ) -> None:
        if rate is not None and not (delay == 0 and rate > 0):
            raise ValueError("expected a rate above 0, and no delay beside it")
        if not (delay >= 0 and 0 <= jitter <= 1):
            raise ValueError("expected a delay of at least 0, and a jitter from 0 to 1")
        self._tokens: Sequence[str] = SCRIPT
        self._answers = Answers()
        self.api_key = api_key
        """The key that requests have to bring, or None."""
        self._delay = delay if rate is None else 1 / rate
        self._jitter = jitter
        self._seed = seed
        self._recordings = dict(recordings or {})
        self._responses = Responses()
        self._numbers = itertools.count(1)
        self._log: deque[LoggedRequest] = deque(maxlen=MAX_LOG)
        if isinstance(script, Script):
            self._answers.add(script.answers)
        elif script is not None and all(isinstance(token, str) for token in script):
            self._tokens = [str(token) for token in script]
        elif script is not None:
            self._answers.add(Script.from_value(script).answers)

    @property
    def requests(self) -> list[LoggedRequest]:
        """The last 1000 requests in the order of arrival, including refused ones."""
        return list(self._log)

    def script(self, *answers: Script | Mapping[str, Any] | str | os.PathLike[str]) -> None:
        """Add answers to the script: objects of a script, ``Script`` values, or paths of scripts.

        Raises:
            ScriptError: one of them is not valid; then none is added.
            OSError: a file cannot be read.
        """
        scripts = []
        for answer in answers:
            if isinstance(answer, str | os.PathLike):
                answer = Script.from_path(answer)
            elif not isinstance(answer, Script):
                answer = Script.from_value([answer])
            scripts.append(answer)
        for script in scripts:  # all or none
            self._answers.add(script.answers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; NotImplementedError for every other kind of scope."""
        if scope["type"] != "http":
            raise NotImplementedError(f"expected an HTTP request, got {scope['type']!r}")
        number = next(self._numbers)
        request_id = (b"x-request-id", b"req_%06d" % number)
        query = scope.get("query_string", b"").decode("latin-1")
        request = LoggedRequest(
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=Headers((bytes(name), bytes(value)) for name, value in scope["headers"]),
        )
        self._log.append(request)
        try:
            respond = self._admit(scope, request)
            body = await _read_body(request.headers, receive)
            if body is None:
                return
            request.body = body
            reply = respond(number, request)
        except Refusal as refusal:
            error = json_reply(refusal.status, refusal.body, refusal.headers)
            await _play(error, request_id, send, abort=False)
            return
        abort = ABORT in (scope.get("extensions") or {})
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(_cancel_when_gone, receive, task_group.cancel_scope)
            await _play(reply, request_id, send, abort=abort)
            task_group.cancel_scope.cancel()

    def _admit(self, scope: Mapping[str, Any], request: LoggedRequest) -> Respond:
        """Return the function that answers a request, after checking path, method and key."""
        asked = request.method
        path = request.path.removeprefix(scope.get("root_path", "")).removeprefix("/v1")
        method, respond = self._route(path)
        if respond is None:
            raise Refusal(f"Invalid URL ({asked} {request.path})", status=404)
        if asked != method:
            message = f"Not allowed to {asked} on {path[1:]}."
            allow = ((b"allow", method.encode()),)
            raise Refusal(message, status=405, code="method_not_supported", headers=allow)
        if path != "/openapi.json":
            self._authenticate(request.headers.get("authorization", ""))
        return respond

    def _route(self, path: str) -> tuple[str, Respond | None]:
        match path.split("/")[1:]:
            case ["openapi.json"]:
                return "GET", lambda *_: json_reply(200, description())
            case ["models"]:
                return "GET", partial(self._without_body, path, self._models)
            case ["chat", "completions"]:
                return "POST", partial(self._with_body, path, ChatRequest)
            case ["responses"]:
                return "POST", partial(self._with_body, path, ResponsesRequest)
            case ["responses", id]:
                return "GET", partial(self._without_body, path, partial(self._retrieve, id))
            case ["responses", id, "cancel"]:
                return "POST", partial(self._without_body, path, partial(self._cancel, id))
            case _:
                return "", None

    def _authenticate(self, authorization: str) -> None:
        challenge = ((b"www-authenticate", b'Bearer realm="OpenAI API"'),)
        scheme, _, key = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Refusal(
                "You didn't provide an API key. You need to provide your API key in an "
                "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
                status=401,
                headers=challenge,
            )
        if self.api_key is None:
            return
        if not hmac.compare_digest(key.encode("latin-1"), self.api_key.encode()):
            # The API repeats part of the key here. The mock does not, because errors are logged.
            message = "Incorrect API key provided."
            raise Refusal(message, status=401, code="invalid_api_key", headers=challenge)

    def _without_body(
        self, path: str, respond: Callable[[LoggedRequest], Reply], number: int, log: LoggedRequest
    ) -> Reply:
        answer = self._answers.take(path, body=False) or Answer()
        return answer.reply(lambda: respond(log))

    def _with_body(
        self, path: str, kind: type[ChatRequest | ResponsesRequest], number: int, log: LoggedRequest
    ) -> Reply:
        try:
            request = kind.from_body(log.body)
            if recording := self._recordings.get(request.model):
                if not request.stream:
                    raise Refusal("This model is a recording, which is always streamed.", "stream")
                return stream_reply(recording.pieces)
            answer = self._answers.take(path, request.model, request.user, body=True)
            if answer is None and self._answers.scripted(path):
                message = "The script has no answer left for this request."
                raise Refusal(message, code="script_exhausted")
            said = answer or Answer()
            return said.reply(lambda: self._respond(number, request, said))
        except RecursionError:
            raise Refusal("The JSON body is nested too deeply.") from None

    def _models(self, log: LoggedRequest) -> Reply:
        shared = {"object": "model", "created": CREATED, "owned_by": "sse-toolkit"}
        models = [{"id": name, **shared} for name in ("mock", *self._recordings)]
        return json_reply(200, {"object": "list", "data": models})

    def _retrieve(self, id: str, log: LoggedRequest) -> Reply:
        return self._responses.retrieved(id, log.query)

    def _cancel(self, id: str, log: LoggedRequest) -> Reply:
        return self._responses.find(id).cancelled()

    def _respond(
        self, number: int, request: ChatRequest | ResponsesRequest, answer: Answer
    ) -> Reply:
        stream = request.stream and not answer.fault.json
        turn = self._turn(number, request, answer)
        if isinstance(request, ChatRequest):
            return Completion(number, request, turn).reply(stream=stream)
        response = Response(number, request, turn)
        self._responses.add(response)
        return response.created(stream=stream)

    def _turn(self, number: int, request: AnyRequest, answer: Answer) -> Turn:
        delay = self._delay if answer.rate is None else 1 / answer.rate
        jitter = self._jitter if answer.jitter is None else answer.jitter
        seconds = pace(delay, jitter, f"{self._seed} {number}")
        return answer.turn(request, self._tokens, seconds)


async def _read_body(headers: Headers, receive: Receive) -> bytes | None:
    """Return the request's body; None if the client left before its end."""
    too_large = Refusal(f"The request body is longer than {MAX_BODY} bytes.", status=413)
    declared = headers.get("content-length", "")
    # At most 19 digits: int() raises an error for thousands of them.
    if len(declared) > 19 or (declared.isdigit() and int(declared) > MAX_BODY):
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


async def _play(reply: Reply, request_id: tuple[bytes, bytes], send: Send, *, abort: bool) -> None:
    headers = [*reply.headers, request_id]
    if reply.wait:
        await anyio.sleep(reply.wait)
    with suppress(OSError):  # the client has gone
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        for pause, data in reply.pieces:
            # Even for 0: without a checkpoint, a client that leaves is noticed too late.
            await anyio.sleep(pause)
            await send({"type": "http.response.body", "body": data, "more_body": True})
        if reply.end == "complete":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif abort:
            await send({"type": ABORT, "reset": reply.end == "reset"})
        else:
            raise ResponseCut("the script cuts the response off here")


class ResponseCut(Exception):
    """Makes servers without ``sse_toolkit.abort`` close the connection, and log this."""


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    await receive()  # the body has been read, so this is http.disconnect
    scope.cancel()
