"""No key in any text: marked secrets are looked for in whatever can be printed or logged."""

from __future__ import annotations

import gc
import logging
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

import sse_core
import sse_core.sync
import sse_openai
import sse_openai.sync
from sse_core import Connection, Request, SSEError, Timeout
from sse_core._client.route import Route
from sse_core._http.proxies import Proxy, Tunnel
from sse_openai import chat_request
from tests.support.scripted_server import HEAD, WAIT, Script, ScriptedServer, chunked
from tests.support.shells import Shell, on_every_shell
from tests.support.tls import server_context

SECRET = "sk-" + "5ec" + "2e7"
"""Not in one piece in this file, as tracebacks quote the lines of it."""

CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'


@pytest.fixture(scope="module", autouse=True)
def _no_leaks() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def no_key_in_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happens in a test of this file, no log record of any level has the key."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.records:
        assert SECRET not in record.getMessage() + repr(record.args) + (record.exc_text or "")


def texts_of(value: Any) -> Iterator[str]:
    """Yield what can be seen of a value; of an exception with all that led to it."""
    seen: list[Any] = []
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if value is None or any(value is other for other in seen):
            continue
        seen.append(value)
        yield repr(value)
        yield str(value)
        yield f"{value}"
        if isinstance(value, BaseException):
            yield "".join(traceback.format_exception(value))
            waiting += [value.__cause__, value.__context__, *value.args]
            waiting += [getattr(value, name, None) for name in ("response", "completion", "event")]
            waiting += vars(value).values()


def assert_secret(value: Any) -> None:
    __tracebackhide__ = True
    for text in texts_of(value):
        assert SECRET not in text


def with_secrets(**arguments: Any) -> dict[str, Any]:
    """Return arguments of ``stream`` with the key in every place for one."""
    return {
        "headers": {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET.encode()},
        "json": {"key": SECRET},
        **arguments,
    }


def opened(shell: Shell, url: str, kind: str, **options: Any) -> Any:
    """Return a stream or a chat, not yet entered, that is full of keys."""
    if kind == "stream":
        return shell.stream(f"{url}?key={SECRET}", **with_secrets(**options))
    return shell.stream_chat(
        model="m",
        messages=[{"role": "user", "content": SECRET}],
        api_key=SECRET,
        organization=SECRET,
        headers={"X-Api-Key": SECRET},
        base_url=url,
        max_retries=0,
        user=SECRET,
        **options,
    )


