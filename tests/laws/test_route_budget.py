"""The page budget of routes: which promise a page is held to, and that no promise is broken."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.clock import MINUTES_PER_DAY
from detectors.events import Alert
from detectors.incidents.alerts import labels_of
from detectors.judging.budget import Budget, BudgetState, PageBudget, Promise, RouteEpisodes
from detectors.kinds.driver_step import DriverStep
from detectors.kinds.range_break import RangeBreak
from detectors.verdicts import Detector
from streams.app import Plan
from streams.delivery.routes import Match, Route, fits, route_budgets, taken_by
from tests.laws.streams import Run, cut, deployment_messages, end_of, plan, run, stream, usage_messages

DAY = stream()
STEPS = (DriverStep(),)
PLENTY, LITTLE = Promise(pages=7), Promise(pages=1, per="month")


def route(name: str, match: Match, budget: Promise | None = PLENTY, *, goes_on: bool = False) -> Route:
    return Route((), match, goes_on=goes_on, name=name, page_budget=budget)


def plan_with(*routes: Route, shards: int = 3) -> Plan:
    return msgspec.structs.replace(plan(detectors=STEPS, shards=shards), routes=routes)


def pages_of(alerts: list[Alert]) -> list[str]:
    return [a.alert_id for a in alerts if a.severity == "page" and a.state == "firing"]


@pytest.fixture(scope="module")
def free() -> list[Alert]:
    """The day's alerts where no route has a promise."""
    return run(DAY, plan_with()).alerts


TABLES = [
    (route("support", Match(team="support")),),
    (route("dear", Match(model="gpt-*")), route("rest", Match())),
    (route("support", Match(team="support"), goes_on=True), route("pages", Match(severity="page"))),
    (route("tickets", Match(severity="ticket")), route("steps", Match(detector="driver_*"))),
    (route("", Match(service="bot"), None), route("rest", Match())),
    (route("web", Match(team="web")), route("input", Match(driver=("input_per_request", "cache_share")))),
    (route("meant", Match(intent="intentional")), route("nobody's", Match(intent="undeclared", initiative=""))),
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: "-".join(r.name or "unnamed" for r in table))
def test_a_page_counts_for_the_routes_that_its_alert_goes_down(table: tuple[Route, ...], free: list[Alert]) -> None:
    """What detection holds to a promise, and what delivery sends down a route, are the same pages."""
    seen = run(DAY, plan_with(*table))
    assert pages_of(seen.alerts) == pages_of(free) != []
    counted = Counter(
        taken.name
        for a in seen.alerts
        if a.severity == "page" and a.state == "firing"
        for taken in taken_by(table, labels_of(a.scope, a.severity, a.cause.driver, a.detector, a.intent))
        if taken.page_budget is not None
    )
    promised = [r.name for r in table if r.page_budget is not None]
    assert seen.rates.route_realised == {name: counted[name] for name in promised}
    assert seen.rates.route_promised == dict.fromkeys(promised, 7)


def test_without_promises_routes_change_nothing(free: list[Alert]) -> None:
    assert run(DAY, plan_with(route("support", Match(team="support"), None), route("", Match(), None))).alerts == free


def test_what_does_not_fit_the_promise_of_a_route_is_a_ticket_and_not_lost(free: list[Alert]) -> None:
    held = run(DAY, plan_with(route("support", Match(team="support"), LITTLE))).alerts
    assert pages_of(held) == [] != pages_of(free)
    told = {a.alert_id: a.severity for a in held if a.state == "firing"}
    assert {told[page] for page in pages_of(free)} == {"ticket"}


@pytest.mark.parametrize(
    ("table", "holds"),
    [
        ((route("web", Match(team="web"), LITTLE),), False),
        ((route("pages", Match(severity="page"), LITTLE),), True),
        ((route("tickets", Match(severity="ticket"), LITTLE),), False),
        ((route("first", Match(team="support"), None), route("later", Match(), LITTLE)), False),
        ((route("first", Match(team="support"), None, goes_on=True), route("later", Match(), LITTLE)), True),
        ((route("first", Match(), PLENTY, goes_on=True), route("later", Match(), LITTLE)), True),
    ],
    ids=["another team", "every page", "that of tickets", "after one that took it", "after one that goes on", "both"],
)
def test_only_pages_that_go_down_a_route_are_held_to_its_promise(
    table: tuple[Route, ...], holds: bool, free: list[Alert]
) -> None:
    assert pages_of(run(DAY, plan_with(*table)).alerts) == ([] if holds else pages_of(free))


def test_promises_of_routes_do_not_depend_on_shards_cuts_or_restarts() -> None:
    table = (
        route("support", Match(team="support"), Promise(pages=4), goes_on=True),
        route("rest", Match(), Promise(pages=5)),
    )
    long = stream(hours=60, onset_hour=54)
    once = run(long, plan_with(*table))
    assert run(long, plan_with(*table, shards=1)).told == once.told
    again = Run(plan_with(*table))
    again.feed(deployment_messages(long.deployments))
    for batch in cut(usage_messages(long.usage), range(0, len(long.usage), 500)):
        again.feed(batch)
        again.restart()
    assert again.end(end_of(long)).told == once.told
    assert again.rates == once.rates


def test_a_state_from_before_routes_had_promises_is_read() -> None:
    before = {"began": 3, "episodes": {"a": 1.0}, "pages": [{"minute": 4, "detector": "a", "team": "t"}]}
    state = msgspec.convert(before, BudgetState)
    assert (state.route_episodes, state.pages[0].routes) == ({}, ())


