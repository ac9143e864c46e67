"""The values of an HTTP exchange: URL, Request, Headers, Response.

A caller's mistakes are refused here, before a socket is opened, so that a Request is always
one well-formed HTTP/1.1 request. No ``repr`` shows a header's value, a query or a body,
because any of them may hold a secret.
"""

from __future__ import annotations

import ipaddress
import json as jsonlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias, cast
from urllib.parse import SplitResult, quote, urlsplit

HeadersInput: TypeAlias = "Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]"

EVENT_STREAM = "text/event-stream"

_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 9110, 5.6.2. A field name and a method are tokens.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# RFC 9110, 5.5, with the octets that h11 refuses: no control characters but tab, no
# white space at the ends.
_FIELD_VALUE = re.compile(rb"(?![\t ])[\t\x20-\x7e\x80-\xff]*(?<![\t ])")

# h11 refuses field values with these; it sends other control characters.
_NOT_IN_ID = re.compile(rb"[\0\n\v\f\r]")

# The host names that are looked up and compared; stricter than RFC 3986.
_REG_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?")

# urlsplit would silently drop some of these, and browsers read a backslash as a slash, so
# that two readers would see two hosts. UTF-8 cannot encode lone surrogates.
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

# Host and port. urlsplit would drop characters around brackets.
_AUTHORITY = re.compile(r"(\[[^\[\]%]*\]|[^\[\]:]*)(?::([0-9]{0,5}))?")


@dataclass(frozen=True, slots=True)
class URL:
    """An absolute http or https URL, ready to connect to.

    Host names outside ASCII are converted to IDNA, other characters outside ASCII to
    percent-encoded UTF-8. A fragment is dropped.

    Raises:
        ValueError: not an http or https URL, no usable host, credentials, or characters that
            a URL must not contain.
    """

    scheme: str
    host: str
    """Lower case; an IPv6 address has no brackets."""
    port: int
    target: str
    """Path and query, as in the request line."""

    @classmethod
    def parse(cls, url: str) -> URL:
        if _NOT_IN_URL.search(url):
            raise ValueError("a URL must not contain spaces, control characters or backslashes")
        parts = _split(url)
        if parts is None:
            raise ValueError("not a URL: the part between scheme and path cannot be read")
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError(f"expected an http or https URL, got scheme {parts.scheme!r}")
        if "@" in parts.netloc:
            raise ValueError("credentials in a URL are not sent: pass an Authorization header")
        authority = _AUTHORITY.fullmatch(parts.netloc)
        if authority is None or int(authority[2] or 0) > 65535:
            raise ValueError("expected a host, and optionally a port up to 65535")
        port = int(authority[2]) if authority[2] else _DEFAULT_PORTS[parts.scheme]
        path = quote(parts.path or "/", safe="/%!$&'()*+,;=:@~-._")
        query = quote(parts.query, safe="/%!$&'()*+,;=:@~-._?[]{}|^`")
        target = f"{path}?{query}" if query else path
        return cls(parts.scheme, _host(authority[1]), port, target)

    @property
    def authority(self) -> str:
        """The value of the Host field: the host, and the port unless it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port. Secrets are only sent to the same origin."""
        return self.scheme, self.host, self.port

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    def __repr__(self) -> str:
        path, question_mark, _ = self.target.partition("?")
        return f"URL({self.scheme}://{self.authority}{path}{question_mark and '?…'})"


def _split(url: str) -> SplitResult | None:
    # The message of urlsplit's exception quotes the URL, which may hold a secret.
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _host(host: str) -> str:
    if host.startswith("["):
        return str(ipaddress.IPv6Address(host[1:-1]))
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError as exc:
        raise ValueError(f"not a host name: {host!r}") from exc
    if not _REG_NAME.fullmatch(name):
        raise ValueError(f"not a host name: {host!r}")
    return name


class Headers(Mapping[str, str]):
    """Header fields of a response: a mapping whose names ignore case.

    Several fields of one name are joined with ``", "`` (RFC 9110, 5.3); ``get_all`` returns
    them one by one. Octets outside ASCII are read as Latin-1.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._fields = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fields
        ]

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields of that name, in order."""
        name = name.lower()
        return [value for field_name, value in self._fields if field_name == name]

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._fields))

    def __len__(self) -> int:
        return len({name for name, _ in self._fields})

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Request:
    """One HTTP request for an event stream, sent again at each reconnect.

    It has these fields unless ``headers`` has one of the same name:
    ``Accept: text/event-stream``, ``Cache-Control: no-cache``, ``Accept-Encoding: identity``
    (a coded event stream may come late or as a bomb) and ``User-Agent``. ``Host`` and
    ``Content-Length`` are set automatically.

    Args:
        url: an absolute http or https URL.
        method: any method; by default POST with a body, GET without.
        headers: further fields. Text must be ASCII; bytes are sent as they are.
        content: the body, as bytes or as text to be sent as UTF-8.
        json: the body as a value to be sent as JSON, with its content type.

    Raises:
        ValueError: the arguments do not make one well-formed request; there are two bodies;
            or ``headers`` contains ``Last-Event-ID``, which has its own argument elsewhere.
    """

    url: URL
    method: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def __init__(
        self,
        url: str | URL,
        method: str | None = None,
        *,
        headers: HeadersInput | None = None,
        content: bytes | str | None = None,
        json: Any = None,
    ) -> None:
        if content is not None and json is not None:
            raise ValueError("a request has one body: give content or json, not both")
        if json is not None:
            content = jsonlib.dumps(json, allow_nan=False)
        body = _body(content)
        if method is None:
            method = "GET" if content is None else "POST"
        if not _TOKEN.fullmatch(method) or method == "CONNECT":
            raise ValueError(f"not an HTTP method for a stream: {method!r}")
        parsed = url if isinstance(url, URL) else URL.parse(url)

        fields = {
            b"host": parsed.authority.encode(),
            b"accept": EVENT_STREAM.encode(),
            b"accept-encoding": b"identity",
            b"cache-control": b"no-cache",
            b"user-agent": b"sse-toolkit",
        }
        if json is not None:
            fields[b"content-type"] = b"application/json"
        given = [_field(name, value) for name, value in _pairs(headers)]
        for name, _ in given:
            if name in _NOT_FOR_CALLERS:
                raise ValueError(f"the header {name.decode()} cannot be set")
            fields.pop(name, None)
        if sum(name == b"host" for name, _ in given) > 1:
            raise ValueError("more than one Host header")
        if content is not None or method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
            # RFC 9110, 8.6: a method that anticipates content states its length, even if 0.
            fields[b"content-length"] = b"%d" % len(body)
        object.__setattr__(self, "url", parsed)
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "headers", (*fields.items(), *given))
        object.__setattr__(self, "body", body)

    def with_headers(self, headers: HeadersInput) -> Request:
        """Return the same request with other headers."""
        given = list(_pairs(headers))
        if not any(name.lower() == "content-type" for name, _ in given):
            given += [
                ("content-type", value) for name, value in self.headers if name == b"content-type"
            ]
        return Request(self.url, self.method, headers=given, content=self.body or None)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url!r}>"


