"""read_chat and aread_chat: the body of any HTTP client, over real sockets and without."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.parse
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import anyio
import pytest

from sse_core import EventTooLarge, serve
from sse_openai import (
    APIError,
    ContentDelta,
    MalformedChunk,
    StreamTruncated,
    aread_chat,
    read_chat,
)
from sse_openai.mock import MockOpenAI, Recording
from sse_openai.mock.turn import SCRIPT
from tests.support.shells import Cancelling, cancelled_at, on_every_way_to_cancel

A = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
STOP = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"

ENDS: dict[str, tuple[bytes, type[Exception] | None]] = {
    "done": (A + DONE, None),
    "finished": (A + STOP, None),
    "truncated": (A, StreamTruncated),
    "broken off": (A + DONE.strip(), StreamTruncated),
    "empty": (b"", StreamTruncated),
    "error": (A + b'data: {"error": {"message": "m"}}\n\n', APIError),
    "malformed": (A + b"data: {\n\n", MalformedChunk),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The mock, served over real HTTP from a thread of its own."""
    recordings = {name: Recording.from_bytes(body) for name, (body, _) in ENDS.items()}
    ports: list[int] = []
    started, stop = threading.Event(), threading.Event()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            application = MockOpenAI(recordings=recordings)
            ports.append(await tasks.start(partial(serve, application)))
            started.set()
            await anyio.to_thread.run_sync(stop.wait)
            tasks.cancel_scope.cancel()

    thread = threading.Thread(target=anyio.run, args=(main,))
    thread.start()
    assert started.wait(10)
    yield f"http://127.0.0.1:{ports[0]}/v1/chat/completions"
    stop.set()
    thread.join(10)


HEADERS = {"Authorization": "Bearer k", "Content-Type": "application/json"}

Read = Callable[[Any], Any]


def by_http_client(url: str, body: bytes, read: Read) -> None:
    address = urllib.parse.urlsplit(url)
    with closing(http.client.HTTPConnection(address.netloc, timeout=10)) as connection:
        connection.request("POST", address.path, body, HEADERS)
        response = connection.getresponse()
        read(iter(partial(response.read1, 2**16), b""))


def by_requests(url: str, body: bytes, read: Read) -> None:
    requests = pytest.importorskip("requests", reason="requests is not installed")
    with requests.post(url, body, headers=HEADERS, stream=True, timeout=10) as response:
        read(response.iter_content(None))


def by_niquests(url: str, body: bytes, read: Read) -> None:
    niquests = pytest.importorskip("niquests", reason="niquests is not installed")
    with niquests.Session() as session:
        response = session.post(url, body, headers=HEADERS, stream=True, timeout=10)
        read(response.iter_content(None))
        response.close()


def by_urllib3(url: str, body: bytes, read: Read) -> None:
    urllib3 = pytest.importorskip("urllib3", reason="urllib3 is not installed")
    with urllib3.PoolManager(timeout=10) as pool:
        response = pool.request("POST", url, body=body, headers=HEADERS, preload_content=False)
        read(response.stream(2**16))
        response.close()


def by_httpx(url: str, body: bytes, read: Read, module: str = "httpx") -> None:
    httpx = pytest.importorskip(module, reason=f"{module} is not installed")
    with (
        httpx.Client(timeout=10, verify=False) as client,
        client.stream("POST", url, content=body, headers=HEADERS) as response,
    ):
        read(response.iter_bytes())


async def by_httpx_async(url: str, body: bytes, read: Read, module: str = "httpx") -> None:
    httpx = pytest.importorskip(module, reason=f"{module} is not installed")
    async with (
        httpx.AsyncClient(timeout=10, verify=False) as client,
        client.stream("POST", url, content=body, headers=HEADERS) as response,
    ):
        await read(response.aiter_bytes())


async def by_aiohttp(url: str, body: bytes, read: Read) -> None:
    aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=HEADERS) as response,
    ):
        await read(response.content.iter_any())


