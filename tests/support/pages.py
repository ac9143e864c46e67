"""Answers of an endpoint that the relay's page shows."""

from __future__ import annotations

import json
import threading
from typing import Any

from tests.support.scripted_server import HEAD, End, Script, ScriptedServer, chunked, chunks

DONE = b"data: [DONE]\n\n"


def frame(content: str | None = None, **delta: Any) -> bytes:
    """Return the frame of a chunk with that delta."""
    if content is not None:
        delta["content"] = content
    return data({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def finish(reason: str = "stop") -> bytes:
    return data({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def data(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def answer(*pieces: bytes) -> Script:
    """Return a script that answers with a whole chat."""
    return chunked([*pieces, finish(), DONE])


def gated(*pieces: bytes | threading.Event, end: End = "close", last_chunk: bool = True) -> Script:
    """Return a script whose pieces wait for the events among them."""
    body = [
        part
        for piece in pieces
        for part in (chunks([piece]) if isinstance(piece, bytes) else [piece])
    ]
    last = [b"0\r\n\r\n"] if last_chunk and end == "close" else []
    return Script([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *body, *last], end)


def refusal(status: int, body: Any, *headers: str) -> Script:
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    kind = "application/json" if isinstance(body, dict) else "text/html"
    head = [f"HTTP/1.1 {status} x", f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
    return Script(["\r\n".join([*head, *headers, "", ""]).encode() + content])


def url(server: ScriptedServer) -> str:
    return server.url.removesuffix("/events")
