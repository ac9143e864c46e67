"""Proxies: which one is asked, and for what; tunnels byte by byte, and over real sockets."""

from __future__ import annotations

import gc
import ipaddress
import pickle
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sse_core
import sse_core.sync
import sse_openai
import sse_openai.sync
from sse_core import (
    Connection,
    ConnectTimeout,
    ProtocolError,
    ProxyError,
    Request,
    Response,
    ServerSentEvent,
    Timeout,
    TLSError,
    TransportError,
)
from sse_core.__main__ import main
from sse_core._client.route import Route
from sse_core._client.sync_connector import _open_tunnel
from sse_core._http.limits import Limit
from sse_core._http.messages import URL
from sse_core._http.proxies import (
    Proxy,
    Tunnel,
    is_exempt,
    proxy_from_environment,
)
from sse_core._http.wire import MAX_HEAD_SIZE
from tests.support.callers import Caller, with_client
from tests.support.examples import examples
from tests.support.proxy_server import ProxyServer
from tests.support.scripted_server import HEAD, NEXT, WAIT, Script, ScriptedServer, chunked
from tests.support.shells import (
    Cancelling,
    Shell,
    cancelled_at,
    on_every_shell,
    on_every_way_to_cancel,
)
from tests.support.sources import STOP
from tests.support.tls import CLIENT, server_context

A = b"data: a\n\n"
EVENTS = [ServerSentEvent("a")]
SHORT = 0.05
ORIGIN = server_context("origin.test")
BASIC = b"Basic " + b64encode(b"user:pass")


