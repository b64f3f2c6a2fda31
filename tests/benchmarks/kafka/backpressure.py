"""A sender far faster than a worker: what waits is seen from outside, and memory does not depend on how much it is.

All has been sent before the worker begins, as after a sender that is faster without limit.
"""

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
from tests.benchmarks.places import say
from tests.kafka.reading import wait_for
from tests.kafka.running import Worker

MINUTES = (25, 50, 100, 200)
LOOK_SECONDS = 2.0


class Look(msgspec.Struct, frozen=True):
    """What is seen at one moment: what `burstwatch status` shows, and the worker's own figures."""

    at: float
    waiting_events: int
    waiting_frames: int
    taken: float
    behind_seconds: float


def main(words: list[str]) -> None:
    """Measure and print: the most memory against how much waits, and the last flood as it is seen from outside."""
    peaks, looks = [], list[Look]()
    for minutes in MINUTES:
        load = Load(minutes=minutes)
        say(f"{load.events:,} events wait")
        peak, looks = _measure(load)
        peaks.append((load.events, peak))
    sys.stdout.write("| events that wait at the start | the worker's most memory, MB |\n|---|---|\n")
    for events, peak in peaks:
        sys.stdout.write(f"| {events:,} | {peak:,.0f} |\n")
    sys.stdout.write("\n| seconds | status: events | status: frames | metric: taken | metric: seconds behind |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    for look in looks:
        waiting = f"{look.waiting_events:,} | {look.waiting_frames:,}"
        sys.stdout.write(f"| {look.at:.0f} | {waiting} | {look.taken:,.0f} | {look.behind_seconds:,.0f} |\n")
    sys.stdout.write("\n")


def _measure(load: Load) -> tuple[float, list[Look]]:
    with broker() as address:
        ground = Ground(address, load.partitions)
        ground.fill(load)
        with ground.worker() as worker, ProcessClock(worker.pid) as clock:
            began = time.time()
            wait_for(worker.is_ready, "the worker to be ready")
            looks = _look_until_judged(ground, worker, load, began)
        ground.remove()
    return clock.most_mb(began, time.time()), looks


def _look_until_judged(ground: Ground, worker: Worker, load: Load, began: float) -> list[Look]:
    looks = [_look(ground, worker, began)]
    with ThreadPoolExecutor(1) as other:
        judged = other.submit(until_judged, ground.kafka, load)
        while not judged.done():
            threading.Event().wait(LOOK_SECONDS)
            looks.append(_look(ground, worker, began))
        judged.result()
    return looks


def _look(ground: Ground, worker: Worker, began: float) -> Look:
    rows = asyncio.run(read_status(ground.kafka))
    lag = {stage: sum(row.lag for row in rows if row.stage == stage) for stage in ("intake usage", "watch")}
    taken, behind = worker.figure("burstwatch_events_taken_total"), worker.figure("burstwatch_watermark_lag_seconds")
    return Look(time.time() - began, lag["intake usage"], lag["watch"], taken, behind)
