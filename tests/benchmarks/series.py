"""Cost against size: seconds to close a minute, memory, and what checkpoints cost, by the number of live series.

All series are seen once; then a tenth is active each minute, another each time, and a checkpoint is made after each.
Each size runs in a process of its own. The figures by size are each other's peer: nothing may grow faster than the
number of series.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.frame import Frame
from detectors.state.pages import Part
from streams.app import build_stages, plan_of
from streams.configuration.catalogue import build_prices
from streams.configuration.settings import load
from streams.written import Written
from tests.benchmarks.places import ROOT
from tests.benchmarks.scoring import SERIES_A_SERVICE, frame_of
from tests.benchmarks.size_plot import Panel, picture

SIZES = (1_000, 10_000, 100_000)
ACTIVE, MINUTES = 10, 20
ROWS_A_FRAME = 20_000
"""As intake cuts them."""
_FIELDS = ("series", "seconds a minute", "µs an active series", "longest stop ms", "of a checkpoint: inputs wait ms")
_MORE = ("seconds in all", "MB written", "first one: MB", "peak MB", "bytes of state a series")


class Cost(msgspec.Struct):
    """What checkpoints cost: how long one part of one held everybody up, all parts together; what was written."""

    longest_stop_seconds: float = 0.0
    taking_seconds: float = 0.0
    seconds: float = 0.0
    written_bytes: int = 0


def main(words: list[str]) -> None:
    """Measure and print; the arguments are sizes, and ``--picture=FILE`` for an SVG of them."""
    if words[:1] == ["--one"]:
        sys.stdout.write(json.dumps(_one(int(words[1]))))
        return
    head = " | ".join((*_FIELDS, *_MORE))
    sys.stdout.write(f"a tenth active each minute\n\n| {head} |\n{'|---' * len((*_FIELDS, *_MORE))}|\n")
    measured = []
    for size in [int(word) for word in words if word.isdigit()] or SIZES:
        command = [sys.executable, "-m", "tests.benchmarks", "series", "--one", str(size)]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
        figures = (
            f"{said['series']:,}", f"{said['seconds']:.3f}", f"{said['seconds'] / said['active'] * 1e6:.1f}",
            f"{said['stop_ms']:.1f}", f"{said['wait_ms']:.0f}", f"{said['checkpoint_seconds']:.2f}",
            f"{said['written_mb']:,.1f}", f"{said['first_mb']:,.0f}", f"{said['peak_mb']:,.0f}",
            f"{said['state_bytes'] / said['series']:,.0f}",
        )  # fmt: skip
        sys.stdout.write(f"| {' | '.join(figures)} |\n")
        sys.stdout.flush()
        measured.append(said)
    sys.stdout.write("\n")
    for file in (word.partition("=")[2] for word in words if word.startswith("--picture=")):
        Path(file).write_text(_picture(measured))


def _picture(measured: list[dict[str, float]]) -> str:
    sizes = [said["series"] for said in measured]
    return picture(
        [
            Panel("Seconds to close a minute", sizes, [said["seconds"] for said in measured], "{:.3g} s"),
            Panel("Peak memory, checkpoints being made", sizes, [said["peak_mb"] for said in measured], "{:,.0f} MB"),
        ]
    )


def _one(series: int) -> dict[str, float]:
    services = max(series // SERIES_A_SERVICE, ACTIVE)
    settings = load(ROOT / "config")
    stages = build_stages(plan_of(settings, shards=1), build_prices(settings.prices))
    watch, incidents = stages.watches[0], stages.incidents
    watching, pooling, used = watch.start(), incidents.start(), []
    books = watch.pages(), incidents.pages()
    written, costs = (Written(), Written()), []
    for minute in range(MINUTES):
        frame = frame_of(services, minute)
        rows = np.arange(minute % ACTIVE, services, ACTIVE) if minute else np.arange(services)
        frames = [_some(frame, rows[first : first + ROWS_A_FRAME]) for first in range(0, len(rows), ROWS_A_FRAME)]
        began = time.process_time()
        for frame in frames:
            watching, reports = watch.step(watching, frame)
            for report in reports:
                pooling, _ = incidents.step(pooling, report)
        used.append(time.process_time() - began)
        changes = books[0].changes(watching), books[1].changes(pooling)
        costs.append([_checkpoint(parts, into) for parts, into in zip(changes, written, strict=True)])
    settled = costs[MINUTES // 2 :]
    return {
        "series": services * SERIES_A_SERVICE,
        "active": services * SERIES_A_SERVICE / ACTIVE,
        "seconds": float(np.median(used[MINUTES // 2 :])),
        "stop_ms": 1e3 * max(cost.longest_stop_seconds for pair in costs for cost in pair),
        "wait_ms": 1e3 * float(np.median([max(cost.taking_seconds for cost in pair) for pair in settled])),
        "checkpoint_seconds": float(np.median([sum(cost.seconds for cost in pair) for pair in settled])),
        "written_mb": float(np.median([sum(cost.written_bytes for cost in pair) for pair in settled])) / 1e6,
        "first_mb": max(sum(cost.written_bytes for cost in pair) for pair in costs) / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "state_bytes": sum(len(part) for _, part in watch.pages().changes(watching) if part is not None),
    }


def _checkpoint(parts: Iterable[Part], written: Written) -> Cost:
    """Write to nowhere, part by part as the lease does; count the processor's seconds, not the clock's."""
    cost, began = Cost(), time.process_time()

    def timed() -> Iterable[Part]:
        iterator = iter(parts)
        while True:
            asked = time.process_time()
            part = next(iterator, None)
            took = time.process_time() - asked
            cost.longest_stop_seconds = max(cost.longest_stop_seconds, took)
            cost.taking_seconds += took
            if part is None:
                return
            yield part

    cost.written_bytes = sum(len(change.part or b"") for change in written.changes(timed()))
    cost.seconds = time.process_time() - began
    return cost


def _some(frame: Frame, rows: NDArray[np.int64]) -> Frame:
    """The frame of some services alone."""
    key = np.arange(len(rows), dtype=np.int32)
    return msgspec.structs.replace(
        frame,
        first_offset=int(frame.offset[rows[0]]),
        last_offset=int(frame.offset[rows[-1]]),
        labels=frame.labels.of(rows),
        key=key,
        offset=frame.offset[rows],
        minute=frame.minute[rows],
        high=frame.high[rows],
        identity=frame.identity[rows],
        values=frame.values[:, rows],
    )
