"""The pytest fixture ``mock_openai``; pytest finds this module by its entry point.

It is imported whenever pytest starts, so it imports the mock only when the fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .mock import MockServer


@pytest.fixture
def mock_openai() -> Iterator[MockServer]:
    """Serve a mock of the OpenAI API over HTTP for one test; see ``sse_openai.mock``."""
    from .mock import MockServer

    with MockServer() as server:
        yield server
