"""What the stages made of a stretch of input, counted for the metrics: the same in every runtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from detectors.events import Alert
from detectors.frame import COST, DIMENSIONS
from detectors.intake.prices import NANO
from detectors.intake.stage import Reject
from detectors.verdicts import STATUSES
from detectors.watch.reports import MinuteReport
from streams.intake_counts import IntakeCounts
from streams.metrics import Metrics
from streams.pipeline import Passed

_TEAM, _SERVICE = DIMENSIONS.index("team"), DIMENSIONS.index("service")


class Tally:
    """Counts of a stretch of work, with its alerts and rejects."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.alerts: list[Alert] = []
        self.rejects: list[Reject] = []
        self.intake = IntakeCounts()
        self.duplicate = 0
        self.spend_nano: Counter[tuple[str, str]] = Counter()
        self._close_seconds: list[float] = []
        self._verdicts: Counter[tuple[str, str]] = Counter()

    def add(self, passed: Passed, received_seconds: float, detectors: Sequence[str]) -> None:
        """Count what came of input.

        Parameters
        ----------
        passed
            What the stages made of it.
        received_seconds
            When the last of it was received.
        detectors
            Titles of those whose verdicts minute reports bring, in their order.
        """
        self.rejects += passed.intake.rejects
        self.add_intake(IntakeCounts.of(passed.intake))
        for report in passed.reports:
            self.add_report(report, detectors)
        for alert in passed.alerts:
            self.add_alert(alert, received_seconds)
        for reject in passed.refused:
            self.refuse(reject)

    def add_intake(self, counts: IntakeCounts) -> None:
        """Count what intake took and refused."""
        self.intake.add(counts)

    def refuse(self, reject: Reject) -> None:
        """Count an event that a later stage refused."""
        self.rejects.append(reject)
        self.intake.add(IntakeCounts(rejected={reject.reason: 1}))

    def add_report(self, report: MinuteReport, detectors: Sequence[str]) -> None:
        """Count a closed minute of a shard."""
        self.duplicate += report.duplicates
        if report.spend is not None:
            for place, nano in zip(report.spend.key.tolist(), report.spend.values[COST].tolist(), strict=True):
                key = report.spend.keys[place]
                self.spend_nano[key[_TEAM], key[_SERVICE]] += nano
        if report.report is not None:
            for title, said in zip(detectors, report.report.verdicts.status.T, strict=True):
                for status, count in zip(*np.unique(said, return_counts=True), strict=True):
                    self._verdicts[title, STATUSES[int(status)]] += int(count)

    def add_alert(self, alert: Alert, received_seconds: float) -> None:
        """Count an alert, and note when the input was received that closed its minute."""
        self.alerts.append(alert)
        if alert.state == "firing":
            self._close_seconds.append(received_seconds)

    def tell(self, metrics: Metrics, now_seconds: float) -> None:
        """Put it all into the metrics."""
        for kind, events in self.intake.taken.items():
            metrics.taken(kind, events)
        for reason, events in self.intake.rejected.items():
            metrics.rejected(reason, events)
        metrics.late(self.intake.late)
        metrics.duplicate(self.duplicate)
        metrics.unpriced(self.intake.unpriced)
        for (team, service), nano in self.spend_nano.items():
            metrics.spend(team, service, nano / NANO)
        for (detector, status), count in self._verdicts.items():
            metrics.verdicts(detector, status, count)
        for alert in self.alerts:
            if is_page(alert):
                metrics.page(alert.detector)
        for received in self._close_seconds:
            metrics.minute_close_to_alert(max(now_seconds - received, 0.0))


def is_page(alert: Alert) -> bool:
    """Whether an alert wakes somebody: an incident that begins to fire as a page, or rises to one."""
    return alert.state == "firing" and alert.severity == "page"
