"""The benchmark of servers: a small run end to end, verdicts, the report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.parsers import OURS
from benchmarks.serve import QUICK, Run, Sample, Settings
from benchmarks.serve_app import ALONE, BARE, DATA
from benchmarks.serve_reader import Reader, unchunked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="as the benchmark of clients")

BRIEF = Settings(1, 3, {"single": (2, 1), "burst": (1, 3)})


@pytest.mark.peers
def test_all_modes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours, and who else is installed, deliver what was published."""
    pytest.importorskip("uvicorn")
    pytest.importorskip("httptools")
    monkeypatch.setattr("benchmarks.serve.QUICK", BRIEF)

    assert main(["serve", "--quick", "--json", str(tmp_path / "serve.json")]) == 0

    samples = json.loads((tmp_path / "serve.json").read_text())["samples"]
    assert {"single", "burst"} == {each["mode"] for each in samples if each["server"] == OURS}
    assert {""} == {each["verdict"] for each in samples}
    assert all(0 < each["cpu"][0] < 1 for each in samples)
    report = capsys.readouterr().out
    assert "### Targets" in report
    assert "| lockstep |" in report


def test_report() -> None:
    """Ours is compared with the better peer whose events were right, not with its limits."""
    samples = [
        Sample("single", OURS, "", [2e-6, 3e-6, 4e-6]),
        Sample("single", ALONE, "", [1e-6]),
        Sample("single", BARE, "", [2e-6]),
        Sample("single", "sse-starlette", "", [6e-6, 10e-6, 12e-6]),
        Sample("single", "fastapi", "3 streams have other events", [1e-6]),
    ]
    report = Run("a machine", {OURS: "0.1.0"}, [], QUICK, samples).markdown()

    assert "| 0.30x  | 0.33x | met |" in report
    assert "3 streams have other events" in report
    assert "| –      | –     | –   |" in report


@pytest.mark.parametrize(("number", "verdict"), [(0, ""), (1, "1 streams have other events")])
def test_other_events_are_seen(number: int, verdict: str) -> None:
    """Every event of every stream is compared."""
    body = f"id: {number + 1}\ndata: {number} {DATA}\n\n".encode()
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    reader = Reader()
    reader._data[None] = bytearray(chunk)  # type: ignore[index]  # any key will do

    assert body == unchunked(chunk)
    assert {"verdict": verdict} == reader.check(0, 1)
