"""The life of incidents: what people decide of them, what comes back, what is held to which promise."""

from __future__ import annotations

import random
from itertools import groupby, pairwise

import msgspec
import pytest

from detectors.clock import MINUTES_PER_DAY, minute_of, moment_of
from detectors.events import Alert
from detectors.incidents.severity import Money, SeveritySettings
from detectors.intake.raw import RawMessage
from detectors.judging.budget import Budget, BudgetState, PageBudget, Promise
from detectors.kinds.driver_step import DriverStep
from streams.app import Plan
from tests.laws.streams import (
    SERVICES,
    START,
    Event,
    Run,
    Stream,
    cut,
    deployment_messages,
    end_of,
    plan,
    run,
    stream,
    usage_messages,
)

DAY = stream()
TEN = START + 10 * 60
"""When bot begins to burn, for two hours."""
STEPS = (DriverStep(),)


def decided(alert: Alert, decision: str, minutes_after: int = 10, by: str = "ana", why: str = "") -> Event:
    """What somebody says of an alert a while after it."""
    time = moment_of(minute_of(alert.time) + minutes_after).isoformat()
    return {"time": time, "alert_id": alert.alert_id, "decision": decision, "by": by, "why": why}


def feedback_messages(said: list[Event]) -> list[RawMessage]:
    return [RawMessage("feedback", 0, n, msgspec.json.encode(one)) for n, one in enumerate(said)]


def run_with(a_stream: Stream, said: list[Event], a_plan: Plan | None = None, cuts: tuple[int, ...] = ()) -> Run:
    """The stream with decisions, all of which are read first."""
    started = Run(a_plan or plan(detectors=STEPS))
    started.feed(deployment_messages(a_stream.deployments))
    started.feed(feedback_messages(said))
    for batch in cut(usage_messages(a_stream.usage), cuts):
        started.feed(batch)
    return started.end(end_of(a_stream))


@pytest.fixture(scope="module")
def page() -> Alert:
    """The page that the day has if nobody decides anything."""
    return next(a for a in run(DAY, plan(detectors=STEPS)).alerts if a.severity == "page")


def words_on(alerts: list[Alert], alert_id: str) -> list[tuple[str, str]]:
    return [(a.state, a.resolved_because) for a in alerts if a.alert_id == alert_id]


@pytest.mark.parametrize(
    ("decision", "in_words"),
    [("intended", "intended, as ana said: a load test"), ("false", "a false alarm, as ana said: a load test")],
)
def test_what_is_settled_is_told_once_and_then_only_that_it_is_over(page: Alert, decision: str, in_words: str) -> None:
    before = words_on(run(DAY, plan(detectors=STEPS)).alerts, page.alert_id)
    assert ("updated", "") in before, "the stream grows enough to be told of again"
    alerts = run_with(DAY, [decided(page, decision, why="a load test")]).alerts
    assert words_on(alerts, page.alert_id) == [("firing", ""), ("updated", ""), ("resolved", in_words)]
    told = next(a for a in alerts if a.state == "updated")
    assert told.reason.endswith(in_words)
    assert told.decision is not None
    assert (told.decision.by, told.decision.why, told.decision.decision) == ("ana", "a load test", decision)
    assert (told.intent.verdict, told.intent.approver) == (
        ("intentional", "ana") if decision == "intended" else (page.intent.verdict, page.intent.approver)
    )


def test_what_is_fixed_is_over_when_it_is_quiet_and_says_who_fixed_it(page: Alert) -> None:
    alerts = run_with(DAY, [decided(page, "fixed")]).alerts
    assert words_on(alerts, page.alert_id)[-1] == ("resolved", "fixed, as ana said")


def test_a_decision_after_the_end_is_kept_and_told_as_the_end_once_more(page: Alert) -> None:
    alerts = run_with(DAY, [decided(page, "intended", minutes_after=260)]).alerts
    assert words_on(alerts, page.alert_id)[-2:] == [("resolved", "quiet again"), ("resolved", "intended, as ana said")]


def test_a_false_page_counts_as_natural_and_once() -> None:
    long = stream(hours=60, onset_hour=54)
    page = next(a for a in run(long, plan(detectors=STEPS)).alerts if a.severity == "page")
    calm, told = run_with(long, [], plan(detectors=STEPS)), [decided(page, "false"), decided(page, "false", 12, "bo")]
    natural = run_with(long, told, plan(detectors=STEPS)).rates.natural["driver_step"]
    once = run_with(long, told[:1], plan(detectors=STEPS)).rates.natural["driver_step"]
    assert natural == once > calm.rates.natural["driver_step"]


