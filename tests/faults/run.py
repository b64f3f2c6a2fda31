"""A run: a topic that fills chunk by chunk, workers that are struck and started again, and what comes of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.giving_up import GIVEN_UP
from tests.faults.outcome import assert_exact, assert_numbered_once, keys_of
from tests.faults.receiver import Receiver
from tests.faults.reference import Expected, expected
from tests.faults.workload import events, send
from tests.kafka.reading import read, wait_for
from tests.kafka.running import ROOT, Worker, config_for

CHUNKS = 24
"""Half an hour each; every one has alerts in it."""
PARTITIONS = 2
ALL_DONE_SECONDS = 90
SELDOM_SECONDS = 600
NEXT_CHUNK_SECONDS = 6
WEBHOOK = """
receivers: {ours: {type: webhook, url_env: ALERT_URL}}
default: [ours]
retries: {first_pause_seconds: 0.1, longest_pause_seconds: 0.3, give_way_after_seconds: 1, timeout_seconds: 3}
"""
ROUTES = f"{WEBHOOK}digest: {{after_minutes: null}}\n"
"""Every word by itself, however old."""


class StruckWorker(Worker):
    """A worker that may be struck; see :mod:`tests.faults.striking_worker`."""

    def __init__(self, run: Run, name: str) -> None:
        super().__init__(run.config, name)
        self._run = run
        self._log_read = 0
        self.is_tended = False

    def begin(self, strike: str = "", *more: str) -> StruckWorker:
        """Start it, with what strikes it; where nothing does, the run starts it again whenever it ends."""
        self.is_tended = not strike
        self._log_read = len(self.log) if self._log.exists() else 0
        words = [str(self.config), self.name, str(self.port), *([strike] if strike else []), *more]
        environment = {**os.environ, "ALERT_URL": self._run.receiver.url}
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "tests.faults.striking_worker", *words]
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        return self

    @property
    def was_struck(self) -> bool:
        """Whether it has passed the point, since it was begun."""
        return self.has_said("struck at")

    def has_said(self, words: str) -> bool:
        """Whether its log has some words, since it was begun."""
        return words in self.log[self._log_read :]

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process is not None and self.process.poll() is not None

    def kill(self) -> None:
        """End it at once."""
        self.send(signal.SIGKILL)
        self.wait()

    def kill_intake(self) -> None:
        """End the process that takes events in, and nothing else."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        (intake,) = {int(child) for task in tasks for child in (task / "children").read_text().split()}
        os.kill(intake, signal.SIGKILL)

    def wake(self) -> None:
        """Let it go on after a pause, all of it."""
        os.killpg(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """Make sure that nothing of it is left, paused or not."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        super().end()

    def throw_out(self, how: signal.Signals) -> None:
        """End it, whatever it is at, and let nobody start it again."""
        self.is_tended = False
        self.send(how)
        assert self.wait() in (0, -how, GIVEN_UP), self.log[-3000:]

    def leave(self) -> None:
        """Stop it as an orchestrator does, and see that it ends well."""
        self.is_tended = False
        self.stop()


class Run:
    """One run on topics of its own.

    Parameters
    ----------
    brokers
        Where Kafka is.
    folder
        For the configuration and the logs.
    seed
        Of the events.
    """

    def __init__(self, brokers: str, folder: Path, seed: int = 1) -> None:
        name = f"f{uuid.uuid4().hex[:8]}"
        self.settings = KafkaSettings(
            brokers=brokers, application=name, topic_prefix=f"{name}.", usage_partitions=PARTITIONS,
            session_timeout_seconds=6, request_timeout_seconds=20, output_seconds=0.1, checkpoint_seconds=0.7,
        )  # fmt: skip
        self.receiver = Receiver()
        self.config = config_for(folder / "config", self.settings, idle_seconds=3600.0)
        (self.config / "routes.yaml").write_text(ROUTES)
        self._chunks = events(seed, PARTITIONS, CHUNKS)
        self._workers: list[StruckWorker] = []

    def worker(self, name: str) -> StruckWorker:
        """Return a worker that is not started yet."""
        self._workers.append(StruckWorker(self, name))
        return self._workers[-1]

    @property
    def chunks_left(self) -> int:
        """How many chunks have not been sent."""
        return len(self._chunks)

    def send(self, chunks: int = 1) -> None:
        """Put the next chunks on Kafka."""
        for _ in range(min(chunks, len(self._chunks))):
            send(self.settings, self._chunks.pop(0))

    def save_seldom(self) -> None:
        """Let workers that begin from now on emit, and make no checkpoint."""
        file = self.config / "burstwatch.yaml"
        seldom = f"checkpoint_seconds: {SELDOM_SECONDS}"
        file.write_text(re.sub(r"checkpoint_seconds: [\d.]+", seldom, file.read_text()))

    def send_until(self, condition: Callable[[], bool], worker: StruckWorker) -> None:
        """Send a chunk, and further ones until the worker has come to its point."""
        self.send()
        while not condition():
            try:
                wait_for(condition, "the strike", NEXT_CHUNK_SECONDS)
            except AssertionError:
                assert self._chunks, f"{worker.name} never came to the point:\n{worker.log[-3000:]}"
                self.send()

    def has_told(self, words: int) -> bool:
        """Whether so many words of alerts have reached the receiver."""
        return len(self.receiver.told()) >= words

    @property
    def is_doubled(self) -> bool:
        """Whether candidates are committed more than once."""
        try:
            assert_numbered_once(read(self.settings, "candidates"))
        except AssertionError:
            return True
        return False

    def alerts_raised(self) -> int:
        """How many words of alerts are committed."""
        return len(read(self.settings, "alerts"))

    def wait_until_told(self) -> None:
        """Wait until the receiver has heard all that follows from what was sent."""
        self._wait_for_words(expected(self.settings, self.config))

    def _wait_for_words(self, must: Expected) -> None:
        keys = set(keys_of(must.alerts))
        self.wait(lambda: keys <= {key for key, _ in self.receiver.told()}, "everything to be told")

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition; workers that end meanwhile are started again, as a supervisor does."""

        def tended() -> bool:
            for worker in self._workers:
                if worker.is_tended and worker.has_ended:
                    worker.begin()
            return condition()

        wait_for(tended, what, ALL_DONE_SECONDS)

    def finish(self) -> None:
        """Send the rest, wait until all is told, and hold it against what must have come out."""
        self.send(CHUNKS)
        must = expected(self.settings, self.config)
        assert len(must.alerts) > CHUNKS, "too few alerts to prove anything"
        self._wait_for_words(must)
        for worker in self._workers:
            if not worker.has_ended:
                worker.send(signal.SIGTERM)
                assert worker.wait() in (0, GIVEN_UP), worker.log[-3000:]
        assert_exact(self.settings, must, self.receiver)

    def close(self) -> None:
        """End everything."""
        for worker in self._workers:
            worker.end()
        self.receiver.close()


@contextmanager
def a_run(brokers: str, folder: Path, seed: int = 1) -> Iterator[Run]:
    """Make a run and close it."""
    run = Run(brokers, folder, seed)
    try:
        yield run
    finally:
        run.close()
