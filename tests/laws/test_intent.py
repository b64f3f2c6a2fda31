"""What spend was meant for: ceilings and budgets are for all that belongs to an initiative, and only while it lasts."""

from __future__ import annotations

import msgspec
import pytest

from detectors.clock import minute_of, moment_of
from detectors.events import Alert, Initiative
from detectors.frame import COST, DIMENSIONS
from detectors.intake.prices import NANO
from detectors.judging.intent import judge_intent
from detectors.kinds.driver_step import DriverStep
from tests.laws.rule_scenarios import initiative
from tests.laws.streams import SERVICES, START, Run, Service, Stream, end_of, plan, run, stream, usage_messages
from tests.laws.test_incident_life import decided, run_with
from tests.laws.test_what_pages_say import cost_of, stamp

DESK = Service("desk", "support", ("key-9",), 300, 900, 120)
DAY = stream(services=(*SERVICES, DESK))
"""Bot burns from the tenth hour on; its team's other service costs several times as much all day."""
STEPS = (DriverStep(),)
_SERVICE = DIMENSIONS.index("service")


def declared(**changes: object) -> Initiative:
    """An initiative of the team of bot and desk."""
    own = {"id": "help", "intent": "production", "stage": "exploit", "outcome": "helped", "match": {"team": "support"}}
    return initiative(**{**own, **changes})


def planned(up_to_usd_per_hour: float, **changes: object) -> Initiative:
    """One that may spend so much an hour all day."""
    burst = {
        "from": stamp(START), "to": stamp(START + 24 * 60), "up_to_usd_per_hour": up_to_usd_per_hour,
        "approved_by": "hana", "reason": "the fair",
    }  # fmt: skip
    return declared(**{"planned": [burst], **changes})


def alerts_of(*initiatives: Initiative, a_stream: Stream = DAY) -> list[Alert]:
    return run(a_stream, plan(detectors=STEPS, initiatives=initiatives)).alerts


@pytest.mark.parametrize(("horizon_minutes", "verdict"), [(240, "intentional"), (60, "accidental")])
def test_what_a_long_horizon_still_sees_of_a_plan_was_meant_and_what_is_new_was_not(
    horizon_minutes: int, verdict: str
) -> None:
    two_hours_later = START + 26 * 60
    assert judge_intent(planned(1000.0), two_hours_later, lambda: 0.0, horizon_minutes).verdict == verdict


@pytest.fixture(scope="module")
def undeclared() -> Run:
    return run(DAY, plan(detectors=STEPS))


@pytest.fixture(scope="module")
def page(undeclared: Run) -> Alert:
    """The page that the day has if nobody declares anything."""
    return next(a for a in undeclared.alerts if a.severity == "page" and a.scope["service"] == "bot")


def usd_last_hour(started: Run, minute: int, *services: str) -> float:
    """What some services cost in the hour up to a minute."""
    nano = 0
    for report in started.reports:
        if report.spend is not None and minute - 60 < report.minute <= minute:
            named = [report.spend.keys[key][_SERVICE] for key in report.spend.key.tolist()]
            costs = report.spend.values[COST].tolist()
            nano += sum(cost for name, cost in zip(named, costs, strict=True) if name in services)
    return nano / NANO


def pages_of(alerts: list[Alert]) -> list[Alert]:
    return [a for a in alerts if a.severity == "page" and a.state == "firing" and a.scope.get("service") == "bot"]


def test_a_ceiling_is_held_against_all_services_of_the_initiative(undeclared: Run, page: Alert) -> None:
    minute = minute_of(page.time)
    bot, team = usd_last_hour(undeclared, minute, "bot"), usd_last_hour(undeclared, minute, "bot", "desk")
    assert team > 2 * bot
    (paged,) = pages_of(alerts_of(planned((bot + team) / 2)))
    assert (paged.intent.verdict, paged.intent.approver, paged.time) == ("accidental", "hana", page.time)
    assert paged.intent.reason.endswith("planned for the fair")


def test_within_its_ceiling_a_planned_burst_wakes_nobody_and_is_on_record(page: Alert) -> None:
    alerts = alerts_of(planned(1000.0))
    assert pages_of(alerts) == []
    kept = next(a for a in alerts if a.scope.get("service") == "bot")
    assert (kept.severity, kept.time) == ("info", page.time)
    assert (kept.intent.verdict, kept.intent.approver, kept.intent.reason) == ("intentional", "hana", "the fair")


def test_a_burst_that_passes_its_ceiling_while_it_is_on_record_pages(undeclared: Run, page: Alert) -> None:
    first, later = minute_of(page.time), minute_of(page.time) + 50
    before, after = (usd_last_hour(undeclared, minute, "bot", "desk") for minute in (first, later))
    (paged,) = pages_of(alerts_of(planned((before + after) / 2)))
    assert paged.sequence > 1
    assert first < minute_of(paged.time) <= later
    assert paged.intent.verdict == "accidental"


