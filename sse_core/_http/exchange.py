"""One HTTP/1.1 exchange whose answer is an event stream: bytes in, events out.

    connection = Connection(request)
    send(connection.data_to_send())
    while not connection.ended:
        for event in connection.receive_data(read()):    # b"" is the end of file
            ...

h11 reads the head and the framing; what the response means is decided here. Whole plain
chunks do not reach h11: see ``_chunked``. Nothing here reads, sends or waits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypedDict, TypeVar

import h11

from .._errors import (
    ProtocolError,
    ResponseError,
    SSEError,
    TimeoutException,
    TransportError,
)
from .._events import Comment, ServerSentEvent
from .._parser import DEFAULT_MAX_EVENT_SIZE, EventStreamParser
from .chunks import MAX_DIGITS, chunk_length, skim
from .messages import (
    EVENT_STREAM,
    Headers,
    HeadersInput,
    Request,
    Response,
    Timeout,
    last_event_id_field,
    merged,
)
from .redirects import Redirects, is_redirect

if TYPE_CHECKING:
    import os
    import ssl

    from .proxies import Proxy

__all__ = ["Connection"]

MAX_HEAD_SIZE = 64 * 1024
"""Bytes of one response head; nginx and Node allow 8 to 32 KiB, browsers up to 256."""

MAX_HEAD_FIELDS = 128
MAX_INFORMATIONAL = 8
"""1xx responses before the final one. A server needs two: 100 and 103."""

MAX_ERROR_BODY = 64 * 1024
"""Bytes kept of a body that is no event stream."""

MAX_CHUNK_OVERHEAD = 16 * 1024
"""Bytes of chunk extensions and trailers in one body (compare CVE-2023-39326)."""

_HTTP = b"HTTP/1."

# Obsolete line folding (RFC 9112, 5.2): two readers may see two values. h11 takes it.
_FOLDED_LINE = re.compile(rb"\n[ \t]")

_BLANK_LINE = re.compile(rb"\n\r?\n")

# The most that a plain chunk's framing takes: its digits and two line ends.
_CHUNK_FRAMING = MAX_DIGITS + 4

# Off where the tests compare, so that h11 reads every byte.
_SKIM = True

# h11 checks its own limit only when no event came out, so that it depends on the cut:
# a head of 10 MB in one piece passes. It is fed pieces of this size, and its limit
# stands behind ours, which count bytes.
_PIECE = 64 * 1024

Item = TypeVar("Item", bound=ServerSentEvent | Comment)


class ConnectionOptions(TypedDict, total=False):
    """What ``open_connection`` takes of the arguments of ``stream``, for type checkers."""

    method: str | None
    headers: HeadersInput | None
    content: bytes | str | None
    json: Any
    last_event_id: str
    max_event_size: int | None
    allow_http: bool


class RequestOptions(ConnectionOptions, total=False):
    """The keyword arguments of both shells' ``Client.stream``, for type checkers."""

    timeout: Timeout | float | None


class StreamOptions(RequestOptions, total=False):
    """The keyword arguments of both shells' ``stream``, for type checkers."""

    ssl_context: ssl.SSLContext | None
    proxy: str | None
    trust_env: bool
    uds: str | os.PathLike[str] | None


class BodyReader(Protocol):
    """What can stand in the parser's place: it says which bodies it reads, and makes items of them.

    ``receive_data`` raises an SSEError only where it returns nothing; what goes wrong behind
    items sets ``failed``, and the next call raises.
    """

    failed: bool
    last_event_id: str
    reconnection_time: int | None

    def accepts(self, response: Response) -> bool:
        """Return whether this response is what was asked for, and no ``ResponseError``."""
        ...

    def receive_data(self, data: bytes) -> list[Any]:
        """Take bytes of the body; return what they complete."""
        ...

    def receive_eof(self) -> Any:
        """Take the end of the body, which was whole."""


