"""One way to run a scenario on every shell: asyncio, trio and blocking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Literal

import anyio
import pytest

import sse_core
import sse_core.sync
import sse_openai
import sse_openai.sync

Collect = Callable[..., list[Any]]


def _collect_sync(items: Any, into: list[Any]) -> None:
    with items as iterator:
        into.append(iterator)
        for item in iterator:
            into.append(item)  # noqa: PERF402  # one by one: a failure keeps what came before


async def _collect_async(items: Any, into: list[Any]) -> None:
    async with items as iterator:
        into.append(iterator)
        async for item in iterator:
            into.append(item)  # noqa: PERF401  # one by one: a failure keeps what came before


class Shell:
    """Opens event streams and chats by one of the three shells, without ``await``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.blocking = name == "blocking"
        self.stream: Any = sse_core.sync.stream if self.blocking else sse_core.stream
        self.stream_chat: Any = (
            sse_openai.sync.stream_chat if self.blocking else sse_openai.stream_chat
        )

    def collect(self, items: Any) -> tuple[Any, list[Any], BaseException | None]:
        """Read to the end; return the opened stream, what it yielded, and what it raised."""
        into: list[Any] = []
        try:
            if self.blocking:
                _collect_sync(items, into)
            else:
                anyio.run(_collect_async, items, into, backend=self.name)
        except (sse_core.SSEError, OSError, RuntimeError) as exc:
            return (into[0] if into else None), into[1:], exc
        return into[0], into[1:], None

    def run(self, scenario: Callable[[Any], Awaitable[Any]], items: Any) -> Any:
        """Run ``scenario`` with a stream or a chat, and return what it returns.

        A scenario is written once, with ``await``: a blocking stream does its work
        before it is awaited.
        """
        if not self.blocking:
            return anyio.run(scenario, items, backend=self.name)
        try:
            scenario(_Awaitable(items)).__await__().send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("a blocking scenario waited")  # pragma: no cover  # it cannot


class _Awaitable:
    """A blocking stream with the methods of an asynchronous one."""

    def __init__(self, items: Any) -> None:
        self._items = items

    async def __aenter__(self) -> _Awaitable:
        self._items.__enter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._items.__exit__(*exc)

    def __aiter__(self) -> _Awaitable:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self._items.close()

    async def restart(self) -> None:
        self._items.restart()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._items, name)


SHELLS = [Shell(name) for name in ("asyncio", "trio", "blocking")]

on_every_shell = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell.name)

Cancelling = Literal["scope", "task", "task on waking"]

# How to cancel: by anyio, on both event loops, or by asyncio's own task.cancel().
WAYS_TO_CANCEL: list[tuple[str, Cancelling]] = [
    ("asyncio", "scope"),
    ("trio", "scope"),
    ("asyncio", "task"),
    ("asyncio", "task on waking"),
]

on_every_way_to_cancel = pytest.mark.parametrize(
    ("backend", "way"), WAYS_TO_CANCEL, ids=lambda value: value.replace(" ", "_")
)


async def cancelled_at(
    suspension: int, way: Cancelling, call: Coroutine[Any, Any, Any]
) -> tuple[bool, Any]:
    """Await ``call``, cancelling it at that suspension, counted from 1.

    Returns whether it was cancelled, and its result if it was not.
    """
    if way == "scope":
        with anyio.CancelScope() as scope:
            return False, await _Steps(call, suspension, lambda _: scope.cancel())
        return True, None
    task = asyncio.current_task()
    assert task is not None

    def cancel(awaited: asyncio.Future[Any] | None) -> None:
        if way == "task on waking" and awaited is not None:
            # Runs before the task's own callback, so that the task is cancelled when
            # what it awaits is there already.
            awaited.add_done_callback(lambda _: task.cancel())
        else:
            asyncio.get_running_loop().call_soon(task.cancel)

    try:
        return False, await _Steps(call, suspension, cancel)
    except asyncio.CancelledError:
        task.uncancel()
        return True, None


class _Steps:
    """A coroutine that calls back at one of its suspensions."""

    def __init__(
        self, call: Coroutine[Any, Any, Any], suspension: int, callback: Callable[[Any], object]
    ) -> None:
        self._call = call
        self._left = suspension
        self._callback = callback

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._call.__await__()
        step: Callable[[Any], Any] = steps.send
        value: Any = None
        while True:
            try:
                awaited = step(value)
            except StopIteration as stop:
                return stop.value
            self._left -= 1
            if self._left == 0:
                self._callback(awaited)
            step = steps.send
            try:
                value = yield awaited
            except BaseException as exc:
                step, value = steps.throw, exc