@pytest.fixture(scope="module", autouse=True)
def _no_leaks() -> Iterator[None]:
    """A socket that was not closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


# Values


@pytest.mark.parametrize(
    ("text", "authority", "credentials"),
    [
        ("http://proxy.example:3128", "proxy.example:3128", None),
        ("http://proxy.example:3128/", "proxy.example:3128", None),
        ("HTTP://Proxy.Example:3128", "proxy.example:3128", None),
        ("http://proxy.example", "proxy.example", None),
        ("proxy.example:3128", "proxy.example:3128", None),
        ("localhost:3128", "localhost:3128", None),
        ("192.0.2.1:8080", "192.0.2.1:8080", None),
        ("http://[2001:DB8::1]:8080", "[2001:db8::1]:8080", None),
        ("http://bücher.example:1", "xn--bcher-kva.example:1", None),
        ("http://user:pass@h:1", "h:1", b"user:pass"),
        ("user:pass@h:1", "h:1", b"user:pass"),
        ("http://user@h", "h", b"user:"),
        ("http://:pass@h", "h", b":pass"),
        ("http://@h", "h", None),
        ("http://us%20er:p%40%3a%2F@h", "h", b"us er:p@:/"),
        ("http://user:p@ss@h", "h", b"user:p@ss"),
        ("http://é:%FF@h", "h", "é:".encode() + b"\xff"),
        ("http://u:a b@h", "h", b"u:a b"),
        ("http://u:\udc80@h", "h", b"u:?"),
    ],
)
def test_url_of_a_proxy(text: str, authority: str, credentials: bytes | None) -> None:
    """Host and port as in other URLs, credentials as Basic, the scheme optional."""
    proxy = Proxy.parse(text)

    headers = [(b"proxy-authorization", b"Basic " + b64encode(credentials or b""))]
    assert authority == str(proxy)
    assert tuple(headers if credentials is not None else []) == proxy.headers
    assert f"<Proxy {authority}>" == repr(proxy)
    assert proxy != Proxy.parse("other:user@h"), "another user has other connections"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "https://h:1",
        "socks5://h:1",
        "SOCKS5H://user:5ecret@h:1",
        "http://h:1/path",
        "http://h:1?query",
        "http://h:1#fragment",
        "http://user:5ecret/x@h:1",
        "http://user:5ecret#x@h:1",
        "http://user:5ecret://x@h:1",
        "http://user:5ecret",
        "http://user:5ecret@",
        "http://user:5ecret@h:port",
        "http://user:5ecret@h:99999",
        "http://user:5ecret@h h",
        "http://user:5ecret@[::1",
        "http://user:5ecret@a℀b",
    ],
)
def test_no_url_of_a_proxy(text: str) -> None:
    """What cannot be asked is refused, without quoting what may be a password."""
    with pytest.raises(ValueError, match=r"host|URL") as caught:
        Proxy.parse(text)

    assert "5ecret" not in repr(caught.value)
    assert "5ecret" not in repr(caught.value.__cause__) + repr(caught.value.__context__)


@pytest.mark.parametrize("text", ["https://h:1", "socks5://h:1", "ftp://h"])
def test_schemes_that_are_not_supported(text: str) -> None:
    """The message says which one is."""
    with pytest.raises(ValueError, match=r"begins with http://.*not supported"):
        Proxy.parse(text)


# The choice


def chosen(url: str, **environment: str) -> str | None:
    proxy = proxy_from_environment(URL.parse(url), environment)
    return None if proxy is None else str(proxy)


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("http://h", {}, None),
        ("http://h", {"http_proxy": "p:1"}, "p:1"),
        ("https://h", {"http_proxy": "p:1"}, None),
        ("https://h", {"https_proxy": "p:1"}, "p:1"),
        ("https://h", {"HTTPS_PROXY": "p:1"}, "p:1"),
        ("http://h", {"https_proxy": "p:1"}, None),
        ("http://h", {"HTTP_PROXY": "p:1"}, "p:1"),
        ("http://h", {"HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"}, None),
        ("http://h", {"http_proxy": "p:1", "REQUEST_METHOD": "GET"}, "p:1"),
        ("https://h", {"HTTPS_PROXY": "p:1", "REQUEST_METHOD": "GET"}, "p:1"),
        ("http://h", {"http_proxy": "p:1", "HTTP_PROXY": "p:2"}, "p:1"),
        ("http://h", {"http_proxy": "", "HTTP_PROXY": "p:2"}, None),
        ("http://h", {"all_proxy": "p:1"}, "p:1"),
        ("https://h", {"ALL_PROXY": "p:1"}, "p:1"),
        ("http://h", {"all_proxy": "p:1", "http_proxy": "p:2"}, "p:2"),
        ("http://h", {"all_proxy": "p:1", "http_proxy": ""}, "p:1"),
        ("http://h", {"all_proxy": " p:1 "}, "p:1"),
        ("http://h", {"all_proxy": "socks5://p:1", "http_proxy": "p:2"}, "p:2"),
        ("http://h", {"all_proxy": "p:1", "no_proxy": "h"}, None),
        ("http://h", {"all_proxy": "p:1", "NO_PROXY": "h"}, None),
        ("http://h", {"all_proxy": "p:1", "no_proxy": "", "NO_PROXY": "h"}, "p:1"),
        ("http://h", {"all_proxy": "socks5://p:1", "no_proxy": "h"}, None),
        ("http://localhost", {"all_proxy": "p:1"}, None),
        ("http://localhost.", {"all_proxy": "p:1"}, None),
        ("http://a.localhost:80", {"all_proxy": "p:1"}, None),
        ("http://mylocalhost", {"all_proxy": "p:1"}, "p:1"),
        ("http://127.0.0.1", {"all_proxy": "p:1"}, None),
        ("http://127.1.2.3:99", {"all_proxy": "p:1"}, None),
        ("https://[::1]", {"all_proxy": "p:1"}, None),
        ("https://[::2]", {"all_proxy": "p:1"}, "p:1"),
        ("https://192.0.2.1", {"all_proxy": "p:1"}, "p:1"),
    ],
)
def test_environment(url: str, environment: dict[str, str], expected: str | None) -> None:
    """By scheme, then for all; lower case first; this host never."""
    assert expected == chosen(url, **environment)


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_environment_that_cannot_be_used(name: str) -> None:
    """Silence would go around the proxy: it is an error, which says where to look."""
    with pytest.raises(ValueError, match=f"^{name} in the environment: a proxy's URL") as caught:
        chosen("http://h", **{name: "socks5://user:5ecret@p"})

    assert "5ecret" not in str(caught.value)


NAMED = [
    ("h", "h"),
    ("H.example", "h.EXAMPLE"),
    ("a.example.org", "example.org"),
    ("a.b.example.org", ".example.org"),
    ("example.org", "example.org"),
    ("example.org", ".example.org"),
    ("example.org", "*.example.org"),
    ("a.example.org", "*.example.org"),
    ("example.org.", "example.org"),
    ("example.org", "example.org."),
    ("example.org", "a, example.org ,b"),
    ("example.org", ",,example.org"),
    ("example.org", "*"),
    ("example.org", "a,*"),
    ("192.0.2.1", "*"),
    ("example.org", "example.org:80"),
    ("example.org:8080", "example.org:8080"),
    ("example.org:8080", "example.org"),
    ("example.org:8080", "*:8080"),
    ("bücher.example", "bücher.example"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("a.bücher.example", ".BÜCHER.example"),
    ("192.0.2.1", "192.0.2.1"),
    ("192.0.2.1", "192.0.2.1:80"),
    ("192.0.2.77", "192.0.2.0/24"),
    ("192.0.2.77", "192.0.2.5/24"),
    ("[2001:db8::1]", "2001:DB8:0::1"),
    ("[2001:db8::1]", "[2001:db8::1]"),
    ("[2001:db8::1]", "[2001:db8::1]:80"),
    ("[2001:db8::1]", "2001:db8::/32"),
]
NOT_NAMED = [
    ("h", ""),
    ("h", " , "),
    ("h", "."),
    ("h", "*."),
    ("h", "g"),
    ("badexample.org", "example.org"),
    ("badexample.org", ".example.org"),
    ("badexample.org", "*example.org"),
    ("example.org", "a.example.org"),
    ("example.org", "example"),
    ("example.org", "*.org.example"),
    ("example.org", "example.org:443"),
    ("example.org", "example.org:"),
    ("example.org", "example.org:999999"),
    ("example.org", "192.0.2.0/24"),
    ("example.org", "0.0.0.0/0"),
    ("example.org", f"{'a' * 64}.example.org"),
    ("192.0.2.1", "2.1"),
    ("192.0.2.1", ".0.2.1"),
    ("192.0.2.1", "192.0.2.2"),
    ("192.0.2.1", "192.0.2.0/33"),
    ("192.0.2.1", "192.0.2.1:8080"),
    ("192.0.2.1", "2001:db8::/32"),
    ("192.0.2.1", "example.org"),
    ("[2001:db8::1]", "[2001:db8::1]:8080"),
    ("[2001:db8::1]", "2001:db9::/32"),
    ("[2001:db8::1]", "0.0.0.0/0"),
]


@pytest.mark.parametrize(("host", "no_proxy"), NAMED)
def test_named_by_no_proxy(host: str, no_proxy: str) -> None:
    """Hosts, domains, addresses and networks, with and without port."""
    assert is_exempt(URL.parse(f"http://{host}"), no_proxy)


@pytest.mark.parametrize(("host", "no_proxy"), NOT_NAMED)
def test_not_named_by_no_proxy(host: str, no_proxy: str) -> None:
    """Whole labels, the right port, and no names for addresses or the other way round."""
    assert not is_exempt(URL.parse(f"http://{host}"), no_proxy)


labels = st.lists(st.sampled_from(["a", "b", "ab", "org"]), min_size=1, max_size=4)
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def in_url(host: Any, port: int) -> URL:
    return URL.parse(f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}")


@given(labels, labels, st.sampled_from(["", ".", "*."]), st.sampled_from(["", ":1", ":2"]))
def test_domains_by_their_labels(
    host: list[str], domain: list[str], prefix: str, port: str
) -> None:
    """A domain names what ends in its labels, as lists see it."""
    expected = host[-len(domain) :] == domain and port != ":2"

    assert expected == is_exempt(in_url(".".join(host), 1), f"{prefix}{'.'.join(domain)}{port}")


@given(addresses, addresses, st.integers(0, 128))
def test_networks_by_their_bits(host: Any, network: Any, length: int) -> None:
    """A network names the addresses that begin with its bits, as strings of 0 and 1 do."""
    length = min(length, network.max_prefixlen)
    bits = [f"{int(value):0{value.max_prefixlen}b}" for value in (host, network)]
    expected = len(bits[0]) == len(bits[1]) and bits[0][:length] == bits[1][:length]

    assert expected == is_exempt(in_url(host, 1), f"x,{network}/{length}")
    near = type(host)(int(host) ^ 1)
    shifted = ipaddress.ip_network(f"{host}/{host.max_prefixlen - 1}", strict=False)
    assert is_exempt(in_url(near, 1), str(shifted))


@given(st.text(), st.sampled_from(["h", "a.org", "192.0.2.1", "[::2]"]))
@examples(100)
def test_no_proxy_is_never_an_error(no_proxy: str, host: str) -> None:
    """Whatever stands there names a host or does not."""
    assert is_exempt(URL.parse(f"http://{host}"), no_proxy) in (True, False)


def test_explicit_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller says wins over all of the environment."""
    monkeypatch.setenv("http_proxy", "p:1")
    monkeypatch.setenv("no_proxy", "*")

    proxy = Route(proxy="http://q:2").proxy_for(URL.parse("http://127.0.0.1"))

    assert "q:2" == str(proxy)


