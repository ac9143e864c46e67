"""A mock over real HTTP, served from a thread, for blocking and asynchronous tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from anyio.from_thread import start_blocking_portal

from sse_core import serve

from .app import LoggedRequest, MockOpenAI

if TYPE_CHECKING:
    from .script import Script


class MockServer:
    """A ``MockOpenAI`` on a free port of the loopback interface. A context manager.

    Args:
        mock: the application; by default one that accepts only ``api_key``.
        api_key: the key for clients, if ``mock`` is not given or accepts any key.
    """

    def __init__(self, mock: MockOpenAI | None = None, *, api_key: str = "sk-mock") -> None:
        if mock is None:
            mock = MockOpenAI(api_key=api_key)
        self.mock = mock
        """The application."""
        self.api_key = mock.api_key or api_key
        """A key that it accepts."""
        self._port: int | None = None
        self._stack = ExitStack()

    @property
    def base_url(self) -> str:
        """The base URL for clients: ``http://127.0.0.1:…/v1``.

        Raises:
            RuntimeError: the mock is not being served.
        """
        if self._port is None:
            raise RuntimeError("the mock is not being served: enter the block first")
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def requests(self) -> list[LoggedRequest]:
        """The requests so far; see ``MockOpenAI.requests``."""
        return self.mock.requests

    def script(self, *answers: Script | Mapping[str, Any] | str | os.PathLike[str]) -> None:
        """Add answers to the script; see ``MockOpenAI.script``."""
        self.mock.script(*answers)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal(name="mock of OpenAI"))
            served, self._port = portal.start_task(partial(serve, self.mock))
            stack.callback(served.cancel)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving: connections are closed, and answers are cut off."""
        self._port = None
        self._stack.close()
