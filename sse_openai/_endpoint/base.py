"""The arguments of a client, and the requests that it makes; both shells share them."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from sse_core import NOT_GIVEN, NotGiven, Timeout

from .conversation import ChatConversation, ResponseConversation
from .request import DEFAULT_TIMEOUT, Endpoint, chat_request, endpoint_of, responses_request

AnyChat = TypeVar("AnyChat", bound=ChatConversation[Any])
AnyResponse = TypeVar("AnyResponse", bound=ResponseConversation)


class BaseClient(Generic[AnyChat, AnyResponse]):
    """A client without its ``with`` block. Subclasses name the classes of their shell."""

    _http_client: type[Any]
    _io: type[Any]
    _chat: type[AnyChat]
    _responses: type[AnyResponse]

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        headers: Mapping[str, str] | None = None,
        endpoint: Endpoint | None = None,
        max_retries: int = 2,
        timeout: Timeout | float | None = DEFAULT_TIMEOUT,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        uds: str | os.PathLike[str] | None = None,
        max_idle: int = 8,
        max_idle_time: float = 60.0,
        loads: Callable[[str], Any] = json.loads,
    ) -> None:
        self.endpoint = endpoint_of(
            endpoint,
            api_key=api_key,
            base_url=base_url,
            organization=organization,
            project=project,
            headers=headers,
        )
        """The endpoint that receives the requests."""
        self._timeout = Timeout.of(timeout)
        self._client = self._http_client(
            ssl_context=ssl_context,
            proxy=proxy,
            trust_env=trust_env,
            uds=uds,
            max_idle=max_idle,
            max_idle_time=max_idle_time,
        )
        self._options = {
            "io": self._io(self._client),
            "max_retries": max_retries,
            "loads": loads,
        }

    def chat(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any]],
        timeout: Timeout | float | NotGiven | None = NOT_GIVEN,
        **request_fields: Any,
    ) -> AnyChat:
        """Ask for one streamed chat completion.

        Args:
            model, messages: as in ``chat_request``.
            timeout: replaces the client's.
            request_fields: ``headers``, ``stream_options`` and any field of the request's
                JSON body, as in ``chat_request``.
        """
        request = chat_request(
            endpoint=self.endpoint, model=model, messages=messages, **request_fields
        )
        return self._chat(request, timeout=self._timeout_for(timeout), **self._options)

    def responses(
        self,
        *,
        model: str,
        input: Any,
        resume: bool = False,
        timeout: Timeout | float | NotGiven | None = NOT_GIVEN,
        **request_fields: Any,
    ) -> AnyResponse:
        """Ask for one streamed response.

        Args:
            model, input: as in ``responses_request``.
            resume: when the connection is cut, continue by GET, with at most ``max_retries``
                consecutive attempts that bring no event. Only a response that runs in the
                background can be resumed, so ``background`` is true unless it is given.
            timeout: replaces the client's.
            request_fields: ``headers`` and any field of the request's JSON body.
        """
        if resume:
            request_fields.setdefault("background", True)
        request = responses_request(
            endpoint=self.endpoint, model=model, input=input, **request_fields
        )
        return self._responses(
            request,
            endpoint=self.endpoint,
            timeout=self._timeout_for(timeout),
            resume=resume,
            **self._options,
        )

    def _timeout_for(self, timeout: Timeout | float | NotGiven | None) -> Timeout:
        return self._timeout if timeout is NOT_GIVEN else Timeout.of(timeout)
