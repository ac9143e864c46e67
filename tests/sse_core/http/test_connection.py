"""One exchange without I/O: bytes in, events out, however the bytes are cut."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_core import (
    Comment,
    Connection,
    EventTooLarge,
    Headers,
    ProtocolError,
    ReadTimeout,
    Request,
    Response,
    ResponseError,
    ServerSentEvent,
    SSEError,
    TransportError,
)

OK = b"HTTP/1.1 200 OK\r\n"
TYPE = b"Content-Type: text/event-stream\r\n"
HEAD = OK + TYPE
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

STREAM = b"id: 1\ndata: a\n\n: c\r\n\r\ndata: \xe3\x81\xa6\r\n\r\ndata\r\rdata: cut"
EVENTS = [
    ServerSentEvent("a", id="1"),
    ServerSentEvent("て", id="1"),
    ServerSentEvent("", id="1"),
]


def chunked(*pieces: bytes) -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


FRAMINGS = {
    "chunked": chunked(STREAM[:9], STREAM[9:30], STREAM[30:]) + LAST_CHUNK,
    "length": HEAD + b"Content-Length: %d\r\n\r\n" % len(STREAM) + STREAM,
    "closed": HEAD + b"\r\n" + STREAM,
}
# How each ends when all bytes are there.
ENDS = {"chunked": "complete", "length": "complete", "closed": "closed"}

Outcome = tuple[list[Any], "str | type[SSEError] | None"]


def receive(pieces: Iterable[bytes], method: str = "GET", **options: Any) -> Outcome:
    """Return the events of a response in pieces, and how it ended or what was raised."""
    connection: Connection[Any] = Connection(Request("http://h", method), **options)
    connection.data_to_send()
    events: list[Any] = []
    try:
        for piece in pieces:
            events += connection.receive_data(piece)
            if connection.failed:
                assert [] == connection.receive_data(b"")
    except SSEError as exc:
        assert connection.ended
        return events, type(exc)
    assert connection.ended is (connection.end is not None)
    return events, connection.end


def failure(pieces: Iterable[bytes]) -> SSEError:
    """Return what a response in pieces raises before any event."""
    connection: Connection[Any] = Connection(Request("http://h"))
    connection.data_to_send()
    with pytest.raises(SSEError) as caught:
        receive_all(connection, pieces)
    return caught.value


def receive_all(connection: Connection[Any], pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        assert [] == connection.receive_data(piece)


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    for start in range(len(data)):
        yield data[start : start + 1]


def by_64_kib(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]


def by_4093_bytes(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 4093):
        yield data[start : start + 4093]


def and_eof(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield from pieces
    yield b""


Cut = Callable[[bytes], Iterator[bytes]]
by_every_cut = pytest.mark.parametrize(
    "cut", [whole, bytewise, by_64_kib, by_4093_bytes], ids=lambda cut: cut.__name__
)
in_every_framing = pytest.mark.parametrize("framing", FRAMINGS)


def test_request_bytes() -> None:
    """The request is given out once, whole."""
    connection: Connection[ServerSentEvent] = Connection(
        Request("http://h/x?y", content=b"ab", headers={"X-Key": "v"}), last_event_id="5"
    )

    assert (
        b"POST /x?y HTTP/1.1\r\nhost: h\r\naccept: text/event-stream\r\n"
        b"accept-encoding: identity\r\ncache-control: no-cache\r\nuser-agent: sse-toolkit\r\n"
        b"content-length: 2\r\nx-key: v\r\nlast-event-id: 5\r\n\r\nab"
    ) == connection.data_to_send().lower().replace(b"post", b"POST").replace(b"http/", b"HTTP/")
    assert b"" == connection.data_to_send()


@in_every_framing
@by_every_cut
def test_framing(framing: str, cut: Cut) -> None:
    """Events come in every framing, however the bytes are cut."""
    assert (EVENTS, ENDS[framing]) == receive(and_eof(cut(FRAMINGS[framing])))


@in_every_framing
def test_framing_cut_at_each_position(framing: str) -> None:
    """Two reads with any border between them give the same events."""
    data = FRAMINGS[framing]

    for position in range(len(data) + 1):
        pieces = [piece for piece in (data[:position], data[position:]) if piece]
        assert (EVENTS, ENDS[framing]) == receive(and_eof(pieces))


@given(
    sizes=st.lists(st.integers(1, 40), max_size=60),
    framing=st.sampled_from(sorted(FRAMINGS)),
)
def test_framing_in_any_reads(sizes: list[int], framing: str) -> None:
    """Neither do reads of any sizes change anything."""
    data, pieces = FRAMINGS[framing], []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]

    assert (EVENTS, ENDS[framing]) == receive(and_eof(piece for piece in [*pieces, data] if piece))


@in_every_framing
def test_events_come_at_once(framing: str) -> None:
    """An event is there with the byte that completes it."""
    connection: Connection[ServerSentEvent] = Connection(Request("http://h"))
    connection.data_to_send()
    data = chunked(STREAM) if framing == "chunked" else FRAMINGS[framing]
    end = data.index(b"data: a\n\n") + len(b"data: a\n\n")

    assert [] == connection.receive_data(data[: end - 1])
    assert EVENTS[:1] == connection.receive_data(data[end - 1 : end])


def test_response_is_there_with_the_head() -> None:
    """Status and headers are known before the body."""
    connection: Connection[ServerSentEvent] = Connection(Request("http://h"))

    connection.data_to_send()
    connection.receive_data(b"HTTP/1.0 200 Fine\r\nX: y\r\n")
    assert connection.response is None
    assert not connection.answered
    connection.receive_data(TYPE + b"\r\n")

    assert connection.answered
    response = connection.response
    assert (200, "y", "1.0", "Fine") == (
        response.status,
        response.headers["x"],
        response.http_version,
        response.reason,
    )


@by_every_cut
def test_http_1_0(cut: Cut) -> None:
    """HTTP/1.0 ends by its close; field names in any case, and no reason phrase."""
    data = b"HTTP/1.0 200\r\ncontent-TYPE: text/event-stream\r\n\r\ndata: x\n\n"

    assert ([ServerSentEvent("x")], "closed") == receive(and_eof(cut(data)))


@by_every_cut
def test_eight_informational_responses(cut: Cut) -> None:
    """100, 102 and 103 come before the response: eight at most."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + 6 * early

    assert (EVENTS, "complete") == receive(cut(data + FRAMINGS["chunked"]))
    assert ([], ProtocolError) == receive(cut(data + early + FRAMINGS["chunked"]))


