"""Server-Sent Events: a sans-IO parser and encoder, and clients around them.

The parser, the encoder and the errors are here at once; what needs sockets is
imported on first use, so that embedding the parser costs next to nothing.
"""

from __future__ import annotations

from ._encoder import encode, encode_comment, encode_retry
from ._errors import (
    ConnectTimeout,
    EventTimeout,
    EventTooLarge,
    HeadTimeout,
    ProtocolError,
    ProxyError,
    ReadTimeout,
    ResponseError,
    SSEError,
    SubscriberTooSlow,
    TimeoutException,
    TLSError,
    TooManyRedirects,
    TotalTimeout,
    TransportError,
    WriteTimeout,
)
from ._events import Comment, ServerSentEvent
from ._parser import EventStreamParser, aiter_events, iter_events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._client.reconnection import Disconnected, Opened, Reconnection
    from ._client.source import EventSource
    from ._client.stream import Client, EventStream, stream
    from ._http.exchange import Connection
    from ._http.messages import Headers, Request, Response, Timeout
    from ._server.broadcast import Broadcast, Subscription
    from ._server.response import EventStreamResponse

__version__ = "0.1.0"

__all__ = [
    "Broadcast",
    "Client",
    "Comment",
    "ConnectTimeout",
    "Connection",
    "Disconnected",
    "EventSource",
    "EventStream",
    "EventStreamParser",
    "EventStreamResponse",
    "EventTimeout",
    "EventTooLarge",
    "HeadTimeout",
    "Headers",
    "Opened",
    "ProtocolError",
    "ProxyError",
    "ReadTimeout",
    "Reconnection",
    "Request",
    "Response",
    "ResponseError",
    "SSEError",
    "ServerSentEvent",
    "SubscriberTooSlow",
    "Subscription",
    "TLSError",
    "Timeout",
    "TimeoutException",
    "TooManyRedirects",
    "TotalTimeout",
    "TransportError",
    "WriteTimeout",
    "aiter_events",
    "encode",
    "encode_comment",
    "encode_retry",
    "iter_events",
    "stream",
]

_LAZY = {
    "Broadcast": "_server.broadcast",
    "Client": "_client.stream",
    "Connection": "_http.exchange",
    "Disconnected": "_client.reconnection",
    "EventSource": "_client.source",
    "EventStream": "_client.stream",
    "EventStreamResponse": "_server.response",
    "Headers": "_http.messages",
    "Opened": "_client.reconnection",
    "Reconnection": "_client.reconnection",
    "Request": "_http.messages",
    "Response": "_http.messages",
    "Subscription": "_server.broadcast",
    "Timeout": "_http.messages",
    "stream": "_client.stream",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
