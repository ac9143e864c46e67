"""A background response whose stream was cut -> the request that goes on with it. No I/O.

``GET /responses/{id}?stream=true&starting_after=N`` has the events after number N, for as
long as the endpoint keeps them (docs/openai.md, 4.4).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from urllib.parse import quote

from sse_core import Request, SSEError, TransportError

from .._errors import APIError
from .._responses.stream import ResponseStream
from .request import Endpoint
from .retry import retry_delay

__all__ = ["Resumption"]


class Resumption:
    """When to go on with a response, and how.

    Args:
        endpoint: where the response is.
        responses: what has been read of it.
        max_retries: attempts in a row that bring no event.
        uniform: the source of randomness, from 0 up to 1.
    """

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

    def received(self) -> None:
        """Note an event: from here on, attempts are counted anew."""
        self._attempts = 0

    def after(self, error: SSEError | None) -> tuple[Request, float] | None:
        """Return the request to send next, and the seconds to wait first.

        None where there is nothing to go on with, nothing will become of another attempt, or
        there have been enough.

        Args:
            error: what ended the stream, or the attempt to go on with it; None for an end
                in good order for HTTP.
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


_ENDED = TransportError("the stream ended before its final event")
