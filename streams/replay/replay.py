"""Replay: files through the same steps as everywhere, as fast as the machine can, event time only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from detectors.events import Alert
from detectors.intake.raw import RawBatch, RawMessage
from detectors.intake.stage import IntakeOutput, Reject
from detectors.watch.reports import MinuteReport
from streams.app import Stages
from streams.pipeline import Passed, Pipeline
from streams.replay.lines import lines_of, usage_of


class Listeners(msgspec.Struct, frozen=True):
    """Who is told what, as it happens: alerts, minutes as they close, refused events, messages read."""

    alert: Callable[[Alert], object]
    minute: Callable[[MinuteReport], object] = lambda report: None
    reject: Callable[[Reject], object] = lambda reject: None
    progress: Callable[[int], object] = lambda messages: None


class ReplaySummary(msgspec.Struct):
    """What a replay took, refused and raised."""

    taken: int = 0
    rejected: int = 0
    late: int = 0
    duplicates: int = 0
    unpriced: int = 0
    alerts: int = 0

    def count(self, passed: Passed, tell: Listeners) -> None:
        """Add what the stages made of some messages, and tell of it."""
        self.taken += passed.intake.taken
        self.rejected += len(passed.rejects)
        self.unpriced += passed.intake.unpriced
        self.late += sum(report.late for report in passed.reports)
        self.duplicates += sum(report.duplicates for report in passed.reports)
        self.alerts += len(passed.alerts)
        for reject in passed.rejects:
            tell.reject(reject)
        for report in passed.reports:
            tell.minute(report)
        for alert in passed.alerts:
            tell.alert(alert)


def replay(
    stages: Stages, usage: Path, deployments: Path | None, tell: Listeners, feedback: Path | None = None
) -> ReplaySummary:
    """Replay usage in its order of arrival, deployments, and what people decided.

    Deployments and decisions are read first: each takes effect in the minute in which it was made, not before, which
    is what merging them by time would give.

    Parameters
    ----------
    stages
        As the composition root built them.
    usage
        ``.ndjson``, ``.ndjson.gz``, or ``-`` for standard input.
    deployments
        The same, or None.
    tell
        Who is told what happens.
    feedback
        Decisions on alerts; the same, or None.
    """
    pipeline, summary = Pipeline(stages), ReplaySummary()
    if deployments is not None:
        lines = enumerate(lines_of(deployments))
        summary.count(pipeline.feed([RawMessage("deployments", 0, n, line) for n, line in lines]), tell)
    if feedback is not None:
        lines = enumerate(lines_of(feedback))
        summary.count(pipeline.feed([RawMessage("feedback", 0, n, line) for n, line in lines]), tell)
    for read, output in _read_ahead(pipeline, usage_of(usage)):
        summary.count(pipeline.pass_on(output), tell)
        tell.progress(read)
    if pipeline.high_minute is not None:
        lateness = stages.intake.settings.allowed_lateness_minutes
        summary.count(pipeline.heartbeat(0, pipeline.high_minute + lateness + 1), tell)
    return summary


def _read_ahead(pipeline: Pipeline, batches: Iterator[RawBatch]) -> Iterator[tuple[int, IntakeOutput]]:
    """Take in some thousand messages at a time, the next ones in a thread while those before are judged."""

    def read() -> tuple[int, IntakeOutput] | None:
        batch = next(batches, None)
        return None if batch is None else (len(batch), pipeline.take_in(batch))

    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read)
        while taken := coming.result():
            coming = reader.submit(read)
            yield taken
