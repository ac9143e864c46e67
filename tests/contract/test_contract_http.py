"""Contract cases 94 to 113: requests, redirects, reconnecting, on all three shells."""

from __future__ import annotations

from typing import Any

import pytest

import sse_core
from sse_core import Disconnected, Opened, ReadTimeout, ResponseError, Timeout
from tests.contract.contract_cases import event
from tests.contract.contract_server import (
    STOP,
    ContractServer,
    events_of,
    header,
    next_of,
    source_of,
)
from tests.contract.contract_server import take as take_items
from tests.support.scripted_server import WAIT, Script, chunked
from tests.support.shells import Shell, on_every_shell

HELLO = b"data: hello\n\n"


def redirect(status: int, *fields: str) -> Script:
    lines = [f"HTTP/1.1 {status} X", "Content-Length: 0", *fields]
    return Script(["".join(f"{line}\r\n" for line in [*lines, ""]).encode()])


def read(shell: Shell, server: ContractServer, number: int, **options: Any) -> list[Any]:
    """Return so many events of a source, which is then closed."""

    async def scenario(source: Any) -> list[Any]:
        found = await events_of(source.items(), number)
        await source.aclose()
        return found

    found: list[Any] = shell.run(scenario, source_of(shell, server.url, **options))
    return found


# --- 2.5 HTTP behaviour ---


@on_every_shell
def test_094_first_request(shell: Shell) -> None:
    """A GET for an event stream that is not cached, without a last event ID."""
    script = chunked([HELLO], "hold", last_chunk=False)

    with ContractServer(script) as server:
        read(shell, server, 1)

    assert script.request.startswith(b"GET /events HTTP/1.1\r\n")
    assert b"text/event-stream" == header(script, "accept")
    assert b"no-cache" == header(script, "cache-control")
    assert header(script, "last-event-id") is None


@on_every_shell
def test_095_no_content_stops(shell: Shell) -> None:
    """204, always: one request, and the iteration is over, now as later."""
    scripts = [Script([STOP]) for _ in range(3)]

    async def scenario(source: Any) -> list[Any]:
        ends = [await after_the_end(source) for _ in range(3)]
        return [*ends, source.state]

    with ContractServer(*scripts) as server:
        source = source_of(shell, server.url, reconnection_time=0.0)
        assert [True, True, True, "closed"] == shell.run(scenario, source)

    assert [True, False, False] == [script.opened.is_set() for script in scripts]


async def after_the_end(source: Any) -> bool:
    try:
        await source.__anext__()
    except StopAsyncIteration:
        return True
    return False


@on_every_shell
@pytest.mark.parametrize("status", [301, 307], ids=["096-301", "099-307"])
def test_096_099_redirect(status: int, shell: Shell) -> None:
    """An absolute Location is followed to the stream."""
    stream = chunked([HELLO], "hold", last_chunk=False)

    with ContractServer(stream) as there:
        with ContractServer(redirect(status, f"Location: {there.url}")) as server:
            assert [event("hello")] == read(shell, server, 1)


@on_every_shell
@pytest.mark.parametrize(
    ("status", "fields"),
    [(301, ["Location: "]), (301, []), (307, ["Location: "]), (307, [])],
    ids=["097-301-empty", "098-301-none", "100-307-empty", "101-307-none"],
)
def test_097_to_101_redirect_nowhere(status: int, fields: list[str], shell: Shell) -> None:
    """Without a Location that could be followed it is an error, for good; one request."""
    script, second = redirect(status, *fields), Script([STOP])

    with ContractServer(script, second) as server:
        _, items, error = shell.collect(source_of(shell, server.url))

    assert [] == items
    assert isinstance(error, ResponseError)
    assert status == error.response.status
    assert not second.opened.is_set()


@on_every_shell
def test_102_headers(shell: Shell) -> None:
    """Headers of the caller arrive."""
    script = chunked([HELLO], "hold", last_chunk=False)
    headers = {"header-name-1": "value-1", "header-name-2": "value-2"}

    with ContractServer(script) as server:
        read(shell, server, 1, headers=headers)

    assert b"value-1" == header(script, "header-name-1")
    assert b"value-2" == header(script, "header-name-2")


BODY = '{"hello": "world"}'
JSON = {"content-type": "application/json; charset=utf-8"}


@on_every_shell
@pytest.mark.parametrize("method", ["POST", "REPORT"], ids=["103-POST", "104-REPORT"])
def test_103_104_method_and_body(method: str, shell: Shell) -> None:
    """Method, content type and body arrive unchanged."""
    script = chunked([HELLO], "hold", last_chunk=False)

    with ContractServer(script) as server:
        read(shell, server, 1, method=method, content=BODY, headers=JSON, replay=True)

    assert_has_body(script, method)


def assert_has_body(script: Script, method: str) -> None:
    assert script.request.startswith(f"{method} /events HTTP/1.1\r\n".encode())
    assert JSON["content-type"].encode() == header(script, "content-type")
    assert BODY.encode() == script.request.partition(b"\r\n\r\n")[2]


@on_every_shell
def test_105_last_event_id(shell: Shell) -> None:
    """An ID to begin with goes out with the first request, and is that of the first events."""
    script = chunked([HELLO], "hold", last_chunk=False)

    with ContractServer(script) as server:
        found = read(shell, server, 1, last_event_id="abc")

    assert b"abc" == header(script, "last-event-id")
    assert [event("hello", id="abc")] == found


# --- 2.6 Reconnection; the caller's reconnection time is 0 ---


