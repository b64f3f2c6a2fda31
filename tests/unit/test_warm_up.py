"""Warming up: afterwards real usage finds all machine code loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import gzip, sys
from itertools import islice
from pathlib import Path
from detectors.intake.raw import RawMessage
from streams.app import build_stages, plan_of
from streams.configuration.catalogue import build_prices
from streams.configuration.settings import load
from streams.pipeline import Pipeline
from streams.warm_up import warm_up

def loaded():
    modules = [vars(module) for name, module in list(sys.modules.items()) if name.startswith("detectors.")]
    functions = [what for module in modules for what in module.values() if hasattr(what, "signatures")]
    return {(function.__name__, types) for function in functions for types in function.signatures}

settings = load(Path("config"))
prices = build_prices(settings.prices)
warm_up(plan_of(settings), prices)
before = loaded()
with gzip.open("tests/sample/usage.ndjson.gz") as lines:
    Pipeline(build_stages(plan_of(settings), prices)).feed(
        [RawMessage("usage", 0, n, line.strip()) for n, line in enumerate(islice(lines, 20_000))]
    )
print(len(before), sorted(name for name, _ in loaded() - before))
"""


def test_after_warming_up_real_usage_finds_all_machine_code_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    count, missing = done.stdout.split(maxsplit=1)
    assert int(count) > 0
    assert missing.strip() == "[]"
