"""The page budget: which score a detector must reach so that the promised number of pages is kept.

Each detector ships a prior: how many natural episodes a week it sees at its threshold, measured on other
organisations, and how fast they become rarer with the score. The tail is a generalised Pareto one, as that of what
exceeds a high threshold (Pickands, 1975): exponential where its shape is zero, else the heavier the further out. An
organisation of more services sees as many more episodes. What it shows itself (episodes that were not worth a page)
moves the rate; the prior is worth two weeks. Of the tail it can show little: what is far out pages, and has a cause.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR, MINUTES_PER_WEEK
from detectors.verdicts import Detector

_WEEKS = {"day": 1 / 7, "week": 1.0, "month": 30.4 / 7}
_PRIOR_WEEKS = 2.0
_PRIOR_SERVICES = 40
"""Priors are of organisations of so many services; smaller ones are taken to be as large."""
_SETTLED_MINUTES = 2 * MINUTES_PER_DAY
_NO_SHAPE = 1e-12
"""Below this, numbers do not tell a tail from an exponential one."""


class Promise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many pages a team is willing to get, or those whom a route tells."""

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
    teams: dict[Annotated[str, Meta(min_length=1, max_length=256)], Promise] = {}

    @property
    def pages_per_week(self) -> float:
        """The promise, in pages a week."""
        return self.pages / _WEEKS[self.per]


class RouteBudget(msgspec.Struct, frozen=True):
    """What is promised of a route, by its name, and the titles of the detectors whose pages it may take."""

    name: str
    pages_per_week: float
    detectors: frozenset[str]


def _no_route(_labels: Mapping[str, str]) -> tuple[str, ...]:
    return ()


class RouteBudgets(msgspec.Struct, frozen=True):
    """The routes that have a promise of their own, and the names of those that a page of some labels goes down."""

    promised: tuple[RouteBudget, ...] = ()
    taking: Callable[[Mapping[str, str]], tuple[str, ...]] = _no_route


NO_ROUTES = RouteBudgets()


class Paged(msgspec.Struct, frozen=True):
    """A page that was raised."""

    minute: int
    detector: str
    team: str
    routes: tuple[str, ...] = ()


class RouteEpisodes(msgspec.Struct):
    """Natural episodes by detector, since a route has a promise: those that it would have taken, and all."""

    own: dict[str, float] = msgspec.field(default_factory=dict)
    every: dict[str, float] = msgspec.field(default_factory=dict)

    def part_of(self, detector: str) -> float:
        """The part of a detector's natural episodes that are the route's.

        All of them until others have shown some; of a detector that has shown few, what all have shown counts as one.
        """
        pooled = (sum(self.own.values()) + 1) / (sum(self.every.values()) + 1)
        return (self.own.get(detector, 0.0) + pooled) / (self.every.get(detector, 0.0) + 1)


class BudgetState(msgspec.Struct):
    """Natural episodes since the first two days, by detector, team and route, and the pages of the last week."""

    began: int | None = None
    services: int = 0
    """How many services spent anything in a day, as of some time within the last hour."""
    sized_up_hour: int | None = None
    episodes: dict[str, float] = msgspec.field(default_factory=dict)
    false_pages: dict[str, float] = msgspec.field(default_factory=dict)
    """Those of the episodes that paged and that somebody called false, by detector."""
    team_episodes: dict[str, float] = msgspec.field(default_factory=dict)
    route_episodes: dict[str, RouteEpisodes] = msgspec.field(default_factory=dict)
    last_episode_day: dict[str, int] = msgspec.field(default_factory=dict)
    pages: list[Paged] = []


class PageRates(msgspec.Struct, frozen=True):
    """Pages a week as promised and as realised in the last seven days of event time; natural episodes a week."""

    promised: float
    realised: int = 0
    natural: dict[str, float] = {}
    """Natural episodes a week at each detector's threshold, as known by now."""
    detector_realised: dict[str, int] = {}
    team_promised: dict[str, float] = {}
    """Of the teams that have a promise of their own, as the next two are; then the same of routes."""
    team_realised: dict[str, int] = {}
    team_natural: dict[str, float] = {}
    """The teams' part of all detectors' natural episodes."""
    route_promised: dict[str, float] = {}
    route_realised: dict[str, int] = {}
    route_natural: dict[str, float] = {}