@on_every_shell
def test_106_restart(shell: Shell) -> None:
    """A new connection at once, and no fault is reported between the two."""
    first = chunked([b"id: 1\ndata: Hello\n\n"], "hold", last_chunk=False)
    second = chunked([b"data: Thanks\n\n"], "hold", last_chunk=False)

    async def scenario(source: Any) -> list[Any]:
        items = source.items()
        found = await take_items(items, 2)
        await source.restart()
        while len(found) < 4 or not isinstance(found[-1], sse_core.ServerSentEvent):
            found.append(await next_of(items))
        await source.aclose()
        return found

    with ContractServer(first, second) as server:
        source = source_of(shell, server.url, reconnection_time=60.0)
        found = shell.run(scenario, source)
        assert first.closed.wait(WAIT)

    assert [event("Hello", id="1"), event("Thanks", id="1")] == [
        item for item in found if not isinstance(item, Opened | Disconnected)
    ]
    assert [] == [item for item in found if isinstance(item, Disconnected) and item.error]
    assert b"1" == header(second, "last-event-id")


@on_every_shell
def test_107_reconnects_with_the_id(shell: Shell) -> None:
    """The second request has the ID, the first had none."""
    scripts = [chunked([b"id: abc\ndata: Hello\n\n"]), Script([STOP])]

    assert [event("Hello", id="abc")] == read_all(shell, scripts)
    assert [None, b"abc"] == [header(script, "last-event-id") for script in scripts]


@on_every_shell
def test_108_the_id_stays(shell: Shell) -> None:
    """An event without an ID does not take it away."""
    scripts = [chunked([b"id: abc\ndata: Hello\n\n", b"data: World\n\n"]), Script([STOP])]

    read_all(shell, scripts)

    assert b"abc" == header(scripts[1], "last-event-id")


@on_every_shell
def test_109_the_id_is_reset(shell: Shell) -> None:
    """An empty ID does: the second request has no such header at all."""
    stream = [b"id: abc\ndata: Hello\n\n", b"id: \ndata: World\n\n"]
    scripts = [chunked(stream), Script([STOP])]

    assert [event("Hello", id="abc"), event("World")] == read_all(shell, scripts)
    assert header(scripts[1], "last-event-id") is None


@on_every_shell
def test_110_method_and_body_again(shell: Shell) -> None:
    """With ``replay``, the second request is the same as the first."""
    scripts = [chunked([HELLO]), Script([STOP])]

    read_all(shell, scripts, method="POST", content=BODY, headers=JSON, replay=True)

    for script in scripts:
        assert_has_body(script, "POST")


@on_every_shell
def test_111_silence(shell: Shell) -> None:
    """Half a second of silence: the fault is reported, and a new connection made."""
    scripts = [chunked([HELLO], "hold", last_chunk=False), Script([STOP])]
    limit = 0.5

    async def scenario(source: Any) -> list[Any]:
        items = source.items()
        found = await take_items(items, 3)
        with pytest.raises(StopAsyncIteration):
            await next_of(items)
        return found

    with ContractServer(*scripts) as server:
        source = source_of(shell, server.url, timeout=Timeout(idle=limit))
        opened, hello, fault = shell.run(scenario, source)

    assert isinstance(opened, Opened)
    assert event("hello") == hello
    assert isinstance(fault, Disconnected)
    assert isinstance(fault.error, ReadTimeout)
    assert 0.0 == fault.delay
    assert scripts[1].opened.is_set()


@on_every_shell
def test_112_broken_off_event(shell: Shell) -> None:
    """What no blank line has ended is gone, its ID with it."""
    scripts = [
        chunked([b"id: abc\ndata: Hello\n\nid: def\ndata: Goodbye"]),
        chunked([b"data: We meet again\n\n"]),
        Script([STOP]),
    ]

    found = read_all(shell, scripts)

    assert [event("Hello", id="abc"), event("We meet again", id="abc")] == found
    assert b"abc" == header(scripts[1], "last-event-id")


@on_every_shell
def test_113_next_id(shell: Shell) -> None:
    """The next stream may set another ID."""
    scripts = [
        chunked([b"id: abc\ndata: Hello\n\n"]),
        chunked([b"id: def\ndata: World\n\n"]),
        Script([STOP]),
    ]

    assert [event("Hello", id="abc"), event("World", id="def")] == read_all(shell, scripts)
    assert [None, b"abc", b"def"] == [header(script, "last-event-id") for script in scripts]


def read_all(shell: Shell, scripts: list[Script], **options: Any) -> list[Any]:
    """Return every event of a source until it is told to stop; all scripts are played."""
    with ContractServer(*scripts) as server:
        _, items, error = shell.collect(source_of(shell, server.url, **options))
    assert error is None
    assert all(script.request for script in scripts)
    return items


# --- restart, beyond case 106 ---


@on_every_shell
def test_restart_counts_as_no_failure(shell: Shell) -> None:
    """Reading 15: five in a row, with a budget of one failure and a long wait; then an event."""
    scripts = [chunked([], "hold", last_chunk=False) for _ in range(5)]
    scripts.append(chunked([HELLO], "hold", last_chunk=False))

    async def scenario(source: Any) -> Any:
        items = source.items()
        for _ in range(5):
            while not isinstance(await next_of(items), Opened):
                pass
            await source.restart()
        found = await events_of(items, 1)
        await source.aclose()
        return found

    with ContractServer(*scripts) as server:
        source = source_of(shell, server.url, reconnection_time=60.0, max_attempts=1)
        assert [event("hello")] == shell.run(scenario, source)