def test_cgi_where_variables_have_no_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows `http_proxy` is another name of HTTP_PROXY, but not here."""

    class Environment(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            return super().get(name.upper(), default)

    monkeypatch.setattr("os.environ", Environment(HTTP_PROXY="p:1", REQUEST_METHOD="GET"))

    assert Route().proxy_for(URL.parse("http://h")) is None


def test_environment_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes, or another URL, makes another choice."""
    proxies = Route()
    url = URL.parse("http://h")

    assert proxies.proxy_for(url) is None
    monkeypatch.setenv("HTTP_PROXY", "p:1")
    assert "p:1" == str(proxies.proxy_for(url))
    assert proxies.proxy_for(URL.parse("https://h")) is None
    assert Route(trust_env=False).proxy_for(url) is None
    assert Route(uds="/x").proxy_for(url) is None


def test_proxy_and_unix_socket() -> None:
    """One or the other."""
    with pytest.raises(ValueError, match="Unix socket"):
        Route(proxy="http://p", uds="/x")


def test_names_of_places() -> None:
    """A failure says what was on the way."""
    url = URL.parse("https://h:1/")

    assert "h:1" == Route().destination(url, None)
    assert "h:1 through the proxy p" == Route().destination(url, Proxy.parse("user:pass@p"))
    assert "h:1 at /x" == Route(uds="/x").destination(url, None)


