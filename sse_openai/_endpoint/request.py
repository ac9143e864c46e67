"""Arguments -> an endpoint, and the request that asks it for a stream."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from sse_core import Request, Timeout

DEFAULT_BASE_URL = "https://api.openai.com/v1"

DEFAULT_TIMEOUT = Timeout(head=600.0, idle=600.0)
"""A model may think for minutes before its first byte; the official SDKs wait as long."""

DRAIN_TIME = 0.1
"""Seconds to wait for the end of a body after ``[DONE]``, to keep the connection."""

# The Chat Completions reference recommends this to streaming clients.
_WITH_USAGE = {"include_usage": True}


class Endpoint:
    """The address of an API and the headers sent with every request.

    Args:
        base_url: the address; ``OPENAI_BASE_URL``, or OpenAI's own, by default. A query,
            such as Azure's ``api-version``, is appended to each path.
        api_key: the secret; ``OPENAI_API_KEY`` by default. Without one, or with ``""``,
            no ``Authorization`` is sent: local servers expect none.
        organization: ``OpenAI-Organization``; ``OPENAI_ORG_ID`` by default.
        project: ``OpenAI-Project``; ``OPENAI_PROJECT_ID`` by default.
        headers: further header fields, which replace those named here.

    Raises:
        ValueError: neither a key nor a base URL is known.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if api_key is None:
            api_key = os.environ.get("OPENAI_API_KEY")
        base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        if not api_key and not base_url:
            raise ValueError(
                "no endpoint: set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server"
            )
        fields = {
            "Authorization": f"Bearer {api_key}" if api_key else None,
            "OpenAI-Organization": organization or os.environ.get("OPENAI_ORG_ID"),
            "OpenAI-Project": project or os.environ.get("OPENAI_PROJECT_ID"),
        }
        self._base_url = base_url or DEFAULT_BASE_URL
        self._headers = _merged({name: value for name, value in fields.items() if value}, headers)

    @classmethod
    def azure(
        cls,
        endpoint: str,
        *,
        deployment: str,
        api_version: str,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Endpoint:
        """Return the endpoint of a deployment of Azure OpenAI.

        Args:
            endpoint: the address of the resource, such as ``https://name.openai.azure.com``.
            deployment: its name, which the path has instead of a model.
            api_version: such as ``2024-10-21``, sent in the query.
            api_key: sent as ``api-key``; ``AZURE_OPENAI_API_KEY`` by default. For a token
                of Entra ID, pass ``headers={"Authorization": "Bearer …"}``.
            headers: further header fields.

        Raises:
            ValueError: neither a key nor an ``Authorization`` is known.
        """
        api_key = api_key or os.environ.get("AZURE_OPENAI_API_KEY")
        given = _merged({"api-key": api_key} if api_key else {}, headers)
        if not {name.lower() for name in given} & {"api-key", "authorization"}:
            raise ValueError("no key: set AZURE_OPENAI_API_KEY, or pass an Authorization")
        path = f"{endpoint.rstrip('/')}/openai/deployments/{quote(deployment, safe='')}"
        query = urlencode({"api-version": api_version})
        found = cls(base_url=f"{path}?{query}", api_key="")
        found._headers = given  # nothing from OpenAI's environment
        return found

    def request(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        """Return the request for a path below the base URL: POST with a body, GET without."""
        base, _, queries = self._base_url.partition("?")
        queries = "&".join(part for part in (queries, urlencode(query or {})) if part)
        return Request(
            f"{base.rstrip('/')}/{path}" + (f"?{queries}" if queries else ""),
            headers=_merged(self._headers, headers),
            json=body,
        )

    def __repr__(self) -> str:
        return f"<Endpoint {self._base_url.partition('?')[0]}>"


def chat_request(
    *,
    model: str,
    messages: Iterable[Mapping[str, Any]],
    api_key: str | None = None,
    base_url: str | None = None,
    organization: str | None = None,
    project: str | None = None,
    headers: Mapping[str, str] | None = None,
    stream_options: Mapping[str, Any] | None = _WITH_USAGE,
    endpoint: Endpoint | None = None,
    **request_fields: Any,
) -> Request:
    """Return the request for one streamed chat completion.

    Args:
        model: the endpoint's name of the model.
        messages: the conversation, as objects of the API reference.
        api_key, base_url, organization, project: as for ``Endpoint``.
        headers: further header fields.
        stream_options: asks for a usage report by default; None sends none.
        endpoint: replaces the arguments that describe one.
        request_fields: any further field of the request's JSON body. ``stream`` is
            set here.

    Raises:
        ValueError: no endpoint is known, or a value cannot be sent.
    """
    endpoint = endpoint_of(
        endpoint,
        base_url=base_url,
        api_key=api_key,
        organization=organization,
        project=project,
    )
    if request_fields.pop("stream", True) is not True:
        raise ValueError("stream is always true here")
    body: dict[str, Any] = {"model": model, "messages": list(messages), "stream": True}
    if stream_options is not None:
        body["stream_options"] = dict(stream_options)
    return endpoint.request("chat/completions", body | request_fields, headers=headers)


def responses_request(
    *,
    model: str,
    input: Any,
    headers: Mapping[str, str] | None = None,
    endpoint: Endpoint,
    **request_fields: Any,
) -> Request:
    """Return the request for one streamed response.

    Args:
        model: the endpoint's name of the model.
        input: text, or a list of the API reference's items.
        headers: further header fields.
        endpoint: the receiver.
        request_fields: any further field of the request's JSON body, such as
            ``background``. ``stream`` is set here.

    Raises:
        ValueError: a value cannot be sent.
    """
    if request_fields.pop("stream", True) is not True:
        raise ValueError("stream is always true here")
    body = {"model": model, "input": input, "stream": True} | request_fields
    return endpoint.request("responses", body, headers=headers)


def endpoint_of(endpoint: Endpoint | None, **arguments: Any) -> Endpoint:
    """Return ``endpoint``, or the one that the arguments describe."""
    if endpoint is None:
        return Endpoint(**arguments)
    if any(argument is not None for argument in arguments.values()):
        raise ValueError("an endpoint has its own key, base URL, organization, project, headers")
    return endpoint


def _merged(defaults: Mapping[str, str], given: Mapping[str, str] | None) -> dict[str, str]:
    names = {name.lower() for name in given or ()}
    return {name: value for name, value in defaults.items() if name.lower() not in names} | dict(
        given or {}
    )
