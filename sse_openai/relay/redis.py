"""Streams of a relay in Redis, for several processes; ``redis.asyncio``, so asyncio only.

Each stream has four keys, which all expire:

* ``head``, a hash: the fields of ``StreamInfo``;
* ``frames``, a Redis Stream whose entry IDs are the frames' numbers, ``n-0``; the entry
  after the last frame says how the stream ended;
* ``readers``, a sorted set of the readers, by the time to forget them;
* ``wishes``, a Redis Stream with an entry whenever a reader comes, goes or stops the stream.

The writer keeps a fifth key, ``alive``, from expiring; if it is missing, there is no writer.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from math import inf
from time import time
from typing import Any, Literal, cast

import anyio
import anyio.abc
import redis.asyncio  # pyright: ignore[reportMissingImports]  # an extra

from .store import BATCH_SIZE, FRAME_COST, Batch, FramesTrimmed, Outcome, StreamInfo, StreamUnknown

MAX_COUNT = 64
"""Maximum frames of one XREAD, so that its answer stays small."""


class RedisStore:
    """Streams in Redis, for several relay processes on asyncio.

    Args:
        url: URL of the server, such as ``redis://localhost:6379/0``, or a
            ``redis.asyncio.Redis`` that returns bytes. Each waiting reader uses a connection.
        prefix: prefix of all keys.
        max_age: seconds for which a stream can be read after its end, or its last frame.
        max_stream_bytes: maximum bytes of one stream; its oldest frames are dropped first.
        alive: seconds after which a writer or reader whose process died is forgotten.

    The total memory is limited by ``maxmemory`` of Redis.
    """

    def __init__(
        self,
        url: str | redis.asyncio.Redis = "redis://localhost",
        *,
        prefix: str = "relay",
        max_age: float = 600.0,
        max_stream_bytes: int = 16 * 2**20,
        alive: float = 10.0,
    ) -> None:
        # Any: across its versions, redis.asyncio declares awaitables, plain values or both.
        self._redis: Any = redis.asyncio.from_url(url) if isinstance(url, str) else url
        self._prefix = prefix
        self._max_age = max_age
        self._max_stream_bytes = max_stream_bytes
        self._alive = alive
        # The streams that this process writes.
        self._written: dict[str, _Written] = {}

    async def begin(self, stream_id: str, info: StreamInfo) -> None:
        head = {"owner": info.owner, "type": info.content_type, "keep": info.keep}
        async with self._redis.pipeline() as pipe:
            pipe.hset(self._key(stream_id, "head"), mapping=head)
            self._touch(pipe, stream_id)
            await pipe.execute()
        self._written[stream_id] = _Written()

    async def append(self, stream_id: str, frames: Sequence[bytes]) -> None:
        written = self._written[stream_id]
        key = self._key(stream_id, "frames")
        async with self._redis.pipeline() as pipe:
            for frame in frames:
                written.add(len(frame) + FRAME_COST)
                pipe.xadd(key, {"frame": frame}, id=f"{written.count}-0")
            if (first := written.trim(self._max_stream_bytes)) is not None:
                pipe.xtrim(key, minid=f"{first}-0", approximate=False)
            await pipe.execute()

    async def end(self, stream_id: str, outcome: Outcome) -> None:
        written = self._written.pop(stream_id)
        key = self._key(stream_id, "frames")
        async with self._redis.pipeline() as pipe:
            pipe.xadd(key, {"end": outcome}, id=f"{written.count + 1}-0")
            self._touch(pipe, stream_id)
            await pipe.execute()

    async def unwanted(self, stream_id: str) -> Literal["stopped", "abandoned"]:
        keep = (await self.find(stream_id)).keep
        seen: str | bytes = "0-0"
        absent_since = inf
        while True:
            async with self._redis.pipeline() as pipe:
                self._touch(pipe, stream_id)
                pipe.zcount(self._key(stream_id, "readers"), time(), "+inf")
                *_, readers = await pipe.execute()
            absent_since = inf if readers else min(absent_since, anyio.current_time())
            patience = absent_since + keep - anyio.current_time()
            if patience <= 0:
                return "abandoned"
            wishes = await self._wait(
                self._key(stream_id, "wishes"), seen, min(patience, self._alive / 3)
            )
            if any(b"stop" in fields for _, fields in wishes):
                return "stopped"
            seen = wishes[-1][0] if wishes else seen

    async def find(self, stream_id: str) -> StreamInfo:
        head = await self._redis.hgetall(self._key(stream_id, "head"))
        if not head:
            raise StreamUnknown(stream_id)
        return StreamInfo(
            owner=head[b"owner"].decode(),
            content_type=head[b"type"].decode(),
            keep=float(head[b"keep"]),
        )

    async def read(self, stream_id: str, after: int, *, wait: bool = True) -> Batch:
        key = self._key(stream_id, "frames")
        while True:
            async with self._redis.pipeline() as pipe:
                pipe.exists(self._key(stream_id, "head"))
                pipe.exists(self._key(stream_id, "alive"))
                pipe.xrange(key, f"({after}-0", "+", count=MAX_COUNT)
                pipe.xrevrange(key, count=1)
                known, alive, entries, last = await pipe.execute()
            if not known:
                raise StreamUnknown(stream_id)
            if entries:
                return _batch(after, entries)
            count = _number(last[0]) - (b"end" in last[0][1]) if last else 0
            if after > count:
                raise IndexError(f"there have been {count} frames")
            if not alive:
                return Batch([], "lost")
            if not wait:
                return Batch([], None)
            await self._wait(key, f"{after}-0", self._alive / 3)

    @asynccontextmanager
    async def reading(self, stream_id: str) -> AsyncGenerator[None]:
        reader = secrets.token_hex(8)
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._attend, stream_id, reader)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                with anyio.move_on_after(self._alive, shield=True):
                    async with self._redis.pipeline() as pipe:
                        pipe.zrem(self._key(stream_id, "readers"), reader)
                        self._wish(pipe, stream_id, "left")
                        await pipe.execute()

    async def stop(self, stream_id: str) -> None:
        async with self._redis.pipeline() as pipe:
            self._wish(pipe, stream_id, "stop")
            await pipe.execute()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _attend(
        self, stream_id: str, reader: str, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        key = self._key(stream_id, "readers")
        first = True
        while True:
            async with self._redis.pipeline() as pipe:
                pipe.zremrangebyscore(key, "-inf", time())
                pipe.zadd(key, {reader: time() + self._alive})
                pipe.expire(key, self._lifetime())
                if first:
                    self._wish(pipe, stream_id, "came")
                await pipe.execute()
            if first:
                task_status.started()
            first = False
            await anyio.sleep(self._alive / 3)

    async def _wait(self, key: str, seen: str | bytes, seconds: float) -> list[Any]:
        # At least a millisecond: 0 means forever.
        block = max(1, int(seconds * 1000))
        found = await self._redis.xread({key: seen}, block=block, count=MAX_COUNT)
        return found[0][1] if found else []

    def _touch(self, pipe: Any, stream_id: str) -> None:
        """Keep a stream from expiring, and its writer from being considered dead."""
        for name in ("head", "frames", "wishes"):
            pipe.expire(self._key(stream_id, name), self._lifetime())
        pipe.set(self._key(stream_id, "alive"), 1, px=max(1, int(self._alive * 1000)))

    def _wish(self, pipe: Any, stream_id: str, wish: str) -> None:
        key = self._key(stream_id, "wishes")
        pipe.xadd(key, {wish: b""}, maxlen=100)
        pipe.expire(key, self._lifetime())

    def _lifetime(self) -> int:
        return max(1, int(self._max_age + self._alive))

    def _key(self, stream_id: str, name: str) -> str:
        return f"{self._prefix}:{{{stream_id}}}:{name}"  # braces: all keys in one slot of a cluster


def _number(entry: Any) -> int:
    return int(entry[0].partition(b"-")[0])


def _batch(after: int, entries: list[Any]) -> Batch:
    frames: list[bytes] = []
    size = 0
    for expected, entry in enumerate(entries, after + 1):
        if _number(entry) != expected:
            raise FramesTrimmed(f"frame {expected} is gone")
        _, fields = entry
        if b"end" in fields:
            return Batch(frames, cast("Outcome", fields[b"end"].decode()))
        if size >= BATCH_SIZE:
            break
        frames.append(fields[b"frame"])
        size += len(frames[-1])
    return Batch(frames, None)


class _Written:
    """The sizes of the frames in Redis, as the writer knows them."""

    def __init__(self) -> None:
        self.count = 0
        self._sizes: dict[int, int] = {}
        self._size = 0

    def add(self, size: int) -> None:
        self.count += 1
        self._sizes[self.count] = size
        self._size += size

    def trim(self, limit: int) -> int | None:
        """Return the first frame to keep so that the rest fit; None if all fit."""
        if self._size <= limit:
            return None
        while self._size > limit and len(self._sizes) > 1:
            first = next(iter(self._sizes))
            self._size -= self._sizes.pop(first)
        return self.count - len(self._sizes) + 1