class Connection(Generic[Item]):
    """A sans-IO client for one request and the event stream that answers it.

    ``last_event_id``, ``max_event_size`` and ``comments`` are those of
    ``EventStreamParser``; the last event ID also goes out as ``Last-Event-ID``. With
    ``redirects``, ``redirected`` has the exchange that follows a redirect. ``reader``, where
    a body is handed on and not parsed, takes the parser's place.
    """

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
        self.response: Response | None = None
        """Status and headers, as soon as they have been read."""
        self.ended = False
        """Whether the exchange is over: no more bytes are wanted."""
        self.end: Literal["complete", "closed"] | None = None
        """How a stream ended: by its framing, or by the peer's close where that is legal."""
        self.unsent = False
        """Set where the request could not be sent to its end."""
        self.reusable = False
        """Whether the socket could serve another request: the body ended by its framing, nothing
        came behind it, and both sides keep the connection alive."""
        self._max_event_size = max_event_size
        self._comments = comments
        self.parser: EventStreamParser[Item] | BodyReader = reader or EventStreamParser(
            last_event_id, max_event_size, comments
        )
        self._accepts = reader.accepts if reader else _is_stream
        self._redirects = redirects
        self._failure: SSEError | None = None
        self._h11 = _http11()
        self.received = 0
        """How many bytes have come from the peer."""
        # How many of them have been read: by h11, or in its place.
        self._received = 0
        self._head = bytearray()
        self._informational = 0
        # Where the head being read, or the framing between two pieces of the body, began.
        self._start = 0
        self._overhead = 0
        # Where h11 meets the next chunk after the data it handed out last; 0 is unknown.
        self._next_chunk = 0
        # What h11 holds of that chunk's head, if it waits for it: nothing between two chunks.
        self._held: bytes | None = None
        # Where the chunk ends that h11 is to have for itself.
        self._chunk_end = 0
        self._error_body: bytearray | None = None

    def data_to_send(self, proxy: Proxy | None = None) -> bytes:
        """Return the request as bytes: all of it on the first call, nothing later.

        A ``proxy`` that is asked for an http URL sees the request, and what it has to know;
        for https it has made a tunnel, and the request is for the origin alone, without a
        ``Proxy-Authorization`` (compare CVE-2023-32681).
        """
        if self._h11.our_state is not h11.IDLE:
            return b""
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
        parts = [
            self._h11.send(h11.Request(method=request.method, target=target, headers=headers)),
            self._h11.send(h11.Data(data=request.body)) if request.body else b"",
            self._h11.send(h11.EndOfMessage()),
        ]
        return b"".join(part or b"" for part in parts)

    @property
    def answered(self) -> bool:
        """Whether the response is known for what it is: an event stream, or an error."""
        return self.ended or (self.response is not None and self._error_body is None)

    @property
    def failed(self) -> bool:
        """Whether the next ``receive_data`` will raise, so that it needs no bytes."""
        return self._failure is not None

    def receive_data(self, data: bytes) -> list[Item]:
        """Take bytes from the peer, ``b""`` at its end of file; return the events they complete.

        What goes wrong behind complete events is raised by the next call: first come
        the events. After the end, nothing is looked at.

        Raises:
            ResponseError: the response is not an event stream. Raised when its body, or
                the first 64 KiB of it, has come.
            TransportError: the peer closed inside the head or the body.
            ProtocolError: not HTTP/1.1, or beyond the limits for heads and framing.
            EventTooLarge: from the parser.
        """
        items: list[Item] = []
        self.received += len(data)
        if self.ended:
            self.reusable = False  # bytes behind the end, or the end of file
        try:
            if self._failure:
                raise self._failure
            for piece in pieces(data):
                if self.ended:
                    break
                # Of a body that is not chunked, h11 reads everything.
                if _SKIM and piece and (self._next_chunk or self.response is None):
                    self._receive_piece(piece, items)
                else:
                    self._receive_by_h11(piece, items)
        except SSEError as exc:
            self._failure = exc
            self.ended = not items
            if not items:
                raise
        return items

    def redirected(self, error: ResponseError) -> Connection[Item]:
        """Return the exchange to have in place of this one, whose response was a redirect.

        Raises:
            ResponseError: ``error``, where it is no redirect or one that is not followed.
            TooManyRedirects: the twenty-first.
        """
        if self._redirects is None or not self._redirects.follow(error.response):
            raise error
        return Connection(
            self._redirects.request,
            last_event_id=self.parser.last_event_id,
            max_event_size=self._max_event_size,
            comments=self._comments,
            redirects=self._redirects,
        )

    def begin_again(self, error: TransportError) -> bool:
        """Begin anew where ``error`` shows that a kept connection had been given up.

        The peer has closed it before a byte of the response: it had done so before the
        request came. Returns whether this is so, and the request is to be sent again.
        """
        if self.received or isinstance(error, TimeoutException):
            return False
        self._h11 = _http11()
        self._failure = None
        self.ended = False
        return True

    def transport_failed(self, error: TransportError) -> SSEError:
        """Return what to raise when reading failed with ``error``.

        A response that is not an event stream stays the news, with what came of its body.
        """
        self.ended = True
        return self._news(error)

    def _news(self, error: SSEError) -> SSEError:
        # A response that is not an event stream stays the news, however its body ends.
        if self._error_body is not None and self.response is not None:
            return ResponseError(self.response, bytes(self._error_body))
        return error

    def _receive_piece(self, piece: bytes, items: list[Item]) -> None:
        """Skim the whole plain chunks of a piece; h11 reads everything else.

        h11 gets heads and chunks one by one, so that it stops where one may follow that can
        be skimmed. Where to stop is found here, but whether h11 waits for a chunk's head is
        known from what it has handed out: if it does not, it goes on with all that comes.
        """
        start = 0
        while start < len(piece) and not self.ended:
            if self._held == b"":
                data, end = skim(piece, start)
                if data:
                    self._received = self._next_chunk = self._received + end - start
                    # Without a look at the overhead: plain framing is free.
                    self._start = self._received - 2
                    self._receive_body(data, items)
                    start = end
                    continue
            end = self._end_for_h11(piece, start)
            self._receive_by_h11(piece[start:end], items)
            start = end

    def _end_for_h11(self, piece: bytes, start: int) -> int:
        """Return where the head or the chunk ends that h11 is to have, or the piece."""
        if self.response is None:
            tail = self._head[-2:]
            blank_line = _BLANK_LINE.search(tail + piece[start:])
            return start + blank_line.end() - len(tail) if blank_line else len(piece)
        if self._held is not None:
            # What is held came at the end of a piece, so that `start` is 0 now.
            length = chunk_length(self._held + piece, start)
            self._chunk_end = self._received - len(self._held) + length
        if self._chunk_end > self._received:
            return start + self._chunk_end - self._received
        return len(piece)

    def _receive_by_h11(self, data: bytes, items: list[Item]) -> None:
        try:
            self._h11.receive_data(data)
            self._received += len(data)
            if self.response is None:
                self._head += data
            while not self.ended:
                event = self._h11.next_event()
                if isinstance(event, h11.Data):
                    self._receive_data_event(event, items)
                elif isinstance(event, h11.Response | h11.InformationalResponse):
                    self._receive_head(event)
                elif isinstance(event, h11.EndOfMessage):
                    self._receive_end(closed=not data)
                else:
                    break
        except h11.RemoteProtocolError as exc:
            raise self._news(_broken(exc) if data else self._cut_short()) from exc
        if not self.ended:
            self._check_waiting()
        if self._next_chunk:
            held = self._h11.trailing_data[0]
            between = self._received - len(held) == self._next_chunk
            self._held = held if between else None

    def _cut_short(self) -> TransportError:
        where = "response head" if self.response is None else "body"
        return TransportError(f"the peer closed the connection before the end of the {where}")

    def _receive_head(self, head: h11.Response | h11.InformationalResponse) -> None:
        end = self._received - self._waiting()
        if end - self._start > MAX_HEAD_SIZE:
            raise ProtocolError(f"a response head of more than {MAX_HEAD_SIZE} bytes")
        if len(head.headers) > MAX_HEAD_FIELDS:
            raise ProtocolError(f"a response head of more than {MAX_HEAD_FIELDS} fields")
        self._check_head(head, self._head[: end - self._start])
        del self._head[: end - self._start]
        self._start = end
        if isinstance(head, h11.InformationalResponse):
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                raise ProtocolError(f"more than {MAX_INFORMATIONAL} informational responses")
            return
        self._head.clear()
        self.response = response = Response(
            head.status_code,
            Headers(head.headers),
            head.http_version.decode("ascii"),
            head.reason.decode("latin-1"),
        )
        if "transfer-encoding" in response.headers:
            self._next_chunk = end
        if not self._accepts(response):
            self._error_body = bytearray()
            if is_redirect(response):
                # Its body is for people, and may never end.
                self._raise_response_error()

    def _receive_data_event(self, event: h11.Data, items: list[Item]) -> None:
        data = bytes(event.data)
        end = self._received - self._waiting()
        # Not by h11's chunk_start, which is lost where a read ends behind a chunk's head.
        self._overhead = self._check_overhead(end - len(data))
        self._start = end
        if event.chunk_end:
            self._next_chunk = end + 2
        self._receive_body(data, items)

    def _receive_body(self, data: bytes, items: list[Item]) -> None:
        if self._error_body is None:
            if completed := self.parser.receive_data(data):
                items += completed
                if self.parser.failed:
                    self.parser.receive_data(b"")  # raises, bytes or not: at once
            return
        self._error_body += data
        if len(self._error_body) >= MAX_ERROR_BODY:
            del self._error_body[MAX_ERROR_BODY:]
            self._raise_response_error()

    def _receive_end(self, *, closed: bool) -> None:
        end = self._received - self._waiting()
        if not closed:
            self._check_overhead(end)
            # h11 says DONE where neither side's head rules out another request.
            whole = end == self.received and not self.unsent
            self.reusable = whole and self._h11.our_state is h11.DONE
        if self._error_body is not None:
            self._raise_response_error()
        self.ended = True
        self.end = "closed" if closed else "complete"
        self.parser.receive_eof()

    @staticmethod
    def _check_head(head: h11.Response | h11.InformationalResponse, data: bytearray) -> None:
        # What h11 lets pass, and two readers may read in two ways.
        names = {name for name, _ in head.headers}
        if not data.startswith(_HTTP):
            raise ProtocolError("the peer does not speak HTTP/1.1")
        if head.status_code == 101:
            raise ProtocolError("the peer switched to another protocol")
        if _FOLDED_LINE.search(data):
            raise ProtocolError("a response head with a folded line")
        if b"transfer-encoding" in names and (
            b"content-length" in names or head.http_version < b"1.1"
        ):
            raise ProtocolError("a response head with Transfer-Encoding and another framing")

    def _raise_response_error(self) -> None:
        assert self.response is not None
        assert self._error_body is not None
        raise ResponseError(self.response, bytes(self._error_body))

    def _waiting(self) -> int:
        """Return how many of the bytes received h11 has not handed out."""
        return len(self._h11.trailing_data[0])

    def _check_waiting(self) -> None:
        # What h11 holds back here is the beginning of a head, or of a body's framing.
        if self.response is None:
            if not _HTTP.startswith(self._head[: len(_HTTP)]):
                # h11 would wait for a blank line, which a peer of another kind never sends.
                raise ProtocolError("the peer does not speak HTTP/1.1")
            if self._received - self._start > MAX_HEAD_SIZE:
                raise ProtocolError(f"a response head of more than {MAX_HEAD_SIZE} bytes")
        else:
            self._check_overhead(self._received)

    def _check_overhead(self, position: int) -> int:
        """Return the overhead with the framing from the last data up to ``position``."""
        overhead = self._overhead + max(0, position - self._start - _CHUNK_FRAMING)
        if overhead > MAX_CHUNK_OVERHEAD:
            error = ProtocolError(
                f"chunk extensions and trailers of more than {MAX_CHUNK_OVERHEAD} bytes"
            )
            error.final = True
            raise self._news(error)
        return overhead


