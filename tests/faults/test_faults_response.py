"""F13 to F46 over sockets: what an EventSource makes of a first response, on every shell."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from sse_core import (
    Disconnected,
    EventTooLarge,
    ProtocolError,
    ResponseError,
    ServerSentEvent,
    TransportError,
)
from tests.support.log_server import STOP
from tests.support.scripted_server import HEAD, Script, ScriptedServer, chunked, chunks
from tests.support.shells import Shell, on_every_shell
from tests.support.sources import AllItems, quick_source
from tests.support.tls import CLIENT, SERVER

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
A = b"data: a\n\n"
[CHUNK] = chunks([A])
EVENT = ServerSentEvent("a")

LIMIT = 2**20


class Final(NamedTuple):
    """No further request: this is raised."""

    error: type[Exception]


class Reconnect(NamedTuple):
    """Another attempt, because of this; None is a clean end."""

    error: type[Exception] | None


STOPS = "stops"


def status(code: int, fields: bytes = b"", body: bytes = A) -> bytes:
    head = b"HTTP/1.1 %d X\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n"
    return head % (code, len(body)) + fields + b"\r\n" + body


def typed(fields: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" + fields + b"\r\n" + A


CASES: list[tuple[str, bytes, int, Any]] = [
    # number, response, events of it, outcome
    ("F13 no byte", b"", 0, Reconnect(TransportError)),
    ("F13 half a head", HEAD, 0, Reconnect(TransportError)),
    ("F15 garbage", b"garbage\r\n\r\n", 0, Final(ProtocolError)),
    ("F15 ICY", b"ICY 200 OK\r\n\r\n", 0, Final(ProtocolError)),
    ("F15 HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, Final(ProtocolError)),
    ("F15 two spaces", HEAD.replace(b" 200", b"  200") + b"\r\n", 0, Final(ProtocolError)),
    ("F15 status 99", HEAD.replace(b"200", b"99") + b"\r\n", 0, Final(ProtocolError)),
    ("F15 status 1000", HEAD.replace(b"200", b"1000") + b"\r\n", 0, Final(ProtocolError)),
    ("F16 field", HEAD + b"X: %b\r\n\r\n" % (b"x" * 70_000), 0, Final(ProtocolError)),
    ("F16 fields", HEAD + b"X: y\r\n" * 130 + b"\r\n", 0, Final(ProtocolError)),
    ("F16 ninth 1xx", b"HTTP/1.1 100 C\r\n\r\n" * 9 + CHUNKED, 0, Final(ProtocolError)),
    ("F17 folded", HEAD + b"X: y\r\n z\r\n\r\n", 0, Final(ProtocolError)),
    ("F17 NUL", HEAD + b"X: \0\r\n\r\n", 0, Final(ProtocolError)),
    ("F17 CR", HEAD + b"X: a\rb\r\n\r\n", 0, Final(ProtocolError)),
    ("F17 space", HEAD + b"X : y\r\n\r\n", 0, Final(ProtocolError)),
    ("F17 lengths", HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 0,
     Final(ProtocolError)),
    ("F17 +3", HEAD + b"Content-Length: +3\r\n\r\n", 0, Final(ProtocolError)),
    ("F17 -1", HEAD + b"Content-Length: -1\r\n\r\n", 0, Final(ProtocolError)),
    ("F17 5000 digits", HEAD + b"Content-Length: %b\r\n\r\n" % (b"9" * 5000), 0,
     Final(ProtocolError)),
    ("F18 both", HEAD + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
     Final(ProtocolError)),
    ("F18 HTTP/1.0", CHUNKED.replace(b"1.1", b"1.0"), 0, Final(ProtocolError)),
    ("F18 gzip", HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 0, Final(ProtocolError)),
    ("F19 1xx", b"".join(b"HTTP/1.1 %d X\r\n\r\n" % code for code in (100, 102, 103)) + status(200),
     1, Reconnect(None)),
    ("F20 101", b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 0,
     Final(ProtocolError)),
    ("F21 HTTP/1.0", b"HTTP/1.0 200\r\ncontent-type: text/event-stream\r\n\r\n" + A, 1,
     Reconnect(None)),
    ("F22 999", status(999), 0, Final(ResponseError)),
    ("F22 299", status(299), 0, Final(ResponseError)),
    ("F22 210", status(210), 0, Final(ResponseError)),
    ("F23 204 with a body", status(204), 0, STOPS),
    ("F23 304 with a body", status(304), 0, Final(ResponseError)),
    ("F23 two responses", status(200) + status(200), 1, Reconnect(None)),
    ("F24 last valid one", typed(b"Content-Type: text/html\r\nContent-Type: text/event-stream\r\n"),
     1, Reconnect(None)),
    ("F24 none valid", typed(b"Content-Type: \r\nContent-Type: x\r\n"), 0, Final(ResponseError)),
    ("F24 NUL", typed(b"Content-Type: text/event-stream\0\r\n"), 0, Final(ProtocolError)),
    ("F24 long", typed(b"Content-Type: text/event-stream%b\r\n" % (b"x" * 9000)), 0,
     Final(ResponseError)),
    ("F25 204", STOP, 0, STOPS),
    *[(f"F26 {code}", status(code), 0, Final(ResponseError))
      for code in (205, 206, 400, 401, 403, 404, 408, 410, 501, 505)],
    *[(f"F27 {code} at first", status(code), 0, Final(ResponseError))
      for code in (429, 500, 502, 503, 504)],
    ("F28 HTML", typed(b"Content-Type: text/html\r\n"), 0, Final(ResponseError)),
    ("F28 JSON", typed(b"Content-Type: application/json\r\n"), 0, Final(ResponseError)),
    ("F28 no type", typed(b""), 0, Final(ResponseError)),
    ("F29 charset", typed(b"Content-Type: text/event-stream;charset=latin1\r\n"), 1,
     Reconnect(None)),
    ("F30 gzip", status(200, b"Content-Encoding: gzip\r\n"), 0, Final(ResponseError)),
    ("F31 large body", b"HTTP/1.1 401 X\r\n\r\n" + b"x" * LIMIT, 0, Final(ResponseError)),
    ("F38 clean end", CHUNKED + CHUNK + b"0\r\n\r\n", 1, Reconnect(None)),
    ("F39 after the end", status(200) + A + b"\0", 1, Reconnect(None)),
    *[(f"F40 {rest!r}", CHUNKED + CHUNK + rest, 1, Reconnect(ProtocolError))
      for rest in (b"x\r\n", b"1\r\nab\r\n", b"0x3\r\nabc\r\n", b"3_0\r\n",
                   b"0" * 21 + b"1\r\na\r\n", b"-1\r\n")],
    ("F41 trailers", CHUNKED + CHUNK + b"0\r\nX: y\r\n\r\n", 1, Reconnect(None)),
    ("F41 huge trailers", CHUNKED + CHUNK + b"0\r\nX: " + b"y" * 20_000, 1,
     Final(ProtocolError)),
    ("F41 extensions", CHUNKED + CHUNK + b"9;%b\r\n" % (b"x" * 20_000) + A, 1,
     Final(ProtocolError)),
    ("F45 event too large", CHUNKED + CHUNK + b"fffffff\r\ndata: " + b"x" * (LIMIT + 1), 1,
     Final(EventTooLarge)),
    ("F45 many lines", CHUNKED + CHUNK + b"fffffff\r\n" + b"data\n" * 40_000, 1,
     Final(EventTooLarge)),
    ("F46 half a character", CHUNKED + CHUNK + b"8\r\ndata: \xe3\x81", 1,
     Reconnect(TransportError)),
]  # fmt: skip


# One of each outcome: TLS changes nothing of what a response means.
OVER_TLS = ["F13 no byte", "F15 garbage", "F19 1xx", "F25 204", "F26 401", "F38 clean end",
            "F41 extensions", "F45 event too large", "F46 half a character"]  # fmt: skip


def outcome_of(data: bytes, shell: Shell, *, tls: bool) -> tuple[list[Any], Any, bool]:
    """Return all items, what was raised, and whether there was another attempt."""
    first, second = Script([data], "unwrap" if tls else "close"), chunked([b"data: next\n\n"])
    with ScriptedServer(
        first, second, Script([STOP]), ssl_context=SERVER if tls else None
    ) as server:
        source = quick_source(shell, server.url, ssl_context=CLIENT, max_event_size=LIMIT)
        _, items, error = shell.collect(AllItems(source))
    return items, error, second.opened.is_set()


@pytest.mark.sweep(quick=71)
@on_every_shell
@pytest.mark.parametrize(
    ("data", "came", "outcome"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_response(data: bytes, came: int, outcome: Any, shell: Shell) -> None:
    """Final, another attempt, or a stop; the events before it have come, and nothing else."""
    items, error, again = outcome_of(data, shell, tls=False)

    events = [item for item in items if isinstance(item, ServerSentEvent)]
    faults = [item.error for item in items if isinstance(item, Disconnected)]
    assert [EVENT] * came == events[:came]
    if isinstance(outcome, Reconnect):
        assert ([ServerSentEvent("next")], None) == (events[came:], error)
        assert outcome.error is (None if faults[0] is None else type(faults[0]))
    else:
        assert [] == events[came:]
        assert (None if outcome is STOPS else outcome.error) == (error and type(error))
        assert not again


@on_every_shell
@pytest.mark.parametrize("name", OVER_TLS)
def test_response_over_tls(name: str, shell: Shell) -> None:
    """The same as without TLS, item by item."""
    [data] = [case[1] for case in CASES if case[0] == name]

    plain, tls = (outcome_of(data, shell, tls=tls) for tls in (False, True))

    kinds = [[type(item).__name__ for item in items] for items, _, _ in (plain, tls)]
    assert kinds[0] == kinds[1]
    assert (type(plain[1]), plain[2]) == (type(tls[1]), tls[2])


@pytest.mark.sweep(quick=20)
@on_every_shell
@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("after", ["0", "Thu, 01 Jan 1970 00:00:00 GMT", "-1", "garbage"])
def test_f27_transient_on_a_reconnect(code: int, after: str, shell: Shell) -> None:
    """After a stream they lead to another attempt; Retry-After makes no wait shorter."""
    busy = Script([status(code, b"Retry-After: %b\r\n" % after.encode())])
    with ScriptedServer(chunked([A]), busy, chunked([A]), Script([STOP])) as server:
        _, items, error = shell.collect(AllItems(quick_source(shell, server.url)))

    faults = [item for item in items if isinstance(item, Disconnected)]
    assert (2, None) == (len([item for item in items if item == EVENT]), error)
    assert [type(None), ResponseError, type(None)] == [type(fault.error) for fault in faults]
    assert [0.0, 0.0, 0.0] == [fault.delay for fault in faults]
