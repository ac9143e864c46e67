"""Tell open streams that SIGINT or SIGTERM has asked the process to end.

On shutdown a server waits for open responses, but a stream may never finish, and ASGI's
``lifespan.shutdown`` comes after the last response. So while streams are open, a handler here
precedes the one that uvicorn or the event loop has installed, and then calls it. A signal
without a handler is left alone, because it ends the process immediately.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from anyio.lowlevel import current_token

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Unique keys, because a function may be there twice. The handler copies the values in one step.
_open: dict[object, Callable[[], None]] = {}


@contextmanager
def ended_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """Call ``end`` in this event loop if SIGINT or SIGTERM arrives within the block.

    Handlers can only be installed in the main thread: signals reach the blocks of all
    threads once the main thread has entered one.
    """
    loop: Any = current_token().native_token
    # The thread-safe "call soon" of asyncio, or of trio.
    call_soon = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
    key = object()
    _open[key] = lambda: call_soon(end)
    _listen()
    if any(listener.missed() for listener in _listeners()):
        end()
    try:
        yield
    finally:
        del _open[key]
        if not _open:
            _stop_listening()


class _Listener:
    """A signal handler that calls another one afterwards."""

    # No single function: if a library wraps it in a handler of its own, which `_listen` then
    # wraps again, the two would call each other forever.

    def __init__(self, number: int, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.number = number
        self.handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        for end in list(_open.values()):
            with suppress(RuntimeError):  # its loop is closed, so nothing is left to end
                end()
        self.handler(number, frame)

    def missed(self) -> bool:
        """Return True if the server is shutting down, as uvicorn's ``should_exit`` says."""
        # uvicorn accepts requests for another 0.1 s; such a stream would keep it running.
        return getattr(getattr(self.handler, "__self__", None), "should_exit", False) is True


def _listeners() -> list[_Listener]:
    handlers = map(signal.getsignal, _SIGNALS)
    return [handler for handler in handlers if isinstance(handler, _Listener)]


def _listen() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        # Checked for each stream, because a server may have been started since the last.
        handler = signal.getsignal(number)
        if callable(handler) and not isinstance(handler, _Listener):
            signal.signal(number, _Listener(number, handler))


def _stop_listening() -> None:
    if threading.current_thread() is threading.main_thread():
        for listener in _listeners():
            signal.signal(listener.number, listener.handler)
