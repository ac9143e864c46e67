"""results -> Markdown for people, JSON for machines.

Ratios compare with ours, by medians unless stated otherwise: 3 means three times our time.
If a parser's events are wrong, its time is in brackets.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .measure import Result, Settings
from .parsers import OURS

__all__ = ["Cell", "Run", "machine", "table"]


def machine() -> str:
    """Return the processor and the interpreter, in one line."""
    processor = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = f"{line.partition(': ')[2]}, {platform.machine()}"
                break
    except OSError:
        pass
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, {python}"


@dataclass
class Cell:
    """All parsers on one stream."""

    workload: str
    title: str
    reads: str
    events: int
    bytes: int
    results: list[Result]

    @property
    def ours(self) -> Result | None:
        return next((result for result in self.results if result.parser == OURS), None)

    def ratio(self, result: Result) -> float | None:
        """The median time of ``result`` as a multiple of ours."""
        if not result.samples or self.ours is None or not self.ours.samples:
            return None
        return result.median / self.ours.median

    def markdown(self) -> str:
        rows = []
        for result in self.results:
            if not result.samples:
                rows.append([result.parser, "–", "–", "–", "–", "–", result.verdict])
                continue
            per_event = 1e9 / self.events
            figures = [f"{result.best * per_event:,.0f}", f"{result.median * per_event:,.0f}"]
            figures.append(f"{self.bytes / result.median / 1e6:,.1f}")
            for ours, theirs in [
                (self.ours and self.ours.best, result.best),
                (self.ours and self.ours.median, result.median),
            ]:
                figures.append(f"{theirs / ours:.2f}" if ours else "–")
            if result.verdict:
                figures = [f"({figure})" for figure in figures]
            rows.append([result.parser, *figures, result.verdict])
        head = ["parser", "ns/event, min", "median", "MB/s", "× ours, min", "× ours, median", ""]
        title = f"### {self.title} (`{self.workload}`), {said(self.reads)}"
        size = f"{self.events:,} events, {self.bytes / 1e6:,.2f} MB"
        return f"{title}\n\n{size}\n\n{table(head, rows)}"


@dataclass
class Run:
    """Everything that one invocation measured."""

    machine: str
    versions: dict[str, str]
    left_out: list[str]
    settings: Settings
    cells: list[Cell] = field(default_factory=list)

    def head(self) -> str:
        lines = [f"* {self.machine}"]
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines.append(f"* {versions}")
        if self.left_out:
            lines.append(f"* left out: {'; '.join(self.left_out)}")
        lines.append(
            f"* {self.settings.repeats} rounds, parsers in turn, each sample at least"
            f" {self.settings.sample * 1000:.0f} ms; garbage collector on, run before each sample"
        )
        return "\n".join(lines)

    def summary(self) -> str:
        """All cells in one table: our time, and the others' times as multiples of it."""
        names = [name for name in self.versions if name not in (OURS, "node", "go")]
        rows = []
        for cell in self.cells:
            ours = cell.ours
            row = [cell.workload, said(cell.reads)]
            row.append(f"{ours.median * 1e9 / cell.events:,.0f}" if ours and ours.samples else "–")
            by_name = {result.parser: result for result in cell.results}
            row += [_brief(cell, by_name.get(name)) for name in names]
            rows.append(row)
        return table(["workload", "reads", "ours, ns/event", *names], rows)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Run:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        cells = [
            Cell(**{**cell, "results": [Result(**result) for result in cell["results"]]})
            for cell in fields.pop("cells")
        ]
        return cls(**{**fields, "settings": Settings(**fields["settings"]), "cells": cells})


def said(reads: str) -> str:
    """Return the reads in words."""
    return {
        "64k": "64 KiB reads",
        "16k": "16 KiB reads",
        "1400": "1,400-byte reads",
        "512": "512-byte reads",
        "event": "one event per read",
        "1": "1-byte reads",
    }.get(reads, reads)


def _brief(cell: Cell, result: Result | None) -> str:
    if result is None:
        return "–"
    ratio = cell.ratio(result)
    if ratio is None:
        return result.verdict or "–"
    text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    return f"({text})" if result.verdict else text


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns, readable as text."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    lines = []
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def note(text: str) -> None:
    """Report progress to a waiting person, apart from the report."""
    print(text, file=sys.stderr, flush=True)
