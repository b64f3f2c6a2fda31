"""Back after kill -9: a worker with 100,000 series is killed and started again with a minute waiting for it."""

from __future__ import annotations

import asyncio
import signal
import statistics
import sys
import time

import msgspec

from streams.kafka.status import read_status
from tests.benchmarks.kafka.ground import Ground, broker
from tests.benchmarks.kafka.judged import until_judged
from tests.benchmarks.kafka.load import Load
from tests.benchmarks.places import say
from tests.kafka.reading import wait_for
from tests.kafka.running import Worker

SERIES = 100_000
RUNS = 3
_SERIES_A_SERVICE = 3
_SAVED_SECONDS = 120


class Return(msgspec.Struct, frozen=True):
    """Seconds since a worker was started again: until it holds its state, until it has judged what waited."""

    ready: float
    caught_up: float


def main(words: list[str]) -> None:
    """Measure and print; a word gives the number of series."""
    series = int(words[0]) if words else SERIES
    load = Load(minutes=4, services=series // _SERIES_A_SERVICE, principals=1, gateways=1)
    with broker() as address:
        returns = _measure(address, load)
    sys.stdout.write(f"{load.series:,} series, {_waiting(load, 0).events:,} events waiting; median of {RUNS} kills\n\n")
    sys.stdout.write("| seconds from the start of the process | |\n|---|---|\n")
    for what, seconds in (("ready", [r.ready for r in returns]), ("caught up", [r.caught_up for r in returns])):
        sys.stdout.write(f"| {what} | {statistics.median(seconds):.1f} |\n")
    sys.stdout.write("\n")


def _measure(address: str, load: Load) -> list[Return]:
    ground = Ground(address, load.partitions)
    ground.fill(load)
    with ground.worker() as worker:
        until_judged(ground.kafka, load)
        returns = []
        for run in range(RUNS):
            say(f"Kill {run + 1}")
            returns.append(_kill_and_return(ground, worker, _waiting(load, run)))
    ground.remove()
    return returns


def _waiting(load: Load, run: int) -> Load:
    """One more minute, after those of the runs before."""
    start = load.after(load.minutes + 4 + 4 * run)
    return msgspec.structs.replace(load, minutes=1, start=start, closed_by=run + 1)


def _kill_and_return(ground: Ground, worker: Worker, waiting: Load) -> Return:
    wait_for(lambda: _is_saved(ground), "a checkpoint of every shard", _SAVED_SECONDS)
    worker.send(signal.SIGKILL)
    worker.wait()
    ground.fill(waiting)
    began = time.time()
    worker.start(BURSTWATCH_WORKER=worker.name)
    worker.wait_until_ready()
    ready = time.time()
    judged = until_judged(ground.kafka, waiting)
    return Return(ready - began, judged - began)


def _is_saved(ground: Ground) -> bool:
    shards = [row for row in asyncio.run(read_status(ground.kafka)) if row.stage == "watch"]
    return all(row.lag <= 2 for row in shards)