@by_every_cut
@pytest.mark.parametrize("headers", [None, {"Upgrade": "x", "Connection": "Upgrade"}])
def test_101(cut: Cut, headers: Any) -> None:
    """Another protocol is no event stream, asked for or not."""
    connection: Connection[Any] = Connection(Request("http://h", headers=headers))
    connection.data_to_send()

    with pytest.raises(ProtocolError):
        receive_all(connection, cut(b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: x\r\n\r\n"))


@pytest.mark.parametrize("fields", [b"", TYPE, b"Content-Type: text/html\r\nContent-Length: 9\r\n"])
def test_204_is_a_stream_without_events(fields: bytes) -> None:
    """204 tells the client to stop, whatever else the head says."""
    assert ([], "complete") == receive(
        whole(b"HTTP/1.1 204 No Content\r\n" + fields + b"\r\ndata: x\n\n")
    )


def test_head_request() -> None:
    """The answer to HEAD has no body."""
    assert ([], "complete") == receive(whole(HEAD + b"Content-Length: 9\r\n\r\n"), "HEAD")


@by_every_cut
@pytest.mark.parametrize(
    "status",
    [*(201, 203, 205, 206, 210, 299, 300, 301, 304, 305, 306, 307, 400, 401, 403, 404, 409, 410),
     *(422, 429, 500, 501, 502, 503, 504, 599, 999)],
)  # fmt: skip
def test_status(status: int, cut: Cut) -> None:
    """Only 200 is a stream: a body that looks like one is the body of an error."""
    body = b"" if status == 304 else b"data: x\n\n"
    data = b"HTTP/1.1 %d X\r\nX: y\r\n" % status + TYPE + b"Content-Length: %d\r\n\r\n" % len(body)

    error = failure(cut(data + body))

    assert isinstance(error, ResponseError)
    assert (status, "y", body) == (error.response.status, error.response.headers["X"], error.body)
    assert f"expected an event stream, got {status} text/event-stream" == str(error)


@pytest.mark.parametrize(
    "value",
    [
        b"TEXT/Event-Stream; charset=UTF-8",
        b"text/event-stream;",
        b"text/event-stream ;x=y",
        b"text/event-stream;charset=windows-1252",
        b"text/html\r\nContent-Type: text/event-stream",
        b"text/event-stream\r\nContent-Type: bogus",
    ],
)
def test_content_type_of_a_stream(value: bytes) -> None:
    """The essence of the last valid content type counts; the body is UTF-8 always."""
    data = OK + b"Content-Type: " + value + b"\r\n\r\ndata: \xe3\x81\xa6\n\n"

    assert ([ServerSentEvent("て")], "closed") == receive([data, b""])


@by_every_cut
@pytest.mark.parametrize(
    ("field", "got"),
    [
        (b"Content-Type: text/event-stream-x\r\n", "text/event-stream-x"),
        (b"Content-Type: text/event\r\n", "text/event"),
        (b"Content-Type: application/json\r\n", "application/json"),
        (b"Content-Type: text/event-stream\r\nContent-Type: text/html\r\n", "text/html"),
        (b"Content-Type: x bogus\r\n", "without a content type"),
        (b"Content-Type:\r\n", "without a content type"),
        (b"", "without a content type"),
    ],
)
def test_no_content_type_of_a_stream(field: bytes, got: str, cut: Cut) -> None:
    """200 with another content type, or none, is an error with its body."""
    error = failure(and_eof(cut(OK + field + b'\r\n{"error": 1}')))

    assert isinstance(error, ResponseError)
    assert b'{"error": 1}' == error.body
    assert f"expected an event stream, got 200 {got}" == str(error)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"x-gzip", b"br", b"GZIP, gzip", b"\x01"])
