"""One request and the event stream that answers it: parts of a response in, events out.

    connection = Connection(request)
    send(connection.data_to_send())
    while not connection.ended:
        for event in connection.receive_data(read()):    # b"" is the end of file
            ...

``Exchange`` decides what a response means: a stream, a redirect, an error. It takes heads,
pieces of the body and ends, and knows no positions and no framing. ``Connection`` is the
exchange over this toolkit's own ``Wire``. Nothing here reads, sends or waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from .._errors import ResponseError, SSEError, TimeoutException, TransportError
from .._events import Comment, ServerSentEvent
from .._parser import DEFAULT_MAX_EVENT_SIZE, EventStreamParser
from .messages import Request, Response, last_event_id_field
from .redirects import Redirects, is_redirect
from .wire import End, Part, Wire

if TYPE_CHECKING:
    from .proxies import Proxy

MAX_ERROR_BODY = 64 * 1024
"""Bytes kept of a body that is not an event stream."""

Item = TypeVar("Item", bound=ServerSentEvent | Comment)


class BodyReader(Protocol):
    """A reader in the parser's place: it says which bodies it reads, and makes items of them.

    ``receive_data`` raises an SSEError only where it returns nothing. An error after items
    sets ``failed``, and the next call raises it.
    """

    failed: bool
    last_event_id: str
    reconnection_time: int | None

    def accepts(self, response: Response) -> bool:
        """Return True for the response that was asked for, False for a ``ResponseError``."""
        ...

    def receive_data(self, data: bytes) -> list[Any]:
        """Take bytes of the body; return the items they complete."""
        ...

    def receive_eof(self) -> Any:
        """Take the end of the body, which was whole."""


class Exchange(Generic[Item]):
    """The meaning of one response: which events it brings, and how it ends."""

    def __init__(
        self,
        request: Request,
        *,
        last_event_id: str = "",
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        comments: bool = False,
        redirects: Redirects | None = None,
        reader: BodyReader | None = None,
    ) -> None:
        self.request = request
        self.parser: EventStreamParser[Item] | BodyReader = reader or EventStreamParser(
            last_event_id, max_event_size, comments
        )
        self._reader = reader
        self._max_event_size = max_event_size
        self._comments = comments
        self._redirects = redirects
        self._begin()

    def _begin(self) -> None:
        self.response: Response | None = None
        """Status and headers, as soon as they have been read."""
        self.ended = False
        """True when the exchange is over: no more bytes are wanted."""
        self.end: End | None = None
        """How a stream ended: by its framing, or by the peer's close where that is legal."""
        self._failure: SSEError | None = None
        self._error_body: bytearray | None = None

    @property
    def answered(self) -> bool:
        """True once the response is known to be an event stream or an error."""
        return self.ended or (self.response is not None and self._error_body is None)

    @property
    def failed(self) -> bool:
        """True if the next call to receive data will raise, so that it needs no bytes."""
        return self._failure is not None

    def receive_parts(self, parts: list[Part]) -> list[Item]:
        """Take parts of the response; return the events they complete.

        It raises as ``Connection.receive_data`` does, and any error that is one of the parts.
        """
        items: list[Item] = []
        try:
            if self._failure is not None:
                raise self._failure
            for part in () if self.ended else parts:
                if isinstance(part, bytes):
                    if self._error_body is not None:
                        self._receive_error_body(part, self._error_body)
                    elif completed := self.parser.receive_data(part):
                        items += completed
                        if self.parser.failed:
                            self.parser.receive_data(b"")  # raises at once
                elif isinstance(part, Response):
                    self._receive_head(part)
                elif isinstance(part, str):
                    self._receive_end(part)
                else:
                    raise self._news(part)
        except SSEError as exc:
            self._failure = exc
            self.ended = not items
            if not items:
                raise
        return items

    def redirected(self, error: ResponseError) -> Self:
        """Return the exchange that replaces this one after a redirect, or raise ``error``."""
        if self._redirects is None or not self._redirects.follow(error.response):
            raise error
        return type(self)(
            self._redirects.request,
            last_event_id=self.parser.last_event_id,
            max_event_size=self._max_event_size,
            comments=self._comments,
            redirects=self._redirects,
            reader=self._reader,
        )

    def transport_failed(self, error: TransportError) -> SSEError:
        """Return the exception to raise after reading failed with ``error``."""
        self.ended = True
        return self._news(error)

    def _news(self, error: SSEError) -> SSEError:
        # A response that is not an event stream stays the news, however it ends.
        return error if self._error_body is None else self._response_error(self._error_body)

    def _response_error(self, body: bytearray) -> ResponseError:
        assert self.response is not None
        return ResponseError(self.response, bytes(body))

    def _receive_head(self, response: Response) -> None:
        self.response = response
        if not (_is_stream if self._reader is None else self._reader.accepts)(response):
            self._error_body = bytearray()
            if is_redirect(response):
                # Its body is for people, and may never end.
                raise self._response_error(self._error_body)

    def _receive_error_body(self, data: bytes, body: bytearray) -> None:
        body += data
        if len(body) >= MAX_ERROR_BODY:
            del body[MAX_ERROR_BODY:]
            raise self._response_error(body)

    def _receive_end(self, end: End) -> None:
        if self._error_body is not None:
            raise self._response_error(self._error_body)
        self.ended = True
        self.end = end
        self.parser.receive_eof()


