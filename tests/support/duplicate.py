"""A second socket of a connection."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress


def duplicate(port: int) -> socket.socket:
    """Return another socket of the connection to that port, as a forked process has one."""
    for file in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if stat.S_ISSOCK(os.stat(int(file)).st_mode):
                found = socket.socket(fileno=os.dup(int(file)))
                with suppress(OSError):
                    if found.family == socket.AF_INET and found.getpeername()[1] == port:
                        return found
                found.close()
    raise AssertionError("not connected")
