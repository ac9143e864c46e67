"""The benchmark of clients: all modes end to end, verdicts, the report."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import client_peers
from benchmarks.__main__ import main
from benchmarks.client import QUICK, TITLES, Figure, Run, Settings, measure, started
from benchmarks.client_peers import CLIENTS, Client, Read
from benchmarks.client_server import Shared
from benchmarks.client_worker import Worker
from benchmarks.parsers import OURS

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="memory is read from /proc, processes yield by sched_yield"
)

BRIEF = Settings(1, burst=40, lockstep=10, streams=3, paced=4, rate=100, idle=60)


def test_all_modes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours and httpx read what was sent; every figure is there."""
    monkeypatch.setattr("benchmarks.client.QUICK", BRIEF)
    names = [
        OURS,
        f"{OURS}, trio",
        f"{OURS}, EventSource",
        f"{OURS}, blocking",
        "httpx + httpx-sse",
        "httpx + httpx-sse, blocking",
    ]
    for name in set(CLIENTS).difference(names):
        monkeypatch.delitem(CLIENTS, name)

    assert main(["client", "--quick", "--json", str(tmp_path / "client.json")]) == 0

    out = capsys.readouterr().out
    fields = json.loads((tmp_path / "client.json").read_text())
    figures = {(each["mode"], each["client"]): each for each in fields["figures"]}
    several = [name for name in names if CLIENTS[name].loop]
    several.remove(f"{OURS}, EventSource")
    idle = [OURS, "httpx + httpx-sse"]
    modes = {"burst": names, "lockstep": names, "paced": several, "idle": idle, "idle-tls": idle}
    assert {(mode, name) for mode, its in modes.items() for name in its} == set(figures)
    assert {""} == {each["verdict"] for each in figures.values()}
    for (mode, _), figure in figures.items():
        if mode.startswith("idle"):
            assert figure["bytes"] is not None
        else:
            (cpu,), (wall,) = figure["cpu"], figure["wall"]
            assert 0 < cpu < 1
            assert 0 < wall < 10
        if mode == "paced":
            ((median, most),) = figure["delay"]
            assert 0 < median <= most
    for title in TITLES.values():
        assert f"### {title}" in out
    assert "### Targets" in out


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run does without."""
    monkeypatch.setitem(CLIENTS, "absent", Client("absent", object, "", ("no such package",)))

    versions, left_out = client_peers.installed([OURS, "absent"])

    assert ({OURS: {}}, ["absent: no such package is not installed"]) == (versions, left_out)


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    return Shared(tmp_path / "shared")


@pytest.fixture
def url(shared: Shared, tmp_path: Path) -> Iterator[str]:
    with started("client_server", str(tmp_path / "shared")) as server:
        yield f"http://127.0.0.1:{server.hello['http']}"


@asynccontextmanager
async def lossy(tls: Any) -> AsyncIterator[Read]:
    """A client that drops the second event."""
    async with CLIENTS[OURS].session(tls) as ours:

        async def read(url: str, meter: Any, take: Any) -> None:
            number = 0

            def drop(event: Any) -> None:
                nonlocal number
                number += 1
                if number != 2:
                    take(event)

            await ours(url, meter, drop)

        yield read


@pytest.mark.parametrize(("keep", "verdict"), [(True, "loses 1 of 10"), (False, "9 of 10 events")])
def test_lost_events_are_seen(url: str, shared: Shared, keep: bool, verdict: str) -> None:
    """By comparing them, or by their number."""
    worker = Worker(Client("lossy", lossy), shared)

    answer = worker.single(f"{url}/burst/10", 10, lockstep=False, keep=keep)

    assert answer["verdict"] == verdict


def test_lost_events_of_many_streams_are_seen(url: str, shared: Shared) -> None:
    """All are compared, whichever stream they came on."""
    worker = Worker(Client("lossy", lossy), shared)

    answer = worker.paced(f"{url}/paced/3/4/100", 3, 4)

    assert answer["verdict"] == "loses 3 of 12"


def test_an_error_is_a_verdict(tmp_path: Path) -> None:
    """A client that raises, or whose process is gone, does not stop the others."""
    with started("client_worker", OURS, str(tmp_path / "shared")) as worker:
        question = {"ask": "single", "url": "http://127.0.0.1:1/", "events": 1}
        refused = worker.ask({**question, "lockstep": False, "keep": True})
        worker.popen.kill()
        worker.popen.wait()
        gone = worker.ask(question)

    assert refused["verdict"].startswith("raises TransportError")
    assert gone == {"verdict": "gives no answer"}


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def run() -> Run:
    ours, aiohttp, httpx = OURS, "aiohttp + our parser", "httpx + httpx-sse"
    figures = [
        Figure("burst", ours, "", [1e-6, 2e-6, 3e-6], [4e-6] * 3),
        Figure("burst", aiohttp, "", [1e-6], [1e-6]),
        Figure("burst", httpx, "loses 1 of 3", [8e-6], [8e-6]),
        Figure("burst", "httpx2", "raises ValueError"),
        Figure("paced", ours, "", [1e-6], [1e-6], [[0.001, 0.002], [0.003, 0.004]]),
        Figure("idle", ours, "", bytes=8192.0),
        Figure("idle-tls", ours, "", bytes=2.0**17),
    ]
    return Run("a machine", {ours: "0.1.0"}, ["absent: not installed"], QUICK, figures)


class TestReport:
    def test_times(self, run: Run) -> None:
        """The times of wrong events stand in brackets; who raised has none."""
        _, _, *table = rows(run.markdown().split("###")[1])

        assert table == [
            [OURS, "2.00", "1.00", "1.00", "1.00", "4.00", ""],
            ["aiohttp + our parser", "1.00", "1.00", "0.50", "1.00", "1.00", ""],
            ["httpx + httpx-sse", "(8.00)", "(8.00)", "(4.00)", "(8.00)", "(8.00)", "loses 1 of 3"],
            ["httpx2", "–", "–", "–", "–", "–", "raises ValueError"],
        ]

    def test_delays(self, run: Run) -> None:
        """Of each percentile the median over the rounds."""
        (row,) = rows(run.markdown().split("###")[2])[2:]

        assert row[-3:] == ["2.00", "3.00", ""]

    def test_targets(self, run: Run) -> None:
        """Met, missed, or not measured."""
        targets = {asked: rest for asked, *rest in rows(run.targets())[2:]}

        assert targets[f"burst: {OURS} ≤ 1.1x aiohttp + our parser"] == ["2.00x", "missed"]
        assert targets[f"burst: httpx + httpx-sse ≥ 4x {OURS}"] == ["4.00x", "met"]
        assert targets[f"burst: aiohttp-sse-client2 ≥ 3x {OURS}"] == ["–", "–"]
        assert targets["idle: at most 16 KiB a stream"] == ["8.0 KiB", "met"]
        assert targets["idle-tls: at most 64 KiB a stream"] == ["128.0 KiB", "missed"]

    def test_head(self, run: Run) -> None:
        """Machine, versions, what is missing, how it was measured."""
        head = run.head()

        for words in ["a machine", f"{OURS} 0.1.0", "absent: not installed", "2 rounds"]:
            assert words in head


def test_too_few_files_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many idle streams as may be, and a note of how many are missing."""
    monkeypatch.setattr("benchmarks.client._allow_files", lambda streams: streams - 10)

    run = measure(BRIEF, [])

    assert "10 idle streams: no files for them" in run.left_out