def test_unknown_alerts_and_wrong_decisions_are_refused_with_the_reason(page: Alert) -> None:
    nobody = {**decided(page, "fixed"), "alert_id": "bw-0000000000000000"}
    started = Run(plan(detectors=STEPS))
    bad = [decided(page, "maybe"), {**nobody, "alert_id": "17"}, {**decided(page, "fixed"), "by": ""}, {"by": "ana"}]
    started.feed(feedback_messages(bad))
    assert [reject.reason for reject in started.rejects] == [
        "wrong_type", "unknown_alert", "out_of_range", "missing_field",
    ]  # fmt: skip
    assert "maybe" in started.rejects[0].detail
    started.feed(feedback_messages([nobody]))
    started.feed(usage_messages(DAY.usage))
    started.end(end_of(DAY))
    assert [said.alert_id for said in started.refused] == ["bw-0000000000000000"]


def test_decisions_do_not_depend_on_cuts_shards_or_restarts(page: Alert) -> None:
    said = [decided(page, "false", 7), decided(page, "intended", 33)]
    told = run_with(DAY, said).told
    assert any(b'"decision":{' in alert for alert in told)
    assert run_with(DAY, said, cuts=tuple(range(0, len(DAY.usage), 17))).told == told
    assert run_with(DAY, said, plan(detectors=STEPS, shards=1)).told == told
    again = Run(plan(detectors=STEPS))
    again.feed(deployment_messages(DAY.deployments))
    again.feed(feedback_messages(said))
    for batch in cut(usage_messages(DAY.usage), range(0, len(DAY.usage), 40)):
        again.feed(feedback_messages(said))  # delivered again, as after a crash
        again.feed(batch)
        again.restart()
    assert again.end(end_of(DAY)).told == told


