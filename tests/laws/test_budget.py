"""The budget: how the bar of a page follows from the tail of natural scores, and that the promise is kept."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_WEEK
from detectors.judging.budget import Budget, BudgetState, PageBudget
from detectors.kinds import KINDS
from detectors.kinds.driver_step import DriverStep
from detectors.verdicts import Detector

DETECTORS = tuple(kind() for kind in KINDS.values() if issubclass(kind, Detector))
NOW = 30 * MINUTES_PER_DAY
shapes, scores = st.floats(0, 1), st.floats(0, 1e6)


def step(shape: float) -> DriverStep:
    return DriverStep(natural_per_week=2.0, tail_shape=shape)


def part_beyond(shape: float, tails: float) -> float:
    """The part of natural episodes that are so many tails above the threshold."""
    one = step(shape)
    budget, state = Budget(PageBudget(), (one,)), BudgetState()
    return budget.expected_per_week(state, NOW, one, one.threshold + tails * one.tail) / 2.0


def bar(one: Detector, services: int, pages: float = 3.0, episodes: int = 0) -> float:
    """How many tails above its threshold a detector pages, by bisection."""
    budget, state = Budget(PageBudget(pages=pages), (one,)), BudgetState(began=0, services=services)
    for number in range(episodes):
        budget.observe(state, NOW - MINUTES_PER_DAY, one.title, str(number))
    low, high = 0.0, 1e6
    for _ in range(80):
        middle = (low + high) / 2
        pages_there = budget.is_worth_a_page(state, NOW, one, one.threshold + middle * one.tail)
        low, high = (low, middle) if pages_there else (middle, high)
    return high


@given(tails=st.floats(0, 600))
def test_without_a_shape_it_is_exponential(tails: float) -> None:
    assert part_beyond(0.0, tails) == pytest.approx(math.exp(-tails), rel=1e-6)


@given(shape=st.floats(0.01, 1), tails=st.floats(0, 1e4))
def test_with_a_shape_it_is_paretos(shape: float, tails: float) -> None:
    assert part_beyond(shape, tails) == pytest.approx((1 + shape * tails) ** (-1 / shape), rel=1e-6)


@given(shape=shapes, one=scores, other=scores)
def test_the_higher_the_rarer(shape: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= part_beyond(shape, high) <= part_beyond(shape, low) <= 1


@given(shape=shapes, heavier=shapes, tails=scores)
def test_the_larger_the_shape_the_heavier_the_tail(shape: float, heavier: float, tails: float) -> None:
    small, large = sorted((shape, heavier))
    assert part_beyond(small, tails) <= part_beyond(large, tails) * (1 + 1e-9)


@given(shape=shapes)
def test_just_above_the_threshold_the_shape_tells_nothing(shape: float) -> None:
    assert part_beyond(shape, 1e-3) == pytest.approx(math.exp(-1e-3), rel=1e-5)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.title)
def test_no_score_is_beyond_reckoning(detector: Detector) -> None:
    budget = Budget(PageBudget(), (detector,))
    for score in (-math.inf, 0.0, 1e308, math.inf):
        assert 0 <= budget.expected_per_week(BudgetState(), NOW, detector, score) <= detector.natural_per_week


def test_a_heavy_tail_raises_the_bar_most_where_it_is_extrapolated_furthest() -> None:
    raised = [bar(step(0.5), services) - bar(step(0.0), services) for services in (40, 320, 3200)]
    assert raised == sorted(raised)
    assert raised[0] < 0.5 * raised[1], "an organisation of forty services hardly knows of it"


@given(shape=shapes, services=st.integers(1, 10_000), pages=st.floats(0.1, 20), seen=st.integers(0, 30))
def test_more_services_more_episodes_and_a_smaller_promise_raise_the_bar(
    shape: float, services: int, pages: float, seen: int
) -> None:
    one = step(shape)
    usual = bar(one, services, pages, seen)
    for higher in (bar(one, 2 * services, pages, seen), bar(one, services, pages / 2, seen),
                   bar(one, services, pages, seen + 1)):  # fmt: skip
        assert higher >= usual * (1 - 1e-9)


def test_a_pilot_may_have_a_tail_of_its_own() -> None:
    pilot = msgspec.structs.replace(step(0.0), name="pilot")
    budget = Budget(PageBudget(), (step(0.5), pilot))
    said = [
        budget.expected_per_week(BudgetState(), NOW, budget.detector(title), 3.0) for title in ("driver_step", "pilot")
    ]
    assert said[0] > 2 * said[1]


WEEKS_A_QUARTER, QUARTERS = 13, 4


def pages_per_week_by_quarter(services: int, luck: random.Random, *, calls_them_false: bool) -> list[float]:
    """What pages in a year in which all that is odd comes by chance, as often and as far out as is believed of it."""
    budget, state = Budget(PageBudget(), DETECTORS), BudgetState(began=0, services=services)
    minutes = WEEKS_A_QUARTER * QUARTERS * MINUTES_PER_WEEK
    episodes = [
        (luck.randrange(minutes), one, luck.random())
        for one in DETECTORS
        for _ in range(round(one.natural_per_week * services / 40 * WEEKS_A_QUARTER * QUARTERS))
    ]
    paged = [0] * QUARTERS
    for number, (minute, one, beyond) in enumerate(sorted(episodes, key=lambda episode: episode[0])):
        shape = one.tail_shape
        tails = (beyond**-shape - 1) / shape if shape else -math.log(beyond)
        is_page = budget.is_worth_a_page(state, minute, one, one.threshold + one.tail * tails)
        paged[minute * QUARTERS // minutes] += is_page
        if calls_them_false or not is_page:
            budget.observe(state, minute, one.title, str(number), is_false_page=is_page)
    return [pages / WEEKS_A_QUARTER for pages in paged]


@pytest.mark.parametrize("calls_them_false", [False, True])
@pytest.mark.parametrize("services", [40, 320])
def test_a_promise_is_kept_all_year_whether_or_not_anybody_says_what_was_false(
    services: int, calls_them_false: bool
) -> None:
    """What pages is not seen to be natural: were it forgotten, the bar would sink from quarter to quarter."""
    years = [
        pages_per_week_by_quarter(services, random.Random(seed), calls_them_false=calls_them_false) for seed in range(8)
    ]
    by_quarter = [sum(quarter) / len(years) for quarter in zip(*years, strict=True)]
    promised = PageBudget().pages_per_week
    assert 0.7 * promised <= sum(by_quarter) / QUARTERS <= 1.1 * promised
    assert by_quarter[-1] <= 1.15 * promised, "and it does not grow"
