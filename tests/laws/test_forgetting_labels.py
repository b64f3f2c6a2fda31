"""Labels of which nothing was heard for 35 days are forgotten: what comes back is new, whenever its row has gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.clock import MINUTES_PER_DAY, NEVER, minute_of, moment_of
from detectors.events import Initiative
from detectors.incidents.spending import Spending
from detectors.intake.prices import NANO
from detectors.judging import forgetting
from detectors.judging.accounts import Accounts
from detectors.rules.rule import Bill, Finding, Rule
from detectors.rules.source_silent import SourceSilent
from detectors.rules.undeclared_spend import UndeclaredSpend
from detectors.state import codec, pages, row_pages
from detectors.watch.forgetting import renumber_keys
from streams.app import Plan
from tests.laws.rule_scenarios import initiative
from tests.laws.streams import START, Event, Run, cut, plan, usage_messages
from tests.laws.test_spending import BEGAN, booked_of, four_keys
from tests.laws.test_what_pages_say import stamp

FORGOTTEN_AFTER_DAYS = 36
"""35 days, and up to one more until a day begins."""
LAST_DAY = 400

some = settings(max_examples=15, deadline=None, derandomize=True)
few = settings(max_examples=6, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages so small that a short stream fills many, and that shrink."""
    monkeypatch.setattr(pages, "ROWS_A_PAGE", 2)
    monkeypatch.setattr(row_pages, "_LEAST_ROWS", 1)


class RollCallState(msgspec.Struct):
    """What was answered."""

    said: list[str] = []


class RollCall(Rule, frozen=True, kw_only=True):
    """Asks all that can be asked of accounts in every minute; finds every service, so that an alert tells the rest."""

    kind: ClassVar[str] = "roll_call"
    judge_every_minutes: ClassVar[int] = 1

    def start(self) -> RollCallState:
        """Nothing asked yet."""
        return RollCallState()

    def count(self, state: RollCallState, bill: Bill) -> None:
        """Take no minute."""

    def judge(
        self, state: RollCallState, minute: int, accounts: Accounts, declared: tuple[Initiative, ...]
    ) -> list[Finding]:
        """Return every service."""
        services = [name for name in sorted(accounts.services) if len(accounts.keys_of(name))]
        sources = [name for name, n in sorted(accounts.sources.items()) if accounts.source_last[n] > NEVER]
        known = [
            (name, accounts.team(name), accounts.newest_model(name), accounts.labels(name, {"model": "small"}),
             [(accounts.keys[n], int(accounts.first[n]), int(accounts.last[n])) for n in accounts.keys_of(name)])
            for name in services
        ]  # fmt: skip
        state.said.append(f"{minute}: {known}, {sources}")
        return [Finding({"service": name}, f"{name} is here", "nothing", {}) for name in services]


BURST = {"from": stamp(START), "to": stamp(START + LAST_DAY * 1440), "up_to_usd_per_hour": 1.0, "approved_by": "hana"}
PLAN = plan(
    shards=2,
    detectors=(),
    rules=(
        RollCall(),
        UndeclaredSpend(least_usd_per_day=0.5, new_for_days=90),
        SourceSilent(least_minutes=5, known_for_days=1, forget_after_days=90),
    ),
    initiatives=(
        initiative(
            id="help", match={"team": "support"}, monthly_budget_usd=100.0, planned=[BURST], intent="production"
        ),
        initiative(id="try", match={"service": "s1"}),
    ),
)

Spent = tuple[int, int, str, int, str, int]
"""Minutes since the one before, number of service, team, number of source, model, dollars."""
spent = st.tuples(
    st.one_of(st.integers(0, 50), st.integers(1, 3 * MINUTES_PER_DAY), st.integers(30, 45).map(lambda d: d * 1440)),
    st.integers(0, 3), st.sampled_from(["support", "web"]), st.integers(0, 1), st.sampled_from(["small", "large"]),
    st.integers(0, 9),
)  # fmt: skip
histories = st.lists(spent, min_size=1, max_size=30)


def events_of(history: Iterable[Spent], began: int = START) -> list[Event]:
    """One event of each entry."""
    usage, minute = list[Event](), began
    for pause, service, team, source, model, usd in history:
        minute += pause
        usage.append(
            {"id": f"{began}/{len(usage)}", "time": moment_of(minute).isoformat(), "source": f"gateway-{source}",
             "team": team, "service": f"s{service}", "model": model, "requests": 9, "cost_usd": usd / 10}
        )  # fmt: skip
    return usage