# Requests


def test_absolute_form() -> None:
    """A proxy sees the whole URL and its credentials; Host is the origin's."""
    connection: Connection[Any] = Connection(Request("http://h:81/é?a=b#c"))

    sent = connection.data_to_send(Proxy.parse("user:pass@p:1"))

    assert sent.startswith(b"GET http://h:81/%C3%A9?a=b HTTP/1.1\r\nhost: h:81\r\n")
    assert b"\r\nproxy-authorization: " + BASIC + b"\r\n" in sent


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h:80", b"http://h/"),
        ("http://[2001:DB8::1]:81/x", b"http://[2001:db8::1]:81/x"),
        ("http://bücher.example", b"http://xn--bcher-kva.example/"),
    ],
)
def test_absolute_form_of_hosts(url: str, target: bytes) -> None:
    """As the URL is compared, so it is asked for."""
    connection: Connection[Any] = Connection(Request(url))

    assert connection.data_to_send(Proxy.parse("p")).startswith(b"GET %b HTTP/1.1\r\n" % target)


def test_request_in_a_tunnel() -> None:
    """The origin sees what it sees without a proxy."""
    request = Request("https://h/x", content="body")
    connection: Connection[Any] = Connection(request)
    straight: Connection[Any] = Connection(request)

    assert straight.data_to_send() == connection.data_to_send(Proxy.parse("user:pass@p:1"))


@pytest.mark.parametrize(
    ("url", "proxy", "expected"),
    [
        ("http://h", None, [b"own"]),
        ("http://h", "p:1", [b"own"]),
        ("http://h", "user:pass@p:1", [BASIC]),
        ("https://h", None, [b"own"]),
        ("https://h", "p:1", []),
        ("https://h", "user:pass@p:1", []),
    ],
)
def test_credentials_in_a_header(url: str, proxy: str | None, expected: list[bytes]) -> None:
    """The caller's own go where the proxy's would, and not through a tunnel to the origin."""
    request = Request(url, headers={"Proxy-Authorization": "own"})

    sent = Connection[Any](request).data_to_send(Proxy.parse(proxy) if proxy else None)

    name = b"proxy-authorization: "
    assert expected == [
        line.removeprefix(name) for line in sent.split(b"\r\n") if line.startswith(name)
    ]


# Tunnels


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://h", b"h:443"),
        ("https://h:8443/x?y", b"h:8443"),
        ("https://[2001:DB8::1]", b"[2001:db8::1]:443"),
        ("https://bücher.example", b"xn--bcher-kva.example:443"),
    ],
)
def test_connect(url: str, target: bytes) -> None:
    """CONNECT names host and port, always, and nothing of the request."""
    expected = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n" % (target, target)

    assert expected + b"\r\n" == Tunnel(Proxy.parse("p"), URL.parse(url)).data_to_send()
    assert (
        expected + b"proxy-authorization: " + BASIC + b"\r\n\r\n"
        == Tunnel(Proxy.parse("user:pass@p"), URL.parse(url)).data_to_send()
    )


