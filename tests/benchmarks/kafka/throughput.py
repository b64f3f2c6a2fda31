"""Events a second from Kafka to verdict, one worker with all shipped detectors, beside other engines that only sum.

The topic is full before anybody begins, and all read the same bytes. Ours is from the first message that the worker
takes to the alert of the last minute; theirs from the first event to the last sum.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys

import msgspec

from tests.benchmarks.kafka.ground import PEERS, Ground, broker
from tests.benchmarks.kafka.judged import first_taken, until_judged
from tests.benchmarks.kafka.load import Load
from tests.benchmarks.kafka.process import ProcessClock
from tests.benchmarks.places import ROOT, peers_python, say

LOADS = ((1, "single events"), (100, "arrays of 100 events"))
RUNS = 3
PEER_SECONDS = 600


class Peer(msgspec.Struct, frozen=True):
    """An engine in an environment of its own, and the script that runs there."""

    title: str
    environment: str
    packages: tuple[str, ...]
    script: str


LIBRDKAFKA = Peer("librdkafka and orjson, a tuned loop", "librdkafka", ("confluent-kafka", "orjson"), "librdkafka_loop")
ENGINES = (
    Peer("quix-streams", "quix-streams", ("quixstreams",), "quix_streams"),
    Peer("bytewax", "bytewax", ("bytewax[kafka]", "orjson"), "bytewax_flow"),
    Peer("kafka-python and json, a plain loop", "kafka-python", ("kafka-python",), "kafka_python_loop"),
    LIBRDKAFKA,
)


class Pace(msgspec.Struct, frozen=True):
    """Seconds by the clock and of processors, for so many events."""

    events: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def main(words: list[str]) -> None:
    """Measure and print; words may name how many events are in a message, and ``alone`` leaves the peers out."""
    wanted = {int(word) for word in words if word.isdigit()} or {at_once for at_once, _ in LOADS}
    load = Load()
    engines = () if "alone" in words else tuple(filter(_installs, ENGINES))
    for at_once, what in LOADS:
        if at_once in wanted:
            size = sum(map(len, load.file().read_bytes()[:4_000_000].splitlines()[:10_000])) / 10_000 - 2
            sys.stdout.write(f"{load.events:,} events of {size:.0f} bytes, {what}; {load.minutes} minutes, ")
            sys.stdout.write(f"{load.series} series; medians of {RUNS} runs\n\n")
            sys.stdout.write(_table(*_measure(load, at_once, engines)) + "\n\n")
            sys.stdout.flush()


def _installs(peer: Peer) -> bool:
    try:
        peers_python(peer.environment, list(peer.packages))
    except subprocess.CalledProcessError:
        sys.stdout.write(f"{peer.title} is left out: it does not install on Python {platform.python_version()}.\n\n")
        return False
    return True


def _measure(load: Load, at_once: int, engines: tuple[Peer, ...]) -> tuple[dict[str, list[Pace]], float]:
    """Run them in turn, so that all meet the same neighbours; return the paces of each and our peak memory."""
    paces: dict[str, list[Pace]] = {}
    peak = 0.0
    for run in range(RUNS):
        with broker() as address:
            ground = Ground(address, load.partitions)
            ground.fill(load, at_once)
            say(f"Run {run + 1}: Burstwatch")
            pace, mb = ours(ground, load)
            paces.setdefault("Burstwatch", []).append(pace)
            peak = max(peak, mb)
            for peer in engines:
                say(f"Run {run + 1}: {peer.title}")
                paces.setdefault(peer.title, []).append(_theirs(peer, ground, load))
            ground.remove()
    return paces, peak


def ours(ground: Ground, load: Load) -> tuple[Pace, float]:
    """Let one worker judge what is on the topic; return its pace and the most memory it held."""
    with ground.worker() as worker, ProcessClock(worker.pid) as clock:
        last = until_judged(ground.kafka, load)
    first = first_taken(ground.kafka)
    return Pace(load.events, last - first, clock.cpu_seconds(first, last)), clock.most_mb(first, last)


def _theirs(peer: Peer, ground: Ground, load: Load) -> Pace:
    python = peers_python(peer.environment, list(peer.packages))
    command = [python, PEERS / f"{peer.script}.py", ground.kafka.brokers, ground.usage, load.partitions, load.events]
    done = subprocess.run(
        list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, timeout=PEER_SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["events"] == load.events, f"{peer.title} counted {measured['events']} of {load.events}"
    return Pace(load.events, measured["seconds"], measured["cpu_seconds"])


def _table(paces: dict[str, list[Pace]], peak: float) -> str:
    own = paces["Burstwatch"]
    lines = [
        "| | events a second | processor seconds a million | Burstwatch is, by the clock | by processor |",
        "|---|---|---|---|---|",
    ]
    for who, theirs in paces.items():
        clock = statistics.median(mine.rate / pace.rate for mine, pace in zip(own, theirs, strict=True))
        cpu = statistics.median(pace.cpu_seconds / mine.cpu_seconds for mine, pace in zip(own, theirs, strict=True))
        rate = statistics.median(pace.rate for pace in theirs)
        seconds = statistics.median(pace.cpu_seconds / pace.events for pace in theirs) * 1e6
        lines.append(f"| {who} | {rate:,.0f} | {seconds:.1f} | {clock:.2f} times | {cpu:.2f} times |")
    return "\n".join(lines) + f"\n\nBurstwatch held {peak:,.0f} MB at most."
