"""A service whose traffic is steady and that is no longer heard of, while others are: missing is not zero.

Catches: a gateway or an exporter that died, a service that was switched off. Services that fall silent with all that
their source carries are told as one, by the source. Misses: services that pause for hours as a rule, and an
organisation that falls silent as a whole, of which Prometheus tells (`BurstwatchInputSilent`). Time in which nobody
is heard of does not count.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY, NEVER
from detectors.compiled import compiled
from detectors.events import Initiative
from detectors.intake.prices import NANO
from detectors.judging.accounts import Accounts, Booked
from detectors.judging.forgetting import Forgotten, numbers_after
from detectors.rules.rule import Bill, Finding, Rule
from detectors.state.room import rows_of, with_room

_MANY = 3
"""So many services that fall silent each by itself are one matter: a model that is out, a network."""
_PAUSES_KEPT_DAYS = 7
_SEVERAL = -1


class Heard(NamedTuple):
    """When services were heard of: by the calendar, and by the count of minutes in which anybody was."""

    first_minute: NDArray[np.int32]
    """:data:`NEVER` for a service that was not, or is forgotten."""
    minute: NDArray[np.int32]
    tick: NDArray[np.int32]
    source: NDArray[np.int32]
    """The source that sent something of it in its last minute, or :data:`_SEVERAL`."""
    pauses: NDArray[np.int32]
    """The longest pause that ended on a day, (services, 7): a day has the place of its number's remainder."""
    nano: NDArray[np.int64]
    """What it has spent since then."""


class SilenceState(msgspec.Struct):
    """What was heard of when; ``ticks`` counts the minutes in which anybody was."""

    ticks: int = 0
    services: Heard = msgspec.field(default_factory=lambda: _unheard(0))
    together: list[str] = []
    """Services that fell silent with many others and are silent yet."""
    sources: NDArray[np.int32] = msgspec.field(default_factory=lambda: np.zeros(0, np.int32))
    """The tick in which each source last sent something; 0 if it never did."""


class SourceSilent(Rule, frozen=True, kw_only=True):
    """Minutes of silence over the longest pause of the last week."""

    kind: ClassVar[str] = "source_silent"
    judge_every_minutes: ClassVar[int] = 5
    least_minutes: Annotated[int, Meta(ge=5)] = 60
    least_ratio: Annotated[float, Meta(ge=1)] = 3.0
    """Over the longest pause of the last week."""
    longest_usual_pause_minutes: Annotated[int, Meta(ge=1)] = 120
    """Services that pause for longer are not steady and are left alone."""
    known_for_days: Annotated[int, Meta(ge=1, le=30)] = 3
    forget_after_days: Annotated[int, Meta(ge=1, le=90)] = 3
    """What is silent for so long is gone, and so is what is forgotten altogether: the ticket is closed."""

    def start(self) -> SilenceState:
        """Nothing heard yet."""
        return SilenceState()

    def count(self, state: SilenceState, bill: Bill) -> None:
        """Take a minute into the state."""
        state.ticks += 1
        state.services, state.sources = _room_for(state, bill.accounts)
        rows = bill.rows
        state.sources[rows.heard_source] = state.ticks
        _hear(state.services, rows, state.ticks)

    def forget(self, state: SilenceState, forgotten: Forgotten, accounts: Accounts) -> None:
        """Forget services and sources that are forgotten."""
        services, sources = forgotten.services_kept, forgotten.sources_kept
        services, known = services[services < len(state.services.minute)], len(state.sources)
        heard = rows_of(state.services, services)
        number = numbers_after(sources[sources < known], known)
        state.services = heard._replace(source=number[heard.source])
        state.sources = state.sources[sources[sources < known]]

    def judge(
        self, state: SilenceState, minute: int, accounts: Accounts, declared: tuple[Initiative, ...]
    ) -> list[Finding]:
        """Return what is silent, each source with all that it carries as one."""
        state.services.first_minute[state.services.minute < minute - self.forget_after_days * MINUTES_PER_DAY] = NEVER
        services, sources = list(accounts.services), list(accounts.sources)
        silent: dict[tuple[str, str], list[str]] = {}
        for service, number in sorted((services[n], n) for n in self._silent(state).tolist()):
            source = self._dead_source(state, number)
            subject = ("service", service) if source is None else ("source", sources[source])
            silent.setdefault(subject, []).append(service)
        alone = [services[0] for (what, _), services in silent.items() if what == "service"]
        state.together = [one for one in alone if len(alone) >= _MANY or one in state.together]
        if state.together:
            silent = {subject: own for subject, own in silent.items() if subject not in _each(state.together)}
            silent["", ""] = state.together
        return [_finding(state, accounts, *subject, services) for subject, services in silent.items()]

    def _silent(self, state: SilenceState) -> NDArray[np.intp]:
        """Numbers of the services that are silent."""
        heard, longest = state.services, longest_pauses(state.services)
        steady = (heard.first_minute > NEVER) & (longest <= self.longest_usual_pause_minutes)
        steady &= heard.minute - heard.first_minute >= self.known_for_days * MINUTES_PER_DAY
        return np.flatnonzero(
            steady & (state.ticks - heard.tick > np.maximum(self.least_minutes, self.least_ratio * longest))
        )

    def _dead_source(self, state: SilenceState, service: int) -> int | None:
        """The source, if the service had but one and that carries nothing any more."""
        source = int(state.services.source[service])
        if source != _SEVERAL and state.ticks - state.sources[source] > self.least_minutes // 2:
            return source
        return None


