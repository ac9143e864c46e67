"""Starts the servers and proxies, ends them, and keeps what they log.

A server is a process of its own on a loopback port. It is killed and started again on the
same port, as a deployment does to the clients of one.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import string
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

WAIT = 20
"""Seconds after which a server that does not listen, or not end, has failed."""

_STATE = ["XDG_DATA_HOME", "XDG_CONFIG_HOME"]
"""Where caddy keeps its state."""

PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


@dataclass(frozen=True)
class Kind:
    """A program that serves events, or a proxy."""

    name: str
    needs: str
    """What to install."""
    probe: tuple[str, ...]
    """A command that succeeds where all of it is installed."""
    command: tuple[str, ...]
    """What runs it, with {port}, {configuration} and {directory} to be filled in."""
    configuration: str = ""
    """For a proxy, its file in this folder."""
    told: bool = False
    """Whether it is told its port, as proxies are, instead of reporting it."""

    def missing(self) -> str | None:
        """Return why it cannot be started here, if so."""
        return f"{self.name} needs {self.needs}" if _output(self.probe) is None else None

    def version(self) -> tuple[int, ...]:
        """Return the first version that the probe prints; () without one."""
        found = re.search(r"\d+(?:\.\d+)+", _output(self.probe) or "")
        return tuple(map(int, found[0].split("."))) if found else ()


@cache
def _output(command: tuple[str, ...]) -> str | None:
    """Run a command; return what it prints, or None where it is not there or fails."""
    program = _find(command[0])
    if program is None:
        return None
    done = subprocess.run(
        [program, *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WAIT,
    )
    return done.stdout if done.returncode == 0 else None


LLAMA_CPP_PYTHON = os.environ.get("LLAMA_CPP_PYTHON", sys.executable)
"""The interpreter that has llama-cpp-python."""

_WITH_MODEL = (sys.executable, "-m", "tests.peers.servers.tiny_model", "{directory}/tiny.gguf")


def _python(name: str, modules: str, program: str) -> Kind:
    probe = (sys.executable, "-c", f"import {modules}")
    command = (sys.executable, "-m", f"tests.peers.servers.{program}", "{port}")
    return Kind(name, "the extra `servers`", probe, command)


KINDS = {
    kind.name: kind
    for kind in [
        _python("sse-starlette", "uvicorn, sse_starlette", "starlette_program"),
        _python("FastAPI", "uvicorn, fastapi.sse", "fastapi_program"),
        _python("aiohttp-sse", "aiohttp_sse", "aiohttp_program"),
        Kind(
            "node",
            "node from 18 on",
            ("node", "--version"),
            ("node", str(HERE / "node_program.cjs"), "{port}"),
        ),
        Kind(
            "better-sse",
            "node from 18 on, and better-sse from npm where NODE_PATH says",
            ("node", "-e", 'require("better-sse")'),
            ("node", str(HERE / "better_sse_program.cjs"), "{port}"),
        ),
        Kind(
            "nginx",
            "nginx",
            ("nginx", "-v"),
            ("nginx", "-p", "{directory}", "-e", "stderr", "-c", "{configuration}"),
            "nginx.conf",
        ),
        Kind(
            "haproxy",
            "haproxy",
            ("haproxy", "-v"),
            ("haproxy", "-db", "-f", "{configuration}"),
            "haproxy.cfg",
        ),
        Kind(
            "caddy",
            "caddy",
            ("caddy", "version"),
            ("caddy", "run", "--config", "{configuration}", "--adapter", "caddyfile"),
            "Caddyfile",
        ),
        # What answers as OpenAI does.
        _python("mock", "sse_openai.mock", "mock_program"),
        Kind(
            "aimock",
            "node from 20.15 on, and @copilotkit/aimock from npm where NODE_PATH says",
            ("node", "-e", 'require("@copilotkit/aimock")'),
            ("node", str(HERE / "aimock_program.cjs"), "{port}"),
        ),
        Kind(
            "litellm",
            "litellm[proxy] from PyPI, its program in PATH",
            ("litellm", "--version"),
            # It asks the network for prices otherwise, and waits.
            (
                "env",
                "LITELLM_LOCAL_MODEL_COST_MAP=True",
                "litellm",
                "--config",
                "{configuration}",
                "--host",
                "127.0.0.1",
                "--port",
                "{port}",
                "--telemetry",
                "False",
            ),
            "litellm.yaml",
        ),
        Kind(
            "llama-server",
            "llama-server of llama.cpp in PATH",
            ("llama-server", "--version"),
            (
                *_WITH_MODEL,
                "llama-server",
                "--model",
                "{directory}/tiny.gguf",
                "--jinja",
                "--host",
                "127.0.0.1",
                "--port",
                "{port}",
                "--ctx-size",
                "4096",
                "--parallel",
                "2",
                "--threads",
                "1",
                "--no-warmup",
            ),
            told=True,
        ),
        Kind(
            "llama-cpp-python",
            "llama-cpp-python[server] from PyPI, LLAMA_CPP_PYTHON saying which python has it",
            (LLAMA_CPP_PYTHON, "-c", "import llama_cpp.server"),
            (
                *_WITH_MODEL,
                LLAMA_CPP_PYTHON,
                "-m",
                "llama_cpp.server",
                "--model",
                "{directory}/tiny.gguf",
                "--host",
                "127.0.0.1",
                "--port",
                "{port}",
                "--n_ctx",
                "512",
                "--n_threads",
                "1",
            ),
            told=True,
        ),
    ]
}


class Server:
    """One server, or a proxy in front of ``upstream``, which comes first, and others."""

    def __init__(self, kind: Kind, directory: Path, *upstreams: Server) -> None:
        self.kind = kind
        self.port = 0
        self._upstreams = upstreams
        self._told = kind.told or bool(upstreams)
        self._directory = directory
        self._configuration = directory / "configuration"
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it, on the port that it had before if there was one; wait until it listens."""
        # A port that was free may be taken by the time it is asked for.
        for _ in range(5):
            port = self._launch(self.port or (_free_port() if self._told else 0))
            if port and self._listens(port):
                self.port = port
                return
            self.stop()
        raise AssertionError(f"{self.kind.name} does not start:\n{self.log()}")

    def kill(self) -> None:
        """End it as a crash does: without another word to anyone."""
        assert self._process is not None
        self._process.kill()
        self._wait()

    def stop(self) -> None:
        """Ask it to end, and end it where it does not."""
        if self._process is not None:
            self._process.terminate()
            self._wait()

    def post(self, target: str) -> None:
        """Send a request without a body, past any proxy."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            connection.request("POST", target)
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        assert 200 == response.status

    def _launch(self, port: int) -> int:
        """Return the port, which a program reports and a proxy is told; 0 if there is none."""
        if self._upstreams:
            template = string.Template((HERE / self.kind.configuration).read_text())
            ports = {server.kind.name: server.port for server in self._upstreams}
            text = template.substitute(ports, port=port, upstream=self._upstreams[0].port)
            self._configuration.write_text(text)
        known = {
            "port": port,
            "configuration": self._configuration,
            "directory": self._directory,
        }
        program, *arguments = (part.format_map(known) for part in self.kind.command)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [_find(program) or program, *arguments],
                cwd=ROOT,
                env=os.environ | dict.fromkeys(_STATE, str(self._directory)),
                stdin=subprocess.DEVNULL,
                stdout=log if self._told else subprocess.PIPE,
                stderr=log,
            )
        reported = self._process.stdout
        if reported is None:
            return port
        if not select.select([reported], [], [], WAIT)[0]:
            return 0
        return int(reported.readline() or b"0")

    def _listens(self, port: int) -> bool:
        deadline = monotonic() + WAIT
        while self.running and monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), WAIT).close()
            except OSError:
                # A pause that ends at once when the process does.
                with suppress(subprocess.TimeoutExpired):
                    assert self._process is not None
                    self._process.wait(0.02)
            else:
                return self.running
        return False

    def _wait(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        with process:  # closes its pipe, and waits
            try:
                process.wait(WAIT / 4)
            except subprocess.TimeoutExpired:
                process.kill()


def _find(program: str) -> str | None:
    return shutil.which(program, path=PATH)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


class Servers:
    """Starts each server when it is first asked for, and ends them all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: dict[tuple[str, int], Server] = {}

    def get(self, kind: Kind, *upstreams: Server) -> Server:
        """Return a running server of that kind."""
        key = kind.name, upstreams[0].port if upstreams else 0
        if key not in self._servers:
            directory = self._directory / f"{kind.name}-{len(self._servers)}"
            directory.mkdir()
            self._servers[key] = Server(kind, directory, *upstreams)
        server = self._servers[key]
        if not server.running:
            server.start()
        return server

    def stop(self) -> None:
        for server in reversed(self._servers.values()):
            server.stop()
