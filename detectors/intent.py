"""What spend was meant for: the initiative behind it, and whether it was declared, planned, or neither."""

from __future__ import annotations

from detectors.clock import minute_of
from detectors.events import Initiative, Intent, PlannedBurst

GRACE_AFTER_PLAN_MINUTES = 15
GRACE_AFTER_START_MINUTES = 1440


def initiative_of(initiatives: tuple[Initiative, ...], labels: dict[str, str]) -> Initiative | None:
    """Return the initiative that matches most of some labels, or None."""
    fitting = [i for i in initiatives if i.match and all(labels.get(k) == v for k, v in i.match.items())]
    return max(fitting, key=lambda i: (len(i.match), i.id), default=None)


def plan_at(initiative: Initiative, minute: int) -> PlannedBurst | None:
    """Return the planned burst of a minute, with a quarter of an hour's grace after its end."""
    for plan in initiative.planned:
        if minute_of(plan.start) <= minute < minute_of(plan.end) + GRACE_AFTER_PLAN_MINUTES:
            return plan
    return None


def judge_intent(initiative: Initiative | None, minute: int, usd_last_hour: float) -> Intent:
    """Tell intentional spend from accidental and undeclared.

    Intentional is what a plan covers within its ceiling, and the first day of a declared initiative.
    """
    if initiative is None:
        return Intent(None, "undeclared", None)
    plan = plan_at(initiative, minute)
    if plan is not None and usd_last_hour <= plan.up_to_usd_per_hour:
        return Intent(initiative.id, "intentional", plan.approved_by)
    if initiative.starts is not None:
        since = minute - minute_of(initiative.starts)
        if 0 <= since < GRACE_AFTER_START_MINUTES:
            return Intent(initiative.id, "intentional", initiative.approver)
    return Intent(initiative.id, "accidental", plan.approved_by if plan else initiative.approver)