def test_coded_body(coding: bytes) -> None:
    """A coded body is refused by its head, and the error names the coding."""
    data = HEAD + b"Content-Encoding: " + coding + b"\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"
    error = failure(whole(data))

    assert isinstance(error, ResponseError)
    assert b"\x1f\x8b\x08" == error.body
    assert str(error).endswith(f"coded as {coding.decode()!r}")


@pytest.mark.parametrize("coding", [b"identity", b"IDENTITY", b""])
def test_no_coding(coding: bytes) -> None:
    """The identity, or nothing, is no coding."""
    data = HEAD + b"Content-Encoding: " + coding + b"\r\n\r\ndata: x\n\n"

    assert ([ServerSentEvent("x")], "closed") == receive([data, b""])


ERROR = b"HTTP/1.1 401 No\r\nContent-Type: text/plain\r\n"


@pytest.mark.sweep(quick=4)
@by_every_cut
@pytest.mark.parametrize("size", [65535, 65536, 65537, 200_000])
def test_error_body_is_bounded(size: int, cut: Cut) -> None:
    """The first 64 KiB of an error's body are kept, and no more is waited for."""
    head = ERROR + b"Content-Length: %d\r\n\r\n" % size
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    error = failure(cut(head + body))

    assert isinstance(error, ResponseError)
    assert body[:65536] == error.body


@by_every_cut
@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 99\r\n\r\nnope",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nnope\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\nnope",
    ],
)
def test_error_body_cut_short(rest: bytes, cut: Cut) -> None:
    """It stays the error that it is, with what had come."""
    error = failure(and_eof(cut(ERROR + rest)))

    assert isinstance(error, ResponseError)
    assert b"nope" == error.body


@by_every_cut
@pytest.mark.parametrize(
    "rest", [b"x\r\n", b"1;" + 40_000 * b"x" + b"\r\n"], ids=["broken", "overhead"]
)
def test_error_body_in_broken_framing(rest: bytes, cut: Cut) -> None:
    """Neither does broken framing hide an error."""
    error = failure(cut(ERROR + b"Transfer-Encoding: chunked\r\n\r\n4\r\nnope\r\n" + rest))

    assert isinstance(error, ResponseError)
    assert b"nope" == error.body


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_cut_at_each_byte(framing: str) -> None:
    """A cut body: first the complete events, each once, then TransportError."""
    data = FRAMINGS[framing]
    head = data.index(b"\r\n\r\n") + 4
    seen = set()

    for position in range(head, len(data)):
        by_bytes = receive(and_eof(bytewise(data[:position])))
        at_once = receive(and_eof(whole(data[:position])))
        assert by_bytes == at_once
        events, end = at_once
        assert TransportError is end
        assert EVENTS[: len(events)] == events
        seen.add(len(events))
    assert {0, 1, 2, 3} == seen


