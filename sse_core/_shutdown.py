"""Signals that ask a process to end -> the streams that are open in it, each in its loop.

A server that is asked to end waits for its responses, and a stream may never end. Nothing
in ASGI tells an application in time: ``lifespan.shutdown`` comes after the last response.
So while streams are open, the signals are listened to here, in front of whoever has
installed a handler, uvicorn or the event loop, and that one is called as ever. A signal
that nobody handles is left alone, for it ends the process at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from anyio.lowlevel import current_token

__all__ = ["ended_by_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# By a key of their own, as the same function may be there twice; what a signal handler
# goes through is copied first, in one step.
_open: dict[object, Callable[[], None]] = {}
_previous: dict[int, Callable[[int, FrameType | None], Any]] = {}


@contextmanager
def ended_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """Have ``end`` called in this event loop if a signal comes within the block.

    Signals are heard where the main thread has opened a stream; then all threads are told.
    """
    loop: Any = current_token().native_token
    # asyncio's name and trio's for: call this soon, whichever thread says so.
    call_soon = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
    key = object()
    _open[key] = lambda: call_soon(end)
    _listen()
    try:
        yield
    finally:
        del _open[key]
        if not _open:
            _stop_listening()


def _listen() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        # Looked at for each stream: a server may have come since the last.
        handler = signal.getsignal(number)
        if callable(handler) and handler is not _tell:
            _previous[number] = handler
            signal.signal(number, _tell)


def _stop_listening() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in list(_previous.items()):
        if signal.getsignal(number) is _tell:
            signal.signal(number, handler)
        del _previous[number]


def _tell(number: int, frame: FrameType | None) -> None:
    for end in list(_open.values()):
        with suppress(RuntimeError):  # its loop is closed: there is nothing left to end
            end()
    if handler := _previous.get(number):
        handler(number, frame)
