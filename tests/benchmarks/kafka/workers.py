"""Two workers against one: the same topic, full before they begin."""

from __future__ import annotations

import os
import statistics
import sys
from contextlib import ExitStack

import msgspec

from tests.benchmarks.kafka.ground import Ground, broker
from tests.benchmarks.kafka.judged import first_taken, until_judged
from tests.benchmarks.kafka.load import Load
from tests.benchmarks.kafka.process import ProcessClock
from tests.benchmarks.places import say
from tests.kafka.reading import wait_for

RUNS = 3


class Together(msgspec.Struct, frozen=True):
    """What some workers did together: events and processor seconds, each by the second."""

    rate: float
    cores: float
    cpu_seconds_a_million: float


def main(words: list[str]) -> None:
    """Measure and print."""
    load = Load()
    seen: dict[int, list[Together]] = {1: [], 2: []}
    for run in range(RUNS):
        for workers, paces in seen.items():
            say(f"Run {run + 1}: {workers} at work")
            with broker() as address:
                paces.append(_measure(address, load, workers))
    sys.stdout.write(f"{load.events:,} single events, {os.cpu_count()} cores; medians of {RUNS} runs\n\n")
    sys.stdout.write(
        "| workers | events a second | cores they had | processor seconds a million |\n|---|---|---|---|\n"
    )
    medians = {workers: _median(paces) for workers, paces in seen.items()}
    for workers, pace in medians.items():
        line = f"| {workers} | {pace.rate:,.0f} | {pace.cores:.2f} | {pace.cpu_seconds_a_million:.1f} |\n"
        sys.stdout.write(line)
    gained, cores = medians[2].rate / medians[1].rate, medians[2].cores / medians[1].cores
    sys.stdout.write(f"\nTwo do {gained:.2f} times what one does, on {cores:.2f} times the cores.\n\n")


def _median(paces: list[Together]) -> Together:
    return Together(*map(statistics.median, zip(*map(msgspec.structs.astuple, paces), strict=True)))


def _measure(address: str, load: Load, workers: int) -> Together:
    """Let workers judge what is on the topic, from when all of them hold their partitions."""
    ground = Ground(address, load.partitions)
    with ExitStack() as stack:
        running = [stack.enter_context(ground.worker(f"worker-{number}")) for number in range(workers)]
        wait_for(lambda: all(worker.is_ready() for worker in running), "all to be ready")
        clocks = [stack.enter_context(ProcessClock(worker.pid)) for worker in running]
        ground.fill(load)
        last = until_judged(ground.kafka, load)
    first = first_taken(ground.kafka)
    ground.remove()
    cpu = sum(clock.cpu_seconds(first, last) for clock in clocks)
    return Together(load.events / (last - first), cpu / (last - first), cpu / load.events * 1e6)
