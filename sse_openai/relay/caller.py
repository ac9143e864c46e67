"""The caller's side of one exchange: what it sends, whether it is still there, what it gets.

Every wait for a caller is bounded: one that takes nothing for ``send_timeout`` seconds
counts as gone.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import anyio

from sse_core._frames import BOM

from .guard import Fields

__all__ = ["Caller", "CallerGone", "Receive", "Scope", "Send"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

KEEP_ALIVE: Final = b": keep-alive\n"
"""A line of its own, and no blank line behind it: who counts frames counts none."""

BODY_TIMEOUT: Final = 60.0
"""Seconds for a whole request body (nginx's client_body_timeout is for each read)."""


class CallerGone(Exception):
    """The caller has gone before its request was whole."""


class Caller:
    """One request's ``receive`` and ``send``, with the header fields that every answer has."""

    def __init__(self, receive: Receive, send: Send, headers: Fields, send_timeout: float) -> None:
        self.gone = anyio.Event()
        """Set when the caller has gone, or takes nothing."""
        self._receive = receive
        self._send = send
        self._headers = headers
        self._send_timeout = send_timeout
        self._lock = anyio.Lock(fast_acquire=True)
        # Whether `send` waits for the caller, and since when; else, when it last did.
        self._sending = False
        self._since = 0.0
        # Whether nothing has been sent, or a keep-alive alone; whether CR was the last byte.
        self._untouched, self._kept_alive = True, False
        self._after_cr = False

    async def read_body(self, check_length: Callable[[int], None]) -> bytes:
        """Return the request's body.

        Raises:
            CallerGone: before its end, or it takes too long over it.
        """
        body = bytearray()
        with anyio.move_on_after(BODY_TIMEOUT):
            while (message := await self._receive())["type"] == "http.request":
                body += message.get("body", b"")
                check_length(len(body))
                if not message.get("more_body", False):
                    return bytes(body)
        raise CallerGone

    async def watch(self, scope: anyio.CancelScope) -> None:
        """Cancel ``scope`` when the caller has gone. The body has been read by then."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone.set()
        scope.cancel()

    async def tend(self, scope: anyio.CancelScope, keep_alive: float | None) -> None:
        """Cancel ``scope`` if it waits for a caller who takes nothing, and break silences.

        A comment is sent after each ``keep_alive`` seconds without anything else.
        """
        tick = self._send_timeout if keep_alive is None else min(keep_alive, self._send_timeout)
        while True:
            now = anyio.current_time()
            if now < (due := self._since + (self._send_timeout if self._sending else tick)):
                await anyio.sleep_until(min(due, now + tick))
            elif self._sending:
                break
            elif keep_alive is None or self._after_cr:  # LF may be owed to that CR
                self._since = now
            else:
                with anyio.move_on_after(self._send_timeout) as waiting:
                    async with self._lock:
                        await self._try(KEEP_ALIVE)
                self._kept_alive = True
                self._since = anyio.current_time()
                if waiting.cancelled_caught:
                    break
        self.gone.set()
        if self._sending:
            scope.cancel()

    async def answer(self, status: int, headers: Fields, body: bytes) -> None:
        """Send a whole response."""
        length = () if status == 204 else ((b"content-length", b"%d" % len(body)),)
        with anyio.move_on_after(self._send_timeout):
            await self.start(status, (*headers, *length))
            await self.send(body, more=False)

    async def answer_json(self, status: int, value: Any, headers: Fields = ()) -> None:
        """Send a value as JSON."""
        content_type = (b"content-type", b"application/json")
        await self.answer(status, (content_type, *headers), json.dumps(value).encode())

    async def start(self, status: int, headers: Fields) -> None:
        """Give a response's head to the server, which sends it with the body's beginning."""
        self._since = anyio.current_time()
        fields = [*headers, (b"x-content-type-options", b"nosniff"), *self._headers]
        message = {"type": "http.response.start", "status": status, "headers": fields}
        try:
            await self._send(message)
        except OSError:
            self.gone.set()

    async def send(self, data: bytes, *, more: bool = True) -> None:
        """Send a part of the body, or the last, unless the caller has gone."""
        if self.gone.is_set():
            return
        self._sending = True
        self._since = anyio.current_time()
        try:
            async with self._lock:
                if self._untouched and data:
                    # A byte order mark is one at the very beginning only.
                    data = data.removeprefix(BOM) if self._kept_alive else data
                    self._untouched = False
                self._after_cr = data.endswith(b"\r")
                await self._try(data, more)
        finally:
            self._sending = False

    async def _try(self, data: bytes, more: bool = True) -> None:
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except OSError:
            self.gone.set()
