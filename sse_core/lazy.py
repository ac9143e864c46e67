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

_lazy: dict[str, dict[str, str]] = {}
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
    lazy = _lazy.setdefault(public, {})
    if not module:
        for name in namespace["__all__"]:
            _move(namespace[name], public)
        _bind_loaded()
        return
    for name in [extra] if extra else namespace["__all__"]:
        if name not in namespace:
            lazy.setdefault(name, f"{public}.{module}")

    def load(name: str) -> Any:
        if name not in lazy:
            raise AttributeError(f"module {public!r} has no attribute {name!r}")
        __import__(lazy[name])
        _bind_loaded()
        return getattr(sys.modules[lazy[name]], name)

    namespace["__getattr__"] = load
    namespace["__dir__"] = lambda: sorted(namespace["__all__"])


def _bind_loaded() -> None:
    """Bind every lazy name whose module has been imported by now."""
    for public, lazy in _lazy.items():
        for name, module in lazy.items():
            namespace, loaded = vars(sys.modules[public]), sys.modules.get(module)
            # In the middle of its import, a module may not have the name yet.
            if name not in namespace and hasattr(loaded, name):
                namespace[name] = _move(getattr(loaded, name), public)


def _move(value: Any, public: str) -> Any:
    """Give a class or function its public address; return it."""
    if not isinstance(value, type) and not hasattr(value, "__code__"):
        return value  # a constant or a type alias
    old: str = value.__module__
    if old in _lazy or old.partition(".")[0] != public.partition(".")[0]:
        return value  # published before, or another package's
    # Annotations are evaluated in the namespace of `__module__`: done before it changes.
    annotations = vars(value).get("__annotations__", {})
    for name, text in annotations.items():
        try:
            annotations[name] = eval(text, vars(sys.modules[old])) if type(text) is str else text
        except NameError:
            continue  # imported for type checkers only
    value.__module__ = public
    return value