def test_closed_at_each_byte() -> None:
    """Where closing is the framing, any close is an end."""
    data = FRAMINGS["closed"]
    head = data.index(b"\r\n\r\n") + 4

    for position in range(head, len(data) + 1):
        events, end = receive(and_eof(whole(data[:position])))
        assert "closed" == end
        assert EVENTS[: len(events)] == events


@in_every_framing
def test_cut_in_the_head(framing: str) -> None:
    """A head cut at any byte is a TransportError that says so."""
    head = FRAMINGS[framing].partition(b"\r\n\r\n")[0] + b"\r\n\r"

    for position in range(len(head) + 1):
        for cut in (whole, bytewise):
            pieces = [piece for piece in cut(head[:position]) if piece]
            error = failure(and_eof(pieces))
            assert isinstance(error, TransportError)
            assert str(error).endswith("before the end of the response head")


@by_every_cut
@pytest.mark.parametrize(
    "head",
    [
        b"garbage\r\n\r\n",
        b"\r\n\r\n",
        b"\0" * 20,
        b"ICY 200 OK\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"HTTP/1.1 99 X\r\n\r\n",
        b"HTTP/1.1 099 X\r\n\r\n",
        b"HTTP/1.1 1000 X\r\n\r\n",
        b"HTTP/1.1 2x0 X\r\n\r\n",
        HEAD + b" folded\r\n\r\n",
        HEAD + b"X: y\r\n\tfolded\r\n\r\n",
        b"HTTP/1.1 100 C\r\nX: y\r\n folded\r\n\r\n",
        b"HTTP/1.1 103 E\r\n\r\n" + HEAD + b" folded\r\n\r\n",
        HEAD + b"X: a\0b\r\n\r\n",
        HEAD + b"X: a\rb\r\n\r\n",
        HEAD + b"X : y\r\n\r\n",
        HEAD + b": y\r\n\r\n",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"Content-Length: +3\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: \r\n\r\n",
        HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n" + TYPE + b"Transfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    ],
    ids=lambda head: ascii(head.decode("latin-1"))[-60:-1],
)
def test_head_that_is_not_http(head: bytes, cut: Cut) -> None:
    """A head that breaks HTTP/1.1, or that two readers may read in two ways, is refused."""
    assert ([], ProtocolError) == receive(cut(head + b"data: x\n\n"))


@by_every_cut
@pytest.mark.parametrize(
    "start",
    [
        b"220 mail ESMTP\r\n",
        b"HTTP/1.1 103 E\r\n\r\n220 mail",
        b"SSH-2.0-x\r\n",
        b"HTTP/2",
        b"\x16",
    ],
)
def test_peer_that_speaks_something_else(start: bytes, cut: Cut) -> None:
    """It is known by its first bytes, without waiting for the end of a head."""
    assert ([], ProtocolError) == receive(cut(start))


def test_line_feeds_alone_end_lines_of_a_head() -> None:
    """A recipient may take a line feed for the end of a line (RFC 9112, 2.2)."""
    data = HEAD.replace(b"\r\n", b"\n") + b"\ndata: x\n\n"

    assert ([ServerSentEvent("x")], "closed") == receive([data, b""])


def test_what_the_peer_sent_is_escaped() -> None:
    """No control character of the peer gets into a message, and not more than a line of it."""
    error = failure(whole(b"HTTP/1.1 200 OK\r\n\x1b[31m" + b"x" * 5000 + b"\r\n\r\n"))

    assert str(error).isprintable()
    assert len(str(error)) < 300


def head_of(size: int) -> bytes:
    """Return a head of that many bytes, in three fields."""
    rest = size - len(HEAD + b"A: \r\nB: \r\n\r\n")
    return HEAD + b"A: " + rest // 2 * b"x" + b"\r\nB: " + (rest - rest // 2) * b"x" + b"\r\n\r\n"


@by_every_cut
def test_largest_head(cut: Cut) -> None:
    """A head of 64 KiB is read."""
    assert ([ServerSentEvent("x")], "closed") == receive(
        and_eof(cut(head_of(65536) + b"data: x\n\n"))
    )


@pytest.mark.sweep(quick=5)
@by_every_cut
@pytest.mark.parametrize(
    "head",
    [
        head_of(65537),
        head_of(10_000_000),
        b"HTTP/1.1 100 " + head_of(65537)[13:],
        HEAD + b"A: " + 70_000 * b"x",
        b"x" * 70_000,
    ],
    ids=["one byte more", "10 MB", "informational", "without end", "no line"],
)
def test_head_that_is_too_large(head: bytes, cut: Cut) -> None:
    """One byte more is refused, whether its end has come or not; so is 10 MB in one call."""
    if cut is bytewise:
        head = head[:70_000]

    assert ([], ProtocolError) == receive(cut(head))


