"""A source's policy run against bytes, without sockets and without sleeping."""

from __future__ import annotations

from typing import Any

from sse_core import SSEError, TransportError
from sse_core._client.reconnection import Reconnection
from sse_core._http.exchange import Connection
from sse_core._http.messages import Request

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


class Machine:
    """Runs a machine against bytes, on a clock that jumps."""

    def __init__(self, url: str = "http://h/", method: str = "GET", **options: Any) -> None:
        options.setdefault("uniform", lambda: 0.0)
        self.machine = Reconnection(Request(url, method), **options)
        self.now = 0.0
        self.requests: list[bytes] = []
        self.data: list[str] = []

    def run(
        self, *pieces: bytes, cut: bool = False, error: SSEError | None = None, lasts: float = 0.0
    ) -> float | None:
        """Play one connection: what comes, and how it ends. Return the wait."""
        connection: Connection[Any] = self.machine.connect(self.now)
        self.requests.append(connection.data_to_send())
        try:
            for piece in [*pieces, *([] if cut or error else [b""])]:
                items = connection.receive_data(piece)
                if connection.response is not None:
                    self.machine.received(items, self.now)
                self.data += [item.data for item in items if hasattr(item, "data")]
            self.now += lasts
            if cut:
                raise connection.transport_failed(TransportError("cut"))
            if error:
                raise error
        except SSEError as exc:
            return self._wait(self.machine.closed(self.now, exc))
        return self._wait(self.machine.closed(self.now))

    def _wait(self, delay: float | None) -> float | None:
        self.now += delay or 0.0
        return delay

    def header(self, name: str) -> bytes | None:
        """Return a field of the last request."""
        for line in self.requests[-1].split(b"\r\n"):
            if line.lower().startswith(name.encode() + b": "):
                return line.partition(b": ")[2]
        return None


def status(code: int, fields: str = "", body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {code} X\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body
