"""An experiment that spends more than its monthly budget allows.

Catches: an experiment that has spent its month's budget, and one that will have by the month's end at the pace of its
last days. Misses: experiments without `monthly_budget_usd`; what was spent in a month before Burstwatch began;
experiments that are matched by principal, whose spend is not counted by key.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR
from detectors.events import Initiative
from detectors.judging.accounts import Accounts
from detectors.judging.forecast import month_bounds
from detectors.rules.rule import Bill, Finding, Rule, scope_of

_PACE_DAYS = 7
_DAYS_KEPT = 40


class CeilingState(msgspec.Struct):
    """Dollars of each experiment by day."""

    days: dict[str, dict[int, float]] = msgspec.field(default_factory=dict)
    told: dict[str, int] = msgspec.field(default_factory=dict)
    """Experiments that were found to be heading over, by the first minute of the month in which they were."""


class ExperimentOverCeiling(Rule, frozen=True, kw_only=True):
    """What an experiment's month will come to, over its monthly budget."""

    kind: ClassVar[str] = "experiment_over_ceiling"
    least_ratio: Annotated[float, Meta(ge=1)] = 1.5
    """How far above the budget the month must be heading; once found, it stays so while it heads above the budget."""
    least_share: Annotated[float, Meta(ge=0, le=1)] = 0.25
    """A pace says nothing before this share of the budget is spent."""

    def start(self) -> CeilingState:
        """Nothing seen yet."""
        return CeilingState()

    def count(self, state: CeilingState, bill: Bill) -> None:
        """Take a minute into the state."""
        for experiment, line in bill.experiments:
            days, day = state.days.setdefault(experiment.id, {}), line.minute // MINUTES_PER_DAY
            days[day] = days.get(day, 0.0) + line.usd
            if len(days) > _DAYS_KEPT:
                del days[min(days)]

    def judge(
        self, state: CeilingState, minute: int, accounts: Accounts, declared: tuple[Initiative, ...]
    ) -> list[Finding]:
        """Return the experiments that are over their budget, or heading there."""
        experiments = [i for i in declared if i.intent == "experiment" and i.monthly_budget_usd and i.id in state.days]
        found = [self._look_at(state, experiment, minute) for experiment in experiments]
        return [finding for finding in found if finding is not None]

    def _look_at(self, state: CeilingState, experiment: Initiative, minute: int) -> Finding | None:
        days = state.days[experiment.id]
        start, end = month_bounds(minute)
        today = minute // MINUTES_PER_DAY
        spent = sum(usd for day, usd in sorted(days.items()) if start // MINUTES_PER_DAY <= day <= today)
        budget = experiment.monthly_budget_usd or 0.0
        full = [days.get(day, 0.0) for day in range(max(min(days), today - _PACE_DAYS), today)]
        a_day = sum(full) / len(full) if full else 0.0
        heading = spent + a_day * (end - minute - 1) / MINUTES_PER_DAY
        is_over = spent > budget
        ratio = 1.0 if state.told.get(experiment.id) == start else self.least_ratio
        is_heading_over = bool(full) and heading > ratio * budget and spent >= self.least_share * budget
        if not (is_over or is_heading_over):
            return None
        state.told[experiment.id] = start
        return _finding(experiment, spent, heading, a_day, minute, is_over=is_over)


def _finding(
    experiment: Initiative, spent: float, heading: float, a_day: float, minute: int, *, is_over: bool
) -> Finding:
    start, end = month_bounds(minute)
    budget = experiment.monthly_budget_usd or 0.0
    hours = (end - start) / MINUTES_PER_HOUR
    if is_over:
        reason = f"experiment {experiment.id} has spent {spent:,.2f} USD this month; its budget is {budget:,.2f}"
    else:
        reason = (
            f"experiment {experiment.id} spends {a_day:,.2f} USD a day and is heading for {heading:,.2f} USD this "
            f"month; its budget is {budget:,.2f}, {spent:,.2f} are spent"
        )
    return Finding(
        scope_of(experiment),
        reason,
        f"ask {experiment.owner} to slow it down or {experiment.approver} for more budget",
        {"spent_usd": round(spent, 6), "month_end_usd": round(heading, 6), "budget_usd": budget},
        team=experiment.team,
        observed_usd_per_hour=a_day / 24,
        usd_per_hour=max(a_day / 24 - budget / hours, 0.0),
        excess_usd=max(spent - budget * (minute + 1 - start) / (end - start), 0.0),
    )
