"""``make bench``: the benchmarks by name; without a name all, those that need a broker where one can be started."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

from streams.memory import tune_memory
from tests.broker.broker import BrokerMissingError, brokers_named, require_java_and_maven

BENCHMARKS = {
    "forest": ("tests.benchmarks.forest", "the isolation forest on a batch; peer: scikit-learn"),
    "intake": ("tests.benchmarks.intake", "events decoded, checked, priced, framed; peer: orjson and a loop"),
    "scoring": ("tests.benchmarks.scoring", "active series-minutes a second; peer: a rolling z"),
    "series": ("tests.benchmarks.series", "seconds a minute, memory and state against the number of series"),
    "score": ("tests.benchmarks.score.command", "how well one metric's incidents rank, by family; six peers"),
    "replay": (
        "tests.benchmarks.replay",
        "one world through `burstwatch replay`: wall, memory; peer: orjson and a loop",
    ),
    "incidents": ("tests.benchmarks.incidents.command", "incidents found, minutes, false pages; with peers"),
}
"""By name: the module whose ``main(words)`` measures and prints, and what it measures."""

BENCHMARKS_WITH_A_BROKER = {
    "kafka": ("tests.benchmarks.kafka.throughput", "events a second from Kafka to verdict; four peers that only sum"),
    "latency": ("tests.benchmarks.kafka.latency", "seconds from an event to its page, at half of full load"),
    "recovery": ("tests.benchmarks.kafka.recovery", "seconds until a killed worker with 100,000 series is back"),
    "million": ("tests.benchmarks.kafka.million", "a million series in one worker: memory, seconds to judge a minute"),
    "workers": ("tests.benchmarks.kafka.workers", "two workers against one"),
    "backpressure": ("tests.benchmarks.kafka.backpressure", "a flood: memory of a worker, and what is seen of it"),
}
"""The same for those that start Apache Kafka."""


def main(words: list[str]) -> None:
    """Run one benchmark with its arguments, or all of them."""
    tune_memory()  # as every command does
    every = {**BENCHMARKS, **BENCHMARKS_WITH_A_BROKER}
    if words and words[0] in every:
        import_module(every[words[0]][0]).main(words[1:])
    elif words:
        named = "\n".join(f"  {name:12} {what}" for name, (_, what) in every.items())
        raise SystemExit(f"no benchmark is called {words[0]}; there are\n{named}")
    else:
        for name, (_, what) in (every if _has_broker() else BENCHMARKS).items():
            sys.stdout.write(f"# {name}: {what}\n\n")
            sys.stdout.flush()
            # In a process of its own: what is started from a large one is said to have been as large.
            subprocess.run([sys.executable, "-m", "tests.benchmarks", name], check=True)


def _has_broker() -> bool:
    if brokers_named():
        return True
    try:
        require_java_and_maven()
    except BrokerMissingError as missing:
        sys.stdout.write(f"Left out: {', '.join(BENCHMARKS_WITH_A_BROKER)}. {missing}\n\n")
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
