from __future__ import annotations

import gc
import signal
import threading
from binascii import crc32
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from sse_core import _parser

TIME_LIMIT = 120
"""Seconds after which a test has hung; the slowest takes ten on a busy machine."""

PEERS = Path(__file__).parent / "peers"
NEED_PEERS = {"driver", "foreign_parsers", "redis_url"}
"""Fixtures that start a browser, parsers of other languages, Redis."""


def _is_slow(path: Path) -> bool:
    """True for the benchmarks' tests, which import many parsers, and for the contract's cases,
    each of which runs on three shells a rule that its room tests as well."""
    return path.name.startswith("test_benchmarks") or path.parent.name == "contract"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import the modules of which the default run leaves out every test."""
    left_out = config.option.markexpr
    peers = "not peers" in left_out and collection_path == PEERS
    return peers or ("not slow" in left_out and _is_slow(collection_path)) or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs peers, and as slow what a sweep leaves out of the default run.

    A test marked ``sweep(quick=n)`` keeps n of its cases there, drawn by their names:
    the same in every run and every process, and from all combinations of parameters.
    """
    sweeps: dict[tuple[str, int], list[pytest.Item]] = defaultdict(list)
    for item in items:
        if PEERS in item.path.parents or NEED_PEERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.peers)
        if _is_slow(item.path):
            item.add_marker(pytest.mark.slow)
        if mark := item.get_closest_marker("sweep"):
            name = item.nodeid.partition("[")[0]
            sweeps[name, mark.kwargs["quick"]].append(item)
    for (_, quick), cases in sweeps.items():
        cases.sort(key=lambda item: crc32(item.nodeid.encode(errors="surrogatepass")))
        for item in cases[quick:]:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Leave the tests out of garbage collection: many tests collect, and 12,000 items cost."""
    gc.collect()
    gc.freeze()


class Hung(BaseException):
    """Raised in a test that has hung; no ``except Exception`` takes it for something else."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Fail a test that hangs, where signals reach it.

    ``faulthandler_timeout`` then shows where every thread is, and does no more. A test
    that sets the alarm itself puts this one back.
    """
    if threading.current_thread() is not threading.main_thread():
        return (yield)

    def hung(number: int, frame: FrameType | None) -> None:
        raise Hung(f"{item.nodeid} has not ended in {TIME_LIMIT} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT, TIME_LIMIT)  # again, should its fixtures hang
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Ctrl-C ends commands, also where a shell without job control had the tests ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of the developer's environment out of the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every test marked ``anyio`` runs on both."""
    return str(request.param)


@pytest.fixture(params=["fast path", "general path"])
def general_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Every test that asks for this runs with the parser's fast path and without.

    The same vectors have to cover both: this is the one place that knows the switch.
    """
    general = bool(request.param == "general path")
    if general:
        monkeypatch.setattr(_parser, "_FAST_PATH", False)
    return general
