"""Judge: the reports of all shards on one minute, together; candidates with a score, a cause and dollars."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import codec
from detectors.baselines import (
    BASE_OF_HORIZON,
    BASE_TAU_MINUTES,
    C_INPUT,
    C_MIX,
    C_OUTPUT,
    C_VOLUME,
    CHANNELS,
    HORIZONS_MINUTES,
    INP,
    LIST,
    LIST_IN,
    LIST_RAW,
    OUT,
    PAID,
    TAU_MINUTES,
    Floats,
    N,
)
from detectors.drivers import contributions
from detectors.events import DRIVERS
from detectors.features import FEATURES, features_of
from detectors.prices import NANO
from detectors.reports import SeriesReport, merge, take
from detectors.series import SeriesName
from detectors.verdicts import ANOMALOUS, DRIVER_OF_CHANNEL, Detector, Seen, Verdicts

_FAR_MORE = 2.0
_ODD_Z = 4.0
_ODD_ABOVE = 0.3
"""A driver is renamed only to one that is odd itself: this many spreads, or this far above the week as a logarithm."""


class Candidate(msgspec.Struct, frozen=True):
    """One detector's anomalous word on one series in one minute, with all that an alert tells of it."""

    detector: str
    name: SeriesName
    team: str
    principal: str
    """Who holds most of what the service costs above the usual; empty where nobody stands out."""
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
    active_minutes_since_deployment: int


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
        names, labels, seen, verdicts = _in_order(reports)
        detectors = [*self.local, *self.pooled]
        after = []
        for detector, state in zip(self.pooled, states, strict=True):
            changed, spoken = detector.step(state, seen)
            after.append(changed)
            verdicts.append(spoken)
        found = []
        for detector, verdict in zip(detectors, verdicts, strict=True):
            rows = np.flatnonzero(verdict.status == ANOMALOUS)
            found += [_candidate(detector, verdict, seen, int(row), names[row], labels[row]) for row in rows]
        return after, found


def _in_order(
    reports: list[SeriesReport],
) -> tuple[list[SeriesName], list[tuple[str, str]], Seen, list[Verdicts]]:
    """All rows, by name of series; with (team, principal) of each."""
    if len(reports) == 1:
        only = reports[0]
        return only.names, list(zip(only.teams, only.principals, strict=True)), only.seen, only.verdicts.copy()
    names = [name for report in reports for name in report.names]
    labels = [pair for report in reports for pair in zip(report.teams, report.principals, strict=True)]
    order = np.array(sorted(range(len(names)), key=names.__getitem__), np.intp)
    seen = take(merge([report.seen for report in reports]), order)
    verdicts = [take(merge([r.verdicts[place] for r in reports]), order) for place in range(len(reports[0].verdicts))]
    return [names[i] for i in order], [labels[i] for i in order], seen, verdicts


def _candidate(
    detector: Detector, said: Verdicts, seen: Seen, row: int, name: SeriesName, labels: tuple[str, str]
) -> Candidate:
    horizon = int(said.horizon[row])
    r = seen.residuals
    before, after = _usual(seen, row, horizon), r.sums[row, horizon][None]
    parts = contributions(before, after)[0]
    driver = _leading_driver(detector, int(said.driver[row]), parts, seen, row, horizon)
    old, new = _level(before[0], driver), _level(after[0], driver)
    return Candidate(
        detector.title,
        name,
        labels[0],
        labels[1] if detector.names_principals else "",
        int(r.minute[row]),
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
        int(seen.active_minutes_since_deployment[row]),
    )


def _leading_driver(
    detector: Detector, fired: int, parts: NDArray[np.int64], seen: Seen, row: int, horizon: int
) -> int:
    """The driver that fired, or another one that is odd as well and explains far more."""
    if detector.names_its_driver:
        return fired
    r = seen.residuals
    best = fired
    for channel in (C_INPUT, C_OUTPUT, C_MIX, C_VOLUME):
        other = int(DRIVER_OF_CHANNEL[channel])
        odd = (
            r.above[row, horizon, C_VOLUME] > _ODD_ABOVE
            if channel == C_VOLUME
            else r.step_z[row, horizon, channel] > _ODD_Z
        )
        if odd and parts[other] > _FAR_MORE * max(parts[fired], 0) and parts[other] > parts[best]:
            best = other
    return best


def _usual(seen: Seen, row: int, horizon: int) -> Floats:
    """What the horizon would hold at the baseline; shape (1, totals)."""
    r = seen.residuals
    lived = min(max(int(r.age_minutes[row]), 1), float(BASE_TAU_MINUTES[BASE_OF_HORIZON[horizon]]))
    return np.asarray(r.base[row, horizon] * (TAU_MINUTES[horizon] / lived))[None]


_PLAIN = {
    "input_per_request": (INP, N, 1.0),
    "output_per_request": (OUT, N, 1.0),
    "cache_share": (LIST_IN, INP, 1e6),
    "model_mix": (LIST_RAW, INP, 1e6),
    "unit_price": (PAID, LIST, 1.0),
}
"""What each driver's plain number is a ratio of."""


def _level(totals: Floats, driver: int) -> float:
    """The driver's plain number: tokens a request, dollars a million input tokens, paid over list."""
    above, below, scale = _PLAIN.get(DRIVERS[driver], (N, N, 0.0))
    return float(scale * totals[above] / max(totals[below], 1e-9)) if scale else 0.0


def leading_features(seen: Seen, row: int, how_many: int = 5) -> dict[str, float]:
    """Return the features of a row that stand out most."""
    one = take(seen, np.array([row]))
    values = features_of(one.residuals, one.minutes_since_deployment)[0]
    order = np.argsort(-np.abs(values), kind="stable")[:how_many]
    return {FEATURES[i]: round(float(values[i]), 4) for i in order}


assert len(DRIVER_OF_CHANNEL) == len(CHANNELS)  # noqa: S101 — a channel without a driver would have no name
