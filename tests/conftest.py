from __future__ import annotations

import pytest

from sse_core import _parser


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every test marked ``anyio`` runs on both."""
    return str(request.param)


@pytest.fixture(params=["fast path", "general path"])
def general_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Every test that asks for this runs with the parser's fast path and without."""
    general = bool(request.param == "general path")
    if general:
        monkeypatch.setattr(_parser, "_FAST_PATH", False)
    return general
