"""Who hears of which alert: ``routes.yaml``, and the pure routing of an alert to receivers.

Routes are tried in order; the first that matches takes the alert, unless it says ``continue: true``. What no
route takes goes to the receivers of ``default``. A route may have a page budget of its own, which detection keeps as
it keeps the organisation's: what does not fit is a ticket, and is routed as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from typing import Annotated

import msgspec
from msgspec import Meta

from detectors.events import Alert
from detectors.incidents.alerts import labels_of
from detectors.judging.budget import Promise, RouteBudget, RouteBudgets
from streams.delivery.past import DigestSettings
from streams.notifiers import ReceiverSettings

Patterns = str | tuple[str, ...]
"""One shell pattern (``team-*``) or several, of which one must match."""

Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an alert must be for a route to take it; everything given must match.

    A dimension that the alert's scope does not name matches no pattern but ``*``.
    """

    severity: Patterns = "*"
    team: Patterns = "*"
    service: Patterns = "*"
    environment: Patterns = "*"
    initiative: Patterns = "*"
    principal: Patterns = "*"
    provider: Patterns = "*"
    model: Patterns = "*"
    driver: Patterns = "*"
    detector: Patterns = "*"
    intent: Patterns = "*"


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"goes_on": "continue"}):
    """One route: what it takes, to whom, and whether later routes may take it as well.

    With ``page_budget`` its pages are held to that promise as well. What is learned of it goes by its ``name``.
    """

    receivers: tuple[str, ...]
    match: Match = Match()
    goes_on: bool = False
    name: Annotated[str, Meta(max_length=256)] = ""
    page_budget: Promise | None = None

    def __post_init__(self) -> None:
        """Refuse a promise to nobody in particular."""
        if self.page_budget is not None and not self.name:
            raise ValueError("page_budget needs a name beside it: what is learned of the route, and metrics, go by it")


class RetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to deal with a receiver that does not answer well.

    Pauses double from the first to the longest. A message that has failed for ``give_way_after_seconds`` lets the
    next incident's go first, and is tried again later; it is never given up. ``timeout_seconds`` is for one POST.
    """

    first_pause_seconds: Seconds = 0.5
    longest_pause_seconds: Seconds = 30.0
    give_way_after_seconds: Seconds = 120.0
    timeout_seconds: Seconds = 10.0


class Problem(msgspec.Struct, frozen=True):
    """A receiver that a route names and nobody has declared: its path in the file, and its name."""

    path: str
    receiver: str


class Routes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``routes.yaml``."""

    receivers: dict[str, ReceiverSettings]
    default: tuple[str, ...]
    routes: tuple[Route, ...] = ()
    retries: RetrySettings = RetrySettings()
    digest: DigestSettings = DigestSettings()

    def problems(self) -> Iterator[Problem]:
        """Yield each place that names a receiver which is not declared."""
        places = [("default", self.default)]
        places += [(f"routes[{n}].receivers", route.receivers) for n, route in enumerate(self.routes)]
        for path, names in places:
            for n, name in enumerate(names):
                if name not in self.receivers:
                    yield Problem(f"{path}[{n}]", name)

    def receivers_of(self, alert: Alert, told: Sequence[str] = ()) -> tuple[str, ...]:
        """Return who hears of an alert.

        Parameters
        ----------
        alert
            In any of its states.
        told
            Who has heard of the incident before. They hear of whatever follows; others only of a firing, which
            comes again when an incident has grown more severe.
        """
        named = tuple(told) if alert.state != "firing" else (*told, *self._matching(alert))
        return tuple(dict.fromkeys(named))

    def _matching(self, alert: Alert) -> Iterable[str]:
        labels = labels_of(alert.scope, alert.severity, alert.cause.driver, alert.detector, alert.intent)
        taking = list(taken_by(self.routes, labels))
        return chain.from_iterable(route.receivers for route in taking) if taking else self.default


def taken_by(routes: Iterable[Route], labels: Mapping[str, str]) -> Iterator[Route]:
    """Yield the routes that an alert of some labels goes down (:func:`detectors.incidents.alerts.labels_of`).

    Examples
    --------
    >>> table = (Route(("a",), Match(team="ads"), goes_on=True), Route(("b",)), Route(("c",)))
    >>> [route.receivers for route in taken_by(table, {"team": "ads"})]
    [('a',), ('b',)]
    """
    for route in routes:
        if all(fits(getattr(route.match, name), labels.get(name, "")) for name in route.match.__struct_fields__):
            yield route
            if not route.goes_on:
                return


def fits(patterns: Patterns, value: str) -> bool:
    """Whether one of some patterns matches."""
    return any(fnmatchcase(value, pattern) for pattern in ((patterns,) if isinstance(patterns, str) else patterns))


def route_budgets(routes: tuple[Route, ...], detectors: Iterable[str]) -> RouteBudgets:
    """Return the promises that some routes make, and which page is held to which; ``detectors`` are their titles."""
    titles = tuple(detectors)
    promised = tuple(
        RouteBudget(
            route.name,
            route.page_budget.pages_per_week,
            frozenset(title for title in titles if fits(route.match.detector, title)),
        )
        for route in routes
        if route.page_budget is not None
    )
    return RouteBudgets(promised, partial(_promising, routes))


def _promising(routes: tuple[Route, ...], labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(route.name for route in taken_by(routes, labels) if route.page_budget is not None)


def promise_of(routes: Sequence[Route]) -> tuple[Route, ...]:
    """Return what of some routes says which page is held to which promise; empty where none has one."""
    last = max((n for n, route in enumerate(routes) if route.page_budget is not None), default=-1)
    return tuple(msgspec.structs.replace(route, receivers=()) for route in routes[: last + 1])
