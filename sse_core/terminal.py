"""For commands that print text from a peer: safe output, and exit statuses."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Callable

from ._errors import ResponseError, SSEError
from .lazy import publish

__all__ = ["Output", "run"]

INTERRUPTED = 130
"""128 plus the number of SIGINT: the status shells expect after Ctrl-C."""

# Control characters except line feed and tab, and the marks that reverse or break a line:
# text from a peer must not move the cursor, change the title or appear backwards.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]"
)


def escaped(text: str) -> str:
    """Return ``text`` with its control characters as readable escapes."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


class Output:
    """Standard output for text from a peer; every write is flushed.

    On a terminal, control characters are escaped; in a pipe or file they are kept.
    """

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        # A character whose surrogates arrive in two pieces is written once it is complete.
        self._halves = codecs.getincrementaldecoder("utf-16-le")("replace")

    def write(self, text: str, *, final: bool = False) -> None:
        """Write ``text``; ``final`` also writes half a character that is still waiting."""
        text = self._halves.decode(text.encode("utf-16-le", "surrogatepass"), final)
        text = escaped(text) if self._terminal else text
        encoding = sys.stdout.encoding
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()


def run(name: str, command: Callable[[], None]) -> int:
    """Run a command and return its exit status; an error is one line on standard error.

    The status is 0 on success and when the reader of standard output has gone, 1 for
    errors, and 130 for Ctrl-C.
    """
    try:
        try:
            command()
            sys.stdout.flush()
        except BaseExceptionGroup as group:
            raise _innermost(group) from group
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes once more at exit, which must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (SSEError, OSError, ValueError) as exc:
        text = " ".join(escaped(_explanation(exc)).split())
        print(f"{name}: {text}", file=sys.stderr)
        return 1
    return 0


def _innermost(exc: BaseException) -> BaseException:
    """Return the exception that task groups wrapped, if there is only one."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def _explanation(exc: Exception) -> str:
    if isinstance(exc, ResponseError) and exc.body:
        return f"{exc}: {exc.body[:500].decode('utf-8', 'replace')}"
    return str(exc) or type(exc).__name__


publish(globals())
