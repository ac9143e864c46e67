"""Every exception that this package raises for what a peer did.

SSEError
├── ProtocolError          the peer broke HTTP/1.1
├── EventTooLarge          an event passed ``max_event_size``
├── ResponseError          a response that is not an event stream
├── TooManyRedirects       one attempt was redirected more than 20 times
├── SubscriberTooSlow      more events would have to wait for a subscriber than may
└── TransportError         connect, TLS, read or write failed, or the body was cut short
    ├── TLSError           the peer's certificate was refused, or it speaks no TLS
    ├── ProxyError         a proxy did not connect to the server
    └── TimeoutException   a time limit passed; also a built-in ``TimeoutError``
        ├── ConnectTimeout     name look-up, proxy, TCP and TLS together
        ├── WriteTimeout       the request could not be sent
        ├── ReadTimeout        no byte arrived
        │   └── HeadTimeout        no complete response head
        ├── EventTimeout       bytes, perhaps, but no event
        └── TotalTimeout       the stream as a whole took too long

What the caller did wrong is a TypeError, ValueError or RuntimeError.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._http.messages import Response

__all__ = [
    "ConnectTimeout",
    "EventTimeout",
    "EventTooLarge",
    "HeadTimeout",
    "ProtocolError",
    "ProxyError",
    "ReadTimeout",
    "ResponseError",
    "SSEError",
    "SubscriberTooSlow",
    "TLSError",
    "TimeoutException",
    "TooManyRedirects",
    "TotalTimeout",
    "TransportError",
    "WriteTimeout",
]


class SSEError(Exception):
    """The root of all exceptions of this toolkit."""


class ProtocolError(SSEError):
    """The peer broke HTTP/1.1, or passed one of the limits that guard its reading."""

    final = False
    """Whether it is a flood within a body, which asking again would bring again."""


class EventTooLarge(SSEError):
    """An event passed ``max_event_size``. No piece of it is ever delivered."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"an event is larger than max_event_size, {limit} bytes")
        self.limit = limit
        """The limit in force, in bytes."""

    def __reduce__(self) -> tuple[type[EventTooLarge], tuple[int]]:
        return type(self), (self.limit,)


class ResponseError(SSEError):
    """The server answered with something that is not an event stream."""

    def __init__(self, response: Response, body: bytes) -> None:
        coding = response.headers.get("content-encoding", "").strip()
        got = f"{response.status} {response.content_type or 'without a content type'}"
        if coding.lower() not in ("", "identity"):
            got += f", coded as {coding[:80]!r}"
        super().__init__(f"expected an event stream, got {got}")
        self.response = response
        """Status and headers of the answer."""
        self.body = body
        """The first bytes of its body, at most 64 KiB, as they came."""

    def __reduce__(self) -> tuple[type[ResponseError], tuple[Response, bytes]]:
        return type(self), (self.response, self.body)


class TooManyRedirects(SSEError):
    """One attempt was redirected more often than a chain of redirects may be long."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} redirects")
        self.limit = limit

    def __reduce__(self) -> tuple[type[TooManyRedirects], tuple[int]]:
        return type(self), (self.limit,)


class TransportError(SSEError):
    """Connecting, TLS, reading or writing failed, or a body was cut short."""


class TLSError(TransportError):
    """TLS could not be agreed on: the certificate was refused, or the peer speaks none."""


class ProxyError(TransportError):
    """A proxy did not connect to the server: it refused, or could not."""

    def __init__(self, response: Response, target: str) -> None:
        super().__init__(f"the proxy did not connect to {target}: it answered {response.status}")
        self.response = response
        """Status and headers of the proxy's answer; 407 asks for other credentials."""
        self.target = target
        """Host and port that it was asked for."""

    def __reduce__(self) -> tuple[type[ProxyError], tuple[Response, str]]:
        return type(self), (self.response, self.target)


class SubscriberTooSlow(SSEError):
    """More events would have to wait for a subscriber of a Broadcast than may."""

    def __init__(self, lost: int) -> None:
        super().__init__(f"a subscriber was too slow: it would lose {lost} events")
        self.lost = lost
        """How many events it would lose, if it went on."""


class TimeoutException(TransportError, TimeoutError):
    """A time limit passed. The base of the exceptions for each limit."""


class ConnectTimeout(TimeoutException):
    """No connection within the limit: name look-up, proxy, TCP and TLS together."""


class WriteTimeout(TimeoutException):
    """The request could not be sent within the limit."""


class ReadTimeout(TimeoutException):
    """No byte came within the limit."""


class HeadTimeout(ReadTimeout):
    """The response head was not complete within the limit."""


class EventTimeout(TimeoutException):
    """No event was dispatched within the limit, though comments or other bytes may have come."""


class TotalTimeout(TimeoutException):
    """The stream did not end within the limit for all of it."""
