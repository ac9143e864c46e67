"""Proxies, without I/O: which one to ask for a URL, and how it opens a tunnel.

For an http URL, ``Connection`` sends the request to the proxy itself, in absolute form. For
an https URL, ``Tunnel`` asks the proxy for a connection to the origin. TLS is spoken inside,
so that the proxy sees neither the request nor the answer.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import h11

from .._errors import ProtocolError, ProxyError, TransportError
from .messages import URL
from .wire import HTTP, MAX_HEAD_SIZE, response_of

# Host and port; what does not match is an IPv6 address without brackets.
_HOST_AND_PORT = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*):([0-9]{1,5})")


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """An HTTP proxy: its address, and the header fields that identify its user."""

    url: URL
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Fields for the proxy alone."""

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Return the proxy of a URL such as ``http://user:password@proxy.example:3128``.

        The scheme may be missing, as in environment variables. The default port is 80. User
        and password may be percent-encoded.

        Raises:
            ValueError: another scheme, or no usable host. The message does not quote the
                text, which may hold a password.
        """
        scheme, _, rest = text.rpartition("://")
        if scheme.lower() not in ("", "http"):
            raise ValueError(
                "a proxy's URL begins with http:// (https proxies and SOCKS are not supported)"
            )
        rest = rest.removesuffix("/")
        if not {"/", "?", "#"}.isdisjoint(rest):
            # In a path or in a password: two readers would see two hosts.
            raise ValueError("a proxy's URL has no path; in a password, encode / ? and #")
        userinfo, _, authority = rest.rpartition("@")
        url = URL.parse(f"http://{authority}")
        if not userinfo:
            return cls(url)
        credentials = unquote_to_bytes(userinfo.encode("utf-8", "replace"))
        if ":" not in userinfo:
            credentials += b":"
        return cls(url, ((b"proxy-authorization", b"Basic " + b64encode(credentials)),))

    def __str__(self) -> str:
        return self.url.authority

    def __repr__(self) -> str:
        return f"<Proxy {self}>"


def proxy_from_environment(url: URL, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that the environment names for ``url``, or None.

    It is ``http_proxy`` or ``https_proxy``, by the URL's scheme, else ``all_proxy``, unless
    ``no_proxy`` names the host. The lower-case name takes precedence, even if it is empty,
    as in urllib. This host itself is never reached through a proxy, to which ``localhost``
    is another host, as in Go.

    ``HTTP_PROXY`` is ignored if ``REQUEST_METHOD`` is set, that is in a CGI script: there it
    is the client's field ``Proxy`` (CVE-2016-5385). urllib does the same.
    """
    if _is_this_host(url.host) or is_exempt(url, _variable("no_proxy", environment)):
        return None
    for name in (f"{url.scheme}_proxy", "all_proxy"):
        if value := _variable(name, environment):
            try:
                return Proxy.parse(value)
            except ValueError as exc:
                raise ValueError(f"{name} in the environment: {exc}") from None
    return None


def _variable(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name)
    if value is None and not (name == "http_proxy" and "REQUEST_METHOD" in environment):
        value = environment.get(name.upper())
    return (value or "").strip()


def is_exempt(url: URL, no_proxy: str) -> bool:
    """Return True if ``no_proxy`` names the host of ``url``.

    It is a comma-separated list. Case, and white space around its entries, is ignored:

    * ``*`` is every host (Go; in curl and urllib only as the whole list);
    * ``example.org``, ``.example.org``, ``*.example.org`` are the domain and its subdomains
      (curl and urllib; in Go the last two exclude the domain itself);
    * ``192.0.2.1``, ``2001:db8::1``, ``192.0.2.0/24``, ``2001:db8::/32`` match hosts that are
      given as addresses: no name is looked up (curl, Go);
    * ``host:port``, with any of these hosts, is only that port (Go, urllib); an IPv6
      address is in brackets there.
    """
    return any(_is_named(url, entry) for entry in no_proxy.split(","))


def _is_named(url: URL, entry: str) -> bool:
    host = entry.strip()
    if host_and_port := _HOST_AND_PORT.fullmatch(host):
        host = host_and_port[1]
        if int(host_and_port[2]) != url.port:
            return False
    if host == "*":
        return True
    address = _address(url.host)
    try:
        if address is not None:
            return address in ipaddress.ip_network(host.strip("[]"), strict=False)
        name = host.removeprefix("*.").strip(".").encode("idna").decode("ascii").lower()
    except ValueError:
        return False
    return bool(name) and f".{url.host.rstrip('.')}".endswith(f".{name}")


def _is_this_host(host: str) -> bool:
    if address := _address(host):
        return address.is_loopback
    return f".{host.rstrip('.')}".endswith(".localhost")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class Tunnel:
    """Asks a proxy for a connection to the origin of a URL: CONNECT (RFC 9110, 9.3.6).

        tunnel = Tunnel(proxy, url)
        send(tunnel.data_to_send())
        while not tunnel.open:
            tunnel.receive_data(read())         # b"" is the end of file

    Any answer but a 2xx is an error.
    """

    def __init__(self, proxy: Proxy, url: URL) -> None:
        self.open = False
        """True when all further bytes are the origin's."""
        self._proxy = proxy
        host = f"[{url.host}]" if ":" in url.host else url.host
        self._target = f"{host}:{url.port}"
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_SIZE)
        self._received = 0

    def data_to_send(self) -> bytes:
        """Return the request as bytes."""
        request = h11.Request(
            method="CONNECT",
            target=self._target,
            headers=[(b"host", self._target.encode()), *self._proxy.headers],
        )
        return (self._h11.send(request) or b"") + (self._h11.send(h11.EndOfMessage()) or b"")

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the proxy, ``b""`` at its end of file.

        Raises:
            ProxyError: it refuses. The body, which explains it to people, is not read.
            TransportError: it closed the connection without an answer.
            ProtocolError: its answer is not HTTP/1.1, or has no end.
        """
        if not data:
            raise TransportError(f"the proxy {self._proxy} closed the connection without an answer")
        if self._received < len(HTTP):
            begin = self._h11.trailing_data[0] + data
            if not HTTP.startswith(begin[: len(HTTP)]):
                # h11 would wait for a blank line, which a peer of another kind never sends.
                raise ProtocolError(f"the proxy {self._proxy} does not speak HTTP/1.1")
        try:
            self._h11.receive_data(data)
            self._received += len(data)
            head = self._h11.next_event()
            while isinstance(head, h11.InformationalResponse):
                head = self._h11.next_event()
        except h11.RemoteProtocolError as exc:
            raise ProtocolError(
                f"the proxy {self._proxy} broke HTTP/1.1: {str(exc)[:200]}"
            ) from exc
        waiting = len(self._h11.trailing_data[0])
        final = isinstance(head, h11.Response)
        # h11 checks its limit only while a head is incomplete, and for one head at a time.
        if self._received - (waiting if final else 0) > MAX_HEAD_SIZE:
            raise ProtocolError(f"a proxy's response head of more than {MAX_HEAD_SIZE} bytes")
        if not isinstance(head, h11.Response):
            return
        if not 200 <= head.status_code < 300:
            raise ProxyError(response_of(head), self._target)
        if waiting:
            # In TLS the client speaks first. A peer that speaks before it is not the origin.
            raise ProtocolError(f"the proxy {self._proxy} sent more than its answer")
        self.open = True
