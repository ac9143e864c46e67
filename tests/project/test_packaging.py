"""What is shipped: the two packages and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import sse_core

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
        timeout=60,
    )
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.mark.slow
def test_wheel_holds_the_two_packages(wheel: zipfile.ZipFile) -> None:
    """Every module and marker of the two packages; no tests, no benchmarks, no docs."""
    expected = {
        str(path.relative_to(ROOT))
        for package in ("sse_core", "sse_openai")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    info = f"sse_toolkit-{sse_core.__version__}.dist-info"

    names = set(wheel.namelist())
    shipped = {name for name in names if not name.startswith(info)}
    assert expected == shipped
    assert {"sse_core/py.typed", "sse_openai/py.typed", f"{info}/licenses/LICENSE"} <= names


def test_wheel_metadata(wheel: zipfile.ZipFile) -> None:
    """Two runtime dependencies, two commands, the version of the package."""
    info = f"sse_toolkit-{sse_core.__version__}.dist-info"
    metadata = HeaderParser().parsestr(wheel.read(f"{info}/METADATA").decode())
    required = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]

    assert ["anyio", "h11"] == sorted(text.partition(">=")[0] for text in required)
    assert {"test", "lint", "docs", "bench"} <= set(metadata.get_all("Provides-Extra", []))
    assert metadata["Requires-Python"] == ">=3.11"
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "sse = sse_core.__main__:main" in entry_points
    assert "sse-openai = sse_openai.__main__:main" in entry_points
    assert "[pytest11]\nsse_openai.pytest_plugin = sse_openai.pytest_plugin" in entry_points


def test_top_level_entries() -> None:
    """What stands at the top of the project is fixed."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=20
    ).stdout.split()

    allowed = {"pyproject.toml", "README.md", "LICENSE"}
    allowed |= {"sse_core", "sse_openai", "tests", "benchmarks", "docs"}
    top = {path.partition("/")[0] for path in listed}
    assert set() == {name for name in top if not name.startswith(".")} - allowed


def test_one_version() -> None:
    """The version in pyproject.toml is the one that the package tells."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == sse_core.__version__