def answered(data: bytes, cut: int) -> Tunnel:
    """Return a tunnel whose proxy answers with ``data``, in pieces of ``cut`` bytes."""
    tunnel = Tunnel(Proxy.parse("user:5ecret@p:1"), URL.parse("https://h"))
    tunnel.data_to_send()
    for start in range(0, len(data), cut):
        assert not tunnel.open
        tunnel.receive_data(data[start : start + cut])
    return tunnel


cuts = pytest.mark.parametrize("cut", [1, 7, 1000, 10**6])


@cuts
@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n",
        b"HTTP/1.1 204\r\n\r\n",
        # A success has no body, whatever it says (RFC 9110, 9.3.6).
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEAD_SIZE - 24) + b"\r\n\r\n",
    ],
    ids=["200", "HTTP/1.0", "204", "framing", "informational", "longest"],
)
def test_open(data: bytes, cut: int) -> None:
    """A 2xx opens the tunnel with the last byte of its head, and not before."""
    if cut < len(data) / 10_000:
        cut = 99  # h11 looks at all of an unfinished head each time

    assert not answered(data[:-1], cut).open
    assert answered(data, cut).open


@cuts
@pytest.mark.parametrize("status", [300, 302, 400, 403, 407, 500, 502, 503])
def test_refused(status: int, cut: int) -> None:
    """Every other status is an error with the head; the body is not waited for."""
    head = b"HTTP/1.1 %d No\r\nProxy-Authenticate: Basic\r\nContent-Length: 9\r\n\r\n" % status

    with pytest.raises(ProxyError, match=f"h:443: it answered {status}$") as caught:
        answered(head, cut)

    assert isinstance(caught.value, TransportError)
    assert status == caught.value.response.status
    assert "Basic" == caught.value.response.headers["proxy-authenticate"]
    with pytest.raises(ProxyError):
        answered(head + bytes(MAX_HEAD_SIZE), 10**6)


def test_error_can_be_pickled() -> None:
    """As every other one."""
    error = pickle.loads(pickle.dumps(ProxyError(Response(407), "h:443")))

    assert (407, "h:443") == (error.response.status, error.target)


@cuts
@pytest.mark.parametrize(
    "data",
    [
        b"220 smtp.example ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_SIZE + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEAD_SIZE - 23) + b"\r\n\r\n",
        b"HTTP/1.1 407 No\r\nX: " + b"x" * (MAX_HEAD_SIZE - 23) + b"\r\n\r\n",
        b"HTTP/1.1 103 X\r\n\r\n" * 5000,
    ],
    ids=["SMTP", "TLS", "HTTP/2", "no status", "no field", "101", "long", "one byte too many",
         "too many in a refusal", "informational"],
)  # fmt: skip
def test_no_answer_that_can_be_used(data: bytes, cut: int) -> None:
    """Another protocol, broken heads, and heads without end."""
    if cut < len(data) / 10_000:
        cut = 99  # as above
    with pytest.raises(ProtocolError, match="prox") as caught:
        answered(data, cut)

    assert len(str(caught.value)) < 300


def test_bytes_behind_the_answer() -> None:
    """In TLS the client begins: these are nobody's."""
    with pytest.raises(ProtocolError, match="sent more than its answer"):
        answered(b"HTTP/1.1 200 OK\r\n\r\nx", 10**6)


@pytest.mark.parametrize("data", [b"", b"HTT", b"HTTP/1.1 200 OK\r\n"])
def test_end_of_file(data: bytes) -> None:
    """A proxy that goes away has not answered."""
    tunnel = answered(data, 10)

    with pytest.raises(TransportError, match="the proxy p:1 closed the connection"):
        tunnel.receive_data(b"")


# The shells


@on_every_shell
def test_http_through_a_proxy(shell: Shell) -> None:
    """The proxy is asked in absolute form; the origin learns nothing of the credentials."""
    script = chunked([A], "hold")
    with (
        ScriptedServer(script) as server,
        ProxyServer(server.port, credentials=BASIC) as proxy,
    ):
        url = "http://origin.test:81/events?x"
        options = {"proxy": f"http://user:pass@127.0.0.1:{proxy.port}", "timeout": WAIT}
        _, events, error = shell.collect(shell.stream(url, content="body", **options))
        assert (EVENTS, None) == (events, error)
        assert script.closed.wait(WAIT)

    (request,) = proxy.requests
    assert request.startswith(b"POST http://origin.test:81/events?x HTTP/1.1\r\n")
    assert b"\r\nhost: origin.test:81\r\n" in request
    assert script.request.startswith(b"POST /events?x HTTP/1.1\r\n")
    assert script.request.endswith(b"\r\n\r\nbody")


