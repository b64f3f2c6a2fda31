"""The process of intake as its worker sees it: what it is told, what it tells, and how either ends the other."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from detectors.intake.admission import IntakeSettings
from streams.configuration.files import Price
from streams.configuration.kafka_settings import KafkaSettings
from streams.intake_counts import IntakeCounts
from streams.kafka.giving_up import GIVEN_UP
from streams.kafka.intake_process import COMMAND, STOP, IntakeEndedError, IntakeProcess, IntakeTask

TASK = IntakeTask(
    KafkaSettings(topic_prefix="finops."), IntakeSettings(shards=7), (Price(model="x", usd_per_gpu_hour=2.0),), 5.0, "a"
)
TAKEN = IntakeCounts(taken={"usage": 3}, rejected={"not_json": 1})

_TELLS_AND_ENDS = f"""
import sys
task = sys.stdin.buffer.readline()
sys.stdout.buffer.write({msgspec.json.encode(TAKEN)!r} + b"\\n")
sys.stdout.flush()
assert b"finops." in task
"""
_UNTIL_TOLD = f"{_TELLS_AND_ENDS}\nassert sys.stdin.buffer.readline() == {STOP!r}"


def of(script: str, heard: list[IntakeCounts]) -> IntakeProcess:
    """A stand-in for the process: a few lines of Python."""

    def observe(counts: IntakeCounts) -> None:
        heard.append(counts)
        if script == _UNTIL_TOLD:
            process.stop()

    process = IntakeProcess(TASK, observe, (sys.executable, "-c", script))
    return process


async def test_what_was_taken_is_told_and_it_ends_when_told() -> None:
    heard: list[IntakeCounts] = []
    process = of(_UNTIL_TOLD, heard)
    await process.start()
    assert (process.is_ready, heard) == (False, [])
    await process.run()
    assert (process.is_ready, heard) == (True, [TAKEN])


@pytest.mark.parametrize("code", [0, GIVEN_UP])
async def test_it_is_noticed_when_it_ends_unasked(code: int) -> None:
    process = of(f"{_TELLS_AND_ENDS}\nsys.exit({code})", [])
    await process.start()
    with pytest.raises(IntakeEndedError, match=f"ended with {code}"):
        await process.run()


async def test_it_is_noticed_when_it_cannot_finish_what_is_in_flight() -> None:
    process = of(f"{_TELLS_AND_ENDS}\nsys.exit({GIVEN_UP})", [])
    await process.start()
    process.stop()
    with pytest.raises(IntakeEndedError):
        await process.run()


async def test_nothing_is_left_of_one_that_never_got_its_task() -> None:
    process = of("import sys; sys.stdin.read()", [])
    await process.start()
    await process.close()
    assert process.pid is not None
    assert process._process is not None
    assert process._process.returncode is not None


def test_one_whose_worker_is_gone_before_it_has_a_task_ends_well() -> None:
    done = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_task_is_read_as_it_was_given() -> None:
    assert msgspec.json.decode(msgspec.json.encode(TASK), type=IntakeTask) == TASK
