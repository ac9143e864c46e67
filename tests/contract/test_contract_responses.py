"""Further contract cases, H1 to H66: statuses, content types, framing, bodies, redirects.

Where a case is not here, the table in docs/conformance.md says which test holds it.
"""

from __future__ import annotations

import gzip
import socket
import threading
import tracemalloc
from typing import Any

import pytest

from sse_core import (
    Disconnected,
    Opened,
    ProtocolError,
    ResponseError,
    TooManyRedirects,
    TransportError,
)
from tests.contract.contract_cases import bytewise, event
from tests.contract.contract_server import (
    CHUNKED,
    LAST_CHUNK,
    STOP,
    Client,
    ContractServer,
    header,
    next_of,
    source_of,
)
from tests.contract.contract_server import take as take_items
from tests.support.machine import OK, Machine, status
from tests.support.scripted_server import HEAD, WAIT, Script, chunked, chunks
from tests.support.shells import Shell, on_every_shell

A, B = b"id: 1\ndata: a\n\n", b"data: b\n\n"
EVENT_A, EVENT_B = event("a", id="1"), event("b", id="1")


def answer(code: int, body: bytes = b"", **fields: str) -> Script:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items()]
    head = f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\n{''.join(lines)}\r\n"
    return Script([head.encode() + body])


def only_answer(shell: Shell, script: Script, **options: Any) -> tuple[list[Any], Any]:
    """Return events and error of a source whose first answer is final: no request follows."""
    second = Script([STOP])
    with ContractServer(script, second) as server:
        _, items, error = shell.collect(source_of(shell, server.url, **options))
    assert not second.opened.is_set()
    return items, error


# --- 4.1 Statuses and budgets ---


@on_every_shell
@pytest.mark.parametrize(
    "code",
    [*(201, 205, 206, 210, 299), *(400, 401, 403, 404, 409, 410, 422), *(429, 500, 502, 503, 504)],
)
def test_h3_h4_h5_first_answer_is_final(code: int, shell: Shell) -> None:
    """Status, headers and body are in the error; a body typed as a stream is not read as one."""
    typed = "text/event-stream" if code < 300 else "application/json"
    body = A if code < 300 else b'{"error": {"message": "no"}}'

    items, error = only_answer(shell, answer(code, body, Content_Type=typed, X_Own="1"))

    assert [] == items
    assert isinstance(error, ResponseError)
    assert (code, "1", body) == (error.response.status, error.response.headers["x-own"], error.body)


@on_every_shell
@pytest.mark.parametrize("code", [300, 304, 305, 306])
def test_h15_other_redirects(code: int, shell: Shell) -> None:
    """No redirect that could be followed, though there is a Location."""
    _, error = only_answer(shell, answer(code, Location="/events"))

    assert isinstance(error, ResponseError)
    assert code == error.response.status


def test_h6_waits_grow() -> None:
    """Event, end, 503 twice, a stream: the waits double, and the events go on."""
    client = Machine(uniform=lambda: 1.0)

    waits = [client.run(OK, A), client.run(status(503)), client.run(status(503))]
    client.run(OK, B)

    assert [3.0, 6.0, 9.0] == waits
    assert ["a", "b"] == client.data


def test_h11_five_attempts() -> None:
    """After one good connection: five failed attempts, the last of which is raised."""
    client = Machine(max_attempts=5)
    client.run(OK, A)
    for _ in range(4):
        assert 3.0 == client.run(status(503))

    with pytest.raises(ResponseError):
        client.run(status(503))
    assert 6 == len(client.requests)


# --- 4.2 Content coding ---


@pytest.mark.sweep(quick=3)
@on_every_shell
@pytest.mark.parametrize("kind", ["bomb", "damaged", "without its trailer"])
def test_h26_h27_h28_nothing_is_decompressed(kind: str, shell: Shell) -> None:
    """Refused by the header: what the body would become is never known."""
    bomb = gzip.compress(bytes(2**24))
    body = {"bomb": bomb, "damaged": bomb[:500] + b"x" * 500, "without its trailer": bomb[:-8]}
    script = answer(200, body[kind], Content_Type="text/event-stream", Content_Encoding="gzip")

    tracemalloc.start()
    try:
        items, error = only_answer(shell, script)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [] == items
    assert isinstance(error, ResponseError)
    assert "gzip" in str(error)
    assert body[kind] == error.body
    assert b"identity" == header(script, "accept-encoding")
    assert peak < 2**22


# --- 4.3 Framing and ends ---


