"""The ASGI host, over real sockets: what is on the wire, and what the application sees."""

from __future__ import annotations

import gc
import logging
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import h11
import pytest
import trustme
from anyio.abc import ByteStream, Listener, SocketAttribute
from anyio.streams.tls import TLSStream

from sse_core import serve
from sse_core._server import host as _serve
from sse_core._server.exchange import MAX_HEAD
from sse_core.asgi import ASGIApp as App
from sse_core.asgi import Message, Receive, Send
from tests.support.hosting import serving

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
LENGTH = [(b"content-length", b"2")]


@asynccontextmanager
async def connected(app: App) -> AsyncGenerator[ByteStream]:
    async with serving(app) as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield stream


class FakeStream(ByteStream):
    """A client without an address that sends what it is given, and then closes, or stays."""

    def __init__(self, *chunks: bytes, stays: bool = False) -> None:
        self._chunks = [*chunks]
        self._stays = stays
        self.reads = 0
        self.closed = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        self.reads += 1
        if self._chunks:
            return self._chunks.pop(0)
        if self._stays:
            await anyio.sleep_forever()
        raise anyio.EndOfStream

    async def send(self, item: bytes) -> None:
        pass

    async def send_eof(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed = True

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {SocketAttribute.local_address: lambda: ("127.0.0.1", 1)}


class FakeListener(Listener[ByteStream]):
    """Accepts one connection; then it ends."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def serve(self, handler: Any, task_group: Any = None) -> None:
        await handler(self._stream)

    async def aclose(self) -> None: ...

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {SocketAttribute.local_port: lambda: 1}


async def serve_one(app: App, stream: ByteStream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve one connection to its end, which is ``stream``."""

    async def listen(**_: Any) -> FakeListener:
        return FakeListener(stream)

    monkeypatch.setattr(anyio, "create_tcp_listener", listen)
    with anyio.fail_after(10):
        await serve(app)


async def read_until(stream: ByteStream, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += await stream.receive()
    return data


async def read_all(stream: ByteStream) -> bytes:
    data = b""
    try:
        while True:
            data += await stream.receive()
    except anyio.EndOfStream:
        return data


def responses(data: bytes, *methods: str) -> list[tuple[int, dict[str, str], bytes]]:
    """Read responses to such requests; RemoteProtocolError for one that was cut."""
    found = []
    client = h11.Connection(h11.CLIENT)
    client.receive_data(data)
    client.receive_data(b"")
    for method in methods:
        client.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
        client.send(h11.EndOfMessage())
        head, body = client.next_event(), b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data)
            body += event.data
        assert isinstance(head, h11.Response)
        headers = {name.decode(): value.decode() for name, value in head.headers}
        found.append((head.status_code, headers, bytes(body)))
        if client.our_state is h11.DONE:
            client.start_next_cycle()
    return found


async def exchange(app: App, request: bytes) -> bytes:
    """Send bytes, and return all that comes back until the server closes."""
    async with connected(app) as stream:
        await stream.send(request)
        return await read_all(stream)


def http(app: App) -> App:
    """Make an application of one that knows nothing but HTTP."""

    async def wrapped(scope: Any, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "no lifespan"
        await app(scope, receive, send)

    return wrapped


def start(status: int = 200, headers: Any = ()) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: bytes = b"", more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def read_body(receive: Receive) -> bytes:
    data = bytearray()
    while True:
        message = await receive()
        data += message["body"]
        if not message["more_body"]:
            return bytes(data)


@http
async def echo(scope: Any, receive: Receive, send: Send) -> None:
    data = await read_body(receive)
    await send(start(headers=[(b"content-length", b"%d" % len(data))]))
    await send(body(data))


@http
async def hello(scope: Any, receive: Receive, send: Send) -> None:
    await send(start(headers=LENGTH))
    await send(body(b"hi"))


# The request


async def test_scope() -> None:
    """The scope says what the request line, the headers and the sockets say."""
    scopes = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await hello(scope, receive, send)

    async with serving(app) as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        client = stream.extra(SocketAttribute.local_address)
        await stream.send(b"PUT /%E3%81%A6/a%20b?q=%20x HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n")
        await read_until(stream, b"hi")

    assert [
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "PUT",
            "scheme": "http",
            "path": "/て/a b",
            "raw_path": b"/%E3%81%A6/a%20b",
            "query_string": b"q=%20x",
            "root_path": "",
            "headers": [(b"host", b"a"), (b"x-one", b"1")],
            "client": client,
            "server": ("127.0.0.1", port),
            "extensions": {"sse_toolkit.abort": {}},
        }
    ] == scopes


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://example.com/a?b", "/a", b"b"),
        (b"http://example.com", "/", b""),
        (b"http://example.com?b", "/", b"b"),
        (b"//example.com/a", "//example.com/a", b""),
        (b"/a?b://c/d", "/a", b"b://c/d"),
        (b"*", "*", b""),
    ],
)
async def test_target(target: bytes, path: str, query: bytes) -> None:
    """Every form of a request's target has a path."""
    scopes = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        scopes.append((scope["path"], scope["query_string"]))
        await hello(scope, receive, send)

    await exchange(app, b"OPTIONS %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % target)

    assert [(path, query)] == scopes


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd",
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
            b"\r\n1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n"
        ),
    ],
    ids=["content-length", "chunked"],
)
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
async def test_body(request_: bytes, bytewise: bool) -> None:
    """A body arrives whole, however it is framed and cut."""
    async with connected(echo) as stream:
        for index in range(0, len(request_), 1 if bytewise else len(request_)):
            await stream.send(request_[index : index + 1] if bytewise else request_)
        data = await read_all(stream)

    assert responses(data, "POST")[0][2] == b"abcd"


