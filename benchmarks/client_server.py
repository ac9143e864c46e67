"""A server of plain sockets and prepared bytes, in a process of its own; every event is a chunk.

The path selects what it sends:

    /burst/EVENTS                as fast as the socket takes it
    /lockstep/EVENTS             one event, and the next 100 µs after the consumer has taken it
    /paced/STREAMS/EVENTS/RATE   to each of STREAMS streams: EVENTS, RATE a second
    /idle                        one event, then nothing

The consumer counts the events that it has taken in memory shared by both processes, so that
the lockstep costs it no system call. ``/paced`` begins when it has set that count to 1.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sse_core import ServerSentEvent

from .workloads import WORKLOADS, build

__all__ = ["Shared", "expected", "paced"]

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"
GAP = 100_000
"""Nanoseconds for a consumer to go back to waiting. Without them, slow consumers would never
wait, and would be spared the cost of waking up."""

PATIENCE = 20.0
"""Seconds after which the server gives up on a consumer."""


class Shared:
    """A count in a file that two processes map."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as file:
            self.count = memoryview(mmap.mmap(file.fileno(), mmap.PAGESIZE)).cast("Q")

    def wait_for(self, count: int) -> None:
        """Return once the count is reached. This spins, because sleeping would pace the client."""
        deadline = time.monotonic() + PATIENCE
        while self.count[0] < count:
            os.sched_yield()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the consumer has not taken event {count}")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@cache
def _stream(events: int) -> tuple[list[bytes], list[ServerSentEvent]]:
    blocks, expected = build(WORKLOADS["chat"], "event", size=events)
    return [chunk(block) for block in blocks], expected


def expected(events: int) -> list[ServerSentEvent]:
    """The event that ``/burst`` and ``/lockstep`` send."""
    return _stream(events)[1]


def paced(now: int, stream: int, event: int) -> str:
    """The data of an event of ``/paced``; ``now`` is the monotonic clock in nanoseconds."""
    return f"{now:020} {stream:06} {event:06} ".ljust(250, "x")


class Server:
    """Both listeners, and the open streams."""

    def __init__(self, shared: Shared, tls: ssl.SSLContext | None) -> None:
        self._shared = shared
        self._tls = tls
        self._lock = threading.Lock()
        self._paced: list[socket.socket] = []
        self._idle: list[socket.socket] = []

    def listen(self, handle: Callable[[socket.socket], None]) -> int:
        """Accept in a thread; return the port."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)

        def accept() -> None:
            while True:
                peer, _ = listener.accept()
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=handle, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    def handle_tls(self, peer: socket.socket) -> None:
        assert self._tls is not None
        try:
            peer = self._tls.wrap_socket(peer, server_side=True)
        except OSError:
            peer.close()
        else:
            self.handle(peer)

    def handle(self, peer: socket.socket) -> None:
        """Answer requests until the client closes, or the stream is put into a list."""
        try:
            while path := _requested(peer):
                mode, *numbers = path.strip("/").split("/")
                peer.sendall(HEAD)
                if mode == "burst":
                    peer.sendall(b"".join(_stream(int(numbers[0]))[0]) + END)
                elif mode == "lockstep":
                    for number, data in enumerate(_stream(int(numbers[0]))[0], start=1):
                        peer.sendall(data)
                        self._shared.wait_for(number)
                        _spin(GAP)
                    peer.sendall(END)
                elif mode == "paced":
                    self._join(peer, *map(int, numbers))
                    return
                else:
                    peer.sendall(chunk(b"data: hello\n\n"))
                    self._idle.append(peer)
                    return
        except (OSError, TimeoutError) as exc:
            print(f"server: {exc!r}", file=sys.stderr)
        peer.close()

    def _join(self, peer: socket.socket, streams: int, events: int, rate: int) -> None:
        with self._lock:
            self._paced.append(peer)
            if len(self._paced) < streams:
                return
            peers, self._paced = self._paced, []
        self._shared.wait_for(1)
        gap = 1e9 / (rate * streams)  # the streams take turns, so there is no burst
        start = time.monotonic_ns()
        for event in range(events):
            for stream, peer in enumerate(peers):
                due = start + int((event * streams + stream) * gap)
                while (now := time.monotonic_ns()) < due:
                    time.sleep((due - now) / 1e9)
                peer.sendall(chunk(b"data: %b\n\n" % paced(now, stream, event).encode()))
        for peer in peers:
            peer.sendall(END)
            peer.close()


def _spin(nanoseconds: int) -> None:
    until = time.monotonic_ns() + nanoseconds
    while time.monotonic_ns() < until:
        os.sched_yield()


def _requested(peer: socket.socket) -> str:
    """Read a request without a body; return its path, or an empty string at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := peer.recv(65536)):
            return ""
        data += more
    return data.split(b" ", 2)[1].decode("ascii")


def main() -> None:
    """Write the ports to standard output, and serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--certificate", type=Path, help="key and chain in one file")
    options = parser.parse_args()
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate)
    server = Server(Shared(options.shared), tls)
    ports = {"http": server.listen(server.handle)}
    if tls:
        ports["https"] = server.listen(server.handle_tls)
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
