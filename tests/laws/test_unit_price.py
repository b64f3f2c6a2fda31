"""When paid over list is a price that rose, and when the list only does not say what is paid."""

from __future__ import annotations

import random

import pytest

from detectors.verdicts import ANOMALOUS
from tests.laws.scenarios import Trial, row
from tests.laws.streams import NANO_RATES, START, Event

MINUTES_A_ROW = 10
WARM_MINUTES = 24 * 60
_INPUT, _CACHED, _, _OUTPUT = (nano / 1e9 for nano in NANO_RATES["large"][:4])


def _paid(cached_share: float, uncached_costs: float, times: float) -> Event:
    """Forty requests, some of whose input came from a cache; what did not costs so many times the list price."""
    given, made = 36_000, 4_800
    cached = round(given * cached_share)
    usd = (given - cached) * _INPUT * uncached_costs + cached * _CACHED + made * _OUTPUT
    tokens = {"input_tokens": given, "cached_input_tokens": cached, "output_tokens": made}
    return row("bot", {"model": "large", "requests": 40, **tokens, "cost_usd": usd * times})


def _trial(
    uncached_costs: float,
    rise: float = 1.0,
    discounts: tuple[float, ...] = (1.0,),
    usual: tuple[float, float] = (0.1, 0.9),
    then: tuple[float, float] | None = None,
) -> Trial:
    """A day at usual prices, and two hours after a price rose.

    Parameters
    ----------
    uncached_costs
        What does not come from a cache, over its list price.
    rise
        All prices after the day over those before.
    discounts
        What is paid of these, now one, now another, all the time.
    usual, then
        Between which shares the cache serves, on the day before and after it.
    """
    trial, luck = Trial("unit_price"), random.Random(0)
    for at in range(0, WARM_MINUTES + 120, MINUTES_A_ROW):
        times, shares = (rise, then or usual) if at >= WARM_MINUTES else (1.0, usual)
        paid = _paid(luck.uniform(*shares), uncached_costs, times * luck.choice(discounts))
        trial.minute(START + at, [paid])
    return trial.end(START + WARM_MINUTES + 120)


def _spoken(trial: Trial) -> list[int]:
    """Minutes after a price rose in which the detector says so."""
    return [minute - START - WARM_MINUTES for minute, _, status, _ in trial.words() if status == ANOMALOUS]


def test_writes_to_a_cache_that_are_billed_and_not_counted_are_no_rise_of_the_price() -> None:
    assert _spoken(_trial(uncached_costs=1.25)) == []


@pytest.mark.parametrize("uncached_costs", [1.0, 1.25])
def test_a_cache_that_never_served_so_little_is_no_rise_of_the_price(uncached_costs: float) -> None:
    assert _spoken(_trial(uncached_costs, usual=(0.8, 0.9), then=(0.0, 0.1))) == []


@pytest.mark.parametrize("uncached_costs", [1.0, 1.25])
@pytest.mark.parametrize("rise", [1.06, 1.3])
def test_a_small_rise_is_told_of_at_once_also_where_the_list_is_not_what_is_paid(
    uncached_costs: float, rise: float
) -> None:
    trial = _trial(uncached_costs, rise)
    assert min(_spoken(trial), default=None) == 0
    assert f"(x{rise:.1f})" in trial.alerts[0].reason


def test_where_the_ratio_moves_by_what_no_token_says_a_rise_must_stand_out_from_that() -> None:
    assert _spoken(_trial(uncached_costs=1.0, discounts=(1.0, 0.95))) == []
    assert _spoken(_trial(uncached_costs=1.0, discounts=(1.0, 0.95), rise=1.06)) == []
    assert min(_spoken(_trial(uncached_costs=1.0, discounts=(1.0, 0.95), rise=3.0)), default=None) == 0