@on_every_shell
def test_https_through_a_proxy(shell: Shell) -> None:
    """The proxy sees where to, and no more; TLS is with the origin, by its name."""
    script = chunked([A], "hold")
    with (
        ScriptedServer(script, ssl_context=ORIGIN) as server,
        ProxyServer(server.port, credentials=BASIC) as proxy,
    ):
        url = "https://origin.test/secret"
        options = {"proxy": f"user:pass@127.0.0.1:{proxy.port}", "timeout": WAIT}
        opened = shell.stream(url, content=bytes(200_000), ssl_context=CLIENT, **options)
        _, events, error = shell.collect(opened)
        assert (EVENTS, None) == (events, error)
        assert script.closed.wait(WAIT)

    target = b"origin.test:443"
    credentials = b"proxy-authorization: " + BASIC + b"\r\n"
    connect = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (target, target, credentials)
    assert [connect] == proxy.requests
    assert script.request.startswith(b"POST /secret HTTP/1.1\r\nhost: origin.test\r\n")
    assert b"proxy" not in script.request.lower()


@on_every_shell
def test_certificate_in_a_tunnel(shell: Shell) -> None:
    """A proxy that leads elsewhere is found out."""
    script = chunked([A])
    with (
        ScriptedServer(script, ssl_context=server_context("other.test")) as server,
        ProxyServer(server.port) as proxy,
    ):
        url = "https://origin.test/"
        _, _, error = shell.collect(
            shell.stream(url, ssl_context=CLIENT, proxy=proxy.url, timeout=WAIT)
        )

    assert TLSError is type(error)
    where = f"connecting to origin.test through the proxy 127.0.0.1:{proxy.port} failed: "
    assert str(error).startswith(where)
    assert b"" == script.request


def through(shell: Shell, script: Script, **options: Any) -> BaseException | None:
    """Return what comes of an https URL through a proxy that answers with a script."""
    with ScriptedServer(script) as server:
        proxy = f"user:pass@127.0.0.1:{server.port}"
        options = {"proxy": proxy, "timeout": WAIT, "ssl_context": CLIENT, **options}
        _, events, error = shell.collect(shell.stream("https://origin.test", **options))
        assert [] == events
        assert script.closed.wait(WAIT)
    return error


@on_every_shell
@pytest.mark.parametrize("status", [407, 502])
def test_proxy_that_refuses(status: int, shell: Shell) -> None:
    """An error of its own; a body that never ends is not waited for."""
    head = b"HTTP/1.1 %d No\r\nContent-Length: 99\r\n\r\n" % status

    error = through(shell, Script([head, b"<html>"], "hold"))

    assert isinstance(error, ProxyError)
    assert status == error.response.status


@on_every_shell
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (Script([]), TransportError),
        (Script([b"HTTP/1.1 200 OK\r\n"]), TransportError),
        (Script([b"HTTP/1.1 200 OK\r\n\r\n"]), TransportError),
        (Script([b"220 ESMTP\r\n"], "hold"), ProtocolError),
        (Script([b"HTTP/1.1 103 X\r\n\r\n" * 9999], "hold"), ProtocolError),
    ],
    ids=["closed", "cut", "closed in TLS", "no HTTP", "without end"],
)
def test_proxy_that_fails(script: Script, expected: type[Exception], shell: Shell) -> None:
    """What is no answer is an error, and the socket is closed."""
    error = through(shell, Script(script.pieces, script.end))

    assert expected is type(error)


@on_every_shell
@pytest.mark.parametrize("pieces", [[], [b"HTTP/1.1 200 OK\r\n\r\n"]], ids=["CONNECT", "TLS"])
def test_proxy_that_stalls(pieces: list[bytes], shell: Shell) -> None:
    """CONNECT and the handshake behind it belong to the time for connecting."""
    error = through(shell, Script(pieces, "hold"), timeout=Timeout(connect=SHORT))

    assert ConnectTimeout is type(error)