async def test_body_is_read_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read ahead of the application."""
    stream = FakeStream(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", b"ab", b"cd")
    seen: list[int] = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        assert scope["client"] is None
        seen.append(stream.reads)
        await receive()
        seen.append(stream.reads)
        await read_body(receive)
        seen.append(stream.reads)
        await send(start())
        await send(body())

    await serve_one(app, stream, monkeypatch)

    assert seen == [1, 2, 3]


async def test_expect_continue() -> None:
    """100 (Continue) is sent when the application first asks for the body."""
    asked = anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await asked.wait()
        await echo(scope, receive, send)

    async with connected(app) as stream:
        await stream.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        asked.set()
        interim = await read_until(stream, b"\r\n\r\n")
        await stream.send(b"hi")
        data = await read_until(stream, b"hi")

    assert interim.startswith(b"HTTP/1.1 100 ")
    assert data.startswith(b"HTTP/1.1 200 ")


async def test_expect_continue_refused() -> None:
    """An application that does not want the body answers at once, and the connection ends."""
    data = await exchange(
        hello, b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )

    [(status, headers, _)] = responses(data, "POST")
    assert (status, headers["connection"]) == (200, "close")


async def test_unread_body_does_not_take_the_response_with_it() -> None:
    """A client that sends on after an early answer still gets the answer."""
    length = 2**22
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length
    data = await exchange(hello, head + bytes(length))

    assert responses(data, "POST")[0][2] == b"hi"


async def test_keep_alive() -> None:
    """One connection carries one exchange after the other."""
    async with connected(echo) as stream:
        for text in (b"one", b"two", b"three"):
            request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(text)
            await stream.send(request + text)
            await read_until(stream, b"\r\n\r\n" + text)


async def test_pipelining() -> None:
    """Requests sent at once are answered in their order, one after the other."""
    running: list[str] = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        assert not running
        running.append(scope["path"])
        assert await read_body(receive) == b""
        await send(start())
        await send(body(scope["path"].encode(), True))
        await anyio.lowlevel.checkpoint()
        await send(body())
        running.clear()

    request = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    data = await exchange(app, request % 1 + request % 2 + last)

    bodies = [each[2] for each in responses(data, "GET", "GET", "GET")]
    assert bodies == [b"/1", b"/2", b"/last"]


async def test_pipelined_flood() -> None:
    """What waits behind an unanswered request is bounded: beyond, the client counts as gone."""
    messages = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        messages.append(await receive())
        messages.append(await receive())

    async with connected(app) as stream:
        await stream.send(GET + b"GET / HTTP/1.1\r\n" + b"x" * 2 * MAX_HEAD)
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()

    assert [message["type"] for message in messages] == ["http.request", "http.disconnect"]


# The response


async def test_chunked() -> None:
    """A response without Content-Length is chunked, and every chunk is sent at once."""
    arrived = anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(more=True))
        await send(body(b"one", True))
        await arrived.wait()
        await send(body(b"two"))

    async with connected(app) as stream:
        await stream.send(CLOSE)
        data = await read_until(stream, b"3\r\none\r\n")
        arrived.set()
        data += await read_all(stream)

    assert responses(data, "GET")[0][2] == b"onetwo"


async def test_headers_leave_with_an_empty_body_message() -> None:
    """An empty body message sends the head: a client learns at once that it is connected."""
    arrived = anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(more=True))
        await arrived.wait()
        await send(body())

    async with connected(app) as stream:
        await stream.send(GET)
        await read_until(stream, b"\r\n\r\n")
        arrived.set()
        assert await read_until(stream, b"0\r\n\r\n") == b"0\r\n\r\n"


async def test_head_request() -> None:
    """HEAD gets the head alone, and the connection goes on."""
    async with connected(hello) as stream:
        await stream.send(GET.replace(b"GET", b"HEAD") + CLOSE)
        data = await read_all(stream)

    bodies = [(each[1]["content-length"], each[2]) for each in responses(data, "HEAD", "GET")]
    assert bodies == [("2", b""), ("2", b"hi")]


async def test_http_10() -> None:
    """HTTP/1.0 gets a body that ends with the connection, not chunks."""

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"one", True))
        await send(body(b"two"))

    data = await exchange(app, b"GET / HTTP/1.0\r\n\r\n")

    assert data.endswith(b"\r\n\r\nonetwo")
    assert b"chunked" not in data


async def test_framing_is_the_hosts() -> None:
    """Transfer-Encoding of the application is ignored, its Date is kept."""

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        headers = [(b"Transfer-Encoding", b"gzip"), (b"Date", b"today"), *LENGTH]
        await send(start(headers=headers))
        await send(body(b"hi"))

    [(_, headers, _)] = responses(await exchange(app, CLOSE), "GET")

    assert headers == {"date": "today", "content-length": "2", "connection": "close"}


@pytest.mark.parametrize(
    "messages",
    [
        [body()],
        [start(), start()],
        [{"type": "http.response.trailers"}],
        [start(headers=[(b"a", b"b\r\nc: d")])],
        [start(headers=LENGTH), body(b"three")],
    ],
    ids=["no start", "two starts", "unknown", "injection", "too long"],
)
async def test_misuse(messages: list[Message]) -> None:
    """A message that cannot be sent is a RuntimeError, where it is sent."""
    errors: list[BaseException] = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        try:
            for message in messages:
                await send(message)
        except RuntimeError as exc:
            errors.append(exc)

    await exchange(app, CLOSE)

    assert len(errors) == 1


async def test_messages_after_the_end() -> None:
    """What is sent after the response is ignored, as is the client that has it and goes."""
    gone, done = anyio.Event(), anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        await gone.wait()
        await send(body(b"more"))
        assert await receive() == {"type": "http.disconnect"}
        done.set()

    async with connected(app) as stream:
        await stream.send(GET)
        await read_until(stream, b"hi")
        await stream.aclose()
        gone.set()
        await done.wait()


async def test_several_tasks_send() -> None:
    """Messages of several tasks do not mix, however long they take."""
    size = 2**20

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        async def say(letter: bytes) -> None:
            await send(body(letter * size, True))

        await send(start())
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(say, b"a")
            task_group.start_soon(say, b"b")
        await send(body())

    [(_, _, data)] = responses(await exchange(app, CLOSE), "GET")

    assert {data[:size], data[size:]} == {b"a" * size, b"b" * size}


async def test_end_of_the_response() -> None:
    """Every task that waits in receive() learns of the response's end, as of the client's."""
    messages: list[Message] = []
    done = anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        async def watch() -> None:
            messages.append(await receive())

        await read_body(receive)
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(watch)
            task_group.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            await hello(scope, receive, send)
        done.set()

    async with connected(app) as stream:
        await stream.send(GET)
        await read_until(stream, b"hi")
        await done.wait()

    assert messages == [{"type": "http.disconnect"}] * 2


# The client goes


ABORT = "sse_toolkit.abort"


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
async def test_abort(reset: bool, tls: bool, caplog: pytest.LogCaptureFixture) -> None:
    """An application can have its response cut: by FIN or by RST, and nothing is logged."""
    ended = anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        assert scope["extensions"] == {ABORT: {}}
        await receive()
        await send(start())
        await send(body(b"one", True))
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(until_gone, receive)
            await anyio.wait_all_tasks_blocked()
            await send({"type": ABORT, "reset": reset})
        with pytest.raises(BrokenPipeError):
            await send(body(b"two"))
        ended.set()

    async def until_gone(receive: Receive) -> None:
        assert (await receive())["type"] == "http.disconnect"

    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    async with serving(app, ssl_context=server_context if tls else None) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as plain:
            stream: ByteStream = plain
            if tls:
                stream = await TLSStream.wrap(
                    plain, hostname="127.0.0.1", ssl_context=client_context
                )
            await stream.send(GET)
            await read_until(stream, b"3\r\none\r\n")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)) as caught:
                await stream.receive()
            await ended.wait()

    # Without TLS a FIN is an end of file; with it, one that the peer did not announce.
    assert (caught.type is anyio.BrokenResourceError) == (reset or tls)
    resets = isinstance(caught.value.__cause__, ConnectionResetError)
    assert resets == reset
    assert caplog.records == []


async def test_abort_before_the_response() -> None:
    """Nothing was sent, and nothing comes."""

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(start())
        await send({"type": ABORT})

    assert await exchange(app, GET) == b""


async def test_abort_after_the_response() -> None:
    """After its end a response cannot be cut any more."""

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        await send({"type": ABORT, "reset": True})

    assert (await exchange(app, CLOSE)).endswith(b"hi")


async def test_disconnect_while_waiting() -> None:
    """receive() tells at once that the client has gone; send() raises from then on."""
    seen: list[Any] = []
    done = anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        try:
            await send(start())
            await send(body(b"one", True))
            await read_body(receive)
            seen.append(await receive())
            seen.append(await receive())
            await send(body(b"two", True))
        except OSError as exc:
            seen.append(type(exc))
            raise
        finally:
            done.set()

    async with connected(app) as stream:
        await stream.send(GET)
        await read_until(stream, b"one\r\n")
        await stream.aclose()
        await done.wait()

    assert [{"type": "http.disconnect"}, {"type": "http.disconnect"}, BrokenPipeError] == seen


async def test_disconnect_while_sending(caplog: pytest.LogCaptureFixture) -> None:
    """An application that only sends gets an OSError, and it is nothing to report."""
    done = anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        try:
            await send(start())
            while True:
                await send(body(b"x" * 2**16, True))
        finally:
            done.set()

    with caplog.at_level(logging.INFO, "sse_core.serve"):
        async with connected(app) as stream:
            await stream.send(GET)
            await stream.receive()
            await stream.aclose()
            await done.wait()

    assert caplog.records == []


async def test_disconnect_within_the_body() -> None:
    """A body that breaks off ends in http.disconnect."""
    messages: list[Message] = []
    done = anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        messages.append(await receive())
        messages.append(await receive())
        done.set()

    async with connected(app) as stream:
        await stream.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        await stream.send_eof()
        await done.wait()
        assert await read_all(stream) == b""

    assert messages == [
        {"type": "http.request", "body": b"abc", "more_body": True},
        {"type": "http.disconnect"},
    ]


async def test_disconnect_before_100_continue() -> None:
    """A client that goes while it waits for 100 (Continue) is a disconnect, not an error."""
    gone, done = anyio.Event(), anyio.Event()
    messages: list[Message] = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await gone.wait()
        messages.append(await receive())
        done.set()

    async with connected(app) as stream:
        await stream.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        await stream.aclose()
        gone.set()
        await done.wait()

    assert messages == [{"type": "http.disconnect"}]


async def test_half_sent_head() -> None:
    """A client that goes within its head is answered nothing."""
    async with connected(hello) as stream:
        await stream.send(GET[:-2])
        await stream.send_eof()

        assert await read_all(stream) == b""


async def test_half_closed() -> None:
    """A request whose sender closes its side is answered, if the application does not look."""
    async with connected(hello) as stream:
        await stream.send(GET)
        await stream.send_eof()

        assert responses(await read_all(stream), "GET")[0][2] == b"hi"


async def test_cancelled_send() -> None:
    """Nothing follows a message that was cancelled half-way: a part of it is out."""
    outcome: list[Any] = []
    done = anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send(start())
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(send_in_vain, send)
            await anyio.wait_all_tasks_blocked()
            task_group.cancel_scope.cancel()
        with pytest.raises(BrokenPipeError):
            await send(body(b"two"))
        outcome.append(await receive())
        done.set()

    async def send_in_vain(send: Send) -> None:
        await send(body(bytes(2**26)))  # more than the sockets of a client that reads nothing take

    async with connected(app) as stream:
        await stream.send(GET)
        await done.wait()

    assert outcome == [{"type": "http.disconnect"}]


# Errors


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (GET[:-2] + b"a: %b\r\n\r\n" % (b"x" * 2**16), 431),
        (GET[:-2] + b"a: " + b"x" * 2**17, 431),
    ],
    ids=["nonsense", "no host", "coding", "long head", "endless head"],
)
async def test_bad_head(request_: bytes, status: int) -> None:
    """A head that is no head is answered with an error, and the connection ends."""
    data = await exchange(hello, request_)

    [(got, headers, text)] = responses(data, "GET")
    assert (status, "close") == (got, headers["connection"])
    assert text.endswith(b"\n")


@pytest.mark.parametrize("extra", [0, 1], ids=["fits", "too long"])
async def test_head_limit(extra: int) -> None:
    """The limit of a head does not depend on how it was cut, or what follows."""
    head = CLOSE[:-2] + b"a: \r\n\r\n"
    head = head.replace(b"a: ", b"a: " + b"x" * (MAX_HEAD - len(head) + extra))
    data = await exchange(hello, head + b"x" * 10)

    assert [431 if extra else 200] == [status for status, _, _ in responses(data, "GET")]


async def test_bad_body() -> None:
    """A body that breaks its framing is a disconnect to the application, 400 to the client."""
    messages: list[Message] = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        messages.append(await receive())
        await send(start())

    data = await exchange(
        app, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    )

    assert [status for status, _, _ in responses(data, "POST")] == [400]
    assert messages == [{"type": "http.disconnect"}]


async def test_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that sends no head is closed in time, with no answer."""
    monkeypatch.setattr(_serve, "HEAD_TIMEOUT", 0.05)
    async with connected(hello) as stream:
        await stream.send(GET)
        await read_until(stream, b"hi")
        await stream.send(GET[:-2])

        assert await read_all(stream) == b""


