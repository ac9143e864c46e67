"""Many subscribers in one process: it reads all events of all streams, and compares them.

``python -m benchmarks.serve_reader``: ``{"ask": "connect", "port": p, "subscribers": n}``,
then ``{"ask": "read", "events": e, "first": f}``, answered once all have come, or are wrong.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any

from sse_core import EventStreamParser, ServerSentEvent

from .serve_app import DATA

PATIENCE = 120.0
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


class Reader:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._data: dict[socket.socket, bytearray] = {}

    def connect(self, port: int, subscribers: int) -> dict[str, Any]:
        """Open the streams, and check that the head of each response arrives."""
        for _ in range(subscribers):
            peer = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            peer.sendall(REQUEST)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := peer.recv(65536)):
                    return {"verdict": "closes instead of a response"}
                head += more
            if b" 200 " not in head or b"transfer-encoding: chunked" not in head.lower():
                return {"verdict": f"answers {head[:100]!r}"}
            peer.setblocking(False)
            self._data[peer] = bytearray(head.partition(b"\r\n\r\n")[2])
            self._selector.register(peer, selectors.EVENT_READ)
        return {"verdict": ""}

    def read(self, first: int, events: int) -> dict[str, Any]:
        """Read until every stream has the last event; compare every event of each."""
        end = time.monotonic() + PATIENCE
        last = f"id: {first + events}".encode()
        missing = set(self._data)
        while missing:
            ready = self._selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                return {"verdict": f"{len(missing)} streams lack events"}
            for key, _ in ready:
                peer: Any = key.fileobj
                data = self._data[peer]
                if not (more := peer.recv(2**18)):
                    return {"verdict": "ends a stream"}
                data += more
                # It ends with the event's blank line and the chunk's end.
                if data.endswith(b"\n\r\n") and last in data[-400:]:
                    missing.discard(peer)
        return {"verdict": ""}

    def check(self, first: int, events: int) -> dict[str, Any]:
        """Compare, apart from the reading, so that the server does not have to wait for it."""
        numbers = range(first, first + events)
        want = [ServerSentEvent(f"{number} {DATA}", id=str(number + 1)) for number in numbers]
        wrong = 0
        for data in self._data.values():
            items = EventStreamParser().receive_data(unchunked(bytes(data)))
            wrong += [item for item in items if isinstance(item, ServerSentEvent)] != want
            data.clear()
        return {"verdict": f"{wrong} streams have other events" if wrong else ""}


def unchunked(data: bytes) -> bytes:
    """The body of complete chunks."""
    pieces = []
    at = 0
    while at < len(data):
        end = data.index(b"\r\n", at)
        size = int(data[at:end], 16)
        pieces.append(data[end + 2 : end + 2 + size])
        at = end + 4 + size
    return b"".join(pieces)


def main() -> None:
    """Answer each line of JSON with another."""
    reader = Reader()
    print("{}", flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = getattr(reader, question.pop("ask"))(**question)
        except Exception as exc:
            answer = {"verdict": f"raises {type(exc).__name__}: {str(exc)[:200]}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
