"""A sender many times faster than a worker: what waits is seen from outside, and the worker's memory stays flat."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec

from streams.kafka.status import read_status
from tests.benchmarks.kafka.ground import Ground, broker
from tests.benchmarks.kafka.judged import until_judged
from tests.benchmarks.kafka.load import Load
from tests.benchmarks.kafka.process import ProcessClock
from tests.kafka.reading import wait_for
from tests.kafka.running import Worker

LOOK_SECONDS = 2.0
WARM = Load(minutes=20)


class Look(msgspec.Struct, frozen=True):
    """What is seen from outside at one moment: ``burstwatch status`` and the worker's own figures."""

    at: float
    waiting_events: int
    waiting_frames: int
    taken: float
    behind_seconds: float


def main(words: list[str]) -> None:
    """Measure and print: first a load that warms everything up, then four times as many events as fast as they go."""
    flood = Load(minutes=80, start=WARM.after(WARM.minutes + 4), closed_by=1)
    with broker() as address:
        ground = Ground(address, flood.partitions)
        worker = ground.worker()
        assert worker.process is not None
        try:
            wait_for(worker.is_ready, "the worker to be ready")
            with ProcessClock(worker.process.pid) as clock:
                ground.fill(WARM)
                warm = until_judged(ground.kafka, WARM)
                began = time.time()
                ground.fill(flood, at_once=100)
                sent = time.time()
                looks, done = _look_until_judged(ground, worker, flood)
            worker.stop()
        finally:
            worker.end()
        ground.remove()
    faster = (done - began) / (sent - began)
    sys.stdout.write(f"{flood.events:,} events sent in {sent - began:.1f} s, judged in {done - began:.1f} s: ")
    sys.stdout.write(f"the sender is {faster:.1f} times faster\n\n")
    sys.stdout.write("| seconds | status: events | status: frames | metric: taken | metric: seconds behind |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    for look in looks:
        line = f"| {look.at - began:.0f} | {look.waiting_events:,} | {look.waiting_frames:,} | {look.taken:,.0f} | "
        sys.stdout.write(f"{line}{look.behind_seconds:,.0f} |\n")
    before, during = clock.most_mb(warm - 60, warm), clock.most_mb(began, done)
    sys.stdout.write(f"\nMemory: {before:.0f} MB at most before, {during:.0f} MB with all that waiting.\n\n")


def _look_until_judged(ground: Ground, worker: Worker, load: Load) -> tuple[list[Look], float]:
    looks = [_look(ground, worker)]
    with ThreadPoolExecutor(1) as other:
        judged = other.submit(until_judged, ground.kafka, load)
        while not judged.done():
            threading.Event().wait(LOOK_SECONDS)
            looks.append(_look(ground, worker))
        return looks, judged.result()


def _look(ground: Ground, worker: Worker) -> Look:
    rows = asyncio.run(read_status(ground.kafka))
    lag = {stage: sum(row.lag for row in rows if row.stage == stage) for stage in ("intake usage", "watch")}
    taken, behind = worker.figure("burstwatch_events_taken_total"), worker.figure("burstwatch_watermark_lag_seconds")
    return Look(time.time(), lag["intake usage"], lag["watch"], taken, behind)