async def test_client_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not close after the last response is not waited for."""
    monkeypatch.setattr(_serve, "LINGER", 0.05)
    stream = FakeStream(CLOSE, stays=True)

    await serve_one(hello, stream, monkeypatch)

    assert stream.closed


@pytest.mark.parametrize("messages", [[], [start(201)]], ids=["nothing", "start"])
@pytest.mark.parametrize("raises", [True, False], ids=["raises", "returns"])
async def test_failure_before_the_response(
    messages: list[Message], raises: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Until the head has left, a failure is a 500; what is logged holds no secret."""

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        if raises:
            raise LookupError("missing")

    request = b"GET /path?key=sk-1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sk-2\r\n\r\n"
    async with connected(app) as stream:
        await stream.send(request)
        await read_until(stream, b"Internal Server Error\n")
        await stream.send(CLOSE)
        data = await read_all(stream)

    assert responses(data, "GET")[0][::2] == (500, b"Internal Server Error\n")
    assert ("LookupError" if raises else "RuntimeError") in caplog.text
    assert "GET /path: the application failed" in caplog.text
    assert "sk-" not in caplog.text


async def test_failure_within_the_response(caplog: pytest.LogCaptureFixture) -> None:
    """Once the head has left, a failure cuts the connection: the body has no end."""

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"one", True))
        raise LookupError("missing")

    data = await exchange(app, GET)

    with pytest.raises(h11.RemoteProtocolError):
        responses(data, "GET")
    assert "LookupError" in caplog.text


