"""The README and docs say what is true: their examples are run."""

from __future__ import annotations

import fnmatch
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scripted_server import Script, ScriptedServer, chunked

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    pytest.param(match[1], id=f"{page.name}:{page.read_text()[: match.start()].count(chr(10)) + 2}")
    for page in PAGES
    for match in BLOCK.finditer(page.read_text())
]

CHAT = b"".join(
    b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text.encode()
    for text in ("て", "います", "。")
)
RESPONSE = b"".join(
    b"data: %b\n\n" % json.dumps(value).encode()
    for value in (
        {"type": "response.created", "response": {"id": "r", "status": "in_progress"}},
        {"type": "response.output_text.delta", "item_id": "m", "delta": "Hi"},
        {"type": "response.completed", "response": {"id": "r", "status": "completed"}},
    )
)
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.mark.sweep(quick=5)
@pytest.mark.parametrize("code", EXAMPLES)
def test_example_runs(code: str) -> None:
    """Every Python block of the documentation runs, against a server that plays its peer."""
    for module in ("orjson", "starlette"):
        if f"import {module}" in code or f"from {module}." in code:
            pytest.importorskip(module, reason=f"{module} is not installed")
    events = b"event: tick\nid: 1\ndata: one\n\nretry: 500\ndata: two\n\n"
    answer = [RESPONSE] if ".responses(" in code else [CHAT, FINISH]

    with (
        ScriptedServer(*[chunked([events]) for _ in range(2)]) as server,
        ScriptedServer(*[Script(chunked(answer).pieces) for _ in range(2)]) as openai,
    ):
        code = code.replace("https://example.org/events", server.url)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            timeout=30,
            env={"OPENAI_API_KEY": "key", "OPENAI_BASE_URL": openai.url, "PYTHONPATH": str(ROOT)},
        )

    assert (0, "") == (done.returncode, done.stderr)


def test_readme_has_the_three_examples() -> None:
    """Embed, consume, chat."""
    blocks = BLOCK.findall((ROOT / "README.md").read_text())

    assert len(blocks) == 3
    assert "EventStreamParser" in blocks[0]
    assert "sse_core.stream" in blocks[1]
    assert "stream_chat" in blocks[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link within the project names a file that is there."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [] == [link for link in links if not (page.parent / link).exists()]


def test_reference_is_made_from_the_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/reference.md is what `python docs/make_reference.py` writes."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    make_reference = importlib.import_module("make_reference")

    assert make_reference.page() == (ROOT / "docs" / "reference.md").read_text()


def test_conformance_names_what_is_there() -> None:
    """Each vector and test that docs/conformance.md names exists, and each vector is named."""
    page = (ROOT / "docs" / "conformance.md").read_text()
    vectors = json.loads((ROOT / "tests" / "data" / "vectors.json").read_text())
    names = {vector["name"] for vector in vectors}
    tests = (ROOT / "tests" / "sse_core" / "test_parser.py").read_text()
    groups = {name.partition("-")[0] for name in names}
    patterns = {
        found
        for found in re.findall(r"`([a-z0-9]+-[a-z0-9*-]+)`", page)
        if found.partition("-")[0] in groups
    }

    assert [] == [pattern for pattern in patterns if not fnmatch.filter(names, pattern)]
    assert groups == {pattern.partition("-")[0] for pattern in patterns} | {"split"}
    for test in re.findall(r"`(test_\w+)`", page):
        assert f"def {test}(" in tests


@pytest.mark.parametrize("name", ["design.md", "contributing.md"])
def test_paths_exist(name: str) -> None:
    """A path that design.md or contributing.md names is there."""
    page = (ROOT / "docs" / name).read_text()
    paths = re.findall(r"`((?:sse_core|sse_openai|tests|benchmarks)/[\w/.*-]+)`", page)

    assert [] == [path for path in paths if not list(ROOT.glob(path))]
    assert len(paths) > 5


def test_design_names_each_module() -> None:
    """The plan in docs/design.md has a row for each room, with each of its modules."""
    page = (ROOT / "docs" / "design.md").read_text()
    rooms = dict(re.findall(r"^\| `(sse_\w+(?:/\w+)?)` \|(.*)\|$", page, re.MULTILINE))
    named = {
        f"{room}/{module}.py"
        for room, row in rooms.items()
        for module in re.findall(r"`(\w+)`", row)
    }
    twins = ("connector", "stream", "source")
    named |= {f"sse_core/_client/sync_{module}.py" for module in twins}
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in ("sse_core", "sse_openai")
        for path in (ROOT / package).rglob("*.py")
        if not path.name.startswith("__")
    }

    assert set() == modules - named