class DrippingSocket(socket.socket):
    """A proxy whose answer comes byte by byte; keeps the limits of time it was given."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self._bytes = iter(answer)
        self.limits: list[float | None] = []

    def settimeout(self, value: float | None, /) -> None:
        self.limits.append(value)

    def sendall(self, data: Any, flags: int = 0, /) -> None: ...

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        return bytes([next(self._bytes)])


def test_proxy_that_answers_byte_by_byte() -> None:
    """No byte begins the time for connecting anew."""
    answer = b"HTTP/1.1 200 OK\r\n\r\n"
    limit = Limit(time.monotonic() + WAIT, ConnectTimeout, "connection", WAIT)
    with DrippingSocket(answer) as transport:
        _open_tunnel(transport, Tunnel(Proxy.parse("p"), URL.parse("https://h")), limit)

    assert 1 + len(answer) == len(transport.limits)
    assert sorted(transport.limits, key=lambda seconds: -(seconds or 0)) == transport.limits


@on_every_shell
def test_proxy_that_is_not_there(shell: Shell) -> None:
    """The message says whose address refused."""
    with ScriptedServer() as nobody:
        pass
    url = "http://origin.test/"
    _, _, error = shell.collect(shell.stream(url, proxy=f"127.0.0.1:{nobody.port}"))

    assert TransportError is type(error)
    assert f"origin.test through the proxy 127.0.0.1:{nobody.port} failed" in str(error)


@on_every_shell
def test_proxy_of_the_environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each URL anew: a redirect to a host that needs none takes nothing along."""
    target = chunked([A], "hold")
    with ScriptedServer(target) as server:
        head = b"HTTP/1.1 302 X\r\nLocation: %b\r\n\r\n" % server.url.encode()
        first = Script([head], "hold")
        with ScriptedServer(first) as proxy:
            monkeypatch.setenv("HTTP_PROXY", f"user:pass@127.0.0.1:{proxy.port}")
            opened = shell.stream("http://origin.test/", timeout=WAIT)
            _, events, error = shell.collect(opened)

    assert (EVENTS, None) == (events, error)
    assert first.request.startswith(b"GET http://origin.test/ HTTP/1.1\r\n")
    assert b"proxy-authorization: " + BASIC in first.request
    assert target.request.startswith(b"GET /events HTTP/1.1\r\n")
    assert b"proxy" not in target.request.lower()


