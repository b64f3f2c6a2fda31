"""What the stages made since the last checkpoint: it counts once the checkpoint is on disk, and not before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from detectors.clock import MINUTES_PER_WEEK, minute_of
from detectors.events import Alert
from detectors.frame import COST, DIMENSIONS
from detectors.intake import Reject
from detectors.prices import NANO
from detectors.verdicts import ANOMALOUS, NORMAL, WARMING
from detectors.watch import MinuteReport
from streams.embedded.store import Totals
from streams.metrics import Metrics
from streams.pipeline import Passed

_STATUS = {WARMING: "warming", NORMAL: "normal", ANOMALOUS: "anomalous"}
_TEAM, _SERVICE = DIMENSIONS.index("team"), DIMENSIONS.index("service")


class Tally:
    """Counts of a stretch of work, with its alerts and rejects."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.rejects: list[Reject] = []
        self._close_seconds: list[float] = []
        self._taken: Counter[str] = Counter()
        self._late = self._duplicate = self._unpriced = 0
        self._spend_nano: Counter[tuple[str, str]] = Counter()
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
        intake = passed.intake
        self._taken["usage"] += intake.taken
        self._taken["deployments"] += sum(len(frame.deployments) for frame in intake.frames.values())
        self._late += intake.late
        self._unpriced += intake.unpriced
        self.rejects += intake.rejects
        self.alerts += passed.alerts
        self._close_seconds += [received_seconds for alert in passed.alerts if alert.state == "firing"]
        for report in passed.reports:
            self._add_report(report, detectors)

    def _add_report(self, report: MinuteReport, detectors: Sequence[str]) -> None:
        self._duplicate += report.duplicates
        if report.spend is not None:
            for place, nano in zip(report.spend.key.tolist(), report.spend.values[COST].tolist(), strict=True):
                key = report.spend.keys[place]
                self._spend_nano[key[_TEAM], key[_SERVICE]] += nano
        if report.report is not None:
            for title, said in zip(detectors, report.report.verdicts, strict=True):
                for status, count in zip(*np.unique(said.status, return_counts=True), strict=True):
                    self._verdicts[title, _STATUS[int(status)]] += int(count)

    def added_to(self, before: Totals) -> Totals:
        """Return the totals with this counted in."""
        pages = before.page_minutes + [minute_of(alert.time) for alert in self.alerts if is_page(alert)]
        newest = max(pages, default=0)
        return Totals(
            taken=before.taken + self._taken["usage"],
            rejected=before.rejected + len(self.rejects),
            late=before.late + self._late,
            duplicate=before.duplicate + self._duplicate,
            unpriced=before.unpriced + self._unpriced,
            alerts=before.alerts + len(self.alerts),
            spend_nano=before.spend_nano + sum(self._spend_nano.values()),
            page_minutes=[minute for minute in pages if minute > newest - MINUTES_PER_WEEK],
        )

    def tell(self, metrics: Metrics, now_seconds: float) -> None:
        """Put it all into the metrics."""
        for kind, events in self._taken.items():
            metrics.taken(kind, events)
        for reason, events in Counter(reject.reason for reject in self.rejects).items():
            metrics.rejected(reason, events)
        metrics.late(self._late)
        metrics.duplicate(self._duplicate)
        metrics.unpriced(self._unpriced)
        for (team, service), nano in self._spend_nano.items():
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