def came_back() -> Stream:
    """Bot burns for an hour, is well for two, and burns again."""
    usage = list(DAY.usage)
    luck = random.Random(3)
    for n, event in enumerate(usage):
        minute = (minute_of(moment_of(0).fromisoformat(event["time"])) - TEN) if event["service"] == "bot" else -1
        if 60 <= minute < 120:
            tokens = round(event["input_tokens"] / 4 * luck.uniform(0.98, 1.02))
            usage[n] = {**event, "input_tokens": tokens, "cached_input_tokens": tokens // 3}
        elif 200 <= minute < 290:
            usage[n] = {
                **event, "input_tokens": event["input_tokens"] * 4,
                "cached_input_tokens": event["cached_input_tokens"] * 4,
            }  # fmt: skip
    return Stream(usage, DAY.deployments)


def test_what_comes_back_in_its_quiet_time_is_the_same_incident_and_wakes_nobody_twice() -> None:
    a_plan = plan(detectors=STEPS)
    quiet = msgspec.structs.replace(a_plan.incidents, resolve_after_minutes=20, quiet_after_page_minutes=600)
    alerts = run_with(came_back(), [], msgspec.structs.replace(a_plan, incidents=quiet)).alerts
    page = next(a for a in alerts if a.severity == "page")
    states = [a.state for a in alerts if a.alert_id == page.alert_id]
    assert states.count("firing") == 1
    assert "updated" in states[states.index("resolved") :]
    back = next(a for a in alerts if a.reason.startswith("came back after"))
    assert (back.state, back.alert_id) == ("updated", page.alert_id)
    assert back.came_back
    for _, words in groupby(sorted(alerts, key=lambda a: (a.alert_id, a.sequence)), key=lambda a: a.alert_id):
        for before, after in pairwise(words):
            assert after.came_back == (before.state == "resolved" and after.state == "updated")
    assert [a.sequence for a in alerts if a.alert_id == page.alert_id] == list(range(1, len(states) + 1))
    assert sum(a.severity == "page" and a.state == "firing" for a in alerts) == 1


def test_a_slow_burn_pages_for_what_it_comes_to_by_the_month_end() -> None:
    """With a bar in dollars an hour that it never reaches."""
    high = SeveritySettings(page=Money(usd_per_hour=1e4), ticket=Money(usd_per_hour=1e3))
    assert "page" not in {a.severity for a in run(DAY, plan(detectors=STEPS, severity=high)).alerts}
    by_month_end = SeveritySettings(page=Money(usd_per_hour=1e4, month_end_usd=100), ticket=high.ticket)
    assert "page" in {a.severity for a in run(DAY, plan(detectors=STEPS, severity=by_month_end)).alerts}


def test_a_team_is_held_to_its_own_promise_as_well() -> None:
    strict = PageBudget(pages=7, teams={"support": Promise(pages=1)})
    other = PageBudget(pages=7, teams={"web": Promise(pages=1)})
    assert pages_of(strict) == []
    assert pages_of(other) == pages_of(PageBudget(pages=7)) != []


def pages_of(budget: PageBudget) -> list[str]:
    """Services that page, in a day whose steps come with a score that is not beyond all doubt."""
    doubtful = (DriverStep(),)
    alerts = run(DAY, plan(detectors=doubtful, page_budget=budget)).alerts
    return [a.scope["service"] for a in alerts if a.severity == "page" and a.state == "firing"]


def test_a_team_with_few_of_the_natural_episodes_has_little_to_fear() -> None:
    """Its promise is held against its own part of what comes naturally."""
    step = DriverStep(natural_per_week=10.0)
    budget = Budget(PageBudget(pages=20, teams={"calm": Promise(pages=1)}), (step,))
    state = BudgetState(began=0)
    score, now = step.threshold + 2 * step.tail, 30 * MINUTES_PER_DAY
    assert not budget.is_worth_a_page(state, now, step, score, "calm")
    for day in range(3, 30):
        budget.observe(state, day * MINUTES_PER_DAY, "driver_step", "elsewhere", "loud")
    assert budget.is_worth_a_page(state, now, step, score, "calm")


def test_an_organisation_of_many_services_is_believed_to_see_as_many_more_natural_episodes() -> None:
    step = DriverStep(natural_per_week=2.0)
    budget = Budget(PageBudget(), (step,))
    small, usual, large = (BudgetState(began=0, services=count) for count in (5, 40, 400))
    first_day, in_a_year = MINUTES_PER_DAY, 365 * MINUTES_PER_DAY
    at_first = [budget.natural_per_week(state, first_day, step) for state in (small, usual, large)]
    assert at_first == [2.0, 2.0, 20.0]
    assert budget.natural_per_week(large, in_a_year, step) < 2, "what it shows itself counts for more in time"


def test_services_are_counted_that_spent_within_a_day_whatever_comes_at_once() -> None:
    a_plan = plan(detectors=STEPS)
    whole, cut_up = run(DAY, a_plan), run(DAY, a_plan, cuts=range(0, len(DAY.usage), 7))
    found = {one._incidents.lives.budget.services for one in (whole, cut_up)}
    assert found == {len({event["service"] for event in DAY.usage})}


def test_places_whose_episodes_are_days_ago_are_forgotten() -> None:
    """Names of places may never come again: what is remembered of them must not grow for ever."""
    budget = Budget(PageBudget(), (DriverStep(),))
    state = BudgetState(began=0)
    for day in range(3, 40):
        for place in range(5):
            budget.observe(state, day * MINUTES_PER_DAY + place, "driver_step", f"session-{day}-{place}")
    assert state.episodes == {"driver_step": 37 * 5}
    assert len(state.last_episode_day) == 10


def test_rates_tell_what_was_promised_and_what_came_of_it(page: Alert) -> None:
    budget = PageBudget(pages=7, teams={"support": Promise(pages=4), "web": Promise(pages=1)})
    rates = run(DAY, plan(detectors=STEPS, page_budget=budget)).rates
    assert (rates.promised, rates.realised) == (7, 1)
    assert rates.team_promised == {"support": 4, "web": 1}
    assert rates.team_realised == {"support": 1, "web": 0}
    assert rates.detector_realised == {"driver_step": 1}
    assert 0 < rates.natural["driver_step"] < 10


def test_the_order_of_rows_within_a_minute_changes_no_decided_incident(page: Alert) -> None:
    turned: list[Event] = []
    for _, rows in groupby(DAY.usage, key=lambda event: event["time"]):
        turned += reversed(list(rows))
    said = [decided(page, "intended")]
    assert run_with(Stream(turned, DAY.deployments), said).told == run_with(DAY, said).told


assert SERVICES[0].name == "bot"
