"""OpenAI-compatible endpoints that need no model and no network: an ASGI application.

Chat completions, responses and models, with or without ``/v1``, and at ``/openapi.json``
what they take and give. Nothing is random and no clock is read: the same requests in the
same order get the same bytes, ``id``, ``created`` and ``x-request-id`` included.

body -> request -> Answer of the script -> Turn -> Reply, with its Fault -> send()

What goes out, and when, is decided before the first byte leaves; a request that is refused
is refused whole. Only ``MockOpenAI`` reads, sleeps and sends; a client that goes away ends
that at once. ``MockServer`` serves one over HTTP from a thread; pytest has it as the fixture
``mock_openai``. docs/testing.md shows how to use them, and describes scripts.
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

from .answer import Answer, Answers
from .chat import CREATED, Completion
from .errors import Refusal
from .openapi import description
from .reply import Recording, Reply, json_reply, stream_reply
from .request import AnyRequest, ChatRequest, ResponsesRequest
from .responses import Response, Responses
from .script import Script
from .turn import SCRIPT, Turn, pace

Respond: TypeAlias = Callable[[int, "LoggedRequest"], Reply]

MAX_BODY: Final = 10 * 2**20
"""Bytes of a request body; what is longer gets 413."""
MAX_LOG: Final = 1000
"""Requests that are remembered; the oldest goes first."""
ABORT: Final = "sse_toolkit.abort"
"""The message by which our own server closes a connection without a response's end."""


