"""docs/conformance.md names the tests of each fault and threat."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([FT]\d+) \|(.*)\|$", re.MULTILINE)

SERVERS = 58
"""The number of the first fault on the server's side."""


def section(page: str, start: str, end: str) -> str:
    begin = page.index(start)
    return page[begin : page.index(end, begin + 1)]


FAULTS = (ROOT / "docs" / "maintainers" / "faults.md").read_text()
NUMBERS = [
    number
    for number, _ in ROW.findall(section(FAULTS, "\n## 2. ", "\n## 5. "))
    if number[0] == "T" or int(number[1:]) < SERVERS
]
TESTS = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
PAGE = (ROOT / "docs" / "conformance.md").read_text()
HELD = dict(ROW.findall(section(PAGE, "\n## Faults", "\n## ")))


def test_each_number_is_there() -> None:
    """In the order of docs/maintainers/faults.md, which has no F47."""
    assert [f"F{number}" for number in range(1, SERVERS) if number != 47] == NUMBERS[:56]
    assert NUMBERS == list(HELD)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_test_is_there(number: str) -> None:
    """A row names tests that exist, or says that the case is not a client's."""
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", HELD[number])

    assert named or "not a client's case" in HELD[number]
    for file, name in named:
        assert f"def {name}(" in TESTS[file].read_text()
