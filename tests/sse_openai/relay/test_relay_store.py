"""What a relay remembers, by each store: in memory, and in a real Redis.

Redis is skipped where the server or the package is not installed, unless
SSE_REQUIRE_SERVERS is set.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from sse_openai import Endpoint
from sse_openai.relay import (
    FramesTrimmed,
    MemoryStore,
    Relay,
    Store,
    StoreFull,
    StreamInfo,
    StreamUnknown,
    from_environment,
)
from tests.support.relay_peer import API, FRAMES, NUMBERED, Reader, setting

pytestmark = pytest.mark.anyio

INFO = StreamInfo(owner="me", content_type="text/event-stream", keep=0.0)
KEPT = StreamInfo(owner="me", content_type="text/event-stream", keep=60.0)


def _missing(reason: str) -> None:
    if os.environ.get("SSE_REQUIRE_SERVERS"):
        pytest.fail(f"SSE_REQUIRE_SERVERS is set, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of a Redis that remembers nothing when it is stopped."""
    server = shutil.which("redis-server")
    if server is None:
        _missing("redis-server is not installed")
    if importlib.util.find_spec("redis") is None:
        _missing("the package redis is not installed")
    assert server is not None
    directory = tmp_path_factory.mktemp("redis")
    socket = directory / "redis.sock"
    settings = {"port": 0, "unixsocket": socket, "dir": directory, "save": "", "appendonly": "no"}
    arguments = [str(text) for name, value in settings.items() for text in (f"--{name}", value)]
    process = subprocess.Popen([server, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "accept connections" in line:
                break
        yield f"unix://{socket}"
    finally:
        process.kill()
        process.communicate(timeout=10)


StoreMaker = Callable[..., Any]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.peers)])
async def make_store(
    request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncGenerator[StoreMaker]:
    """What makes a store; those of Redis share its streams."""
    if request.param == "memory":
        yield MemoryStore
        return
    if anyio_backend != "asyncio":
        pytest.skip("redis.asyncio is for asyncio alone")
    url = request.getfixturevalue("redis_url")
    from sse_openai.relay import RedisStore

    made: list[RedisStore] = []

    def make(**options: Any) -> RedisStore:
        made.append(RedisStore(url, **options))
        return made[-1]

    yield make
    for store in made:
        await store.aclose()


@asynccontextmanager
async def begun(store: Store, info: StreamInfo = INFO) -> AsyncGenerator[str]:
    """Give a stream that has begun, with a name of its own."""
    stream_id = os.urandom(8).hex()
    with anyio.fail_after(10):
        await store.begin(stream_id, info)
        yield stream_id


async def test_frames_are_read_from_anywhere(make_store: StoreMaker) -> None:
    """What was appended, in order, and whether it is all; as often as one likes."""
    store = make_store()
    async with begun(store) as stream_id:
        await store.append(stream_id, [b"a", b"b"])
        await store.append(stream_id, [b"c"])
        first = await store.read(stream_id, 0)
        nothing = await store.read(stream_id, 3, wait=False)
        await store.end(stream_id, "cut")

        assert ([b"a", b"b", b"c"], None) == (first.frames, first.outcome)
        assert ([], None) == (nothing.frames, nothing.outcome)
        for after, frames in ((0, [b"a", b"b", b"c"]), (2, [b"c"]), (3, [])):
            batch = await store.read(stream_id, after)
            assert (frames, "cut") == (batch.frames, batch.outcome)
        for after in (4, 5):
            with pytest.raises(IndexError):
                await store.read(stream_id, after)
        assert INFO == await store.find(stream_id)


async def test_batches_are_bounded(make_store: StoreMaker) -> None:
    """A long log is read in several turns, and only the last has its end."""
    store = make_store()
    frames = [b"%d" % number + b"x" * 30_000 for number in range(10)]
    async with begun(store) as stream_id:
        await store.append(stream_id, frames)
        await store.end(stream_id, "complete")
        read: list[bytes] = []
        turns = 0
        outcome = None
        while outcome is None:
            batch = await store.read(stream_id, len(read))
            read += batch.frames
            turns += 1
            outcome = batch.outcome

        assert frames == read
        assert "complete" == outcome
        assert turns > 2


async def test_readers_wait_for_frames(make_store: StoreMaker) -> None:
    """Each of several, for the next, and for the end."""
    store = make_store()
    async with begun(store) as stream_id, anyio.create_task_group() as tasks:
        seen: list[list[bytes]] = [[], []]

        async def read(into: list[bytes]) -> None:
            outcome = None
            while outcome is None:
                batch = await store.read(stream_id, len(into))
                into += batch.frames
                outcome = batch.outcome

        for into in seen:
            tasks.start_soon(read, into)
        for frame in (b"a", b"b", b"c"):
            await anyio.wait_all_tasks_blocked()
            await store.append(stream_id, [frame])
        await store.end(stream_id, "complete")

    assert [[b"a", b"b", b"c"]] * 2 == seen


async def test_a_stream_that_nobody_reads_is_unwanted(make_store: StoreMaker) -> None:
    """As soon as the last reader has left."""
    store = make_store()
    async with begun(store) as stream_id, anyio.create_task_group() as tasks:
        answers: list[str] = []

        async def wait() -> None:
            answers.append(await store.unwanted(stream_id))

        async with store.reading(stream_id):
            async with store.reading(stream_id):
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
            await anyio.wait_all_tasks_blocked()
            assert not answers
            left = anyio.current_time()

    assert ["abandoned"] == answers
    assert anyio.current_time() - left < 0.1


async def test_time_to_come_back(make_store: StoreMaker) -> None:
    """It is not unwanted while somebody may come back; stopped it is at once."""
    store = make_store()
    async with begun(store, KEPT) as stream_id, anyio.create_task_group() as tasks:
        answers: list[str] = []

        async def wait() -> None:
            answers.append(await store.unwanted(stream_id))

        async with store.reading(stream_id):
            tasks.start_soon(wait)
        with anyio.move_on_after(0.05):
            while not answers:
                await anyio.lowlevel.checkpoint()
        assert not answers
        await store.stop(stream_id)

    assert ["stopped"] == answers


async def test_the_oldest_frames_go(make_store: StoreMaker) -> None:
    """Those that are left have their numbers still."""
    store = make_store(max_stream_bytes=1000)
    async with begun(store) as stream_id:
        for number in range(1, 31):
            await store.append(stream_id, [b"%02d" % number])
        await store.end(stream_id, "complete")

        with pytest.raises(FramesTrimmed):
            await store.read(stream_id, 0)
        assert [b"29", b"30"] == (await store.read(stream_id, 28)).frames


async def test_unknown_streams(make_store: StoreMaker) -> None:
    """There is nothing to find."""
    with pytest.raises(StreamUnknown):
        await make_store().find("unknown")


async def test_memory_expires() -> None:
    """By age, counted from a stream's end."""
    store = MemoryStore(max_age=0.0)
    async with begun(store) as running, begun(store) as ended:
        await store.end(ended, "complete")

        assert INFO == await store.find(running)
        with pytest.raises(StreamUnknown):
            await store.find(ended)
        with pytest.raises(StreamUnknown):
            await store.read(ended, 0)


async def kept(store: MemoryStore, stream_id: str) -> int:
    """Return how many bytes of a stream can still be read."""
    after = 0
    while True:
        try:
            batch = await store.read(stream_id, after, wait=False)
        except FramesTrimmed:
            after += 1
        else:
            return sum(map(len, batch.frames))


async def test_memory_is_bounded_in_all() -> None:
    """What ended first goes first; then what grows loses its beginning."""
    store = MemoryStore(max_bytes=1000, max_stream_bytes=900)
    async with begun(store) as first, begun(store) as second, begun(store) as third:
        await store.append(first, [b"x" * 300])
        await store.append(second, [b"x" * 300])
        await store.end(second, "complete")
        await store.end(first, "complete")
        await store.append(third, [b"x" * 400])
        with pytest.raises(StreamUnknown):
            await store.find(second)
        assert INFO == await store.find(first)
        await store.append(third, [b"x" * 500] * 3)
        with pytest.raises(StreamUnknown):
            await store.find(first)
        with pytest.raises(FramesTrimmed):
            await store.read(third, 0)
        assert await kept(store, third) <= 1000
        async with begun(store) as fourth:
            await store.append(fourth, [b"x" * 990])  # too large for what is left
            assert await kept(store, third) + await kept(store, fourth) <= 1000


async def test_memory_is_bounded_in_number() -> None:
    """What has ended makes room; what runs does not."""
    store = MemoryStore(max_streams=1)
    async with begun(store) as first:
        with pytest.raises(StoreFull):
            await store.begin("second", INFO)
        await store.end(first, "complete")
        await store.begin("second", INFO)
        with pytest.raises(StreamUnknown):
            await store.find(first)


@asynccontextmanager
async def process(redis_url: str, api: API) -> AsyncGenerator[tuple[Any, int]]:
    """Run a relay in a process of its own; give it, and its port."""
    command = [sys.executable, "-m", "tests.support.relay_process", redis_url]
    base_url = f"http://127.0.0.1:{api.port}/v1"
    root = Path(__file__).parents[3]
    async with await anyio.open_process(
        [*command, base_url, "1.0"], stderr=subprocess.DEVNULL, cwd=root
    ) as running:
        try:
            assert running.stdout is not None
            yield running, int(await running.stdout.receive())
        finally:
            if running.returncode is None:
                running.kill()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_processes_that_are_killed(redis_url: str) -> None:
    """Readers go on with another; of the one that read the API, they are told in time."""
    async with setting() as relay, process(redis_url, relay.api) as (writer, writer_port):
        async with process(redis_url, relay.api) as (holder, holder_port):
            async with process(redis_url, relay.api) as (_, other_port):
                relay.port = writer_port
                async with relay.ask(x_stream_keep="60") as (call, reader):
                    await call.frame(FRAMES[0])
                    await reader.next()
                    stream_id = reader.stream_id
                    await reader.aclose()
                    path = f"/v1/streams/{stream_id}"

                    relay.port = holder_port
                    async with relay.stream("GET", path) as held:
                        assert NUMBERED[0] == await held.next()
                        holder.send_signal(signal.SIGKILL)
                        assert b"" == await held.rest()
                        assert not held.whole

                    relay.port = other_port
                    for frame in FRAMES[1:3]:
                        await call.frame(frame)
                    async with relay.stream("GET", path, b"", **{"last-event-id": "1"}) as back:
                        await _expect(back, NUMBERED[1] + NUMBERED[2])
                        await call.frame(FRAMES[3])
                        await _expect(back, NUMBERED[3])
                        writer.send_signal(signal.SIGKILL)
                        killed = anyio.current_time()
                        assert b"" == await back.rest()
                        assert not back.whole
                        assert anyio.current_time() - killed < 3
                error = await _error(relay, stream_id, 4)
    assert "stream_lost" == error


async def _expect(reader: Reader, data: bytes) -> None:
    got = b""
    while len(got) < len(data):
        got += await reader.next()
    assert data == got


async def _error(relay: Any, stream_id: str, after: int) -> str:
    path = f"http://127.0.0.1:{relay.port}/v1/streams/{stream_id}"
    response = await relay.http.get(path, headers={"last-event-id": str(after)})
    assert 410 == response.status_code
    return str(response.json()["error"]["code"])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_stopped_from_another_process(redis_url: str) -> None:
    """Two relays with one store: the DELETE that one gets is the other's."""
    from sse_openai.relay import RedisStore

    stores = RedisStore(redis_url), RedisStore(redis_url)
    async with setting(store=stores[0]) as first, setting(store=stores[1]) as second:
        async with first.ask() as (call, reader):
            await call.frame(FRAMES[0])
            assert FRAMES[0] == await reader.next()
            response = await second.http.delete(f"/v1/streams/{reader.stream_id}")
            await call.gone()
            assert b"" == await reader.rest()
            assert not reader.whole
        assert (200, NUMBERED[0], False) == await second.resume(reader.stream_id)
    for store in stores:
        await store.aclose()

    assert 204 == response.status_code


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_redis_from_environment(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its URL."""
    from sse_openai.relay import RedisStore

    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    monkeypatch.setenv("RELAY_REDIS", redis_url)
    store = from_environment()._store

    assert isinstance(store, RedisStore)
    await store.aclose()
    assert isinstance(Relay(Endpoint(api_key="sk"))._store, MemoryStore)
