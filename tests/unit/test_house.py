"""The rules of the house: who may import whom, how long a file and a function may grow, who may read the clock."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("detectors", "streams")
FILE_LINES = 400
FUNCTION_LINES = 70

WORLDLY_STDLIB = {"asyncio", "http", "multiprocessing", "os", "socket", "sqlite3", "subprocess", "threading", "urllib"}
PURE_IMPORTS = (sys.stdlib_module_names - WORLDLY_STDLIB) | {
    "detectors",
    "msgspec",
    "numba",
    "numpy",
    "scipy",
    "sklearn",
}

CLOCK_READERS = ("streams/commands/", "streams/embedded/", "streams/delivery/", "streams/kafka/")
WALL_CLOCK_CALLS = {
    "time.time",
    "time.time_ns",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.date.today",
}


def files_of(*folders: str) -> list[str]:
    """Return the Python files below the folders, as paths from the root."""
    return [path.relative_to(ROOT).as_posix() for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def tree_of(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), file)


def imports_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and top-level name of every import, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, (node.module or "").partition(".")[0] if not node.level else "a relative import"


def long_functions(tree: ast.Module, limit_lines: int) -> list[str]:
    return [
        f"line {node.lineno}: {node.name} has {length} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > limit_lines
    ]


def wall_clock_reads(tree: ast.Module) -> list[str]:
    """Return every call of a wall clock; a clock imported by its bare name would hide, so that counts as one."""
    calls = [
        f"line {node.lineno}: {name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and (name := ast.unparse(node)) in WALL_CLOCK_CALLS
    ]
    bare = [
        f"line {node.lineno}: from time import {alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
        if f"time.{alias.name}" in WALL_CLOCK_CALLS
    ]
    return calls + bare


def test_imports_go_only_in_the_directions_that_pyproject_allows() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    linted = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("file", files_of("detectors"))
def test_the_pure_core_imports_only_arithmetic(file: str) -> None:
    strangers = [f"line {line}: {name}" for line, name in imports_of(tree_of(file)) if name not in PURE_IMPORTS]
    assert not strangers, f"{file} imports what the pure core may not"


@pytest.mark.parametrize("file", [f for f in files_of(*PACKAGES) if not f.startswith(CLOCK_READERS)])
def test_only_the_runtimes_read_the_wall_clock(file: str) -> None:
    reads = wall_clock_reads(tree_of(file))
    assert not reads, f"{file} reads the wall clock: take the time from the event, or as an argument from the runtime"


@pytest.mark.parametrize("file", files_of(*PACKAGES, "tests"))
def test_files_and_functions_stay_short_enough_to_read(file: str) -> None:
    lines = len((ROOT / file).read_text(encoding="utf-8").splitlines())
    assert lines <= FILE_LINES, f"{file} has {lines} lines: split it where it changes the subject"
    too_long = long_functions(tree_of(file), FUNCTION_LINES)
    assert not too_long, f"{file}: functions above {FUNCTION_LINES} lines"


@pytest.mark.parametrize("file", files_of(*PACKAGES))
def test_every_file_says_what_it_is(file: str) -> None:
    assert ast.get_docstring(tree_of(file)), f"{file} opens without a docstring"


def test_the_measures_see_what_they_forbid() -> None:
    """A rule that can find nothing protects nothing."""
    long = ast.parse("def long():\n" + "    pass\n" * FUNCTION_LINES)
    assert long_functions(long, FUNCTION_LINES) == [f"line 1: long has {FUNCTION_LINES + 1} lines"]
    assert wall_clock_reads(ast.parse("import time\nclock = time.time")) == ["line 2: time.time"]
    assert wall_clock_reads(ast.parse("from time import time")) == ["line 1: from time import time"]
    assert not wall_clock_reads(ast.parse("import time\ntime.monotonic()"))
    hidden = ast.parse("def f():\n    import faust.types\n    from .events import Alert")
    assert list(imports_of(hidden)) == [(2, "faust"), (3, "a relative import")]
    assert all(files_of(package) for package in PACKAGES), "the packages have moved"
