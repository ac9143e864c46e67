"""Clients end to end over loopback: processor time for an event, delay, memory for a stream.

Each client is a process of its own, and so is the server. The clients take turns, one
sample each in every round. A client's first reading of a stream is compared with the sent
events; in later ones the events are counted. If its events are wrong, its time is in
brackets. The ratios use the client's processor time: wall time also depends on the server,
and on other users of the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from statistics import median
from typing import Any

import sse_core

from .client_peers import CLIENTS, installed
from .parsers import OURS
from .report import machine, note, table

__all__ = ["FULL", "QUICK", "Figure", "Run", "Settings", "measure", "started"]


@dataclass(frozen=True)
class Settings:
    """The amount to measure."""

    repeats: int
    burst: int
    """Events of the stream that comes as fast as possible."""
    lockstep: int
    """Events of the stream in which each event is one read."""
    streams: int
    """Simultaneous streams, each with ``paced`` events, ``rate`` a second."""
    paced: int
    rate: int
    idle: int
    """Streams on which nothing arrives."""


FULL = Settings(5, burst=20_000, lockstep=4000, streams=1000, paced=25, rate=10, idle=5000)
QUICK = Settings(2, burst=2000, lockstep=500, streams=50, paced=10, rate=20, idle=200)

SINGLE = ["burst", "lockstep"]
PACED = [OURS, f"{OURS}, trio", "aiohttp + our parser", "httpx + httpx-sse", f"{OURS}, uvloop"]
IDLE = [OURS, "aiohttp + our parser", "httpx + httpx-sse", f"{OURS}, uvloop"]

TITLES = {
    "burst": "One stream, events as fast as the socket takes them, each in its own chunk",
    "lockstep": "One stream, one event per read, sent 100 µs after the previous one was taken",
    "paced": "Many streams at a time",
    "idle": "Memory of an idle stream",
    "idle-tls": "Memory of an idle stream over TLS",
}


@dataclass
class Figure:
    """One client in one mode: a sample for each round, in seconds for an event."""

    mode: str
    client: str
    verdict: str
    """The error in its events, or an empty string."""
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    delay: list[list[float]] = field(default_factory=list)
    """From the send to the consumer: median and 99th percentile of each round, in seconds."""
    bytes: float | None = None
    """Bytes of memory for one idle stream."""

    def add(self, answer: dict[str, Any]) -> None:
        self.verdict = self.verdict or answer["verdict"]
        if "cpu" in answer:
            self.cpu.append(answer["cpu"])
            self.wall.append(answer["wall"])
        if "delay" in answer:
            self.delay.append(answer["delay"])
        self.bytes = answer.get("bytes", self.bytes)


@dataclass
class Run:
    """Everything that one invocation measured."""

    machine: str
    versions: dict[str, str]
    left_out: list[str]
    settings: Settings
    figures: list[Figure] = field(default_factory=list)

    def of(self, mode: str, client: str) -> Figure | None:
        found = (each for each in self.figures if (each.mode, each.client) == (mode, client))
        return next(found, None)

    def ratio(
        self, mode: str, client: str, ours: str, of: Callable[[list[float]], float] = median
    ) -> float | None:
        """The processor time of ``client`` as a multiple of ours."""
        figures = [self.of(mode, client), self.of(mode, ours)]
        times = [of(figure.cpu) for figure in figures if figure and figure.cpu]
        return times[0] / times[1] if len(times) == 2 else None

    def head(self) -> str:
        lines = [f"* {self.machine}"]
        lines.append(f"* {', '.join(f'{name} {each}' for name, each in self.versions.items())}")
        if self.left_out:
            lines.append(f"* left out: {'; '.join(self.left_out)}")
        settings = self.settings
        lines.append(
            f"* {settings.repeats} rounds, clients in turn, each in a process of its own;"
            " medians, and the minimum"
        )
        lines.append(
            f"* {settings.burst:,} events in a burst, {settings.lockstep:,} in lockstep,"
            f" {settings.streams:,} paced streams of {settings.paced} events at"
            f" {settings.rate} a second, {settings.idle:,} idle streams"
        )
        return "\n".join(lines)

    def markdown(self) -> str:
        parts = [self.head()]
        for mode, title in TITLES.items():
            figures = [figure for figure in self.figures if figure.mode == mode]
            if figures:
                rows = [self._row(figure) for figure in figures]
                parts.append(f"### {title} (`{mode}`)\n\n{table(self._columns(mode), rows)}")
        parts.append(f"### Targets\n\n{self.targets()}")
        return "\n\n".join(parts)

    def targets(self) -> str:
        """The targets for the client, and the results."""
        rows = []

        def row(asked: str, value: float | None, met: bool, said: str = "{:.2f}x") -> None:
            measured = "–" if value is None else said.format(value)
            rows.append([asked, measured, "–" if value is None else "met" if met else "missed"])

        for mode in SINGLE:
            for ours, peer in [
                (OURS, "aiohttp + our parser"),
                (f"{OURS}, uvloop", "aiohttp + our parser, uvloop"),
            ]:
                value = self.ratio(mode, ours, peer)
                row(f"{mode}: {ours} ≤ 1.1x {peer}", value, value is not None and value <= 1.1)
            for ours, peer, least in [
                (OURS, "httpx + httpx-sse", 4),
                (OURS, "aiohttp-sse-client2", 3),
                (f"{OURS}, blocking", "requests + sseclient-py", 2),
            ]:
                value = self.ratio(mode, peer, ours)
                asked = f"{mode}: {peer} ≥ {least}x {ours}"
                row(asked, value, value is not None and value >= least)
        for mode, limit in [("idle", 16), ("idle-tls", 64)]:
            figure = self.of(mode, OURS)
            value = figure.bytes / 1024 if figure and figure.bytes else None
            asked = f"{mode}: at most {limit} KiB a stream"
            row(asked, value, value is not None and value <= limit, "{:.1f} KiB")
        return table(["target", "measured", ""], rows)

    def _columns(self, mode: str) -> list[str]:
        if mode in ("idle", "idle-tls"):
            return ["client", "KiB for a stream", ""]
        head = ["client", "CPU µs/event, median", "min", "× ours", "× ours, min", "wall µs/event"]
        if mode == "paced":
            head += ["delay ms, median", "99 %"]
        return [*head, ""]

    def _row(self, figure: Figure) -> list[str]:
        size = len(self._columns(figure.mode)) - 2
        if figure.bytes is not None:
            cells = [f"{figure.bytes / 1024:.1f}"]
        elif not figure.cpu:
            cells = ["–"] * size
        else:
            ours = CLIENTS[figure.client].ours
            cells = [f"{of(figure.cpu) * 1e6:.2f}" for of in (median, min)]
            for of in (median, min):
                ratio = self.ratio(figure.mode, figure.client, ours, of)
                cells.append("–" if ratio is None else f"{ratio:.2f}")
            cells.append(f"{median(figure.wall) * 1e6:.2f}")
            for delays in zip(*figure.delay, strict=True):
                cells.append(f"{median(delays) * 1e3:.2f}")
            if figure.verdict:
                cells = [f"({cell})" for cell in cells]
        return [figure.client, *cells, figure.verdict]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def measure(settings: Settings, names: Iterable[str] | None = None) -> Run:
    """Measure the clients that are installed, or those of ``names``, in all modes."""
    idle = _allow_files(settings.idle)
    versions, left_out = installed(CLIENTS if names is None else names)
    run = Run(machine(), _our_versions(), left_out, settings)
    for each in versions.values():
        run.versions |= each
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shared = folder / "shared"
        server = stack.enter_context(started("client_server", str(shared)))
        url = _urls(server.hello)["http"]
        workers = {
            name: stack.enter_context(started("client_worker", name, str(shared)))
            for name in versions
        }
        for mode in SINGLE:
            number = getattr(settings, mode)
            question = {"ask": "single", "url": f"{url}/{mode}/{number}", "events": number}
            question["lockstep"] = mode == "lockstep"
            _take_turns(run, mode, workers, question)
        streams, paced = settings.streams, settings.paced
        path = f"paced/{streams}/{paced}/{settings.rate}"
        question = {"ask": "paced", "url": f"{url}/{path}", "streams": streams, "events": paced}
        several = {name: workers[name] for name in PACED if name in workers}
        _take_turns(run, "paced", several, question)
        certificate, authority = _certificate(folder, run)
        for mode in ["idle", *(["idle-tls"] if certificate else [])]:
            for name in IDLE:
                if name in workers:
                    note(f"{mode}, {name}")
                    tls = str(authority) if mode == "idle-tls" else ""
                    answer = _idle(shared, certificate, name, idle, tls)
                    run.figures.append(Figure(mode, name, ""))
                    run.figures[-1].add(answer)
    if idle < settings.idle:
        run.left_out.append(f"{settings.idle - idle:,} idle streams: no files for them")
    return run


class Process:
    """A module of this package in a process of its own; it talks in lines of JSON."""

    def __init__(self, module: str, *arguments: str) -> None:
        # Clients differ in using a proxy for loopback.
        environment = {
            name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
        }
        self.popen = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.hello = self.answer()
        """The first line, which it writes by itself."""

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self.tell(question)
        return self.answer()

    def tell(self, question: dict[str, Any]) -> None:
        """Send a question; the answer is read later."""
        assert self.popen.stdin is not None
        try:
            self.popen.stdin.write(json.dumps(question) + "\n")
            self.popen.stdin.flush()
        except BrokenPipeError:
            pass  # then there is no answer

    def answer(self) -> dict[str, Any]:
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"verdict": "gives no answer"}
        return answer


@contextmanager
def started(module: str, *arguments: str) -> Iterator[Process]:
    process = Process(module, *arguments)
    try:
        yield process
    finally:
        process.popen.kill()
        process.popen.communicate()


def _take_turns(run: Run, mode: str, workers: dict[str, Process], question: dict[str, Any]) -> None:
    """One sample of each client per round; if checking is separate, one checked run comes first."""
    figures = []
    single = question["ask"] == "single"
    for name in workers:
        figures.append(Figure(mode, name, ""))
        if single:
            note(f"{mode}, {name}")
            figures[-1].verdict = workers[name].ask({**question, "keep": True})["verdict"]
    if single:
        question = {**question, "keep": False}
    for number in range(run.settings.repeats if figures else 0):
        note(f"{mode}, round {number + 1}")
        for figure in figures:
            figure.add(workers[figure.client].ask(question))
    run.figures += figures


def _idle(
    shared: Path, certificate: Path | None, name: str, streams: int, tls: str
) -> dict[str, Any]:
    # In fresh processes, so that nothing from before is counted, and ports that have just
    # been closed are not missing.
    arguments = ["--certificate", str(certificate)] if certificate else []
    with started("client_server", str(shared), *arguments) as server:
        with started("client_worker", name, str(shared)) as worker:
            url = _urls(server.hello)["https" if tls else "http"]
            question = {"ask": "idle", "url": f"{url}/idle", "streams": streams, "tls": tls}
            return worker.ask(question)


def _urls(ports: dict[str, Any]) -> dict[str, str]:
    return {scheme: f"{scheme}://127.0.0.1:{port}" for scheme, port in ports.items()}


def _certificate(folder: Path, run: Run) -> tuple[Path | None, Path | None]:
    """Return two files: the server's key and chain, and the authority."""
    try:
        authority: Any = import_module("trustme").CA()
    except ImportError:
        run.left_out.append("TLS: trustme is not installed")
        return None, None
    authority.cert_pem.write_to_path(folder / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        folder / "server.pem"
    )
    return folder / "server.pem", folder / "authority.pem"


def _allow_files(streams: int) -> int:
    """Allow this process and its children one file per stream; return the number allowed."""
    try:
        import resource
    except ImportError:  # not on Windows
        return streams
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return streams if most == resource.RLIM_INFINITY else min(streams, most - 500)


def _our_versions() -> dict[str, str]:
    below = {name: metadata.version(name) for name in ["anyio", "h11"]}
    return {OURS: sse_core.__version__, **below}
