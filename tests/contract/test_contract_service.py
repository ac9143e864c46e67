"""The contract's test service, in a process of its own, driven by a little harness."""

from __future__ import annotations

import http.client
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from tests.contract.contract_server import CHUNKED, STOP, ContractServer, header
from tests.support.scripted_server import WAIT, Script, chunked, chunks
from tests.support.shells import SHELLS

ROOT = Path(__file__).parents[2]
SHELL_NAMES = [shell.name for shell in SHELLS]

on_every_service = pytest.mark.parametrize("shell", SHELL_NAMES)


class Harness:
    """Asks the service for streams, and takes its reports."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reports: queue.Queue[tuple[str, Any]] = queue.Queue()
        reports = self._reports

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reports.put((self.path, body))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def callback_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/callback"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, str | None, bytes]:
        """Return status, Location and body of what the service answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT)
        content = body if isinstance(body, str | None) else json.dumps(body)
        try:
            connection.request(method, path, content)
            response = connection.getresponse()
            return response.status, response.getheader("Location"), response.read()
        finally:
            connection.close()

    def stream(self, url: str, **parameters: Any) -> str:
        """Ask for a stream; return its resource."""
        body = {"tag": "t", "streamUrl": url, "callbackUrl": self.callback_url, **parameters}
        status, location, _ = self.ask("POST", "/", body)
        assert status == 201
        assert location is not None
        return location

    def report(self, number: int) -> Any:
        """Return the next report, which has to have that number."""
        path, body = self._reports.get(timeout=WAIT)
        assert f"/callback/{number}" == path
        return body

    def has_no_report(self) -> bool:
        return self._reports.empty()


