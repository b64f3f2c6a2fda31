"""Alerts gathered by incident: what the report tells of each, and the stretch of time that its picture shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR, minute_of
from detectors.events import Alert, DeploymentEvent
from streams.report.spend import SpendByMinute

SEVERITIES = ("page", "ticket", "info")


@dataclass(frozen=True)
class ReportedIncident:
    """All alerts of one incident, in order.

    Parameters
    ----------
    alerts
        At least one, with one id, by sequence.
    """

    alerts: tuple[Alert, ...]

    @property
    def alert_id(self) -> str:
        """Its id."""
        return self.alerts[0].alert_id

    @cached_property
    def severity(self) -> str:
        """The highest that it reached."""
        return min((alert.severity for alert in self.alerts), key=SEVERITIES.index)

    @cached_property
    def raised(self) -> Alert:
        """The alert that first told of it at its highest severity: the page, if it was paged."""
        return next(alert for alert in self.alerts if alert.severity == self.severity)

    @property
    def last(self) -> Alert:
        """The newest word on it."""
        return self.alerts[-1]

    @property
    def is_over(self) -> bool:
        """Whether it was resolved."""
        return self.last.state == "resolved"

    @cached_property
    def onset_minute(self) -> int:
        """When it began, as the newest alert has it."""
        return minute_of(self.last.onset)

    @cached_property
    def raised_minute(self) -> int:
        """When it was raised: the end of the minute whose closing raised it."""
        return minute_of(self.raised.time) + 1

    @cached_property
    def end_minute(self) -> int:
        """When it was resolved, or else last told of."""
        return max(minute_of(self.last.time), self.raised_minute)

    @cached_property
    def peak_usd_per_hour(self) -> float:
        """The highest rate above expected that was told."""
        return max(alert.usd_per_hour for alert in self.alerts)

    @cached_property
    def scope(self) -> dict[str, str]:
        """What it was raised for, widest first."""
        order = ("team", "initiative", "environment", "service", "principal", "provider", "model")
        scope = self.raised.scope
        named = [name for name in order if name in scope] + sorted(set(scope) - set(order))
        return {name: scope[name] for name in named}


@dataclass(frozen=True)
class Picture:
    """What an incident's picture shows, a column a bucket.

    Parameters
    ----------
    first_minute, bucket_minutes
        Where the first bucket begins, and how long each is.
    observed
        Mean dollars a minute, shape (buckets,).
    expected
        The same as the alerts expected it, shape (buckets,); equal to ``observed`` outside the incident.
    burning
        The buckets of the incident.
    """

    first_minute: int
    bucket_minutes: int
    observed: NDArray[np.float64]
    expected: NDArray[np.float64]
    burning: slice

    @property
    def end_minute(self) -> int:
        """The minute after the last."""
        return self.first_minute + self.bucket_minutes * len(self.observed)


BUCKETS_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1440)
MOST_BUCKETS = 720
"""Of an incident's picture: half a day minute by minute."""


def gather(alerts: Sequence[Alert]) -> list[ReportedIncident]:
    """Return the incidents that alerts tell of: the gravest first, then what still burns, then the dearest."""
    by_id: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_id.setdefault(alert.alert_id, []).append(alert)
    found = [ReportedIncident(tuple(sorted(told, key=lambda a: (a.sequence, a.time)))) for told in by_id.values()]
    return sorted(found, key=lambda i: (SEVERITIES.index(i.severity), i.is_over, -i.last.excess_usd, i.alert_id))


def without_echoes(incidents: Sequence[ReportedIncident]) -> list[ReportedIncident]:
    """Return incidents whose dollars may be added up: none that names no service while one that names a service runs.

    A service's burst often moves its model or its team too; counted twice, it would look twice as dear.
    """
    narrow = [i for i in incidents if "service" in i.scope]
    return [
        i
        for i in incidents
        if "service" in i.scope
        or not any(n.onset_minute <= i.end_minute and i.onset_minute <= n.end_minute for n in narrow)
    ]


def picture_of(
    incident: ReportedIncident, spend: SpendByMinute, deployments: Sequence[DeploymentEvent]
) -> Picture | None:
    """Return what an incident's picture shows; None where no spend is known of its time.

    The window reaches from before the onset (and the deployment, if one is named) to after the end. Longer windows get
    longer buckets, so that no picture has more than :data:`MOST_BUCKETS`.
    """
    usd = spend.of(incident.scope)
    lasted = incident.end_minute - incident.onset_minute
    start = incident.onset_minute - int(np.clip(0.6 * lasted, 3 * MINUTES_PER_HOUR, MINUTES_PER_DAY))
    named = [minute_of(d.time) for d in deployments if d.id == incident.raised.cause.deployment_id]
    start = min([start, *(at - 20 for at in named if incident.onset_minute - at < MINUTES_PER_DAY)])
    end = incident.end_minute + int(np.clip(0.25 * lasted, MINUTES_PER_HOUR, MINUTES_PER_DAY // 2))
    start, end = max(start, spend.first_minute), min(end, spend.end_minute)
    if end <= start:
        return None
    size = bucket_size(end - start, MOST_BUCKETS)
    end -= (end - start) % size
    shown = slice(start - spend.first_minute, end - spend.first_minute)
    expected = expected_by_minute(usd, spend.first_minute, incident)
    first, last = ((at - start) / size for at in (incident.onset_minute, incident.end_minute))
    burning = slice(max(int(first), 0), max(int(np.ceil(last)), 0))
    return Picture(start, size, bucket_means(usd[shown], size), bucket_means(expected[shown], size), burning)


def expected_by_minute(usd: NDArray[np.float64], first_minute: int, incident: ReportedIncident) -> NDArray[np.float64]:
    """Return what the alerts expected: observed dollars, less the excess that they report.

    Between two alerts the excess that came in is spread in proportion to what was spent, so what lies between the two
    lines is the excess that was told, to the cent, however wild the traffic. Excess beyond what was spent waits for the
    next stretch.

    Parameters
    ----------
    usd
        Observed dollars a minute from ``first_minute`` on, shape (minutes,).

    Returns
    -------
    Dollars a minute, shape (minutes,).
    """
    expected = usd.copy()
    begin, told_usd, owed_usd = incident.onset_minute, 0.0, 0.0
    for alert in incident.alerts:
        end = minute_of(alert.time) + 1
        owed_usd += max(alert.excess_usd - told_usd, 0.0)
        stretch = expected[max(begin - first_minute, 0) : max(end - first_minute, 0)]
        spent = float(stretch.sum())
        taken = min(owed_usd, spent)
        if spent > 0:
            stretch *= 1.0 - taken / spent
        begin, told_usd, owed_usd = end, max(alert.excess_usd, told_usd), owed_usd - taken
    return expected


def bucket_size(minutes: int, most: int) -> int:
    """Return the shortest round size of buckets of which no more than so many fit in a stretch of minutes.

    Examples
    --------
    >>> bucket_size(300, 320), bucket_size(14 * 1440, 320)
    (1, 120)
    """
    return next((size for size in BUCKETS_MINUTES if minutes / size <= most), -(-minutes // most))


def bucket_means(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the means of buckets of so many values; the last bucket may hold fewer.

    Examples
    --------
    >>> bucket_means(np.array([1.0, 3.0, 5.0]), 2).tolist()
    [2.0, 5.0]
    """
    if not len(values):
        return values
    starts = np.arange(0, len(values), size)
    return np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values)))
