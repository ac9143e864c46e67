"""Faults of the mock, over real sockets: what our clients report, on all three shells."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import openai
import pytest

import sse_openai
from sse_core import EventTimeout, ReadTimeout, ResponseError, Timeout, TransportError
from sse_openai import APIError, RateLimitError, StreamTruncated
from sse_openai._endpoint import retry as _retry
from sse_openai.mock import MockOpenAI, MockServer
from sse_openai.mock.app import ResponseCut
from sse_openai.mock.errors import SHAPES
from sse_openai.mock.faults import Fault
from sse_openai.mock.reply import stream_reply
from tests.support.asking import ASK, ask
from tests.support.shells import Shell, on_every_shell

SHORT = 0.05
"""Seconds that a client waits where it waits in vain."""


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as served:
        yield served


def raw(server: MockServer, path: str = "chat/completions", **fields: Any) -> httpx.Response:
    """Ask for a stream without any knowledge of what it is."""
    body = {"model": "m", "messages": ASK, "input": "hi", "stream": True, **fields}
    headers = {"authorization": f"Bearer {server.api_key}"}
    return httpx.post(f"{server.base_url}/{path}", json=body, headers=headers, trust_env=False)


def text(chat: Any) -> str:
    return "".join(choice.message.content or "" for choice in chat.completion.choices)


HELLO = {"text": "Hello, world. て"}


@pytest.mark.sweep(quick=11)
@on_every_shell
@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"bom": True},
        {"line_end": "cr"},
        {"line_end": "crlf"},
        {"chunk": 1},
        {"chunk": 1, "bom": True, "line_end": "crlf"},
        {"done": False},
        {"content_type": "Text/Event-Stream"},
        {"silence": 0.01, "after": 300},
        {"silence": 0},
        {"silence": 0.01, "after": 10**6},
    ],
    ids=str,
)
def test_harmless(shell: Shell, server: MockServer, fault: dict[str, Any]) -> None:
    """What a client has to cope with changes nothing of the answer."""
    server.script({**HELLO, "fault": fault})

    chat, _, error = ask(shell, server)

    assert error is None
    assert "Hello, world. て" == text(chat)
    assert chat.complete
    assert chat.done == fault.get("done", True)


@on_every_shell
@pytest.mark.parametrize("by", ["fin", "reset"])
@pytest.mark.parametrize("cut", [0, 1, 700, 10**6])
def test_cut(shell: Shell, server: MockServer, by: str, cut: int) -> None:
    """A body without its end is a TransportError, with what came before; unless [DONE] did."""
    server.script({**HELLO, "fault": {"cut": cut, "by": by}})

    chat, chunks, error = ask(shell, server)

    if cut == 10**6:
        assert error is None
        assert "Hello, world. て" == text(chat)
    else:
        assert type(error) is TransportError
        assert ("reset" in str(error).lower()) == (by == "reset")
        assert bool(chunks) == (cut == 700)


def test_whole_cut(server: MockServer) -> None:
    """A JSON answer can be cut too."""
    server.script({**HELLO, "fault": {"cut": 5}})

    with pytest.raises(httpx.RemoteProtocolError):
        raw(server, stream=False)


def test_cut_bytes(server: MockServer) -> None:
    """The cut is exact: of the same answer, that many bytes."""
    server.script({**HELLO, "fault": {"cut": 333}}, HELLO)
    request = httpx.Request(
        "POST",
        f"{server.base_url}/chat/completions",
        json={"model": "m", "messages": ASK, "stream": True},
        headers={"authorization": f"Bearer {server.api_key}"},
    )

    pieces: list[bytes] = []
    with httpx.Client(trust_env=False, verify=False) as client:
        response = client.send(request, stream=True)
        with pytest.raises(httpx.RemoteProtocolError):
            pieces.extend(response.iter_raw())  # keeps what came before the failure

    assert raw(server).content.replace(b"000002", b"000001")[:333] == b"".join(pieces)


@on_every_shell
@pytest.mark.parametrize("answer", [{"wait": None}, {"fault": {"silence": None}}], ids=str)
def test_silence(shell: Shell, server: MockServer, answer: dict[str, Any]) -> None:
    """Nothing comes for ever, before the head or after it; the client's patience ends it."""
    server.script(answer)

    _, _, error = ask(shell, server, timeout=Timeout(head=SHORT, idle=SHORT))

    assert isinstance(error, TransportError)
    assert isinstance(error, ReadTimeout) or "head" in str(error)


