"""What is paid is held against a list whose weights a series learns, and nothing else becomes of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.baselines.baselines import BASE_OF_HORIZON, C_UNIT, Activity, Baselines, BaselineState, Known
from detectors.baselines.bill import EXACT
from detectors.minutes.totals import INP, LIST, LIST_IN, LIST_RAW, OUT, PAID, TOTALS, Floats, N

Numbers = NDArray[np.float64]
MINUTES = 600
INPUT, CACHED, OUTPUT = 3e-6, 3e-7, 15e-6
_NONE = np.zeros(0, np.int32)


def totals(fresh: Numbers, cached: Numbers, made: Numbers, fresh_costs: float = 1.0) -> Floats:
    """A minute a row, of so many tokens; what does not come from a cache costs so many times the list price."""
    rows = np.zeros((len(fresh), len(TOTALS)))
    rows[:, N], rows[:, INP], rows[:, OUT] = 40, fresh + cached, made
    rows[:, LIST_RAW], rows[:, LIST_IN] = (fresh + cached) * INPUT, fresh * INPUT + cached * CACHED
    rows[:, LIST] = rows[:, LIST_IN] + made * OUTPUT
    rows[:, PAID] = fresh * INPUT * fresh_costs + cached * CACHED + made * OUTPUT
    return rows


def usual(minutes: int = MINUTES, fresh_costs: float = 1.0) -> Floats:
    """Minutes of which each has another share of its input from a cache, and another length of answers."""
    luck = np.random.default_rng(0)
    given, share = luck.uniform(20_000, 60_000, minutes), luck.uniform(0.6, 0.95, minutes)
    return totals(given * (1 - share), given * share, luck.uniform(2_000, 8_000, minutes), fresh_costs)


def judged(rows: Floats) -> tuple[BaselineState, Known]:
    """One series that did this, minute after minute."""
    count = len(rows)
    minute, series = np.arange(count, dtype=np.int32) + np.int32(1_000_000), np.zeros(count, np.int32)
    given = Activity(minute, series, np.arange(count, dtype=np.int32), rows, _NONE, _NONE, np.zeros((0, len(TOTALS))))
    state, known, _ = Baselines().step(Baselines().start(), given, 1)
    return state, known


def test_a_bill_of_other_weights_than_the_list_is_learned_within_hours() -> None:
    state, known = judged(usual(fresh_costs=1.25))
    saved, made = state.bills.weights[0].tolist()
    true = np.array([1.25, 1.25 - (1.25 * INPUT - CACHED) / (INPUT - CACHED), -0.25]) / 1.25
    assert (saved, made) == (pytest.approx(true[1], abs=0.005), pytest.approx(true[2], abs=0.005))
    assert abs(known.step[120:, :, C_UNIT]).max() < 0.01
    assert abs(known.step[300:, :, C_UNIT]).max() < 0.003
    assert known.scale[-1, 0, C_UNIT] < 1.5 * EXACT


def test_where_the_list_is_what_is_paid_it_stays_so() -> None:
    state, known = judged(usual())
    assert abs(state.bills.weights[0]).max() < 1e-6
    assert abs(known.step[:, :, C_UNIT]).max() < 1e-6


@pytest.mark.parametrize("fresh_costs", [1.0, 1.25])
def test_a_price_that_rises_for_all_tokens_shows_in_full_and_changes_no_weight(fresh_costs: float) -> None:
    rows = usual(2 * MINUTES, fresh_costs)
    before, _ = judged(rows[:MINUTES])
    rows[MINUTES:, PAID] *= 1.2
    after, known = judged(rows)
    rise = np.log(1.2)
    assert known.step[MINUTES + 10, 0, C_UNIT] == pytest.approx(rise, abs=0.2 * rise)
    assert known.step[MINUTES + 300, 4, C_UNIT] == pytest.approx(rise, abs=0.4 * rise)
    assert abs(after.bills.weights[0] - before.bills.weights[0]).max() < 0.03


def test_output_that_became_dearer_is_told_of_and_then_known() -> None:
    rows = usual(20 * MINUTES)
    rows[MINUTES:, PAID] += 0.3 * (rows[MINUTES:, LIST] - rows[MINUTES:, LIST_IN])
    state, known = judged(rows)
    assert known.step[MINUTES + 10 : MINUTES + 20, 0, C_UNIT].min() > 0.1
    assert state.bills.weights[0, 1] == pytest.approx(0.3, abs=0.05)
    assert np.median(abs(known.step[-200:, 0, C_UNIT])) < EXACT


def test_what_is_mixed_as_it_never_was_is_known_less_well() -> None:
    """The cache has always served nearly all, and answers were as long: what it saves was hardly seen to differ."""
    luck = np.random.default_rng(0)
    given = luck.uniform(20_000, 60_000, MINUTES)
    share = np.append(luck.uniform(0.89, 0.91, MINUTES - 10), np.zeros(10))
    rows = totals(given * (1 - share), given * share, given / 10, fresh_costs=1.25)
    rows[:, PAID] *= luck.uniform(0.997, 1.003, MINUTES)
    _, known = judged(rows)
    step, scale = known.step[:, 0, C_UNIT], known.scale[:, 0, C_UNIT]
    assert np.median(scale[300:-10]) < 2 * EXACT
    assert scale[-10] > 3 * EXACT
    assert (abs(step[-10:]) < 2 * scale[-10:]).all()


def test_another_currency_changes_no_bit() -> None:
    rows = usual(fresh_costs=1.25)
    dearer = rows.copy()
    dearer[:, PAID:] *= 1024.0
    (one, seen), (other, seen_dearer) = judged(rows), judged(dearer)
    for column, again in zip(one.bills, other.bills, strict=True):
        assert column.tobytes() == again.tobytes()
    assert seen.scale[:, :, C_UNIT].tobytes() == seen_dearer.scale[:, :, C_UNIT].tobytes()


def test_nothing_that_can_be_summed_makes_weights_or_scales_that_are_no_numbers() -> None:
    luck = np.random.default_rng(0)
    rows = luck.choice([0.0, 1e-13, 1e-9, 1.0, 1e9, 1e22], (5_000, len(TOTALS)))
    state, known = judged(rows)
    for column in state.bills:
        assert np.isfinite(column).all()
    assert np.isfinite(known.scale).all()
    assert (known.scale >= 0).all()
    assert np.isfinite(known.step).all()
    assert len(BASE_OF_HORIZON) == known.scale.shape[1]
