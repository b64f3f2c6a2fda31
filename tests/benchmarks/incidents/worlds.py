"""Worlds: made once by burstbench, kept in the cache, found again by what they were made from."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.places import CACHE, peers_python, say

BURSTBENCH = Path(__file__).parent / "burstbench"
DEVELOPER_WORLDS = BURSTBENCH / "worlds.dev.yaml"


def burstbench_python() -> Path:
    """Return the interpreter that has what burstbench needs."""
    return peers_python("burstbench", (BURSTBENCH / "requirements.txt").read_text().split())


def burstbench(*words: str | Path) -> str:
    """Run one of burstbench's commands; return what it printed."""
    command = [burstbench_python(), "-m", "burstbench", *words]
    return subprocess.run(command, cwd=BURSTBENCH, check=True, capture_output=True, text=True).stdout


def ready_worlds(plan: Path, wanted: list[str]) -> list[Path]:
    """Return the folders of a plan's worlds whose names match, making those that are not there.

    Parameters
    ----------
    plan
        burstbench's YAML of worlds.
    wanted
        Names, ``*`` and ``?`` allowed.
    """
    content = yaml.safe_load(plan.read_text())
    chosen = [world for world in content["worlds"] if any(fnmatch(world["name"], name) for name in wanted)]
    if not chosen:
        names = ", ".join(world["name"] for world in content["worlds"])
        raise SystemExit(f"no world of {plan} is called {' or '.join(wanted)}; it has {names}")
    return [_ready(content, world) for world in chosen]


def _ready(plan: dict[str, Any], world: dict[str, Any]) -> Path:
    one = {**{key: value for key, value in plan.items() if key != "worlds"}, "worlds": [world]}
    folder: Path = CACHE / "worlds" / _fingerprint(one) / world["name"]
    if folder.exists():
        return folder
    say(f"Making {world['name']}")
    half_made = folder.parent / "half-made"
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir(parents=True)
    (half_made / "plan.yaml").write_text(yaml.safe_dump(one))
    burstbench("make", "--worlds", half_made / "plan.yaml", "--data", BURSTBENCH / "data", "--out", half_made)
    (half_made / world["name"]).rename(folder)
    shutil.rmtree(half_made)
    return folder


def _fingerprint(plan: dict[str, Any]) -> str:
    """Return a digest of all that decides a world's bytes."""
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode())
    for path in sorted([*BURSTBENCH.glob("burstbench/*"), *BURSTBENCH.glob("data/*")]):
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]
