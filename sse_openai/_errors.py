"""The adapter's exceptions. They derive from ``sse_core.SSEError``.

sse_core.SSEError
└── ChatError
    ├── APIError             the endpoint reported an error, as a status or in the stream
    │   └── BadRequestError 400 · AuthenticationError 401 · PermissionDeniedError 403 ·
    │       NotFoundError 404 · ConflictError 409 · UnprocessableEntityError 422 ·
    │       RateLimitError 429 · InternalServerError 5xx
    ├── MalformedChunk       data that is not a chunk
    └── StreamTruncated      the stream ended too early

A body that was cut short raises sse_core's TransportError; an answer with status 200 that
is not an event stream raises its ResponseError.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sse_core import ResponseError, SSEError, iter_events

from ._chat.completion import ChatCompletion
from ._rate_limit import RateLimit, number, rate_limit

if TYPE_CHECKING:
    import sse_core
    from sse_core import ServerSentEvent

    from ._responses.response import Response


class ChatError(SSEError):
    """The base class of errors in an OpenAI stream above HTTP."""

    response: Response | None = None
    """The response so far, if a ``ResponseStream`` raised the error."""


class APIError(ChatError):
    """The endpoint reported an error: as its status, or in the middle of a stream.

    Its subclasses have the names that the official SDKs give to the statuses. An error in a
    stream with status 200, or a status without a class, is a plain ``APIError``.
    """

    def __init__(
        self,
        message: str,
        *,
        type: str | None = None,
        code: str | int | None = None,
        param: str | None = None,
        completion: ChatCompletion | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        """The message that the endpoint sent, or a note that it sent none."""
        self.type = type
        """As sent, such as ``invalid_request_error``; None if nothing was."""
        self.code = code
        """As sent, such as ``rate_limit_exceeded``; a number if it was one."""
        self.param = param
        """The parameter at fault, as sent."""
        self.completion = completion
        """The chat completion before the error, or None if the stream was not a chat."""
        self.status: int | None = None
        """The HTTP status; 200 for an error in a stream, None without a response."""
        self.request_id: str | None = None
        """The ``x-request-id`` of the response, or its ``request-id``."""
        self.retry_after: float | None = None
        """Seconds after which the endpoint asks the client to try again."""
        self.rate_limit = RateLimit()
        """The limits that the response's headers report; empty without a response."""
        self.body = b""
        """The response's body if its status was the error, at most 64 KiB."""

    def of(self, response: sse_core.Response) -> APIError:
        """Record the response that brought the error; return the error."""
        self.status = response.status
        self.request_id = request_id(response)
        self.retry_after = retry_after(response)
        self.rate_limit = rate_limit(response.headers)
        return self


class BadRequestError(APIError):
    """Status 400: the request makes no sense to the endpoint."""


class AuthenticationError(APIError):
    """Status 401: no key, or an unknown one."""


class PermissionDeniedError(APIError):
    """Status 403: the key does not permit this."""


class NotFoundError(APIError):
    """Status 404: no such path, model or deployment."""


class ConflictError(APIError):
    """Status 409: a conflict with another request; retried."""


class UnprocessableEntityError(APIError):
    """Status 422: well formed, but not acceptable."""


class RateLimitError(APIError):
    """Status 429: too many requests, or no quota left; retried."""


class InternalServerError(APIError):
    """Any status from 500 on; retried."""


_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


class MalformedChunk(ChatError):
    """Data that is not JSON, or is JSON but not an object."""

    def __init__(
        self, event: ServerSentEvent, completion: ChatCompletion | None, reason: str
    ) -> None:
        super().__init__(f"data that is not a chunk: {reason}")
        self.event = event
        """The event as it arrived."""
        self.completion = completion or ChatCompletion()
        """The chat completion before it; empty if the stream was not a chat."""
        self._reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.event, self.completion, self._reason), vars(self)


class StreamTruncated(ChatError):
    """The stream ended cleanly as far as HTTP is concerned, but too early by its own rules.

    A chat ends with ``[DONE]`` or when every choice has finished; a response, like other
    typed streams, ends with its final event.
    """

    def __init__(
        self,
        completion: ChatCompletion | None = None,
        message: str = "the stream ended before [DONE] and before every choice had finished",
    ) -> None:
        super().__init__(message)
        self.completion = completion or ChatCompletion()
        """The chat completion so far; empty if the stream was not a chat."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.completion, str(self)), vars(self)


def error_in(
    value: dict[str, Any],
    event_type: str = "message",
    default: str = "the endpoint reported an error",
) -> dict[str, Any] | None:
    """Return the arguments of an APIError if a JSON object reports an error, else None.

    An object is an error if ``error`` is a non-empty object or string, if ``object`` or
    ``type`` is ``"error"``, or if its event is named ``error``. ``default`` replaces a
    missing message.
    """
    error = value.get("error")
    if not (isinstance(error, dict | str) and error):
        error = None
        if "error" not in (value.get("object"), value.get("type"), event_type):
            return None
    inner = error if isinstance(error, dict) else {}
    # "error" as the type of a flat object is the type of the event, not of the error.
    own_type = None if inner or value.get("type") == "error" else value.get("type")
    message = error if isinstance(error, str) else inner.get("message", value.get("message"))
    return {
        "message": message if isinstance(message, str) else default,
        "type": inner.get("type", own_type),
        "code": inner.get("code", value.get("code")),
        "param": inner.get("param", value.get("param")),
    }


def api_error(error: ResponseError) -> APIError | ResponseError:
    """Return the error for a response with an error status.

    A response with status 200 that is not an event stream is not interpreted.
    """
    response, body = error.response, error.body
    if response.status == 200:
        return error
    if response.content_type == "text/event-stream":
        body = next((event.data for event in iter_events([body])), "").encode()
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    message = f"the endpoint answered with status {response.status}"
    if isinstance(value, dict):
        detail = value.get("detail")  # FastAPI's own errors
        arguments = error_in(value, "error", detail if isinstance(detail, str) else message)
    else:
        arguments = None
    base = InternalServerError if response.status >= 500 else APIError
    api_error = _BY_STATUS.get(response.status, base)(**(arguments or {"message": message}))
    api_error.body = error.body
    return api_error.of(response)


def request_id(response: sse_core.Response) -> str | None:
    """Return the endpoint's id of the request; LiteLLM and Anthropic use the second name."""
    return response.headers.get("x-request-id") or response.headers.get("request-id")


def retry_after(response: sse_core.Response) -> float | None:
    """Return the seconds that ``retry-after-ms`` or ``retry-after`` ask for, or None.

    A date in the past is zero; a value that is neither a number nor a date is ignored.
    """
    milliseconds = number(response.headers.get("retry-after-ms", ""))
    return response.retry_after() if milliseconds is None else milliseconds / 1000