class Connection(Exchange[Item]):
    """A sans-IO HTTP/1.1 client for one request and the event stream that answers it.

    ``last_event_id``, ``max_event_size`` and ``comments`` are those of
    ``EventStreamParser``; the last event ID also goes out as ``Last-Event-ID``. With
    ``redirects``, ``redirected`` returns the exchange that follows a redirect. A ``reader``
    takes the parser's place where a body is passed on and not parsed.
    """

    def _begin(self) -> None:
        super()._begin()
        self.unsent = False
        """To be set to True if the request could not be sent to its end."""
        self._wire = Wire()

    @property
    def received(self) -> int:
        """The number of bytes that have come from the peer."""
        return self._wire.received

    @property
    def reusable(self) -> bool:
        """True if the socket can carry another request: the body ended where its framing
        said, nothing followed it, and both sides keep the connection alive."""
        return self._wire.reusable and not self.unsent

    def data_to_send(self, proxy: Proxy | None = None) -> bytes:
        """Return the request as bytes: all of it on the first call, nothing later.

        For an http URL, the request goes to ``proxy`` itself, with the header fields that
        are meant for the proxy. For https the proxy has made a tunnel, and the request is
        for the origin alone, without ``Proxy-Authorization`` (compare CVE-2023-32681).
        """
        request = self.request
        target, headers = request.url.target, list(request.headers)
        if proxy is not None:
            if proxy.headers or request.url.scheme == "https":
                headers = [field for field in headers if field[0] != b"proxy-authorization"]
            if request.url.scheme == "http":
                target = str(request.url)  # absolute form (RFC 9112, 3.2.2)
                headers += proxy.headers
        if field := last_event_id_field(self.parser.last_event_id):
            headers.append(field)
        return self._wire.data_to_send(request.method, target, headers, request.body)

    def receive_data(self, data: bytes) -> list[Item]:
        """Take bytes from the peer, ``b""`` at its end of file; return the events they complete.

        An error after complete events is raised by the next call, so that the events come
        first. Nothing is looked at after the end.

        Raises:
            ResponseError: the response is not an event stream. Raised when its body, or
                the first 64 KiB of it, has come.
            TransportError: the peer closed inside the head or the body.
            ProtocolError: not HTTP/1.1, or beyond the limits for heads and framing.
            EventTooLarge: from the parser.
        """
        return self.receive_parts(self._wire.receive_data(data))

    def begin_again(self, error: TransportError) -> bool:
        """Return True, and start over, if ``error`` shows that a kept connection had died.

        The peer closed it before any byte of the response, so it had done so before the
        request came, and the request is to be sent again.
        """
        if self.received or isinstance(error, TimeoutException):
            return False
        self._begin()
        return True


def _is_stream(response: Response) -> bool:
    # 204 tells a client to stop: a stream without events, whatever its headers say.
    return response.status == 204 or response.is_event_stream
