"""Chats that a scripted server answers with."""

from __future__ import annotations

import json
from typing import Any

from tests.support.scripted_server import HEAD, Script, chunks


def token(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return b"data: %b\n\n" % json.dumps({"id": "c", "choices": [choice]}).encode()


A, B, STOP = token("a"), token("b"), token("", "stop")

DONE = b"data: [DONE]\n\n"

FIELDS = b"X-Request-Id: r1\r\nRetry-After: 7\r\nX-RateLimit-Reset-Tokens: 6m0s\r\n"

CHUNKED = HEAD + FIELDS + b"Transfer-Encoding: chunked\r\n\r\n"


def chat_script(*pieces: bytes, end: Any = "hold", last_chunk: bool = False) -> Script:
    return Script([CHUNKED, *chunks(pieces), *[b"0\r\n\r\n"] * last_chunk], end)


def answered(status: int, fields: bytes = b"", body: bytes = b"{}") -> Script:
    """Return a script that answers with that status, and is to be tried again at once."""
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n" % status
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return Script([head + (fields or b"retry-after-ms: 0\r\n") + length + body], "hold")