def open_connection(
    url: str | Request,
    *,
    method: str | None = None,
    headers: HeadersInput | None = None,
    content: bytes | str | None = None,
    json: Any = None,
    last_event_id: str = "",
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    comments: bool = False,
    allow_http: bool = False,
    default_headers: HeadersInput | None = None,
) -> Connection[Any]:
    """Return the connection for the arguments that both shells' ``stream`` take."""
    if isinstance(url, Request):
        if any(argument is not None for argument in (method, headers, content, json)):
            raise ValueError("a Request says method, headers and body itself")
        request = url
    else:
        headers = merged(default_headers, headers)
        request = Request(url, method, headers=headers, content=content, json=json)
    if not {"\r", "\n", "\0"}.isdisjoint(last_event_id):
        raise ValueError("a last event ID holds no CR, LF or NUL")
    return Connection(
        request,
        last_event_id=last_event_id,
        max_event_size=max_event_size,
        comments=comments,
        redirects=Redirects(request, allow_http=allow_http),
    )


def _http11() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * _PIECE)


def pieces(data: bytes) -> list[bytes]:
    """Return ``data`` in pieces of up to 64 KiB."""
    if len(data) <= _PIECE:
        return [data]
    return [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]


def _broken(error: h11.RemoteProtocolError) -> ProtocolError:
    return ProtocolError(f"the peer broke HTTP/1.1: {str(error)[:200]}")


def _is_stream(response: Response) -> bool:
    # 204 tells a client to stop: a stream without events, whatever its headers say.
    return response.status == 204 or is_event_stream(response)


def is_event_stream(response: Response) -> bool:
    """Return whether its body is an event stream: status, type and no coding."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    return (
        response.status == 200
        and response.content_type == EVENT_STREAM
        and coding in ("", "identity")
    )
