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


def _spoken(uncached_costs: float, rise: float = 1.0) -> list[int]:
    """Minutes after a price rose in which the detector says so; the cache serves more and less all day."""
    trial, luck = Trial("unit_price"), random.Random(0)
    for at in range(0, WARM_MINUTES + 120, MINUTES_A_ROW):
        times = rise if at >= WARM_MINUTES else 1.0
        trial.minute(START + at, [_paid(luck.choice([0.1, 0.9]), uncached_costs, times)])
    words = trial.end(START + WARM_MINUTES + 120).words()
    return [minute - START - WARM_MINUTES for minute, _, status, _ in words if status == ANOMALOUS]


def test_writes_to_a_cache_that_are_billed_and_not_counted_are_no_rise_of_the_price() -> None:
    assert _spoken(uncached_costs=1.25) == []


@pytest.mark.parametrize("rise", [1.06, 1.3])
def test_where_the_list_is_what_is_paid_a_small_rise_is_told_of_at_once(rise: float) -> None:
    assert min(_spoken(uncached_costs=1.0, rise=rise), default=None) == 0


def test_where_the_ratio_moves_by_itself_a_rise_must_stand_out_from_that() -> None:
    assert _spoken(uncached_costs=1.25, rise=1.06) == []
    assert min(_spoken(uncached_costs=1.25, rise=10.0), default=None) == 0