@on_every_shell
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        HEAD + b"Connection: close\r\n\r\n",
        HEAD + b"Content-Length: %d\r\n\r\n" % len(A + B + A),
        CHUNKED,
    ],
    ids=["HTTP/1.0", "close", "length", "chunked"],
)
def test_h29_h30_each_event_at_once(head: bytes, shell: Shell) -> None:
    """The next event is not sent before the last one has been delivered."""
    client = Client()
    pieces: list[bytes | threading.Event] = [head]
    for number, stream in enumerate([A, B, A]):
        piece = chunks([stream])[0] if head is CHUNKED else stream
        pieces += [client.has_reported(number), piece]

    async def scenario(source: Any) -> list[Any]:
        items = source.items()
        assert isinstance(await next_of(items), Opened)
        found = []
        for _ in range(3):
            found.append(await next_of(items))
            client.reports()
        await source.aclose()
        return found

    with ContractServer(Script(pieces, "hold")) as server, client:
        found = shell.run(scenario, source_of(shell, server.url))

    assert [EVENT_A, EVENT_B, EVENT_A] == found


CHUNK = chunks([A])[0]

BROKEN: dict[str, tuple[list[bytes], Any, type[Exception]]] = {
    "short length": ([HEAD + b"Content-Length: 99\r\n\r\n", A], "close", TransportError),
    "no last chunk": ([CHUNKED, CHUNK], "close", TransportError),
    "cut in a chunk": ([CHUNKED, CHUNK, b"ff\r\ndata: half"], "close", TransportError),
    "reset": ([CHUNKED, CHUNK], "reset", TransportError),
    # Not a cut but nonsense: an error of its own, which leads to another attempt as well.
    "broken chunk size": ([CHUNKED, CHUNK, b"xyz\r\n"], "hold", ProtocolError),
}


@on_every_shell
@pytest.mark.parametrize("kind", BROKEN)
def test_h31_broken_body(kind: str, shell: Shell) -> None:
    """Complete events first, then the fault, then another connection."""
    pieces, end, exception = BROKEN[kind]
    client = Client()
    # Only when the event has come may the rest: a reset takes along what was not read.
    script = Script([*pieces[:2], client.has_reported(1), *pieces[2:]], end)
    again = chunked([B], "hold", last_chunk=False)

    async def scenario(source: Any) -> list[Any]:
        items = source.items()
        found = await take_items(items, 2)
        client.reports()
        found += await take_items(items, 3)
        await source.aclose()
        return found

    with ContractServer(script, again) as server, client:
        found = shell.run(scenario, source_of(shell, server.url))

    assert [EVENT_A, EVENT_B] == [found[1], found[4]]
    fault = found[2]
    assert isinstance(fault, Disconnected)
    assert exception is type(fault.error)
    assert b"1" == header(again, "last-event-id")


@on_every_shell
def test_h32_h33_broken_off_event(shell: Shell) -> None:
    """It is not dispatched, and its ID does not count."""
    scripts = [chunked([A + b"id: 9\ndata: x\n"]), chunked([b"data: x\n"]), Script([STOP])]

    with ContractServer(*scripts) as server:
        _, items, error = shell.collect(source_of(shell, server.url))

    assert ([EVENT_A], None) == (items, error)
    assert [None, b"1", b"1"] == [header(script, "last-event-id") for script in scripts]


@on_every_shell
def test_h34_carriage_returns(shell: Shell) -> None:
    """An event that ends with CR CR is there at once, without the byte that may follow."""
    script = chunked([b"data: x\r\r"], "hold", last_chunk=False)

    async def scenario(source: Any) -> Any:
        async with source:
            return await source.__anext__()

    with ContractServer(script) as server:
        assert event("x") == shell.run(scenario, source_of(shell, server.url))


LONG = b"".join(b"data: %d\n\n" % number for number in range(20_000))

CHUNKINGS = {
    "extensions": b"".join(b'%x;a="b;c"\r\n%b\r\n' % (len(x), x) for x in (A, B)) + LAST_CHUNK,
    "trailers": b"".join(chunks([A, B])) + b"0\r\nX-Trailer: data: x\r\n\r\n",
    "one byte each": b"".join(chunks(bytewise(A + B))) + LAST_CHUNK,
    "64 KiB each": b"".join(
        chunks([(A + B + LONG)[i : i + 65536] for i in range(0, len(A + B + LONG), 65536)])
    )
    + LAST_CHUNK,
}


