"""The public surface: `__all__`, the lazy names, the type checkers' view and the reference."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, UnionType

import pytest

import sse_core
import sse_core.sync
import sse_openai
import sse_openai.sync

ROOT = Path(__file__).parents[2]
PACKAGES = [sse_core, sse_openai]

# Which modules may import what beyond the standard library and their own package.
MAY_IMPORT = {
    "sse_core/_asgi.py": {"anyio"},
    "sse_core/_bell.py": {"anyio"},
    "sse_core/_beside.py": {"anyio"},
    "sse_core/_asyncio.py": {"anyio"},
    "sse_core/_client.py": {"anyio"},
    "sse_core/_connection.py": {"h11"},
    "sse_core/_connector.py": {"anyio"},
    "sse_core/_event_source.py": {"anyio"},
    "sse_core/_proxy.py": {"h11"},
    "sse_core/_serve.py": {"anyio", "h11"},
    "sse_core/_shutdown.py": {"anyio"},
    "sse_openai/_client.py": {"anyio"},
    "sse_openai/__main__.py": {"anyio"},
    "sse_openai/_relay_caller.py": {"anyio"},
    "sse_openai/_relay_redis.py": {"anyio", "redis"},
    "sse_openai/_relay_store.py": {"anyio"},
    "sse_openai/_relay_upstream.py": {"anyio"},
    "sse_openai/mock.py": {"anyio"},
    "sse_openai/_mock_server.py": {"anyio"},
    "sse_openai/pytest_plugin.py": {"pytest"},
    "sse_openai/relay.py": {"anyio"},
}

# The innermost modules import only each other.
INNERMOST = {"_events", "_errors", "_parser", "_encoder"}

# What interprets a stream knows no transport.
INTERPRETATION = {
    *("_chat", "_chat_events", "_chunks", "_completion", "_errors", "_fields", "_legacy"),
    *("_partial", "_partial_json", "_rate_limit", "_read"),
    *("_response", "_response_events", "_responses", "_retry", "_typed"),
}
TRANSPORT = {"_client", "sync", "_serve", "socket", "ssl", "anyio", "h11"}


def imports_of(path: Path) -> set[tuple[str, ...]]:
    """Return what a module imports at run time, as dotted names split at the dots.

    A relative import begins with an empty part; imports under TYPE_CHECKING do not count.
    """
    tree = ast.parse(path.read_text())
    found: set[tuple[str, ...]] = set()
    hidden = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            prefix = ("",) if node.level else ()
            module = tuple((node.module or "").split("."))
            if module == ("",):
                found |= {("", alias.name) for alias in node.names}
            else:
                found.add((*prefix, *module))
    return found


MODULES = sorted(
    path for package in ("sse_core", "sse_openai") for path in (ROOT / package).glob("*.py")
)
each_module = pytest.mark.parametrize(
    "path", MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES]
)


@each_module
def test_import_rules(path: Path) -> None:
    """anyio and h11 are imported where sockets are, and nowhere else; nothing else ever is."""
    name = str(path.relative_to(ROOT))
    allowed = MAY_IMPORT.get(name, set()) | {"", "sse_core"} | sys.stdlib_module_names

    first_parts = {parts[0] for parts in imports_of(path)}
    assert set() == first_parts - allowed
    if path.parent.name == "sse_core" and path.stem in INNERMOST:
        relative = {parts[1] for parts in imports_of(path) if parts[0] == ""}
        assert relative <= INNERMOST
    if path.parent.name == "sse_openai" and path.stem in INTERPRETATION:
        assert not {parts[-1] for parts in imports_of(path)} & TRANSPORT


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("sse_core", {"anyio", "h11", "ssl", "asyncio", "dataclasses", "socket", "json", "typing"}),
        ("sse_core.sync", {"anyio", "asyncio", "trio"}),
        ("sse_openai", {"anyio", "h11", "ssl", "asyncio", "socket"}),
        ("sse_openai.sync", {"anyio", "asyncio", "trio"}),
    ],
)
def test_import_is_light(module: str, absent: set[str]) -> None:
    """Embedding the parser loads no network code; the blocking clients load no anyio."""
    loaded = "; import sys; print(*sorted(set(sys.modules) - before))"
    code = f"import sys; before = set(sys.modules); import {module}{loaded}"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert set() == absent & set(done.stdout.split())


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_lazy_names_are_declared_once_each(package: object) -> None:
    """`_LAZY`, the block for type checkers and `__all__` agree, and every name is there."""
    assert isinstance(package, type(sse_core))
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text())
    for_checkers = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.If)
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    lazy: dict[str, str] = package._LAZY

    assert set(lazy) == for_checkers
    assert set(lazy) <= set(package.__all__)
    assert sorted(package.__all__, key=ascii_order) == package.__all__
    for name, module in lazy.items():
        implementation = importlib.import_module(f".{module}", package.__name__)
        assert name in implementation.__all__
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert dir(package) == sorted(package.__all__)


def ascii_order(name: str) -> tuple[bool, str]:
    """Classes before functions, as ruff sorts them."""
    return name[0].islower(), name


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_unknown_name(package: object) -> None:
    """A misspelt name is an AttributeError that says so."""
    with pytest.raises(AttributeError, match="has no attribute 'strem'"):
        package.strem  # type: ignore[attr-defined]  # noqa: B018  # that is the test


@pytest.mark.parametrize(
    "module",
    [sse_core, sse_core.sync, sse_openai, sse_openai.sync],
    ids=lambda module: module.__name__,
)
def test_every_public_name_is_in_the_reference(module: object) -> None:
    """docs/reference.md has a heading for each public name."""
    headings = {
        line.strip("# `").partition("(")[0]
        for line in (ROOT / "docs" / "reference.md").read_text().splitlines()
        if line.startswith("#")
    }

    assert isinstance(module, type(sse_core))
    missing = {f"{module.__name__}.{name}" for name in module.__all__} - headings
    assert set() == missing


ADAPTER = [sse_openai, sse_openai.sync]
PUBLIC = [(module, name) for module in ADAPTER for name in module.__all__]


@pytest.mark.parametrize(
    ("module", "name"), PUBLIC, ids=[f"{module.__name__}.{name}" for module, name in PUBLIC]
)
def test_public_names_of_the_adapter_are_documented(module: ModuleType, name: str) -> None:
    """Each says where OpenAI's reference has it; each field and attribute says what it holds."""
    value = getattr(module, name)
    if isinstance(value, UnionType):
        return
    nodes = ast.parse(inspect.getsource(importlib.import_module(value.__module__))).body
    [node] = [item for item in nodes if getattr(item, "name", None) == name]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)

    assert re.search(r"docs/openai\.md|``response\.\w|RFC \d+", ast.get_docstring(node) or "")
    assert [] == list(undocumented(node))


def undocumented(node: ast.AST) -> Iterator[str]:
    """Yield the public attributes and methods of a class that have no docstring."""
    body: list[ast.stmt] = getattr(node, "body", [])
    for item, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            yield from undocumented(item)
        elif isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            if item.name[0] != "_" and not ast.get_docstring(item):
                yield item.name
        elif isinstance(node, ast.ClassDef) or ast.unparse(item).startswith("self."):
            targets = item.targets if isinstance(item, ast.Assign) else []
            targets = [item.target] if isinstance(item, ast.AnnAssign) else targets
            for target in targets:
                attribute = ast.unparse(target).removeprefix("self.")
                if attribute[0] != "_" and not is_text(following):
                    yield attribute


def is_text(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
