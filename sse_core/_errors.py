"""All exceptions for errors of the peer or the network.

SSEError
├── ProtocolError          the peer broke HTTP/1.1
├── EventTooLarge          an event exceeded ``max_event_size``
├── ResponseError          the response is not an event stream
├── TooManyRedirects       one attempt was redirected more than 20 times
├── SubscriberTooSlow      more events would wait for a subscriber than allowed
└── TransportError         connect, TLS, read or write failed, or the body was cut short
    ├── TLSError           the peer's certificate was refused, or it does not speak TLS
    ├── ProxyError         a proxy did not connect to the server
    └── TimeoutException   a time limit was exceeded; also a built-in ``TimeoutError``
        ├── ConnectTimeout     DNS lookup, proxy, TCP and TLS together
        ├── WriteTimeout       the request could not be sent
        ├── ReadTimeout        no byte arrived
        │   └── HeadTimeout        no complete response head
        ├── EventTimeout       no event, though other bytes may have arrived
        └── TotalTimeout       the whole stream took too long

Errors of the caller are TypeError, ValueError or RuntimeError.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._http.messages import Response


class SSEError(Exception):
    """The base class of all exceptions of this toolkit."""


class ProtocolError(SSEError):
    """The peer broke HTTP/1.1, or exceeded one of the limits that protect its reader."""

    final = False
    """True if the peer flooded us inside a body; retrying would only repeat it."""


class EventTooLarge(SSEError):
    """An event exceeded ``max_event_size``. No part of it is delivered."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"an event is larger than max_event_size, {limit} bytes")
        self.limit = limit
        """The limit, in bytes."""

    def __reduce__(self) -> tuple[type[EventTooLarge], tuple[int]]:
        return type(self), (self.limit,)


class ResponseError(SSEError):
    """The server's response is not an event stream."""

    def __init__(self, response: Response, body: bytes) -> None:
        coding = response.headers.get("content-encoding", "").strip()
        got = f"{response.status} {response.content_type or 'without a content type'}"
        if coding.lower() not in ("", "identity"):
            got += f", coded as {coding[:80]!r}"
        super().__init__(f"expected an event stream, got {got}")
        self.response = response
        """Status and headers of the response."""
        self.body = body
        """The first bytes of its body, undecoded; at most 64 KiB."""

    def __reduce__(self) -> tuple[type[ResponseError], tuple[Response, bytes]]:
        return type(self), (self.response, self.body)


class TooManyRedirects(SSEError):
    """One attempt was redirected too often."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} redirects")
        self.limit = limit
        """The most redirects that one attempt follows."""

    def __reduce__(self) -> tuple[type[TooManyRedirects], tuple[int]]:
        return type(self), (self.limit,)


class TransportError(SSEError):
    """Connecting, TLS, reading or writing failed, or a body was cut short."""


class TLSError(TransportError):
    """The TLS handshake failed: the certificate was refused, or the peer does not speak TLS."""


class ProxyError(TransportError):
    """A proxy refused or failed to connect to the server."""

    def __init__(self, response: Response, target: str) -> None:
        super().__init__(f"the proxy did not connect to {target}: it answered {response.status}")
        self.response = response
        """Status and headers of the proxy's response; 407 asks for other credentials."""
        self.target = target
        """The host and port that it was asked to connect to."""

    def __reduce__(self) -> tuple[type[ProxyError], tuple[Response, str]]:
        return type(self), (self.response, self.target)


class SubscriberTooSlow(SSEError):
    """More events would wait for a subscriber of a Broadcast than allowed."""

    def __init__(self, lost: int) -> None:
        super().__init__(f"a subscriber was too slow: it would lose {lost} events")
        self.lost = lost
        """The number of events that it would lose if it continued."""


class TimeoutException(TransportError, TimeoutError):
    """A time limit was exceeded. The base class of the exceptions for each limit."""


class ConnectTimeout(TimeoutException):
    """No connection within the limit, which covers DNS lookup, proxy, TCP and TLS."""


class WriteTimeout(TimeoutException):
    """The request could not be sent within the limit."""


class ReadTimeout(TimeoutException):
    """No byte arrived within the limit."""


class HeadTimeout(ReadTimeout):
    """The response head was not complete within the limit."""


class EventTimeout(TimeoutException):
    """No event was dispatched within the limit, though other bytes may have arrived."""


class TotalTimeout(TimeoutException):
    """The stream did not end within the limit for the whole stream."""