@dataclass(slots=True, repr=False)
class LoggedRequest:
    """One request, as it arrived. Its ``repr`` shows nothing of headers and body."""

    method: str
    path: str
    query: dict[str, str]
    headers: Headers
    """By name, whatever the case."""
    body: bytes = b""
    """Empty until it was read, and where it was not: no such path, or a wrong key."""

    @property
    def json(self) -> Any:
        """The body as JSON; ``json.JSONDecodeError`` where it is none."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<LoggedRequest {self.method} {self.path} with {len(self.body)} bytes>"


class MockOpenAI:
    """An ASGI application that answers as the OpenAI API does.

    Args:
        script: the tokens to answer everything with, or the answers to give, one after the
            other: a ``Script``, or the objects that a script file holds. If None, an
            explanation of Server-Sent Events.
        api_key: the key that requests have to bring; if None, any will do, but not none.
        delay: seconds before each token.
        rate: tokens per second, in place of ``delay``.
        jitter: how much of each delay is left to chance, from 0 to 1.
        seed: of that chance: the same requests get the same delays again.
        recordings: a request whose ``model`` is one of these names gets that recording.

    Raises:
        ScriptError: the script is none.
        ValueError: a number that is out of its range.

    What it makes of a request that no script answers, which may name any model:

    * Each of the ``n`` choices says the same; those of a stream take turns, token by token.
    * ``max_tokens``, ``max_completion_tokens`` and ``max_output_tokens`` count tokens of the
      answer, or fragments of tool calls. ``stop`` is looked for in the text within that limit.
    * Of ``tools``, those whose names occur in the last message are called, if that message
      is the user's. ``tool_choice``: ``"none"`` calls none, ``"required"`` the first where
      none is named, a function that function. ``parallel_tool_calls: false`` leaves one.
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
        """The requests so far, refused ones too: the last 1000, in the order of arrival."""
        return list(self._log)

    def script(self, *answers: Script | Mapping[str, Any] | str | os.PathLike[str]) -> None:
        """Add answers to the script: each an object of it, a ``Script``, or the path of one.

        Raises:
            ScriptError: one of them is none.
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
        request = _logged(scope)
        self._log.append(request)
        try:
            respond = self._admit(scope, request)
            body = await _read_body(request.headers, receive)
            if body is None:
                return
            request.body = body
            reply = respond(number, request)
        except Refusal as refusal:
            error = json_reply(refusal.status, {"error": refusal.error}, refusal.headers)
            await _play(error, request_id, send, abort=False)
            return
        abort = ABORT in (scope.get("extensions") or {})
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(_cancel_when_gone, receive, task_group.cancel_scope)
            await _play(reply, request_id, send, abort=abort)
            task_group.cancel_scope.cancel()

    def _admit(self, scope: Mapping[str, Any], request: LoggedRequest) -> Respond:
        """Return what answers such a request, by its path, its method and its key."""
        asked = request.method
        path = request.path.removeprefix(scope.get("root_path", "")).removeprefix("/v1")
        method, respond = self._route(path)
        if respond is None:
            raise Refusal(f"Invalid URL ({asked} {request.path})", status=404)
        if asked != method:
            raise Refusal(
                f"Not allowed to {asked} on {path[1:]}.",
                status=405,
                code="method_not_supported",
                headers=((b"allow", method.encode()),),
            )
        if path == "/openapi.json":
            return respond
        self._authenticate(request.headers.get("authorization", ""))
        return respond

    def _route(self, path: str) -> tuple[str, Respond | None]:
        match path.split("/")[1:]:
            case ["openapi.json"]:
                return "GET", lambda *_: json_reply(200, description())
            case ["models"]:
                return "GET", partial(self._without_body, path, self._models)
            case ["chat", "completions"]:
                return "POST", partial(self._with_body, path, ChatRequest, self._chat_completions)
            case ["responses"]:
                return "POST", partial(self._with_body, path, ResponsesRequest, self._respond)
            case ["responses", id]:
                return "GET", partial(
                    self._without_body,
                    path,
                    lambda request: self._responses.retrieved(id, request.query),
                )
            case ["responses", id, "cancel"]:
                return "POST", partial(
                    self._without_body, path, lambda _: self._responses.find(id).cancelled()
                )
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
        expected = self.api_key
        if expected is not None and not hmac.compare_digest(
            key.encode("latin-1"), expected.encode()
        ):
            # The API repeats a part of the key here. Errors end in logs: this one does not.
            raise Refusal(
                "Incorrect API key provided.",
                status=401,
                code="invalid_api_key",
                headers=challenge,
            )

    def _without_body(
        self, path: str, respond: Callable[[LoggedRequest], Reply], number: int, log: LoggedRequest
    ) -> Reply:
        answer = self._answers.take(path, body=False) or Answer()
        return answer.reply(lambda: respond(log))

    def _with_body(
        self,
        path: str,
        kind: type[Any],
        respond: Callable[[int, Any, Answer], Reply],
        number: int,
        log: LoggedRequest,
    ) -> Reply:
        try:
            request: AnyRequest = kind.from_body(log.body)
            if recording := self._recordings.get(request.model):
                if not request.stream:
                    raise Refusal("This model is a recording, which is always streamed.", "stream")
                return stream_reply(recording.pieces)
            answer = self._answers.take(path, request.model, request.user, body=True)
            if answer is None and self._answers.scripted(path):
                raise Refusal(
                    "The script has no answer left for this request.", code="script_exhausted"
                )
            said = answer or Answer()
            return said.reply(lambda: respond(number, request, said))
        except RecursionError:
            raise Refusal("The JSON body is nested too deeply.") from None

    def _models(self, log: LoggedRequest) -> Reply:
        models = [
            {"id": name, "object": "model", "created": CREATED, "owned_by": "sse-toolkit"}
            for name in ("mock", *self._recordings)
        ]
        return json_reply(200, {"object": "list", "data": models})

    def _chat_completions(self, number: int, request: ChatRequest, answer: Answer) -> Reply:
        stream = request.stream and not answer.fault.json
        return Completion(number, request, self._turn(number, request, answer)).reply(stream=stream)

    def _respond(self, number: int, request: ResponsesRequest, answer: Answer) -> Reply:
        stream = request.stream and not answer.fault.json
        response = Response(number, request, self._turn(number, request, answer))
        self._responses.add(response)
        return response.created(stream=stream)

    def _turn(self, number: int, request: AnyRequest, answer: Answer) -> Turn:
        delay = self._delay if answer.rate is None else 1 / answer.rate
        jitter = self._jitter if answer.jitter is None else answer.jitter
        seconds = pace(delay, jitter, f"{self._seed} {number}")
        return answer.turn(request, self._tokens, seconds)


def _logged(scope: Mapping[str, Any]) -> LoggedRequest:
    query = scope.get("query_string", b"").decode("latin-1")
    return LoggedRequest(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=Headers((bytes(name), bytes(value)) for name, value in scope["headers"]),
    )


async def _read_body(headers: Headers, receive: Receive) -> bytes | None:
    """Return the request's body; None if the client has gone before its end."""
    declared = headers.get("content-length", "")
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


async def _play(reply: Reply, request_id: tuple[bytes, bytes], send: Send, *, abort: bool) -> None:
    headers = [*reply.headers, request_id]
    if reply.wait:
        await anyio.sleep(reply.wait)
    with suppress(OSError):  # the client has gone: nothing is left to do
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        for pause, data in reply.pieces:
            # Also for 0: a checkpoint, or a client's going would be noticed too late.
            await anyio.sleep(pause)
            await send({"type": "http.response.body", "body": data, "more_body": True})
        if reply.end == "complete":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif abort:
            await send({"type": ABORT, "reset": reply.end == "reset"})
        else:
            raise ResponseCut("the response is cut here, as the script has it")


class ResponseCut(Exception):
    """What makes servers without ``sse_toolkit.abort`` close the connection, and log it."""


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    await receive()  # the body has been read: what comes is http.disconnect
    scope.cancel()
