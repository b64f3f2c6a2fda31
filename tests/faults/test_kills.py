"""Killed at every named point, a worker that starts again loses nothing and doubles nothing."""

from __future__ import annotations

from functools import partial

import pytest

from streams.kafka.giving_up import GIVEN_UP
from tests.faults.run import Run

AROUND_TRANSACTIONS = ("before begin", "after send", "before commit", "after commit")
STRIKES = {
    "intake": [f"intake: {point}@2:kill" for point in ("sending", "after send", "after commit")],
    "acquisition": [
        f"{agent}: {point}@1:kill" for agent in ("watch-1", "deliver-0") for point in ("fenced", "state read")
    ],
    "watch": [f"watch-*: {point}@4:kill" for point in AROUND_TRANSACTIONS],
    "incidents": [f"incidents-0: {point}@2:kill" for point in AROUND_TRANSACTIONS],
    "deliver": [f"deliver-0: {point}@3:kill" for point in AROUND_TRANSACTIONS],
}

INTAKE_KILLS = (1, 4)
"""After so many words of alerts."""

POSTS = (2, 5, 9)
"""The receiver has them, and the worker does not know it."""

long = pytest.mark.long


@pytest.mark.parametrize(
    "stage",
    ["watch", "deliver", pytest.param("intake", marks=long), pytest.param("acquisition", marks=long),
     pytest.param("incidents", marks=long)],
)  # fmt: skip
def test_a_worker_killed_at_every_point_is_exact(run: Run, stage: str) -> None:
    worker = run.worker("one")
    for strike in STRIKES[stage]:
        worker.begin(strike)
        run.send_until(lambda: worker.has_ended, worker)
        assert worker.was_struck, worker.log[-3000:]
    worker.begin()
    run.finish()


def test_killed_in_the_midst_of_a_post_it_sends_again_and_says_so(run: Run) -> None:
    worker = run.worker("one").begin()
    run.receiver.on_post = lambda count: worker.kill() if count in POSTS else None
    run.finish()
    assert sum(is_marked for _, is_marked in run.receiver.told()) >= len(POSTS)


def test_a_worker_whose_intake_is_killed_gives_up_and_is_exact(run: Run) -> None:
    worker = run.worker("one").begin()
    for words in INTAKE_KILLS:
        run.send(2)
        run.wait(partial(run.has_told, words), "some alerts")
        worker.is_tended = False
        worker.kill_intake()
        assert worker.wait() == GIVEN_UP, worker.log[-3000:]
        worker.begin()
    run.finish()


@long
def test_without_any_fault_a_run_is_exact(run: Run) -> None:
    run.worker("one").begin()
    run.finish()
