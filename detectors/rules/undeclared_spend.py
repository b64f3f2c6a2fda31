"""A new service that costs and that no initiative declares.

Catches: spend that nobody reviewed, while it is new. Misses: undeclared services that were there when Burstwatch
began (two days count as the beginning), and keys inside a declared service. An organisation that declares nothing
never hears of it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR
from detectors.events import Initiative
from detectors.rules.rule import Bill, Finding, Rule, day_of

_BEGINNING_MINUTES = 2 * MINUTES_PER_DAY


class UndeclaredState(msgspec.Struct):
    """When each service was first seen; of new undeclared ones, dollars by hour of the last day."""

    began: int | None = None
    first_seen: dict[str, int] = msgspec.field(default_factory=dict)
    teams: dict[str, str] = msgspec.field(default_factory=dict)
    hours: dict[str, dict[int, float]] = msgspec.field(default_factory=dict)
    told: list[str] = []
    """Those that have cost enough in a day: found for as long as they cost anything."""


class UndeclaredSpend(Rule, frozen=True, kw_only=True):
    """Dollars a day of services first seen in the last days."""

    kind: ClassVar[str] = "undeclared_spend"
    least_usd_per_day: Annotated[float, Meta(gt=0)] = 10.0
    new_for_days: Annotated[int, Meta(ge=1, le=90)] = 14

    def start(self) -> UndeclaredState:
        """Nothing seen yet."""
        return UndeclaredState()

    def count(self, state: UndeclaredState, bill: Bill) -> None:
        """Take a minute into the state."""
        if state.began is None:
            state.began = bill.minute
        for line in bill.lines:
            state.first_seen.setdefault(line.service, bill.minute)
            if line.initiative is None and self._is_new(state, line.service, bill.minute):
                hours = state.hours.setdefault(line.service, {})
                hour = line.minute // MINUTES_PER_HOUR
                hours[hour] = hours.get(hour, 0.0) + line.usd
                state.teams[line.service] = line.team

    def judge(self, state: UndeclaredState, minute: int, declared: tuple[Initiative, ...]) -> list[Finding]:
        """Return the new services that cost enough in the last day."""
        for service in [s for s in state.hours if not self._is_new(state, s, minute)]:
            del state.hours[service], state.teams[service]
            state.told = [each for each in state.told if each != service]
        found = [self._look_at(state, service, minute) for service in sorted(state.hours)]
        return [finding for finding in found if finding is not None and declared]

    def _is_new(self, state: UndeclaredState, service: str, minute: int) -> bool:
        first, began = state.first_seen[service], state.began or 0
        return first >= began + _BEGINNING_MINUTES and minute - first < self.new_for_days * MINUTES_PER_DAY

    def _look_at(self, state: UndeclaredState, service: str, minute: int) -> Finding | None:
        this_hour = minute // MINUTES_PER_HOUR
        hours = {hour: usd for hour, usd in state.hours[service].items() if hour > this_hour - 24}
        state.hours[service] = hours
        usd = sum(hours[hour] for hour in sorted(hours))
        is_told = service in state.told
        if is_told and not usd:
            state.told = [each for each in state.told if each != service]
        if not usd or not (is_told or usd >= self.least_usd_per_day):
            return None
        if not is_told:
            state.told = [*state.told, service]
        first, team = state.first_seen[service], state.teams[service]
        return Finding(
            {"service": service},
            f"no initiative declares {service}, first seen on {day_of(first)}; it cost {usd:,.2f} USD in a day",
            f"ask {team or 'around'} what {service} is for; declare it in initiatives.yaml, or stop it",
            {"usd_last_day": round(usd, 6), "days_known": round((minute - first) / MINUTES_PER_DAY, 2)},
            team=team,
            observed_usd_per_hour=usd / 24,
            usd_per_hour=usd / 24,
            excess_usd=usd,
        )
