"""What stands: a page ends when it is over, and not when its baseline has learned that it is usual."""

from __future__ import annotations

import pytest

from detectors.clock import minute_of, moment_of
from detectors.events import Alert
from detectors.intake.prices import NANO
from detectors.kinds.idle_gpu import IdleGpu
from detectors.kinds.retry_storm import RetryStorm
from detectors.watch.standing import BACK_MINUTES, TOLD_EVERY_MINUTES
from tests.laws.streams import (
    NANO_RATES,
    SERVICES,
    START,
    Event,
    Run,
    Stream,
    deployment_messages,
    end_of,
    plan,
    run,
    stream,
    usage_messages,
)
from tests.laws.test_incident_life import STEPS, decided, run_with

ONSET = START + 10 * 60
BURNS_MINUTES = 12 * 60
OVER = ONSET + BURNS_MINUTES
LONG = stream(hours=28, services=SERVICES[:1] + SERVICES[2:], burns_minutes=BURNS_MINUTES)
"""Bot's prompts are four times as long for twelve hours: far longer than the baselines behind its short horizons."""
RESOLVES_MINUTES = plan().incidents.resolve_after_minutes


def words(a_stream: Stream, said: list[Event] | None = None) -> list[Alert]:
    """All that is told of the first page."""
    alerts = run_with(a_stream, said or [], plan(detectors=STEPS)).alerts
    page = next(alert for alert in alerts if alert.severity == "page")
    return [alert for alert in alerts if alert.alert_id == page.alert_id]


def is_bots(event: Event, first: int, end: int) -> bool:
    """Whether an event is bot's, of some minutes."""
    return event["service"] == "bot" and first <= int(event["id"].rpartition("/")[2]) < end


@pytest.fixture(scope="module")
def told() -> list[Alert]:
    return words(LONG)


def test_a_page_ends_when_it_is_over(told: list[Alert]) -> None:
    *_, last = told
    assert [alert.state for alert in told].count("resolved") == 1
    assert last.state == "resolved"
    slack = TOLD_EVERY_MINUTES + BACK_MINUTES
    assert OVER - TOLD_EVERY_MINUTES <= minute_of(last.time) - RESOLVES_MINUTES <= OVER + slack


def test_it_counts_what_it_has_cost_until_then(told: list[Alert]) -> None:
    burnt = {event["id"]: event for event in LONG.usage if is_bots(event, ONSET, OVER)}.values()
    full, cached, *_ = NANO_RATES["large"]
    paid = sum((event["input_tokens"] * 2 / 3 * full + event["input_tokens"] / 3 * cached) / NANO for event in burnt)
    assert told[-1].excess_usd == pytest.approx(paid * 3 / 4, rel=0.2)


SILENT = Stream([event for event in LONG.usage if not is_bots(event, ONSET + 240, ONSET + 320)], LONG.deployments)
"""The same, but nobody calls for eighty minutes in the middle; the first calls after them are as long as before."""


def test_what_was_only_silent_opens_the_same_page_again() -> None:
    told = words(SILENT)
    states = [alert.state for alert in told]
    assert states.count("firing") == 1
    assert states.count("resolved") == 2
    back = told[states.index("resolved") + 1]
    assert back.state == "updated"
    assert [alert for alert in told if alert.came_back] == [back]
    assert back.reason.startswith("came back after")
    assert ONSET + 320 <= minute_of(back.time) <= ONSET + 350
    assert minute_of(told[-1].time) >= OVER


def test_what_is_settled_stays_silent_for_as_long_as_it_stands(told: list[Alert]) -> None:
    heard = words(LONG, [decided(told[0], "intended")])
    assert [alert.state for alert in heard] == ["firing", "updated", "resolved"]
    assert minute_of(heard[-1].time) >= OVER
    heard = words(SILENT, [decided(told[0], "intended")])
    assert [alert.state for alert in heard] == ["firing", "updated", "resolved"]