class Budget:
    """Keeps the promise.

    Parameters
    ----------
    promise
        The page budget.
    detectors
        All detectors, with their priors.
    routes
        Those that have a promise of their own.
    """

    def __init__(self, promise: PageBudget, detectors: tuple[Detector, ...], routes: RouteBudgets = NO_ROUTES) -> None:
        self._promise = promise
        self._detectors = {d.title: d for d in detectors}
        self._routes = {route.name: route for route in routes.promised}
        self._taking = routes.taking
        self._shares = {
            name: sum(d.budget_share for d in detectors if d.title in route.detectors)
            for name, route in self._routes.items()
        }

    @property
    def has_routes(self) -> bool:
        """Whether any route has a promise of its own."""
        return bool(self._routes)

    def routes_of(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Return the names of the routes with a promise of their own that a page of these labels goes down."""
        return self._taking(labels)

    def begin(self, state: BudgetState, minute: int) -> None:
        """Note that a minute is judged: the first one begins the time in which rates are learned."""
        if state.began is None:
            state.began = minute

    def size_up(self, state: BudgetState, minute: int, services_of_a_day: Callable[[], int]) -> None:
        """Look once an hour how many services there are."""
        hour = minute // MINUTES_PER_HOUR
        if hour != state.sized_up_hour:
            state.sized_up_hour, state.services = hour, services_of_a_day()

    def observe(
        self,
        state: BudgetState,
        minute: int,
        detector: str,
        place: str,
        team: str = "",
        routes: tuple[str, ...] = (),
        *,
        is_false_page: bool = False,
    ) -> None:
        """Count an episode that was not worth a page, or a page that was false: at most one a day and place."""
        if state.began is None or minute - state.began < _SETTLED_MINUTES:
            return
        key, day = f"{detector}\x1f{place}", minute // MINUTES_PER_DAY
        if state.last_episode_day.get(key) != day:
            lately = {known: at for known, at in state.last_episode_day.items() if at >= day - 1}
            state.last_episode_day = {**lately, key: day}
            state.episodes[detector] = state.episodes.get(detector, 0.0) + 1
            state.false_pages[detector] = state.false_pages.get(detector, 0.0) + is_false_page
            state.team_episodes[team] = state.team_episodes.get(team, 0.0) + 1
            self._observe_by_route(state, detector, routes)

    def _observe_by_route(self, state: BudgetState, detector: str, routes: tuple[str, ...]) -> None:
        """Count an episode for every route that has a promise; what was learned of others is let go."""
        state.route_episodes = {name: state.route_episodes.get(name, RouteEpisodes()) for name in self._routes}
        for name, episodes in state.route_episodes.items():
            episodes.every[detector] = episodes.every.get(detector, 0.0) + 1
            if name in routes:
                episodes.own[detector] = episodes.own.get(detector, 0.0) + 1

    def page(self, state: BudgetState, minute: int, detector: str, team: str, routes: tuple[str, ...] = ()) -> None:
        """Note a page that was raised."""
        week = [paged for paged in state.pages if paged.minute > minute - MINUTES_PER_WEEK]
        state.pages = [*week, Paged(minute, detector, team, routes)]

    def rates(self, state: BudgetState, minute: int) -> PageRates:
        """Return what was promised, what is natural and what came of it, as of a minute."""
        week = [paged for paged in state.pages if paged.minute > minute - MINUTES_PER_WEEK]
        of_team, of_detector = Counter(p.team for p in week), Counter(p.detector for p in week)
        of_route = Counter(name for p in week for name in p.routes)
        natural = {title: self.natural_per_week(state, minute, one) for title, one in self._detectors.items()}
        teams = self._promise.teams
        return PageRates(
            promised=self._promise.pages_per_week,
            realised=len(week),
            natural=natural,
            detector_realised={title: of_detector[title] for title in self._detectors},
            team_promised={name: team.pages_per_week for name, team in teams.items()},
            team_realised={name: of_team[name] for name in teams},
            team_natural={name: sum(natural.values()) * self._part_of(state, name) for name in teams},
            route_promised={name: route.pages_per_week for name, route in self._routes.items()},
            route_realised={name: of_route[name] for name in self._routes},
            route_natural={name: self._natural_of(state, name, natural) for name in self._routes},
        )

    def _natural_of(self, state: BudgetState, name: str, natural: Mapping[str, float]) -> float:
        """Natural episodes a week that a route would take, at the thresholds of its detectors."""
        taken, episodes = self._routes[name].detectors, state.route_episodes.get(name, RouteEpisodes())
        return sum(rate * episodes.part_of(title) for title, rate in natural.items() if title in taken)

    def natural_per_week(self, state: BudgetState, minute: int, detector: Detector) -> float:
        """Natural episodes a week at the detector's threshold, as known by now.

        Those that page are not seen to be natural. As many are believed to as the detector's share of the promise lets
        through, or as somebody has called false, if those are more; and all, where there are fewer than that.
        """
        weeks = 0.0
        if state.began is not None:
            weeks = max(minute - state.began - _SETTLED_MINUTES, 0) / MINUTES_PER_WEEK
        seen, false = state.episodes.get(detector.title, 0.0), state.false_pages.get(detector.title, 0.0)
        prior = detector.natural_per_week * max(state.services / _PRIOR_SERVICES, 1.0)
        known, let_through = seen + _PRIOR_WEEKS * prior, self._let_through(detector)
        if known < _PRIOR_WEEKS * let_through:
            return known / _PRIOR_WEEKS
        return (known + max(weeks * let_through - false, 0.0)) / (_PRIOR_WEEKS + weeks)

    def _let_through(self, detector: Detector) -> float:
        """How many natural episodes a week may page."""
        return detector.budget_share * self._promise.pages_per_week

    def expected_per_week(self, state: BudgetState, minute: int, detector: Detector, score: float) -> float:
        """How many episodes a week of this score or more are to be expected by chance."""
        rate = self.natural_per_week(state, minute, detector)
        return rate * _part_beyond(detector, score)

    def is_worth_a_page(
        self,
        state: BudgetState,
        minute: int,
        detector: Detector,
        score: float,
        team: str = "",
        routes: tuple[str, ...] = (),
    ) -> bool:
        """Whether episodes of this score are rare enough for the detector's share of the promise.

        A page of a team that has a promise of its own must be rare enough among the team's episodes as well, and
        among those of each such route that it goes down. A route's promise is shared by the detectors it may take.
        """
        expected = self.expected_per_week(state, minute, detector, score)
        if expected > self._let_through(detector):
            return False
        share = detector.budget_share
        own = self._promise.teams.get(team)
        if own is not None and expected * self._part_of(state, team) > share * own.pages_per_week:
            return False
        return all(
            expected * self._part_of_route(state, name, detector) <= share * self._routes[name].pages_per_week
            for name in routes
        )

    def _part_of_route(self, state: BudgetState, name: str, detector: Detector) -> float:
        """The part of a detector's natural episodes that are a route's, times the shares that the route divides."""
        return state.route_episodes.get(name, RouteEpisodes()).part_of(detector.title) * self._shares[name]

    def _part_of(self, state: BudgetState, team: str) -> float:
        """The part of natural episodes that are a team's; all of them until others have shown some."""
        return (state.team_episodes.get(team, 0.0) + 1) / (sum(state.team_episodes.values()) + 1)

    def detector(self, title: str) -> Detector:
        """Return a detector by its title."""
        return self._detectors[title]


def _part_beyond(detector: Detector, score: float) -> float:
    """The part of a detector's natural episodes that reach a score."""
    tails, shape = max(score - detector.threshold, 0.0) / detector.tail, detector.tail_shape
    return math.exp(-math.log1p(shape * tails) / shape if shape > _NO_SHAPE else -tails)
