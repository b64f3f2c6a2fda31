"""Scoring alone: frames of many services through watch and incidents, all shipped detectors on.

Counted are active series-minutes: a service, its principal and its model are a series each, as the shipped views have
it. The peer does the least that could be called detection: a rolling z of dollars for each of the same series.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from detectors.frame import (
    CACHED,
    COST,
    ERRORS,
    INPUT,
    LIST,
    LIST_INPUT,
    LIST_UNCACHED,
    MEASURES,
    OUTPUT,
    REQUESTS,
    Frame,
    Key,
    Labels,
)  # fmt: skip
from streams.app import build_stages, plan_of
from streams.configuration.catalogue import build_prices
from streams.configuration.settings import load
from tests.benchmarks.clocked import rates
from tests.benchmarks.places import ROOT

SERVICES, WARM_MINUTES, MINUTES = (100, 1_000, 10_000), 30, 60
SERIES_A_SERVICE = 3
START_MINUTE = 29_846_880  # 2026-10-01


def main(words: list[str]) -> None:
    """Measure and print."""
    for services in [int(word) for word in words] or SERVICES:
        frames = [frame_of(services, minute) for minute in range(WARM_MINUTES + MINUTES + 1)]
        watch, incidents = _ours(frames)
        judged = SERIES_A_SERVICE * services * MINUTES
        peer = _rolling_z(frames)
        table = [
            ("watch and incidents", judged, watch + incidents),
            ("watch", judged, watch),
            ("incidents", judged, incidents),
            ("rolling z of dollars", judged, peer),
        ]
        sys.stdout.write(f"{services * SERIES_A_SERVICE:,} series, all active each minute; {MINUTES} minutes\n\n")
        sys.stdout.write(rates(table, "active series-minutes") + "\n\n")
        sys.stdout.flush()


def _keys(services: int) -> list[Key]:
    return [
        (f"team-{n % 50}", f"svc-{n}", "production", "", f"svc-{n}/api", "openai", f"model-{n % 20}", "gateway")
        for n in range(services)
    ]


def frame_of(services: int, minute: int) -> Frame:
    """Every service's minute: requests by chance, tokens in proportion, nothing wrong with it."""
    draw = np.random.default_rng(minute)
    requests = draw.poisson(20, services) + 1
    values = np.zeros((len(MEASURES), services), np.int64)
    values[REQUESTS], values[ERRORS] = requests, draw.binomial(requests, 0.01)
    values[INPUT] = requests * draw.normal(2000, 100, services)
    values[CACHED], values[OUTPUT] = values[INPUT] * 0.3, requests * draw.normal(300, 20, services)
    values[LIST_UNCACHED] = values[INPUT] * 150
    values[LIST_INPUT] = values[INPUT] * 150 - values[CACHED] * 75
    values[LIST] = values[LIST_INPUT] + values[OUTPUT] * 600
    values[COST] = values[LIST]
    at = np.full(services, START_MINUTE + minute, np.int32)
    rows = np.arange(services)
    identity = draw.integers(0, 2**63, services).astype(np.uint64)
    offset = (minute * services + rows).astype(np.int64)
    first, last = int(offset[0]), int(offset[-1])
    key = rows.astype(np.int32)
    return Frame(0, first, last, int(at[0]), Labels.of_keys(_keys(services)), key, offset, at, at, identity, values, [])


def _ours(frames: list[Frame]) -> tuple[float, float]:
    """Return the processor seconds of both stages, without the minutes in which they warm up."""
    settings = load(ROOT / "config")
    stages = build_stages(plan_of(settings, shards=1), build_prices(settings.prices))
    watch, incidents = stages.watches[0], stages.incidents
    watching, pooling = watch.start(), incidents.start()
    used = [0.0, 0.0]
    for number, frame in enumerate(frames):
        began = time.process_time()
        watching, reports = watch.step(watching, frame)
        watched = time.process_time()
        for report in reports:
            pooling, _ = incidents.step(pooling, report)
        if number > WARM_MINUTES:
            used[0] += watched - began
            used[1] += time.process_time() - watched
    return used[0], used[1]


def _rolling_z(frames: list[Frame]) -> float:
    """Return the processor seconds of sums by series and an exponentially weighted z of each."""
    services = len(frames[0])
    mean, spread = np.zeros((SERIES_A_SERVICE, services)), np.ones((SERIES_A_SERVICE, services))
    began = time.process_time()
    for frame in frames[WARM_MINUTES + 1 :]:
        for view in range(SERIES_A_SERVICE):
            spent = np.bincount(frame.key, frame.values[COST], services)
            off = spent - mean[view]
            odd = np.abs(off) > 6 * np.sqrt(spread[view])
            mean[view] += 0.01 * np.where(odd, 0.0, off)
            spread[view] += 0.01 * (off**2 - spread[view])
    return time.process_time() - began
