"""Intake in a process of its own: what makes columns of messages and what judges them share no interpreter.

A worker starts it and tells it, on its standard input, what to do (:class:`IntakeTask`, a line of JSON) and when to
stop (:data:`STOP`). On its standard output it tells what it took, once that is committed, a line of
:class:`IntakeCounts` at a time. Neither outlives the other: where its input ends without a word it exits at once, as
killed, and the worker gives up where intake ends unasked. Frames go by Kafka alone, so that nothing of what makes
them exact (:mod:`streams.kafka.intake`) depends on which process cuts them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence

import msgspec

from detectors.intake.admission import IntakeSettings
from detectors.intake.prices import PriceTable
from detectors.intake.raw import RawMessage
from detectors.intake.stage import Intake, IntakeOutput
from streams.configuration.catalogue import build_prices
from streams.configuration.files import Price
from streams.configuration.kafka_settings import KafkaSettings
from streams.intake_counts import IntakeCounts
from streams.kafka import bulk
from streams.kafka.giving_up import GIVEN_UP, exit_at_once
from streams.kafka.intake import IntakeService
from streams.kafka.lease import Failpoint, no_failpoint
from streams.memory import keep_freed_memory

COMMAND = (sys.executable, "-m", "streams", "intake")
STOP = b"stop\n"

_TELL_SECONDS = 0.5
_LARGEST_KEPT_BYTES = 32_000_000
"""A fetch brings six megabytes of each partition, all day."""
_EVENT = b'{"id":"%d","time":"2025-10-01T00:00:00Z","source":"warm-up","service":"warm-up","model":"none","requests":1}'


class IntakeTask(msgspec.Struct, frozen=True):
    """What the process needs to know; secrets come by the environment."""

    kafka: KafkaSettings
    limits: IntakeSettings
    prices: tuple[Price, ...] = ()
    idle_seconds: float = 60.0
    instance: str | None = None
    """Name of the worker, for static membership."""


class IntakeEndedError(Exception):
    """The process of intake has ended unasked."""


class IntakeProcess:
    """The worker's side.

    Parameters
    ----------
    task
        What is to be done.
    observe
        Told of what was taken once it is committed.
    command
        Starts the process.
    """

    def __init__(
        self, task: IntakeTask, observe: Callable[[IntakeCounts], object], command: Sequence[str] = COMMAND
    ) -> None:
        self._task = task
        self._observe = observe
        self._command = command
        self._process: Process | None = None
        self._is_stopping = False
        self.is_ready = False

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process, which loads what it needs and waits for its task."""
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)

    async def run(self) -> None:
        """Give it its task and hear of what it takes, until it has stopped.

        Raises
        ------
        IntakeEndedError
            If it was not told to, or could not finish.
        """
        process = self._process
        assert process and process.stdin and process.stdout  # noqa: S101, PT018 — it was started, with both
        process.stdin.write(msgspec.json.encode(self._task) + b"\n")
        async for line in process.stdout:
            self.is_ready = True
            self._observe(msgspec.json.decode(line, type=IntakeCounts))
        code = await process.wait()
        if code or not self._is_stopping:
            raise IntakeEndedError(f"the process of intake has ended with {code}; if it could say why, it did above")

    def stop(self) -> None:
        """Let it finish what is in flight and end."""
        self._is_stopping = True
        if self._process and self._process.stdin:
            self._process.stdin.write(STOP)

    async def close(self) -> None:
        """See that nothing of it is left."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def take_in(failpoint: Failpoint = no_failpoint) -> None:
    """Be the process: load machine code, read the task, take messages until told to stop."""
    for name in (signal.SIGINT, signal.SIGTERM):  # a terminal or a supervisor tells both; the worker ends us in order
        signal.signal(name, signal.SIG_IGN)
    keep_freed_memory(_LARGEST_KEPT_BYTES)
    _warm_up()
    gc.freeze()
    given = sys.stdin.buffer.readline()
    if not given:
        return  # the worker had nothing to do
    try:
        asyncio.run(_work(msgspec.json.decode(given, type=IntakeTask), failpoint))
    except BaseException as error:
        exit_at_once(error)


async def _work(task: IntakeTask, failpoint: Failpoint) -> None:
    teller = _Teller()
    intake = Intake(task.limits, build_prices(task.prices))
    service = IntakeService(task.kafka, intake, task.idle_seconds, task.instance, teller.add, failpoint)
    threading.Thread(target=_obey, args=(service,), daemon=True).start()
    telling = asyncio.create_task(teller.run())
    await service.run()
    telling.cancel()
    teller.finish()


def _obey(service: IntakeService) -> None:
    """Wait for the worker's next word; without one it is gone."""
    if sys.stdin.buffer.readline() != STOP:
        os._exit(GIVEN_UP)
    service.stop()


class _Teller:
    """Tells the worker what was taken: once at the beginning, then whenever something was."""

    def __init__(self) -> None:
        self._counts = IntakeCounts()

    def add(self, output: IntakeOutput) -> None:
        """Count what was taken."""
        self._counts.add(IntakeCounts.of(output))

    async def run(self) -> None:
        """Tell for ever; a worker that does not listen keeps nobody from taking."""
        await asyncio.to_thread(_say, IntakeCounts())
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            if self._counts != IntakeCounts():
                await asyncio.to_thread(_say, self._untold())

    def finish(self) -> None:
        """Tell what is left to tell."""
        _say(self._untold())

    def _untold(self) -> IntakeCounts:
        untold, self._counts = self._counts, IntakeCounts()
        return untold


def _say(counts: IntakeCounts) -> None:
    os.write(sys.stdout.fileno(), msgspec.json.encode(counts) + b"\n")


def _warm_up() -> None:
    """Load machine code, or compile it, before there are partitions to hold."""
    intake = Intake(IntakeSettings(), PriceTable(lambda *_: None))
    for rows in (1, 2):  # of a single row, columns have another layout
        intake.step(intake.start(), [RawMessage("usage", 0, n, _EVENT % n) for n in range(rows)])
    bulk.warm_up()
