"""Workers that come, go and are killed while events keep coming."""

from __future__ import annotations

import random
import signal
from functools import partial

import pytest

from tests.faults.run import Run

KILLS = 6
VISITS = 4
GUESTS, STORMS = 3, 6


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 9))])
def test_two_workers_killed_at_random_are_exact(run: Run, seed: int) -> None:
    luck = random.Random(seed)
    workers = [run.worker(name).begin() for name in ("one", "two")]
    for _ in range(KILLS):
        run.send(3)
        run.wait(partial(run.has_told, len(run.receiver.told()) + luck.randrange(4)), "some alerts")
        luck.choice([worker for worker in workers if not worker.has_ended]).kill()
    run.finish()


@pytest.mark.long
def test_a_worker_that_joins_and_leaves_again_and_again_disturbs_nothing(run: Run) -> None:
    run.worker("steady").begin()
    guest = run.worker("guest")
    for _ in range(VISITS):
        run.send(2)
        guest.begin()
        run.wait(guest.is_ready, "the guest to hold its part")
        run.send(2)
        guest.leave()
    run.finish()


@pytest.mark.long
def test_a_storm_of_rebalances_disturbs_nothing(run: Run) -> None:
    luck = random.Random(11)
    guests = [run.worker(f"guest-{number}") for number in range(GUESTS)]
    run.worker("steady").begin()
    for _ in range(STORMS):
        for guest in guests:
            if guest.process is None or guest.has_ended:
                guest.begin()
        run.send(2)
        for guest in luck.sample(guests, GUESTS - 1):  # each in the midst of the rebalance that the one before caused
            run.wait(partial(guest.has_said, "intake_assigned"), "the guest to come in")
            if not guest.has_ended:
                guest.throw_out(luck.choice([signal.SIGTERM, signal.SIGKILL]))
    run.finish()


@pytest.mark.long
def test_stopped_under_load_it_goes_on_where_it_was(run: Run) -> None:
    worker = run.worker("one")
    for _ in range(VISITS):
        worker.begin()
        run.wait(worker.is_ready, "the worker to hold its partitions")
        run.send(4)
        worker.leave()
    worker.begin()
    run.finish()
