"""Write docs/reference.md from the docstrings: `python docs/make_reference.py`.

One heading for each public name, its signature as written, its docstring, and the
members that have one. A test compares the page with the output of this program.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType, UnionType

PAGE = Path(__file__).parent / "reference.md"
MODULES = [
    "sse_core",
    "sse_core.sync",
    "sse_core.asgi",
    "sse_openai",
    "sse_openai.sync",
    "sse_openai.mock",
    "sse_openai.relay",
]

INTRODUCTION = """\
# Reference

Made from the docstrings by `docs/make_reference.py`.
Times are seconds, but the parser's `retry` and `reconnection_time` are milliseconds, as sent.
Mistakes of a peer raise `SSEError`; mistakes of the caller raise `TypeError`, `ValueError` or
`RuntimeError`.
"""

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the text of the page."""
    parts = [INTRODUCTION]
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        parts.append(f"## {module_name}\n\n{prose(module.__doc__)}\n")
        parts += [entry(module, name) for name in sorted(module.__all__)]
    return "\n".join(parts)


def entry(module: ModuleType, name: str) -> str:
    """Return the entry of one public name."""
    value = getattr(module, name)
    if isinstance(value, UnionType):
        union = " | ".join(member.__name__ for member in value.__args__)
        return f"### {module.__name__}.{name}\n\n```\n{name} = {union}\n```\n"
    body = ast.parse(inspect.getsource(defined_in(module, name))).body
    nodes = {node.name: node for node in body if isinstance(node, Definition)}
    if name not in nodes:
        return assigned(module, name, body)
    node = nodes[name]
    lines = [f"### {module.__name__}.{name}\n"]
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(base.__name__ for base in value.__bases__)
        base = f"({bases})" if issubclass(value, Exception) else ""
        if not base and (signature := constructor(node, value)):
            base = signature
        lines.append(f"```\nclass {name}{base}\n```\n")
    else:
        lines.append(f"```\n{signature_of(node)}\n```\n")
    lines.append(f"{prose(value.__doc__)}\n")
    if isinstance(node, ast.ClassDef):
        for title, text in all_members(node, value):
            text = " ".join(text.replace("``", "`").split())
            lines.append(f"* {title}: {text}" if text else f"* {title}")
        lines.append("")
    return "\n".join(lines)


