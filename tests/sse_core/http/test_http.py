"""Requests, URLs, headers and limits as values: refused, or one well-formed request."""

from __future__ import annotations

import copy
import math
import pickle
from types import MappingProxyType
from typing import Any

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sse_core import Connection, Headers, Request, Response, Timeout
from sse_core._http.messages import URL, last_event_id_field

# URL as typed, host and port to connect to, Host field, target, and the text of the URL.
URLS = [
    ("http://h", "h", 80, "h", "/"),
    ("https://h", "h", 443, "h", "/"),
    ("HTTP://H.Example/", "h.example", 80, "h.example", "/"),
    ("http://h:80/x", "h", 80, "h", "/x"),
    ("https://h:80/x", "h", 80, "h:80", "/x"),
    ("http://h:/x", "h", 80, "h", "/x"),
    ("http://h:00081/x", "h", 81, "h:81", "/x"),
    ("http://h:65535", "h", 65535, "h:65535", "/"),
    ("http://h.", "h.", 80, "h.", "/"),
    ("http://a_b-c.d", "a_b-c.d", 80, "a_b-c.d", "/"),
    ("http://127.0.0.1:8000/", "127.0.0.1", 8000, "127.0.0.1:8000", "/"),
    ("http://[::1]/", "::1", 80, "[::1]", "/"),
    ("http://[::1]:/", "::1", 80, "[::1]", "/"),
    ("https://[2001:DB8:0::1]:8443/", "2001:db8::1", 8443, "[2001:db8::1]:8443", "/"),
    ("http://bücher.example/", "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/"),
    ("http://日本。jp/", "xn--wgv71a.jp", 80, "xn--wgv71a.jp", "/"),
    ("http://ＥＸＡＭＰＬＥ.org", "example.org", 80, "example.org", "/"),
    ("http://h?q=1", "h", 80, "h", "/?q=1"),
    ("http://h/?", "h", 80, "h", "/"),
    ("http://h/a?b?c=/d", "h", 80, "h", "/a?b?c=/d"),
    ("http://h/#fragment?x", "h", 80, "h", "/"),
    ("http://h/ä/%41%zz", "h", 80, "h", "/%C3%A4/%41%zz"),
    ("http://h/😀?q=て#い", "h", 80, "h", "/%F0%9F%98%80?q=%E3%81%A6"),
    ('http://h/"<>^`{|}', "h", 80, "h", "/%22%3C%3E%5E%60%7B%7C%7D"),
    ("http://h/?[]{}|^`", "h", 80, "h", "/?[]{}|^`"),
    ("http://h/a@b:c", "h", 80, "h", "/a@b:c"),
    ("http://h//x/../y", "h", 80, "h", "//x/../y"),
    ("http://h/\u2028", "h", 80, "h", "/%E2%80%A8"),
]

REFUSED_URLS = [
    "",
    "h/x",
    "//h/x",
    "/x",
    "ftp://h/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http:",
    "http:h",
    "http://",
    "http:///x",
    "http://?q",
    "http://:80/",
    "http://.",
    "http://..",
    "http://a..b",
    "http://-a",
    "http://a-",
    "http://" + "a" * 64,
    "http://a b/",
    " http://h/",
    "http://h/ ",
    "http://h/\t",
    "http://h/\r\nX: y",
    "http://h/\0",
    "http://h/\x7f",
    "http://h\\@evil/",
    "http://h/\\",
    "http://u@h/",
    "http://u:p@h/",
    "http://@h/",
    "http://a%2Fb/",
    "http://%41/",
    "http://a,b/",
    "http://a;b/",
    "http://a／b/",
    "http://h\u00a0/",
    "http://h:x/",
    "http://h:-1/",
    "http://h:+1/",
    "http://h:1_0/",
    "http://h:٣/",
    "http://h:65536/",
    "http://h:" + "9" * 5000,
    "http://h:80:80/",
    "http://::1/",
    "http://[::1/",
    "http://::1]/",
    "http://[]/",
    "http://[h]/",
    "http://[127.0.0.1]/",
    "http://[v1.h]/",
    "http://[::1]h/",
    "http://h[::1]/",
    "http://[::1]h:80/",
    "http://[::1][::1]/",
    "http://[fe80::1%25lo]/",
    "http://[fe80::1%lo]/",
    "http://[:::]/",
    "http://h\ud800/",
    "http://h/\ud800",
    "http://h/?\udfff",
]


