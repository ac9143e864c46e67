"""Mutate one module of ``sse_core`` and tell which mutants its tests let live.

    python -m tests.mutation.run _encoder test_encoder.py
    python -m tests.mutation.run _parser test_parser.py test_parser_properties.py

Needs mutmut 3 (``pip install mutmut``). It works on a copy in a temporary directory
with a configuration of its own; the checkout stays as it is. Property tests run a tenth
of their examples: what takes a thousand to kill is worth a test by name.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

CONFIGURATION = """\
[tool.mutmut]
source_paths = ["sse_core"]
only_mutate = ["sse_core/{module}.py"]
pytest_add_cli_args_test_selection = {tests}
also_copy = ["sse_core", "tests"]

[tool.pytest.ini_options]
filterwarnings = ["error"]
"""

HELPERS = ["__init__.py", "conftest.py", "reference_parser.py", "data", "fuzz"]


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.mutation.run")
    arguments.add_argument("module", help="such as _encoder")
    arguments.add_argument("tests", nargs="+", help="files in tests/")
    arguments.add_argument("--children", type=int, default=2, help="how many at a time")
    options = arguments.parse_args()

    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        shutil.copytree(ROOT / "sse_core", copy / "sse_core")
        (copy / "tests").mkdir()
        for name in [*HELPERS, *options.tests]:
            source, target = ROOT / "tests" / name, copy / "tests" / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        tests = [f"tests/{name}" for name in options.tests]
        (copy / "pyproject.toml").write_text(
            CONFIGURATION.format(module=options.module, tests=tests)
        )

        mutmut = [sys.executable, "-m", "mutmut"]
        run = [*mutmut, "run", "--max-children", str(options.children)]
        environment = {**os.environ, "SSE_EXAMPLES": "0.1"}
        subprocess.run(run, cwd=copy, check=True, stdout=subprocess.DEVNULL, env=environment)
        results = [*mutmut, "results", "--all", "true"]
        found = subprocess.run(results, cwd=copy, check=True, capture_output=True, text=True)
        verdicts = [line.split(":") for line in found.stdout.splitlines() if ": " in line]
        alive = [name.strip() for name, verdict in verdicts if verdict.strip() != "killed"]
        for name in alive:
            subprocess.run([*mutmut, "show", name], cwd=copy, check=True)
        print(f"{len(alive)} of {len(verdicts)} mutants of {options.module} were not killed")
    return 1 if alive or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
