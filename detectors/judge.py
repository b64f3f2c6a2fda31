"""Judge: the reports of all shards on one minute, together; candidates with a score, a cause and dollars."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from detectors import codec
from detectors.baselines import (
    BASE_OF_HORIZON,
    BASE_TAU_MINUTES,
    CHANNELS,
    HORIZONS_MINUTES,
    INP,
    OUT,
    TAU_MINUTES,
    Floats,
    N,
)
from detectors.drivers import contributions
from detectors.events import DRIVERS
from detectors.features import FEATURES
from detectors.prices import NANO
from detectors.series import SeriesName
from detectors.verdicts import ANOMALOUS, DRIVER_OF_CHANNEL, Detector, Seen, Verdicts
from detectors.watch import SeriesReport, merge, take


class Candidate(msgspec.Struct, frozen=True):
    """One detector's anomalous word on one series in one minute, with all that an alert tells of it."""

    detector: str
    name: SeriesName
    team: str
    minute: int
    score: float
    driver: str
    horizon_minutes: int
    excess_usd: float
    usd_per_hour: float
    observed_usd_per_hour: float
    contributions_usd: dict[str, float]
    features: dict[str, float]
    before: float
    after: float
    """The fired driver's level before and after, in its own unit; 0 where it has none."""


class Judge:
    """Merges reports, runs the detectors that pool.

    Parameters
    ----------
    local
        The detectors whose verdicts the reports bring, in that order.
    pooled
        Those that judge the reported rows together.
    """

    def __init__(self, local: tuple[Detector, ...], pooled: tuple[Detector, ...]) -> None:
        self.local = local
        self.pooled = pooled

    def start(self) -> list[Any]:
        """Return the pooled detectors' states."""
        return [detector.start() for detector in self.pooled]

    def encode(self, states: list[Any]) -> list[bytes]:
        """Bytes by pooled detector."""
        return [codec.encode(state) for state in states]

    def decode(self, data: list[bytes]) -> list[Any]:
        """Return the states that :meth:`encode` wrote."""
        return [codec.decode(part, type(detector.start())) for part, detector in zip(data, self.pooled, strict=True)]

    def step(self, states: list[Any], reports: list[SeriesReport]) -> tuple[list[Any], list[Candidate]]:
        """Judge the reports on one minute; their order does not matter."""
        names, teams, seen, verdicts = _in_order(reports)
        detectors = [*self.local, *self.pooled]
        after = []
        for detector, state in zip(self.pooled, states, strict=True):
            changed, spoken = detector.step(state, seen)
            after.append(changed)
            verdicts.append(spoken)
        found = []
        for detector, verdict in zip(detectors, verdicts, strict=True):
            rows = np.flatnonzero(verdict.status == ANOMALOUS)
            found += [_candidate(detector, verdict, seen, int(row), names[row], teams[row]) for row in rows]
        return after, found


def _in_order(reports: list[SeriesReport]) -> tuple[list[SeriesName], list[str], Seen, list[Verdicts]]:
    """All rows, by name of series."""
    names = [name for report in reports for name in report.names]
    teams = [team for report in reports for team in report.teams]
    order = np.array(sorted(range(len(names)), key=names.__getitem__), np.intp)
    seen = take(merge([report.seen for report in reports]), order)
    verdicts = [take(merge([r.verdicts[place] for r in reports]), order) for place in range(len(reports[0].verdicts))]
    return [names[i] for i in order], [teams[i] for i in order], seen, verdicts


def _candidate(detector: Detector, said: Verdicts, seen: Seen, row: int, name: SeriesName, team: str) -> Candidate:
    horizon, driver = int(said.horizon[row]), int(said.driver[row])
    r = seen.residuals
    before, after = _usual(seen, row, horizon), r.sums[row, horizon][None]
    parts = contributions(before, after)[0]
    old, new = _level(before[0], driver), _level(after[0], driver)
    return Candidate(
        detector.title,
        name,
        team,
        r.minute,
        float(said.score[row]),
        DRIVERS[driver],
        HORIZONS_MINUTES[horizon],
        float(said.excess_usd[row]),
        float(said.usd_per_hour[row]),
        float(r.usd_per_minute[row, horizon]) * 60,
        {name: part / NANO for name, part in zip(DRIVERS, parts.tolist(), strict=True) if part},
        leading_features(seen, row),
        old,
        new,
    )


def _usual(seen: Seen, row: int, horizon: int) -> Floats:
    """What the horizon would hold at the baseline; shape (1, totals)."""
    r = seen.residuals
    lived = min(max(int(r.age_minutes[row]), 1), float(BASE_TAU_MINUTES[BASE_OF_HORIZON[horizon]]))
    return np.asarray(r.base[row, horizon] * (TAU_MINUTES[horizon] / lived))[None]


def _level(totals: Floats, driver: int) -> float:
    """The driver's plain number: tokens a request, share of the uncached price, dollars a million tokens."""
    kind = DRIVERS[driver]
    if kind == "requests":
        return float(totals[N])
    if kind == "input_per_request":
        return float(totals[INP] / max(totals[N], 1e-9))
    if kind == "output_per_request":
        return float(totals[OUT] / max(totals[N], 1e-9))
    return 0.0


def leading_features(seen: Seen, row: int, how_many: int = 5) -> dict[str, float]:
    """Return the features of a row that stand out most."""
    values = seen.features[row]
    order = np.argsort(-np.abs(values), kind="stable")[:how_many]
    return {FEATURES[i]: round(float(values[i]), 4) for i in order}


assert len(DRIVER_OF_CHANNEL) == len(CHANNELS)  # noqa: S101 — a channel without a driver would have no name