STATUS = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
FAILURES = {
    "closed": Script([]),
    "reset": Script([], "reset"),
    "401": Script([STATUS % 401], "hold"),
    "500": Script([STATUS % 500], "hold"),
    "no stream": Script([STATUS % 200], "hold"),
    "no HTTP": Script([b"220 ESMTP\r\n"], "hold"),
    "no head": Script([], "hold"),
    "error cut": Script([STATUS[:-1] % 401]),
    "cut": chunked([CHUNK], last_chunk=False),
    "silence": chunked([CHUNK], "hold", last_chunk=False),
    "too large": chunked([b"data: " + bytes(17 * 2**20)], "hold"),
    "broken": Script([HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n"], "hold"),
    "error": chunked([b'data: {"error": {"message": "m"}}\n\n'], "hold"),
    "malformed": chunked([CHUNK, b"data: {\n\n"], "hold"),
    "truncated": chunked([CHUNK]),
}
# What only a chat finds fault with.
OF_THE_CHAT = {"error", "malformed", "truncated"}


@pytest.mark.sweep(quick=30)
@on_every_shell
@pytest.mark.parametrize("kind", ["stream", "chat"])
@pytest.mark.parametrize("failure", FAILURES)
def test_failures(failure: str, kind: str, shell: Shell) -> None:
    """Neither the exception with its chain, nor the stream, at any time."""
    script = Script(FAILURES[failure].pieces, FAILURES[failure].end)
    with ScriptedServer(script) as server:
        events = opened(shell, server.url, kind, timeout=Timeout(head=0.05, idle=0.05))
        assert_secret(events)
        _, items, error = shell.collect(events)

    assert (failure in OF_THE_CHAT and kind == "stream") is (error is None)
    assert SECRET.encode() in script.request
    for value in (events, error, *items, getattr(events, "completion", None)):
        assert_secret(value)


@on_every_shell
@pytest.mark.parametrize("kind", ["stream", "chat"])
def test_refused(kind: str, shell: Shell) -> None:
    """Nor when nobody is there."""
    with ScriptedServer() as server:
        pass
    events = opened(shell, server.url, kind)

    error = shell.collect(events)[2]

    assert isinstance(error, SSEError)
    assert_secret(error)


@on_every_shell
@pytest.mark.parametrize("kind", ["stream", "chat"])
def test_tls(kind: str, shell: Shell) -> None:
    """Nor when nobody can be trusted."""
    with ScriptedServer(Script([]), ssl_context=server_context(authority=trustme.CA())) as server:
        error = shell.collect(opened(shell, server.url, kind))[2]

    assert isinstance(error, SSEError)
    assert_secret(error)


OF_A_PROXY = {
    "407": Script([b"HTTP/1.1 407 X\r\nContent-Length: 9\r\n\r\n"], "hold"),
    "502": Script([b"HTTP/1.1 502 X\r\n\r\n"]),
    "closed": Script([]),
    "reset": Script([], "reset"),
    "no HTTP": Script([b"220 ESMTP\r\n"], "hold"),
    "broken": Script([b"HTTP/1.1 200 OK\r\nno field\r\n\r\n"], "hold"),
    "no answer": Script([], "hold"),
    "no TLS": Script([b"HTTP/1.1 200 OK\r\n\r\n", b"220 ESMTP\r\n"], "hold"),
}


@pytest.mark.sweep(quick=36)
@on_every_shell
@pytest.mark.parametrize("kind", ["stream", "chat", "source"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("failure", OF_A_PROXY)
def test_proxies(failure: str, scheme: str, kind: str, shell: Shell) -> None:
    """Nor a proxy's password, whatever the proxy does."""
    script = Script(OF_A_PROXY[failure].pieces, OF_A_PROXY[failure].end)
    password = b64encode(f"user:{SECRET}".encode())
    with ScriptedServer(script) as server:
        url = f"{scheme}://origin.test/"
        proxy = f"http://user:{SECRET}@127.0.0.1:{server.port}"
        silent = failure == "no answer"
        limit = Timeout(connect=0.05 if silent else WAIT, head=0.05)
        events: Any
        if kind == "source":
            source = sse_core.sync.EventSource if shell.blocking else sse_core.EventSource
            events = source(url, proxy=proxy, timeout=limit, max_attempts=1)
        else:
            events = opened(shell, url, kind, proxy=proxy, timeout=limit)
        assert_secret(events)
        error = shell.collect(events)[2]

    assert silent or b"\r\nproxy-authorization: Basic " + password in script.request
    assert isinstance(error, SSEError)
    for value in (events, error):
        assert_secret(value)
        assert not any(password.decode() in text for text in texts_of(value))


@pytest.mark.parametrize(
    "proxy", [f"socks5://user:{SECRET}@h", f"http://user:{SECRET}/@h", f"http://{SECRET}@h h"]
)
@on_every_shell
def test_proxies_that_cannot_be_used(
    shell: Shell, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor when it is asked for wrongly, by the caller or in the environment."""
    with pytest.raises(ValueError, match=r"proxy|spaces") as caught:
        shell.stream("http://origin.test", proxy=proxy)
    assert_secret(caught.value)
    monkeypatch.setenv("ALL_PROXY", proxy)

    async def scenario(events: Any) -> ValueError:
        with pytest.raises(ValueError, match="all_proxy") as caught:
            await events.__aenter__()
        return caught.value

    assert_secret(shell.run(scenario, shell.stream("http://origin.test")))


@on_every_shell
@pytest.mark.parametrize("kind", ["stream", "chat"])
def test_mistakes_of_use(kind: str, shell: Shell) -> None:
    """RuntimeErrors have nothing to hide either."""
    events = opened(shell, "http://127.0.0.1:1/", kind)

    async def scenario(events: Any) -> None:
        with pytest.raises(RuntimeError) as caught:
            await anext(events)
        assert_secret(caught.value)
        with pytest.raises(RuntimeError) as caught:
            _ = events.response
        assert_secret(caught.value)

    shell.run(scenario, events)


def test_values() -> None:
    """Requests, connections and URLs show no value that may be a key."""
    request = Request(f"http://h/?key={SECRET}", **with_secrets())
    connection: Connection[Any] = Connection(request)
    chat = chat_request(model="m", messages=[{"content": SECRET}], api_key=SECRET)

    assert SECRET.encode() in connection.data_to_send()
    proxy = Proxy.parse(f"user:{SECRET}@h")
    tunnel = Tunnel(proxy, request.url)
    assert b64encode(f"user:{SECRET}".encode()) in tunnel.data_to_send()
    values = (request, connection, chat, vars(connection), [request], repr(request.url))
    for value in (*values, proxy, [proxy], vars(tunnel), vars(Route(proxy=f"user:{SECRET}@h"))):
        assert_secret(value)


def test_response() -> None:
    """What a server sets, such as a cookie, is not shown."""
    connection: Connection[Any] = Connection(Request("http://h"))
    connection.data_to_send()
    connection.receive_data(HEAD + b"Set-Cookie: " + SECRET.encode() + b"\r\n\r\n")
    assert connection.response is not None

    for value in (connection.response, connection.response.headers, connection):
        assert_secret(value)


MISTAKEN: Any = {"a": [SECRET]}
MISTAKES: dict[str, Callable[[], Any]] = {
    "header with a line break": lambda: Request("http://h", headers={"a": f"{SECRET}\n"}),
    "header of bytes": lambda: Request("http://h", headers={"a": f"{SECRET}\0".encode()}),
    "header outside ASCII": lambda: Request("http://h", headers={"a": f"{SECRET}é"}),
    "header with a surrogate": lambda: Request("http://h", headers={"a": f"{SECRET}\ud800"}),
    "header of a list": lambda: Request("http://h", headers=MISTAKEN),
    "length": lambda: Request("http://h", headers={"Content-Length": SECRET}),
    "last event ID": lambda: Request("http://h", headers={"Last-Event-ID": SECRET}),
    "URL with a space": lambda: Request(f"http://h/?key={SECRET} "),
    "URL with a surrogate": lambda: Request(f"http://h/\ud800?key={SECRET}"),
    "URL without a host": lambda: Request(f"http:///?key={SECRET}"),
    "URL of another scheme": lambda: Request(f"ftp://h/?key={SECRET}"),
    "URL with a port too high": lambda: Request(f"http://h:99999/?key={SECRET}"),
    "URL with credentials": lambda: Request(f"http://user:{SECRET}@h/"),
    "URL with broken credentials": lambda: Request(f"http://user:{SECRET}/x@h/"),
    "URL with brackets": lambda: Request(f"http://user:{SECRET}@[::1/"),
    "URL that normalizes to another": lambda: Request(f"http://user:{SECRET}@a℀b/"),
    "content with a surrogate": lambda: Request("http://h", content=f"{SECRET}\ud800"),
    "two bodies": lambda: Request("http://h", content=SECRET, json=SECRET),
    "no JSON": lambda: Request("http://h", json={"key": SECRET, "x": object()}),
    "not a number": lambda: Request("http://h", json=[SECRET, float("nan")]),
    "key with a line break": lambda: chat_request(model="m", messages=[], api_key=f"{SECRET}\n"),
    "key outside ASCII": lambda: chat_request(model="m", messages=[], api_key=f"{SECRET}é"),
    "no stream": lambda: chat_request(model="m", messages=[], api_key=SECRET, stream=False),
    "Request and headers": lambda: sse_core.stream(Request("http://h"), headers={"a": SECRET}),
    "broken last event ID": lambda: sse_core.sync.stream("http://h", last_event_id=f"{SECRET}\n"),
    "no timeout": lambda: sse_openai.stream_chat(
        model="m", messages=[], api_key=SECRET, timeout=-1
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_in_arguments(mistake: Callable[[], Any]) -> None:
    """A key that cannot be sent is not shown in saying so."""
    with pytest.raises((ValueError, TypeError)) as caught:
        mistake()

    assert_secret(caught.value)
