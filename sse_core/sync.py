"""The clients over blocking sockets: the names of ``sse_core``, without ``async``.

    from sse_core.sync import stream

    with stream("https://example.org/events") as events:
        for event in events:
            print(event.data)

Imports no anyio. A name look-up cannot be given a limit of time here; TCP and TLS can.
"""

from __future__ import annotations

from ._client.sync_source import EventSource
from ._client.sync_stream import Client, EventStream, stream
from .lazy import publish

__all__ = ["Client", "EventSource", "EventStream", "stream"]
publish(globals())