DETECTORS = (
    DriverStep(natural_per_week=20.0),
    RangeBreak(natural_per_week=9.0),
    RangeBreak(name="second", natural_per_week=0.5),
)
TITLES = [detector.title for detector in DETECTORS]
NOW = 41 * MINUTES_PER_DAY
Episodes = list[tuple[str, str, int]]
histories = st.lists(
    st.tuples(st.sampled_from(TITLES), st.sampled_from(["support", "web", "ads"]), st.integers(3, 40)), max_size=60
)
matches = st.sampled_from(
    [Match(), Match(team="web"), Match(team="*s"), Match(detector="range*"), Match(detector="second", team="ads")]
)


def budget_of(match: Match, pages: float = 1.0, of_all: float = 1000.0) -> Budget:
    only = route("it", match, Promise(pages=pages))
    return Budget(PageBudget(pages=of_all), DETECTORS, route_budgets((only,), TITLES))


def shown(budget: Budget, seen: Episodes) -> BudgetState:
    """A state that has seen some episodes, each at a place of its own."""
    state = BudgetState(began=0)
    for number, (detector, team, day) in enumerate(seen):
        routes = budget.routes_of({"detector": detector, "team": team, "severity": "page"})
        budget.observe(state, day * MINUTES_PER_DAY, detector, str(number), team, routes)
    return state


def rate_of_pages(budget: Budget, state: BudgetState, detector: Detector, routes: tuple[str, ...]) -> float:
    """How often a week a detector pages by chance down some routes, before they are told from others."""
    scores = [detector.threshold + detector.tail * (1.06**step - 1) for step in range(120)]
    paging = (s for s in scores if budget.is_worth_a_page(state, NOW, detector, s, routes=routes))
    return budget.expected_per_week(state, NOW, detector, next(paging))


@given(match=matches, seen=histories, pages=st.floats(0.1, 20))
def test_no_more_comes_down_a_route_by_chance_than_was_promised(match: Match, seen: Episodes, pages: float) -> None:
    budget = budget_of(match, pages)
    state = shown(budget, seen)
    known = state.route_episodes.get("it", RouteEpisodes())
    by_chance = sum(
        rate_of_pages(budget, state, one, ("it",)) * known.own.get(one.title, 0) / (known.every.get(one.title, 0) + 1)
        for one in DETECTORS
        if fits(match.detector, one.title)
    )
    assert by_chance <= 0.9 * pages * (1 + 1e-9)


@given(match=matches, seen=histories, pages=st.floats(0.1, 20))
def test_a_promise_of_a_route_lets_nothing_page_that_would_not(match: Match, seen: Episodes, pages: float) -> None:
    budget = budget_of(match, pages, of_all=5.0)
    state = shown(budget, seen)
    for one in DETECTORS:
        assert rate_of_pages(budget, state, one, ("it",)) <= rate_of_pages(budget, state, one, ())


@given(match=matches, seen=histories)
def test_the_organisations_own_promise_on_a_route_holds_nothing_more_back(match: Match, seen: Episodes) -> None:
    budget = budget_of(match, pages=5.0, of_all=5.0)
    state = shown(budget, seen)
    for one in DETECTORS:
        if fits(match.detector, one.title):
            assert rate_of_pages(budget, state, one, ("it",)) == rate_of_pages(budget, state, one, ())


@given(match=matches, seen=histories)
def test_a_routes_natural_rate_is_a_part_of_that_of_its_detectors(match: Match, seen: Episodes) -> None:
    budget = budget_of(match)
    rates = budget.rates(shown(budget, seen), NOW)
    most = sum(rate for title, rate in rates.natural.items() if fits(match.detector, title))
    assert 0 < rates.route_natural["it"] <= most * (1 + 1e-9)


@given(seen=histories)
def test_a_route_that_takes_all_has_all_natural_episodes_from_the_first_to_the_last(seen: Episodes) -> None:
    state = shown(budget_of(Match()), seen)
    parts = [state.route_episodes.get("it", RouteEpisodes()).part_of(title) for title in TITLES]
    assert parts == [pytest.approx(1.0)] * 3


@given(seen=histories)
def test_what_others_show_leaves_a_route_more_room(seen: Episodes) -> None:
    """Its promise is held against its own part of what comes naturally."""
    budget = budget_of(Match(team="nobody"))
    fewer, more = shown(budget, seen[: len(seen) // 2]), shown(budget, seen)
    for one in DETECTORS:
        before, after = (state.route_episodes.get("it", RouteEpisodes()).part_of(one.title) for state in (fewer, more))
        assert after <= before <= 1


def test_a_promise_that_is_new_learns_from_then_on_and_one_that_went_is_forgotten() -> None:
    seen: Episodes = [("driver_step", "ads", day) for day in range(3, 20)]
    state = shown(Budget(PageBudget(), DETECTORS), seen)
    assert state.route_episodes == {}
    budget = budget_of(Match(team="web"))
    assert budget.rates(state, NOW).route_natural["it"] == pytest.approx(
        sum(budget.natural_per_week(state, NOW, one) for one in DETECTORS)
    )
    budget.observe(state, NOW, "driver_step", "elsewhere", "ads")
    assert state.route_episodes["it"].every == {"driver_step": 1}
    other = Budget(PageBudget(), DETECTORS, route_budgets((route("other", Match()),), TITLES))
    other.observe(state, NOW, "driver_step", "anywhere", "ads", ("other",))
    assert list(state.route_episodes) == ["other"]
