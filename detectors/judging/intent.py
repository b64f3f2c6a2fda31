"""What spend was meant for: the initiative behind it, and whether it was declared, planned, or neither."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.clock import minute_of
from detectors.events import Initiative, Intent, PlannedBurst
from detectors.frame import DIMENSIONS, Key
from detectors.judging.accounts import Accounts

GRACE_AFTER_PLAN_MINUTES = 15
GRACE_AFTER_START_MINUTES = 1440


class Portfolio:
    """The initiatives of an organisation, and which labels belong to which: to one each, or to none.

    An initiative that an event names by its label `initiative` comes first, then the one that matches most labels. One
    that is outside its `starts` and `expires` has what no other claims, so that a page can say whose it was.

    Parameters
    ----------
    initiatives
        What was declared.
    """

    def __init__(self, initiatives: tuple[Initiative, ...]) -> None:
        self.initiatives = initiatives
        self._by_id = {initiative.id: initiative for initiative in initiatives}
        self._number = {initiative.id: number for number, initiative in enumerate(initiatives)}
        self._by_service: dict[str | None, list[Initiative]] = {}
        for initiative in initiatives:
            if initiative.match:
                self._by_service.setdefault(initiative.match.get("service"), []).append(initiative)
        moments = [moment for i in initiatives for moment in (i.starts, i.expires) if moment is not None]
        self._bounds = sorted({minute_of(moment) for moment in moments})
        planned = [initiative for initiative in initiatives if initiative.planned]
        self._has_ceilings = bool(planned)
        self._any_may_be_asked = any("principal" in initiative.match for initiative in planned)
        self._keys: list[Key] | None = None
        self._of_key: dict[int, NDArray[np.int32]] = {}
        """By period; of the last two that were asked for."""
        self._ceilings = np.zeros(0, bool)

    def named(self, name: str) -> Initiative | None:
        """Return the initiative of an id, or None."""
        return self._by_id.get(name)

    def initiative_of(self, labels: Mapping[str, str], minute: int) -> Initiative | None:
        """Return the initiative that some labels belong to in a minute, or None."""
        named = self.named(labels.get("initiative", ""))
        claims = ((is_current(i, minute), i is named, len(i.match), i.id, i) for i in self._claiming(labels))
        return max(claims, default=(None,), key=lambda claim: claim[:-1])[-1]

    def _claiming(self, labels: Mapping[str, str]) -> list[Initiative]:
        """All initiatives that some labels may belong to, whatever the minute."""
        named = self.named(labels.get("initiative", ""))
        own = self._by_service.get(labels.get("service"), []) if "service" in labels else []
        matching = [i for i in (*own, *self._by_service.get(None, ())) if matches(i, labels)]
        return matching if named is None else [named, *matching]

    def period(self, minute: int) -> int:
        """Return the number of the period of a minute: within one, no initiative begins or ends."""
        return bisect_right(self._bounds, minute)

    def of_keys(self, accounts: Accounts, minute: int) -> NDArray[np.int32]:
        """Return the place of each key's initiative among all, -1 where it belongs to none."""
        self._know(accounts)
        period = self.period(minute)
        known = self._of_key.pop(period, np.zeros(0, np.int32))
        if new := accounts.keys[len(known) :]:
            found = [self.initiative_of(dict(zip(DIMENSIONS, key, strict=True)), minute) for key in new]
            numbers = np.array([-1 if i is None else self._number[i.id] for i in found], np.int32)
            known = np.concatenate([known, numbers])
        self._of_key = dict([*self._of_key.items()][-1:]) | {period: known}
        return known

    def has_ceiling(self, accounts: Accounts) -> NDArray[np.bool_]:
        """Return whether a ceiling by the hour may be held against each key's spend, in whatever minute.

        Where a plan's initiative is matched by principal, that is any key's: its ceiling is for the place that is odd.
        """
        self._know(accounts)
        if new := accounts.keys[len(self._ceilings) :]:
            found = np.full(len(new), self._any_may_be_asked)
            if self._has_ceilings and not self._any_may_be_asked:
                claims = (self._claiming(dict(zip(DIMENSIONS, key, strict=True))) for key in new)
                found = np.array([any(initiative.planned for initiative in some) for some in claims])
            self._ceilings = np.concatenate([self._ceilings, found])
        return self._ceilings

    def _know(self, accounts: Accounts) -> None:
        """Begin anew where other accounts are given than before, as after a restart."""
        if self._keys is not accounts.keys:
            self._keys, self._of_key, self._ceilings = accounts.keys, {}, np.zeros(0, bool)

    def keep_rows(self, former: list[Key], keys: list[Key], rows: NDArray[np.intp]) -> None:
        """Go on with the keys of some rows of a former list, rising, that are numbered anew in another."""
        if self._keys is former:
            known = self._of_key.items()
            self._of_key = {period: places[rows[rows < len(places)]] for period, places in known}
            self._keys, self._ceilings = keys, self._ceilings[rows[rows < len(self._ceilings)]]

    def keys_of(self, initiative: Initiative, accounts: Accounts, minute: int) -> NDArray[np.intp]:
        """Return the numbers of the keys that belong to an initiative in a minute, rising."""
        return np.flatnonzero(self.of_keys(accounts, minute) == self._number[initiative.id])