def _each(services: list[str]) -> set[tuple[str, str]]:
    return {("service", service) for service in services}


@compiled
def _hear(heard: Heard, rows: Booked, tick: int) -> None:
    """Take who was heard of in a minute, and what was spent."""
    minute = rows.minute
    day = minute // MINUTES_PER_DAY
    for pair in range(len(rows.heard_service)):
        number, source = int(rows.heard_service[pair]), int(rows.heard_source[pair])
        pauses = heard.pauses[number]
        if heard.first_minute[number] == NEVER:
            heard.first_minute[number], heard.minute[number], heard.tick[number] = minute, minute, tick
            heard.source[number], heard.nano[number] = source, 0
            pauses[:] = 0
        for begun in range(max(int(heard.minute[number]) // MINUTES_PER_DAY + 1, day - _PAUSES_KEPT_DAYS + 1), day + 1):
            pauses[begun % _PAUSES_KEPT_DAYS] = 0
        pauses[day % _PAUSES_KEPT_DAYS] = max(int(pauses[day % _PAUSES_KEPT_DAYS]), tick - int(heard.tick[number]))
        if heard.tick[number] < tick or heard.source[number] == source:
            heard.source[number] = source
        else:
            heard.source[number] = _SEVERAL
        heard.minute[number], heard.tick[number] = minute, tick
    for row in range(len(rows.service)):
        heard.nano[int(rows.service[row])] += rows.nano[row]


def longest_pauses(heard: Heard) -> NDArray[np.int32]:
    """The longest pause of the last week before each service was last heard of, in minutes."""
    return np.asarray(heard.pauses.max(axis=1), np.int32)


def _unheard(services: int) -> Heard:
    first, minute = np.full((2, services), NEVER, np.int32)
    tick, source = np.zeros((2, services), np.int32)
    pauses = np.zeros((services, _PAUSES_KEPT_DAYS), np.int32)
    return Heard(first, minute, tick, source, pauses, np.zeros(services, np.int64))


def _room_for(state: SilenceState, accounts: Accounts) -> tuple[Heard, NDArray[np.int32]]:
    """Columns with room for all services and sources."""
    heard = with_room(state.services, len(accounts.services), _unheard)
    sources = state.sources
    if len(accounts.sources) > len(sources):
        sources = np.append(sources, np.zeros(len(accounts.sources) - len(sources), np.int32))
    return heard, sources


def _finding(state: SilenceState, accounts: Accounts, what: str, name: str, services: list[str]) -> Finding:
    heard, own = state.services, np.array([accounts.services[service] for service in services])
    silent = state.ticks - int(heard.tick[own].max())
    pause = int(longest_pauses(heard)[own].max())
    lived = np.maximum(heard.minute[own] - heard.first_minute[own], 1)
    usual = sum((60 * (heard.nano[own] / NANO) / lived).tolist())
    teams = {accounts.team(service) for service in services}
    names = ", ".join(services[:3]) + (" and others" if len(services) > 3 else "")
    who = {"source": f"source {name} ({names})", "service": f"service {name}"}.get(what, names)
    return Finding(
        {what: name} if what else {},
        f"nothing has come from {who} for {silent} minutes; the longest pause in a week was {pause}; missing is not "
        f"zero: about {usual:,.2f} USD an hour may go unseen",
        f"see whether {name or names} still runs and still reports; if it was switched off, nothing",
        {"silent_minutes": float(silent), "longest_pause_minutes": float(pause), "usual_usd_per_hour": round(usual, 6)},
        team=teams.pop() if len(teams) == 1 else "",
    )
