"""The relay over real sockets: frames as they are and as they come, and streams that go on."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

import sse_openai.relay
from sse_core import Client, Timeout
from sse_openai import Endpoint
from sse_openai.relay import (
    Batch,
    FramesTrimmed,
    MemoryStore,
    Outcome,
    Relay,
    StreamInfo,
    from_environment,
)
from sse_openai.relay.caller import Caller
from tests.support.relay_peer import ASK, CHAT, FRAMES, HEAD, KEY, NUMBERED, Setting, chunk, setting

pytestmark = pytest.mark.anyio


async def test_frames_pass_as_they_are_and_as_they_come() -> None:
    """Each frame is there before the next is sent, with every byte; then the clean end."""
    async with setting() as relay, relay.ask() as (call, reader):
        for frame in FRAMES:
            await call.frame(frame)
            assert frame == await reader.next()
        await call.frame(b"data: no blank line")
        await call.end()

        assert b"data: no blank line" == await reader.rest()
        assert reader.whole
        assert "text/event-stream" == reader.headers["content-type"]
        assert "no" == reader.headers["x-accel-buffering"]


async def test_half_a_frame_waits_for_its_other_half() -> None:
    """What is handed on are whole frames."""
    async with setting() as relay, relay.ask() as (call, reader):
        await call.frame(b"data: 1\n\ndata: ")
        assert b"data: 1\n\n" == await reader.next()
        await call.frame(b"2\n\n")
        assert b"data: 2\n\n" == await reader.next()


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
async def test_what_the_api_is_told(path: str) -> None:
    """The server's key, the body as it was read, few headers; nothing of the caller's else."""
    headers = {
        "Authorization": "Bearer callers-own",
        "Cookie": "session=1",
        "Idempotency-Key": "key-1",
        "OpenAI-Organization": "org-mine",
        "Content-Type": "application/json; charset=utf-8",
        "X-Forwarded-Host": "evil.example",
    }
    body = b'{"model": "other", "model": "m", "stream": true, "n": 1.5, "s": "\\ud800\xc3\xa9"}'
    async with setting() as relay:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                partial(relay.http.post, f"/v1/{path}?api-version=1", content=body, headers=headers)
            )
            call = await relay.api.call()
            tasks.cancel_scope.cancel()

    head = call.request.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(f"post /v1/{path} http/1.1\r\n".encode())
    assert f"authorization: bearer {KEY}".encode() in head
    assert f"host: 127.0.0.1:{relay.api.port}".encode() in head
    assert b"idempotency-key: key-1" in head
    for word in (b"callers-own", b"cookie", b"org-mine", b"evil", b"api-version"):
        assert word not in head
    assert {"model": "m", "stream": True, "n": 1.5, "s": "\ud800é"} == json.loads(call.body)
    assert 1 == call.body.count(b"model")


async def test_what_the_caller_is_told() -> None:
    """Of the API's headers those that clients need."""
    extra = (
        b"X-Request-Id: req_1\r\nx-ratelimit-remaining-requests: 7\r\nOpenAI-Processing-Ms: 5\r\n"
        b"Set-Cookie: a=b\r\nOpenAI-Organization: ours\r\nServer: api\r\nKeep-Alive: timeout=5\r\n"
    )
    async with setting() as relay, anyio.create_task_group() as tasks:
        responses: list[httpx.Response] = []

        async def ask() -> None:
            responses.append(await relay.http.post(CHAT, json=ASK))

        tasks.start_soon(ask)
        call = await relay.api.call()
        await call.begin(extra)
        await call.end()

    headers = responses[0].headers
    assert "req_1" == headers["x-request-id"]
    assert "7" == headers["x-ratelimit-remaining-requests"]
    assert "5" == headers["openai-processing-ms"]
    assert 32 == len(headers["x-stream-id"])
    for name in ("set-cookie", "openai-organization", "server", "keep-alive"):
        assert name not in headers