@contextmanager
def harness(shell: str, *options: str) -> Iterator[Harness]:
    """Start the service, drive it, and ask it to end."""
    command = [
        sys.executable,
        "-m",
        "tests.contract.contract_service",
        "--port",
        "0",
        "--shell",
        shell,
    ]
    with subprocess.Popen(
        [*command, *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout is not None
            assert service.stderr is not None
            port = int(service.stdout.readline().rpartition(":")[2])
            with Harness(port) as driver:
                yield driver
                assert 204 == driver.ask("DELETE", "/")[0]
            assert 0 == service.wait(WAIT)
            assert "" == service.stderr.read()
        finally:
            service.kill()


def event(data: str, type: str = "message", id: str = "") -> dict[str, Any]:
    return {"kind": "event", "event": {"type": type, "data": data, "id": id}}


@pytest.mark.sweep(quick=1)
@on_every_service
def test_a_whole_run(shell: str) -> None:
    """Capabilities, events, comments, a fault, restart, the end; then a stream that is deleted."""
    first = chunked([b":Hello\nid: 1\ndata: a\n\n", b"event: x\ndata: b\n\n"], "hold",
                    last_chunk=False)  # fmt: skip
    cut = chunked([b"data: c\n\n"], last_chunk=False)
    ended = chunked([b"id\ndata: d\n\n"])
    stop = Script([STOP])
    deleted = chunked([b"data: e\n\n"], "hold", last_chunk=False)

    with harness(shell) as driver:
        status, _, body = driver.ask("GET", "/")
        assert 200 == status
        found = json.loads(body)
        assert f"sse-toolkit ({shell})" == found["name"]
        assert [
            *("bom", "comments", "headers", "last-event-id", "post", "read-timeout", "report"),
            *("restart", "server-directed-shutdown-request"),
        ] == found["capabilities"]

        with ContractServer(first, cut, ended, stop) as server:
            resource = driver.stream(
                server.url,
                initialDelayMs=0,
                readTimeoutMs=None,
                lastEventId="0",
                method="REPORT",
                body='{"hello": "world"}',
                headers={"content-type": "application/json; charset=utf-8", "x-own": "1"},
            )
            assert {"kind": "comment", "comment": "Hello"} == driver.report(1)
            assert event("a", id="1") == driver.report(2)
            assert event("b", "x", "1") == driver.report(3)
            assert 202 == driver.ask("POST", resource, {"command": "restart"})[0]
            assert event("c", id="1") == driver.report(4)
            fault = driver.report(5)
            assert "error" == fault["kind"]
            assert fault["error"].startswith("TransportError: ")
            assert event("d") == driver.report(6)
            assert stop.closed.wait(WAIT)

        for script, last_event_id in (first, b"0"), (cut, b"1"), (ended, b"1"):
            assert last_event_id == header(script, "last-event-id")
            assert script.request.startswith(b"REPORT /events HTTP/1.1\r\n")
            assert b"application/json; charset=utf-8" == header(script, "content-type")
            assert b"1" == header(script, "x-own")
            assert script.request.endswith(b'\r\n\r\n{"hello": "world"}')

        with ContractServer(deleted) as server:
            other = driver.stream(server.url, initialDelayMs=0)
            assert other != resource
            assert event("e") == driver.report(1)
            assert 204 == driver.ask("DELETE", other)[0]
            assert deleted.closed.wait(WAIT)
            assert 404 == driver.ask("DELETE", other)[0]
        assert driver.has_no_report()


@pytest.mark.sweep(quick=1)
@on_every_service
def test_errors_are_reported(shell: str) -> None:
    """What ends a stream, and the idle limit, which does not."""
    refused = Script([b"HTTP/1.1 301 X\r\nContent-Length: 0\r\n\r\n"])
    silent = chunked([b"data: a\n\n"], "hold", last_chunk=False)

    stop = Script([STOP])

    with harness(shell) as driver:
        with ContractServer(refused) as server:
            driver.stream(server.url)
            assert driver.report(1)["error"].startswith("ResponseError: ")
        with ContractServer(silent, stop) as server:
            driver.stream(server.url, initialDelayMs=0, readTimeoutMs=200)
            assert event("a") == driver.report(1)
            assert driver.report(2)["error"].startswith("ReadTimeout: ")
            assert stop.closed.wait(WAIT)


BAD_REQUESTS: list[Any] = [
    "",
    "no JSON",
    "[]",
    {"streamUrl": "ftp://h/"},
    {"streamUrl": 5},
    {"callbackUrl": "https://h/"},
    {"callbackUrl": None},
    {"callbackUrl": "http://h:x/"},
    {"initialDelayMs": "soon"},
    {"initialDelayMs": -1},
    {"initialDelayMs": 10**400},
    {"readTimeoutMs": -1},
    {"lastEventId": "a\nb"},
    {"lastEventId": 5},
    {"headers": {"a": "b\r\nc: d"}},
    {"headers": {"content-length": "5"}},
    {"headers": "a"},
    {"method": "CONNECT"},
    {"body": 5},
]


def test_what_is_refused() -> None:
    """400 for what cannot be asked for, 404 for streams that are not there."""
    good = {"streamUrl": "http://127.0.0.1:1/", "callbackUrl": "http://127.0.0.1:1/"}

    with harness("asyncio") as driver:
        for bad in BAD_REQUESTS:
            partial = (isinstance(bad, dict) and set(bad) != {"streamUrl"}) or bad == {}
            body = good | bad if partial and bad else bad
            assert 400 == driver.ask("POST", "/", body)[0], bad
        for name in good:
            assert 400 == driver.ask("POST", "/", {name: good[name]})[0], name
        with ContractServer(chunked([], "hold", last_chunk=False)) as server:
            resource = driver.stream(server.url)
            for command in ({"command": "no such"}, {}, {"command": "listen"}, "x"):
                assert 400 == driver.ask("POST", resource, command)[0], command
            listen = {"command": "listen", "listen": {"type": "x"}}
            assert 400 == driver.ask("POST", resource, listen)[0]
            assert 405 == driver.ask("GET", resource)[0]
            assert 204 == driver.ask("DELETE", resource)[0]
        for method in ("POST", "DELETE", "GET"):
            assert 404 == driver.ask(method, "/streams/99", {"command": "restart"})[0]


def test_all_capabilities() -> None:
    """With event types that have to be listened for, only those and `message` are reported."""
    gate = threading.Event()
    unheard, plain = chunks([b"event: x\ndata: a\n\n", b"data: b\n\n"])
    script = Script([CHUNKED, unheard, plain, gate, unheard], "hold")

    with harness("asyncio", "--all-capabilities") as driver:
        found = json.loads(driver.ask("GET", "/")[2])["capabilities"]
        assert 10 == len(found)
        assert "event-type-listeners" in found
        with ContractServer(script) as server:
            resource = driver.stream(server.url)
            assert event("b") == driver.report(1)
            listen = {"command": "listen", "listen": {"type": "x"}}
            assert 202 == driver.ask("POST", resource, listen)[0]
            gate.set()
            assert event("a", "x") == driver.report(2)
            assert 204 == driver.ask("DELETE", resource)[0]