def ended(usage: list[Event], cuts: Iterable[int] = (), *, restarts: bool = False, a_plan: Plan = PLAN) -> Run:
    """Run events to their end."""
    started = Run(a_plan)
    for batch in cut(usage_messages(usage), cuts):
        started.feed(batch)
        if restarts:
            started.restart()
    return started.end(START + LAST_DAY * MINUTES_PER_DAY)


def roll_calls(run: Run, since: int = START) -> list[str]:
    """What was answered from a minute on."""
    said: list[str] = run._incidents.rules["roll_call"].said
    return [line for line in said if int(line.split(":")[0]) >= since]


def rows_go(monkeypatch: pytest.MonkeyPatch, least: int, one_in: int = 10**9) -> None:
    """Let rows of labels go once so many are nobody's; those of series as ever."""

    def are_worth_dropping(gone: int, rows: int) -> bool:
        return gone >= max(least, rows // one_in)

    monkeypatch.setattr(forgetting, "are_worth_dropping", are_worth_dropping)


@some
@given(history=histories, cuts=st.lists(st.integers(0, 30), max_size=8), least=st.integers(1, 3))
def test_neither_cuts_nor_restarts_nor_when_rows_go_change_what_is_told(
    history: list[Spent], cuts: list[int], least: int
) -> None:
    usage = events_of(history)
    with pytest.MonkeyPatch.context() as patched:
        rows_go(patched, 1_000_000)
        held = ended(usage)
        rows_go(patched, least)
        dropped = ended(usage, cuts, restarts=True)
    assert dropped.told == held.told
    assert roll_calls(dropped) == roll_calls(held)
    wide = [(one._incidents.wide.series.teams, one._incidents.wide.baselines) for one in (dropped, held)]
    assert codec.encode(wide[0]) == codec.encode(wide[1])
    assert dropped._incidents.labels <= held._incidents.labels


@few
@given(before=st.lists(spent, min_size=1, max_size=10), after=histories, least=st.sampled_from([1, 1_000_000]))
def test_what_comes_back_after_it_was_forgotten_is_as_new_as_what_was_never_there(
    before: list[Spent], after: list[Spent], least: int
) -> None:
    """Beside a service that spends every day; what was heard before is heard on the first days, all else later."""
    steady = [
        {**event, "id": f"steady/{day}", "service": "steady", "source": "steady"}
        for day in range(LAST_DAY)
        for event in events_of([(0, 0, "web", 0, "large", 1)], START + day * MINUTES_PER_DAY)
    ]
    early = events_of([(entry[0] % 300, *entry[1:]) for entry in before], START + 5)
    came_back = START + 5 + (FORGOTTEN_AFTER_DAYS + 3) * MINUTES_PER_DAY
    late = [e for e in events_of(after, came_back) if e["time"] < stamp(START + LAST_DAY * MINUTES_PER_DAY)]
    with pytest.MonkeyPatch.context() as patched:
        rows_go(patched, least)
        known, new = (
            ended(sorted([*steady, *some], key=lambda event: event["time"])) for some in ([*early, *late], late)
        )
    assert known.told != new.told
    assert roll_calls(known, came_back) == roll_calls(new, came_back)
    told = [[alert for alert in run.alerts if minute_of(alert.time) >= came_back] for run in (known, new)]
    assert told[0] == told[1]


def test_what_pauses_for_35_days_is_remembered_and_what_pauses_for_longer_is_new() -> None:
    for pause_days, is_new in ((34, False), (35, False), (36, True), (37, True)):
        run = ended(
            events_of([(600, 0, "web", 0, "small", 1), (pause_days * MINUTES_PER_DAY, 0, "web", 0, "small", 1)])
        )
        accounts = run._incidents.lives.spending.accounts
        came_back = START + 600 + pause_days * MINUTES_PER_DAY
        assert [int(accounts.first[n]) == came_back for n in accounts.keys_of("s0")] == [is_new]


def every_ten_minutes(service: int, source: int, began: int, until: int) -> list[Event]:
    """A service of no initiative that spends steadily, by days since the start."""
    minutes = range(START + began, START + until, 10)
    return [
        {**event, "id": f"{service}/{minute}"}
        for minute in minutes
        for event in events_of([(0, service, "web", source, "large", 1)], minute)
    ]


def test_who_stays_is_new_since_when_it_was_and_silent_by_the_source_that_it_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One service is forgotten at a midnight; another has just fallen silent with its source, a third is yet new."""
    rows_go(monkeypatch, 1)
    midnight, day = FORGOTTEN_AFTER_DAYS * MINUTES_PER_DAY, MINUTES_PER_DAY
    usage = [
        *events_of([(0, 0, "web", 0, "large", 1)]),
        *every_ten_minutes(1, 1, 10, 20),
        *every_ten_minutes(1, 1, midnight - 3 * day, midnight + day),
        *every_ten_minutes(3, 2, midnight - 3 * day, midnight - 30),
        *every_ten_minutes(2, 1, midnight - 3 * day, midnight + day),
    ]
    run = Run(msgspec.structs.replace(PLAN, rules=PLAN.rules[1:]))
    for batch in cut(usage_messages(sorted(usage, key=lambda event: event["time"])), range(0, len(usage), 99)):
        run.feed(batch)
    accounts = run._incidents.lives.spending.accounts
    assert set(accounts.services) == {"s1", "s2", "s3"}
    first_seen = run._incidents.rules["undeclared_spend"].first_seen
    assert {name: int(first_seen[n]) for name, n in accounts.services.items()} == {
        "s1": START + 10, "s2": START + midnight - 3 * day, "s3": START + midnight - 3 * day,
    }  # fmt: skip
    (silent,) = [alert for alert in run.alerts if alert.detector == "source_silent" and alert.state == "firing"]
    assert silent.scope["source"] == "gateway-2"
    assert minute_of(silent.time) > START + midnight


def test_the_hour_before_midnight_counts_after_rows_have_gone() -> None:
    spending, minute = Spending(four_keys()), BEGAN
    for key in range(4):
        spending.count(booked_of(minute - 90 + 20 * key, key, minute - 90 + 20 * key, NANO), np.full(4, True))
    spending.keep_rows(np.array([2, 3]), minute)
    assert spending.accounts.keys == four_keys().keys[2:]
    assert [spending.usd_last_hour(minute, np.array(keys)) for keys in ([0], [1], [0, 1])] == [1.0, 1.0, 2.0]


def test_teams_of_series_are_written_though_as_many_labels_count_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    rows_go(monkeypatch, 1)
    run = Run(msgspec.structs.replace(PLAN, views=(("model",), ("service",))))
    history = [
        (0, 0, "support", 0, "small", 1), (1, 1, "web", 0, "large", 1),
        (40 * MINUTES_PER_DAY, 1, "web", 0, "small", 1), (1, 2, "web", 0, "large", 1),
    ]  # fmt: skip
    for number, event in enumerate(events_of(history)):
        run.feed(usage_messages([event], first_offset=number))
        if number == 1:
            run.end(START + 10)
            run.restart()
    run.end(START + 41 * MINUTES_PER_DAY)
    assert run._incidents.wide.series.teams == ["web", "web"]
    run.restart()


def test_whoever_makes_up_labels_grows_no_state_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    rows_go(monkeypatch, 10, 4)
    sizes: dict[int, tuple[int, ...]] = {}
    a_plan = msgspec.structs.replace(PLAN, rules=PLAN.rules[1:])
    run = Run(a_plan)
    for day in range(160):
        made_up = [
            {**event, "id": f"{day}/{n}", "service": f"made-up-{day}-{n}", "source": f"gateway-{day}"}
            for n in range(5)
            for event in events_of([(0, 0, "web", 0, "large", 1)], START + day * MINUTES_PER_DAY)
        ]
        run.feed(usage_messages(made_up, first_offset=5 * day))
        accounts = run._incidents.lives.spending.accounts
        sizes[day] = run._incidents.labels, len(accounts.services), len(accounts.sources), run.rule_bytes
    remembered = 5 * FORGOTTEN_AFTER_DAYS
    assert max(labels for labels, *_ in sizes.values()) <= remembered / 0.75 + 10
    assert max(services for _, services, *_ in sizes.values()) <= remembered
    assert sizes[150][1:3] == sizes[100][1:3]
    assert sizes[150][3] <= 1.1 * sizes[60][3]
    run.restart()
    assert len(run._incidents.lives.spending.spent.nano) < 2 * remembered


def test_when_all_labels_have_gone_the_state_that_is_read_is_the_one_that_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows_go(monkeypatch, 1)
    run = Run(PLAN)
    run.feed(usage_messages(events_of([(1, service, "web", 0, "large", 1) for service in range(4)])))
    run.end(START + 10)
    run.checkpoint()
    later = START + 50 * MINUTES_PER_DAY
    spending = run._incidents.lives.spending
    forgotten = forgetting.forget(spending.accounts, later)
    assert forgotten is not None
    assert len(forgotten.keys) == 4
    rows = forgetting.rows_to_keep(spending.accounts)
    assert rows is not None
    spending.keep_rows(rows, later)
    renumber_keys(run._incidents.wide, rows)
    run.restart()
    assert run._incidents.labels == 0
    assert np.array_equal(run._incidents.lives.spending.spent.nano, np.zeros((0, 32)))
