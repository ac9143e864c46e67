"""A server between browsers and an API like OpenAI's, so that the key stays on the server.

``Relay`` is an ASGI application; ``from_environment`` makes one for ``uvicorn --factory
sse_openai.relay:from_environment``. A ``Store`` remembers its streams: ``MemoryStore`` in
the process, ``RedisStore`` for many processes. docs/relay.md shows how to run it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .app import Relay, StreamCut, from_environment
from .store import (
    Batch,
    FramesTrimmed,
    MemoryStore,
    Outcome,
    Store,
    StoreFull,
    StreamInfo,
    StreamUnknown,
)

if TYPE_CHECKING:
    from .redis import RedisStore as RedisStore

__all__ = [
    "Batch",
    "FramesTrimmed",
    "MemoryStore",
    "Outcome",
    "Relay",
    "Store",
    "StoreFull",
    "StreamCut",
    "StreamInfo",
    "StreamUnknown",
    "from_environment",
]


def __getattr__(name: str) -> Any:
    # Not before it is asked for: redis is an extra, which the suite may have to do without.
    if name == "RedisStore":  # pragma: no cover
        from .redis import RedisStore

        return RedisStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
