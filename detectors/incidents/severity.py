"""Severity: whether a candidate wakes somebody, waits for the morning, or is a line on a dashboard."""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
from msgspec import Meta

from detectors.clock import MINUTES_PER_HOUR
from detectors.events import Intent, Severity
from detectors.judging.budget import Budget, BudgetState
from detectors.judging.forecast import month_bounds
from detectors.judging.judge import Candidate

RANK: dict[Severity, int] = {"info": 0, "ticket": 1, "page": 2}

WEEKS_A_YEAR = 52


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dollars at risk from which somebody is told: so much an hour and so far, or so much by the month's end."""

    usd_per_hour: Annotated[float, Meta(ge=0)]
    excess_usd: Annotated[float, Meta(ge=0)] = 0.0
    month_end_usd: Annotated[float, Meta(gt=0)] | None = None
    """Dollars above the usual by the end of the month if nobody acts; null asks only for the other two."""

    def is_reached(self, found: Candidate) -> bool:
        """Whether a candidate costs so much."""
        if found.usd_per_hour >= self.usd_per_hour and found.excess_usd >= self.excess_usd:
            return True
        return self.month_end_usd is not None and excess_by_month_end(found) >= self.month_end_usd


class SeveritySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page needs a rare score and this money; a ticket this money alone."""

    page: Money = Money(usd_per_hour=0.8, excess_usd=0.2)
    ticket: Money = Money(usd_per_hour=0.2)


class Weighed(msgspec.Struct, frozen=True):
    """A candidate's severity, and how many like it would come by chance."""

    severity: Severity
    p_value: float
    per_year: float
    is_rare_and_dear: bool
    """It would page if nobody had been woken for its place so lately."""


class Scale:
    """Weighs candidates.

    Parameters
    ----------
    settings
        The money.
    budget
        Says what is rare enough.
    """

    def __init__(self, settings: SeveritySettings, budget: Budget) -> None:
        self._settings = settings
        self._budget = budget

    def weigh(
        self, state: BudgetState, found: Candidate, meant: Intent, place: str, routes: tuple[str, ...], *, rests: bool
    ) -> Weighed:
        """Weigh a candidate; one that is dear but not rare is an example of what comes naturally.

        Parameters
        ----------
        state
            What the budget knows; changed.
        found, meant, place
            The candidate, what its spend was meant for, and where it is.
        routes
            The routes with a promise of their own that a page of it would go down.
        rests
            Whether its place was paged for so lately that it does not page again.
        """
        detector = self._budget.detector(found.detector)
        a_week = self._budget.expected_per_week(state, found.minute, detector, found.score)
        per_year, p_value = a_week * WEEKS_A_YEAR, -math.expm1(-a_week)
        if meant.verdict == "intentional":
            return Weighed("info", p_value, per_year, is_rare_and_dear=False)
        if detector.kind == "unpriced_model":
            return Weighed("ticket", p_value, per_year, is_rare_and_dear=False)
        rare = self._budget.is_worth_a_page(state, found.minute, detector, found.score, found.team, routes)
        dear = self._settings.page.is_reached(found)
        if rare and dear and not rests:
            return Weighed("page", p_value, per_year, is_rare_and_dear=True)
        if dear and not rare:
            self._budget.observe(state, found.minute, found.detector, place, found.team, routes)
        severity: Severity = "ticket" if self._settings.ticket.is_reached(found) else "info"
        return Weighed(severity, p_value, per_year, is_rare_and_dear=rare and dear)


def excess_by_month_end(found: Candidate) -> float:
    """Dollars above the usual by the end of the month if it goes on as it does."""
    hours_left = (month_bounds(found.minute)[1] - found.minute - 1) / MINUTES_PER_HOUR
    return found.excess_usd + found.usd_per_hour * hours_left
