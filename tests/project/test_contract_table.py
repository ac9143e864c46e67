"""The table of contract cases in docs/conformance.md is complete, and its tests exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ROW = re.compile(r"^\| (H?)(\d+)(?:–H?(\d+))? \| .+ \| (.+) \|$", re.MULTILINE)
TESTS = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}
TEST = re.compile(r"`(test_\w+)::(test_\w+)`")


def rows() -> list[re.Match[str]]:
    page = (ROOT / "docs" / "conformance.md").read_text()
    section = page.partition("## Contract cases\n")[2].partition("\n## ")[0]
    return list(ROW.finditer(section))


@pytest.mark.parametrize(("kind", "last"), [("", 113), ("H", 117)], ids=["contract", "further"])
def test_every_case_has_a_row(kind: str, last: int) -> None:
    """Each number once, in order, and each row names a test."""
    numbers = [
        number
        for row in rows()
        if row[1] == kind
        for number in range(int(row[2]), int(row[3] or row[2]) + 1)
    ]

    assert list(range(1, last + 1)) == numbers
    assert [] == [row[0] for row in rows() if not TEST.search(row[4])]


def test_every_test_exists() -> None:
    """Each test that the table names is defined in the module it names."""
    named = {pair for row in rows() for pair in TEST.findall(row[4])}

    missing = [
        f"{module}::{name}"
        for module, name in sorted(named)
        if f"def {name}(" not in TESTS[module].read_text()
    ]
    assert [] == missing
    assert len(named) > 100


def test_every_contract_test_is_named() -> None:
    """Each test of a contract module with a number in its name is in the table."""
    named = {pair for row in rows() for pair in TEST.findall(row[4])}
    numbered = {
        (path.stem, name)
        for path in TESTS.values()
        if path.name.startswith("test_contract_")
        for name in re.findall(r"def (test_(?:h\d+|\d{3})_\w+)\(", path.read_text())
    }

    assert set() == numbered - named
    assert len(numbered) > 60
