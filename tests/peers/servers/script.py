"""What each of the Python servers sends, whatever its library calls it.

``GET /events?gate=g`` is the stream of events.json behind Last-Event-ID; its first event is
sent at once, the rest when ``POST /open?gate=g`` has come. Behind the last event it is 204.
``POST /echo`` answers with one event: the ``text`` of a JSON body, and the client's port as
its ID, which tells one connection from another. ``GET /refused`` is ``REFUSAL`` with
status 401.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

ITEMS: list[dict[str, str]] = json.loads(
    (Path(__file__).parent / "events.json").read_text(encoding="utf-8")
)
LAST_ID = ITEMS[-1]["id"]
REFUSAL = {"error": "no key"}

gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


async def items_behind(last_event_id: str | None, gate: str) -> AsyncIterator[dict[str, Any]]:
    ids = [item.get("id") for item in ITEMS]
    if last_event_id:
        behind = ids.index(last_event_id) + 1
    else:
        behind = 1
        yield ITEMS[0]
        await gates[gate].wait()
    for item in ITEMS[behind:]:
        yield item