@pytest.mark.parametrize(("url", "host", "port", "authority", "target"), URLS)
def test_url(url: str, host: str, port: int, authority: str, target: str) -> None:
    """A URL says whom to connect to and what to ask for."""
    parsed = URL.parse(url)

    assert (host, port, authority, target) == (
        parsed.host,
        parsed.port,
        parsed.authority,
        parsed.target,
    )


@pytest.mark.parametrize("url", [url for url, *_ in URLS])
def test_url_as_text_is_the_same_url(url: str) -> None:
    """The text of a URL parses to an equal one."""
    parsed = URL.parse(url)

    assert parsed == URL.parse(str(parsed))


@pytest.mark.parametrize("url", REFUSED_URLS, ids=ascii)
def test_refused_url(url: str) -> None:
    """What is no http or https URL, or two readers might read in two ways, is a ValueError."""
    with pytest.raises(ValueError, match=r".") as caught:
        Request(url)

    assert not isinstance(caught.value, UnicodeError)


@given(url=st.text(max_size=40).map("http://".__add__) | st.text(max_size=40))
@example("http://[::1%0a]")
def test_any_text_is_refused_or_a_url(url: str) -> None:
    """A URL of any text is a ValueError, or one whose parts are plain ASCII."""
    try:
        parsed = URL.parse(url)
    except ValueError:
        return

    assert parsed == URL.parse(str(parsed))
    assert parsed.target.isascii()
    assert parsed.target.isprintable()
    assert " " not in parsed.target


def test_origin() -> None:
    """Scheme, host and port make the origin; a default port is the same as none."""
    assert URL.parse("http://h:80/a").origin == URL.parse("http://H/b?c").origin
    assert URL.parse("http://h/").origin != URL.parse("https://h/").origin
    assert URL.parse("http://h/").origin != URL.parse("http://h:81/").origin


def test_url_repr_hides_the_query() -> None:
    """The query may hold a key; the path is shown."""
    assert "URL(http://h/a?…)" == repr(URL.parse("http://h/a?key=secret"))
    assert "URL(http://h/a)" == repr(URL.parse("http://h/a"))


