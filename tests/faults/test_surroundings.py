"""What is around the worker fails: the broker, the receiver."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.broker import Broker, brokers_named
from tests.faults.reference import expected
from tests.faults.run import CHUNKS, Run, a_run
from tests.faults.workload import SERVICES

OUTAGES = 2


@pytest.mark.long
@pytest.mark.skipif(brokers_named() is not None, reason="a broker that the environment names is not ours to kill")
def test_a_broker_killed_and_started_again_loses_nothing(tmp_path: Path) -> None:
    with Broker() as broker, a_run(broker.address, tmp_path) as run:
        run.worker("one").begin()
        for _ in range(OUTAGES):
            run.send(4)
            run.wait_until_told()
            run.send(4)
            broker.kill()
            broker.start()
        run.finish()


@pytest.mark.long
def test_a_dead_receiver_holds_up_nobody_and_hears_each_incident_in_order(run: Run) -> None:
    run.receiver.is_down = True
    run.worker("one").begin()
    run.send(CHUNKS)
    raised = len(expected(run.settings, run.config).alerts)
    run.wait(lambda: run.alerts_raised() == raised, "every alert, although nobody can be told")
    run.wait(lambda: run.receiver.refused > 3 * len(SERVICES), "each incident to have given way to the others")
    assert run.receiver.told() == []

    run.receiver.is_down = False
    run.finish()

    words = [key.rsplit("/", 1) for key, _ in run.receiver.told()]
    told = {incident: [int(number) for name, number in words if name == incident] for incident, _ in words}
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in told.values())
