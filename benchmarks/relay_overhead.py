"""CPU time of the relay for each frame, beside a byte pump: same bytes, same sockets.

The relay, or the pump, is a process of its own. This process is the API and the reader: it
sends the next frame once it has received the last one, so that each frame is its own read,
as tokens are. ``burst`` sends frames as fast as they are taken. The result is the CPU time
of the other process between the first frame and the last.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from statistics import median

import anyio
from anyio.abc import SocketStream

from sse_core._server.host import serve

__all__ = ["Overhead", "measure_relay", "report_relay"]

FRAME = b"data: " + b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,' + (
    b'"model":"gpt-5-mini","choices":[{"index":0,"delta":{"content":" token~"},"logprobs":null,'
    b'"finish_reason":null}]}\n\n'
)  # fmt: skip
CHUNK = b"%x\r\n%b\r\n" % (len(FRAME), FRAME)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b'{"model":"m","stream":true}'
WARM_UP = 200
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Overhead:
    """Microseconds of CPU time for a frame."""

    pattern: str
    pump: float
    relay: float

    @property
    def ratio(self) -> float:
        return self.relay / self.pump


def measure_relay(*, frames: int = 5000, rounds: int = 5) -> list[Overhead]:
    """Measure both in turns; return the medians of the rounds."""
    found = []
    for pattern in ("lockstep", "burst"):
        samples: dict[str, list[float]] = {"pump": [], "relay": []}
        for _ in range(rounds):
            for kind, into in samples.items():
                into.append(_measure(kind, pattern, frames))
        found.append(Overhead(pattern, median(samples["pump"]), median(samples["relay"])))
    return found


def report_relay(found: list[Overhead]) -> str:
    """Return the results as a table."""
    lines = ["| frames | pump, µs | relay, µs | ratio |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {each.pattern} | {each.pump:.1f} | {each.relay:.1f} | {each.ratio:.2f} |"
        for each in found
    ]
    return "\n".join(lines)


def _measure(kind: str, pattern: str, frames: int) -> float:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        command = [sys.executable, "-m", "benchmarks.relay_overhead", kind, port]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                server = int(process.stdout.readline())
                with socket.create_connection(("127.0.0.1", server), PATIENCE) as reader:
                    reader.sendall(
                        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                        % (len(BODY), BODY)
                    )
                    api, _ = listener.accept()
                    with api:
                        return _exchange(api, reader, process, pattern, frames)
            finally:
                process.kill()


def _exchange(
    api: socket.socket,
    reader: socket.socket,
    process: subprocess.Popen[str],
    pattern: str,
    frames: int,
) -> float:
    def cpu() -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    def take(count: int) -> None:
        # One byte that occurs once in each frame, so that no read cuts it.
        seen = 0
        while seen < count:
            data = reader.recv(65536)
            if not data:
                raise RuntimeError("the response was cut off")
            seen += data.count(b"~")

    reader.settimeout(PATIENCE)
    while BODY[-20:] not in api.recv(65536).replace(b" ", b""):
        pass
    api.sendall(HEAD)
    for _ in range(WARM_UP):
        api.sendall(CHUNK)
        take(1)
    before = cpu()
    if pattern == "lockstep":
        for _ in range(frames):
            api.sendall(CHUNK)
            take(1)
    else:
        sending = threading.Thread(target=api.sendall, args=(CHUNK * frames,))
        sending.start()
        take(frames)
        sending.join()
    return (cpu() - before) / frames * 1e6


async def _pump(port: int, caller: SocketStream) -> None:
    """Pass bytes on in both directions, until either side closes."""

    async def copy(source: SocketStream, target: SocketStream) -> None:
        async for data in source:
            await target.send(data)

    async with caller, await anyio.connect_tcp("127.0.0.1", port) as api:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(copy, caller, api)
            await copy(api, caller)
            tasks.cancel_scope.cancel()


async def _main(kind: str, port: int) -> None:
    from sse_openai import Endpoint
    from sse_openai.relay import Relay

    def report() -> None:
        for _ in sys.stdin:
            print(time.process_time(), flush=True)

    threading.Thread(target=report, daemon=True).start()
    if kind == "pump":
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        print(listener.extra(anyio.abc.SocketAttribute.local_port), flush=True)
        await listener.serve(partial(_pump, port))
    else:
        relay = Relay(Endpoint(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk"))
        async with anyio.create_task_group() as tasks:
            print(await tasks.start(partial(serve, relay)), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        anyio.run(_main, sys.argv[1], int(sys.argv[2]))
    else:
        print(report_relay(measure_relay()))
