"""The arguments of ``stream``, ``Client`` and ``EventSource``, shared by both shells."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import Any, ClassVar, TypedDict

from .._events import Comment, ServerSentEvent
from .._given import NOT_GIVEN, NotGiven
from .._http.exchange import BodyReader, Connection
from .._http.limits import DEFAULT_TIMEOUT, Timeout
from .._http.messages import HeadersInput, Request, check_last_event_id, merged
from .._http.redirects import Redirects
from .._parser import DEFAULT_MAX_EVENT_SIZE
from .reconnection import Policy
from .route import Route, RouteOptions


class ConnectionOptions(TypedDict, total=False):
    """The keyword arguments that ``connection_for`` takes, for type checkers."""

    method: str | None
    headers: HeadersInput | None
    content: bytes | str | None
    json: Any
    last_event_id: str
    max_event_size: int | None
    allow_http: bool


class RequestOptions(ConnectionOptions, total=False):
    """The keyword arguments of ``Client.stream``, for type checkers."""

    timeout: Timeout | float | NotGiven | None
    reader: BodyReader | None


class StreamOptions(ConnectionOptions, RouteOptions, total=False):
    """The keyword arguments of ``stream``, for type checkers."""

    timeout: Timeout | float | None


class SourceOptions(Policy, RouteOptions, total=False):
    """The keyword arguments of both ``EventSource`` classes, for type checkers."""

    method: str | None
    content: bytes | str | None
    json: Any
    last_event_id: str
    timeout: Timeout | float | NotGiven | None
    max_event_size: int | None


def connection_for(
    url: str | Request,
    *,
    method: str | None = None,
    headers: HeadersInput | None = None,
    content: bytes | str | None = None,
    json: Any = None,
    last_event_id: str = "",
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    comments: bool = False,
    allow_http: bool = False,
    reader: BodyReader | None = None,
    default_headers: HeadersInput | None = None,
) -> Connection[ServerSentEvent | Comment]:
    """Return the connection that the arguments of ``stream`` describe."""
    if isinstance(url, Request):
        if any(argument is not None for argument in (method, headers, content, json)):
            raise ValueError("a Request has its own method, headers and body")
        request = url
    else:
        headers = merged(default_headers, headers)
        request = Request(url, method, headers=headers, content=content, json=json)
    check_last_event_id(last_event_id)
    return Connection(
        request,
        last_event_id=last_event_id,
        max_event_size=max_event_size,
        comments=comments,
        redirects=Redirects(request, allow_http=allow_http),
        reader=reader,
    )


class ClientBase:
    """The settings of a client, and the connector of its shell; the base of both clients."""

    _CONNECTOR: ClassVar[Callable[..., Any]]
    connector: Any

    def __init__(
        self,
        *,
        headers: HeadersInput | None = None,
        timeout: Timeout | float | None = DEFAULT_TIMEOUT,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        uds: str | os.PathLike[str] | None = None,
        max_idle: int = 8,
        max_idle_time: float = 60.0,
    ) -> None:
        self.headers = headers
        self.timeout = Timeout.of(timeout)
        route = Route(ssl_context=ssl_context, proxy=proxy, trust_env=trust_env, uds=uds)
        self.connector = self._CONNECTOR(route, max_idle=max_idle, max_idle_time=max_idle_time)

    def timeout_for(self, timeout: Timeout | float | NotGiven | None) -> Timeout:
        """Return the limits of a request: its own, or the client's if none were given."""
        return self.timeout if timeout is NOT_GIVEN else Timeout.of(timeout)
