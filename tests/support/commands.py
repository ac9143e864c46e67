"""The commands as processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SSE = [sys.executable, "-m", "sse_core"]

SSE_OPENAI = [sys.executable, "-m", "sse_openai"]

LIMIT = 20.0


@contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command; end it, by its own id, if it still runs at the end of the block."""
    process = subprocess.Popen(  # type: ignore[call-overload]  # options of any kind
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
