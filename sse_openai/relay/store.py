"""Storage for a relay's streams: the interface, and the store in memory.

One task writes a stream: ``begin``, ``append``..., ``end``. It waits in ``unwanted`` for a
reason to give up. Any number of tasks, in any process that shares the store, read it:
``find``, then ``read`` within ``reading``. Frames are numbered from 1, and never change.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Literal, Protocol, TypeAlias

import anyio

Outcome: TypeAlias = Literal["complete", "cut", "stopped", "abandoned", "lost"]
"""How a stream ended: normally; cut off by the upstream; stopped by its caller; abandoned
for lack of readers; or lost with the process that read the upstream."""

BATCH_SIZE = 64 * 1024
"""Bytes after which a batch from ``read`` ends, with the frame that reaches them."""

FRAME_COST = 64
"""Bytes of memory that a frame takes besides its own."""


class StreamUnknown(LookupError):
    """There is no such stream, or it has expired."""


class FramesTrimmed(LookupError):
    """The log no longer has the requested frames: a limit has cut its beginning off."""


class StoreFull(Exception):
    """No further stream can be stored: the maximum number is running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """The facts known about a stream from its beginning."""

    owner: str
    """Identifies who began it; empty if callers have no tokens. Derived from a secret, not one."""
    content_type: str
    keep: float
    """Seconds for which the upstream continues without a reader."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive frames, and how the stream ended if they are its last."""

    frames: list[bytes]
    outcome: Outcome | None
    """How the stream ended, if these are its last frames."""


class Store(Protocol):
    """Keeps the frames of a relay's streams, for readers that come back.

    Every method but ``begin`` may raise StreamUnknown.
    """

    async def begin(self, stream_id: str, info: StreamInfo) -> None:
        """Make room for a stream, before its writer and its first reader use it.

        Raises:
            StoreFull: there is no room.
        """

    async def append(self, stream_id: str, frames: Sequence[bytes]) -> None:
        """Add frames to the end of a stream, and wake waiting readers."""

    async def end(self, stream_id: str, outcome: Outcome) -> None:
        """End a stream. It can be read until it expires."""

    async def unwanted(self, stream_id: str) -> Literal["stopped", "abandoned"]:
        """Wait until ``stop`` is called, or nobody has been reading for too long."""
        ...

    async def find(self, stream_id: str) -> StreamInfo:
        """Return the facts about a stream."""
        ...

    async def read(self, stream_id: str, after: int, *, wait: bool = True) -> Batch:
        """Return frames after the first ``after``, or the end; wait for either if ``wait`` is true.

        Raises:
            FramesTrimmed: some of them are gone.
            IndexError: the stream has had fewer frames than ``after``.
        """
        ...

    def reading(self, stream_id: str) -> AbstractAsyncContextManager[None]:
        """Count the caller as a reader of the stream within the block."""
        ...

    async def stop(self, stream_id: str) -> None:
        """Ask the writer to give up; has no effect once the stream has ended."""


@dataclass(slots=True, eq=False)
class _Log:
    info: StreamInfo
    frames: list[bytes] = field(default_factory=list)
    trimmed: int = 0
    """The number of frames that have been dropped."""
    size: int = 0
    outcome: Outcome | None = None
    ended_at: float = inf
    readers: int = 0
    left_at: float = 0.0
    stopped: bool = False
    grown: anyio.Event | None = None
    """Set with the next frames, if a reader waits for them."""
    attendance: anyio.Event = field(default_factory=anyio.Event)
    """Set when a reader comes or goes, or stops the stream."""

    def wake(self) -> None:
        if self.grown is not None:
            self.grown.set()
            self.grown = None

    def attend(self, change: int) -> None:
        self.readers += change
        self.left_at = anyio.current_time()
        self.attendance.set()
        self.attendance = anyio.Event()


