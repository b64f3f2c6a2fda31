"""Hostile messages stop nothing: each is refused with its reason, and every valid event beside it counts once.

The long run of a million is ``make faults``.
"""

from __future__ import annotations

import pytest

from tests.faults.hostile import messages
from tests.faults.hostile_run import run

COUNT = 15_000


@pytest.mark.parametrize(("seed", "batch"), [(1, 5000), (2, 7), (3, 1)])
def test_each_hostile_message_is_refused_and_each_valid_event_counts(seed: int, batch: int) -> None:
    outcome = run(seed, COUNT if batch > 1 else COUNT // 5, batch)

    assert outcome.wrong[:3] == []
    assert outcome.valid == outcome.messages // 3 * 2
    assert {"not_json", "wrong_type", "missing_field", "out_of_range", "bad_time", "oversized"} <= set(outcome.refused)
    assert {"future_time", "cached_above_input", "errors_above_requests"} <= set(outcome.refused)


def test_the_same_seed_makes_the_same_messages() -> None:
    assert list(messages(5, 300)) == list(messages(5, 300)) != list(messages(6, 300))
