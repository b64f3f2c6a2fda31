"""Replay: files through the same steps as everywhere, as fast as the machine can, event time only."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec

from detectors.events import Alert
from detectors.intake import IntakeOutput, RawMessage, Reject
from streams.app import Stages

MESSAGES_AT_ONCE = 5000

Progress = Callable[[int], None]
"""Told how many messages were read since it was last told."""


class ReplaySummary(msgspec.Struct):
    """What a replay took, refused and raised."""

    taken: int = 0
    late: int = 0
    duplicates: int = 0
    unpriced: int = 0
    alerts: int = 0
    rejects: list[Reject] = msgspec.field(default_factory=list)


class Pipeline:
    """The stages in one process, one after the other.

    Parameters
    ----------
    stages
        As the composition root built them.
    """

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._intake = stages.intake.start()
        self._watches = [watch.start() for watch in stages.watches]
        self._incidents = stages.incidents.start()

    def feed(self, messages: list[RawMessage]) -> tuple[IntakeOutput, list[Alert], int]:
        """Take messages of one raw partition; return what intake made of them, alerts, and duplicates."""
        self._intake, output = self._stages.intake.step(self._intake, messages)
        return self._pass_on(output)

    def end(self) -> tuple[IntakeOutput, list[Alert], int]:
        """Close all that is pending: nothing more will come."""
        limits = self._stages.intake.settings
        high = max(self._intake.high_minute.values(), default=None)
        if high is None:
            return IntakeOutput({}, [], 0, 0, 0), [], 0
        for partition in list(self._intake.high_minute):
            self._intake, output = self._stages.intake.heartbeat(
                self._intake, partition, high + limits.allowed_lateness_minutes + 1
            )
        return self._pass_on(output)

    def _pass_on(self, output: IntakeOutput) -> tuple[IntakeOutput, list[Alert], int]:
        alerts: list[Alert] = []
        duplicates = 0
        reports = []
        for shard, frame in output.frames.items():
            self._watches[shard], made = self._stages.watches[shard].step(self._watches[shard], frame)
            reports += made
        for report in sorted(reports, key=lambda r: (r.minute, r.shard)):
            duplicates += report.duplicates
            self._incidents, raised = self._stages.incidents.step(self._incidents, report)
            alerts += raised
        return output, alerts, duplicates


def lines_of(path: Path) -> Iterator[bytes]:
    """Lines of a file (gzip by its name), or of standard input for ``-``."""
    stream: IO[bytes]
    if str(path) == "-":
        yield from sys.stdin.buffer
        return
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:  # type: ignore[assignment]  # both give bytes
        yield from stream


def replay(
    stages: Stages,
    usage: Path,
    deployments: Path | None,
    on_alert: Callable[[Alert], None],
    progress: Progress | None = None,
) -> ReplaySummary:
    """Replay usage and deployments.

    Deployments are read first: each takes effect in the minute in which it was made, not before.
    """
    pipeline, summary = Pipeline(stages), ReplaySummary()
    if deployments is not None:
        lines = [line.strip() for line in lines_of(deployments) if line.strip()]
        messages = [RawMessage("deployments", 0, n, line) for n, line in enumerate(lines)]
        _count(summary, *pipeline.feed(messages), on_alert)
    numbered = enumerate(line.rstrip() for line in lines_of(usage))
    messages_left = (RawMessage("usage", 0, n, line) for n, line in numbered if line)
    while batch := list(islice(messages_left, MESSAGES_AT_ONCE)):
        _count(summary, *pipeline.feed(batch), on_alert)
        if progress:
            progress(len(batch))
    _count(summary, *pipeline.end(), on_alert)
    return summary


def _count(
    summary: ReplaySummary, output: IntakeOutput, alerts: list[Alert], duplicates: int, on_alert: Callable[[Alert], None]
) -> None:
    summary.taken += output.taken
    summary.late += output.late
    summary.unpriced += output.unpriced
    summary.duplicates += duplicates
    summary.rejects += output.rejects
    summary.alerts += len(alerts)
    for alert in alerts:
        on_alert(alert)
