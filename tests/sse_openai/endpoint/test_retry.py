"""Whether a request is tried again, and when, without any waiting."""

from __future__ import annotations

import pytest

from sse_core import (
    ConnectTimeout,
    EventTooLarge,
    Headers,
    HeadTimeout,
    ProtocolError,
    ProxyError,
    Response,
    ResponseError,
    SSEError,
    TLSError,
    TransportError,
)
from sse_openai._endpoint.retry import retry_delay


def status(code: int, **headers: str) -> ResponseError:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return ResponseError(Response(code, Headers(fields)), b"")


def least() -> float:
    return 0.0


@pytest.mark.parametrize("code", [408, 409, 429, 500, 501, 502, 503, 504, 529, 599])
def test_transient_status(code: int) -> None:
    """These are worth another attempt."""
    assert 0.5 == retry_delay(status(code), 0, uniform=least)


@pytest.mark.parametrize("code", [200, 201, 301, 307, 400, 401, 402, 403, 404, 413, 422, 451])
def test_final_status(code: int) -> None:
    """These would be answered in the same way again."""
    assert None is retry_delay(status(code), 0)


@pytest.mark.parametrize(
    ("code", "verdict", "expected"),
    [
        (400, "true", 0.5),
        (429, "false", None),
        (500, "false", None),
        (400, "perhaps", None),
        (500, "perhaps", 0.5),
        (500, "", 0.5),
    ],
)
def test_verdict_of_the_server(code: int, verdict: str, expected: float | None) -> None:
    """x-should-retry has the last word, if it is true or false."""
    assert expected == retry_delay(status(code, x_should_retry=verdict), 0, uniform=least)


@pytest.mark.parametrize(
    "error", [TransportError("reset"), ConnectTimeout("late"), HeadTimeout("late")]
)
def test_transport_errors(error: SSEError) -> None:
    """Nothing had begun: again."""
    assert 0.5 == retry_delay(error, 0, uniform=least)


@pytest.mark.parametrize(
    ("code", "headers", "expected"),
    [
        (407, {}, None),
        (403, {}, None),
        (302, {}, None),
        (502, {}, 0.5),
        (504, {}, 0.5),
        (429, {}, 0.5),
        (503, {"retry_after": "3"}, 3),
        (503, {"retry_after": "121"}, None),
        (407, {"retry_after": "3"}, None),
    ],
)
def test_proxy_that_refuses(code: int, headers: dict[str, str], expected: float | None) -> None:
    """Its status decides, as an answer's does, and its Retry-After is kept to."""
    error = ProxyError(status(code, **headers).response, "h:443")

    assert expected == retry_delay(error, 0, uniform=least)


@pytest.mark.parametrize(
    "error",
    [ProtocolError("no HTTP"), EventTooLarge(1), SSEError("x"), TLSError("certificate")],
)
def test_other_errors(error: SSEError) -> None:
    """What the peer is does not change."""
    assert None is retry_delay(error, 0)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after_ms": "0"}, 0),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after": "3"}, 3),
        ({"retry_after": "0"}, 0),
        ({"retry_after_ms": "10", "retry_after": "3"}, 0.01),
        ({"retry_after": "120"}, 120),
        ({"retry_after": "120.5"}, None),
        ({"retry_after": "9" * 500}, None),
        ({"retry_after_ms": "120001"}, None),
        ({"retry_after": "soon"}, 0.5),
        ({"retry_after": "-1"}, 0.5),
        ({"retry_after": ""}, 0.5),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_delay_that_was_asked_for(headers: dict[str, str], expected: float | None) -> None:
    """It is kept to, up to two minutes; beyond that there is no other attempt."""
    assert expected == retry_delay(status(429, **headers), 0, uniform=least)


@pytest.mark.parametrize(
    ("retries", "longest"), [(0, 0.5), (1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (10**6, 8)]
)
def test_back_off(retries: int, longest: float) -> None:
    """It doubles from half a second to eight, less up to a quarter at random."""
    error = TransportError("reset")

    assert longest == retry_delay(error, retries, uniform=least)
    assert longest * 0.75 == retry_delay(error, retries, uniform=lambda: 1.0)
    for _ in range(20):
        delay = retry_delay(error, retries)
        assert delay is not None
        assert longest * 0.75 <= delay <= longest