async def test_failure_leaves_the_server_up() -> None:
    """One application's failure is not another's."""

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        if scope["path"] == "/fail":
            raise LookupError("missing")
        await hello(scope, receive, send)

    async with serving(app) as port:
        for path, status in ((b"/fail", 500), (b"/", 200)):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(CLOSE.replace(b"/ ", path + b" "))
                assert status == responses(await read_all(stream), "GET")[0][0]


# The server


async def test_cancellation() -> None:
    """Cancelling the server cancels every application, and closes every connection."""
    running, finalised = anyio.Event(), anyio.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        try:
            await send(start())
            await send(body(b"one", True))
            running.set()
            await anyio.sleep_forever()
        finally:
            finalised.set()

    async with serving(hello) as other, anyio.create_task_group() as task_group:
        port = await task_group.start(serve, app)
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(GET)
            await running.wait()
            task_group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                assert (await read_all(stream)).endswith(b"one\r\n")
    assert other != port
    assert finalised.is_set()


@pytest.mark.sweep(quick=1)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_port_in_use() -> None:
    """An address that is taken is an OSError."""
    async with serving(hello) as port:
        with pytest.raises(OSError, match="in use"):
            await serve(hello, port=port)
    gc.collect()  # older versions of anyio leave the socket that was not bound to it


