"""Public names: loaded on first use, and shown under the module where they are public.

A public module lists its names in ``__all__`` and passes ``globals()`` to ``publish``. For
names that are loaded later it adds them to the list and calls ``publish`` with the module
that defines them; an import under ``TYPE_CHECKING`` shows them to editors and type checkers.
These never see ``__getattr__`` (PEP 562): with it, they would accept every misspelt name.

Published classes and functions have the public module as their ``__module__``, so tracebacks,
``help()`` and pickles say ``sse_core.ResponseError``. It is set as soon as any public name has
loaded the defining module, so it does not depend on which name a program uses first.
"""

from __future__ import annotations

import sys

# Type checkers know this name. jedi, which completes names in Jupyter and vim, evaluates it:
# after the literal False, it would ignore the imports. Importing `typing` takes too long.
TYPE_CHECKING = bool()  # noqa: UP018  # see above
if TYPE_CHECKING:
    from typing import Any

__all__ = ["TYPE_CHECKING", "publish"]

_namespaces: dict[str, dict[str, Any]] = {}
"""The globals of each public module, by its name."""
_later: dict[str, dict[str, str]] = {}
"""For each public module: its lazy names, and the modules that define them."""


def publish(namespace: dict[str, Any], module: str = "", extra: str = "") -> None:
    """Publish the names in ``__all__`` that earlier calls did not.

    Args:
        namespace: ``globals()`` of the public module.
        module: the submodule that defines the new names, to be imported on first use of one;
            empty if they are there already.
        extra: a name outside ``__all__``, whose module needs an optional dependency.
    """
    public: str = namespace["__name__"]
    _namespaces[public] = namespace
    if not module:
        for name in namespace["__all__"]:
            _move(namespace[name], public)
        _bind_loaded()
        return
    later = _later.setdefault(public, {})
    for name in [extra] if extra else namespace["__all__"]:
        if name not in namespace:
            later.setdefault(name, f"{public}.{module}")

    def load(name: str) -> Any:
        if name not in later:
            raise AttributeError(f"module {public!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(later[name]), name)
        _bind_loaded()
        return value

    namespace["__getattr__"] = load
    namespace["__dir__"] = lambda: sorted(namespace["__all__"])


def _bind_loaded() -> None:
    """Bind every lazy name whose module has been imported by now."""
    for public, later in _later.items():
        namespace = _namespaces[public]
        for name, module in later.items():
            loaded = sys.modules.get(module)
            # In the middle of its import, a module may not have the name yet.
            if name not in namespace and hasattr(loaded, name):
                namespace[name] = _move(getattr(loaded, name), public)


def _move(value: Any, public: str) -> Any:
    """Give a class or function its public address; return it."""
    if not isinstance(value, type) and not hasattr(value, "__code__"):
        return value  # a constant or a type alias
    if value.__module__ in _namespaces or _package(value.__module__) != _package(public):
        return value  # published before, or another package's
    annotations = vars(value).get("__annotations__") if isinstance(value, type) else None
    if annotations:
        # They are evaluated in the namespace of `__module__`, so this is done before it changes.
        defined_in = vars(sys.modules[value.__module__])
        value.__annotations__ = {
            name: _evaluate(text, defined_in) for name, text in annotations.items()
        }
    value.__module__ = public
    return value


def _package(module: str) -> str:
    return module.partition(".")[0]


def _evaluate(annotation: Any, namespace: dict[str, Any]) -> Any:
    try:
        return eval(annotation, namespace) if isinstance(annotation, str) else annotation
    except NameError:  # imported for type checkers only
        return annotation
