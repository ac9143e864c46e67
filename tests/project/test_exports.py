"""The public surface, and which module may import what."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pickle
import re
import subprocess
import sys
import traceback
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, UnionType

import jedi
import pytest
from jedi.api.environment import SameEnvironment

import sse_core
import sse_core.asgi
import sse_core.sync
import sse_openai
import sse_openai.mock
import sse_openai.relay
import sse_openai.sync
from sse_core import lazy

ROOT = Path(__file__).parents[2]
PUBLIC = [
    *(sse_core, sse_core.sync, sse_core.asgi),
    *(sse_openai, sse_openai.sync, sse_openai.mock, sse_openai.relay),
]
PACKAGES = [sse_core, sse_openai, sse_openai.relay]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {
    module_name(path): path
    for package in ("sse_core", "sse_openai")
    for path in sorted((ROOT / package).rglob("*.py"))
}
each_module = pytest.mark.parametrize("module", PATHS)
each_public_module = pytest.mark.parametrize("module", PUBLIC, ids=lambda each: each.__name__)

# Which modules may import what beyond the standard library and the two packages.
MAY_IMPORT = {
    "h11": {
        "sse_core._http.exchange",
        "sse_core._http.proxies",
        "sse_core._http.wire",
        "sse_core._server.exchange",
    },
    "anyio": {
        "sse_core._client.asyncio_socket",
        "sse_core._client.connector",
        "sse_core._client.source",
        "sse_core._client.stream",
        "sse_core._server.wakeup",
        "sse_core._server.host",
        "sse_core._server.response",
        "sse_core._server.signals",
        "sse_core._server.tasks",
        "sse_openai.__main__",
        "sse_openai._endpoint.client",
        "sse_openai.mock.app",
        "sse_openai.mock.server",
        "sse_openai.relay.app",
        "sse_openai.relay.caller",
        "sse_openai.relay.redis",
        "sse_openai.relay.store",
        "sse_openai.relay.upstream",
    },
    "redis": {"sse_openai.relay.redis"},
    "pytest": {"sse_openai.pytest_plugin"},
}

# The parser and what it needs; an embedder may copy these four files.
INNERMOST = {"sse_core._events", "sse_core._errors", "sse_core._encoder", "sse_core._parser"}

# What interprets a stream knows no transport.
INTERPRETATION = (
    "sse_openai._chat",
    "sse_openai._responses",
    "sse_openai._errors",
    "sse_openai._partial_json",
    "sse_openai._rate_limit",
    "sse_openai._reading",
    "sse_openai._text",
    "sse_openai._endpoint.conversation",
    "sse_openai._endpoint.resume",
    "sse_openai._endpoint.retry",
)
TRANSPORT = re.compile(
    r"(anyio|h11|socket|ssl|asyncio)\b"
    r"|sse_core\.(_client|_server|sync|Client|Connection|EventSource|EventStream|serve|stream)\b"
    r"|sse_openai\.(_endpoint\.client|sync|mock|relay)\b"
)


def imports_of(module: str, *, for_checkers: bool = True) -> set[tuple[str, str]]:
    """Return what a module imports: pairs of a module's full name and a name in it, or "".

    Imports under TYPE_CHECKING count only where ``for_checkers`` says so.
    """
    path = PATHS[module]
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    found = set()
    tree = ast.parse(path.read_text())
    hidden = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in hidden and not for_checkers:
            continue
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            source = importlib.util.resolve_name(source, package)
            for alias in node.names:
                submodule = f"{source}.{alias.name}"
                found.add((submodule, "") if submodule in PATHS else (source, alias.name))
    return found


@each_module
def test_imports_of_other_packages(module: str) -> None:
    """anyio and h11 are imported where sockets are, and nowhere else; nothing else ever is."""
    packages = {source.partition(".")[0] for source, _ in imports_of(module, for_checkers=False)}
    others = packages - sys.stdlib_module_names - {"sse_core", "sse_openai"}
    if module.startswith("sse_core"):
        assert "sse_openai" not in packages

    assert others <= {package for package, modules in MAY_IMPORT.items() if module in modules}


@pytest.mark.parametrize("module", sorted(INNERMOST))
def test_the_parser_needs_itself_alone(module: str) -> None:
    """The four innermost modules import each other, and little of the standard library."""
    sources = {source for source, _ in imports_of(module, for_checkers=False)}
    assert sources <= INNERMOST | {"__future__", "json", "sys"}


@pytest.mark.parametrize("module", [name for name in PATHS if name.startswith(INTERPRETATION)])
def test_interpretation_knows_no_transport(module: str) -> None:
    """What chunks and events mean does not depend on how they came."""
    imported = {f"{source}.{name}" for source, name in imports_of(module, for_checkers=False)}
    assert [] == [name for name in sorted(imported) if TRANSPORT.match(name)]


@pytest.mark.parametrize("module", [name for name in PATHS if name.startswith("sse_openai")])
def test_the_adapter_imports_public_names_only(module: str) -> None:
    """Whatever ``sse_openai`` needs of ``sse_core``, anyone can import."""
    private = []
    for source, name in sorted(imports_of(module)):
        if source.partition(".")[0] == "sse_core":
            public = {"", "__version__", *importlib.import_module(source).__all__}
            if "._" in source or name not in public:
                private.append(f"{source}.{name}")
    assert [] == private


def test_no_import_circle() -> None:
    """No module imports itself by way of others; imports for type checkers count."""
    imported = {
        module: {source for source, _ in imports_of(module) if source in PATHS} for module in PATHS
    }
    reached = {module: reachable(module, imported) for module in PATHS}

    circles = {
        tuple(sorted(other for other in reached[module] if module in reached[other]))
        for module in PATHS
        if module in reached[module]
    }
    assert set() == circles


def reachable(start: str, imported: dict[str, set[str]]) -> set[str]:
    """Return the modules that ``start`` imports, directly or not."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = imported[waiting.pop()] - found
        found |= new
        waiting += new
    return found