# Framing is ours. A last event ID that no parser knows would be sent forever.
_NOT_FOR_CALLERS = {b"content-length", b"transfer-encoding", b"last-event-id"}


def _body(content: bytes | str | None) -> bytes:
    if content is None:
        return b""
    if isinstance(content, str):
        if _SURROGATE.search(content):  # a UnicodeEncodeError would quote the whole text
            raise ValueError("content contains a lone surrogate, which UTF-8 cannot encode")
        return content.encode()
    return bytes(memoryview(content))  # refuses a number, which bytes() would turn into NULs


def _pairs(headers: HeadersInput | None) -> Iterable[tuple[str, str | bytes]]:
    if isinstance(headers, Mapping):
        return cast("Mapping[str, str | bytes]", headers).items()
    return headers or ()


def merged(
    defaults: HeadersInput | None, given: HeadersInput | None
) -> list[tuple[str, str | bytes]]:
    """Return the given headers, and the defaults for names that are not among them."""
    pairs = list(_pairs(given))
    names = {name.lower() for name, _ in pairs}
    return [pair for pair in _pairs(defaults) if pair[0].lower() not in names] + pairs


def _field(name: str, value: str | bytes) -> tuple[bytes, bytes]:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"not a header name: {name!r}")
    # No message quotes the value: it may be a key.
    if isinstance(value, str):
        if not value.isascii():
            raise ValueError(f"header {name!r} is not ASCII; pass bytes to send other octets")
        value = value.encode()
    if not _FIELD_VALUE.fullmatch(value):
        raise ValueError(
            f"header {name!r} contains a control character, or white space at its ends"
        )
    return name.lower().encode(), bytes(value)


def check_last_event_id(last_event_id: str) -> None:
    """Raise ValueError for an ID that no stream can have set."""
    if not {"\r", "\n", "\0"}.isdisjoint(last_event_id):
        raise ValueError("a last event ID must not contain CR, LF or NUL")


def last_event_id_field(last_event_id: str) -> tuple[bytes, bytes] | None:
    """Return the header field that sends an ID back, None if it cannot be sent.

    An ID is sent as UTF-8, without white space at its ends, which HTTP would strip. An ID is
    left out if it has VT or FF (h11 refuses them), NUL or a line break, or more than 8 KiB
    (servers refuse it): one such ID would make every reconnect fail.
    """
    value = last_event_id.encode("utf-8", "replace").strip(b" \t")
    if not value or len(value) > 8192 or _NOT_IN_ID.search(value):
        return None
    return b"last-event-id", value


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """The head of a response: status and headers."""

    status: int
    headers: Headers = field(default_factory=Headers)
    http_version: str = "1.1"
    reason: str = ""

    @property
    def content_type(self) -> str:
        """The essence of the last usable Content-Type: lower case, no parameters; or ``""``."""
        for value in reversed(self.headers.get_all("content-type")):
            essence = value.partition(";")[0].strip(" \t").lower()
            if _MEDIA_TYPE.fullmatch(essence):
                return essence
        return ""

    @property
    def is_event_stream(self) -> bool:
        """True if the body is an event stream: status 200, its content type, no coding."""
        coding = self.headers.get("content-encoding", "").strip().lower()
        return (
            self.status == 200 and self.content_type == EVENT_STREAM and coding in ("", "identity")
        )

    def retry_after(self, *, now: datetime | None = None) -> float | None:
        """Return the seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3), or None.

        A date in the past is zero. A value that is neither a number nor a date is ignored.
        ``now`` is the wall-clock time that dates are compared with, by default the present.
        """
        value = self.headers.get("retry-after", "")
        delay = seconds(value)
        if delay is None and value:
            try:
                date = parsedate_to_datetime(value)
                date = date.replace(tzinfo=date.tzinfo or UTC)
                delay = max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
            except (ValueError, OverflowError):
                return None
        return delay

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.content_type}>"


def seconds(value: str) -> float | None:
    """Return a number of seconds, whole or decimal; None for anything else."""
    digits = value.strip().replace(".", "", 1)
    return float(value) if digits.isascii() and digits.isdigit() else None


_MEDIA_TYPE = re.compile(rf"{_TOKEN.pattern}/{_TOKEN.pattern}")
