"""A server between browsers and an API like OpenAI's, so that the key stays on the server.

``Relay`` is an ASGI application; ``from_environment`` makes one for ``uvicorn --factory
sse_openai.relay:from_environment``. A ``Store`` remembers its streams: ``MemoryStore`` for
one process, ``RedisStore`` for several. docs/relay.md shows how to run it.
"""

from __future__ import annotations

from sse_core.lazy import TYPE_CHECKING, publish

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
publish(globals())
publish(globals(), "redis", extra="RedisStore")
