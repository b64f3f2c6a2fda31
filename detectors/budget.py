"""The page budget: which score a detector must reach so that the promised number of pages is kept.

Each detector ships a prior: how many natural episodes a week it sees at its threshold, measured on other
organisations, and how fast they become rarer with the score. What the organisation itself shows (episodes that
were not worth a page) moves the rate; the prior is worth two weeks.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_WEEK
from detectors.verdicts import Detector

_WEEKS = {"day": 1 / 7, "week": 1.0, "month": 30.4 / 7}
_PRIOR_WEEKS = 2.0
_KEPT_IN_HAND = 0.9
"""A promise is an upper bound: aim for nine tenths of it."""
_SETTLED_MINUTES = 2 * MINUTES_PER_DAY


class TeamBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many pages a team is willing to get."""

    pages: Annotated[float, Meta(gt=0)]
    per: Literal["day", "week", "month"] = "week"

    @property
    def pages_per_week(self) -> float:
        """The promise, in pages a week."""
        return self.pages / _WEEKS[self.per]


class PageBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many pages the organisation is willing to get, and some of its teams.

    Examples
    --------
    >>> PageBudget(pages=1, per="day").pages_per_week
    7.0
    """

    pages: Annotated[float, Meta(gt=0)] = 3.0
    per: Literal["day", "week", "month"] = "week"
    teams: dict[Annotated[str, Meta(min_length=1, max_length=256)], TeamBudget] = {}

    @property
    def pages_per_week(self) -> float:
        """The promise, in pages a week."""
        return self.pages / _WEEKS[self.per]


class Paged(msgspec.Struct, frozen=True):
    """A page that was raised."""

    minute: int
    detector: str
    team: str


class BudgetState(msgspec.Struct):
    """Natural episodes seen since the first two days, by detector and by team, and the pages of the last week."""

    began: int | None = None
    episodes: dict[str, float] = msgspec.field(default_factory=dict)
    team_episodes: dict[str, float] = msgspec.field(default_factory=dict)
    last_episode_day: dict[str, int] = msgspec.field(default_factory=dict)
    pages: list[Paged] = []


class PageRates(msgspec.Struct, frozen=True):
    """Pages a week as promised and as realised in the last seven days of event time; natural episodes a week."""

    promised: float
    realised: int
    team_promised: dict[str, float]
    team_realised: dict[str, int]
    """Of the teams that have a promise."""
    natural: dict[str, float]
    """Natural episodes a week at each detector's threshold, as known by now."""
    detector_realised: dict[str, int]


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

    def begin(self, state: BudgetState, minute: int) -> None:
        """Note that a minute is judged: the first one begins the time in which rates are learned."""
        if state.began is None:
            state.began = minute

    def observe(self, state: BudgetState, minute: int, detector: str, place: str, team: str = "") -> None:
        """Count an episode that was not worth a page: at most one a day and place."""
        if state.began is None or minute - state.began < _SETTLED_MINUTES:
            return
        key, day = f"{detector}\x1f{place}", minute // MINUTES_PER_DAY
        if state.last_episode_day.get(key) != day:
            lately = {known: at for known, at in state.last_episode_day.items() if at >= day - 1}
            state.last_episode_day = {**lately, key: day}
            state.episodes[detector] = state.episodes.get(detector, 0.0) + 1
            state.team_episodes[team] = state.team_episodes.get(team, 0.0) + 1

    def page(self, state: BudgetState, minute: int, detector: str, team: str) -> None:
        """Note a page that was raised."""
        week = [paged for paged in state.pages if paged.minute > minute - MINUTES_PER_WEEK]
        state.pages = [*week, Paged(minute, detector, team)]

    def rates(self, state: BudgetState, minute: int) -> PageRates:
        """Return what was promised, what is natural and what came of it, as of a minute."""
        week = [paged for paged in state.pages if paged.minute > minute - MINUTES_PER_WEEK]
        of_team, of_detector = Counter(p.team for p in week), Counter(p.detector for p in week)
        return PageRates(
            self._promise.pages_per_week,
            len(week),
            {name: team.pages_per_week for name, team in self._promise.teams.items()},
            {name: of_team[name] for name in self._promise.teams},
            {title: self.natural_per_week(state, minute, one) for title, one in self._detectors.items()},
            {title: of_detector[title] for title in self._detectors},
        )

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

    def is_worth_a_page(
        self, state: BudgetState, minute: int, detector: Detector, score: float, team: str = ""
    ) -> bool:
        """Whether episodes of this score are rare enough for the detector's share of the promise.

        A page of a team that has a promise of its own must be rare enough among the team's episodes as well.
        """
        expected = self.expected_per_week(state, minute, detector, score)
        share = detector.budget_share * _KEPT_IN_HAND
        if expected > share * self._promise.pages_per_week:
            return False
        own = self._promise.teams.get(team)
        return own is None or expected * self._part_of(state, team) <= share * own.pages_per_week

    def _part_of(self, state: BudgetState, team: str) -> float:
        """The part of natural episodes that are a team's; all of them until others have shown some."""
        return (state.team_episodes.get(team, 0.0) + 1) / (sum(state.team_episodes.values()) + 1)

    def detector(self, title: str) -> Detector:
        """Return a detector by its title."""
        return self._detectors[title]