BLOCKING: dict[str, Callable[[str, bytes, Read], None]] = {
    "http.client": by_http_client,
    "requests": by_requests,
    "niquests": by_niquests,
    "urllib3": by_urllib3,
    "httpx": by_httpx,
    "httpx2": partial(by_httpx, module="httpx2"),
}
ASYNCHRONOUS: dict[str, tuple[str, Callable[[str, bytes, Read], Coroutine[Any, Any, None]]]] = {
    "httpx on asyncio": ("asyncio", by_httpx_async),
    "httpx on trio": ("trio", by_httpx_async),
    "httpx2 on asyncio": ("asyncio", partial(by_httpx_async, module="httpx2")),
    "httpx2 on trio": ("trio", partial(by_httpx_async, module="httpx2")),
    "aiohttp": ("asyncio", by_aiohttp),
}


def ask(transport: str, url: str, model: str) -> tuple[Any, str, Exception | None]:
    """Read one chat by that transport; return it, its text and what it raised."""
    message = {"role": "user", "content": "What are Server-Sent Events?"}
    body = json.dumps({"model": model, "messages": [message], "stream": True}).encode()
    chats: list[Any] = []
    contents: list[str] = []
    errors: list[Exception] = []

    def read(chunks: Any) -> None:
        chat = read_chat(chunks)
        chats.append(chat)
        try:
            for chunk in chat:
                contents.append(chunk.content or "")  # noqa: PERF401  # a failure keeps them
        except Exception as exc:
            errors.append(exc)

    async def aread(chunks: Any) -> None:
        chat = aread_chat(chunks)
        chats.append(chat)
        try:
            async for chunk in chat:
                contents.append(chunk.content or "")  # noqa: PERF401  # a failure keeps them
        except Exception as exc:
            errors.append(exc)

    if transport in BLOCKING:
        BLOCKING[transport](url, body, read)
    else:
        backend, fetch = ASYNCHRONOUS[transport]
        anyio.run(fetch, url, body, aread, backend=backend)
    return chats[0], "".join(contents), errors[0] if errors else None


on_every_transport = pytest.mark.parametrize("transport", [*BLOCKING, *ASYNCHRONOUS])


@pytest.mark.sweep(quick=4)
@on_every_transport
def test_answer(transport: str, url: str) -> None:
    """Every transport's bytes become the same chat."""
    chat, text, error = ask(transport, url, "m")

    assert ("".join(SCRIPT), None) == (text, error)
    assert text == chat.completion.choices[0].message.content
    assert (True, True) == (chat.done, chat.complete)


@pytest.mark.sweep(quick=24)
@on_every_transport
@pytest.mark.parametrize("end", ENDS)
def test_end(end: str, transport: str, url: str) -> None:
    """However it ends, that is told, and what had come is at hand."""
    body, expected = ENDS[end]

    chat, text, error = ask(transport, url, end)

    assert (expected, "a" if body else "") == (type(error) if error else None, text)
    assert (expected is None) is chat.complete
    if body:
        assert "a" == chat.completion.choices[0].message.content
        assert error is None or error.completion == chat.completion  # type: ignore[attr-defined]  # all have it


# Without a transport: both readers from the same pieces.


async def pieces_of(pieces: list[Any]) -> AsyncIterator[bytes]:
    for piece in pieces:
        if isinstance(piece, Exception):
            raise piece
        yield piece


def read_by(kind: str, pieces: list[Any], **options: Any) -> tuple[Any, list[Any]]:
    """Call the iterator until it has ended twice; return it, its items and what it raised."""
    found: list[Any] = []
    if kind == "blocking":

        def body() -> Iterator[bytes]:
            for piece in pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield piece

        chat = read_chat(body(), **options)
        for _ in range(20):
            try:
                found.append(next(chat, None))
            except Exception as exc:
                found.append(exc)
        return chat, found

    async def main() -> Any:
        chat = aread_chat(pieces_of(pieces), **options)
        for _ in range(20):
            try:
                found.append(await anext(chat, None))
            except Exception as exc:
                found.append(exc)
        return chat

    return anyio.run(main), found


