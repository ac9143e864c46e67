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
    from ._asgi import EventStreamResponse
    from ._broadcast import Broadcast, Subscription
    from ._client import Client, EventStream, stream
    from ._connection import Connection
    from ._event_source import EventSource
    from ._http import Headers, Request, Response, Timeout
    from ._reconnect import Disconnected, Opened, Reconnection

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
    "Broadcast": "_broadcast",
    "Client": "_client",
    "Connection": "_connection",
    "Disconnected": "_reconnect",
    "EventSource": "_event_source",
    "EventStream": "_client",
    "EventStreamResponse": "_asgi",
    "Headers": "_http",
    "Opened": "_reconnect",
    "Reconnection": "_reconnect",
    "Request": "_http",
    "Response": "_http",
    "Subscription": "_broadcast",
    "Timeout": "_http",
    "stream": "_client",
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