async def test_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a context the same is served over TLS, with its goodbye at the end."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    monkeypatch.setattr(_serve, "LINGER", 0.05)
    schemes: list[str] = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        schemes.append(scope["scheme"])
        await hello(scope, receive, send)

    async with serving(app, ssl_context=server) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as plain:
            stream = await TLSStream.wrap(plain, hostname="127.0.0.1", ssl_context=client)
            await stream.send(GET + CLOSE)
            data = await read_all(stream)  # a missing goodbye would be BrokenResourceError
            await stream.aclose()

    assert [each[2] for each in responses(data, "GET", "GET")] == [b"hi", b"hi"]
    assert schemes == ["https", "https"]


# Lifespan


def lifespan(behaviour: Callable[[Receive, Send], Any]) -> App:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await behaviour(receive, send)
        else:
            await hello(scope, receive, send)

    return app


async def test_lifespan() -> None:
    """An application that wants to know is told of start and end."""
    seen: list[str] = []

    async def behaviour(receive: Receive, send: Send) -> None:
        for _ in range(2):
            message = await receive()
            seen.append(message["type"])
            await send({"type": f"{message['type']}.complete"})

    async with serving(lifespan(behaviour)) as port:
        seen.append("serving")
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(GET)
            await read_until(stream, b"hi")

    assert seen == ["lifespan.startup", "serving", "lifespan.shutdown"]


