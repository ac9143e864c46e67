"""The caller's side of one exchange: its request, its presence and its response.

Every wait for a caller is limited: one that accepts nothing for ``send_timeout`` seconds
counts as gone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import anyio

from sse_core.asgi import Message, Receive, Send

from .._refusal import Fields
from .frames import BOM

KEEP_ALIVE: Final = b": keep-alive\n"
"""A single line with no blank line after it, so a client that counts frames does not count it."""

BODY_TIMEOUT: Final = 60.0
"""Seconds for a whole request body (nginx's client_body_timeout applies to each read)."""

_LIVE: Final = (
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx would wait for a buffer to fill
)


class CallerGone(Exception):
    """The caller has gone before its request was complete."""


class Caller:
    """One request's ``receive`` and ``send``, and the header fields of every answer."""

    def __init__(self, receive: Receive, send: Send, headers: Fields, send_timeout: float) -> None:
        self.gone = anyio.Event()
        """Set when the caller has gone, or accepts nothing."""
        self._receive = receive
        self._send = send
        self._headers = headers
        self._send_timeout = send_timeout
        self._lock = anyio.Lock(fast_acquire=True)
        # True while `send` waits for the caller; since when, or else when it last did.
        self._sending = False
        self._since = 0.0
        # True if nothing, or only a keep-alive, has been sent; True if the last byte was CR.
        self._untouched, self._kept_alive = True, False
        self._after_cr = False

    async def read_body(self, check_length: Callable[[int], None]) -> bytes:
        """Return the request's body; raise CallerGone if its end does not come in time."""
        body = bytearray()
        with anyio.move_on_after(BODY_TIMEOUT):
            while (message := await self._receive())["type"] == "http.request":
                body += message.get("body", b"")
                check_length(len(body))
                if not message.get("more_body", False):
                    return bytes(body)
        raise CallerGone

    async def watch(self, scope: anyio.CancelScope) -> None:
        """Cancel ``scope`` when the caller has gone. Call it after the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone.set()
        scope.cancel()

    async def tend(self, scope: anyio.CancelScope, keep_alive: float | None) -> None:
        """Cancel ``scope`` if it waits for a caller that accepts nothing, and break silences.

        A comment is sent after every ``keep_alive`` seconds of silence.
        """
        tick = self._send_timeout if keep_alive is None else min(keep_alive, self._send_timeout)
        while True:
            now = anyio.current_time()
            if now < (due := self._since + (self._send_timeout if self._sending else tick)):
                await anyio.sleep_until(min(due, now + tick))
            elif self._sending:
                break
            elif keep_alive is None or self._after_cr:  # a LF may have to follow that CR
                self._since = now
            else:
                with anyio.move_on_after(self._send_timeout) as waiting:
                    async with self._lock:
                        await self._try(_body(KEEP_ALIVE))
                self._kept_alive = True
                self._since = anyio.current_time()
                if waiting.cancelled_caught:
                    break
        self.gone.set()
        if self._sending:
            scope.cancel()

    async def answer(self, status: int, headers: Fields, body: bytes) -> None:
        length = () if status == 204 else ((b"content-length", b"%d" % len(body)),)
        with anyio.move_on_after(self._send_timeout):
            await self.start(status, (*headers, *length))
            await self.send(body, more=False)

    async def answer_json(self, status: int, value: Any, headers: Fields = ()) -> None:
        content_type = (b"content-type", b"application/json")
        await self.answer(status, (content_type, *headers), json.dumps(value).encode())

    async def start(self, status: int, headers: Fields) -> None:
        """Pass a response's head to the server, which sends it with the start of the body."""
        self._since = anyio.current_time()
        fields = [*headers, (b"x-content-type-options", b"nosniff"), *self._headers]
        await self._try({"type": "http.response.start", "status": status, "headers": fields})

    async def start_stream(self, headers: Fields, stream_id: str) -> None:
        """Start a response whose body must arrive without delay."""
        await self.start(200, (*headers, *_LIVE, (b"x-stream-id", stream_id.encode())))

    async def send(self, data: bytes, *, more: bool = True) -> None:
        """Send a part of the body, possibly the last, unless the caller has gone."""
        if self.gone.is_set():
            return
        self._sending = True
        self._since = anyio.current_time()
        try:
            async with self._lock:
                if self._untouched and data:
                    # A byte order mark counts as one only at the very beginning.
                    data = data.removeprefix(BOM) if self._kept_alive else data
                    self._untouched = False
                self._after_cr = data.endswith(b"\r")
                await self._try(_body(data, more))
        finally:
            self._sending = False

    async def _try(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:
            self.gone.set()


def _body(data: bytes, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}