def matches(initiative: Initiative, labels: Mapping[str, str]) -> bool:
    """Whether all that an initiative names fits some labels."""
    return all(labels.get(name) == value for name, value in initiative.match.items())


def is_current(initiative: Initiative, minute: int) -> bool:
    """Whether an initiative has begun and has not expired.

    Examples
    --------
    >>> from detectors.clock import moment_of
    >>> given = Initiative("a", "t", "o", "p", "experiment", "explore", "", {"service": "s"}, expires=moment_of(9))
    >>> is_current(given, 8), is_current(given, 9)
    (True, False)
    """
    begun = initiative.starts is None or minute_of(initiative.starts) <= minute
    return begun and not has_expired(initiative, minute)


def has_expired(initiative: Initiative, minute: int) -> bool:
    """Whether a minute is at or after an initiative's expiry."""
    return initiative.expires is not None and minute_of(initiative.expires) <= minute


def plan_at(initiative: Initiative, minute: int, horizon_minutes: int) -> PlannedBurst | None:
    """Return the planned burst that a horizon up to a minute looks back on, with a quarter of an hour's grace.

    What looks back on four hours still sees a burst that ended three hours ago.
    """
    for plan in initiative.planned:
        if minute_of(plan.start) <= minute < minute_of(plan.end) + GRACE_AFTER_PLAN_MINUTES + horizon_minutes:
            return plan
    return None


def judge_intent(
    initiative: Initiative | None, minute: int, usd_last_hour: Callable[[], float], horizon_minutes: int = 0
) -> Intent:
    """Tell intentional spend from accidental and undeclared.

    Intentional is what a plan covers within its ceiling, and the first day of a declared initiative.

    Parameters
    ----------
    initiative
        That the spend belongs to.
    minute
        The present one.
    usd_last_hour
        Gives what all that belongs to the initiative has cost in the hour up to it; asked only where there is a plan.
    horizon_minutes
        How far back it was looked.
    """
    if initiative is None:
        return Intent(None, "undeclared", None)
    if not is_current(initiative, minute):
        return Intent(initiative.id, "accidental", initiative.approver, _why_not_current(initiative, minute))
    plan = plan_at(initiative, minute, horizon_minutes)
    spent = 0.0 if plan is None else usd_last_hour()
    if plan is not None and spent <= plan.up_to_usd_per_hour:
        return Intent(initiative.id, "intentional", plan.approved_by, plan.reason)
    if initiative.starts is not None and minute - minute_of(initiative.starts) < GRACE_AFTER_START_MINUTES:
        return Intent(initiative.id, "intentional", initiative.approver, "its first day")
    if plan is None:
        return Intent(initiative.id, "accidental", initiative.approver)
    above = f"{spent:,.2f} USD in an hour, {plan.up_to_usd_per_hour:,.2f} planned"
    return Intent(initiative.id, "accidental", plan.approved_by, f"{above} for {plan.reason}" if plan.reason else above)


def _why_not_current(initiative: Initiative, minute: int) -> str:
    if has_expired(initiative, minute):
        return f"it expired on {initiative.expires:%Y-%m-%d}"
    return f"it starts on {initiative.starts:%Y-%m-%d}"
