"""Fails one system call of this thread's sockets, counted from 1.

A profile function that raises stands in for the call: it is asked before each call of a
function in C, and its exception takes the place of the call, on every shell and without
knowing which of them calls what. It is gone when it has raised once.
"""

from __future__ import annotations

import socket
import sys
from types import FrameType
from typing import Any, Self

# What sockets and TLS ask of the system, and may be refused. Not among it: closing, as the
# system closes a file even where it reports an error; options and names of a socket, where
# asyncio and anyio leave it open themselves.
TRANSFER = frozenset(["send", "sendall", "recv", "read", "write"])
ALL = TRANSFER | {"connect", "connect_ex", "getsockopt", "do_handshake", "shutdown"}


class FailingCall:
    """In this block, the call with that number, of those names, raises ``exception``."""

    def __init__(self, number: int, exception: BaseException, names: frozenset[str] = ALL) -> None:
        self._number = number
        self._exception = exception
        self._names = names
        self._calls = 0
        self.failed = ""
        """Which one failed; empty where there were not so many."""

    def __enter__(self) -> Self:
        sys.setprofile(self._before_call)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(None)

    def _before_call(self, frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call" or called.__name__ not in self._names:
            return
        if not _is_of_a_peer(called.__self__):
            return
        self._calls += 1
        if self._calls == self._number:
            self.failed = called.__name__
            raise self._exception


def _is_of_a_peer(owner: Any) -> bool:
    if isinstance(owner, socket.socket):
        return owner.family == socket.AF_INET  # an event loop wakes itself by another kind
    return type(owner).__name__ == "_SSLSocket"
