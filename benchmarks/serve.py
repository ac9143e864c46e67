"""Servers: processor time for an event that one broadcast delivers to many subscribers.

Each library serves in its own process under the same uvicorn. Another process reads all
streams and compares every event with the published one. The libraries take turns, one
sample each in every round. The result is the processor time of the server alone, from the
first event until all have been read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median

from .client import Process, _allow_files, _our_versions, started
from .parsers import OURS
from .report import machine, note, table
from .serve_app import ALONE, APPS, BARE

__all__ = ["FULL", "QUICK", "REQUIREMENTS", "Run", "Sample", "Settings", "measure"]

REQUIREMENTS = ["uvicorn", "httptools", "sse-starlette>=3", "fastapi>=0.165"]
TARGET = 0.5


@dataclass(frozen=True)
class Settings:
    """The amount to measure."""

    repeats: int
    subscribers: int
    modes: dict[str, tuple[int, int]]
    """For each mode: the number of bursts, and of events in each."""


FULL = Settings(5, 2000, {"single": (10, 1), "burst": (4, 10)})
QUICK = Settings(2, 100, {"single": (5, 1), "burst": (2, 10)})


@dataclass
class Sample:
    """One library in one mode: processor seconds for a delivered event, one each round."""

    mode: str
    server: str
    verdict: str = ""
    cpu: list[float] = field(default_factory=list)


@dataclass
class Run:
    """Everything that one invocation measured."""

    machine: str
    versions: dict[str, str]
    left_out: list[str]
    settings: Settings
    samples: list[Sample] = field(default_factory=list)

    def time(self, mode: str, server: str, of: Callable[[list[float]], float]) -> float | None:
        for each in self.samples:
            if (each.mode, each.server) == (mode, server) and each.cpu and not each.verdict:
                return of(each.cpu)
        return None

    def ratio(self, mode: str, of: Callable[[list[float]], float] = median) -> float | None:
        """Our time as a fraction of the better peer's."""
        peers = [self.time(mode, name, of) for name in APPS if name not in (OURS, BARE, ALONE)]
        theirs = min((each for each in peers if each is not None), default=None)
        own = self.time(mode, OURS, of)
        return own / theirs if own and theirs else None

    def markdown(self) -> str:
        settings = self.settings
        parts = [
            f"* {self.machine}",
            f"* {', '.join(f'{name} {each}' for name, each in self.versions.items())}",
        ]
        parts.append(
            f"* {settings.repeats} rounds, servers in turn, {settings.subscribers:,} subscribers,"
            " uvicorn with httptools on asyncio"
        )
        parts += [f"* left out: {reason}" for reason in self.left_out]
        for mode, (rounds, burst) in settings.modes.items():
            parts.append(f"\n### {rounds} times {burst} events (`{mode}`)\n")
            rows = []
            for each in self.samples:
                if each.mode == mode:
                    cells = [f"{of(each.cpu) * 1e6:.1f}" if each.cpu else "–" for of in OF]
                    rows.append([each.server, *cells, each.verdict])
            parts.append(table(["server", "CPU µs/delivered event, median", "min", ""], rows))
        rows = []
        for mode in settings.modes:
            ratios = [self.ratio(mode, of) for of in OF]
            said = ["–" if each is None else f"{each:.2f}x" for each in ratios]
            met = "–" if ratios[0] is None else "met" if ratios[0] <= TARGET else "missed"
            rows.append([f"{mode}: {OURS} ≤ {TARGET}x the better peer", *said, met])
        parts.append("\n### Targets\n")
        parts.append(table(["target", "median", "min", ""], rows))
        return "\n".join(parts)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


OF: list[Callable[[list[float]], float]] = [median, min]


def measure(settings: Settings, names: Iterable[str] | None = None) -> Run:
    """Measure the servers that are installed, or those of ``names``."""
    _allow_files(0)
    run = Run(machine(), _our_versions(), [], settings)
    servers = []
    for name in APPS if names is None else names:
        try:
            run.versions |= {each: metadata.version(each) for each in APPS[name][1]}
            servers.append(name)
        except metadata.PackageNotFoundError as exc:
            run.left_out.append(f"{name}: {exc.name} is not installed")
    for mode, (rounds, burst) in settings.modes.items():
        samples = {name: Sample(mode, name) for name in servers}
        run.samples += samples.values()
        with ExitStack() as stack:
            pairs: dict[str, tuple[Process, Process]] = {}
            for name in servers:
                note(f"{mode}: {name}, connecting")
                server = stack.enter_context(started("serve_app", name))
                reader = stack.enter_context(started("serve_reader"))
                question = {"ask": "connect", "port": server.hello.get("port")}
                answer = reader.ask({**question, "subscribers": settings.subscribers})
                samples[name].verdict = answer["verdict"]
                pairs[name] = server, reader
            for number in range(settings.repeats):
                note(f"{mode}, round {number + 1}")
                for name, (server, reader) in pairs.items():
                    if not samples[name].verdict:
                        _sample(samples[name], server, reader, number, rounds, burst)
    for sample in run.samples:
        sample.cpu = [each / settings.subscribers for each in sample.cpu]
    return run


def _sample(
    sample: Sample, server: Process, reader: Process, number: int, rounds: int, burst: int
) -> None:
    events = rounds * burst
    span = {"first": number * events, "events": events}
    reader.tell({"ask": "read", **span})
    server.ask({"ask": "start", "rounds": rounds, "burst": burst, "first": span["first"]})
    sample.verdict = reader.answer()["verdict"]
    answer = server.ask({"ask": "end"})
    sample.verdict = sample.verdict or reader.ask({"ask": "check", **span})["verdict"]
    sample.cpu.append(answer["cpu"] / events)
