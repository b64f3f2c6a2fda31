"""What was spent, minute by minute: collected while the stages run, asked for by the pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.frame import COST, DIMENSIONS
from detectors.intake.prices import NANO
from detectors.watch.reports import MinuteReport

KEPT = ("team", "service", "environment", "provider", "model")
"""Dimensions that spend is kept by. Reports do not tell principals apart: their spend is shown with their service."""

_PLACES = tuple(DIMENSIONS.index(name) for name in KEPT)

Place = tuple[str, ...]
"""One value for each of :data:`KEPT`."""


@dataclass(frozen=True)
class SpendByMinute:
    """Dollars by place and minute.

    Parameters
    ----------
    first_minute
        Minutes since the epoch of the first column.
    places
        What each row is, rising.
    usd
        Dollars, shape (places, minutes).
    """

    first_minute: int
    places: tuple[Place, ...]
    usd: NDArray[np.float64]

    @property
    def end_minute(self) -> int:
        """The minute after the last."""
        return self.first_minute + int(self.usd.shape[1])

    def of(self, scope: Mapping[str, str]) -> NDArray[np.float64]:
        """Dollars a minute of everything in a scope, shape (minutes,).

        A team is left out of account where a service or a model is named, since an incident's team is only its owner;
        names that are no dimension of :data:`KEPT` narrow nothing.
        """
        wanted = [(at, scope[name]) for at, name in enumerate(KEPT) if name in scope]
        if len(wanted) > 1:
            wanted = [(at, value) for at, value in wanted if KEPT[at] != "team"]
        chosen = [all(place[at] == value for at, value in wanted) for place in self.places]
        return np.asarray(self.usd[np.array(chosen, bool)].sum(axis=0))

    def by_team(self) -> dict[str, float]:
        """Dollars by team, the dearest first."""
        total: dict[str, float] = defaultdict(float)
        for place, row in zip(self.places, self.usd, strict=True):
            total[place[0]] += float(row.sum())
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


class SpendCounter:
    """Collects what was spent from the minute reports of all shards, late rows in the minute that they belong to."""

    def __init__(self) -> None:
        self._nano: dict[Place, dict[int, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, report: MinuteReport) -> None:
        """Count a report; the order of reports does not matter."""
        spend = report.spend
        if spend is None:
            return
        places = [tuple(key[at] for at in _PLACES) for key in spend.keys]
        rows = zip(spend.key.tolist(), spend.minute.tolist(), spend.values[COST].tolist(), strict=True)
        for place, minute, nano in rows:
            self._nano[places[place]][minute] += nano

    def by_minute(self) -> SpendByMinute:
        """Return what was spent so far, in whole columns."""
        minutes = [minute for by_minute in self._nano.values() for minute in by_minute]
        if not minutes:
            return SpendByMinute(0, (), np.zeros((0, 0)))
        first, end = min(minutes), max(minutes) + 1
        places = sorted(self._nano)
        usd = np.zeros((len(places), end - first))
        for row, place in enumerate(places):
            by_minute = self._nano[place]
            usd[row, np.fromiter(by_minute, np.int64) - first] = np.fromiter(by_minute.values(), np.float64) / NANO
        return SpendByMinute(first, tuple(places), usd)
