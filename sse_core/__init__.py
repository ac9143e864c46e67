"""Server-Sent Events: a sans-IO parser and encoder, and clients around them.

The parser, the encoder and the errors are here at once; what needs sockets is
imported on first use, so that embedding the parser costs next to nothing.
"""

from __future__ import annotations

from ._encoder import encode, encode_comment, encode_retry
from ._errors import (
    ConnectTimeout,
    EventTooLarge,
    HeadTimeout,
    ProtocolError,
    ReadTimeout,
    ResponseError,
    SSEError,
    TimeoutException,
    TransportError,
)
from ._events import Comment, ServerSentEvent
from ._parser import EventStreamParser, aiter_events, iter_events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._client import EventStream, stream
    from ._connection import Connection
    from ._http import Headers, Request, Response, Timeout

__version__ = "0.1.0"

__all__ = [
    "Comment",
    "ConnectTimeout",
    "Connection",
    "EventStream",
    "EventStreamParser",
    "EventTooLarge",
    "HeadTimeout",
    "Headers",
    "ProtocolError",
    "ReadTimeout",
    "Request",
    "Response",
    "ResponseError",
    "SSEError",
    "ServerSentEvent",
    "Timeout",
    "TimeoutException",
    "TransportError",
    "aiter_events",
    "encode",
    "encode_comment",
    "encode_retry",
    "iter_events",
    "stream",
]

_LAZY = {
    "Connection": "_connection",
    "EventStream": "_client",
    "Headers": "_http",
    "Request": "_http",
    "Response": "_http",
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
