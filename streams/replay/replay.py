"""Replay: files through the same steps as everywhere, as fast as the machine can, event time only."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from detectors.events import Alert
from detectors.intake import IntakeOutput, Reject
from detectors.raw import RawMessage
from detectors.reports import MinuteReport
from streams.app import Stages
from streams.pipeline import Passed, Pipeline

MESSAGES_AT_ONCE = 20_000


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
    messages = (RawMessage("usage", 0, n, line) for n, line in enumerate(lines_of(usage)))
    for read, output in _read_ahead(pipeline, messages):
        summary.count(pipeline.pass_on(output), tell)
        tell.progress(read)
    if pipeline.high_minute is not None:
        lateness = stages.intake.settings.allowed_lateness_minutes
        summary.count(pipeline.heartbeat(0, pipeline.high_minute + lateness + 1), tell)
    return summary


def _read_ahead(pipeline: Pipeline, messages: Iterator[RawMessage]) -> Iterator[tuple[int, IntakeOutput]]:
    """Take in some thousand messages at a time, the next ones in a thread while those before are judged."""

    def read() -> tuple[int, IntakeOutput]:
        batch = list(islice(messages, MESSAGES_AT_ONCE))
        return len(batch), pipeline.take_in(batch)

    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read)
        while (taken := coming.result())[0]:
            coming = reader.submit(read)
            yield taken


def lines_of(path: Path) -> Iterator[bytes]:
    """Lines of a file that hold something (gzip by its name), or of standard input for ``-``."""
    if str(path) == "-":
        yield from (line.strip() for line in sys.stdin.buffer if not line.isspace())
        return
    with cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb") as stream:
        yield from (line.strip() for line in stream if not line.isspace())