@by_every_cut
def test_each_head_has_its_own_limit(cut: Cut) -> None:
    """Informational responses do not use up the limit of the response."""
    early = b"HTTP/1.1 103 E\r\nX: " + 60_000 * b"x" + b"\r\n\r\n"

    assert ([ServerSentEvent("x")], "closed") == receive(
        and_eof(cut(early + head_of(65536) + b"data: x\n\n"))
    )


@by_every_cut
@pytest.mark.parametrize(
    ("fields", "outcome"), [(127, ([ServerSentEvent("x")], "closed")), (128, ([], ProtocolError))]
)
def test_number_of_fields(fields: int, outcome: Outcome, cut: Cut) -> None:
    """A head has 128 fields at most."""
    data = HEAD + b"a: b\r\n" * fields + b"\r\ndata: x\n\n"

    assert outcome == receive(and_eof(cut(data)))


@by_every_cut
@pytest.mark.parametrize(
    "rest",
    [
        b"x\r\n",
        b"0x3\r\nabc\r\n",
        b"3_0\r\n",
        b"-1\r\n",
        b"+3\r\nabc\r\n",
        b"\r\n",
        b" 3\r\nabc\r\n",
        b"0" * 21 + b"3\r\nabc\r\n",
        b"f" * 21 + b"\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\rabc\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nA: \0\r\n\r\n",
    ],
)
def test_broken_framing(rest: bytes, cut: Cut) -> None:
    """Broken framing is a ProtocolError, behind the events that came before it."""
    before = b"data: x\n\n"

    events, end = receive(cut(chunked(before) + rest))

    assert ProtocolError is end
    assert [ServerSentEvent("x")] == events


def test_one_read_with_events_and_a_failure() -> None:
    """The events come first; the next call raises, and needs no bytes."""
    connection: Connection[ServerSentEvent] = Connection(Request("http://h"))
    connection.data_to_send()

    assert [ServerSentEvent("x")] == connection.receive_data(chunked(b"data: x\n\n") + b"?\r\n")
    assert connection.failed
    assert not connection.ended
    with pytest.raises(ProtocolError):
        connection.receive_data(b"")
    assert connection.ended
    with pytest.raises(ProtocolError):
        connection.receive_data(b"data: y\n\n")


@pytest.mark.sweep(quick=3)
@by_every_cut
@pytest.mark.parametrize("name", ["chunk", "extension", "trailers"])
def test_overhead(name: str, cut: Cut) -> None:
    """Extensions and trailers have 16 KiB of their own; one byte more is refused."""
    before, after = chunked(b"data: x\n\n"), b"9\r\ndata: y\n\n\r\n" + LAST_CHUNK
    # A chunk's framing has 20 bytes free of charge.
    room = 16 * 1024 + 20
    if name == "extension":
        fits = before + b"9;" + (room - 6) * b"x" + after[1:]
        too_large = before + b"9;" + (room - 5) * b"x" + after[1:]
    elif name == "trailers":
        trailers = b"\r\n0\r\nA: " + (room - 12) * b"x"
        fits = before + after[:-7] + trailers + b"\r\n\r\n"
        too_large = before + after[:-7] + trailers + b"x\r\n\r\n"
    else:
        # Each of these has an overhead of four bytes.
        chunk = b"1;" + 18 * b"x" + b"\r\n:\r\n"
        fits = before + b"1;" + 14 * b"x" + b"\r\n\n\r\n" + 4096 * chunk + b"1\r\n\n\r\n" + after
        too_large = fits.replace(b"1\r\n\n\r\n" + after, chunk + after)

    assert (["x", "y"], "complete") == data_of(receive(cut(fits)))
    assert ["x"] == data_of(receive(cut(too_large)))[0][:1]
    assert ProtocolError is receive(cut(too_large))[1]


def data_of(outcome: Outcome) -> tuple[list[str], Any]:
    events, end = outcome
    return [event.data for event in events], end