def test_another_cause_beside_what_only_stands_wakes_somebody() -> None:
    """Eight hours after the page GPUs are left running, too."""
    later = ONSET + 480
    idle = [
        {**event, "id": f"gpu/{event['id']}", "model": "gpu", "requests": 0, "input_tokens": 0, "output_tokens": 0}
        | {"cached_input_tokens": 0, "errors": 0, "gpu_seconds": 36_000, "cost_usd": 5.0}
        for event in LONG.usage
        if is_bots(event, later, later + 240)
    ]
    usage = sorted([*LONG.usage, *idle], key=lambda event: str(event["time"]))
    alerts = run(Stream(usage, LONG.deployments), plan(detectors=(*STEPS, IdleGpu()))).alerts
    pages = [alert for alert in alerts if alert.severity == "page" and alert.state == "firing"]
    assert [page.detector for page in pages] == ["driver_step", "idle_gpu"]
    assert {page.scope["service"] for page in pages} == {"bot"}


def test_a_further_step_of_the_same_kind_long_after_the_first_wakes_somebody() -> None:
    """Ten hours after the page its prompts grow to six times what they have become, after a deployment of their own."""
    later = ONSET + 600
    usage = [
        {**event, **{name: event[name] * 6 for name in ("input_tokens", "cached_input_tokens")}}
        if is_bots(event, later, later + 240)
        else event
        for event in LONG.usage
    ]
    release = {**LONG.deployments[0], "id": "deploy-8", "time": moment_of(later - 2).isoformat()}
    alerts = run(Stream(usage, [*LONG.deployments, release]), plan(detectors=STEPS)).alerts
    pages = [alert for alert in alerts if alert.severity == "page" and alert.state == "firing"]
    assert [page.cause.deployment_id for page in pages] == ["deploy-7", "deploy-8"]
    for page in pages:
        assert [alert.state for alert in alerts if alert.alert_id == page.alert_id][-1] == "resolved"


def failing(event: Event) -> Event:
    """Each request is tried six times, and billed each time."""
    tokens = {name: event[name] * 6 for name in ("input_tokens", "cached_input_tokens", "output_tokens")}
    return {**event, **tokens, "requests": event["requests"] * 6, "errors": event["requests"] * 5}


CALM = stream(hours=28, services=SERVICES[:1] + SERVICES[2:], burns_minutes=0)
STORM = Stream([failing(event) if is_bots(event, ONSET, OVER) else event for event in CALM.usage], [])


@pytest.mark.parametrize("shards", [1, 3])
def test_a_storm_that_only_all_services_together_can_tell_ends_when_it_is_over(shards: int) -> None:
    alerts = run(STORM, plan(detectors=(RetryStorm(),), shards=shards)).alerts
    assert len({alert.alert_id for alert in alerts}) == 1
    assert [alert.state for alert in alerts].count("resolved") == 1
    last = alerts[-1]
    assert last.severity == "page"
    fading = 3 * 60  # dollars of the horizon of an hour, in which it was found, are near the usual again
    assert OVER - TOLD_EVERY_MINUTES <= minute_of(last.time) - RESOLVES_MINUTES <= OVER + fading
    full, cached, _, answered, *_ = NANO_RATES["large"]
    burnt = {event["id"]: event for event in STORM.usage if is_bots(event, ONSET, OVER)}.values()
    paid = sum(
        (event["input_tokens"] * (2 / 3 * full + 1 / 3 * cached) + event["output_tokens"] * answered) / NANO
        for event in burnt
    )
    assert last.excess_usd == pytest.approx(paid * 5 / 6, rel=0.2)


def test_it_survives_restarts_and_another_order_of_detectors() -> None:
    """As when the configuration is edited: a detector is added before those that were there."""
    begun = Run(plan(detectors=STEPS))
    begun.feed(deployment_messages(LONG.deployments))
    messages = usage_messages(LONG.usage)
    middle = len(messages) // 2
    begun.feed(messages[:middle])
    begun.restart()
    begun.change(plan(detectors=(IdleGpu(), *STEPS)))
    begun.feed(messages[middle:])
    assert begun.end(end_of(LONG)).told == run(LONG, plan(detectors=STEPS)).told


def test_it_does_not_depend_on_cuts_or_shards() -> None:
    whole = run(LONG, plan(detectors=STEPS)).told
    assert run(LONG, plan(detectors=STEPS), cuts=range(0, len(LONG.usage), 7)).told == whole
    assert run(LONG, plan(detectors=STEPS, shards=1)).told == whole