@on_every_shell
def test_environment_that_is_not_trusted(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """With trust_env=False the proxy is not even looked at; with it, nonsense is an error."""
    monkeypatch.setenv("ALL_PROXY", "socks5://p:1")
    url = "http://0.0.0.0:1/"  # not the loopback interface, but nobody is there

    async def scenario(events: Any) -> None:
        with pytest.raises(ValueError, match="all_proxy in the environment"):
            await events.__aenter__()

    kind: Any = sse_core.sync.EventSource if shell.blocking else sse_core.EventSource
    shell.run(scenario, shell.stream(url))
    for untrusting in (
        shell.stream(url, trust_env=False),
        kind(url, trust_env=False, max_attempts=1),
    ):
        assert isinstance(shell.collect(untrusting)[2], TransportError)


def source_through(shell: Shell, proxy: str) -> Any:
    """Return a source at an https URL, which does not wait between attempts."""
    kind = sse_core.sync.EventSource if shell.blocking else sse_core.EventSource
    options: Any = {"reconnection_time": 0.0, "min_reconnection_time": 0.0, "uniform": lambda: 0.0}
    return kind("https://origin.test/", proxy=proxy, ssl_context=CLIENT, **options)


@on_every_shell
def test_reconnecting_through_a_proxy(shell: Shell) -> None:
    """Each attempt has its tunnel."""
    first, second = chunked([A]), chunked([A])
    with (
        ScriptedServer(first, second, STOP, ssl_context=ORIGIN) as server,
        ProxyServer(server.port) as proxy,
    ):
        _, events, error = shell.collect(source_through(shell, proxy.url))

    assert (EVENTS * 2, None) == (events, error)
    assert 3 == len(proxy.requests)


@on_every_shell
def test_source_and_proxy_that_refuses(shell: Shell) -> None:
    """A 502 is like a network error, from the first attempt on; 407 ends the source."""
    scripts = [
        Script([b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status])
        for status in (502, 503, 407)
    ]
    with ScriptedServer(*scripts) as proxy:
        source = source_through(shell, f"127.0.0.1:{proxy.port}")
        _, events, error = shell.collect(source)

    assert [] == events
    assert isinstance(error, ProxyError)
    assert 407 == error.response.status


ANSWER = [HEAD + b"Content-Length: 9\r\n\r\n", A]


@on_every_shell
def test_tunnel_that_is_kept(shell: Shell) -> None:
    """A client's next request goes through the same one."""
    script = Script([*ANSWER, NEXT, *ANSWER], "hold")

    async def scenario(caller: Caller) -> None:
        for _ in range(2):
            assert EVENTS == await caller.read("https://origin.test/")

    with (
        ScriptedServer(script, ssl_context=ORIGIN) as server,
        ProxyServer(server.port) as proxy,
    ):
        with_client(shell, scenario, proxy=proxy.url, ssl_context=CLIENT)
        assert script.closed.wait(WAIT)

    assert 1 == len(proxy.requests)
    assert 2 == len(script.requests)


@on_every_shell
def test_connection_of_another_proxy(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept is used again only by way of the same proxy."""
    first = Script([*ANSWER, NEXT, *ANSWER], "hold")
    second = Script(ANSWER, "hold")

    async def scenario(caller: Caller) -> None:
        for proxy in (one, one, other):
            monkeypatch.setenv("HTTP_PROXY", f"user:pass@127.0.0.1:{proxy.port}")
            assert EVENTS == await caller.read("http://origin.test/")

    with ScriptedServer(first) as one, ScriptedServer(second) as other:
        with_client(shell, scenario)

    assert (2, 1) == (len(first.requests), len(second.requests))
    for request in [*first.requests, *second.requests]:
        assert request.startswith(b"GET http://origin.test/ HTTP/1.1\r\n")
        assert b"\r\nproxy-authorization: " + BASIC + b"\r\n" in request


@on_every_shell
def test_source_with_a_client(shell: Shell) -> None:
    """The way to the server is the client's."""
    kind: Any = sse_core.sync.EventSource if shell.blocking else sse_core.EventSource
    client: Any = sse_core.sync.Client() if shell.blocking else sse_core.Client()
    for option in ({"proxy": "p:1"}, {"trust_env": False}, {"uds": "/x"}):
        with pytest.raises(ValueError, match="a client has"):
            kind("http://h", client=client, **option)


@on_every_shell
def test_chat_through_a_proxy(shell: Shell) -> None:
    """The adapter hands the option on, with and without a client."""
    scripts = [chunked([b"data: [DONE]\n\n"], "hold") for _ in range(2)]
    with ScriptedServer(*scripts) as server:
        url, proxy = "http://origin.test/v1", f"127.0.0.1:{server.port}"
        kind: Any = sse_openai.sync.Client if shell.blocking else sse_openai.Client
        client = kind(base_url=url, proxy=proxy, max_idle=0)
        options: Any = {"model": "m", "messages": []}
        for chat in (
            shell.stream_chat(base_url=url, proxy=proxy, **options),
            client.chat(**options),
        ):
            assert shell.collect(chat)[2] is None

    target = b"POST http://origin.test/v1/chat/completions HTTP/1.1\r\n"
    assert all(script.request.startswith(target) for script in scripts)


def test_command(capfd: pytest.CaptureFixture[str]) -> None:
    """`sse --proxy`, as curl has it."""
    script = chunked([A], "hold")
    with ScriptedServer(script) as proxy:
        status = main(["http://origin.test/x", "--proxy", f"127.0.0.1:{proxy.port}"])

    assert (0, "data: a\n\n", "") == (status, *capfd.readouterr())
    assert script.request.startswith(b"GET http://origin.test/x HTTP/1.1\r\n")


@on_every_way_to_cancel
def test_cancelled_while_the_proxy_is_asked(backend: str, way: Cancelling) -> None:
    """A proxy that does not answer sees the close."""

    async def scenario(proxy: str, suspension: int) -> bool:
        events = sse_core.stream("https://origin.test/", proxy=proxy, timeout=SHORT)

        async def enter() -> None:
            with pytest.raises(ConnectTimeout):
                await events.__aenter__()

        return (await cancelled_at(suspension, way, enter()))[0]

    for suspension in range(1, 99):
        script = Script([], "hold")
        with ScriptedServer(script) as server:
            cancelled = anyio.run(scenario, server.url[:-7], suspension, backend=backend)
            if script.opened.is_set():
                assert script.closed.wait(WAIT)
        if not cancelled:
            assert suspension > 2
            return
    raise AssertionError("never ran to its end")
