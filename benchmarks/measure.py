"""parsers and a stream -> times that can be compared.

Before a parser is timed, its events are compared with the expected ones. Then all parsers
take turns, one sample each in every round, so that disturbances of the machine affect all
alike. A sample repeats the stream until it lasts long enough for the clock. The garbage
collector is on, as in real life, and runs before each sample; imported modules are frozen,
so that one peer's modules do not burden another.
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
    """The time to measure, in seconds."""

    repeats: int
    sample: float
    """The minimum length of a sample."""
    limit: float
    """The maximum time of one pass over a stream; a slower parser is given up."""
    budget: float
    """The maximum time of all samples of one parser on one stream."""


FULL = Settings(repeats=9, sample=0.03, limit=5.0, budget=6.0)
QUICK = Settings(repeats=3, sample=0.02, limit=2.0, budget=1.0)


@dataclass
class Result:
    """One parser on one stream. ``samples`` holds seconds for one pass over the stream."""

    parser: str
    verdict: str
    """The error in its events, or an empty string."""
    samples: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        return min(self.samples)

    @property
    def median(self) -> float:
        return median(self.samples)


def verdict(expected: Iterable[ServerSentEvent], outcome: Outcome) -> str:
    """Return the difference from the expected events, or an empty string."""
    if outcome.error:
        return outcome.error
    events = list(expected)
    want = [View(event.event, event.data, event.id) for event in events]
    # A peer that does not report IDs is not blamed for that.
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

    A parser that raised or took too long has no samples. One whose events are wrong has
    samples and a verdict.
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
    """Run for ``least`` seconds; return the time of the last pass over the stream."""
    total = 0.0
    loops = 1
    while True:
        seconds = parser.sample(loops)
        total += seconds
        if total >= least:
            return max(seconds / loops, 1e-9)
        loops *= 2
