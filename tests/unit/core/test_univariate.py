"""The univariate core: causal, the same in any unit, calm where nothing happens, unharmed by what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.one_metric import univariate

Floats = NDArray[np.float64]
SERIES = ("seasonal", "walk", "counts", "still then steps", "heavy tails")
BAD = (np.nan, np.inf, -np.inf, 1e300)


def a_series(kind: str, seed: int, rows: int = 1500) -> Floats:
    rng, at = np.random.default_rng(seed), np.arange(rows)
    made = {
        "seasonal": 10 + 3 * np.sin(at * 2 * np.pi / 96) + rng.normal(0, 0.3, rows),
        "walk": rng.normal(0, 1, rows).cumsum(),
        "counts": rng.poisson(2 + np.sin(at * 2 * np.pi / 144), rows).astype(float),
        "still then steps": (at > 700) * 1.0 + (at > 1100) * 2.0,
        "heavy tails": rng.standard_t(2, rows),
    }
    values = made[kind]
    if kind != "still then steps":
        values[rows * 2 // 3 : rows * 2 // 3 + 20] += 8
    return np.asarray(values, np.float64)


def said_of(values: Floats) -> univariate.Words:
    return univariate.step(univariate.start(), values)[1]


@pytest.mark.parametrize("kind", SERIES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 999), cut=st.integers(1, 1499))
def test_what_comes_later_changes_nothing_said_before(kind: str, seed: int, cut: int) -> None:
    values = a_series(kind, seed)
    whole, start_only = said_of(values), said_of(values[:cut])
    for all_, first in zip(whole, start_only, strict=True):
        np.testing.assert_array_equal(all_[:cut], first)


@pytest.mark.parametrize("kind", SERIES)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 999), cuts=st.lists(st.integers(1, 799), max_size=6))
def test_how_many_values_come_at_once_changes_nothing(kind: str, seed: int, cuts: list[int]) -> None:
    values = a_series(kind, seed, rows=800)
    state, parts = univariate.start(), []
    for part in np.split(values, sorted(cuts)):
        state, words = univariate.step(state, part)
        parts.append(words.score)
    np.testing.assert_array_equal(np.concatenate(parts), said_of(values).score)


@pytest.mark.parametrize("kind", SERIES)
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 999),
    size=st.sampled_from([2.0**-20, 0.125, 4.0, 1024.0]),
    zero=st.sampled_from([0.0, 1.0, -64.0, 1000.0]),
)
def test_neither_unit_nor_zero_changes_a_score(kind: str, seed: int, size: float, zero: float) -> None:
    """The values are sixteenths, so that moving their zero rounds nothing."""
    values = np.round(a_series(kind, seed) * 16) / 16
    np.testing.assert_allclose(said_of(size * values + size * zero).score, said_of(values).score, atol=1e-6)


@given(value=st.floats(-1e12, 1e12), rows=st.integers(1, 400))
@settings(max_examples=40, deadline=None)
def test_a_constant_is_never_odd(value: float, rows: int) -> None:
    words = said_of(np.full(rows, value))
    assert not words.score.any()
    assert (words.p_value == 1).all()


@pytest.mark.parametrize("kind", SERIES)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_what_is_missing_is_neither_odd_nor_harmful(kind: str, data: st.DataObject) -> None:
    values = a_series(kind, data.draw(st.integers(0, 999)))
    holes = data.draw(st.lists(st.integers(0, 1499), max_size=40, unique=True))
    values[holes] = data.draw(st.sampled_from(BAD))
    words = said_of(values)
    assert not words.score[holes].any()
    assert np.isfinite(words.score).all()
    assert (words.score >= 0).all()
    assert (words.score < 1).all()
    known = np.ones(len(values), bool)
    known[holes] = False
    assert np.isfinite(words.expected[np.argmax(known) :]).all()


def test_nothing_but_missing_says_nothing() -> None:
    state, words = univariate.step(univariate.start(), np.full(300, np.nan))
    assert not words.score.any()
    assert univariate.step(state, np.zeros(0))[1].score.shape == (0,)


def test_a_cycle_keeps_its_phase_across_a_gap() -> None:
    values = a_series("seasonal", 1)[:960]
    values[500:530] = np.nan
    words = said_of(values)
    assert words.score[600:].max() < 0.7
    assert np.abs(words.expected[800:] - values[800:]).mean() < 0.6


@pytest.mark.parametrize("huge", [1e20, 1e140, -1e140])
def test_a_huge_value_is_odd_and_soon_forgotten(huge: float) -> None:
    values = a_series("seasonal", 2)[:900]
    values[600] = huge
    words = said_of(values)
    assert np.isfinite(words.score).all()
    assert words.score[600] == words.score.max()
    assert words.score[750:].max() < words.score[600]


@pytest.mark.parametrize("kind", ["seasonal", "counts", "walk"])
def test_a_spike_ranks_first(kind: str) -> None:
    values = a_series(kind, 3)[:950]
    values[900] += 40
    assert int(said_of(values).score.argmax()) in range(900, 903)


def test_its_state_does_not_grow() -> None:
    state, _ = univariate.step(univariate.start(), a_series("seasonal", 4, rows=9000))
    arrays = [state.calm, state.odd, *(view.ring for view in state.views), *(view.usual for view in state.views)]
    assert sum(a.nbytes for a in arrays if a is not None) < 400_000