@pytest.mark.parametrize(("up_to_usd_per_hour", "severity"), [(1.0, "page"), (1000.0, "info")])
def test_a_ceiling_holds_where_the_place_is_no_service(up_to_usd_per_hour: float, severity: str) -> None:
    """A price that rose for all is an incident of the model."""
    calm = stream(hours=24, onset_hour=100)
    dear = stamp(START + 22 * 60)
    usage = [{**e, "cost_usd": cost_of(e) * (1.5 if e["time"] >= dear else 1.0)} for e in calm.usage]
    usage = [e for e in usage if e["model"] != "nobody-priced-this"]
    large = planned(up_to_usd_per_hour, match={"model": "large"})
    alerts = run(Stream(usage, []), plan(initiatives=(large,))).alerts
    risen = next(a for a in alerts if a.cause.driver == "unit_price" and a.scope.get("model") == "large")
    assert (risen.severity, risen.intent.initiative) == (severity, "help")


def test_the_month_is_forecast_of_all_that_the_budget_is_for(undeclared: Run, page: Alert) -> None:
    (alone,), (together,) = pages_of(alerts_of(declared())), pages_of(alerts_of(declared(monthly_budget_usd=1e5)))
    assert alone.month_end.forecast_usd == page.month_end.forecast_usd
    assert together.month_end.forecast_usd > 2 * alone.month_end.forecast_usd
    assert together.month_end.p_over_budget == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expires": moment_of(START + 60)}, "it expired on 2026-03-02"),
        ({"starts": moment_of(START + 1440)}, "it starts on 2026-03-03"),
    ],
)
def test_an_initiative_that_has_not_begun_or_has_expired_covers_nothing(
    page: Alert, changes: dict[str, object], reason: str
) -> None:
    (paged,) = pages_of(alerts_of(planned(1000.0, **changes)))
    assert (paged.intent.initiative, paged.intent.verdict, paged.intent.reason) == ("help", "accidental", reason)
    assert (paged.time, paged.intent.approver) == (page.time, "grace")


def test_what_an_expired_initiative_leaves_another_may_cover() -> None:
    expired = declared(id="old", match={"service": "bot"}, expires=moment_of(START + 60))
    alerts = alerts_of(expired, planned(1000.0))
    assert pages_of(alerts) == []
    assert {a.intent.initiative for a in alerts if a.scope.get("service") == "bot"} == {"help"}


def test_an_initiative_that_events_name_comes_before_any_that_matches() -> None:
    labelled = Stream([{**e, "initiative": "fair"} if e["service"] == "bot" else e for e in DAY.usage], DAY.deployments)
    fair = planned(1000.0, id="fair", match={"service": "nobody"})
    matching = declared(match={"service": "bot"})
    alerts = alerts_of(matching, fair, a_stream=labelled)
    assert pages_of(alerts) == []
    assert {a.intent.initiative for a in alerts if a.scope.get("service") == "bot"} == {"fair"}
    (paged,) = pages_of(alerts_of(matching, a_stream=labelled))
    assert paged.intent.initiative == "help"


def test_a_decision_that_is_corrected_leaves_nothing_of_the_earlier_one(page: Alert) -> None:
    said = [decided(page, "intended", 10, why="a drill"), decided(page, "fixed", 30)]
    told = [a for a in run_with(DAY, said).alerts if a.alert_id == page.alert_id]
    meant, corrected = (next(a for a in told if a.decision and a.decision.decision == d) for d in ("intended", "fixed"))
    assert (meant.intent.verdict, meant.intent.approver, meant.intent.reason) == ("intentional", "ana", "a drill")
    assert meant.suggested_action == "nothing: this was intended"
    assert (corrected.intent, corrected.suggested_action) == (page.intent, page.suggested_action)


def test_each_alert_has_the_links_that_are_configured_with_what_it_is_about(page: Alert) -> None:
    links = {
        "runbook": "https://wiki.example/{detector}#{driver}",
        "panel": "https://grafana.example/d/1?var-service={service}&var-model={model}&from={onset_ms}",
    }
    renamed = [{**e, "service": "bot & co/é"} if e["service"] == "bot" else e for e in DAY.usage]
    deployments = [{**d, "service": "bot & co/é"} for d in DAY.deployments]
    a_plan = msgspec.structs.replace(plan(detectors=STEPS), links=links)
    alerts = run(Stream(renamed, deployments), a_plan).alerts
    told = next(a for a in alerts if a.scope.get("service") == "bot & co/é")
    onset_ms = minute_of(told.onset) * 60_000
    assert told.links == {
        "runbook": f"https://wiki.example/driver_step#{told.cause.driver}",
        "panel": f"https://grafana.example/d/1?var-service=bot%20%26%20co%2F%C3%A9&var-model=&from={onset_ms}",
    }


def test_what_was_spent_is_the_same_after_a_restart() -> None:
    a_plan = plan(detectors=STEPS, initiatives=(planned(1000.0, monthly_budget_usd=10.0),))
    broken = Run(a_plan)
    for first in range(0, len(DAY.usage), 100):
        broken.feed(usage_messages(DAY.usage[first : first + 100], first_offset=first))
        broken.restart()
    broken.end(end_of(DAY))
    assert broken.told == run(Stream(DAY.usage, []), a_plan).told
