"""A worker that is paused beyond its session, replaced, and wakes up again: nothing that it still does counts."""

from __future__ import annotations

import pytest

from tests.faults.run import Run


@pytest.mark.parametrize(
    "point",
    [
        "watch-*: before commit",
        pytest.param("watch-*: before begin", marks=pytest.mark.long),
        pytest.param("incidents-0: after send", marks=pytest.mark.long),
        pytest.param("deliver-0: before begin", marks=pytest.mark.long),
        pytest.param("intake: sending", marks=pytest.mark.long),
    ],
)
def test_a_worker_that_slept_while_another_took_over_changes_nothing(run: Run, point: str) -> None:
    sleeper = run.worker("sleeper").begin(f"{point}@4:pause")
    run.send_until(lambda: sleeper.was_struck, sleeper)
    run.worker("successor").begin()
    run.send(4)
    run.wait_until_told()
    sleeper.wake()
    run.finish()
