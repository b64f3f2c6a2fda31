"""One table of laws that every kind of rule passes, and what each says of its tiny scenario.

``python -m tests.laws.test_rule_laws`` writes the goldens anew.
"""

from __future__ import annotations

import random
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

from detectors.clock import MINUTES_PER_DAY, minute_of
from detectors.events import Alert
from detectors.rules import RULES
from detectors.rules.undeclared_spend import UndeclaredSpend
from tests.laws.rule_scenarios import DAYS, SCENARIOS, build, events, initiative, run
from tests.laws.streams import START, Event, Run, plan, usage_messages

GOLDENS = Path(__file__).resolve().parents[1] / "goldens" / "rules"
every_rule = pytest.mark.parametrize("kind", sorted(RULES))


def test_every_rule_has_a_scenario_and_every_scenario_a_rule() -> None:
    assert SCENARIOS.keys() == RULES.keys()


@every_rule
def test_a_rule_finds_what_it_must_as_one_ticket(kind: str) -> None:
    scenario, alerts = SCENARIOS[kind], run(kind).alerts
    (ticket,) = [a for a in alerts if a.state == "firing"]
    assert ticket.severity == "ticket"
    assert ticket.detector == kind
    assert ticket.scope.items() >= scenario.scope.items()
    assert 0 < minute_of(ticket.time) - START - scenario.found_minutes <= scenario.within_minutes
    ends = [a for a in alerts if a.state == "resolved"]
    assert [a.resolved_because for a in ends] == (["it is no longer so"] if scenario.ends_minutes else [])


@every_rule
def test_a_rule_says_what_its_golden_says(kind: str) -> None:
    assert words(kind) == (GOLDENS / f"{kind}.txt").read_text("utf-8")


def words(kind: str) -> str:
    """Every alert of the scenario: when, state, sentence, what to do."""
    lines = [f"# {kind}: day and time of day, state, sentence, what to do, numbers"]
    for alert in run(kind).alerts:
        numbers = ", ".join(f"{name} {value:.2f}" for name, value in alert.numbers.items())
        lines.append(f"{alert.time:%d %H:%M} {alert.state}: {alert.reason}\n  {alert.suggested_action}\n  {numbers}")
    return "\n".join(lines) + "\n"


@every_rule
def test_it_pages_only_where_it_is_told_to_and_never_from_the_page_budget(kind: str) -> None:
    loud = msgspec.structs.replace(build(kind), severity="page")
    ended = run(kind, rules=(loud,))
    assert [a.severity for a in ended.alerts if a.state == "firing"] == ["page"]
    assert ended.rates.realised == 0


@every_rule
def test_two_of_a_kind_with_other_settings_run_side_by_side_and_none_that_is_off_speaks(kind: str) -> None:
    one, two = build(kind), msgspec.structs.replace(build(kind), name="second", severity="info")
    both = run(kind, rules=(one, two)).alerts
    assert {(a.detector, a.severity) for a in both} == {(kind, "ticket"), ("second", "info")}
    assert [a for a in both if a.detector == kind] == run(kind).alerts
    assert run(kind, rules=()).alerts == []


@every_rule
def test_neither_restarts_nor_shards_nor_the_order_within_a_minute_change_its_words(kind: str) -> None:
    rows, order = events(SCENARIOS[kind]), random.Random(1)
    shuffled: list[Event] = []
    for _, group in groupby(rows, key=lambda event: event["time"]):
        shuffled += order.sample(same := list(group), len(same))
    restarted = Run(plan(shards=2, detectors=(), rules=(build(kind),), initiatives=SCENARIOS[kind].initiatives))
    for start in range(0, len(rows), 500):
        restarted.feed(usage_messages(rows[start : start + 500], first_offset=start))
        restarted.restart()
    told = run(kind).told
    assert restarted.end(START + DAYS * MINUTES_PER_DAY).told == told
    assert run(kind, shards=1).told == told
    assert run(kind, usage=shuffled).told == told


@every_rule
def test_what_comes_later_never_changes_what_it_said_before(kind: str) -> None:
    rows = events(SCENARIOS[kind])
    cut = len(rows) * 5 // 6
    other = [{**event, "cost_usd": 50.0, "requests": 7, "service": "else"} for event in rows[cut:]]
    changed = run(kind, usage=[*rows[:cut], *other])
    assert until(changed.alerts, rows[cut]["time"]) == until(run(kind).alerts, rows[cut]["time"])


def until(alerts: list[Alert], stamp: str) -> list[Alert]:
    return [alert for alert in alerts if alert.time.isoformat() < stamp]


@every_rule
def test_what_it_remembers_is_bounded(kind: str) -> None:
    sizes = []
    for days in (30, 60):
        started = Run(plan(shards=1, detectors=(), rules=(build(kind),), initiatives=SCENARIOS[kind].initiatives))
        started.feed(usage_messages([e for e in events(SCENARIOS[kind], days) if "T00:" in e["time"]]))
        sizes.append(started.end(START + days * MINUTES_PER_DAY).rule_bytes)
    assert sizes[1] <= sizes[0] * 1.4


@every_rule
def test_an_unknown_key_of_its_entry_is_refused_by_name(kind: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `severty`"):
        msgspec.convert({"severty": "page"}, RULES[kind])


def test_an_organisation_that_declares_nothing_never_hears_of_undeclared_spend() -> None:
    started = Run(plan(shards=1, detectors=(), rules=(UndeclaredSpend(),)))
    started.feed(usage_messages(events(SCENARIOS["undeclared_spend"])))
    assert started.end(START + DAYS * MINUTES_PER_DAY).alerts == []


def test_a_gap_of_everybody_is_nobodys_silence() -> None:
    rows = [e for e in events(SCENARIOS["source_silent"]) if not "2026-03-05T08" <= e["time"] < "2026-03-05T20"]
    gone = [e for e in rows if e["time"] < "2026-03-06"]
    assert run("source_silent", usage=gone).alerts == []


def test_an_experiment_that_becomes_production_says_so() -> None:
    turned = [
        {**e, "environment": "production"} if e["time"] >= "2026-03-05" else e
        for e in events(SCENARIOS["experiment_expired"])
    ]
    started = Run(plan(shards=1, detectors=(), rules=(build("experiment_expired"),), initiatives=(initiative(),)))
    started.feed(usage_messages(turned))
    (ticket,) = [a for a in started.end(START + DAYS * MINUTES_PER_DAY).alerts if a.state == "firing"]
    assert "has become production" in ticket.reason


if __name__ == "__main__":
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for each in sorted(RULES):
        (GOLDENS / f"{each}.txt").write_text(words(each), "utf-8")
