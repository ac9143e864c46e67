"""One request from a relay to the API: frames of a stream, or the bytes of any other body."""

from __future__ import annotations

import re
from typing import Any, Final

import anyio

from sse_core import (
    Client,
    EventStream,
    FrameSplitter,
    Request,
    Response,
    SSEError,
    TimeoutException,
)

from .._refusal import Fields, Refusal

MAX_ERROR: Final = 2**20
"""Bytes kept of an error's body; the official SDKs set no limit."""
ERROR_TIME: Final = 10.0
"""Seconds for the body of an error to arrive, after its head."""

# The header fields of a request that a caller may set for the API.
_TO_UPSTREAM: Final = {b"idempotency-key", b"openai-beta", b"x-client-request-id"}
_PRINTABLE: Final = re.compile(rb"[\x21-\x7e]([\x20-\x7e]{0,1022}[\x21-\x7e])?")

# The header fields of a response that clients need: none that identify the key, no cookies,
# none that are hop-by-hop.
_TO_CALLER: Final = re.compile(
    r"content-type|content-encoding|x-request-id|retry-after(-ms)?|x-should-retry"
    r"|x-ratelimit-[a-z-]{1,64}|openai-(processing-ms|version|model)"
)

_SECRETS: Final = (b"authorization", b"api-key")


def forwarded(headers: Any) -> dict[str, str]:
    """Return the caller's header fields that go to the API."""
    return {
        bytes(name).decode(): bytes(value).decode()
        for name, value in headers
        if bytes(name).lower() in _TO_UPSTREAM and _PRINTABLE.fullmatch(value)
    }


class _Body:
    """Replaces the parser: accepts every response, and parses none."""

    failed = False
    last_event_id = ""
    reconnection_time: int | None = None

    def __init__(self, max_frame_size: int | None) -> None:
        self.rest = b""
        self._max_frame_size = max_frame_size
        self._splitter: FrameSplitter | None = None

    def accepts(self, response: Response) -> bool:
        if response.is_event_stream:
            self._splitter = FrameSplitter(self._max_frame_size)
        return True

    def receive_data(self, data: bytes) -> list[Any]:
        if self._splitter is None:
            return [data]
        frames = self._splitter.receive_data(data)
        self.failed = self._splitter.failed
        return frames

    def receive_eof(self) -> None:
        if self._splitter is not None:
            self.rest = self._splitter.receive_eof()


class Upstream:
    """One exchange with the API: ``open`` it, read its items, and always ``aclose`` it."""

    def __init__(self, request: Request, client: Client, max_frame_size: int | None) -> None:
        self._body = _Body(max_frame_size)
        self._request = request
        self._stream: EventStream[Any] = client.stream(request, reader=self._body)

    async def open(self) -> None:
        """Send the request, and wait for a response's head; raise Refusal if it is unusable."""
        try:
            await self._stream.__aenter__()
        except TimeoutException as exc:
            raise _failed(504, "The API did not answer in time.", "upstream_timeout") from exc
        except SSEError as exc:
            raise _failed(502, "The API could not be reached.", "upstream_unreachable") from exc
        # A redirect would send the caller, or the key, elsewhere.
        status = self.response.status
        coded = self.response.content_type == "text/event-stream"
        coded = coded and not self.response.is_event_stream
        if status < 200 or 300 <= status < 400 or (status == 200 and coded):
            message = f"The API's answer cannot be relayed (status {status})."
            raise _failed(502, message, "upstream_unusable")

    async def aclose(self) -> None:
        """Close the connection, unless the response was read to its end."""
        await self._stream.aclose()

    @property
    def response(self) -> Response:
        """The head; the items are frames if it is an event stream, else pieces of the body."""
        return self._stream.response

    @property
    def headers(self) -> Fields:
        """The header fields that callers get."""
        given = self.response.headers
        return tuple(
            (name.encode("latin-1"), value.encode("latin-1"))
            for name in given
            if _TO_CALLER.fullmatch(name)
            for value in given.get_all(name)
        )

    @property
    def rest(self) -> bytes:
        """The bytes after the last frame, once there are no more frames."""
        return self._body.rest

    async def next_items(self) -> list[bytes]:
        """Return the next frames or pieces, an empty list at the end; SSEError if cut off."""
        try:
            return await self._stream.next_items()
        except StopAsyncIteration:
            return []

    async def read_error(self) -> bytes:
        """Return the body of an error, as far as it arrived, without the server's key."""
        body = bytearray()
        with anyio.move_on_after(ERROR_TIME):
            try:
                while len(body) < MAX_ERROR and (pieces := await self.next_items()):
                    body += b"".join(pieces)
            except SSEError:
                pass  # the status matters more
        return self._without_secrets(bytes(body[:MAX_ERROR]))

    def _without_secrets(self, body: bytes) -> bytes:
        for name, value in self._request.headers:
            secret = value.removeprefix(b"Bearer ")
            if name in _SECRETS and secret:
                body = body.replace(secret, b"***")
        return body


def _failed(status: int, message: str, code: str) -> Refusal:
    return Refusal(message, status=status, code=code, type="api_error")
