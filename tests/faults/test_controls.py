"""Negative controls: with one safeguard switched off, the same fault is noticed."""

from __future__ import annotations

import signal

import pytest

from tests.faults.outcome import NotExactError
from tests.faults.run import Run


@pytest.mark.long
def test_without_the_fence_a_sleeper_that_wakes_up_is_noticed(run: Run) -> None:
    sleeper = run.worker("sleeper").begin("watch-*: before begin@3:pause", "--without", "fence")  # two acquire
    run.send_until(lambda: sleeper.was_struck, sleeper)
    run.worker("successor").begin("", "--without", "fence")
    run.send(4)
    run.wait_until_told()
    assert not run.is_doubled
    sleeper.send(signal.SIGCONT)
    run.wait(lambda: run.is_doubled, "the sleeper to send what its successor has sent")


@pytest.mark.parametrize(
    ("safeguard", "strike"),
    [
        ("emitted", "watch-*: after commit@8:kill"),  # the first are the marks of acquisition
        pytest.param("row-skip", "intake: after send@2:kill", marks=pytest.mark.long),
        pytest.param("intent", "POST", marks=pytest.mark.long),
    ],
)
def test_without_a_safeguard_a_crash_is_noticed(run: Run, safeguard: str, strike: str) -> None:
    worker = run.worker("one")
    off = ("--without", safeguard)
    if safeguard == "emitted":
        run.save_seldom()  # a checkpoint would leave nothing to send again
    if strike == "POST":
        run.receiver.on_post = lambda count: worker.kill() if count == 3 else None
        worker.begin("never@1:kill", *off)
    else:
        worker.begin(strike, *off)
    run.send_until(lambda: worker.has_ended, worker)
    worker.begin("", *off)
    with pytest.raises(NotExactError):
        run.finish()


@pytest.mark.long
def test_a_lost_input_is_noticed_by_its_number_and_read_again(run: Run) -> None:
    worker = run.worker("one").begin("watch-1@20:lose")
    run.send_until(lambda: worker.has_ended, worker)
    assert worker.has_said("InputGapError"), worker.log[-3000:]
    worker.begin()
    run.finish()


@pytest.mark.long
def test_without_contiguity_a_lost_input_stays_lost(run: Run) -> None:
    worker = run.worker("one").begin("watch-1@20:lose", "--without", "contiguity")
    run.send_until(lambda: worker.was_struck, worker)
    with pytest.raises(NotExactError):
        run.finish()
