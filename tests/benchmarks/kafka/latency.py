"""From event to page at half of full load: an event is sent, its minute closes, a webhook is told.

Event time runs faster than the clock, so that a run has many minutes: a minute is over when the last raw partition
shows a later one.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing

import msgspec
import numpy as np

from detectors.clock import minute_of, parse_minute
from detectors.events import Alert
from tests.benchmarks.kafka.ground import Ground, broker
from tests.benchmarks.kafka.judged import until_judged
from tests.benchmarks.kafka.load import Load
from tests.benchmarks.kafka.throughput import ours
from tests.benchmarks.places import say
from tests.faults.receiver import Receiver
from tests.kafka.reading import Record, read, wait_for

SECONDS = 60
ALERT_EVERY_MINUTES = 2
_TIME = b'"time":"'
_HERE = "127.0.0.1"

_ROUTES = """
receivers: {hook: {type: webhook, url_env: HOOK}}
default: [hook]
digest: {after_minutes: null}
"""
"""Event time is no time of the clock here: no alert is of the past."""


class Arrivals:
    """When each word of an alert arrived at a webhook (Unix seconds), by its key."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self._at: list[float] = []
        self.receiver.on_post = lambda _: self._at.append(time.time())

    def of(self, alert: Alert) -> float:
        """Return when a word of an alert arrived."""
        keys = [key for key, _ in self.receiver.told()]
        return self._at[keys.index(f"{alert.alert_id}/{alert.sequence}")]


def main(words: list[str]) -> None:
    """Measure and print; a word gives the events a second instead of half of what was measured."""
    with broker() as address:
        rate = float(words[0]) if words else _full_rate(address) / 2
        load = Load(alert_every_minutes=ALERT_EVERY_MINUTES)
        load = msgspec.structs.replace(load, minutes=max(int(rate * SECONDS / load.events_a_minute), 10))
        sent, closed = _measure(address, load, rate)
    sys.stdout.write(f"{rate:,.0f} events a second for {load.events / rate:.0f} s, {len(sent)} alerts\n\n")
    sys.stdout.write("| seconds until the webhook is told | median | p99 |\n|---|---|---|\n")
    for what, seconds in (("from the event", sent), ("from the minute's close", closed)):
        sys.stdout.write(f"| {what} | {np.median(seconds):.2f} | {np.quantile(seconds, 0.99):.2f} |\n")
    sys.stdout.write("\n")


def _full_rate(address: str) -> float:
    ground, load = Ground(address, Load().partitions), Load()
    say("Full load")
    ground.fill(load)
    pace, _ = ours(ground, load)
    ground.remove()
    return pace.rate


def _measure(address: str, load: Load, rate: float) -> tuple[list[float], list[float]]:
    """Return, for each alert, the seconds since its event was sent, and since its minute closed."""
    arrivals = Arrivals()
    ground = Ground(address, load.partitions)
    (ground.folder / "routes.yaml").write_text(_ROUTES)
    with closing(arrivals.receiver) as hook, ground.worker(HOOK=hook.url, NO_PROXY=_HERE, no_proxy=_HERE) as worker:
        worker.wait_until_ready()
        say(f"Half load: {rate:,.0f} events a second")
        filling = ground.filling(load.file(), rate)
        until_judged(ground.kafka, load)
        filling.wait()
        alerts = read(ground.kafka, "alerts")
        wait_for(lambda: len(hook.told()) >= len(alerts), "the webhook to be told of everything")
    shown = _shown_by_partition(read(ground.kafka, "usage"))
    sent, closed = [], []
    for record in alerts:
        alert = msgspec.json.decode(record.value, type=Alert)
        if alert.state == "firing" and alert.detector == "unpriced_model":
            minute, arrived = minute_of(alert.time), arrivals.of(alert)
            sent.append(arrived - min(minutes[minute] for minutes in shown if minute in minutes))
            closed.append(arrived - max(_first_after(minutes, minute) for minutes in shown))
    ground.remove()
    return sent, closed


def _shown_by_partition(usage: list[Record]) -> list[dict[int, float]]:
    """When each raw partition first showed each minute (Unix seconds)."""
    shown: dict[int, dict[bytes, float]] = {}
    for record in usage:
        at = record.value.index(_TIME) + len(_TIME)
        shown.setdefault(record.partition, {}).setdefault(record.value[at : at + 20], record.timestamp / 1000)
    return [{parse_minute(stamp.decode()): at for stamp, at in minutes.items()} for minutes in shown.values()]


def _first_after(shown: dict[int, float], minute: int) -> float:
    return min(at for later, at in shown.items() if later > minute)
