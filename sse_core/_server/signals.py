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
    if any(listener.heard() for listener in _listeners()):
        end()
    try:
        yield
    finally:
        del _open[key]
        if not _open:
            _stop_listening()


class _Listener:
    """A signal handler in front of another.

    One for each: a library that put its own handler in front of this one calls this one,
    and finds a new one in front of its own. With a single function, that would be a circle.
    """

    def __init__(self, number: int, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.number = number
        self.handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        for end in list(_open.values()):
            with suppress(RuntimeError):  # its loop is closed: there is nothing left to end
                end()
        self.handler(number, frame)

    def heard(self) -> bool:
        """Whether the server is ending: uvicorn still takes requests for 0.1 s, and says so.

        A stream that begins then has missed the signal, and would keep the server from its end.
        """
        return getattr(getattr(self.handler, "__self__", None), "should_exit", False) is True


def _listeners() -> list[_Listener]:
    handlers = map(signal.getsignal, _SIGNALS)
    return [handler for handler in handlers if isinstance(handler, _Listener)]


def _listen() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        # Looked at for each stream: a server may have come since the last.
        handler = signal.getsignal(number)
        if callable(handler) and not isinstance(handler, _Listener):
            signal.signal(number, _Listener(number, handler))


def _stop_listening() -> None:
    if threading.current_thread() is threading.main_thread():
        for listener in _listeners():
            signal.signal(listener.number, listener.handler)
