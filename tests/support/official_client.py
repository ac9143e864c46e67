"""The official client over one answer, without a socket: what the adapter is compared with."""

from __future__ import annotations

from typing import Any, Self

import openai

try:
    import httpx2 as http
except ImportError:  # openai 2
    import httpx as http  # type: ignore[no-redef]


class Official:
    """Answers every request of an official client with the same."""

    def __init__(self) -> None:
        self._status = 200
        self._headers: dict[str, str] = {}
        self._body = b""
        transport = http.MockTransport(self._answer)
        self.client = openai.OpenAI(
            api_key="k",
            base_url="http://x/v1",
            max_retries=0,
            http_client=http.Client(transport=transport),
        )

    def _answer(self, request: http.Request) -> http.Response:
        headers = {"content-type": "text/event-stream", **self._headers}
        return http.Response(self._status, headers=headers, content=self._body)

    def answers(
        self, body: bytes, status: int = 200, headers: dict[str, str] | None = None
    ) -> Self:
        self._body, self._status, self._headers = body, status, headers or {}
        return self

    def chunks(self) -> list[Any]:
        """Return what ``chat.completions.create`` iterates over."""
        return list(self.client.chat.completions.create(model="m", messages=[], stream=True))

    def chat(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the events of ``chat.completions.stream``, and what they add up to."""
        with self.client.chat.completions.stream(model="m", messages=[]) as stream:
            events = list(stream)
            return events, without_parsed(stream.current_completion_snapshot.to_dict())

    def response_events(self) -> list[Any]:
        """Return the events of ``responses.stream``."""
        with self.client.responses.stream(model="m", input="x") as stream:
            return list(stream)

    def response(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the events of ``responses.stream``, and the response that they add up to."""
        with self.client.responses.stream(model="m", input="x") as stream:
            events = list(stream)
            return events, without_parsed(stream.get_final_response().to_dict())


def without_parsed(value: Any) -> Any:
    """Leave out what the client adds of its own: parsed texts and arguments."""
    if isinstance(value, dict):
        return {
            key: without_parsed(item)
            for key, item in value.items()
            if key not in ("parsed", "parsed_arguments")
        }
    return [without_parsed(item) for item in value] if isinstance(value, list) else value
