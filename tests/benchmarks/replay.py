"""``burstwatch replay`` of one world: wall, processor and memory, against reading the file and summing it."""

from __future__ import annotations

import gzip
import shutil
import sys
from pathlib import Path

from tests.benchmarks.child import Usage, measure
from tests.benchmarks.incidents.worlds import DEVELOPER_WORLDS, ready_worlds
from tests.benchmarks.places import CACHE, ROOT, peers_python


def main(words: list[str]) -> None:
    """Measure and print."""
    world = ready_worlds(DEVELOPER_WORLDS, words or ["mix-1"])[0]
    usage = world / "usage.ndjson.gz"
    plain = CACHE / "usage.ndjson"
    with gzip.open(usage) as packed, plain.open("wb") as file:  # whole in memory it would count as the children's
        shutil.copyfileobj(packed, file)
    with plain.open("rb") as file:
        events = sum(1 for _ in file)
    options: list[str | Path] = [
        "--deployments",
        world / "deployments.ndjson",
        "--initiatives",
        world / "initiatives.yaml",
    ]
    options += ["--config", ROOT / "config", "--alerts", CACHE / "alerts.ndjson", "--quiet"]
    ours = _best([sys.executable, "-c", "from streams.commands import main; main()", "replay", usage, *options])
    peer = _best([peers_python("orjson", ["orjson"]), Path(__file__).parent / "peers" / "orjson_loop.py", plain])
    lines = [
        "| | wall s | processor s | peak MB | events a second |",
        "|---|---|---|---|---|",
        _line("burstwatch replay", ours, events),
        _line("orjson and a loop of sums, three passes", peer, 3 * events),
    ]
    sys.stdout.write(f"{world.name}, {events:,} events\n\n" + "\n".join(lines) + "\n\n")


def _best(command: list[str | Path]) -> Usage:
    runs = [measure(command, CACHE / "replay.log", {"PYTHONPATH": str(ROOT)}) for _ in range(2)]
    return min(runs, key=lambda usage: usage.wall_seconds)


def _line(what: str, usage: Usage, events: int) -> str:
    rate = events / usage.wall_seconds
    return f"| {what} | {usage.wall_seconds:.1f} | {usage.cpu_seconds:.1f} | {usage.peak_mb:.0f} | {rate:,.0f} |"
