"""A tiny scenario for each kind of rule: what is usual, and what it must find. A kind without one fails its laws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from detectors.clock import MINUTES_PER_DAY, moment_of
from detectors.events import Initiative
from detectors.rules import RULES
from detectors.rules.rule import Rule
from tests.laws.streams import START, Event, Run, plan, usage_messages

EVERY = 10
DAYS = 6


def initiative(**changes: object) -> Initiative:
    """A declared experiment of the service bot."""
    given = {
        "id": "try-it", "team": "support", "owner": "ada", "approver": "grace", "intent": "experiment",
        "stage": "explore", "outcome": "learned", "match": {"service": "bot"}, **changes,
    }  # fmt: skip
    return msgspec.convert(given, Initiative)


SEARCH = initiative(id="search", match={"service": "search"}, intent="production")


@dataclass(frozen=True)
class RuleScenario:
    """What happens, minute by minute; the rule must be silent before ``found_minutes`` and speak soon after."""

    initiatives: tuple[Initiative, ...]
    rows: Callable[[int], Iterator[Event]]
    found_minutes: int
    scope: dict[str, str]
    within_minutes: int = 240
    ends_minutes: int = 0
    """From when on it is no longer so; 0 where it goes on to the end."""


def row(service: str, usd: float = 0.02, requests: int = 20, **labels: str) -> Event:
    """What a service does in ten minutes."""
    given = {"source": f"gateway-of-{service}", "team": "support", "model": "large", "environment": "production"}
    return {**given, "service": service, "requests": requests, "cost_usd": usd, **labels}


def silent_bot(at: int) -> Iterator[Event]:
    """Two steady services, of which one is silent for five hours of the fifth day."""
    yield row("search")
    if not 4 * MINUTES_PER_DAY <= at < 4 * MINUTES_PER_DAY + 300:
        yield row("bot")


def new_service(at: int) -> Iterator[Event]:
    """A service that nobody declared comes on the fourth day and costs 14 dollars a day."""
    yield row("search")
    if at >= 3 * MINUTES_PER_DAY:
        yield row("newcomer", usd=0.1)


def dear_bot(at: int) -> Iterator[Event]:
    """An experiment of 3 dollars a day that costs ten times as much from the fourth day on."""
    yield row("search")
    yield row("bot", usd=0.02 if at < 3 * MINUTES_PER_DAY else 0.2, environment="experiment")


def steady_bot(at: int) -> Iterator[Event]:
    """An experiment that goes on and on."""
    yield row("search")
    yield row("bot", environment="experiment")


SCENARIOS: dict[str, RuleScenario] = {
    "source_silent": RuleScenario(
        (), silent_bot, 4 * MINUTES_PER_DAY, {"source": "gateway-of-bot"}, ends_minutes=4 * MINUTES_PER_DAY + 300
    ),
    "undeclared_spend": RuleScenario(
        (SEARCH,), new_service, 3 * MINUTES_PER_DAY, {"service": "newcomer"}, within_minutes=18 * 60
    ),
    "experiment_over_ceiling": RuleScenario(
        (SEARCH, initiative(monthly_budget_usd=120)), dear_bot, 3 * MINUTES_PER_DAY,
        {"service": "bot", "initiative": "try-it"}, within_minutes=2 * MINUTES_PER_DAY,
    ),
    "experiment_expired": RuleScenario(
        (SEARCH, initiative(expires=moment_of(START + 3 * MINUTES_PER_DAY) + timedelta(0))), steady_bot,
        3 * MINUTES_PER_DAY, {"service": "bot", "initiative": "try-it"},
    ),
}  # fmt: skip


def build(kind: str) -> Rule:
    """A rule as shipped, but that hears of ten-minute rows."""
    changes = {"source_silent": {"least_minutes": 6}}.get(kind, {})
    return msgspec.convert(changes, RULES[kind])


def events(scenario: RuleScenario, days: int = DAYS) -> list[Event]:
    """All rows of a scenario, in order."""
    return [
        {**content, "id": f"{at}/{n}", "time": moment_of(START + at).isoformat()}
        for at in range(0, days * MINUTES_PER_DAY, EVERY)
        for n, content in enumerate(scenario.rows(at))
    ]


def run(kind: str, rules: tuple[Rule, ...] | None = None, usage: list[Event] | None = None, shards: int = 2) -> Run:
    """The stages over a scenario, with no detector but the rule."""
    scenario = SCENARIOS[kind]
    started = Run(
        plan(shards=shards, detectors=(), rules=(build(kind),) if rules is None else rules,
             initiatives=scenario.initiatives)
    )  # fmt: skip
    rows = events(scenario) if usage is None else usage
    started.feed(usage_messages(rows))
    return started.end(START + DAYS * MINUTES_PER_DAY)
