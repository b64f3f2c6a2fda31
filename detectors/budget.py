"""The page budget: which score a detector must reach so that the promised number of pages is kept.

Each detector ships a prior: how many natural episodes a week it sees at its threshold, measured on other
organisations, and how fast they become rarer with the score. What the organisation itself shows (episodes that
were not worth a page) moves the rate; the prior is worth two weeks.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_WEEK
from detectors.verdicts import Detector

_WEEKS = {"day": 1 / 7, "week": 1.0, "month": 30.4 / 7}
_PRIOR_WEEKS = 2.0
_KEPT_IN_HAND = 0.75
"""A promise is an upper bound: aim for three quarters of it."""
_SETTLED_MINUTES = 2 * MINUTES_PER_DAY


class PageBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many pages the organisation is willing to get.

    Examples
    --------
    >>> PageBudget(pages=1, per="day").pages_per_week
    7.0
    """

    pages: Annotated[float, Meta(gt=0)] = 3.0
    per: Literal["day", "week", "month"] = "week"

    @property
    def pages_per_week(self) -> float:
        """The promise, in pages a week."""
        return self.pages / _WEEKS[self.per]


class BudgetState(msgspec.Struct):
    """Natural episodes seen by detector since the first two days, and the pages raised."""

    began: int | None = None
    episodes: dict[str, float] = msgspec.field(default_factory=dict)
    last_episode_day: dict[str, int] = msgspec.field(default_factory=dict)
    pages: dict[str, int] = msgspec.field(default_factory=dict)


class Budget:
    """Keeps the promise.

    Parameters
    ----------
    promise
        The page budget.
    detectors
        All detectors, with their priors.
    """

    def __init__(self, promise: PageBudget, detectors: tuple[Detector, ...]) -> None:
        self._promise = promise
        self._detectors = {d.title: d for d in detectors}

    def observe(self, state: BudgetState, minute: int, detector: str, place: str) -> None:
        """Count an episode that was not worth a page: at most one a day and place."""
        if state.began is None or minute - state.began < _SETTLED_MINUTES:
            return
        key, day = f"{detector}\x1f{place}", minute // MINUTES_PER_DAY
        if state.last_episode_day.get(key) != day:
            state.last_episode_day[key] = day
            state.episodes[detector] = state.episodes.get(detector, 0.0) + 1

    def natural_per_week(self, state: BudgetState, minute: int, detector: Detector) -> float:
        """Natural episodes a week at the detector's threshold, as known by now."""
        weeks = 0.0
        if state.began is not None:
            weeks = max(minute - state.began - _SETTLED_MINUTES, 0) / MINUTES_PER_WEEK
        seen = state.episodes.get(detector.title, 0.0)
        return (seen + _PRIOR_WEEKS * detector.natural_per_week) / (_PRIOR_WEEKS + weeks)

    def expected_per_week(self, state: BudgetState, minute: int, detector: Detector, score: float) -> float:
        """How many episodes a week of this score or more are to be expected by chance."""
        rate = self.natural_per_week(state, minute, detector)
        return rate * math.exp(-min(max(score - detector.threshold, 0.0) / detector.tail, 700.0))

    def is_worth_a_page(self, state: BudgetState, minute: int, detector: Detector, score: float) -> bool:
        """Whether episodes of this score are rare enough for the detector's share of the promise."""
        share = detector.budget_share * self._promise.pages_per_week * _KEPT_IN_HAND
        return self.expected_per_week(state, minute, detector, score) <= share

    def detector(self, title: str) -> Detector:
        """Return a detector by its title."""
        return self._detectors[title]
