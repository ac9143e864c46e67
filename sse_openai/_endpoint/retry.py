"""When to send a request again, and when to resume a response. No I/O, no clock.

The rules are those of OpenAI's own SDKs. Connection errors and the statuses 408, 409, 429
and 5xx are retried, unless ``x-should-retry`` says otherwise. The delay is the one that
the response asks for, or one that doubles from half a second to eight, less up to a
quarter at random. A proxy's refusal is judged by its status as well; a refused certificate
is not retried. Only a failure before the stream began is retried, never one after an event.

A background response whose stream was cut is resumed: ``GET /responses/{id}`` with
``stream=true&starting_after=N`` sends the events after number N, for as long as the
endpoint keeps them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from urllib.parse import quote

from sse_core import (
    ProxyError,
    Request,
    ResponseError,
    ServerSentEvent,
    SSEError,
    TLSError,
    TransportError,
)

from .._errors import APIError, retry_after
from .._responses.events import ResponseStreamEvent
from .._responses.stream import ResponseStream
from .request import Endpoint

FIRST_DELAY = 0.5
LONGEST_DELAY = 8.0
"""Seconds, of the client's own back-off."""

LONGEST_RETRY_AFTER = 120.0
"""Seconds. If a response asks for more, the error is raised instead."""

_TRANSIENT = frozenset([408, 409, 429])
_ENDED = TransportError("the stream ended before its final event")


def retry_delay(
    error: SSEError, retries: int, *, uniform: Callable[[], float] = random.random
) -> float | None:
    """Return the seconds to wait before another attempt, or None if there should be none.

    ``error`` ended the attempt before any event was delivered; ``retries`` is their number so
    far; ``uniform`` is the source of randomness, from 0 up to 1.
    """
    if isinstance(error, ResponseError | ProxyError):
        response = error.response
        transient = response.status in _TRANSIENT or response.status >= 500
        verdict = response.headers.get("x-should-retry", "")
        if verdict == "false" or not (transient or verdict == "true"):
            return None
        delay = retry_after(response)
        if delay is not None:
            return delay if delay <= LONGEST_RETRY_AFTER else None
    elif isinstance(error, TLSError) or not isinstance(error, TransportError):
        return None
    back_off = min(FIRST_DELAY * 2.0 ** min(retries, 10), LONGEST_DELAY)
    return back_off * (1 - 0.25 * uniform())


class Resumption:
    """Resumes a response: at most ``max_retries`` consecutive attempts that bring no event."""

    def __init__(
        self,
        endpoint: Endpoint,
        responses: ResponseStream,
        *,
        max_retries: int,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._endpoint = endpoint
        self._responses = responses
        self._max_retries = max_retries
        self._uniform = uniform
        self._attempts = 0

    def receive_event(self, event: ServerSentEvent) -> ResponseStreamEvent | None:
        """Receive the next event. If the response takes it, attempts count from zero again."""
        received = self._responses.receive_event(event)
        if received is not None:
            self._attempts = 0
        return received

    def after(self, error: SSEError | None) -> tuple[Request, float] | None:
        """Return the request to send after ``error``, and the seconds to wait first.

        None if there is nothing to resume, another attempt is pointless, or there have been
        enough. Without an error the body has ended cleanly as far as HTTP is concerned.
        """
        cause = error.__cause__ if isinstance(error, APIError) else error
        assert cause is None or isinstance(cause, SSEError)
        delay = retry_delay(cause or _ENDED, self._attempts, uniform=self._uniform)
        after = self._responses.resume()
        if delay is None or after is None or self._attempts >= self._max_retries:
            return None
        self._attempts += 1
        request = self._endpoint.request(
            f"responses/{quote(self._responses.response.id or '', safe='')}",
            query={"stream": "true", "starting_after": str(after)},
        )
        return request, delay
