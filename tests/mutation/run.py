r"""Mutate one module of ``sse_core`` and tell which mutants its tests let live.

    python -m tests.mutation.run _encoder test_encoder.py
    python -m tests.mutation.run _parser test_parser_edges.py test_parser_limits.py \
        test_parser.py test_parser_properties.py

The tests are those of ``tests/sse_core``.
Needs mutmut 3 (``pip install mutmut``). It works on copies in a temporary directory
with a configuration of its own; the checkout stays as it is. Two passes: mutmut runs
the quick tests for every mutant, then each survivor is written into the module itself
and meets all of them. The second pass is also for tests that read the module's source,
which do not see a mutant behind mutmut's trampolines. Property tests run a tenth of
their examples, the same in every run: what takes a thousand to kill is worth a test by
name.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[2]

NOT_QUICK = [
    # A generator function behind a trampoline raises nothing before its first item.
    "test_iter_events_options",
    # These look at the module's source or its calls.
    *["touched", "twice_the_bytes", "small_reads", "turned_off"],
    # What they kill, mostly dies of a quicker one.
    *["every_two_cuts", "with_empty_reads", "between_cr_and_lf", "memory", "empty_lines"],
    "test_parser_properties",
]

CONFIGURATION = """\
[tool.mutmut]
source_paths = ["sse_core"]
only_mutate = ["sse_core/{module}.py"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-k", "not ({not_quick})", "-p", "no:cacheprovider"]
also_copy = ["sse_core", "tests"]
timeout_multiplier = 3
timeout_constant = 5

"""

PYTEST = """\
[tool.pytest.ini_options]
markers = ["peers", "slow", "sweep"]
filterwarnings = ["error"]
"""

HELPERS = ["__init__.py", "conftest.py", "support", "data", "fuzz"]

# All tests of a module take seconds; a mutant that takes minutes never ends.
TIMEOUT = 180

MUTMUT = [sys.executable, "-m", "mutmut"]


def copy_to(directory: Path, tests: list[str]) -> Path:
    """Make a checkout of what the tests need."""
    shutil.copytree(ROOT / "sse_core", directory / "sse_core")
    (directory / "tests" / "sse_core").mkdir(parents=True)
    (directory / "pyproject.toml").write_text(PYTEST)
    for name in [*HELPERS, "sse_core/__init__.py", *tests]:
        source, target = ROOT / "tests" / name, directory / "tests" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return directory


def mutmut(copy: Path, *arguments: str) -> str:
    """Return what a command of mutmut prints."""
    command = [*MUTMUT, *arguments]
    return subprocess.run(command, cwd=copy, check=True, capture_output=True, text=True).stdout


def first_pass(copy: Path, module: str, tests: list[str], children: int) -> dict[str, str]:
    """Run the quick tests for every mutant; return each one's verdict."""
    (copy / "pyproject.toml").write_text(
        CONFIGURATION.format(
            module=module,
            tests=[f"tests/{name}" for name in tests],
            not_quick=" or ".join(NOT_QUICK),
        )
        + PYTEST
    )
    mutmut(copy, "run", "--max-children", str(children))
    lines = mutmut(copy, "results", "--all", "true").splitlines()
    verdicts = [line.split(":") for line in lines if ": " in line]
    return {name.strip(): verdict.strip() for name, verdict in verdicts}


def mutated(copy: Path, module: str, name: str) -> str | None:
    """Return the module's source with one mutant in it, or None where mutmut cannot tell."""
    path = copy / "sse_core" / f"{module}.py"
    source = path.read_text()
    mutmut(copy, "apply", name)
    result = path.read_text()
    path.write_text(source)
    # Of methods of one name it takes those of the first class.
    shown = mutmut(copy, "show", name).splitlines()
    return result if changes(shown) == changes(diff(source, result)) else None


def changes(lines: list[str]) -> list[str]:
    return [
        line[0] + line[1:].strip()
        for line in lines
        if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")
    ]


def diff(before: str, after: str) -> list[str]:
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))


def second_pass(
    copies: list[Path], module: str, tests: list[str], sources: dict[str, str]
) -> Iterator[str]:
    """Run all tests for each of the mutated sources; yield the names of those that live."""
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def lives(name: str) -> bool:
        copy = free.get()
        try:
            (copy / "sse_core" / f"{module}.py").write_text(sources[name])
            return all_tests_pass(copy, tests)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        for name, alive in zip(sources, pool.map(lives, sources), strict=True):
            if alive:
                yield name


def all_tests_pass(copy: Path, tests: list[str]) -> bool:
    options = ["-x", "-q", "-W", "error", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    # Without byte code: of two mutants of one size and second, Python would take the first's.
    python = [sys.executable, "-B", "-m", "pytest"]
    command = [*python, *options, *[f"tests/{name}" for name in tests]]
    try:
        return not subprocess.run(
            command, cwd=copy, timeout=TIMEOUT, stdout=subprocess.DEVNULL
        ).returncode
    except subprocess.TimeoutExpired:
        return False


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.mutation.run")
    arguments.add_argument("module", help="such as _encoder")
    arguments.add_argument("tests", nargs="+", help="files in tests/sse_core, quick ones first")
    arguments.add_argument("--children", type=int, default=2, help="how many at a time")
    options = arguments.parse_args()
    os.environ["SSE_EXAMPLES"] = "0.1"

    tests = [f"sse_core/{test}" for test in options.tests]
    with tempfile.TemporaryDirectory() as directory:
        copies = []
        for number in range(options.children + 1):
            (copy := Path(directory, str(number))).mkdir()
            copies.append(copy_to(copy, tests))
        if not all_tests_pass(copies[1], tests):
            sys.exit("the tests fail without a mutant")

        verdicts = first_pass(copies[0], options.module, tests, options.children)
        left = {
            name: mutated(copies[0], options.module, name)
            for name, verdict in verdicts.items()
            if verdict not in ("killed", "timeout")
        }
        sources = {name: source for name, source in left.items() if source is not None}
        alive = [name for name in left if name not in sources]
        alive += second_pass(copies[1:], options.module, tests, sources)
        for name in alive:
            print(mutmut(copies[0], "show", name))

    timeouts = [name for name, verdict in verdicts.items() if verdict == "timeout"]
    print(f"{len(verdicts)} mutants of {options.module}:", end=" ")
    print(f"{len(left)} left by the quick tests, {len(alive)} by all; {len(timeouts)} timed out")
    return 1 if alive or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
