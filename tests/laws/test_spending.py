"""What was spent by day and in the last hour: plain sums, however late it became known, in little room."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.clock import MINUTES_PER_DAY
from detectors.events import Initiative
from detectors.frame import DIMENSIONS, Key
from detectors.incidents.spending import Spending, nothing_spent
from detectors.intake.prices import NANO
from detectors.judging.accounts import Accounts, Booked
from detectors.judging.intent import Portfolio
from tests.laws.streams import DETECTORS, SERVICES, Run, end_of, plan, stream, usage_messages
from tests.laws.test_intent import declared, planned

BEGAN = 20_000 * MINUTES_PER_DAY
MONTH_DAYS = 32
LATEST_DAYS = 14
"""As late as an event may be."""

Entry = tuple[int, int, int, int]
"""Minutes since the entry before, number of the key, minutes late, nano-dollars."""
entries = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 90), st.integers(1, 50 * MINUTES_PER_DAY)),
        st.integers(0, 3),
        st.one_of(st.just(0), st.integers(0, 90), st.integers(0, LATEST_DAYS * MINUTES_PER_DAY)),
        st.integers(0, 10**12),
    ),
    max_size=40,
)


def key_of(number: int) -> Key:
    """The labels of a service."""
    named = {"team": "support", "service": f"s{number}"}
    return tuple(named.get(name, "") for name in DIMENSIONS)  # type: ignore[return-value]  # as many as there are


def four_keys() -> Accounts:
    """Four services, of each of which there is one key."""
    columns = np.arange(4, dtype=np.int32), *np.full((2, 4), np.iinfo(np.int32).min, np.int32)
    return Accounts([key_of(n) for n in range(4)], {f"s{n}": n for n in range(4)}, {}, *columns)


def booked_of(minute: int, key: int, at: int, nano: int) -> Booked:
    """One row of one key."""
    number, when, none = (np.array([value], np.int32) for value in (key, at, 0))
    return Booked(minute, number, number, when, np.array([nano]), np.array([1]), none[:0], none[:0])


@given(entries=entries)
def test_days_are_plain_sums_of_the_last_month_and_the_first_one_is_the_first_ever(entries: list[Entry]) -> None:
    spending, minute = Spending(four_keys()), BEGAN
    days: list[Counter[int]] = [Counter() for _ in range(4)]
    for pause, key, late, nano in entries:
        minute += pause
        spending.count(booked_of(minute, key, minute - late, nano), np.zeros(4, bool))
        days[key][(minute - late) // MINUTES_PER_DAY] += nano
        today = minute // MINUTES_PER_DAY
        for asked in ([0], [0, 1, 2, 3]):
            told, expected = spending.days_of(np.array(asked)).nano, sum((days[n] for n in asked), Counter[int]())
            recent = range(today - MONTH_DAYS + 1, today + 1)
            assert [told.get(day, 0) for day in recent] == [expected[day] for day in recent]
            firsts = [min(days[n]) for n in asked if days[n]]
            assert min(told, default=None) == min(firsts, default=None)


@given(entries=entries, has_ceiling=st.lists(st.booleans(), min_size=4, max_size=4))
def test_the_hour_is_a_plain_sum_of_those_that_have_a_ceiling(entries: list[Entry], has_ceiling: list[bool]) -> None:
    spending, minute = Spending(four_keys()), BEGAN
    rows: list[tuple[int, int, int]] = []
    asked = np.flatnonzero(has_ceiling)
    for pause, key, late, nano in entries:
        minute += pause
        spending.count(booked_of(minute, key, minute - late, nano), np.array(has_ceiling))
        rows.append((key, minute - late, nano))
        expected = sum(nano for key, at, nano in rows if has_ceiling[key] and at > minute - 60)
        assert spending.usd_last_hour(minute, asked) == expected / NANO
        assert len(spending.lately) <= 60


def test_a_key_costs_a_quarter_of_a_kilobyte() -> None:
    assert sum(column.nbytes for column in nothing_spent(1000)) / 1000 <= 264


@pytest.mark.parametrize(
    ("initiatives", "services"),
    [
        ((), set()),
        ((declared(),), set()),
        ((planned(9.0, match={"service": "s1"}), declared(id="other", match={"service": "s2"})), {1}),
        ((planned(9.0),), {0, 1, 2, 3}),
        ((planned(9.0, match={"service": "s1", "principal": "key"}),), {0, 1, 2, 3}),
    ],
)
def test_an_hour_is_kept_only_of_what_a_ceiling_may_be_held_against(
    initiatives: tuple[Initiative, ...], services: set[int]
) -> None:
    assert set(np.flatnonzero(Portfolio(initiatives).has_ceiling(four_keys())).tolist()) == services


def test_a_plan_that_is_added_later_knows_what_was_spent_since() -> None:
    day = stream(services=SERVICES[:1], hours=4, onset_hour=2)
    half, last = len(day.usage) // 2, end_of(day)
    ways = plan(detectors=DETECTORS[:1]), plan(detectors=DETECTORS[:1], initiatives=(planned(1000.0),))
    always, later = Run(ways[1]), Run(ways[0])
    for one in (always, later):
        one.feed(usage_messages(day.usage[:half]))
        one.heartbeat(0, last - 100)
        one.change(ways[1])
    kept = [one._incidents.lives.spending.lately for one in (always, later)]
    assert len(kept[0]) > 0 == len(kept[1])
    for one in (always, later):
        one.feed(usage_messages(day.usage[half:], first_offset=half))
        one.restart()
        one.end(last)
    hours = [one._incidents.lives.spending.usd_last_hour(last, np.arange(1)) for one in (always, later)]
    assert hours[0] == hours[1] > 0
