"""What the mock was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sse_core import Headers

__all__ = ["LoggedRequest"]


@dataclass(slots=True, repr=False)
class LoggedRequest:
    """One request, as it arrived. Its ``repr`` shows nothing of headers and body."""

    method: str
    path: str
    query: dict[str, str]
    headers: Headers
    """By name, whatever the case."""
    body: bytes = b""
    """Empty until it was read, and where it was not: no such path, or a wrong key."""

    @property
    def json(self) -> Any:
        """The body as JSON; ``json.JSONDecodeError`` where it is none."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<LoggedRequest {self.method} {self.path} with {len(self.body)} bytes>"
