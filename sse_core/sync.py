"""The clients over blocking sockets: the names of ``sse_core``, without ``async``.

    from sse_core.sync import stream

    with stream("https://example.org/events") as events:
        for event in events:
            print(event.data)

Imports no anyio. A name look-up cannot be given a limit of time here; TCP and TLS can.
"""

from __future__ import annotations

from ._sync import Client, EventStream, stream
from ._sync_event_source import EventSource

__all__ = ["Client", "EventSource", "EventStream", "stream"]
