"""Hostile messages stop nothing: each is refused with its reason, and every valid event beside it counts once.

The long run of a million is ``make faults``.
"""

from __future__ import annotations

import pytest

from tests.faults.hostile import messages
from tests.faults.hostile_run import run

A_MILLION = 999_999
"""Divisible by three, as the kinds of messages take turns."""


@pytest.mark.parametrize(
    ("seed", "count", "batch"),
    [(1, 15_000, 5000), (2, 15_000, 7), (3, 3000, 1), pytest.param(4, A_MILLION, 5000, marks=pytest.mark.long)],
)
def test_each_hostile_message_is_refused_and_each_valid_event_counts(seed: int, count: int, batch: int) -> None:
    outcome = run(seed, count, batch)

    assert outcome.wrong[:3] == []
    assert outcome.valid == outcome.messages // 3 * 2
    assert {"not_json", "wrong_type", "missing_field", "out_of_range", "bad_time", "oversized"} <= set(outcome.refused)
    assert {"future_time", "cached_above_input", "errors_above_requests"} <= set(outcome.refused)


def test_the_same_seed_makes_the_same_messages() -> None:
    assert list(messages(5, 300)) == list(messages(5, 300)) != list(messages(6, 300))
