"""What a response with an error status becomes, whatever its body."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sse_core import Headers, Response, ResponseError, SSEError
from sse_openai import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ChatError,
    ConflictError,
    InternalServerError,
    MalformedChunk,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    StreamTruncated,
    UnprocessableEntityError,
)
from sse_openai._errors import api_error, retry_after


def response(status: int = 400, content_type: str = "application/json", **headers: str) -> Response:
    fields = {"content-type": content_type, **headers}
    return Response(
        status,
        Headers(
            [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        ),
    )


def error_of(body: bytes | str, head: Response | None = None) -> APIError:
    body = body.encode() if isinstance(body, str) else body
    error = api_error(ResponseError(head or response(), body))
    assert isinstance(error, APIError)
    assert body == error.body
    return error


@pytest.mark.parametrize(
    ("status", "exception"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, InternalServerError),
        (502, InternalServerError),
        (599, InternalServerError),
        (999, InternalServerError),
        (201, APIError),
        (302, APIError),
        (402, APIError),
        (408, APIError),
        (418, APIError),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/html"])
def test_class_by_status(status: int, exception: type[APIError], content_type: str) -> None:
    """The status decides, whatever the body is said to be."""
    error = error_of("x", response(status, content_type))

    assert exception is type(error)
    assert status == error.status
    assert f"the endpoint answered with status {status}" == error.message


def test_200_is_not_interpreted() -> None:
    """An answer that is no stream is not an error of the endpoint, even if it says so."""
    error = ResponseError(response(200), b'{"error": {"message": "m"}}')

    assert error is api_error(error)


def test_tree() -> None:
    """One root for all."""
    for exception in (APIError, MalformedChunk, StreamTruncated):
        assert issubclass(exception, ChatError)
    assert issubclass(ChatError, SSEError)


SILENT = "the endpoint answered with status 400"

# body -> message, type, code, param
BODIES: list[tuple[Any, tuple[Any, Any, Any, Any]]] = [
    ({"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}, ("m", "t", "c", "p")),
    ({"error": {"message": "m", "type": "t", "param": None, "code": None}}, ("m", "t", None, None)),
    ({"error": {"message": "m", "code": 5}}, ("m", None, 5, None)),
    ({"error": "m"}, ("m", None, None, None)),
    ({"error": "m", "code": "c"}, ("m", None, "c", None)),
    ({"message": "m", "type": "t", "code": 400, "param": "p"}, ("m", "t", 400, "p")),
    ({"object": "error", "message": "m", "type": "t"}, ("m", "t", None, None)),
    ({"type": "error", "error": {"type": "t", "message": "m"}}, ("m", "t", None, None)),
    ({"detail": "Not Found"}, ("Not Found", None, None, None)),
    ({"detail": "Not Found", "message": "m"}, ("m", None, None, None)),
    ({"detail": [{"loc": ["body"], "msg": "field required"}]}, (SILENT, None, None, None)),
    ({}, (SILENT, None, None, None)),
    ({"error": None}, (SILENT, None, None, None)),
    ({"error": {}}, (SILENT, None, None, None)),
    ({"error": {"message": {"text": "m"}}}, (SILENT, None, None, None)),
    ({"message": 5}, (SILENT, None, None, None)),
    ([], (SILENT, None, None, None)),
    ([{"error": {"message": "m"}}], (SILENT, None, None, None)),
    ("m", (SILENT, None, None, None)),
    (None, (SILENT, None, None, None)),
]


@pytest.mark.parametrize(("body", "expected"), BODIES)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_json_body(body: Any, expected: tuple[Any, ...], content_type: str) -> None:
    """OpenAI's shape, others' shapes, and none: read by what is there, not by its label."""
    error = error_of(json.dumps(body), response(400, content_type))

    assert expected == (error.message, error.type, error.code, error.param)
    assert expected[0] == str(error)
    assert None is error.completion


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><h1>502 Bad Gateway</h1></html>",
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf",
        b"{",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"1" * 5000,
        b'{"error": {"message": "cut off at 64 Ki',
    ],
    ids=lambda body: repr(body[:12]),
)
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
def test_other_body(body: bytes, content_type: str) -> None:
    """What cannot be read is kept as it is."""
    assert SILENT == error_of(body, response(400, content_type)).message


@pytest.mark.parametrize(
    "body",
    [
        'data: {"error": {"message": "m"}}\n\n',
        'event: error\ndata: {"message": "m"}\n\ndata: [DONE]\n\n',
        ': ping\n\ndata: {"error":\ndata: "m"}\n\n',
        '\ufeffdata: {"error": "m"}\r\n\r\n',
    ],
)
def test_event_stream_body(body: str) -> None:
    """Some proxies answer 500 with an event stream: its event is the error."""
    head = response(500, "Text/Event-Stream; charset=utf-8")

    assert "m" == error_of(body, head).message


@given(
    st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["error", "message", "type", "code", "param", "object", "detail"]),
                inner,
            )
        ),
    )
    .map(json.dumps)
    .map(str.encode),
    st.sampled_from(["application/json", "text/event-stream"]),
)
def test_any_body(body: bytes, content_type: str) -> None:
    """No body makes anything but the error of its status."""
    error = error_of(body, response(429, content_type))

    assert RateLimitError is type(error)
    assert isinstance(error.message, str)


def test_request_id_and_retry_after() -> None:
    """The head's own part of the news."""
    error = error_of("{}", response(429, x_request_id="r", retry_after="2"))

    assert ("r", 2) == (error.request_id, error.retry_after)
    assert "s" == error_of("{}", response(429, request_id="s")).request_id
    assert (None, None) == (error_of("{}").request_id, error_of("{}").retry_after)


