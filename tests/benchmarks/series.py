"""Cost against size: seconds to close a minute, memory and bytes of state, by the number of live series.

All series are seen once; then a tenth is active each minute, another each time. Each size runs in a process of its own.
The figures by size are each other's peer: nothing may grow faster than the number of series.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.frame import Frame
from streams.app import build_stages, plan_of
from streams.configuration.catalogue import build_prices
from streams.configuration.settings import load
from tests.benchmarks.places import ROOT
from tests.benchmarks.scoring import SERIES_A_SERVICE, frame_of

SIZES = (1_000, 10_000, 100_000)
ACTIVE, MINUTES = 10, 20


def main(words: list[str]) -> None:
    """Measure and print; the arguments are sizes."""
    if words[:1] == ["--one"]:
        sys.stdout.write(json.dumps(_one(int(words[1]))))
        return
    head = "| series | seconds a minute | µs an active series | peak MB | bytes of state a series |"
    sys.stdout.write(f"a tenth active each minute\n\n{head}\n|---|---|---|---|---|\n")
    for size in [int(word) for word in words] or SIZES:
        command = [sys.executable, "-m", "tests.benchmarks", "series", "--one", str(size)]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
        line = f"{said['series']:,} | {said['seconds']:.3f} | {said['seconds'] / said['active'] * 1e6:.1f} | "
        sys.stdout.write(f"| {line}{said['peak_mb']:.0f} | {said['state_bytes'] / said['series']:,.0f} |\n")
        sys.stdout.flush()
    sys.stdout.write("\n")


def _one(series: int) -> dict[str, float]:
    services = max(series // SERIES_A_SERVICE, ACTIVE)
    settings = load(ROOT / "config")
    stages = build_stages(plan_of(settings, shards=1), build_prices(settings.prices))
    watch, incidents = stages.watches[0], stages.incidents
    watching, pooling, used = watch.start(), incidents.start(), []
    for minute in range(MINUTES):
        frame = frame_of(services, minute)
        if minute:
            frame = _some(frame, np.arange(minute % ACTIVE, services, ACTIVE))
        began = time.process_time()
        watching, reports = watch.step(watching, frame)
        for report in reports:
            pooling, _ = incidents.step(pooling, report)
        used.append(time.process_time() - began)
    return {
        "series": services * SERIES_A_SERVICE,
        "active": services * SERIES_A_SERVICE / ACTIVE,
        "seconds": float(np.median(used[MINUTES // 2 :])),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "state_bytes": len(watch.encode(watching)),
    }


def _some(frame: Frame, rows: NDArray[np.int64]) -> Frame:
    """The frame of some services alone."""
    key = np.arange(len(rows), dtype=np.int32)
    return msgspec.structs.replace(
        frame,
        labels=frame.labels.of(rows),
        key=key,
        offset=frame.offset[rows],
        minute=frame.minute[rows],
        high=frame.high[rows],
        identity=frame.identity[rows],
        values=frame.values[:, rows],
    )
