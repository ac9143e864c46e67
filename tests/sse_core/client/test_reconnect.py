"""EventSource's policy without sockets and without sleeping: rules C4 to C22."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from sse_core import EventTooLarge, ProtocolError, ResponseError, SSEError, TransportError
from sse_core._client.reconnection import Reconnection
from sse_core._errors import ProxyError, ReadTimeout, TLSError, TooManyRedirects
from sse_core._http.messages import Headers, Request, Response
from tests.support.machine import OK, Machine, status

# --- what a response leads to ---


def test_clean_end_reconnects() -> None:
    """C9: after an event, the wait is the reconnection time."""
    client = Machine()

    assert 3.0 == client.run(OK, b"data: a\n\n")
    assert 3.0 == client.run(OK, b"data: b\n\n")
    assert ["a", "b"] == client.data


def test_h1_204_stops() -> None:
    """C5: for good, and without an exception."""
    assert Machine().run(status(204)) is None


def test_h2_event_then_204() -> None:
    """The same on a reconnect."""
    client = Machine()

    assert 3.0 == client.run(OK, b"data: a\n\n")
    assert client.run(status(204)) is None
    assert ["a"] == client.data


@pytest.mark.parametrize("code", [205, 201, 206, 210, 299, 300, 304, 305, 400, 401, 403, 404, 410])
def test_h3_h4_h15_other_statuses_are_final(code: int) -> None:
    """C8, on the first attempt and on a later one (H8)."""
    with pytest.raises(ResponseError):
        Machine().run(status(code))
    client = Machine()
    client.run(OK, b"data: a\n\n")
    with pytest.raises(ResponseError):
        client.run(status(code))


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_h5_h6_transient_statuses(code: int) -> None:
    """C7: final at first, passing later on; and the events go on."""
    with pytest.raises(ResponseError):
        Machine().run(status(code))
    client = Machine()
    client.run(OK, b"data: a\n\n")
    assert 3.0 == client.run(status(code))
    assert 3.0 == client.run(status(code))
    client.run(OK, b"data: b\n\n")
    assert ["a", "b"] == client.data


def test_h7_501_is_final() -> None:
    """Not every 5xx passes."""
    client = Machine()
    client.run(OK, b"data: a\n\n")

    with pytest.raises(ResponseError):
        client.run(status(501))


def test_h9_transient_at_first() -> None:
    """An option: 503 leads to another attempt from the start."""
    assert 3.0 == Machine(transient_at_first=True).run(status(503))


def test_h10_no_status_transient() -> None:
    """An option: none does, ever."""
    client = Machine(transient=())
    client.run(OK, b"data: a\n\n")

    with pytest.raises(ResponseError):
        client.run(status(503))


@pytest.mark.parametrize("content_type", ["text/html", "application/json", "text/event-stream-x"])
def test_h20_other_content_types_are_final(content_type: str) -> None:
    """C8: also on a reconnect."""
    client = Machine()
    client.run(OK, b"data: a\n\n")

    with pytest.raises(ResponseError):
        client.run(status(200, f"Content-Type: {content_type}\r\n", b"x"))


@pytest.mark.parametrize("error", [TransportError("refused"), ReadTimeout("silent")])
def test_h37_network_errors_reconnect(error: SSEError) -> None:
    """C9: on the first attempt as on a later one."""
    client = Machine()

    assert 3.0 == client.run(error=error)
    assert 3.0 == client.run(OK, b"data: a\n\n")


def test_head_that_is_no_http_is_final() -> None:
    """Reading 3: it would come again."""
    with pytest.raises(ProtocolError):
        Machine().run(b"ICY 200 OK\r\n\r\n")


def test_broken_chunk_is_like_a_cut() -> None:
    """Reading 3: a body's framing that breaks is reconnected (F40)."""
    head = OK[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"

    assert 3.0 == Machine().run(head + b"9\r\ndata: a\n\n\r\n", b"zz\r\n")


def test_refused_certificate_is_final() -> None:
    """Reading 3."""
    with pytest.raises(TLSError):
        Machine().run(error=TLSError("certificate"))


@pytest.mark.parametrize("status", [302, 400, 403, 404, 407])
def test_proxy_that_refuses_is_final(status: int) -> None:
    """Reading 18: it would refuse again; nor is it a redirect of ours."""
    location = Headers([(b"Location", b"http://h/x")])

    with pytest.raises(ProxyError):
        Machine().run(error=ProxyError(Response(status, location), "h:443"))


@pytest.mark.parametrize(
    ("status", "options"),
    [(500, {}), (502, {"transient": []}), (429, {}), (403, {"transient": [403]})],
)
def test_proxy_in_trouble_is_like_the_network(status: int, options: dict[str, Any]) -> None:
    """Reading 18: C9, so that the first attempt counts as well."""
    assert 3.0 == Machine(**options).run(error=ProxyError(Response(status), "h:443"))


def test_proxy_in_trouble_and_post() -> None:
    """C2: without replay, a request is sent once even if it never arrived."""
    with pytest.raises(ProxyError):
        Machine(method="POST").run(error=ProxyError(Response(502), "h:443"))


def test_h111_event_too_large_is_final() -> None:
    """Reading 14: the same event would come again."""
    with pytest.raises(EventTooLarge):
        Machine(max_event_size=3).run(OK, b"data: four\n\n")


# --- when ---


def test_h84_back_off() -> None:
    """C12: bounds double to the ceiling, on top of the reconnection time."""
    client = Machine(uniform=lambda: 1.0)

    waits = [client.run(error=TransportError("refused")) for _ in range(8)]

    assert [6.0, 9.0, 15.0, 27.0, 51.0, 63.0, 63.0, 63.0] == waits


def test_back_off_without_end() -> None:
    """Thousands of failures: no overflow."""
    client = Machine(uniform=lambda: 1.0)

    for _ in range(3000):
        wait = client.run(error=TransportError("refused"))
    assert 63.0 == wait


def test_h85_event_resets_the_back_off() -> None:
    """Failures, an event, a failure: from the beginning."""
    client = Machine(uniform=lambda: 1.0)
    client.run(error=TransportError("refused"))
    client.run(error=TransportError("refused"))

    assert 3.0 == client.run(OK, b"data: a\n\n")
    assert 6.0 == client.run(error=TransportError("refused"))


def test_h86_healthy_time_resets_the_back_off() -> None:
    """A minute of comments is health; less is a failure, and so is an id alone."""
    client = Machine(uniform=lambda: 1.0, comments=True)
    client.run(error=TransportError("refused"))

    assert 3.0 == client.run(OK, b": hi\n\n", lasts=60.0)
    assert 6.0 == client.run(OK, b": hi\n\n", lasts=59.0)
    assert 9.0 == client.run(OK, b"id: 1\n\n")


def test_h39_accepting_and_closing_backs_off() -> None:
    """A server that says 200 and closes is not called in a tight circle."""
    client = Machine(uniform=lambda: 1.0, reconnection_time=0.0)

    assert [0.1, 0.2, 0.4, 0.8] == [client.run(OK) for _ in range(4)]


@pytest.mark.parametrize(
    ("retry", "wait"),
    [
        (b"retry: 1200\n\n", 1.2),
        (b"retry: 1200\ndata: x\n\n", 1.2),
        (b"retry: 1200\n", 1.2),
        (b"retry: 0\n\n", 0.1),
        (b"retry: 1\n\n", 0.1),
        (b"retry: 007\n\n", 0.1),
        (b"retry: 86400000\n\n", 60.0),
        (b"retry: %b\n\n" % (b"9" * 5000), 60.0),
        (b"retry: -5\n\n", 3.0),
        (b"retry: 1e3\n\n", 3.0),
        (b"retry\n\n", 3.0),
    ],
)
def test_h78_to_h83_retry(retry: bytes, wait: float) -> None:
    """C11: at once, within floor and ceiling; what is no number changes nothing."""
    assert wait == pytest.approx(Machine().run(OK, retry))


def test_retry_bounds_are_options() -> None:
    """And they bind the server's value, not the caller's own."""
    options: dict[str, Any] = {"min_reconnection_time": 2.0, "max_reconnection_time": 5.0}

    assert 2.0 == Machine(**options).run(OK, b"retry: 1\ndata: x\n\n")
    assert 5.0 == Machine(**options).run(OK, b"retry: 9000\ndata: x\n\n")
    assert 0.0 == Machine(**options, reconnection_time=0.0).run(OK, b"data: x\n\n")


def test_h87_retry_counts_during_a_back_off() -> None:
    """The next wait uses the latest value."""
    client = Machine(uniform=lambda: 1.0)
    client.run(error=TransportError("refused"))

    assert 20.0 + 40.0 == client.run(OK, b"retry: 20000\n\n")


@pytest.mark.parametrize(
    ("value", "wait"),
    [("5", 5.0), ("1", 3.0), ("-1", 3.0), ("soon", 3.0), ("3600", 60.0), ("1e3", 3.0)],
)
def test_h88_h89_retry_after(value: str, wait: float) -> None:
    """C13: it lengthens a wait, up to the ceiling, and never shortens one."""
    client = Machine()
    client.run(OK, b"data: a\n\n")

    assert wait == client.run(status(503, f"Retry-After: {value}\r\n"))


@pytest.mark.parametrize(
    ("ahead", "expected"), [(5, 5.0), (-5, 0.0), (10**7, 10.0**7)], ids=["ahead", "past", "far"]
)
def test_h88_retry_after_date(ahead: int, expected: float) -> None:
    """As an HTTP date, by the wall clock; the past is zero."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=ahead), usegmt=True)
    response = Response(503, Headers([(b"Retry-After", date.encode())]))

    assert expected == response.retry_after(now=now)


@pytest.mark.parametrize("value", ["Mon, 99 Foo 2026", "Fri, 01 Jan 99999 00:00:00 GMT", "NaN", ""])
def test_retry_after_that_is_nothing(value: str) -> None:
    """Ignored."""
    assert Response(503, Headers([(b"Retry-After", value.encode())])).retry_after() is None


# --- budgets ---


def test_h11_h38_max_attempts() -> None:
    """C14: so many failures in a row, and the last one is raised."""
    client = Machine(max_attempts=3)
    client.run(error=TransportError("1"))
    client.run(error=TransportError("2"))

    with pytest.raises(TransportError, match="3"):
        client.run(error=TransportError("3"))


def test_max_attempts_begin_anew_with_an_event() -> None:
    """The fifth 503 after a good connection, not the fourth."""
    client = Machine(max_attempts=5)
    client.run(error=TransportError("refused"))
    client.run(OK, b"data: a\n\n")
    for _ in range(4):
        client.run(status(503))

    with pytest.raises(ResponseError):
        client.run(status(503))


def test_budget_that_clean_ends_use_up() -> None:
    """Reading 5: an error that says how many streams brought nothing."""
    client = Machine(max_attempts=2)
    client.run(OK)

    with pytest.raises(TransportError, match="2 streams in a row"):
        client.run(OK)


def test_h12_max_elapsed() -> None:
    """A wait that would pass the budget is not begun."""
    client = Machine(max_elapsed=10.0)

    assert [3.0, 3.0, 3.0] == [client.run(error=TransportError("refused")) for _ in range(3)]
    with pytest.raises(TransportError):
        client.run(error=TransportError("refused"))
    assert 9.0 == client.now


# --- requests with a body ---


def test_h40_h43_post_is_sent_once() -> None:
    """C2: a clean end is the end."""
    client = Machine(method="POST")

    assert client.run(OK, b"data: a\n\n") is None
    assert ["a"] == client.data


def test_h41_post_that_is_cut() -> None:
    """C2: the cut is raised."""
    with pytest.raises(TransportError):
        Machine(method="POST").run(OK, b"data: a\n\n", cut=True)


def test_h44_replay() -> None:
    """The same request again, with the last event ID."""
    client = Machine(method="POST", replay=True)

    assert 3.0 == client.run(OK, b"id: 7\ndata: a\n\n", cut=True)
    client.run(OK)
    assert client.requests[1].startswith(b"POST / HTTP/1.1\r\n")
    assert b"7" == client.header("last-event-id")


def test_on_end_stop() -> None:
    """An option: a clean end is the end, a cut is not."""
    client = Machine(on_end="stop")

    assert 3.0 == client.run(OK, b"data: a\n\n", cut=True)
    assert client.run(OK, b"data: b\n\n") is None


# --- last event ID ---


@pytest.mark.parametrize(
    ("streams", "sent"),
    [
        ([b"id: a\ndata\n\n"], b"a"),
        ([b"id: a\ndata\n\n", b"data\n\n"], b"a"),
        ([b"id: a\ndata\n\n", b"id\ndata\n\n"], None),
        ([b"id: 5\n\n"], b"5"),
        ([b"event: x\n\n"], None),
        ([b"id: abc\ndata\n\nid: def\ndata: Goodbye"], b"abc"),
        (["id: é✓\ndata\n\n".encode()], "é✓".encode()),
        ([b"id:  x\ndata\n\n"], b"x"),
        ([b"id: a\x01\x7fb\ndata\n\n"], b"a\x01\x7fb"),
        ([b"id: a\x0bb\ndata\n\n"], None),
        ([b"id: a\x0cb\ndata\n\n"], None),
        ([b"id: %b\ndata\n\n" % (b"x" * 8192)], b"x" * 8192),
        ([b"id: %b\ndata\n\n" % (b"x" * 9000)], None),
        ([b"id: a\ndata\n\nid: b\0\ndata\n\n"], b"a"),
    ],
)
def test_h67_to_h76_last_event_id(streams: list[bytes], sent: bytes | None) -> None:
    """C16: as UTF-8, gone when it was reset, and never what makes a request fail."""
    client = Machine()
    for stream in streams:
        client.run(OK, stream)

    client.run(OK)
    assert sent == client.header("last-event-id")


def test_h71_events_of_the_next_stream_carry_the_id() -> None:
    """A stream without ids goes on with the old one."""
    machine = Reconnection(Request("http://h/"), last_event_id="old")
    (event,) = machine.connect(0.0).receive_data(OK + b"data: x\n\n")

    assert "old" == event.id


def test_first_id_of_the_caller() -> None:
    """It goes out with the first request (H105 of the contract); a bad one is refused (H75)."""
    client = Machine(last_event_id="abc")
    client.run(OK, b"id\n\n")

    assert b"abc" == client.header("last-event-id")
    client.run(OK)
    assert client.header("last-event-id") is None
    for bad in "a\r", "a\n", "a\0":
        with pytest.raises(ValueError, match="last event ID"):
            Machine(last_event_id=bad)


# --- redirects ---


def location(code: int, where: str) -> bytes:
    return status(code, f"Location: {where}\r\n")


def test_redirect_is_followed_at_once() -> None:
    """C6: no wait, no failure, the last event ID goes along (H65)."""
    client = Machine(last_event_id="7")

    assert 0.0 == client.run(location(302, "/b"))
    assert client.machine.redirected
    client.run(OK, b"data: a\n\n")
    assert client.requests[1].startswith(b"GET /b HTTP/1.1\r\n")
    assert b"7" == client.header("last-event-id")
    assert not client.machine.redirected


@pytest.mark.parametrize(("code", "path"), [(302, b"/"), (301, b"/b")])
def test_h51_h52_reconnect_after_a_redirect(code: int, path: bytes) -> None:
    """C21: at the original URL, or behind a permanent redirect."""
    client = Machine()
    client.run(location(code, "/b"))
    client.run(OK, b"data: a\n\n")

    client.run(OK)
    assert client.requests[-1].startswith(b"GET %b HTTP/1.1\r\n" % path)


def test_h50_redirect_loop_is_final() -> None:
    """C17: twenty are followed, and it is never an endless loop of reconnects."""
    client = Machine()
    for _ in range(20):
        assert 0.0 == client.run(location(302, "/"))

    with pytest.raises(TooManyRedirects):
        client.run(location(302, "/"))
    assert 21 == len(client.requests)


def test_redirect_without_location_is_final() -> None:
    """C8, contract cases 97 to 101."""
    for answer in (status(301), location(301, ""), status(307), location(307, "")):
        with pytest.raises(ResponseError):
            Machine().run(answer)


# --- the rest ---


@pytest.mark.parametrize(
    "options",
    [
        {"on_end": "retry"},
        {"reconnection_time": -1.0},
        {"min_reconnection_time": -1.0},
        {"min_reconnection_time": 2.0, "max_reconnection_time": 1.0},
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    """Refused when the machine is made."""
    with pytest.raises(ValueError, match=r"on_end|reconnection"):
        Reconnection(Request("http://h/"), **options)


@pytest.mark.parametrize("draw", [lambda: 0.0, lambda: 0.999], ids=["low", "high"])
def test_t18_no_herd(draw: Callable[[], float]) -> None:
    """Jitter spreads clients over the back-off, never below the reconnection time."""
    client = Machine(uniform=draw)
    wait = client.run(error=TransportError("refused"))

    assert wait is not None
    assert 3.0 <= wait < 6.0


def test_headers_of_each_attempt() -> None:
    """Fresh tokens go to the origin that was asked, and to no other."""
    request = Request("http://h/", headers={"X-Old": "1"}, json={})
    machine = Reconnection(request, replay=True, uniform=lambda: 0.0)
    head = OK + b"data: a\n\n"

    sent = machine.connect(0.0, headers={"Authorization": "first"}).data_to_send()
    assert b"authorization: first\r\n" in sent
    assert b"x-old" not in sent
    assert b"content-type: application/json\r\n" in sent
    machine.connect(0.0, headers={}).receive_data(head)
    machine.closed(0.0)
    sent = machine.connect(0.0, headers={"Content-Type": "text/x"}).data_to_send()
    assert b"content-type: text/x\r\n" in sent
    assert b"application/json" not in sent
    sent = machine.connect(0.0, headers={"Authorization": "third"}).data_to_send()
    assert b"authorization: third\r\n" in sent


def test_headers_of_each_attempt_stay_at_home() -> None:
    """A permanent redirect to another origin is asked without them (C22)."""
    machine = Reconnection(Request("http://h/"), uniform=lambda: 0.0)
    connection = machine.connect(0.0, headers={"Authorization": "s"})
    with pytest.raises(ResponseError) as raised:
        connection.receive_data(location(308, "http://other/"))
    machine.closed(0.0, raised.value)
    for _ in range(2):
        connection = machine.connect(0.0, headers={"Authorization": "s"})
        assert b"authorization" not in connection.data_to_send()
        connection.receive_data(OK)
        machine.closed(0.0)