@by_every_cut
def test_overhead_cannot_be_saved_up(cut: Cut) -> None:
    """Plain chunks give nothing away to later ones."""
    plain = chunked(*bytewise(b"data: x\n\n" * 300))

    events, end = receive(cut(plain + b"1;" + 17_000 * b"x" + b"\r\n:\r\n"))

    assert (300, ProtocolError) == (len(events), end)


@by_every_cut
def test_flood_without_line_end(cut: Cut) -> None:
    """A chunk head or a trailer that never ends is refused before it is complete."""
    for start in (b"1;", b"0\r\nA: "):
        events, end = receive(cut(chunked(b"data: x\n\n") + start + 20_000 * b"x"))
        assert ([ServerSentEvent("x")], ProtocolError) == (events, end)


@pytest.mark.sweep(quick=2)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 4096, 65536])
def test_a_long_body_in_one_byte_chunks(size: int) -> None:
    """Plain chunks are no overhead, also where every read ends behind a chunk's head."""
    data = chunked(*bytewise(b"data: x\n\n" * 1000)) + LAST_CHUNK
    first = [data[: len(CHUNKED) + 3]]
    rest = data[len(first[0]) :]

    outcome = receive([*first, *(rest[i : i + size] for i in range(0, len(rest), size))])

    assert (1000 * ["x"], "complete") == data_of(outcome)


def test_extensions_and_trailers_are_ignored() -> None:
    """What they say is nothing to us."""
    data = CHUNKED + b'9;a="b"\r\ndata: x\n\n\r\n000\r\nX: y\r\n\r\n'

    assert ([ServerSentEvent("x")], "complete") == receive(whole(data))


@pytest.mark.parametrize("framing", ["chunked", "length"])
@by_every_cut
def test_bytes_after_the_end(framing: str, cut: Cut) -> None:
    """What follows a complete body is not looked at."""
    after = b"HTTP/1.1 500 X\r\n\r\ndata: y\n\n\0"

    assert (EVENTS, "complete") == receive(and_eof(cut(FRAMINGS[framing] + after)))


@pytest.mark.parametrize("framing", FRAMINGS)
@by_every_cut
def test_event_too_large(framing: str, cut: Cut) -> None:
    """The parser's limit holds, behind the events that came before it."""
    stream = b"data: x\n\ndata: " + b"y" * 50
    data = {
        "chunked": chunked(stream),
        "length": HEAD + b"Content-Length: 999\r\n\r\n" + stream,
        "closed": HEAD + b"\r\n" + stream,
    }[framing]

    outcome = receive(and_eof(cut(data)), max_event_size=40)

    assert ([ServerSentEvent("x")], EventTooLarge) == outcome
    assert [ServerSentEvent("x")] == receive(cut(data), max_event_size=None)[0]


def reusable_after(pieces: Iterable[bytes], **options: Any) -> bool:
    """Return what a connection says of its socket after a response in pieces."""
    connection: Connection[Any] = Connection(Request("http://h", **options))
    connection.data_to_send()
    for piece in pieces:
        try:
            connection.receive_data(piece)
        except SSEError:
            assert connection.ended
    return connection.reusable


REUSABLE = [
    FRAMINGS["chunked"],
    FRAMINGS["length"],
    CHUNKED + b"0;x\r\nA: b\r\n\r\n",
    HEAD + b"Content-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 100 C\r\nConnection: close\r\n\r\n" + FRAMINGS["length"],
    b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    FRAMINGS["chunked"].replace(LAST_CHUNK, chunked(b"\n" * 60_000)[len(CHUNKED) :] + LAST_CHUNK),
]


@pytest.mark.sweep(quick=4)
@by_every_cut
@pytest.mark.parametrize("data", REUSABLE, ids=range(len(REUSABLE)))
def test_reusable(data: bytes, cut: Cut) -> None:
    """After a complete body, also of an error, the socket could serve another request."""
    assert reusable_after(cut(data))
    # Not with a byte behind the end, be it the next read, nor once the peer has closed.
    assert not reusable_after(cut(data + b"\n"))
    assert not reusable_after([*cut(data), b"\n"])
    assert not reusable_after(and_eof(cut(data)))
    # Nor if one of both said that there will be no other request.
    assert not reusable_after(cut(data), headers={"Connection": "close"})
    if b"Connection" not in data:
        closing = data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        assert not reusable_after(cut(closing))