async def test_lifespan_returns() -> None:
    """An application that just returns is served."""

    async def behaviour(receive: Receive, send: Send) -> None:
        pass

    async with serving(lifespan(behaviour)) as port:
        assert port


async def test_lifespan_unknown() -> None:
    """An application that takes everything for HTTP is served without."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(start(headers=LENGTH))
        await send(body(b"hi"))

    data = await exchange(app, CLOSE)

    assert responses(data, "GET")[0][2] == b"hi"


async def test_lifespan_failed() -> None:
    """An application that cannot start is not served, and says why."""

    async def behaviour(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        await send({"type": "lifespan.shutdown.failed"})

    with pytest.raises(ExceptionGroup) as caught:
        await serve(lifespan(behaviour))

    assert caught.group_contains(RuntimeError, match="did not start: no database")


async def test_lifespan_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end waits for the application, but not for ever."""
    monkeypatch.setattr(_serve, "SHUTDOWN_TIMEOUT", 0.05)
    cancelled: list[bool] = []

    async def behaviour(receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(True)

    async with serving(lifespan(behaviour)):
        assert cancelled == []

    assert cancelled == [True]


async def test_lifespan_cancelled_while_starting() -> None:
    """A server that is cancelled before it started does not wait for the start."""

    async def behaviour(receive: Receive, send: Send) -> None:
        task_group.cancel_scope.cancel()
        await anyio.sleep_forever()

    with anyio.fail_after(4):
        async with anyio.create_task_group() as task_group:
            await serve(lifespan(behaviour))