@on_every_shell
def test_pause_for_ever(shell: Shell, server: MockServer) -> None:
    """A pause in the middle of the text, without end."""
    server.script({"text": ["Hel", None, "lo"]})

    # Long enough for what comes before the pause.
    chat, _, error = ask(shell, server, timeout=Timeout(idle=10 * SHORT))

    assert isinstance(error, ReadTimeout)
    assert "Hel" == text(chat)


@on_every_shell
def test_comments_only(shell: Shell, server: MockServer) -> None:
    """Comments are no events: an end after them is a truncation; without end, a timeout."""
    server.script(
        {"fault": {"comments": 3, "bom": True}},
        {"fault": {"comments": None, "every": 0.001}},
    )

    _, chunks, error = ask(shell, server)
    assert ([], StreamTruncated) == (chunks, type(error))

    _, chunks, error = ask(shell, server, timeout=Timeout(event=SHORT))
    assert ([], EventTimeout) == (chunks, type(error))


@on_every_shell
@pytest.mark.parametrize(
    ("answer", "content_type"),
    [
        ({"fault": {"content_type": "text/html"}}, "text/html"),
        ({"fault": {"json": True}}, "application/json"),
        ({"body": '{"code": 5, "error": "no"}', "content_type": "application/json"}, None),
        ({"body": "<p>Busy</p>", "content_type": "text/html; charset=utf-8"}, "text/html"),
    ],
    ids=str,
)
def test_no_stream(
    shell: Shell, server: MockServer, answer: dict[str, Any], content_type: str | None
) -> None:
    """200 with another content type is no stream."""
    server.script(answer)

    _, _, error = ask(shell, server)

    assert isinstance(error, ResponseError)
    assert 200 == error.response.status
    assert (content_type or "application/json") == error.response.content_type
    assert error.body


@on_every_shell
def test_empty_stream(shell: Shell, server: MockServer) -> None:
    """200, an event stream, zero bytes: what llama-cpp-python does with long prompts."""
    server.script({"body": ""})

    _, chunks, error = ask(shell, server)

    assert ([], StreamTruncated) == (chunks, type(error))


@on_every_shell
def test_not_finished(shell: Shell, server: MockServer) -> None:
    """An answer that never finishes and has no [DONE]: the default body, cut by hand."""
    body = raw(server).text.partition('"finish_reason":"stop"')[0].rpartition("data: ")[0]
    server.script({"body": body})

    _, chunks, error = ask(shell, server)

    assert isinstance(error, StreamTruncated)
    assert len(chunks) == body.count("data: ")