@by_every_cut
@pytest.mark.parametrize(
    "data",
    [
        FRAMINGS["closed"],
        FRAMINGS["length"].replace(b"HTTP/1.1", b"HTTP/1.0"),
        FRAMINGS["chunked"][:-1],
        FRAMINGS["length"][:-1],
        HEAD,
        b"garbage\r\n\r\n",
        chunked(b"data: x\n\n") + b"?\r\n",
        b"HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 1\r\n\r\n",
    ],
)
def test_not_reusable(data: bytes, cut: Cut) -> None:
    """Without a complete body, or framed by the close, it could not."""
    assert not reusable_after(cut(data))
    assert not reusable_after(and_eof(cut(data)))


def test_body_of_an_error_with_too_many_trailers_is_not_reusable() -> None:
    """What is beyond the limits is not complete, though the error is the news."""
    trailers = b"A: " + 20_000 * b"x" + b"\r\n\r\n"

    assert not reusable_after(whole(ERROR + CHUNKED[len(HEAD) :] + b"0\r\n" + trailers))


def test_event_too_large_needs_no_further_bytes() -> None:
    """It is known at once, so that nobody waits for a peer that has gone silent."""
    connection: Connection[ServerSentEvent] = Connection(Request("http://h"), max_event_size=5)
    connection.data_to_send()

    connection.receive_data(HEAD + b"\r\ndata: x\n\ndata: 123456")

    assert connection.failed


@by_every_cut
def test_event_too_large_comes_before_broken_framing(cut: Cut) -> None:
    """What went wrong first is raised, whatever follows in the same read."""
    data = chunked(b"data: x\n\ndata: 123456") + b"?\r\n"

    assert EventTooLarge is receive(cut(data), max_event_size=5)[1]


@in_every_framing
def test_comments(framing: str) -> None:
    """Comments come in their place when asked for."""
    events, _ = receive(and_eof(whole(FRAMINGS[framing])), comments=True)

    assert [EVENTS[0], Comment("c"), *EVENTS[1:]] == events


def test_last_event_id_is_in_force_from_the_start() -> None:
    """It goes out with the request, and events carry it until the stream sets another."""
    data = HEAD + b"\r\ndata: a\n\nid\ndata: b\n\n"

    events, _ = receive([data, b""], last_event_id="7")

    assert ["7", ""] == [event.id for event in events]


def test_transport_failure_within_an_error() -> None:
    """An answer that is an error stays the news when reading its body fails."""
    connection: Connection[ServerSentEvent] = Connection(Request("http://h"))
    connection.data_to_send()
    connection.receive_data(ERROR + b"Content-Length: 9\r\n\r\nnope")

    error = connection.transport_failed(TransportError("reset"))

    assert isinstance(error, ResponseError)
    assert b"nope" == error.body
    assert connection.ended


def test_transport_failure_within_a_stream() -> None:
    """In a stream, and before any answer, it is the news itself."""
    connection: Connection[ServerSentEvent] = Connection(Request("http://h"))
    error = TransportError("reset")

    assert error is connection.transport_failed(error)
    assert [] == connection.receive_data(HEAD)


@pytest.mark.parametrize(
    "error",
    [
        EventTooLarge(5),
        ResponseError(Response(401, Headers([(b"x", b"y")])), b"{}"),
        ProtocolError("m"),
        TransportError("m"),
        ReadTimeout("m"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled(error: SSEError) -> None:
    """As between processes, with all they carry."""
    after = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error), vars(error)) == (type(after), str(after), vars(after))


@pytest.mark.parametrize(
    "flood",
    [
        HEAD + b"A: ",
        HEAD + b"a: b\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
        CHUNKED + b"1;",
        CHUNKED + b"0\r\na: b\r\n",
        ERROR + b"\r\n",
        HEAD + b"\r\ndata: ",
    ],
    ids=["field", "fields", "1xx", "extension", "trailers", "error body", "line"],
)
def test_memory_under_floods(flood: bytes) -> None:
    """64 MiB of anything ends in an error, and never takes more than its limit."""
    unit = flood.rpartition(b"\r\n")[2] or flood[-6:]
    if flood.startswith(b"HTTP/1.1 100"):
        unit = flood
    piece = unit * (1 + 65536 // len(unit))
    connection: Connection[Any] = Connection(Request("http://h"), max_event_size=2**20)
    connection.data_to_send()

    tracemalloc.start()
    try:
        with pytest.raises(SSEError):
            receive_all(connection, chain([flood], repeat(piece, 2**26 // len(piece))))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * 2**20 + 65536
