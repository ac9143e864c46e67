"""A server between browsers and an API like OpenAI's, so that the key stays on the server.

An ASGI application: ``POST /v1/chat/completions`` and ``POST /v1/responses`` go to the
API with the server's key, and the answers come back unchanged, frame by frame. Each stream
is remembered, so ``GET /v1/streams/{id}`` can resume it. ``GET /`` is a page for trying
this out. ``guard`` decides what a request is allowed to do, without I/O.

The task that answers a POST also reads the API, even after its caller has left. So the
relay needs no background tasks, and works under any server, mounted or not.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from hmac import compare_digest
from typing import Literal, NoReturn, TypeAlias

import anyio

from sse_core import DEFAULT_MAX_EVENT_SIZE, Client, SSEError
from sse_core.asgi import Receive, Scope, Send, beside, ended_by_signals

from .._endpoint.request import DEFAULT_TIMEOUT, Endpoint
from .._refusal import Refusal
from .caller import Caller, CallerGone
from .frames import with_id
from .guard import RETRY_SOON, Admission, Guard
from .pages import DESCRIPTION, Page, model_list
from .store import FramesTrimmed, MemoryStore, Outcome, Store, StoreFull, StreamInfo, StreamUnknown
from .upstream import Upstream, forwarded

STORE_TIMEOUT = 5.0
"""Seconds for a store to record the end of a stream, even during a cancellation."""

CUT_DELAY = 0.05
"""Seconds between the last frames and a cut: when a response breaks off, Chromium's fetch
drops the bytes that it has received but not yet delivered."""

_End: TypeAlias = Outcome | Literal["trimmed"]

_ENDS: dict[Outcome, str] = {
    "cut": "The API's answer was cut off.",
    "stopped": "The stream was stopped.",
    "abandoned": "The stream was abandoned because nobody was reading it.",
    "lost": "The process that read the API's answer has ended.",
}

logger = logging.getLogger("sse_openai.relay")


class StreamCut(SSEError):
    """A relayed stream was cut short; raised so that the server aborts the response."""

    def __init__(self, outcome: _End) -> None:
        super().__init__(f"the response is cut off: {outcome}")
        self.outcome = outcome


class Relay:
    """An ASGI application that relays to one API, and remembers the streams.

    Args:
        endpoint: the API and its key; by default from the environment.
        models: the only models that may be requested; None for all models of the API.
        tokens: callers must send one as ``Authorization: Bearer …``; if empty, none is needed.
        origins: other origins whose pages may send requests, such as
            ``https://app.example``. The relay's own page always may.
        hosts: the hosts that requests may name, without port; ``"*"`` for any. By default
            the names and addresses of the loopback interface.
        max_body: maximum bytes of a request's body.
        max_concurrent: maximum concurrent requests of one token, or else of one address.
        max_keep: maximum seconds a stream may continue without a reader (``X-Stream-Keep``).
        keep_alive: seconds of silence after which a reader gets a comment; None for never.
        send_timeout: seconds after which a reader that accepts nothing counts as gone.
        max_frame_size: maximum bytes of one frame; None for no limit.
        store: where streams are remembered; by default ``MemoryStore()``.
        client: the HTTP client for the API, with its timeouts, TLS and proxy.
    """

    def __init__(
        self,
        endpoint: Endpoint | None = None,
        *,
        models: Iterable[str] | None = None,
        tokens: Iterable[str] = (),
        origins: Iterable[str] = (),
        hosts: Iterable[str] | None = None,
        max_body: int = 10 * 2**20,
        max_concurrent: int = 16,
        max_keep: float = 300.0,
        keep_alive: float | None = 15.0,
        send_timeout: float = 30.0,
        max_frame_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        store: Store | None = None,
        client: Client | None = None,
    ) -> None:
        self._endpoint = Endpoint() if endpoint is None else endpoint
        self._guard = Guard(models, tokens, origins, hosts, max_body, max_concurrent, max_keep)
        self._keep_alive = keep_alive
        self._send_timeout = send_timeout
        self._max_frame_size = max_frame_size
        self._store: Store = MemoryStore() if store is None else store
        self._client = Client(timeout=DEFAULT_TIMEOUT) if client is None else client
        self._page = Page.load()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            StreamCut: the response has begun, and cannot be completed.
        """
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})  # before accept: 403
        else:
            caller = Caller(receive, send, self._guard.cors(scope), self._send_timeout)
            try:
                await self._respond(scope, caller)
            except Refusal as refusal:
                if refusal.status >= 500:
                    logger.warning("%s", refusal, exc_info=refusal.__cause__)
                await caller.answer_json(refusal.status, refusal.body, refusal.headers)
            except CallerGone:
                pass

    async def aclose(self) -> None:
        """Close the idle connections to the API. Shutting the server down does so too."""
        await self._client.aclose()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: Scope, caller: Caller) -> None:
        admission = self._guard.admit(scope)
        match admission.action:
            case "page":
                await caller.answer(200, self._page.headers, self._page.body)
            case "description":
                await caller.answer_json(200, DESCRIPTION)
            case "preflight":
                await caller.answer(204, self._guard.preflight(scope), b"")
            case "stop":
                await self._find(admission)
                await self._store.stop(admission.stream_id)
                await caller.answer(204, (), b"")
            case "models" if self._guard.models is not None:
                await caller.answer_json(200, model_list(self._guard.models))
            case "resume":
                with self._guard.slot(admission.caller):
                    await self._resume(caller, admission)
            case path:
                with self._guard.slot(admission.caller):
                    await self._relay(scope, caller, admission, path)

    async def _relay(self, scope: Scope, caller: Caller, admission: Admission, path: str) -> None:
        body = await caller.read_body(self._guard.check_length)
        # Written again, so that exactly what was checked is sent, even if keys appear twice.
        fields = None if path == "models" else self._guard.read_body(body)
        request = self._endpoint.request(path, fields, headers=forwarded(scope["headers"]))
        upstream = Upstream(request, self._client, self._max_frame_size)
        attended = anyio.CancelScope()
        try:
            async with beside(partial(caller.watch, attended)):
                await self._answer(caller, admission, upstream, attended)
        finally:
            await upstream.aclose()

    async def _answer(
        self, caller: Caller, admission: Admission, upstream: Upstream, attended: anyio.CancelScope
    ) -> None:
        with attended:
            with ended_by_signals(attended.cancel):
                await upstream.open()
            if not upstream.response.is_event_stream:
                await self._pass(caller, upstream)
                return
        if not attended.cancelled_caught:
            await self._stream(caller, admission, upstream)
        elif not caller.gone.is_set():
            raise _unavailable("The relay is shutting down.", "shutting_down")

    async def _pass(self, caller: Caller, upstream: Upstream) -> None:
        """Pass on a response that is not an event stream."""
        status = upstream.response.status
        if status >= 400:
            await caller.answer(status, upstream.headers, await upstream.read_error())
            return
        await caller.start(status, upstream.headers)
        sending = anyio.CancelScope()
        async with beside(partial(caller.tend, sending, None)):
            with sending:
                try:
                    while pieces := await upstream.next_items():
                        await caller.send(b"".join(pieces))
                except SSEError as exc:
                    raise StreamCut("cut") from exc
                await caller.send(b"", more=False)

    async def _stream(self, caller: Caller, admission: Admission, upstream: Upstream) -> None:
        reading = anyio.CancelScope()
        with ended_by_signals(reading.cancel):
            outcome = await self._remember(caller, admission, upstream, reading)
        if outcome != "complete" and not caller.gone.is_set():
            await _cut(outcome)

    async def _remember(
        self, caller: Caller, admission: Admission, upstream: Upstream, reading: anyio.CancelScope
    ) -> Outcome:
        stream_id = secrets.token_urlsafe(24)
        content_type = upstream.response.headers.get("content-type", "")
        info = StreamInfo(owner=admission.owner, content_type=content_type, keep=admission.keep)
        try:
            await self._store.begin(stream_id, info)
        except StoreFull as exc:
            raise _unavailable("Too many streams are running.", "too_many_streams") from exc
        outcome: Outcome = "lost"
        sending = anyio.CancelScope()
        present = anyio.Event()

        async def attend() -> None:
            async with self._store.reading(stream_id):
                present.set()
                await caller.gone.wait()

        async def give_up() -> None:
            nonlocal outcome
            await present.wait()
            outcome = await self._store.unwanted(stream_id)
            reading.cancel()

        try:
            if reading.cancel_called:
                raise _unavailable("The relay is shutting down.", "shutting_down")
            await caller.start_stream(upstream.headers, stream_id)
            async with beside(attend, give_up, partial(caller.tend, sending, self._keep_alive)):
                with reading:
                    outcome = await self._copy(stream_id, upstream, caller, sending)
        finally:
            with anyio.move_on_after(STORE_TIMEOUT, shield=True):
                await self._store.end(stream_id, outcome)
        return outcome

    async def _copy(
        self, stream_id: str, upstream: Upstream, caller: Caller, sending: anyio.CancelScope
    ) -> Outcome:
        append = self._store.append
        try:
            with sending:
                await caller.send(b"")  # the head
                # Stop once the caller has gone: a cancellation that came too late for its
                # send would hit `append` instead, which may wait, and lose the frames.
                while not caller.gone.is_set():
                    if not (frames := await upstream.next_items()):
                        await caller.send(upstream.rest, more=False)
                        return "complete"
                    await append(stream_id, frames)
                    await caller.send(b"".join(frames))
            while frames := await upstream.next_items():
                await append(stream_id, frames)
        except SSEError as exc:
            logger.warning("a stream was cut off: %s", exc)
            return "cut"
        return "complete"

    async def _find(self, admission: Admission) -> StreamInfo:
        with suppress(StreamUnknown):
            info = await self._store.find(admission.stream_id)
            if compare_digest(info.owner, admission.owner):
                return info
        # A stream of another owner looks the same as none.
        raise Refusal(
            "There is no such stream, or it has expired.", status=404, code="stream_not_found"
        )

    async def _resume(self, caller: Caller, admission: Admission) -> None:
        stream_id, after = admission.stream_id, admission.after
        info = await self._find(admission)
        try:
            batch = await self._store.read(stream_id, after, wait=False)
        except FramesTrimmed:
            message = "The log no longer has the frames after this one."
            raise Refusal(message, status=410, code="stream_trimmed") from None
        except IndexError:
            message = "The stream does not have that many frames."
            raise Refusal(message, code="invalid_id") from None
        if batch.outcome == "complete" and not batch.frames:
            await caller.answer(204, (), b"")  # an EventSource stops then
            return
        if batch.outcome and not batch.frames:
            message, code = _ENDS[batch.outcome], f"stream_{batch.outcome}"
            raise Refusal(message, status=410, code=code, type="api_error")
        content_type = (b"content-type", info.content_type.encode("latin-1"))
        await caller.start_stream((content_type,), stream_id)
        attended = anyio.CancelScope()
        async with beside(
            partial(caller.watch, attended), partial(caller.tend, attended, self._keep_alive)
        ):
            outcome: _End = "lost"
            with ended_by_signals(attended.cancel), attended:
                async with self._store.reading(stream_id):
                    outcome = await self._follow(caller, stream_id, after)
            if outcome != "complete" and not caller.gone.is_set():
                await _cut(outcome)
            await caller.send(b"", more=False)

    async def _follow(self, caller: Caller, stream_id: str, after: int) -> _End:
        await caller.send(b"")  # the head
        while True:
            try:
                batch = await self._store.read(stream_id, after)
            except LookupError:
                return "trimmed"
            frames = [with_id(frame, id) for id, frame in enumerate(batch.frames, after + 1)]
            await caller.send(b"".join(frames))
            after += len(frames)
            if batch.outcome:
                return batch.outcome


def _unavailable(message: str, code: str) -> Refusal:
    return Refusal(message, status=503, code=code, type="api_error", headers=RETRY_SOON)


async def _cut(outcome: _End) -> NoReturn:
    await anyio.sleep(CUT_DELAY)
    raise StreamCut(outcome)


def from_environment() -> Relay:
    """Return a relay configured by the environment, for ``uvicorn --factory``.

    ``OPENAI_API_KEY``, ``OPENAI_BASE_URL`` and the like mean what they mean to ``Endpoint``.
    ``RELAY_MODELS``, ``RELAY_TOKENS``, ``RELAY_ORIGINS`` and ``RELAY_HOSTS`` are lists
    separated by commas. ``RELAY_REDIS`` is the URL of a Redis that stores the streams.
    """

    def several(name: str) -> list[str]:
        return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]

    url = os.environ.get("RELAY_REDIS")
    store: Store | None = None
    if url is not None:  # pragma: no cover  # redis is an extra
        from .redis import RedisStore

        store = RedisStore(url)
    return Relay(
        store=store,
        models=several("RELAY_MODELS") or None,
        tokens=several("RELAY_TOKENS"),
        origins=several("RELAY_ORIGINS"),
        hosts=several("RELAY_HOSTS") or None,
    )