async def test_leaving_cancels_at_once() -> None:
    """The API sees the end of its connection within a tenth of a second."""
    took: list[float] = []
    async with setting() as relay:
        for _ in range(3):  # a machine that is busy may be late once
            async with relay.ask() as (call, reader):
                await call.frame(FRAMES[0])
                await reader.next()
                left = anyio.current_time()
                await reader.aclose()
                await call.gone()
                took.append(anyio.current_time() - left)
            error = await relay.until(reader.stream_id, 410, 1)
            assert "stream_abandoned" == error["error"]["code"]

    assert min(took) < 0.1


async def test_leaving_before_the_answer_cancels_at_once() -> None:
    """So it does while the model thinks, whatever was asked to be kept."""
    took: list[float] = []
    async with setting() as relay:
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                ask = partial(relay.http.post, CHAT, json=ASK, headers={"X-Stream-Keep": "60"})
                tasks.start_soon(ask)
                call = await relay.api.call()
                tasks.cancel_scope.cancel()
            left = anyio.current_time()
            await call.gone()
            took.append(anyio.current_time() - left)

    assert min(took) < 0.1


async def test_a_stream_that_is_kept_goes_on_without_a_reader() -> None:
    """Who comes back gets every frame that is missing, numbered, and those that follow."""
    async with setting() as relay:
        async with relay.ask(x_stream_keep="60") as (call, reader):
            await call.frame(FRAMES[0])
            await reader.next()
            stream_id = reader.stream_id
            await reader.aclose()
            for frame in FRAMES[1:3]:
                await call.frame(frame)
            path = f"/v1/streams/{stream_id}"
            async with relay.stream("GET", path, b"", **{"last-event-id": "1"}) as back:
                data = b""
                while len(data) < len(NUMBERED[1] + NUMBERED[2]):
                    data += await back.next()
                assert NUMBERED[1] + NUMBERED[2] == data
                for frame, numbered in zip(FRAMES[3:], NUMBERED[3:], strict=True):
                    await call.frame(frame)
                    assert numbered == await back.next()
                await call.end()
                assert b"" == await back.rest()
                assert back.whole
        assert (200, b"".join(NUMBERED), True) == await relay.resume(stream_id)
        assert (204, b"", True) == await relay.resume(stream_id, 5)


async def test_a_stream_that_nobody_came_back_to_is_cancelled() -> None:
    """After the time that was asked for, which the relay bounds."""
    async with setting(max_keep=0.2) as relay:
        async with relay.ask(x_stream_keep="60") as (call, reader):
            await call.frame(FRAMES[0])
            await reader.next()
            stream_id = reader.stream_id
            left = anyio.current_time()
            await reader.aclose()
            await call.gone()
            took = anyio.current_time() - left
        await relay.until(stream_id, 410, 1)

        assert 0.15 < took < 1
        assert (200, NUMBERED[0], False) == await relay.resume(stream_id)


async def test_stop() -> None:
    """DELETE cancels the request to the API; every reader's response is cut off."""
    async with setting() as relay:
        async with relay.ask(x_stream_keep="60") as (call, reader):
            await call.frame(FRAMES[0])
            await reader.next()
            stopped = await relay.http.delete(f"/v1/streams/{reader.stream_id}")
            await call.gone()
            assert b"" == await reader.rest()
            stream_id = reader.stream_id
        error = await relay.until(stream_id, 410, 1)
        again = await relay.http.delete(f"/v1/streams/{stream_id}")

    assert 204 == stopped.status_code == again.status_code
    assert not reader.whole
    assert "stream_stopped" == error["error"]["code"]


@pytest.fixture
def sigterm() -> Iterator[list[int]]:
    """What a server's handler of SIGTERM has been called with."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


async def test_shutdown_ends_streams(sigterm: list[int]) -> None:
    """A server that is asked to end need not wait for streams: they are cut, also kept ones."""
    async with setting() as relay:
        async with relay.ask(x_stream_keep="60") as (call, reader):
            path = f"/v1/streams/{reader.stream_id}"
            await call.frame(FRAMES[0])
            await reader.next()
            async with relay.stream("GET", path) as other:
                assert NUMBERED[0] == await other.next()
                os.kill(os.getpid(), signal.SIGTERM)
                assert b"" == await other.rest() == await reader.rest()
            await call.gone()
            error = await relay.until(reader.stream_id, 410, 1)

    assert not reader.whole
    assert not other.whole
    assert "stream_lost" == error["error"]["code"]
    assert [signal.SIGTERM] == sigterm


class Slow(MemoryStore):
    """Takes its time to begin a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = anyio.Event(), anyio.Event()

    async def begin(self, stream_id: str, info: StreamInfo) -> None:
        self.asked.set()
        await self.go_on.wait()
        await super().begin(stream_id, info)


