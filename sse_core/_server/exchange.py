"""bytes -> ASGI messages -> bytes, for one HTTP request and its response. No I/O."""

from __future__ import annotations

import http
import re
from collections.abc import Iterable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import h11

if TYPE_CHECKING:
    from ..asgi import Message

MAX_HEAD = 2**16
"""The most bytes of a request's head (uvicorn's limit), and of pipelined requests."""
ABORT = "sse_toolkit.abort"
"""The name of the ASGI extension, and the type of its message."""

_UNANSWERED = (h11.IDLE, h11.SEND_RESPONSE)


class Exchange:
    """One request and its response.

    Call ``receive_data`` while it ``needs_head``, then ``next_message`` and ``send_message``
    in any order; ``data_to_send`` after each of them.
    """

    def __init__(self, wire: h11.Connection | None = None) -> None:
        self.request: h11.Request | None = None
        self.disconnected = False  # also if the client has sent something unintelligible
        self.complete = False  # True after the whole response
        self._wire = wire or h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._received = len(self._wire.trailing_data[0])
        self._ahead: h11.EndOfMessage | None = None
        self._request_read = False
        self._error_status: int | None = None
        self._head: h11.Response | None = None
        self._out: list[bytes] = []

    @property
    def reusable(self) -> bool:
        """True if another exchange can follow on the same connection."""
        done = self._wire.our_state is h11.DONE and self._wire.their_state is h11.DONE
        return self.complete and done and not self.disconnected

    def next(self) -> Exchange:
        self._wire.start_next_cycle()
        return Exchange(self._wire)

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the client; ``b""`` is end of file."""
        if not data:
            self.disconnected = True
            return
        self._received += len(data)
        self._wire.receive_data(data)
        if self._request_read and len(self._wire.trailing_data[0]) > MAX_HEAD:
            # The client pipelines requests. Only reading shows that a client has gone, so
            # reading cannot pause; the connection ends here.
            self.disconnected = True

    def needs_head(self) -> bool:
        """Return True until the request's head is complete, or the client has gone."""
        if self.request is None and not self.disconnected:
            event = self._next_event()
            if self._received - len(self._wire.trailing_data[0]) > MAX_HEAD:
                # h11 measures incomplete heads only; a head completed by one large read passes.
                self.disconnected, self._error_status = True, 431
            elif isinstance(event, h11.Request):
                self.request = event
                if not {b"content-length", b"transfer-encoding"} & dict(event.headers).keys():
                    self._ahead = self._next_event()  # no body, so this is the end
        return self.request is None and not self.disconnected

    def scope(self, scheme: str, client: Any, server: Any) -> dict[str, Any]:
        """Return the ASGI scope of the request, which must have arrived."""
        assert self.request is not None
        path, _, query = self.request.target.partition(b"?")
        # "A server MUST accept the absolute-form in requests" (RFC 9112, 3.2.2).
        path = re.sub(rb"\A[A-Za-z][A-Za-z0-9+.-]*://[^/]*", b"", path) or b"/"
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self.request.http_version.decode("ascii"),
            "method": self.request.method.decode("ascii"),
            "scheme": scheme,
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(self.request.headers),
            "client": client,
            "server": server,
            "extensions": {ABORT: {}},
        }

    def next_message(self) -> Message | None:
        """Return the next message for ``receive()``, or None if it takes more bytes."""
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        if self._request_read and self._ahead is None:
            return None
        event, self._ahead = self._ahead or self._next_event(), None
        if isinstance(event, h11.Data):
            return {"type": "http.request", "body": bytes(event.data), "more_body": True}
        if isinstance(event, h11.EndOfMessage):
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._wire.they_are_waiting_for_100_continue:
            # Only now, because it tells the client that the application wants the body.
            proceed = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            self._out.append(self._wire.send(proceed))
        return {"type": "http.disconnect"} if self.disconnected else None

    def send_message(self, message: Message) -> None:
        """Take a message of ``send()``; raise OSError or RuntimeError as ASGI's ``send`` does."""
        if self.complete:
            return  # "any further messages on the channel will be ignored"
        if self.disconnected:
            raise BrokenPipeError("the client has closed the connection")
        try:
            self._respond(message)
        except h11.LocalProtocolError as exc:
            raise RuntimeError(f"the response cannot be sent as HTTP: {exc}") from exc

    def fail(self) -> None:
        """Send an error response, unless part of a response has been sent or none is due."""
        status = self._error_status or (500 if self.request and not self.disconnected else None)
        if status is None or self._wire.our_state not in _UNANSWERED:
            return
        body = f"{http.HTTPStatus(status).phrase}\n".encode()
        length = b"%d" % len(body)
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", length)]
        self._head = None  # the application's head may be waiting for its body
        self._respond({"type": "http.response.start", "status": status, "headers": headers})
        self._respond({"type": "http.response.body", "body": body})

    def data_to_send(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _next_event(self) -> Any:
        try:
            event = self._wire.next_event()
        except h11.RemoteProtocolError as exc:
            self.disconnected, self._error_status = True, exc.error_status_hint
            return None
        self._request_read = isinstance(event, h11.EndOfMessage)
        return event

    def _respond(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start" if self._head is None:
                self._head = self._response(message["status"], message.get("headers", ()))
            case "http.response.body" if self._head is not None:
                # "need not flush the data ... until the first Response Body event is processed":
                # until then, a failure can still become a 500.
                if self._wire.our_state in _UNANSWERED:
                    self._out.append(self._wire.send(self._head))
                body = message.get("body", b"")
                if body and not (self.request and self.request.method == b"HEAD"):
                    self._out.append(self._wire.send(h11.Data(data=body)))
                if not message.get("more_body", False):
                    self._out.append(self._wire.send(h11.EndOfMessage()))
                    self.complete = True
            case unexpected:
                raise RuntimeError(f"{unexpected!r} cannot be sent here")

    def _response(self, status: int, given: Iterable[tuple[bytes, bytes]]) -> h11.Response:
        # "You may send a Transfer-Encoding header ..., but the server must ignore it."
        headers = [(name, value) for name, value in given if name.lower() != b"transfer-encoding"]
        if not any(name.lower() == b"date" for name, _ in headers):
            headers.append((b"date", formatdate(usegmt=True).encode()))
        if not self._request_read:
            # The rest of the body would have to be read before the next request.
            headers.append((b"connection", b"close"))
        return h11.Response(status_code=status, headers=headers)
