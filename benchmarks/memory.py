"""Peak memory of our parser while one large event arrives, in multiples of its size.

Each shape of event is parsed in a process of its own, in reads of 64 KiB that are made on
demand, so that only memory kept by the parser is counted. ``traced`` is the memory that
Python allocated, the finished event included; ``resident`` is the growth of the process,
which includes memory that allocators keep.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sse_core import EventStreamParser

from .report import table
from .workloads import MAX_EVENT, READS

__all__ = ["SHAPES", "SIZE", "Peak", "markdown", "measure", "reads", "traced_peak"]

SIZE = MAX_EVENT

SHAPES = {
    "line": "one line, ASCII",
    "lines": "lines of 100 bytes, ASCII",
    "chinese": "one line, three bytes a character",
    "emoji": "one line, four bytes a character",
    "mixed": "one line, ASCII and one emoji",
}


class Peak(NamedTuple):
    """Bytes at the highest point, above the level before."""

    shape: str
    traced: int
    resident: int | None
    """None if the platform does not report it."""


def reads(shape: str, size: int) -> Iterator[bytes]:
    """Yield an event of about ``size`` bytes in reads of 64 KiB."""
    length = READS["64k"] or size
    piece = {
        "line": b"x" * length,
        "lines": (b"x" * 93 + b"\ndata: ") * (length // 100),
        "chinese": "事".encode() * (length // 3),
        "emoji": "😀".encode() * (length // 4),
        "mixed": b"x" * length,
    }[shape]
    yield b"data: "
    if shape == "mixed":
        yield "😀".encode()
    for _ in range((size - 16) // len(piece)):
        # A copy, like a real read: a parser that keeps reads pays for them.
        yield bytes(bytearray(piece))
    yield b"\n\n"


def traced_peak(shape: str, size: int) -> int:
    """Parse one event in this process; return the peak of Python's allocations."""
    tracemalloc.start()
    parser = EventStreamParser(max_event_size=None)
    events = []
    for data in reads(shape, size):
        events += parser.receive_data(data)
    assert len(events) == 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def resident_peak(shape: str, size: int) -> int | None:
    """Parse one event in this process; return the growth of its resident peak."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None

    def peak() -> int:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    before = peak()
    parser = EventStreamParser(max_event_size=None)
    for data in reads(shape, size):
        parser.receive_data(data)
    return peak() - before


def measure(size: int = SIZE, shapes: Sequence[str] = tuple(SHAPES)) -> list[Peak]:
    """Measure each shape in processes of its own."""
    peaks = []
    for shape in shapes:
        figures = []
        for name in ["traced_peak", "resident_peak"]:
            source = (
                f"import json; from benchmarks.memory import {name} as peak; "
                f"print(json.dumps(peak({shape!r}, {size})))"
            )
            command = [sys.executable, "-c", source]
            answer = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
            figures.append(json.loads(answer))
        peaks.append(Peak(shape, *figures))
    return peaks


def markdown(peaks: Sequence[Peak], size: int) -> str:
    """Return a table of peaks in multiples of the event's size."""
    rows = []
    for shape, traced, resident in peaks:
        resident_ratio = f"{resident / size:.2f}" if resident is not None else "–"
        rows.append([SHAPES[shape], f"{traced / size:.2f}", resident_ratio])
    return table([f"event of {size / 2**20:g} MiB", "traced, × size", "resident, × size"], rows)