async def test_shutdown_while_the_store_begins_a_stream(sigterm: list[int]) -> None:
    """Nor may a stream begin behind the signal, and go on."""
    store = Slow()
    async with setting(store=store) as relay, anyio.create_task_group() as tasks:

        async def shut_down() -> None:
            call = await relay.api.call()
            await call.begin()
            await store.asked.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.wait_all_tasks_blocked()
            store.go_on.set()

        tasks.start_soon(shut_down)
        response = await relay.http.post(CHAT, json=ASK)

    assert (503, "1") == (response.status_code, response.headers["retry-after"])


async def test_frames_are_remembered_though_their_caller_is_given_up() -> None:
    """Also if that comes just when it takes the head, and the store takes its time."""
    kept: list[bytes] = []
    outcomes: list[Outcome] = []

    class Keeping(MemoryStore):
        async def append(self, stream_id: str, frames: Sequence[bytes]) -> None:
            await anyio.lowlevel.checkpoint()
            kept.extend(frames)

        async def end(self, stream_id: str, outcome: Outcome) -> None:
            outcomes.append(outcome)

    headers = {"host": "localhost", "content-type": "application/json", "x-stream-keep": "60"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": CHAT,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    messages = [{"type": "http.request", "body": json.dumps(ASK).encode()}]

    async def receive() -> Any:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop()

    async def send(message: Any) -> None:
        if message.get("body") == b"":
            with suppress(anyio.get_cancelled_exc_class()):  # too late: it has been taken
                await anyio.sleep_forever()

    async def answer() -> None:
        call = await relay.api.call()
        await call.send(HEAD + b"\r\n" + b"".join(map(chunk, FRAMES)))  # read with the head
        await call.end()

    async with setting(store=Keeping(), send_timeout=0.05) as relay:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            await relay.relay(scope, receive, send)

    assert ["complete"] == outcomes
    assert b"".join(FRAMES) == b"".join(kept)


async def test_shutdown_before_the_answer(sigterm: list[int]) -> None:
    """Nor for the model to think: who waits for it is told to ask again."""
    async with setting() as relay, anyio.create_task_group() as tasks:

        async def shut_down() -> None:
            await relay.api.call()
            os.kill(os.getpid(), signal.SIGTERM)

        tasks.start_soon(shut_down)
        response = await relay.http.post(CHAT, json=ASK)

    assert (503, "1") == (response.status_code, response.headers["retry-after"])
    assert "shutting_down" == response.json()["error"]["code"]


async def test_a_cut_is_a_cut(caplog: pytest.LogCaptureFixture) -> None:
    """Where the API was cut off the caller is, now and later; half a frame is no frame."""
    async with setting() as relay:
        async with relay.ask() as (call, reader):
            await call.frame(FRAMES[0] + b"data: [DO")
            await call.cut()
            assert FRAMES[0] == await reader.rest()
            stream_id = reader.stream_id

        assert not reader.whole
        assert (200, NUMBERED[0], False) == await relay.resume(stream_id)
        error = await relay.until(stream_id, 410, 1)
        assert "stream_cut" == error["error"]["code"]
    assert KEY not in caplog.text


async def test_a_reader_who_resumes_sees_the_cut() -> None:
    """Live as well as from the log."""
    async with setting() as relay, relay.ask() as (call, reader):
        await call.frame(FRAMES[0])
        path = f"/v1/streams/{reader.stream_id}"
        async with relay.stream("GET", path) as other:
            assert NUMBERED[0] == await other.next()
            await call.cut()
            assert b"" == await other.rest()
            assert not other.whole


@pytest.mark.parametrize("after", ["2", "99999999999999999999", "x", "-1"])
async def test_frames_that_there_have_not_been(after: str) -> None:
    """They can be no one's last."""
    async with setting() as relay, relay.ask() as (call, reader):
        await call.frame(FRAMES[0])
        await reader.next()
        response = await relay.http.get(
            f"/v1/streams/{reader.stream_id}", headers={"last-event-id": after}
        )

        assert 400 == response.status_code
        assert "invalid_id" == response.json()["error"]["code"]


async def test_a_log_that_was_trimmed() -> None:
    """Who is behind what is left is told so; nobody gets frames with a gap before them."""
    async with setting(store=MemoryStore(max_stream_bytes=250)) as relay:
        async with relay.ask() as (call, reader):
            for _ in range(8):
                await call.frame(FRAMES[0])
                await reader.next()
            response = await relay.http.get(f"/v1/streams/{reader.stream_id}")
            assert 410 == response.status_code
            assert "stream_trimmed" == response.json()["error"]["code"]
            await call.end()
            await reader.rest()
            stream_id = reader.stream_id
        status, data, whole = await relay.resume(stream_id, 7)
        assert (200, b"data: 1\nid: 8\n\n", True) == (status, data, whole)


class Forgetful(MemoryStore):
    """Has trimmed everything by the time that somebody waits for more."""

    async def read(self, stream_id: str, after: int, *, wait: bool = True) -> Batch:
        if wait:
            raise FramesTrimmed
        return await super().read(stream_id, after, wait=wait)


async def test_a_reader_whom_the_log_leaves_behind_is_cut_off() -> None:
    """Nobody goes on with a gap."""
    async with setting(store=Forgetful()) as relay, relay.ask() as (_, reader):
        async with relay.stream("GET", f"/v1/streams/{reader.stream_id}") as other:
            assert b"" == await other.rest()
            assert not other.whole


@pytest.mark.parametrize(
    ("status", "headers"),
    [(401, b""), (429, b"Retry-After: 7\r\nRetry-After-Ms: 7000\r\n"), (500, b"")],
)
async def test_errors_keep_status_and_body(status: int, headers: bytes) -> None:
    """But for the server's key, which some servers repeat."""
    body = json.dumps({"error": {"message": f"Incorrect key: {KEY}.", "text": "x" * 100_000}})
    async with setting() as relay, anyio.create_task_group() as tasks:
        responses: list[httpx.Response] = []

        async def ask() -> None:
            responses.append(await relay.http.post(CHAT, json=ASK))

        tasks.start_soon(ask)
        call = await relay.api.call()
        await call.send(
            b"HTTP/1.1 %d Words\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
            % (status, headers, len(body))
            + body.encode()
        )

    [response] = responses
    assert status == response.status_code
    assert body.replace(KEY, "***") == response.text
    assert "application/json" == response.headers["content-type"]
    assert ("7" if headers else None) == response.headers.get("retry-after")
    assert "x-stream-id" not in response.headers


async def test_an_error_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is the news, with what came of the body; and of a long one, the beginning."""
    monkeypatch.setattr("sse_openai.relay.upstream.ERROR_TIME", 0.05)
    monkeypatch.setattr("sse_openai.relay.upstream.MAX_ERROR", 6)
    head = b"HTTP/1.1 500 x\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n"
    async with setting() as relay:
        for sent, cut in ((b"stall", False), (b"close", True), (b"long" * 9, False)):
            async with anyio.create_task_group() as tasks:
                responses: list[httpx.Response] = []

                async def ask(into: list[httpx.Response] = responses) -> None:
                    into.append(await relay.http.post(CHAT, json=ASK))

                tasks.start_soon(ask)
                call = await relay.api.call()
                await call.send(head + sent)
                if cut:
                    await call.cut()
            assert (500, sent[:6]) == (responses[0].status_code, responses[0].content)


async def test_answers_that_are_no_streams() -> None:
    """They pass as they come, of any length; one that is cut off is cut off."""
    for cut in (False, True):
        async with setting(keep_alive=0.01) as relay, anyio.create_task_group() as tasks:
            found: list[Any] = []

            async def ask(relay: Setting = relay, found: list[Any] = found) -> None:
                async with relay.stream("POST", CHAT, b'{"model": "m"}') as reader:
                    found.extend((reader, await reader.rest(), reader.whole))

            tasks.start_soon(ask)
            call = await relay.api.call()
            head = HEAD_JSON + b"Transfer-Encoding: chunked\r\n\r\n"
            await call.send(head)
            body = b'"' + b"x" * 200_000 + b'"'
            for start in range(0, len(body), 50_000):
                await call.frame(body[start : start + 50_000])
            await (call.cut() if cut else call.end())
        response, data, whole = found
        assert 200 == response.status
        assert body == data
        assert cut is not whole
        assert "x-stream-id" not in response.headers


HEAD_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (b"", 502, "upstream_unreachable"),
        (b"nonsense\r\n\r\n", 502, "upstream_unreachable"),
        (b"HTTP/1.1 307 x\r\nLocation: http://evil/\r\n\r\n", 502, "upstream_unusable"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n",
            502,
            "upstream_unusable",
        ),
    ],
)
async def test_answers_that_cannot_be_relayed(answer: bytes, status: int, code: str) -> None:
    """They are errors in words, in the API's shape; where to go is not the API's to say."""
    async with setting() as relay, anyio.create_task_group() as tasks:
        responses: list[httpx.Response] = []

        async def ask() -> None:
            responses.append(await relay.http.post(CHAT, json=ASK))

        tasks.start_soon(ask)
        call = await relay.api.call()
        await call.send(answer)
        await call.cut()

    assert status == responses[0].status_code
    assert code == responses[0].json()["error"]["code"]


async def test_an_api_that_does_not_answer() -> None:
    """504, after the client's time limit."""
    async with setting(client=Client(timeout=Timeout(head=0.05))) as relay:
        response = await relay.http.post(CHAT, json=ASK)

    assert 504 == response.status_code
    assert "upstream_timeout" == response.json()["error"]["code"]


async def test_silence_is_broken() -> None:
    """By a comment without a blank line: whoever counts frames counts none."""
    async with setting(keep_alive=0.01) as relay, relay.ask() as (call, reader):
        assert b": keep-alive\n" == await reader.next()
        await call.frame(b"\xef\xbb\xbfdata: 1\n\n")
        while (data := await reader.next()) == b": keep-alive\n":
            pass
        assert b"data: 1\n\n" == data  # the byte order mark was one at the beginning only
        assert b": keep-alive\n" == await reader.next()
        async with relay.stream("GET", f"/v1/streams/{reader.stream_id}") as other:
            data = await other.next()
            while not data.endswith(b": keep-alive\n"):
                data += await other.next()
            assert data.startswith(b"data: 1\nid: 1\n\n: keep-alive\n")


async def test_no_comment_between_cr_and_lf() -> None:
    """The LF would be a blank line, and the comment a frame."""
    async with setting(keep_alive=0.005) as relay, relay.ask() as (call, reader):
        await call.frame(b"data: 1\r\n\r")
        while not (data := await reader.next()).startswith(b"data"):
            pass
        await anyio.sleep(0.05)  # the silence is what is tested
        await call.frame(b"\ndata: 2\n\n")

        assert b"data: 1\r\n\r" == data
        assert b"\ndata: 2\n\n" == await reader.next()


@pytest.mark.sweep(quick=1)
@pytest.mark.parametrize("keep", ["0", "60"])
async def test_a_frozen_caller_counts_as_gone(keep: str) -> None:
    """It takes nothing, so that the API is not held up for long; its frames are remembered."""
    request = (
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"X-Stream-Keep: %b\r\nContent-Length: 13\r\n\r\n"
        b'{"model":"m"}' % (CHAT.encode(), keep.encode())
    )
    frame = b"data: " + b"x" * 100_000 + b"\n\n"
    async with setting(send_timeout=0.5) as relay:
        async with await anyio.connect_tcp("127.0.0.1", relay.port) as frozen:
            await frozen.send(request)
            call = await relay.api.call()
            await call.begin()
            head = await frozen.receive()
            if keep == "0":
                await call.frames_until_gone(frame)
                return
            for _ in range(150):  # 15 MB: more than all buffers between the two
                await call.frame(frame)
            await call.end()
            stream_id = head.lower().partition(b"x-stream-id: ")[2].partition(b"\r\n")[0]
            original = head[head.lower().index(b"x-stream-id: ") + 13 :][: len(stream_id)]
            status, data, whole = await relay.resume(original.decode())
    assert 200 == status
    assert 150 == data.count(b"id: ")
    assert whole


async def test_a_store_that_is_full() -> None:
    """503 before the stream has begun; and the API is not read on."""
    async with setting(store=MemoryStore(max_streams=1)) as relay:
        async with relay.ask() as (call, reader), anyio.create_task_group() as tasks:
            responses: list[httpx.Response] = []

            async def ask() -> None:
                responses.append(await relay.http.post(CHAT, json=ASK))

            tasks.start_soon(ask)
            second = await relay.api.call()
            await second.begin()
            await second.gone()
            await call.end()
            await reader.rest()
        assert 503 == responses[0].status_code
        async with relay.ask() as (call, reader):  # what has ended makes room
            await call.end()
            assert b"" == await reader.rest()


async def test_concurrency_limit() -> None:
    """So many requests at a time, resumed streams too; what ends makes room."""
    async with setting(max_concurrent=1) as relay:
        async with relay.ask() as (call, reader):
            second = await relay.http.post(CHAT, json=ASK)
            third = await relay.http.get(f"/v1/streams/{reader.stream_id}")
            stopped = await relay.http.delete(f"/v1/streams/{reader.stream_id}")
            await call.gone()
        async with relay.ask() as (call, reader):
            await call.end()
            await reader.rest()
        async with relay.ask() as (call, reader):
            await call.end()
            await reader.rest()

    assert 429 == second.status_code == third.status_code
    assert "1" == second.headers["retry-after"]
    assert 204 == stopped.status_code


async def test_streams_belong_to_their_callers() -> None:
    """To others they are as unknown as none: they can neither be read nor stopped."""
    async with setting(tokens=["mine", "yours"]) as relay:
        async with relay.ask(authorization="Bearer mine") as (call, reader):
            path = f"/v1/streams/{reader.stream_id}"
            yours = {"authorization": "Bearer yours"}
            for method in ("GET", "DELETE"):
                response = await relay.http.request(method, path, headers=yours)
                assert 404 == response.status_code
                assert "stream_not_found" == response.json()["error"]["code"]
            await call.frame(FRAMES[0])
            assert FRAMES[0] == await reader.next()
            assert b"yours" not in call.request + call.body
            assert b"mine" not in call.request


async def test_a_body_that_is_not_whole() -> None:
    """Nobody waits for the rest; the API is not asked."""
    async with setting() as relay:
        async with await anyio.connect_tcp("127.0.0.1", relay.port) as caller:
            await caller.send(
                b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{" % CHAT.encode()
            )
            await caller.send_eof()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await caller.receive()


async def test_a_body_that_turns_out_too_long() -> None:
    """413 as soon as this is known, declared or not."""
    async with setting(max_body=10) as relay:

        async def body() -> Any:
            yield b'{"model"'
            yield b': "m"}'

        for content in (b'{"model": "m"}', body()):
            response = await relay.http.post(
                CHAT, content=content, headers={"content-type": "application/json"}
            )
            assert 413 == response.status_code


async def test_models() -> None:
    """Those that are allowed; or whatever the API says."""
    async with setting(models=["a", "b"]) as relay:
        listed = (await relay.http.get("/v1/models")).json()
    async with setting() as relay, anyio.create_task_group() as tasks:
        responses: list[httpx.Response] = []

        async def ask() -> None:
            responses.append(await relay.http.get("/v1/models"))

        tasks.start_soon(ask)
        call = await relay.api.call()
        await call.send(HEAD_JSON + b"Content-Length: 2\r\n\r\n[]")

    assert ["a", "b"] == [model["id"] for model in listed["data"]]
    assert call.request.startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert [] == responses[0].json()


async def test_page_and_description() -> None:
    """The page may run what is in it and nothing else; the description names every route."""
    async with setting() as relay:
        page = await relay.http.get("/")
        head = await relay.http.head("/")
        description = (await relay.http.get("/openapi.json")).json()

    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "nosniff" == page.headers["x-content-type-options"]
    assert page.text.lower().startswith("<!doctype html>")
    assert page.headers["content-length"] == head.headers["content-length"]
    assert "/v1/streams/{id}" in description["paths"]


async def test_websockets_are_turned_away() -> None:
    """And what the server tells of its life is answered."""
    relay = Relay(endpoint=setting_endpoint())
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "lifespan"}

    await relay({"type": "websocket"}, receive, send)
    await relay({"type": "lifespan"}, receive, send)

    assert ["websocket.close", "lifespan.startup.complete", "lifespan.shutdown.complete"] == sent


def setting_endpoint() -> Any:
    return Endpoint(base_url="http://127.0.0.1:9/v1", api_key=KEY)


async def test_a_refusal_of_the_servers_own_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be reached is for the log to say, not for the caller."""
    endpoint = setting_endpoint()
    with caplog.at_level(logging.WARNING, "sse_openai.relay"):
        async with setting(endpoint=endpoint) as relay:
            response = await relay.http.post(CHAT, json=ASK)

    assert 502 == response.status_code
    assert "127.0.0.1" not in response.text
    assert "connecting to" in caplog.text
    assert KEY not in caplog.text + repr(relay.relay) + repr(vars(relay.relay))


async def test_preflight() -> None:
    """A page of an allowed origin is let in, over a socket as well."""
    origin = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with setting(origins=["https://app.example"]) as relay:
        response = await relay.http.options(CHAT, headers=origin)

    assert 204 == response.status_code
    assert "https://app.example" == response.headers["access-control-allow-origin"]


async def test_a_stream_that_there_is_not() -> None:
    """404, to read and to stop."""
    async with setting() as relay:
        for method in ("GET", "DELETE"):
            assert 404 == (await relay.http.request(method, "/v1/streams/none")).status_code


async def receive_nothing() -> Any:
    await anyio.sleep_forever()


@pytest.mark.parametrize("waits", [False, True])
async def test_a_caller_who_does_not_take_the_comment(waits: bool) -> None:
    """It counts as gone; what waits behind the comment to be sent is freed."""

    async def never(message: Any) -> None:
        await anyio.sleep_forever()

    caller = Caller(receive_nothing, never, (), 0.05)
    scope = anyio.CancelScope()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller.tend, scope, 0.01)
            with scope:
                if waits:
                    await anyio.sleep(0.02)  # so that the comment is the first to wait
                    await caller.send(b"data")
                await caller.gone.wait()

    assert caller.gone.is_set()
    assert waits is scope.cancelled_caught


async def test_a_server_that_says_who_has_gone() -> None:
    """With OSError, as the specification has it; to one who has gone nothing is sent."""
    sent: list[str] = []

    async def broken(message: Any) -> None:
        sent.append(message["type"])
        raise BrokenPipeError

    for begin in (partial(Caller.start, status=200, headers=()), partial(Caller.send, data=b"1")):
        caller = Caller(receive_nothing, broken, (), 5.0)
        await begin(caller)
        assert caller.gone.is_set()
        await caller.send(b"more")

    assert ["http.response.start", "http.response.body"] == sent


async def test_from_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists with commas; nothing is needed but the API."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("RELAY_MODELS", "a, b")
    monkeypatch.delenv("RELAY_REDIS", raising=False)

    transport = httpx.ASGITransport(from_environment())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        models = (await http.get("/v1/models")).json()["data"]

    assert ["a", "b"] == [model["id"] for model in models]


def test_names_that_are_not_there() -> None:
    """Only the Redis store is resolved on first use."""
    with pytest.raises(AttributeError, match="'Other'"):
        _ = sse_openai.relay.Other  # type: ignore[attr-defined]  # that is the test
