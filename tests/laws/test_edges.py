"""What nobody expects of a stream: nothing, one event, a year of silence, a flood of new names, a clock that jumps."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec
import pytest

from detectors.clock import MINUTES_PER_DAY, minute_of, moment_of
from detectors.events import Alert
from detectors.intake.raw import RawMessage
from detectors.kinds.driver_step import DriverStep
from detectors.rules import RULES
from tests.laws.streams import (
    DETECTORS,
    START,
    Event,
    Run,
    deployment_messages,
    end_of,
    plan,
    run,
    stream,
    usage_messages,
)

SAMPLE = Path(__file__).resolve().parents[1] / "sample"
RULEBOOK = tuple(rule() for rule in RULES.values())
DAY = stream()
YEAR_MINUTES = 365 * MINUTES_PER_DAY


def everything(**changes: object) -> Run:
    """The stages with one of each detector and each rule."""
    return Run(msgspec.structs.replace(plan(rules=RULEBOOK), **changes))


def event(minute: int, **changes: object) -> Event:
    given = {"id": f"e{minute}", "source": "s", "service": "bot", "team": "support", "model": "large", "requests": 10}
    return {**given, "time": moment_of(START + minute).isoformat(), "input_tokens": 900, "output_tokens": 99, **changes}


def test_an_empty_organisation_has_nothing_to_say() -> None:
    started = everything()
    started.end(START + MINUTES_PER_DAY)
    assert started.alerts == []
    assert started.rates.realised == 0


@pytest.mark.parametrize("tokens", [0, 900, 10**9])
def test_one_event_is_no_alert(tokens: int) -> None:
    started = everything()
    started.feed(usage_messages([event(0, input_tokens=tokens)]))
    assert started.end(START + 3 * MINUTES_PER_DAY).alerts == []


def test_a_series_of_zeros_is_no_alert() -> None:
    zero = {"requests": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}
    started = everything()
    started.feed(usage_messages([event(minute, **zero) for minute in range(0, 4 * MINUTES_PER_DAY, 10)]))
    assert started.end(START + 4 * MINUTES_PER_DAY).alerts == []


def test_a_year_of_silence_ends_what_was_open_and_begins_nothing() -> None:
    before = run(DAY, plan(rules=RULEBOOK))
    started = everything()
    started.feed(deployment_messages(DAY.deployments))
    started.feed(usage_messages(DAY.usage))
    year = minute_of(moment_of(end_of(DAY))) + YEAR_MINUTES - START
    started.feed(usage_messages([event(year + n) for n in range(20)], first_offset=len(DAY.usage)))
    started.end(START + year + MINUTES_PER_DAY)
    assert started.told[: len(before.told)] == before.told
    states = {alert.alert_id: alert.state for alert in started.alerts}
    assert set(states.values()) == {"resolved"}
    assert {a.state for a in started.alerts[len(before.told) :]} <= {"resolved"}


def test_a_clock_that_jumps_ahead_is_refused_and_one_that_jumps_back_too() -> None:
    started = everything()
    rows = [event(0), event(2 * YEAR_MINUTES, id="ahead"), event(3000, id="next"), event(-3000, id="back")]
    started.feed(usage_messages(rows))
    assert [reject.reason for reject in started.rejects] == ["future_time", "too_old"]
    assert started.end(START + 3001).alerts == []


def test_a_cost_that_is_no_number_is_refused_and_costs_its_neighbours_nothing() -> None:
    costs = (math.nan, math.inf, -1.0)
    bad = [json.dumps(event(5, id=f"bad-{cost}", cost_usd=cost)).encode() for cost in costs]
    hit, clean = everything(), everything()
    hit.feed([RawMessage("usage", 0, n, payload) for n, payload in enumerate(bad)])
    assert [reject.reason for reject in hit.rejects] == ["not_json", "not_json", "out_of_range"]
    for started in (hit, clean):
        started.feed(deployment_messages(DAY.deployments))
        started.feed(usage_messages(DAY.usage, first_offset=len(bad)))
    assert hit.end(end_of(DAY)).told == clean.end(end_of(DAY)).told != []


def test_ten_thousand_new_series_in_a_minute_are_no_storm_of_alerts() -> None:
    """And what was watched before is judged as if they had not come."""
    flood = [
        event(700, id=f"new-{n}", service=f"svc-{n % 2500}", principal=f"key-{n}", source=f"pod-{n % 50}")
        for n in range(10_000)
    ]
    calm = [event(minute) for minute in range(0, 900, 10)]
    rows = sorted([*calm, *flood], key=lambda row: row["time"])
    started = everything()
    started.feed(usage_messages(rows))
    alerts = started.end(START + 900).alerts
    assert [a for a in alerts if a.severity == "page"] == []
    assert len(alerts) < 10


def test_a_detector_that_is_off_does_nothing_and_two_of_a_kind_run_side_by_side() -> None:
    assert run(DAY, plan(detectors=())).alerts == []
    two = (DriverStep(), DriverStep(name="quick", within_minutes=120))
    titles = {alert.detector for alert in run(DAY, plan(detectors=two)).alerts}
    assert titles <= {"driver_step", "quick"} != set()
    assert {d.title for d in DETECTORS} & titles == {"driver_step"}


@cache
def sample(days: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Usage and deployments of the first days of the carried world."""
    with gzip.open(SAMPLE / "usage.ndjson.gz") as lines:
        usage = tuple(line for line in lines if json.loads(line)["time"] < f"2026-10-{days + 1:02}")
    return usage, tuple((SAMPLE / "deployments.ndjson").read_bytes().splitlines())


def go_on(started: Run, usage: Sequence[bytes], first: int) -> Run:
    """The stages over more lines of a world, of which so many came before."""
    for start in range(0, len(usage), 5000):
        some = enumerate(usage[start : start + 5000], first + start)
        started.feed([RawMessage("usage", 0, offset, line) for offset, line in some])
    return started


def minute_in(line: bytes) -> int:
    return minute_of(moment_of(0).fromisoformat(json.loads(line)["time"]))


def until(ended: Run, minute: int) -> list[Alert]:
    return [alert for alert in ended.alerts if minute_of(alert.time) <= minute]


def test_an_alert_of_a_world_never_changes_when_later_events_change() -> None:
    usage, deployments = sample(11)
    cut = len(usage) * 5 // 6
    together = cut - 2500  # so many lines before the cut are in one step with those after it
    minute = minute_in(usage[cut]) - 1
    later = [line.replace(b'"requests":', b'"gpu_seconds":7,"requests":1') for line in usage[cut:]]
    started = everything()
    started.feed([RawMessage("deployments", 0, n, line) for n, line in enumerate(deployments)])
    go_on(started, usage[:together], 0)
    whole, changed, short = (
        go_on(started.copy(), [*usage[together:cut], *rest], together).end(minute_in([*usage[:cut], *rest][-1]))
        for rest in (usage[cut:], later, ())
    )
    assert until(whole, minute) == until(changed, minute) == until(short, minute)
    assert len(until(whole, minute)) > 5
