"""Parsers to check and time: Python peers through adapters, others through processes.

``Adapter.parse`` passes events to a ``sink``, in iterables as they come. For timing, the sink
drops them in C; for checking, it keeps them. So the checked code is the timed code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from time import perf_counter
from typing import Any, NamedTuple, Protocol

__all__ = ["OURS", "Adapter", "Outcome", "Parser", "PythonParser", "Sink", "View"]

OURS = "sse-toolkit"

Sink = Callable[[Iterable[Any]], object]


class View(NamedTuple):
    """An event as the peer reports it; ``id`` is None if the peer reports none."""

    event: str
    data: str
    id: str | None


class Outcome(NamedTuple):
    """The outcome of a stream: the events, the last ``retry``, and the exception, if any."""

    events: list[View]
    retry: int | None
    error: str = ""


class Parser(Protocol):
    """A parser to check and time: a Python peer, or one in another language."""

    name: str
    version: str
    warm_up: float
    """Seconds of running before its time counts."""
    tells_retry: bool
    takes_last_event_id: bool

    def load(self, chunks: Sequence[bytes]) -> None:
        """Take the reads for all following calls."""

    def outcome(self, limit: float, last_event_id: str = "") -> Outcome:
        """Parse once and keep the events; give up after ``limit`` seconds."""

    def sample(self, loops: int) -> float:
        """Parse ``loops`` times, dropping the events; return seconds for all."""


class Adapter:
    """The way to use one Python peer. ``__init__`` imports it."""

    name: str
    distribution: str
    tells_retry = True
    takes_last_event_id = False
    last_event_id = ""

    def parse(self, chunks: Iterable[bytes], sink: Sink) -> None:
        raise NotImplementedError

    def view(self, event: Any) -> View:
        return View(event.event or "message", event.data, event.id or "")

    def retry(self, events: list[Any]) -> int | None:
        """The reconnection time after the stream, as the peer reports it."""
        times = [event.retry for event in events if event.retry is not None]
        return times[-1] if times else None


class _TooSlow(Exception):
    pass


class PythonParser:
    """An adapter that can be checked and timed."""

    warm_up = 0.05

    def __init__(self, adapter: Adapter) -> None:
        self.name = adapter.name
        try:
            self.version = metadata.version(adapter.distribution)
        except metadata.PackageNotFoundError:
            self.version = "from this folder"
        self.tells_retry = adapter.tells_retry
        self.takes_last_event_id = adapter.takes_last_event_id
        self._adapter = adapter
        self._chunks: Sequence[bytes] = []

    def load(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    def outcome(self, limit: float, last_event_id: str = "") -> Outcome:
        adapter = self._adapter
        adapter.last_event_id = last_event_id
        items: list[Any] = []
        error = ""
        try:
            adapter.parse(_until(perf_counter() + limit, self._chunks), items.extend)
        except _TooSlow:
            error = f"takes over {limit:g} s"
        except Exception as exc:
            error = f"raises {type(exc).__name__}"
        finally:
            adapter.last_event_id = ""
        items = [item for item in items if hasattr(item, "data")]  # not comments
        return Outcome([adapter.view(item) for item in items], adapter.retry(items), error)

    def sample(self, loops: int) -> float:
        parse = self._adapter.parse
        chunks = self._chunks
        drop = deque[Any](maxlen=0).extend
        started = perf_counter()
        for _ in range(loops):
            parse(chunks, drop)
        return perf_counter() - started


def _until(deadline: float, chunks: Iterable[bytes]) -> Iterator[bytes]:
    # Checked between reads, not by a signal: that works everywhere, and no read is longer
    # than 64 KiB where it matters.
    for chunk in chunks:
        if perf_counter() > deadline:
            raise _TooSlow
        yield chunk