both = pytest.mark.parametrize("kind", ["blocking", "asynchronous"])


@both
@pytest.mark.parametrize("end", ENDS)
def test_raises_once(end: str, kind: str) -> None:
    """After an end of any kind the iteration is over, and stays so."""
    body, expected = ENDS[end]

    _, found = read_by(kind, [bytes([byte]) for byte in body])

    failures = [item for item in found if isinstance(item, Exception)]
    assert ([expected] if expected else []) == [type(failure) for failure in failures]
    assert 10 * [None] == found[-10:]


@both
def test_errors_of_the_transport(kind: str) -> None:
    """They are the transport's own, raised once."""
    broken = ConnectionResetError("by peer")

    chat, found = read_by(kind, [A, broken])

    assert "a" == found[0].content
    assert broken is found[1]
    assert 18 * [None] == found[2:]
    assert not chat.complete


@both
def test_nothing_is_read_after_done(kind: str) -> None:
    """A transport's error behind it is never seen."""
    _, found = read_by(kind, [A + DONE + A, ConnectionResetError()])

    assert ["a", *19 * [None]] == [item and item.content for item in found]


@both
def test_event_too_large(kind: str) -> None:
    """The parser's limit holds, after what came before it."""
    _, found = read_by(kind, [A + b"data: ", *20 * [2**20 * b"x"]])

    assert "a" == found[0].content
    assert EventTooLarge is type(found[1])
    assert 18 * [None] == found[2:]


@both
def test_other_bytes(kind: str) -> None:
    """Whatever holds bytes will do."""
    _, found = read_by(kind, [bytearray(A), memoryview(A), DONE])

    assert ["a", "a"] == [item.content for item in found[:2]]


@both
@pytest.mark.parametrize("name", ["orjson.loads", "msgspec.json.decode", "json.loads"])
def test_loads(name: str, kind: str) -> None:
    """Any decoder of JSON text will do; its errors are malformed chunks."""
    path, _, function = name.rpartition(".")
    loads = getattr(pytest.importorskip(path, reason=f"{path} is not installed"), function)

    _, found = read_by(kind, [A, b"data: {\n\n"], loads=loads)

    assert "a" == found[0].content
    assert MalformedChunk is type(found[1])


def test_events() -> None:
    """Both readers tell events; always by the same iterator."""

    async def main() -> list[Any]:
        chat = aread_chat(pieces_of([A, STOP, DONE]))
        assert chat.events() is chat.events()
        return [event async for event in chat.events()]

    chat = read_chat([A, STOP, DONE])
    assert chat.events() is chat.events()
    events = list(chat.events())

    assert ["content.delta", "choice.done"] == [event.type for event in events]
    assert events == anyio.run(main)
    assert isinstance(events[0], ContentDelta)


class Slow:
    """An asynchronous iterator, not a generator, that can be cancelled."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> Slow:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)


@on_every_way_to_cancel
@pytest.mark.parametrize("events", [False, True], ids=["chunks", "events"])
def test_cancelled_next(events: bool, backend: str, way: Cancelling) -> None:
    """Cancelled at any suspension, it can be called again: nothing is lost."""

    async def scenario(suspension: int) -> bool:
        chat: Any = aread_chat(Slow([A, A + A, A + STOP, DONE]))
        items = chat.events() if events else chat
        received: list[Any] = []

        async def reader() -> None:
            async for item in items:
                received.append(item)  # noqa: PERF401  # seen even when cancelled

        cancelled, _ = await cancelled_at(suspension, way, reader())
        await reader()
        assert 5 == len(received)
        assert "aaaa" == chat.completion.choices[0].message.content
        return cancelled

    for suspension in range(1, 20):
        if not anyio.run(scenario, suspension, backend=backend):
            return
    raise AssertionError("never ran to its end")
