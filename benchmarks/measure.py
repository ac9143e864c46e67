"""parsers and a stream -> times that can be compared.

A parser is checked before it is timed: its events against the expected ones. Then all
take turns, one sample each in every round, so that whatever disturbs the machine
disturbs them alike. A sample repeats the stream until it lasts long enough for the
clock. The garbage collector is on, as in real life; it runs before each sample, and
what was imported is frozen, so that one peer's modules are not another's burden.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median

from sse_core import ServerSentEvent

from .parsers import Outcome, Parser, View

__all__ = ["FULL", "QUICK", "Result", "Settings", "measure", "verdict"]


@dataclass(frozen=True)
class Settings:
    """How long to measure, in seconds."""

    repeats: int
    sample: float
    """The least that one sample lasts."""
    limit: float
    """The most that one pass over a stream may take before the parser is given up."""
    budget: float
    """The most that the samples of one parser on one stream may take together."""


FULL = Settings(repeats=9, sample=0.03, limit=5.0, budget=6.0)
QUICK = Settings(repeats=3, sample=0.02, limit=2.0, budget=1.0)


@dataclass
class Result:
    """One parser on one stream. ``samples`` holds seconds for one pass over the stream."""

    parser: str
    verdict: str
    """What is wrong with its events, or an empty string."""
    samples: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        return min(self.samples)

    @property
    def median(self) -> float:
        return median(self.samples)


def verdict(expected: Iterable[ServerSentEvent], outcome: Outcome) -> str:
    """Say how the events differ from the expected ones; an empty string if they do not."""
    if outcome.error:
        return outcome.error
    events = list(expected)
    want = [View(event.event, event.data, event.id) for event in events]
    # An ID that the peer does not tell is not held against it.
    got = [
        view if view.id is not None or at >= len(want) else view._replace(id=want[at].id)
        for at, view in enumerate(outcome.events)
    ]
    if got == want:
        return ""
    lost = (Counter(want) - Counter(got)).total()
    added = (Counter(got) - Counter(want)).total()
    altered = min(lost, added)
    words = [
        f"{word} {count:,}"
        for word, count in [
            ("alters", altered),
            ("loses", lost - altered),
            ("adds", added - altered),
        ]
        if count
    ]
    return f"{', '.join(words) or 'reorders'} of {len(want):,}"


def measure(
    parsers: Sequence[Parser],
    chunks: Sequence[bytes],
    expected: Sequence[ServerSentEvent],
    settings: Settings,
) -> list[Result]:
    """Return a result for each parser, in their order.

    One that raised or took too long has no samples. One whose events are wrong has,
    next to its verdict.
    """
    gc.collect()
    gc.freeze()
    try:
        return _measure(parsers, chunks, expected, settings)
    finally:
        gc.unfreeze()


def _measure(
    parsers: Sequence[Parser],
    chunks: Sequence[bytes],
    expected: Sequence[ServerSentEvent],
    settings: Settings,
) -> list[Result]:
    results = []
    turns: list[tuple[Parser, Result, int, int]] = []
    for parser in parsers:
        parser.load(chunks)
        outcome = parser.outcome(settings.limit)
        result = Result(parser.name, verdict(expected, outcome))
        results.append(result)
        if outcome.error:
            continue
        del outcome
        seconds = _warm_up(parser, max(parser.warm_up, settings.sample))
        loops = ceil(settings.sample / seconds)
        repeats = min(settings.repeats, int(settings.budget / (loops * seconds)))
        turns.append((parser, result, loops, max(repeats, 1)))
    for number in range(settings.repeats):
        for parser, result, loops, repeats in turns:
            if number < repeats:
                gc.collect()
                result.samples.append(parser.sample(loops) / loops)
    return results


def _warm_up(parser: Parser, least: float) -> float:
    """Run for ``least`` seconds; return what the last pass over the stream took."""
    total = 0.0
    loops = 1
    while True:
        seconds = parser.sample(loops)
        total += seconds
        if total >= least:
            return max(seconds / loops, 1e-9)
        loops *= 2
