"""How evenly a series calls: the same whether its rows come on time or late, and no news where it always was so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.baselines.rhythm import LATELY_MINUTES, Beats, Rhythm, empty_rhythm, keep_rhythm

Requests = NDArray[np.float64]


def rhythm_of(requests: Requests, late_minutes: dict[int, int] | None = None) -> Rhythm:
    """The rhythm, minute by minute, of a series that is active in each; some minutes' requests come so much later."""
    late = late_minutes or {}
    on_time = requests.copy()
    on_time[list(late)] = 0.0
    came = sorted((minute + age, age, requests[minute]) for minute, age in late.items())
    minutes, passed = np.arange(len(requests), dtype=np.int32), np.ones(len(requests), np.int32)
    passed[0] = 0
    beats = Beats(
        minutes, np.zeros_like(minutes), passed, minutes == 0, on_time, on_time,
        np.array([row for row, _, _ in came], np.int32), np.array([age for _, age, _ in came], np.int32),
        np.array([count for _, _, count in came], float),
    )  # fmt: skip
    return keep_rhythm(empty_rhythm(1), beats)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    late=st.dictionaries(st.integers(1, 280), st.integers(1, LATELY_MINUTES - 2), max_size=30),
)
def test_late_requests_leave_no_mark(seed: int, late: dict[int, int]) -> None:
    requests = np.random.default_rng(seed).poisson(50, 300).astype(float)
    on_time, mended = rhythm_of(requests), rhythm_of(requests, late)
    assert mended.jitter[-1] == pytest.approx(on_time.jitter[-1], rel=1e-3)
    assert mended.evenness[-1] == pytest.approx(on_time.evenness[-1], rel=1e-3)
    assert mended.requests_per_minute[-1] == pytest.approx(on_time.requests_per_minute[-1], rel=1e-3)


def test_what_comes_later_than_is_remembered_changes_nothing() -> None:
    requests = np.full(60, 50.0)
    missed = requests.copy()
    missed[20] = 0.0
    assert rhythm_of(requests, {20: LATELY_MINUTES}).jitter[-1] == rhythm_of(missed).jitter[-1]


def test_independent_calls_have_a_jitter_and_an_evenness_of_about_one() -> None:
    told = rhythm_of(np.random.default_rng(0).poisson(50, 3000).astype(float))
    assert told.jitter[1000:].mean() == pytest.approx(1.0, abs=0.1)
    assert told.evenness[1000:].mean() == pytest.approx(1.7, abs=0.2)


def test_a_clock_is_news_only_for_some_hours() -> None:
    people = np.random.default_rng(0).poisson(5, 1440) * 10.0
    told = rhythm_of(np.concatenate([people, np.full(1440, 50.0)]))
    assert told.evenness[1440 + 120] > 4 * told.highest_evenness[1440 + 120]
    assert told.highest_evenness[-1] > told.evenness[-1] * 0.9


def test_who_calls_more_often_than_can_be_counted_is_no_clock() -> None:
    assert rhythm_of(np.full(300, 70_000.0)).evenness[-1] < 0.01
