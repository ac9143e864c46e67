"""MockOpenAI with streams that go wrong after they have begun, by the name of the model."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import anyio

from sse_core import serve
from sse_openai.mock import MockOpenAI, Recording

CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def stream(*values: dict[str, Any]) -> Recording:
    return Recording.from_bytes(b"".join(b"data: %b\n\n" % json.dumps(v).encode() for v in values))


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return CHUNK | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


BEGUN = chunk({"role": "assistant", "content": "a"})
RECORDINGS = {
    "error": stream(BEGUN, {"error": {"message": "overloaded", "type": "server_error"}}),
    "cut": stream(BEGUN),
    "finished": stream(BEGUN, chunk({}, "stop")),
}


async def main() -> None:
    async with anyio.create_task_group() as tasks:
        print(await tasks.start(partial(serve, MockOpenAI(recordings=RECORDINGS))), flush=True)


if __name__ == "__main__":
    anyio.run(main)