def assigned(module: ModuleType, name: str, body: list[ast.stmt]) -> str:
    """Return the entry of a constant or of a type alias."""
    for node, following in pairwise(body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(following, ast.Expr):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if (
                ast.unparse(target) == name
                and node.value
                and isinstance(following.value, ast.Constant)
            ):
                code = f"```\n{name} = {ast.unparse(node.value)}\n```"
                return f"### {module.__name__}.{name}\n\n{code}\n\n{prose(following.value.value)}\n"
    raise LookupError(f"{name} has no docstring")


def defined_in(module: ModuleType, name: str) -> ModuleType:
    """Return the module that defines a public name: the one it is imported from."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and any(
            name == (alias.asname or alias.name) for alias in node.names
        ):
            source = "." * node.level + (node.module or "")
            return importlib.import_module(source, module.__package__)
    return module


def parts_of(node: ast.ClassDef, value: type) -> list[ast.ClassDef]:
    """Return a class and its private bases, whose members are its own to readers."""
    parts = [node]
    for base in value.__mro__[1:]:
        if base.__module__.startswith(("sse_core.", "sse_openai.")) and not is_public(base):
            [part] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            assert isinstance(part, ast.ClassDef)
            parts.append(part)
    return parts


def is_public(value: type) -> bool:
    return value.__name__ in getattr(importlib.import_module(value.__module__), "__all__", [])


def all_members(node: ast.ClassDef, value: type) -> Iterator[tuple[str, str]]:
    """Yield the public members of a class and of its private bases, with their docstrings."""
    found: dict[str, tuple[str, str]] = {}
    for part in reversed(parts_of(node, value)):
        for title, text in members(part):
            name = title.strip("`").removeprefix("async ").partition("(")[0]
            _, inherited = found.pop(name, ("", ""))
            found[name] = title, text or inherited
    yield from found.values()


def constructor(node: ast.ClassDef, value: type) -> str:
    """Return the constructor's arguments, as written or as a dataclass makes them."""
    for part in parts_of(node, value):
        for item in reversed(part.body):
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return arguments(item)
    if hasattr(value, "__dataclass_fields__"):
        fields = [
            f"{item.target.id}: {ast.unparse(item.annotation)}"
            + (f" = {ast.unparse(item.value)}" if item.value else "")
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            if item.target.id[0] != "_" and "ClassVar" not in ast.unparse(item.annotation)
        ]
        return "(\n    " + ",\n    ".join(fields) + "\n)" if fields else ""
    return ""


def arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return a signature's arguments without ``self``; if they are long, one per line."""
    arguments = ast.unparse(node.args)
    for receiver in ("self, ", "self", "cls, ", "cls"):
        arguments = arguments.removeprefix(receiver)
    if len(arguments) > 70:
        parts = [ast.unparse(part) for part in split(node.args)]
        arguments = "\n    " + ",\n    ".join(parts) + ",\n"
    return f"({arguments})"


def split(node: ast.arguments) -> Iterator[ast.arguments]:
    """Split arguments into one ``ast.arguments`` for each."""
    empty = {"posonlyargs": [], "args": [], "kwonlyargs": [], "kw_defaults": [], "defaults": []}
    defaults = [None] * (len(node.args) - len(node.defaults)) + list(node.defaults)
    for argument, default in zip(node.args, defaults, strict=True):
        if argument.arg not in ("self", "cls"):
            one = {"args": [argument], "defaults": [default] if default else []}
            yield ast.arguments(**(empty | one))
    if node.kwonlyargs:
        yield ast.arguments(**empty, vararg=ast.arg(arg=""))
    for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
        one = {"args": [argument], "defaults": [default] if default else []}
        yield ast.arguments(**(empty | one))
    if node.kwarg:
        yield ast.arguments(**empty, kwarg=node.kwarg)


def signature_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    """Return ``name(arguments) -> result`` as written."""
    assert not isinstance(node, ast.ClassDef)
    prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{prefix}{node.name}{arguments(node)}{result}"


def members(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield the public members of a class with their docstrings."""
    body = list(node.body)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name in ("__init__", "_begin"):
            body += item.body
    for item, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name[0] != "_":
            text = ast.get_docstring(item) or ""
            decorators = {ast.unparse(decorator) for decorator in item.decorator_list}
            title = f"`{item.name}`" if "property" in decorators else f"`{signature_of(item)}`"
            yield title.replace("\n", " ").replace("    ", ""), text
        elif isinstance(item, ast.Assign | ast.AnnAssign) and isinstance(following, ast.Expr):
            target = item.targets[0] if isinstance(item, ast.Assign) else item.target
            name = ast.unparse(target).removeprefix("self.")
            if name[0] != "_" and isinstance(following.value, ast.Constant):
                yield f"`{name}`", str(following.value.value)


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown: indented examples fenced, sections as lists."""
    text = inspect.cleandoc(docstring or "").replace("``", "`")
    lines: list[str] = []
    for block in text.split("\n\n"):
        first = block.splitlines()[0] if block else ""
        if first in ("Args:", "Raises:"):
            entries = textwrap.dedent("\n".join(block.splitlines()[1:]))
            lines.append(f"{first}\n")
            for line in entries.splitlines():
                if line.startswith(" "):
                    lines[-1] += " " + line.strip()
                elif ": " in line:
                    name, _, rest = line.partition(": ")
                    lines.append(f"* `{name}`: {rest}")
                else:
                    lines.append(f"\n{line}")
            lines.append("")
        elif first.startswith("    ") or "├" in block:
            lines.append(f"```\n{textwrap.dedent(block)}\n```\n")
        else:
            lines.append(f"{block}\n")
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    main()
