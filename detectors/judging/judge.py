"""Judge: the reports of all shards on one minute, together; candidates with a score, a cause and dollars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.baselines.baselines import (
    C_INPUT,
    C_MIX,
    C_OUTPUT,
    C_UNIT,
    C_VOLUME,
    CHANNELS,
    HORIZONS_MINUTES,
    TAU_MINUTES,
)
from detectors.baselines.drivers import UNIT, contributions
from detectors.events import DRIVERS
from detectors.forest.features import FEATURES, features_of
from detectors.intake.prices import NANO
from detectors.judging.numbers import numbers_of
from detectors.minutes.series import SeriesName
from detectors.minutes.totals import GPU, INP, LIST, LIST_IN, LIST_RAW, OUT, PAID, Floats, N
from detectors.state import codec
from detectors.verdicts import ANOMALOUS, DRIVER_OF_CHANNEL, Detector, Seen, Verdicts, apart
from detectors.watch.reports import SeriesReport, by_minute_and_name, merge, take
from detectors.watch.standing import Word

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
    kind: str = ""
    speaker: SeriesName = SeriesName((), ())
    """The series whose row the detector spoke of."""
    fired: str = ""
    """The driver that it spoke of; ``driver`` may name another, which explains more."""
    numbers: dict[str, float] = {}
    """The numbers behind the sentence, by the names that docs/formats.md lists."""
    reason: str = ""
    """A rule's own sentence; empty for detectors, whose sentence is made of the numbers."""
    action: str = ""

    @property
    def word(self) -> Word:
        """What was said: of which series, by which detector, of which driver."""
        return self.speaker, self.detector, self.fired

    @property
    def is_by_chance(self) -> bool:
        """Whether the like of it comes by chance too, as with detectors; what a rule finds is a plain fact."""
        return not self.reason


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

    def step(
        self, states: list[Any], minutes: list[list[SeriesReport]]
    ) -> tuple[list[Any], dict[int, list[Candidate]]]:
        """Judge the reports on some minutes, in order; return candidates by minute.

        The order of the reports on a minute does not matter.
        """
        reports = [report for of_minute in minutes for report in of_minute]
        if not reports:
            return states, {}
        names, labels, seen, said = _in_order(reports)
        after, verdicts = [], apart(said)
        for detector, state in zip(self.pooled, states, strict=True):
            changed, spoken = detector.step(state, seen)
            after.append(changed)
            verdicts.append(spoken)
        found: dict[int, list[Candidate]] = {}
        for detector, verdict in zip([*self.local, *self.pooled], verdicts, strict=True):
            rows = np.flatnonzero(verdict.status == ANOMALOUS)
            told = [(names[row], labels[row]) for row in rows.tolist()]
            for candidate in _candidates(detector, take(verdict, rows), take(seen, rows), told) if told else ():
                found.setdefault(candidate.minute, []).append(candidate)
        return after, found


def _in_order(
    reports: list[SeriesReport],
) -> tuple[list[SeriesName], list[tuple[str, str]], Seen, Verdicts]:
    """All rows, by minute and name of series; with (team, principal) of each."""
    if len(reports) == 1:
        only = reports[0]
        return only.names, list(zip(only.teams, only.principals, strict=True)), only.seen, only.verdicts
    names = [name for report in reports for name in report.names]
    labels = [pair for report in reports for pair in zip(report.teams, report.principals, strict=True)]
    seen = merge([report.seen for report in reports])
    order = by_minute_and_name(seen.residuals.minute, names)
    verdicts = take(merge([report.verdicts for report in reports]), order)
    rows = order.tolist()
    return [names[row] for row in rows], [labels[row] for row in rows], take(seen, order), verdicts


def _candidates(
    detector: Detector, said: Verdicts, seen: Seen, told: list[tuple[SeriesName, tuple[str, str]]]
) -> Iterator[Candidate]:
    """A candidate of each row; ``told`` are its name, team and principal."""
    r, at = seen.residuals, np.arange(len(told))
    before, after = _usual(seen, said.horizon), r.sums[at, said.horizon]
    parts, features = contributions(before, after), features_of(r, seen.minutes_since_deployment)
    for row, (series, (team, culprit)) in enumerate(told):
        horizon = int(said.horizon[row])
        name, principal = _struck(detector, series, culprit)
        driver = _leading_driver(detector, int(said.driver[row]), parts[row], seen, row, horizon)
        yield Candidate(
            detector.title,
            name,
            team,
            principal,
            int(r.minute[row]),
            float(said.score[row]),
            DRIVERS[driver],
            HORIZONS_MINUTES[horizon],
            float(said.excess_usd[row]),
            float(said.usd_per_hour[row]),
            float(r.usd_per_minute[row, horizon]) * 60,
            {name: part / NANO for name, part in zip(DRIVERS, parts[row].tolist(), strict=True) if part},
            leading_features(features[row]),
            _level(before[row], driver) if driver != UNIT else _usual_price(after[row], seen, row, horizon),
            _level(after[row], driver),
            int(seen.active_minutes_since_deployment[row]),
            kind=detector.kind,
            speaker=series,
            fired=DRIVERS[int(said.driver[row])],
            numbers=numbers_of(seen, row, horizon),
        )


def _struck(detector: Detector, name: SeriesName, culprit: str) -> tuple[SeriesName, str]:
    """What is struck: the series, or the whole service where its principal only shows what all of it does."""
    own = name.scope().get("principal", "")
    if detector.about_principals:
        return name, own
    if own and own != culprit:
        return SeriesName(("service",), (name.scope()["service"],)), ""
    return name, culprit if detector.names_principals else ""


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


def _usual(seen: Seen, horizon: NDArray[np.int8]) -> Floats:
    """What each row's horizon would hold if it cost what is usual, at the baseline's ratios; shape (rows, totals)."""
    r, at = seen.residuals, np.arange(len(horizon))
    base = r.base[at, horizon]
    usual = r.usual_usd_per_minute[at, horizon] * TAU_MINUTES[horizon]
    scaled: Floats = base * (usual / np.maximum(base[:, PAID] + base[:, GPU], 1e-12))[:, None]
    return scaled


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


def _usual_price(after: Floats, seen: Seen, row: int, horizon: int) -> float:
    """What would be paid over list at the usual price, tokens being mixed as they are."""
    return _level(after, UNIT) * float(np.exp(-seen.residuals.step[row, horizon, C_UNIT]))


def leading_features(values: NDArray[np.float32], how_many: int = 5) -> dict[str, float]:
    """Return the features of a row that stand out most."""
    order = np.argsort(-np.abs(values), kind="stable")[:how_many]
    return {FEATURES[i]: round(float(values[i]), 4) for i in order}


assert len(DRIVER_OF_CHANNEL) == len(CHANNELS)  # noqa: S101 — a channel without a driver would have no name
