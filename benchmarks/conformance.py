"""vectors x parsers -> the rules that each parser breaks.

Every vector is fed in one piece and byte by byte. It passes if both give the events that the
standard requires, and the reconnection time if the parser reports one. IDs count only if
the parser reports them. Vectors that begin with a last event ID from an earlier connection
do not apply to parsers that accept none.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sse_core import ServerSentEvent

from .measure import verdict
from .parsers import Parser
from .report import table

__all__ = ["VECTORS", "Score", "Vector", "broken", "load", "markdown", "score"]

VECTORS = Path(__file__).parent.parent / "tests" / "data" / "vectors.json"
LIMIT = 10.0
"""Seconds for one vector; the largest has 17 kB."""

GROUPS = {
    "eol": "line ends",
    "bom": "byte order mark",
    "field": "field names",
    "space": "the one space",
    "comment": "comments",
    "data": "data",
    "event": "event",
    "id": "last event ID",
    "retry": "retry",
    "eof": "end of stream",
    "utf8": "UTF-8",
    "split": "cuts",
    "wpt": "web-platform-tests",
    "spec": "the standard's examples",
}


@dataclass(frozen=True)
class Vector:
    """A stream and its events by the standard."""

    name: str
    stream: bytes
    events: list[ServerSentEvent]
    retry: int | None
    initial_last_event_id: str

    @property
    def group(self) -> str:
        return self.name.partition("-")[0]


@dataclass(frozen=True)
class Score:
    """One parser's result for each vector: passed, failed, raised or "not applicable"."""

    parser: str
    version: str
    results: dict[str, str]


def load(path: Path) -> list[Vector]:
    """Read a file of vectors."""
    return [
        Vector(
            name=fields["name"],
            stream=b"".join(base64.b64decode(chunk) for chunk in fields["chunks_b64"]),
            events=[ServerSentEvent(**event) for event in fields["events"]],
            retry=fields["retry"],
            initial_last_event_id=fields.get("initial_last_event_id", ""),
        )
        for fields in json.loads(path.read_text(encoding="utf-8"))
    ]


def score(parser: Parser, vectors: Sequence[Vector]) -> Score:
    """Run all vectors through one parser."""
    results = {vector.name: _result(parser, vector) for vector in vectors}
    return Score(parser.name, parser.version, results)


def _result(parser: Parser, vector: Vector) -> str:
    if vector.initial_last_event_id and not parser.takes_last_event_id:
        return "not applicable"
    results = set()
    stream = vector.stream
    for chunks in ([stream], [stream[at : at + 1] for at in range(len(stream))]):
        parser.load(chunks)
        outcome = parser.outcome(LIMIT, vector.initial_last_event_id)
        if outcome.error:
            results.add("raised")
        elif verdict(vector.events, outcome) or (
            parser.tells_retry and _time(outcome.retry) != _time(vector.retry)
        ):
            results.add("failed")
    return next((each for each in ("raised", "failed") if each in results), "passed")


def _time(retry: int | None) -> int | None:
    # Numbers in JavaScript are exact up to here, some 285,000 years.
    return retry if retry is None else min(retry, 2**53)


def markdown(scores: Sequence[Score], vectors: Sequence[Vector]) -> str:
    """Return a table with a row per group of rules and a column per parser."""
    sizes = Counter(vector.group for vector in vectors)
    rows = []
    for group in sorted(sizes, key=[*GROUPS, *sizes].index):
        title = f"{GROUPS.get(group, group)} ({sizes[group]})"
        rows.append([title, *(_cell(score, group) for score in scores)])
    for outcome in ["passed", "failed", "raised", "not applicable"]:
        counts = [list(score.results.values()).count(outcome) for score in scores]
        rows.append([outcome, *(str(count) for count in counts)])
    head = [f"rules ({len(vectors)} vectors)"]
    head += [f"{score.parser} {score.version}" for score in scores]
    legend = "A number counts vectors that give wrong events, one with `!` those that raise."
    return f"{table(head, rows)}\n\n{legend}\n"


def _cell(score: Score, group: str) -> str:
    results = [result for name, result in score.results.items() if name.partition("-")[0] == group]
    failed, raised = results.count("failed"), results.count("raised")
    counts = [f"{failed}"] * bool(failed) + [f"{raised}!"] * bool(raised)
    return " + ".join(counts) or "ok"


def broken(scores: Sequence[Score]) -> str:
    """Return the names of the vectors that each parser breaks."""
    lines = []
    for score in scores:
        names = [
            f"{name}{'!' * (result == 'raised')}"
            for name, result in score.results.items()
            if result in ("failed", "raised")
        ]
        lines.append(f"* {score.parser}: {', '.join(names) or 'none'}")
    return "\n".join(lines)