@pytest.mark.parametrize("module", sorted(set(PATHS) - {"sse_core._parser"}))
def test_modules_are_short(module: str) -> None:
    """A module can be read in one go; the parser is one idea, and fast."""
    length = len(PATHS[module].read_text().splitlines())
    assert length <= 400


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

    assert set() == absent & set(output_of(code).split())


def output_of(code: str) -> str:
    """Run code in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    ).stdout


@pytest.mark.slow
@each_public_module
def test_names_that_editors_see(module: ModuleType) -> None:
    """jedi completes every public name, and shows the docstring of each class and function."""
    code = f"import {module.__name__}\n{module.__name__}."
    script = jedi.Script(code, project=jedi.Project(ROOT), environment=SameEnvironment())

    shown = {completion.name: completion for completion in script.complete()}
    assert set() == set(module.__all__) - set(shown)
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type) or inspect.isfunction(value):
            assert inspect.getdoc(value) == shown[name].docstring(raw=True).strip()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_names_that_type_checkers_see(package: ModuleType) -> None:
    """Every public name is imported where it is defined, if only under TYPE_CHECKING."""
    assert package.__all__ == list(dict.fromkeys(package.__all__))
    assert dir(package) == sorted(package.__all__)

    imported = {name: source for source, name in imports_of(package.__name__)}
    assert set(package.__all__) <= set(imported)
    for name in package.__all__:
        assert getattr(package, name) is getattr(importlib.import_module(imported[name]), name)


@each_public_module
def test_public_names_say_where_they_are_public(module: ModuleType) -> None:
    """Classes and functions have the public module as their ``__module__``, and are pickled so."""
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type) or inspect.isfunction(value):
            assert module.__name__ == value.__module__, name
            assert value is pickle.loads(pickle.dumps(value))


def test_a_traceback_says_the_public_name() -> None:
    """Users see the name that they can import."""
    [line] = traceback.format_exception_only(sse_core.EventTooLarge(3))
    assert line.startswith("sse_core.EventTooLarge: ")


def test_where_names_are_public_does_not_depend_on_what_is_used_first() -> None:
    """Classes that came with another public module are published at once."""
    code = "import sse_core.sync; from sse_core._http.messages import Response"
    assert "sse_core\n" == output_of(f"{code}; print(Response.__module__)")


def test_annotations_of_public_classes_can_be_evaluated() -> None:
    """Annotations mean what they mean where they were written, as before publication."""
    hints = typing.get_type_hints(sse_openai.ContentDelta)
    assert typing.ClassVar[typing.Literal["content.delta"]] == hints["type"]
    assert sse_core.Response == typing.get_type_hints(sse_core.Opened)["response"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_unknown_name(package: ModuleType) -> None:
    """A misspelt name is an AttributeError that says so."""
    with pytest.raises(AttributeError, match=rf"module '{package.__name__}' has no attribute"):
        package.strem  # noqa: B018  # that is the test


def test_publish_leaves_other_things_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants, aliases and what another package defines keep what they say of themselves."""
    names = {"LIMIT": 3, "Text": list[str], "Path": Path, "ServerSentEvent": None}
    names["ServerSentEvent"] = sse_core.ServerSentEvent
    monkeypatch.setattr(lazy, "_lazy", dict(lazy._lazy))
    lazy.publish({"__name__": "other", "__all__": list(names), **names})

    assert Path.__module__.startswith("pathlib")
    assert "sse_core" == sse_core.ServerSentEvent.__module__


@pytest.mark.parametrize(
    "module",
    [sse_core, sse_core.sync, sse_core.asgi, sse_openai, sse_openai.sync],
    ids=lambda module: module.__name__,
)
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    """docs/reference.md has a heading for each public name."""
    headings = {
        line.strip("# `").partition("(")[0]
        for line in (ROOT / "docs" / "reference.md").read_text().splitlines()
        if line.startswith("#")
    }

    missing = {f"{module.__name__}.{name}" for name in module.__all__} - headings
    assert set() == missing


ADAPTER = [(module, name) for module in (sse_openai, sse_openai.sync) for name in module.__all__]


@pytest.mark.parametrize(
    ("module", "name"), ADAPTER, ids=[f"{module.__name__}.{name}" for module, name in ADAPTER]
)
def test_public_names_of_the_adapter_are_documented(module: ModuleType, name: str) -> None:
    """Each public name, field and attribute says in its own words what it is."""
    if isinstance(getattr(module, name), UnionType):
        return
    imports = imports_of(module.__name__)
    sources = {name: source for source, name in imports if source.startswith("sse_openai.")}
    nodes = ast.parse(PATHS[sources.get(name, module.__name__)].read_text()).body
    [node] = [item for item in nodes if getattr(item, "name", None) == name]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)

    docstring = ast.get_docstring(node)
    assert docstring
    # The rule itself, and not the number that maintainers know it by.
    assert not re.search(r"docs/maintainers|\bO[0-9]+\b", docstring)
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
