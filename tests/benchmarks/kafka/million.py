"""A million series in one worker: all are seen in one minute; then a tenth is active in each, another each time.

A minute is sent whole once the one before it is judged. From then until its alert can be read is what is measured:
reading it from Kafka, judging a hundred thousand series, two stages' transactions, and any checkpoint that falls in it.
"""

from __future__ import annotations

import statistics
import sys
import time

import msgspec

from tests.benchmarks.kafka.ground import Ground, broker
from tests.benchmarks.kafka.judged import until_judged
from tests.benchmarks.kafka.load import Load
from tests.benchmarks.kafka.process import ProcessClock
from tests.benchmarks.places import say

SERIES = 1_000_000
MINUTES, ACTIVE_ONE_IN = 12, 10
_SERIES_A_SERVICE = 4


def main(words: list[str]) -> None:
    """Measure and print; a word gives the number of series."""
    series = int(words[0]) if words else SERIES
    load = Load(minutes=1, services=series // _SERIES_A_SERVICE, principals=2, gateways=1)
    with broker() as address:
        ground = Ground(address, load.partitions)
        first_mb, later_mb, seconds = _measure(ground, load)
        ground.remove()
    sys.stdout.write(f"{load.series:,} series, {load.series // ACTIVE_ONE_IN:,} of them active a minute\n\n")
    sys.stdout.write("| | |\n|---|---|\n")
    sys.stdout.write(f"| most memory, the minute in which all appear, MB | {first_mb:,.0f} |\n")
    sys.stdout.write(f"| most memory in the {MINUTES} minutes after it, MB | {later_mb:,.0f} |\n")
    sys.stdout.write(f"| seconds until a minute is judged, median | {statistics.median(seconds):.1f} |\n")
    sys.stdout.write(f"| the longest | {max(seconds):.1f} |\n\n")


def _measure(ground: Ground, load: Load) -> tuple[float, float, list[float]]:
    say(f"{load.series:,} series appear")
    ground.fill(load)
    with ground.worker() as worker, ProcessClock(worker.pid) as clock:
        began = time.time()
        appeared = until_judged(ground.kafka, load)
        seconds = []
        for minute in range(MINUTES):
            later = _tenth(load, minute)
            say(f"Minute {minute + 1} of {MINUTES}")
            ground.fill(later)
            sent = time.time()
            seconds.append(until_judged(ground.kafka, later) - sent)
        ended = time.time()
    return clock.most_mb(began, appeared), clock.most_mb(appeared, ended), seconds


def _tenth(load: Load, minute: int) -> Load:
    """One more minute, after those before, in which other services are active."""
    return msgspec.structs.replace(
        load, start=load.after(4 + 4 * minute), closed_by=minute + 1, active_first=minute % ACTIVE_ONE_IN,
        active_one_in=ACTIVE_ONE_IN,
    )  # fmt: skip
