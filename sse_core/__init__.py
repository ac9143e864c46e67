"""Server-Sent Events: a sans-IO parser and encoder, and clients and servers built on them.

Everything that needs sockets is imported on first use, so importing this package for the
parser alone costs next to nothing.
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
from ._iterate import aiter_events, iter_events
from ._parser import DEFAULT_MAX_EVENT_SIZE, EventStreamParser
from .lazy import TYPE_CHECKING, publish

if TYPE_CHECKING:
    from ._client.reconnection import Disconnected, Opened, Reconnection
    from ._client.source import EventSource
    from ._client.stream import Client, EventStream, stream
    from ._frames import FrameSplitter
    from ._given import NOT_GIVEN, NotGiven
    from ._http.exchange import BodyReader, Connection
    from ._http.limits import Timeout
    from ._http.messages import Headers, Request, Response
    from ._server.broadcast import Broadcast, Subscription
    from ._server.host import serve
    from ._server.response import EventStreamResponse

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_MAX_EVENT_SIZE",
    "Comment",
    "ConnectTimeout",
    "EventStreamParser",
    "EventTimeout",
    "EventTooLarge",
    "HeadTimeout",
    "ProtocolError",
    "ProxyError",
    "ReadTimeout",
    "ResponseError",
    "SSEError",
    "ServerSentEvent",
    "SubscriberTooSlow",
    "TLSError",
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
]
publish(globals())

__all__ += ["Disconnected", "Opened", "Reconnection"]
publish(globals(), "_client.reconnection")
__all__ += ["EventSource"]
publish(globals(), "_client.source")
__all__ += ["Client", "EventStream", "stream"]
publish(globals(), "_client.stream")
__all__ += ["FrameSplitter"]
publish(globals(), "_frames")
__all__ += ["NOT_GIVEN", "NotGiven"]
publish(globals(), "_given")
__all__ += ["BodyReader", "Connection"]
publish(globals(), "_http.exchange")
__all__ += ["Timeout"]
publish(globals(), "_http.limits")
__all__ += ["Headers", "Request", "Response"]
publish(globals(), "_http.messages")
__all__ += ["Broadcast", "Subscription"]
publish(globals(), "_server.broadcast")
__all__ += ["serve"]
publish(globals(), "_server.host")
__all__ += ["EventStreamResponse"]
publish(globals(), "_server.response")