@on_every_shell
@pytest.mark.parametrize("chunking", CHUNKINGS)
def test_h35_chunks(chunking: str, shell: Shell) -> None:
    """However the body is chunked, the events are the same."""
    script = Script([CHUNKED + CHUNKINGS[chunking]], "hold")

    with ContractServer(script, Script([STOP])) as server:
        _, items, error = shell.collect(source_of(shell, server.url))

    assert error is None
    assert [EVENT_A, EVENT_B] == items[:2]
    assert (20_000 if chunking == "64 KiB each" else 0) == len(items[2:])


@on_every_shell
@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        HEAD + b"X: " + b"x" * 2**17,
    ],
    ids=["two framings", "no HTTP", "without end"],
)
def test_h36_broken_head(head: bytes, shell: Shell) -> None:
    """A head that is no HTTP/1.1 is final, and no byte of a body is taken for an event."""
    items, error = only_answer(shell, Script([head, A], "hold"))

    assert [] == items
    assert isinstance(error, ProtocolError)


class LateServer(ContractServer):
    """Refuses connections until it is up."""

    def __init__(self, *scripts: Script) -> None:
        super().__init__(*scripts)
        self.listener.close()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))  # without listen(): who connects is refused
        self.port = self.listener.getsockname()[1]
        self._up = threading.Event()

    def up(self) -> None:
        self.listener.listen()
        self._up.set()

    def run(self) -> None:
        assert self._up.wait(WAIT)
        super().run()


@on_every_shell
def test_h37_refused_then_up(shell: Shell) -> None:
    """The first attempts are refused; when the server is up, its events come."""
    with LateServer(chunked([A], "hold", last_chunk=False)) as server:

        async def scenario(source: Any) -> list[Any]:
            items = source.items()
            found = await take_items(items, 3)
            server.up()
            found += await take_items(items, 2)
            await source.aclose()
            return found

        found = shell.run(scenario, source_of(shell, server.url, max_attempts=None))

    *refused, opened, first = found
    assert all(isinstance(fault, Disconnected) for fault in refused)
    assert all(type(fault.error) is TransportError for fault in refused)
    assert isinstance(opened, Opened)
    assert EVENT_A == first


@on_every_shell
def test_h38_refused_always(shell: Shell) -> None:
    """Three attempts: two faults on the way, the third is raised."""
    with ContractServer() as server:
        pass

    async def scenario(source: Any) -> list[Any]:
        items = source.items()
        found = await take_items(items, 2)
        with pytest.raises(TransportError) as raised:
            await next_of(items)
        return [*found, raised.value]

    found = shell.run(scenario, source_of(shell, server.url, max_attempts=3))

    assert [Disconnected, Disconnected, TransportError] == [type(item) for item in found]


def test_h39_no_storm() -> None:
    """`retry: 0` and nothing else, always: fifty waits take more than half an hour."""
    client = Machine(uniform=lambda: 0.9)

    waits = [client.run(OK, b"retry: 0\n\n") or 0.0 for _ in range(50)]

    assert sorted(waits) == waits
    assert 0.1 < waits[0] < 0.2
    assert sum(waits) > 1800


# --- 4.4 Requests with a body ---


def test_h42_post_with_a_transient_status() -> None:
    """Without ``replay`` a 503 is final for a POST, also with the option for the first attempt."""
    for at_first in (False, True):
        with pytest.raises(ResponseError):
            Machine(method="POST", transient_at_first=at_first).run(status(503))


@on_every_shell
def test_h41_post_that_is_cut(shell: Shell) -> None:
    """Without ``replay``: the event, then the cut as an error; one request."""
    script = chunked([A], last_chunk=False)

    items, error = only_answer(shell, script, content=b"{}")

    assert [EVENT_A] == items
    assert isinstance(error, TransportError)


@on_every_shell
def test_h43_post_without_a_body(shell: Shell) -> None:
    """It counts like one with a body: the iteration ends with the stream; one request."""
    assert ([EVENT_A], None) == only_answer(shell, chunked([A]), method="POST")


@on_every_shell
def test_h45_body_that_is_read_once(shell: Shell) -> None:
    """An iterator is no body at all, with or without ``replay``: a TypeError at once."""
    for replay in (False, True):
        with pytest.raises(TypeError):
            source_of(shell, "http://127.0.0.1:1/", content=iter([b"x"]), replay=replay)


# --- 4.5 Redirects ---


