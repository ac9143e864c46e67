"""Arguments -> the request that asks for a streamed chat completion."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from sse_core import Request, Timeout

__all__ = ["chat_request"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"

DEFAULT_TIMEOUT = Timeout(head=600.0, idle=600.0)
"""A model may think for minutes before its first byte: the official SDKs wait as long."""

# What the Chat Completions reference recommends to streaming clients.
_WITH_USAGE = {"include_usage": True}


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
    **request_fields: Any,
) -> Request:
    """Return the request for one streamed chat completion.

    Args:
        model: as the endpoint names it.
        messages: the conversation, as objects of the API reference.
        api_key: the secret; ``OPENAI_API_KEY`` by default. Without one, or with ``""``,
            no ``Authorization`` is sent, which is what servers at home expect.
        base_url: of the API; ``OPENAI_BASE_URL``, or OpenAI's own, by default.
        organization: ``OpenAI-Organization``; ``OPENAI_ORG_ID`` by default.
        project: ``OpenAI-Project``; ``OPENAI_PROJECT_ID`` by default.
        headers: further header fields, which win over those named here.
        stream_options: asks for a usage report by default; None sends none.
        request_fields: any further field of the request's JSON body. ``stream`` is
            set here.

    Raises:
        ValueError: neither a key nor a base URL is known, or a value cannot be sent.
    """
    if api_key is None:
        api_key = os.environ.get("OPENAI_API_KEY")
    base_url = base_url or os.environ.get("OPENAI_BASE_URL")
    if not api_key and not base_url:
        raise ValueError(
            "no endpoint: set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server"
        )
    if request_fields.pop("stream", True) is not True:
        raise ValueError("stream is always true here")
    body: dict[str, Any] = {"model": model, "messages": list(messages), "stream": True}
    if stream_options is not None:
        body["stream_options"] = dict(stream_options)
    fields = {
        "Authorization": f"Bearer {api_key}" if api_key else None,
        "OpenAI-Organization": organization or os.environ.get("OPENAI_ORG_ID"),
        "OpenAI-Project": project or os.environ.get("OPENAI_PROJECT_ID"),
    }
    given = {name.lower() for name in headers or ()}
    # A query, such as Azure's api-version, stays behind the path.
    path, question_mark, query = (base_url or DEFAULT_BASE_URL).partition("?")
    return Request(
        f"{path.rstrip('/')}/chat/completions{question_mark}{query}",
        "POST",
        headers={
            name: value for name, value in fields.items() if value and name.lower() not in given
        }
        | dict(headers or {}),
        json=body | request_fields,
    )