def sent(request: Request, **options: Any) -> tuple[h11.Request, bytes]:
    """Return the one request that h11, as a server, reads from the request's bytes."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(Connection(request, **options).data_to_send())
    head = server.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while not isinstance(event := server.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
        body += event.data
    assert server.trailing_data == (b"", False)
    return head, bytes(body)


def header_fields(request: Request, **options: Any) -> dict[str, str]:
    """Return the fields sent, each of which is there once."""
    fields = [
        (name.decode(), value.decode("latin-1"))
        for name, value in sent(request, **options)[0].headers
    ]
    assert len(fields) == len(dict(fields))
    return dict(fields)


# Names that have rules of their own, in any case, beside plain and odd ones.
NAMES = st.one_of(
    st.sampled_from(
        ["Host", "Accept", "user-agent", "Expect", "Connection", "Content-Length", "Last-Event-ID"]
    ),
    st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}", fullmatch=True),
    st.text(max_size=8),
)
VALUES = st.one_of(
    st.text(max_size=12), st.binary(max_size=12), st.sampled_from(["", "a b", "é", "a\tb", " "])
)
HEADERS = st.one_of(
    st.none(),
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
)
METHODS = st.one_of(
    st.none(),
    st.sampled_from(["GET", "POST", "HEAD", "REPORT", "CONNECT", "get", ""]),
    st.text(max_size=6),
)
CONTENTS = st.one_of(st.none(), st.binary(max_size=50), st.text(max_size=50))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    method=METHODS,
    headers=HEADERS,
    url=st.sampled_from(["http://h", "http://h/ä?q=" + "x" * 99, "http://[::1]:8/"])
    | st.text(max_size=20).map("http://h/".__add__),
    content=CONTENTS,
    json=st.none() | JSON,
    last_event_id=st.text(max_size=20),
)
@example("GET", [("Host", "a"), ("host", "b")], "http://h", None, None, "")
@example("POST", {"x": "y"}, "http://h", "\ud800", None, "")
def test_refused_or_one_well_formed_request(
    method: Any, headers: Any, url: str, content: Any, json: Any, last_event_id: str
) -> None:
    """Whatever is given: a ValueError, or exactly the request asked for, as h11 reads it."""
    before = copy.deepcopy(headers)
    try:
        request = Request(url, method, headers=headers, content=content, json=json)
    except UnicodeError:
        raise
    except ValueError:
        return
    finally:
        assert before == headers

    head, body = sent(request, last_event_id=last_event_id)
    has_body = content is not None or json is not None
    assert (method or ("POST" if has_body else "GET")) == head.method.decode()
    assert URL.parse(url).target == head.target.decode()
    if content is not None:
        assert (content.encode() if isinstance(content, str) else content) == body
    fields = list(head.headers)
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    for name, value in pairs:
        octets = value.encode() if isinstance(value, str) else value
        assert (name.lower().encode(), octets) in fields
    for name in (b"host", b"content-length", b"last-event-id"):
        assert sum(field == name for field, _ in fields) <= 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"method": ""},
        {"method": "GET /x"},
        {"method": "GET\r\nX: y"},
        {"method": "GÉT"},
        {"method": "CONNECT"},
        {"headers": {"": "x"}},
        {"headers": {"a b": "x"}},
        {"headers": {"a:": "x"}},
        {"headers": {"é": "x"}},
        {"headers": {"a\r\nb": "x"}},
        {"headers": {"a": "x\r\ny: z"}},
        {"headers": {"a": "x\0"}},
        {"headers": {"a": "x\x0b"}},
        {"headers": {"a": b"x\x7f"}},
        {"headers": {"a": " x"}},
        {"headers": {"a": "x\t"}},
        {"headers": {"a": "é"}},
        {"headers": {"a": "\ud800"}},
        {"headers": {"Content-Length": "3"}},
        {"headers": {"transfer-encoding": "chunked"}},
        {"headers": {"Last-Event-ID": "3"}},
        {"headers": [("Host", "a"), ("host", "b")]},
        {"headers": ["a"]},
        {"content": b"x", "json": 1},
        {"content": "\ud800"},
        {"json": math.nan},
        {"json": [float("inf")]},
    ],
    ids=ascii,
)
def test_refused_request(arguments: dict[str, Any]) -> None:
    """What would not be one well-formed request is a ValueError."""
    with pytest.raises(ValueError, match=r".") as caught:
        Request("http://h", **arguments)

    assert not isinstance(caught.value, UnicodeError)


@pytest.mark.parametrize(
    "arguments",
    [
        {"method": b"GET"},
        {"headers": {b"a": "x"}},
        {"headers": {"a": 1}},
        {"headers": {"a": None}},
        {"headers": 5},
        {"content": 5},
        {"content": [1, 2]},
        {"json": object},
    ],
    ids=repr,
)
def test_wrong_type(arguments: dict[str, Any]) -> None:
    """What is of the wrong type is a TypeError, not a guess."""
    with pytest.raises(TypeError):
        Request("http://h", **arguments)


def test_defaults() -> None:
    """A GET asks for an event stream that is neither cached nor coded."""
    assert {
        "host": "h:81",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "cache-control": "no-cache",
        "user-agent": "sse-toolkit",
    } == header_fields(Request("http://h:81"))


@pytest.mark.parametrize(
    "name", ["Accept", "ACCEPT-ENCODING", "cache-control", "User-Agent", "hOST"]
)
def test_headers_of_the_caller_win(name: str) -> None:
    """A field of the caller replaces the default of that name, compared without case."""
    fields = header_fields(Request("http://h", headers={name: "mine"}))

    assert "mine" == fields[name.lower()]
    assert 5 == len(fields)


def test_content_type_of_the_caller_wins() -> None:
    """Also over the one that goes with JSON."""
    fields = header_fields(Request("http://h", json={}, headers={"Content-Type": "a/b"}))

    assert "a/b" == fields["content-type"]


def test_headers_from_a_read_only_mapping() -> None:
    """Any mapping will do, and none is changed."""
    headers = MappingProxyType({"X-Key": "v"})

    assert "v" == header_fields(Request("http://h", headers=headers))["x-key"]


def test_repeated_header() -> None:
    """Pairs may repeat a name; each is sent."""
    head, _ = sent(Request("http://h", headers=[("Cookie", "a=1"), ("cookie", b"b=\xff")]))

    assert [b"a=1", b"b=\xff"] == [value for name, value in head.headers if name == b"cookie"]


@pytest.mark.parametrize(
    ("arguments", "method", "length", "body"),
    [
        ({}, b"GET", None, b""),
        ({"method": "DELETE"}, b"DELETE", None, b""),
        ({"method": "POST"}, b"POST", b"0", b""),
        ({"content": b""}, b"POST", b"0", b""),
        ({"content": "て"}, b"POST", b"3", b"\xe3\x81\xa6"),
        ({"content": bytearray(b"ab")}, b"POST", b"2", b"ab"),
        ({"content": b"a", "method": "GET"}, b"GET", b"1", b"a"),
        ({"json": {"a": [1, None]}}, b"POST", b"16", b'{"a": [1, null]}'),
        ({"json": []}, b"POST", b"2", b"[]"),
        ({"json": 0, "method": "PUT"}, b"PUT", b"1", b"0"),
    ],
    ids=repr,
)
def test_method_and_body(
    arguments: dict[str, Any], method: bytes, length: bytes | None, body: bytes
) -> None:
    """POST with a body and GET without, unless said otherwise; the length is set for the caller."""
    head, found = sent(Request("http://h", **arguments))

    assert (method, length, body) == (head.method, dict(head.headers).get(b"content-length"), found)


def test_json_sets_the_content_type() -> None:
    """Only a JSON body has a content type by itself."""
    assert "application/json" == header_fields(Request("http://h", json=1))["content-type"]
    assert "content-type" not in header_fields(Request("http://h", content=b"1"))


def test_request_is_a_value() -> None:
    """Requests compare, hash and cannot be changed; a parsed URL is taken as it is."""
    octets: Any = bytearray(b"x")  # as good as bytes, but cannot be hashed
    one = Request("http://h", headers={"a": octets})
    two = Request(URL.parse("http://h/"), "GET", headers=[("A", "x")])

    assert one == two
    assert {one} == {two}
    assert one == copy.deepcopy(one) == pickle.loads(pickle.dumps(one))
    with pytest.raises(AttributeError):
        one.method = "POST"  # type: ignore[misc]  # the point


def test_request_repr() -> None:
    """The repr shows method and URL, and no value that may be secret."""
    request = Request("http://h/a?key=1", "PUT", headers={"X-Key": "2"}, content=b"3")

    assert "<Request PUT URL(http://h/a?…)>" == repr(request)


@pytest.mark.parametrize(
    ("last_event_id", "value"),
    [
        ("7", b"7"),
        ("é✓", b"\xc3\xa9\xe2\x9c\x93"),
        ("…", b"\xe2\x80\xa6"),
        (" x ", b"x"),
        ("\tx y\t", b"x y"),
        ("a\tb", b"a\tb"),
        ("\u2028\ufeff", "\u2028\ufeff".encode()),
        ("\x85", b"\xc2\x85"),
        ("\ud800", b"?"),
        ("x" * 8192, b"x" * 8192),
    ],
)
def test_last_event_id_is_sent(last_event_id: str, value: bytes) -> None:
    """An ID goes out as UTF-8, without the white space that HTTP would cut off."""
    head, _ = sent(Request("http://h"), last_event_id=last_event_id)

    assert [value] == [value for name, value in head.headers if name == b"last-event-id"]


@pytest.mark.parametrize(
    "last_event_id",
    ["", " ", "\t \t", "a\rb", "a\nb", "a\0b", "a\x0bb", "a\x0cb", "x" * 8193, "é" * 5000],
    ids=lambda text: ascii(text)[:12],
)
def test_last_event_id_that_cannot_be_sent(last_event_id: str) -> None:
    """An ID that HTTP cannot carry, or that is over 8 KiB, is left out: no request may fail."""
    assert None is last_event_id_field(last_event_id)
    assert "last-event-id" not in header_fields(Request("http://h"), last_event_id=last_event_id)


@given(st.text())
def test_no_last_event_id_breaks_the_request(last_event_id: str) -> None:
    """Whatever a server sets as ID, the next request is well-formed."""
    sent(Request("http://h"), last_event_id=last_event_id)


FIELDS = [(b"A", b"1"), (b"b", b"x\xe9"), (b"a", b"2")]


def test_headers_is_a_mapping_without_case() -> None:
    """Fields of one name are joined; names are listed once, in order."""
    headers = Headers(FIELDS)

    assert "1, 2" == headers["A"] == headers["a"]
    assert "xé" == headers["B"]
    assert ["1", "2"] == headers.get_all("A")
    assert ["a", "b"] == list(headers)
    assert 2 == len(headers)
    assert {"a": "1, 2", "b": "xé"} == dict(headers)
    assert "B" in headers
    assert "c" not in headers
    assert None is headers.get("c")
    assert [] == headers.get_all("c")
    with pytest.raises(KeyError):
        headers["c"]


def test_headers_compare_and_pickle() -> None:
    """Headers are equal to any mapping with those fields, also after a copy."""
    headers = Headers(FIELDS)

    assert headers == {"a": "1, 2", "b": "xé"}
    assert headers == pickle.loads(pickle.dumps(headers))
    assert Headers() == {}


def test_headers_repr_hides_values() -> None:
    """A value may be a cookie."""
    assert "Headers(a, b)" == repr(Headers(FIELDS))


def response_of(*content_types: bytes) -> Response:
    return Response(200, Headers([(b"Content-Type", value) for value in content_types]))


@pytest.mark.parametrize(
    ("fields", "essence"),
    [
        ([b"text/event-stream"], "text/event-stream"),
        ([b"TEXT/Event-Stream; charset=UTF-8"], "text/event-stream"),
        ([b"text/event-stream;"], "text/event-stream"),
        ([b"text/event-stream ;x=y"], "text/event-stream"),
        ([b"\ttext/event-stream\t"], "text/event-stream"),
        ([b"text/event-stream-x"], "text/event-stream-x"),
        ([b"text/event"], "text/event"),
        ([b"application/problem+json"], "application/problem+json"),
        ([b"text"], ""),
        ([b"x bogus"], ""),
        ([b"text/event stream"], ""),
        ([b"/event-stream"], ""),
        ([b""], ""),
        ([b";charset=utf-8"], ""),
        ([b"text/\xe9"], ""),
        ([], ""),
        ([b"text/html", b"text/event-stream"], "text/event-stream"),
        ([b"text/event-stream", b"text/html"], "text/html"),
        ([b"text/event-stream", b""], "text/event-stream"),
        ([b"text/event-stream", b"x" * 99], "text/event-stream"),
    ],
    ids=repr,
)
def test_content_type(fields: list[bytes], essence: str) -> None:
    """The essence of the last valid field counts, in lower case, without parameters."""
    assert essence == response_of(*fields).content_type


def test_response_repr() -> None:
    """The repr shows status and content type."""
    assert "<Response 200 text/html>" == repr(response_of(b"text/html; a=secret"))


def test_timeout_of() -> None:
    """A number is each limit on one wait, None is none, a Timeout is itself."""
    timeout = Timeout(idle=3)

    assert timeout is Timeout.of(timeout)
    assert Timeout(connect=2, write=2, head=2, idle=2) == Timeout.of(2)
    assert Timeout(connect=None, write=None, head=None) == Timeout.of(None)
    assert Timeout(connect=10.0, write=60.0, head=60.0) == Timeout()


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, -math.inf])
@pytest.mark.parametrize("limit", ["connect", "write", "head", "idle", "event", "total"])
def test_timeout_that_is_none(limit: str, seconds: float) -> None:
    """A negative limit, or one that is no number, is a ValueError."""
    with pytest.raises(ValueError, match="time limit"):
        Timeout(**{limit: seconds})
