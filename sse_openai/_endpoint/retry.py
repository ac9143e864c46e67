"""Whether a request is worth another attempt, and when. No I/O, no clock.

The rules are those of OpenAI's own SDKs: connection errors and the statuses 408, 409,
429 and 5xx, unless ``x-should-retry`` says otherwise; the delay that the response asks
for, or one that doubles from half a second to eight, less up to a quarter at random.
A proxy's refusal goes by its status too, and a certificate that was refused stays so.
Only what failed before a stream began is tried again: never after an event.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from sse_core import ProxyError, ResponseError, SSEError, TLSError, TransportError

from .._errors import retry_after

__all__ = ["retry_delay"]

FIRST_DELAY = 0.5
LONGEST_DELAY = 8.0
"""Seconds, of the client's own back-off."""

LONGEST_RETRY_AFTER = 120.0
"""Seconds. A response that asks for more is not worth waiting for: the error goes up."""

_TRANSIENT = frozenset([408, 409, 429])


def retry_delay(
    error: SSEError, retries: int, *, uniform: Callable[[], float] = random.random
) -> float | None:
    """Return the seconds to wait before another attempt, or None when there is none.

    Args:
        error: what ended the attempt, before any event was delivered.
        retries: how many retries there have been.
        uniform: the source of randomness, from 0 up to 1.
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
