from __future__ import annotations

import signal

import pytest

from sse_core import _parser


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Ctrl-C ends commands, also where a shell without job control had the tests ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's environment has of proxies is nothing to a test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


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
