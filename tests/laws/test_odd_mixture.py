"""When the isolation forest is grown: at first, and whenever half of all its examples are news to it."""

from __future__ import annotations

import itertools

from detectors.kinds.odd_mixture import OddMixture
from tests.laws.test_detector_laws import rows_of

DETECTOR = OddMixture(trees=10, least_examples=16, refit_minutes=60)
ROWS = [0.5, 1.0, 2.0] * 8
"""Every third row is a service's: eight examples a minute."""


def grown_after(minutes: list[int]) -> list[int]:
    """The minutes, of those given, after which there is another forest than before."""
    states = itertools.accumulate(
        minutes, lambda state, minute: DETECTOR.step(state, rows_of(ROWS, minute, sampled=True))[0],
        initial=DETECTOR.start(),
    )  # fmt: skip
    pairs = zip(minutes, itertools.pairwise(states), strict=True)
    return [minute for minute, (before, after) in pairs if after.forest is not before.forest]


def test_the_first_forest_waits_for_enough_examples() -> None:
    assert grown_after([1_000_000, 1_000_001, 1_000_002]) == [1_000_001]


def test_a_forest_is_grown_anew_once_twice_as_many_examples_were_offered() -> None:
    hourly = [1_000_000 + 60 * hour for hour in range(17)]
    assert grown_after(hourly) == [hourly[1], hourly[3], hourly[7], hourly[15]]


def test_a_forest_stays_for_as_long_as_configured_however_many_examples_come() -> None:
    every_minute = [1_000_000 + minute for minute in range(80)]
    assert grown_after(every_minute) == [every_minute[1], every_minute[61]]