@on_every_shell
@pytest.mark.parametrize(
    ("answer", "error_type", "expected"),
    [
        (
            {"status": 429, "retry_after": 7, "error": {"message": "Slow down."}},
            RateLimitError,
            (429, "Slow down.", "requests", "rate_limit_exceeded", 7),
        ),
        (
            {"status": 401},
            sse_openai.AuthenticationError,
            (
                401,
                "Unauthorized, as scripted.",
                "invalid_request_error",
                "invalid_api_key",
                None,
            ),
        ),
        (
            {"status": 500, "error": {"type": None, "code": 17}, "retry_after": 0.5},
            sse_openai.InternalServerError,
            (500, "Internal Server Error, as scripted.", None, 17, 0.5),
        ),
        (
            {"status": 503, "retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"},
            sse_openai.InternalServerError,
            (503, "Service Unavailable, as scripted.", "server_error", None, 0),
        ),
        (
            {"status": 529},
            sse_openai.InternalServerError,
            (529, "Error, as scripted.", "server_error", None, None),
        ),
        (
            {"status": 500, "body": 'data: {"error": {"message": "Down.", "code": "x"}}\n\n'},
            sse_openai.InternalServerError,
            (500, "Down.", None, "x", None),
        ),
        (
            {"status": 418, "error": {"message": "Teapot."}, "headers": {"retry-after-ms": 20}},
            APIError,
            (418, "Teapot.", "invalid_request_error", None, 0.02),
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_status(
    shell: Shell,
    server: MockServer,
    answer: dict[str, Any],
    error_type: type[APIError],
    expected: tuple[Any, ...],
) -> None:
    """A status is the error of its class, with what its body and headers say."""
    server.script(answer)

    _, _, error = ask(shell, server)

    assert isinstance(error, APIError)
    assert error_type is type(error)
    assert expected == (error.status, error.message, error.type, error.code, error.retry_after)
    assert "req_000001" == error.request_id


@on_every_shell
def test_retried(shell: Shell, server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that tries again gets the next answer."""
    monkeypatch.setattr(_retry, "FIRST_DELAY", 0.0)
    server.script({"status": 429, "retry_after": 0}, {"status": 500}, HELLO)

    chat, _, error = ask(shell, server, max_retries=2)

    assert error is None
    assert "Hello, world. て" == text(chat)
    assert 3 == len(server.requests)


# What an error in the stream comes to: message, type, code; None for a truncation.
ERROR = {"message": "Overloaded.", "type": "server_error", "code": "busy"}
IN_CHAT: dict[str, tuple[str, str | None, str | None] | None] = {
    **dict.fromkeys(SHAPES, ("Overloaded.", "server_error", "busy")),
    "string": ("Overloaded.", None, None),
    "text": ("Overloaded.", None, None),
    "flat": ("Overloaded.", None, "busy"),  # its type only says what the event is
    "choice": ("Overloaded.", None, "busy"),
    "field": None,
    "empty": None,
}


@pytest.mark.sweep(quick=12)
@on_every_shell
@pytest.mark.parametrize("shape", IN_CHAT)
def test_error_in_a_chat(shell: Shell, server: MockServer, shape: str) -> None:
    """An error after the text, in every shape that is known of any server."""
    server.script({**HELLO, "error": ERROR, "shape": shape})

    chat, _, error = ask(shell, server)

    assert "Hello, world. て" == text(chat)
    if (expected := IN_CHAT[shape]) is None:
        assert isinstance(error, StreamTruncated)
    else:
        assert isinstance(error, APIError)
        assert expected == (error.message, error.type, error.code)
        assert 200 == error.status


IN_RESPONSE = {**IN_CHAT, "choice": IN_CHAT["openai"], "empty": IN_CHAT["openai"]}


@pytest.mark.parametrize("shape", [shape for shape in IN_RESPONSE if shape != "failed"])
def test_error_in_a_response(server: MockServer, shape: str) -> None:
    """The same in a stream of a response, after the events that brought the text."""
    server.script({**HELLO, "error": ERROR, "shape": shape})
    base: Any = {"base_url": server.base_url, "api_key": server.api_key}

    with sse_openai.sync.Client(max_retries=0, timeout=10, **base) as client:
        with client.responses(model="m", input="hi") as stream:
            with pytest.raises((APIError, StreamTruncated)) as caught:
                list(stream)

    assert "Hello, world. て" == stream.response.output_text
    assert not stream.done
    if (expected := IN_RESPONSE[shape]) is None:
        assert caught.type is StreamTruncated
    else:
        assert isinstance(caught.value, APIError)
        assert expected[0] == caught.value.message
        assert expected[2] == caught.value.code


def test_failed_response(server: MockServer) -> None:
    """The shape ``failed`` is an end of a response, with everything that came."""
    server.script({**HELLO, "error": ERROR, "shape": "failed", "times": 2})
    base: Any = {"base_url": server.base_url, "api_key": server.api_key}

    with sse_openai.sync.Client(max_retries=0, timeout=10, **base) as client:
        with client.responses(model="m", input="hi") as stream:
            list(stream)
    with openai.OpenAI(max_retries=0, **base) as official:
        whole = official.responses.create(model="m", input="hi")

    for found in (stream.response, whole.to_dict()):
        assert ("failed", {"code": "busy", "message": "Overloaded."}) == (
            found["status"],
            found["error"],
        )
    assert "Hello, world. て" == whole.output_text == stream.response.output_text


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_error_without_stream(server: MockServer, path: str) -> None:
    """What would break a stream off is a status 500 where there is none."""
    server.script({**HELLO, "error": ERROR})

    response = raw(server, path, stream=False)

    assert (500, {**ERROR, "param": None}) == (response.status_code, response.json()["error"])


def test_official_client(server: MockServer) -> None:
    """The official client makes of faults what it does."""
    server.script(
        {"status": 429, "retry_after": 0},
        {**HELLO, "fault": {"line_end": "crlf", "chunk": 3}},
        {**HELLO, "error": ERROR},
        {**HELLO, "fault": {"cut": 700, "by": "reset"}},
        {"status": 403},
    )

    with openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=1) as official:

        def read() -> str:
            chunks = official.chat.completions.create(model="m", messages=ASK, stream=True)
            return "".join(
                chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices
            )

        assert "Hello, world. て" == read()
        with pytest.raises(openai.APIError):
            read()
        with pytest.raises(openai.APIConnectionError):
            read()
        with pytest.raises(openai.PermissionDeniedError):
            read()
    assert 5 == len(server.requests)


def test_recordings(server: MockServer, tmp_path: Path) -> None:
    """An answer can be a recording beside the script, and the faults are in that, too."""
    recorded = b"data: a\n\n: pause 0.001\ndata: b\n\n"
    (tmp_path / "tape.sse").write_bytes(recorded)
    answers = [{"recording": "tape.sse", "fault": {"line_end": "cr"}}]
    (tmp_path / "script.json").write_text(json.dumps(answers))
    server.script(tmp_path / "script.json")

    assert b"data: a\r\rdata: b\r\r" == raw(server).content


@pytest.mark.parametrize(
    ("fault", "pieces"),
    [
        (Fault(), [(1, b"abc"), (2, b"defg"), (3, b"hi")]),
        (Fault(chunk=3), [(1, b"abc"), (2, b"def"), (0, b"g"), (3, b"hi")]),
        (Fault(cut=0), [(0, b"")]),
        (Fault(cut=5), [(0, b""), (1, b"abc"), (2, b"de")]),
        (Fault(cut=7), [(0, b""), (1, b"abc"), (2, b"defg")]),
        (Fault(silence=9), [(0, b""), (1, b""), (9, b"abc"), (2, b"defg"), (3, b"hi")]),
        (
            Fault(silence=9, after=3),
            [(0, b""), (1, b"abc"), (2, b""), (9, b"defg"), (3, b"hi")],
        ),
        (
            Fault(silence=9, after=9),
            [(0, b""), (1, b"abc"), (2, b"defg"), (3, b"hi"), (9, b"")],
        ),
        (Fault(done=False), [(1, b"abc"), (2, b"defg")]),
        (Fault(bom=True, done=False), [(0, b"\xef\xbb\xbf"), (1, b"abc"), (2, b"defg")]),
        (Fault(comments=2, every=5), [(5, b": keep-alive\n\n")] * 2),
    ],
    ids=str,
)
def test_pieces(fault: Fault, pieces: list[tuple[float, bytes]]) -> None:
    """What becomes of pieces and their pauses."""
    reply = stream_reply([(1, b"abc"), (2, b"defg"), (3, b"hi")])

    assert pieces == list(fault.applied(reply).pieces)


def test_comments_without_end() -> None:
    """They go on and on."""
    fault = Fault(comments=math.inf, every=1)
    pieces = iter(fault.applied(stream_reply([])).pieces)

    assert 1000 == len([next(pieces) for _ in range(1000)])


@pytest.mark.anyio
@pytest.mark.parametrize("extensions", [{"extensions": None}, {}], ids=str)
async def test_cut_under_another_server(extensions: dict[str, Any]) -> None:
    """Where connections cannot be aborted, the application fails within the response."""
    sent: list[Any] = []
    body = {"model": "m", "messages": ASK, "stream": True}
    messages = [{"type": "http.request", "body": json.dumps(body).encode()}]

    async def receive() -> Any:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": [(b"authorization", b"Bearer k")],
        **extensions,
    }
    with pytest.raises(ExceptionGroup) as caught:
        await MockOpenAI([{**HELLO, "fault": {"cut": 5}}])(scope, receive, send)

    assert caught.group_contains(ResponseCut)
    assert b"data:" == b"".join(message.get("body", b"") for message in sent)
    assert all(message.get("more_body", True) for message in sent)


@pytest.mark.anyio
async def test_client_goes_in_a_cut() -> None:
    """A client that has gone before the cut is nothing to fail of."""
    messages = [{"type": "http.request", "body": b'{"model": "m", "messages": [{"role": "user"}]}'}]

    async def receive() -> Any:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop()

    async def send(message: Any) -> None:
        raise BrokenPipeError

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": [(b"authorization", b"Bearer k")],
    }
    await MockOpenAI([{"fault": {"cut": 5}}])(scope, receive, send)
