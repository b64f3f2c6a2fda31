"""What must come out, computed from the raw topic: the sums by a plain piece of Python, the alerts by one process.

Nothing here shares code with the worker but the stages themselves; the sums do not even share those.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from detectors.intake.raw import RawMessage
from detectors.state import codec
from detectors.watch.reports import MinuteReport, SeriesReport
from streams.app import build_stages, plan_of
from streams.configuration.catalogue import build_prices
from streams.configuration.kafka_settings import KafkaSettings
from streams.configuration.settings import load
from streams.pipeline import Pipeline
from tests.faults.workload import SERVICES
from tests.kafka.reading import Record, read

Sums = dict[tuple[str, str], Counter[str]]
"""Requests, tokens and nano-dollars by day and service."""

COUNTED = ("requests", "input_tokens", "output_tokens")


class Expected(msgspec.Struct, frozen=True):
    """What an undisturbed run gives: sums, repeats, what each shard reported of each minute, and the alerts."""

    sums: Sums
    duplicates: int
    reports: dict[tuple[int, int], bytes]
    alerts: list[bytes]


def expected(settings: KafkaSettings, config: Path) -> Expected:
    """Compute what must come out of what is on the raw topic."""
    raw = read(settings, "usage")
    reports, alerts = _by_one_process(raw, config)
    return Expected(*sums_of_raw(raw), reports, alerts)


def sums_of_raw(raw: list[Record]) -> tuple[Sums, int]:
    """Add up the raw events, each (source, id) once; return how many came again. The sentinels' minute never closes."""
    sums: Sums = {}
    known: set[tuple[str, str]] = set()
    again = 0
    for record in raw:
        event = json.loads(record.value or b"")
        identity = event["source"], event["id"]
        again += identity in known
        if identity in known or event["service"] not in SERVICES:
            continue
        known.add(identity)
        place = sums.setdefault((event["time"][:10], event["service"]), Counter())
        place.update({name: event[name] for name in COUNTED})
        place["nano"] += int(Decimal(str(event["cost_usd"] or 0)) * 10**9)
    return sums, again


def _by_one_process(raw: list[Record], config: Path) -> tuple[dict[tuple[int, int], bytes], list[bytes]]:
    loaded = load(config)
    plan = plan_of(loaded, raw_partitions=loaded.kafka.usage_partitions)
    pipeline = Pipeline(build_stages(plan, build_prices(loaded.prices)))
    reports: list[MinuteReport] = []
    alerts: list[bytes] = []
    messages = [RawMessage("usage", record.partition, record.offset, record.value or b"") for record in raw]
    for _, of_partition in groupby(messages, key=lambda message: message.partition):
        passed = pipeline.feed(list(of_partition))
        reports += passed.reports
        alerts += [msgspec.json.encode(alert) for alert in passed.alerts]
    return content_of(reports), alerts


def content_of(reports: list[MinuteReport]) -> dict[tuple[int, int], bytes]:
    """What reports say, by shard and minute: without what depends on how raw partitions interleaved.

    Raises
    ------
    AssertionError
        If a shard reported a minute twice.
    """
    said: dict[tuple[int, int], bytes] = {}
    for report in reports:
        if report.report is None and not report.deployments:
            continue
        place = report.shard, report.minute
        assert place not in said, f"minute {report.minute} of shard {report.shard} was reported twice"
        said[place] = codec.encode([_named(report.report), _spend_by_label(report), report.deployments])
    return said


def _named(report: SeriesReport | None) -> SeriesReport | None:
    """A report without the series' numbers, which follow the order of appearance; their names stay."""
    if report is None:
        return None
    seen = report.seen.residuals
    residuals = replace(seen, series=np.zeros_like(seen.series), whole=np.zeros_like(seen.whole))
    return replace(report, seen=replace(report.seen, residuals=residuals))


def _spend_by_label(report: MinuteReport) -> list[tuple[tuple[str, ...], int, list[int]]]:
    spend = report.spend
    if spend is None:
        return []
    rows = zip(spend.key.tolist(), spend.minute.tolist(), spend.values.T.tolist(), strict=True)
    return sorted((spend.keys[key], minute, values) for key, minute, values in rows)