class MemoryStore:
    """Streams in the memory of one process, within limits.

    Args:
        max_age: seconds for which a stream can be read after its end.
        max_stream_bytes: maximum bytes of one stream; its oldest frames are dropped first.
        max_bytes: maximum bytes of all streams; the streams that ended first are dropped
            first, then the oldest frames of the stream that grows.
        max_streams: maximum number of streams; those that ended first are dropped first.
    """

    def __init__(
        self,
        *,
        max_age: float = 600.0,
        max_stream_bytes: int = 16 * 2**20,
        max_bytes: int = 256 * 2**20,
        max_streams: int = 1000,
    ) -> None:
        self._max_age = max_age
        self._max_stream_bytes = max_stream_bytes
        self._max_bytes = max_bytes
        self._max_streams = max_streams
        self._running: dict[str, _Log] = {}
        self._ended: dict[str, _Log] = {}  # in the order of their ends
        self._size = 0

    async def begin(self, stream_id: str, info: StreamInfo) -> None:
        self._expire()
        if len(self._running) + len(self._ended) >= self._max_streams:
            if not self._ended:
                raise StoreFull(f"{self._max_streams} streams are running")
            self._forget_first()
        self._running[stream_id] = _Log(info, left_at=anyio.current_time())

    async def append(self, stream_id: str, frames: Sequence[bytes]) -> None:
        log = self._log(stream_id)
        size = _cost(frames)
        log.frames += frames
        log.size += size
        self._size += size
        if log.size > self._max_stream_bytes or self._size > self._max_bytes:
            self._trim(log)
        log.wake()

    async def end(self, stream_id: str, outcome: Outcome) -> None:
        log = self._running.pop(stream_id)
        log.outcome = outcome
        log.ended_at = anyio.current_time()
        self._ended[stream_id] = log
        log.wake()

    async def unwanted(self, stream_id: str) -> Literal["stopped", "abandoned"]:
        log = self._log(stream_id)
        while not log.stopped:
            patience = inf
            if not log.readers:
                patience = log.left_at + log.info.keep - anyio.current_time()
                if patience <= 0:
                    return "abandoned"
            with anyio.move_on_after(patience):
                await log.attendance.wait()
        return "stopped"

    async def find(self, stream_id: str) -> StreamInfo:
        self._expire()
        return self._log(stream_id).info

    async def read(self, stream_id: str, after: int, *, wait: bool = True) -> Batch:
        log = self._log(stream_id)
        while True:
            start = after - log.trimmed
            if start < 0:
                raise FramesTrimmed(f"the first {log.trimmed} frames are gone")
            if start > len(log.frames):
                raise IndexError(f"there have been {log.trimmed + len(log.frames)} frames")
            frames: list[bytes] = []
            size = 0
            while size < BATCH_SIZE and start + len(frames) < len(log.frames):
                frames.append(log.frames[start + len(frames)])
                size += len(frames[-1])
            last = start + len(frames) == len(log.frames)
            if frames or log.outcome or not wait:
                return Batch(frames, log.outcome if last else None)
            if log.grown is None:
                log.grown = anyio.Event()
            await log.grown.wait()

    @asynccontextmanager
    async def reading(self, stream_id: str) -> AsyncGenerator[None]:
        log = self._log(stream_id)
        log.attend(+1)
        try:
            yield
        finally:
            log.attend(-1)

    async def stop(self, stream_id: str) -> None:
        log = self._log(stream_id)
        log.stopped = True
        log.attend(0)

    def _log(self, stream_id: str) -> _Log:
        log = self._running.get(stream_id) or self._ended.get(stream_id)
        if log is None:
            raise StreamUnknown(stream_id)
        return log

    def _trim(self, log: _Log) -> None:
        while self._size > self._max_bytes and self._ended:
            self._forget_first()
        excess = max(log.size - self._max_stream_bytes, self._size - self._max_bytes)
        # And an eighth more, because the frames that are left move up in the list each time.
        excess += self._max_stream_bytes // 8 if excess > 0 else 0
        count = gone = 0
        while gone < excess and count < len(log.frames):
            gone += _cost(log.frames[count : count + 1])
            count += 1
        del log.frames[:count]
        log.trimmed += count
        log.size -= gone
        self._size -= gone

    def _expire(self) -> None:
        horizon = anyio.current_time() - self._max_age
        while self._ended and next(iter(self._ended.values())).ended_at <= horizon:
            self._forget_first()

    def _forget_first(self) -> None:
        log = self._ended.pop(next(iter(self._ended)))
        self._size -= log.size


def _cost(frames: Sequence[bytes]) -> int:
    return sum(map(len, frames)) + FRAME_COST * len(frames)