def test_error_can_be_pickled() -> None:
    """As between processes, with all it carries."""
    before = error_of('{"error": "m"}', response(429, x_request_id="r"))
    after = pickle.loads(pickle.dumps(before))

    assert (type(before), str(before), vars(before)) == (type(after), str(after), vars(after))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "1.5"}, 0.0015),
        ({"retry_after_ms": "1", "retry_after": "9"}, 0.001),
        ({"retry_after_ms": "soon", "retry_after": "9"}, 9),
        ({"retry_after_ms": "", "retry_after": "9"}, 9),
        ({"retry_after": "0"}, 0),
        ({"retry_after": "2.5"}, 2.5),
        ({"retry_after": ".5"}, 0.5),
        ({"retry_after": "5."}, 5),
        ({"retry_after": "007"}, 7),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "+1"}, None),
        ({"retry_after": "."}, None),
        ({"retry_after": "1.2.3"}, None),
        ({"retry_after": "1e3"}, None),
        ({"retry_after": "1_0"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "6m0s"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 -0000"}, 0),
        ({"retry_after": "Wed, 32 Oct 2015 07:28:00 GMT"}, None),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 +99999999999999"}, None),
        ({"retry_after": "9" * 400}, float("inf")),
    ],
)
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    """Milliseconds, else seconds, else a date; a past date is zero, the rest is ignored."""
    assert expected == retry_after(response(429, **headers))


def test_retry_after_a_date() -> None:
    """A date ahead is so many seconds away."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)

    seconds = retry_after(response(429, retry_after=date))

    assert seconds is not None
    assert 90 < seconds <= 100


@given(st.text(alphabet="0123456789 .,:+-/WedOctGMTamp()٣", max_size=40))
@example("-9999 Oct 99:99:99 +99999999999999 -0000")
def test_any_retry_after(value: str) -> None:
    """Whatever it says, it is a number of seconds or nothing."""
    head = Response(429, Headers([(b"retry-after", value.encode())]))

    seconds = retry_after(head)

    assert seconds is None or seconds >= 0
