"""What a relay remembers of its streams: the interface, and the store that is in memory.

One task writes a stream: ``begin``, ``append``..., ``end``, and waits in ``unwanted`` for a
reason to give up. Any number read it, of any process that has the store: ``find``, then
``read`` within ``reading``. Frames are counted from 1, and never change.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Literal, Protocol, TypeAlias

import anyio

Outcome: TypeAlias = Literal["complete", "cut", "stopped", "abandoned", "lost"]
"""How a stream ended: by its upstream's end; cut off by the upstream; stopped by its caller;
without readers; or with the process that read the upstream."""

BATCH_SIZE = 64 * 1024
"""Bytes of frames that ``read`` returns at once, with the frame that passes them."""

FRAME_COST = 64
"""What a frame takes in memory beyond its bytes."""


class StreamUnknown(LookupError):
    """There is no such stream, or no longer."""


class FramesTrimmed(LookupError):
    """The log no longer holds what was asked for: its bounds have cut its beginning off."""


class StoreFull(Exception):
    """No further stream can be remembered: as many as are allowed are running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What is known of a stream from its beginning."""

    owner: str
    """Who began it; empty where callers are not told apart. No secret, but made of one."""
    content_type: str
    keep: float
    """Seconds for which the upstream goes on without a reader."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames that follow each other, and whether others will follow them."""

    frames: list[bytes]
    outcome: Outcome | None
    """How the stream ended, if these are its last frames."""


class Store(Protocol):
    """Where a relay keeps the frames of its streams, for readers that come back.

    Every method but ``begin`` may raise StreamUnknown.
    """

    async def begin(self, stream_id: str, info: StreamInfo) -> None:
        """Make room for a stream; its writer, and its first reader, come next.

        Raises:
            StoreFull: there is no room.
        """

    async def append(self, stream_id: str, frames: Sequence[bytes]) -> None:
        """Add frames to the end of a stream, for readers who may be waiting."""

    async def end(self, stream_id: str, outcome: Outcome) -> None:
        """End a stream. It can be read until it expires."""

    async def unwanted(self, stream_id: str) -> Literal["stopped", "abandoned"]:
        """Wait until ``stop`` was called, or nobody has been reading for too long."""
        ...

    async def find(self, stream_id: str) -> StreamInfo:
        """Return what is known of a stream."""
        ...

    async def read(self, stream_id: str, after: int, *, wait: bool = True) -> Batch:
        """Return frames after the first ``after``, or the end; wait for either, unless told not to.

        Raises:
            FramesTrimmed: some of them are gone.
            IndexError: there have not been so many frames.
        """
        ...

    def reading(self, stream_id: str) -> AbstractAsyncContextManager[None]:
        """Count as a reader of the stream within the block."""
        ...

    async def stop(self, stream_id: str) -> None:
        """Ask the writer to give up; of a stream that has ended, nothing."""


@dataclass(slots=True, eq=False)
class _Log:
    info: StreamInfo
    frames: list[bytes] = field(default_factory=list)
    trimmed: int = 0
    """How many frames came before those that are left."""
    size: int = 0
    outcome: Outcome | None = None
    ended_at: float = inf
    readers: int = 0
    left_at: float = 0.0
    stopped: bool = False
    grown: anyio.Event | None = None
    """Set with the next frames, if somebody waits for them."""
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
    """Streams in the memory of one process, within bounds.

    Args:
        max_age: seconds for which a stream can be read after its end.
        max_stream_bytes: of one stream; its oldest frames go first.
        max_bytes: of all streams; those go first that ended first, then the oldest frames
            of the one that grows.
        max_streams: how many are remembered; those go first that ended first.
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
        # And an eighth more, as all that is left moves up in the list.
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
