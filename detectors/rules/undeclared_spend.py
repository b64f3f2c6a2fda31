"""A new service that costs and that no initiative declares.

Catches: spend that nobody reviewed, while it is new. Misses: undeclared services that were there when Burstwatch
began (two days count as the beginning), and keys inside a declared service. An organisation that declares nothing
never hears of it. A service that comes back after its labels were forgotten is new once more.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR, NEVER
from detectors.events import Initiative
from detectors.judging.accounts import Accounts
from detectors.judging.forgetting import Forgotten
from detectors.rules.rule import Bill, Finding, Rule, day_of

_BEGINNING_MINUTES = 2 * MINUTES_PER_DAY


class UndeclaredState(msgspec.Struct):
    """When each service was first seen; of new undeclared ones, dollars by hour of the last day."""

    began: int | None = None
    first_seen: NDArray[np.int32] = msgspec.field(default_factory=lambda: np.zeros(0, np.int32))
    """By number of service; :data:`NEVER` for those that were not."""
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
        service, minute = bill.rows.service, bill.minute
        state.first_seen = _with_services(state.first_seen, len(bill.accounts.services))
        state.first_seen[service[state.first_seen[service] == NEVER]] = minute
        for line in bill.lines(bill.undeclared & self._are_new(state, state.first_seen[service], minute)):
            hours = state.hours.setdefault(line.service, {})
            hour = line.minute // MINUTES_PER_HOUR
            hours[hour] = hours.get(hour, 0.0) + line.usd
            state.teams[line.service] = line.team

    def forget(self, state: UndeclaredState, forgotten: Forgotten, accounts: Accounts) -> None:
        """Forget services that are forgotten."""
        kept = forgotten.services_kept
        state.first_seen = state.first_seen[kept[kept < len(state.first_seen)]]
        for service in [service for service in state.hours if service not in accounts.services]:
            del state.hours[service], state.teams[service]
        state.told = [service for service in state.told if service in accounts.services]

    def judge(
        self, state: UndeclaredState, minute: int, accounts: Accounts, declared: tuple[Initiative, ...]
    ) -> list[Finding]:
        """Return the new services that cost enough in the last day."""
        first_seen = {service: int(state.first_seen[accounts.services[service]]) for service in state.hours}
        new = self._are_new(state, np.array([*first_seen.values()], np.int32), minute).tolist()
        for service in [service for service, is_new in zip(first_seen, new, strict=True) if not is_new]:
            del state.hours[service], state.teams[service]
            state.told = [each for each in state.told if each != service]
        found = [self._look_at(state, service, minute, first_seen[service]) for service in sorted(state.hours)]
        return [finding for finding in found if finding is not None and declared]

    def _are_new(self, state: UndeclaredState, first_seen: NDArray[np.int32], minute: int) -> NDArray[np.bool_]:
        began = (state.began or 0) + _BEGINNING_MINUTES
        return (first_seen >= began) & (first_seen > minute - self.new_for_days * MINUTES_PER_DAY)

    def _look_at(self, state: UndeclaredState, service: str, minute: int, first: int) -> Finding | None:
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
        team = state.teams[service]
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


def _with_services(first_seen: NDArray[np.int32], services: int) -> NDArray[np.int32]:
    """Columns with room for so many services."""
    new = max(services - len(first_seen), 0)
    return np.concatenate([first_seen, np.full(new, NEVER, np.int32)]) if new else first_seen