@on_every_shell
@pytest.mark.parametrize("code", [302, 303, 308])
def test_h46_redirect_to_a_stream(code: int, shell: Shell) -> None:
    """Followed, as 301 and 307 are."""
    scripts = [answer(code, Location="/b?c"), chunked([A]), Script([STOP])]

    with ContractServer(*scripts) as server:
        _, items, error = shell.collect(source_of(shell, server.url))

    assert ([EVENT_A], None) == (items, error)
    assert scripts[1].request.startswith(b"GET /b?c HTTP/1.1\r\n")


@on_every_shell
def test_h49_twenty_redirects(shell: Shell) -> None:
    """Twenty are followed."""
    scripts = [answer(302, Location=f"/{number}") for number in range(20)]

    with ContractServer(*scripts, chunked([A]), Script([STOP])) as server:
        _, items, error = shell.collect(source_of(shell, server.url))

    assert ([EVENT_A], None) == (items, error)


@on_every_shell
def test_h50_redirect_loop(shell: Shell) -> None:
    """A loop of two: twenty-one requests, an error, and no more."""
    scripts = [answer(302, Location=f"/{number % 2}") for number in range(23)]

    with ContractServer(*scripts) as server:
        _, items, error = shell.collect(source_of(shell, server.url, max_attempts=None))

    assert [] == items
    assert isinstance(error, TooManyRedirects)
    assert 21 == sum(script.opened.is_set() for script in scripts)


SECRETS = ["Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Trace"]


@on_every_shell
def test_h55_h59_secrets_stay_at_home(shell: Shell) -> None:
    """Moved for good to another origin: no header of the caller's goes there, then or later."""
    there = [chunked([A]), Script([STOP])]
    headers = dict.fromkeys(SECRETS, "secret") | {"User-Agent": "agent"}

    with ContractServer(*there) as other:
        first = answer(308, Location=other.url)
        with ContractServer(first) as server:
            _, items, error = shell.collect(source_of(shell, server.url, headers=headers))

    assert ([EVENT_A], None) == (items, error)
    assert 5 == first.request.count(b"secret")
    for script in there:
        assert b"secret" not in script.request
        assert b"agent" == header(script, "user-agent")
        assert f"127.0.0.1:{other.port}".encode() == header(script, "host")
    assert [None, b"1"] == [header(script, "last-event-id") for script in there]


@on_every_shell
def test_h64_redirect_with_an_endless_body(shell: Shell) -> None:
    """It is followed at once; the body is not waited for, and the connection closed."""
    head = b"HTTP/1.1 302 X\r\nLocation: /b\r\nContent-Type: text/html\r\n\r\n"
    redirect = Script([head, b"<p>moved"], "hold")
    stream = chunked([A], "hold", last_chunk=False)

    async def scenario(source: Any) -> Any:
        async with source:
            return await source.__anext__()

    with ContractServer(redirect, stream) as server:
        assert EVENT_A == shell.run(scenario, source_of(shell, server.url))
        assert redirect.closed.is_set()


@on_every_shell
def test_h65_last_event_id_goes_along(shell: Shell) -> None:
    """Through a redirect on the way to the second stream."""
    scripts = [chunked([A]), answer(302, Location="/b"), chunked([B]), Script([STOP])]

    with ContractServer(*scripts) as server:
        _, items, error = shell.collect(source_of(shell, server.url))

    assert ([EVENT_A, EVENT_B], None) == (items, error)
    assert [None, b"1", b"1", b"1"] == [header(script, "last-event-id") for script in scripts]


@on_every_shell
@pytest.mark.parametrize(
    "location",
    [b"/b\rX-Injected: 1", b"/b\0c", b"/b\x85X-Injected: 1", b"http://127.0.0.1\r\n /b"],
    ids=["CR", "NUL", "NEL and space", "folded"],
)
def test_h66_smuggled_line_break(location: bytes, shell: Shell) -> None:
    """An error: nothing follows, so nothing can have been injected."""
    head = b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"

    items, error = only_answer(shell, Script([head]))

    assert [] == items
    assert isinstance(error, ProtocolError | ResponseError)


@on_every_shell
def test_h66_coded_line_break(shell: Shell) -> None:
    """Percent-encoded, a line break is part of a path like another, and stays so."""
    scripts = [answer(302, Location="/b%0D%0AX-Injected:1"), Script([STOP])]

    with ContractServer(*scripts) as server:
        shell.collect(source_of(shell, server.url))

    assert scripts[1].request.startswith(b"GET /b%0D%0AX-Injected:1 HTTP/1.1\r\n")
    assert header(scripts[1], "x-injected") is None
