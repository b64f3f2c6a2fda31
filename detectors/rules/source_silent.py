"""A service whose traffic is steady and that is no longer heard of, while others are: missing is not zero.

Catches: a gateway or an exporter that died, a service that was switched off. Services that fall silent with all that
their source carries are told as one, by the source. Misses: services that pause for hours as a rule, and an
organisation that falls silent as a whole, of which Prometheus tells (`BurstwatchInputSilent`). Time in which nobody
is heard of does not count.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from detectors.clock import MINUTES_PER_DAY
from detectors.events import Initiative
from detectors.rules.rule import Bill, Finding, Rule

_MANY = 3
"""So many services that fall silent each by itself are one matter: a model that is out, a network."""
_PAUSES_KEPT_DAYS = 7


class Heard(msgspec.Struct):
    """When a service was heard of: by the calendar, and by the count of minutes in which anybody was."""

    first_minute: int
    minute: int
    tick: int
    pauses: dict[int, int]
    """The longest pause that ended on a day, by day."""
    sources: dict[str, int]
    """The tick in which each source last sent something of it."""
    team: str = ""
    usd: float = 0.0

    @property
    def longest_pause(self) -> int:
        """The longest pause of the last week."""
        return max(self.pauses.values(), default=0)


class SilenceState(msgspec.Struct):
    """What was heard of when; ``ticks`` counts the minutes in which anybody was."""

    ticks: int = 0
    services: dict[str, Heard] = msgspec.field(default_factory=dict)
    together: list[str] = []
    """Services that fell silent with many others and are silent yet."""
    sources: dict[str, int] = msgspec.field(default_factory=dict)


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
    """What is silent for so long is gone: the ticket is closed."""

    def start(self) -> SilenceState:
        """Nothing heard yet."""
        return SilenceState()

    def count(self, state: SilenceState, bill: Bill) -> None:
        """Take a minute into the state."""
        state.ticks += 1
        for source, service in bill.sources:
            _hear(state, source, service, bill.minute)
        for line in bill.lines:
            if (heard := state.services.get(line.service)) is not None:
                heard.team, heard.usd = line.team, heard.usd + line.usd

    def judge(self, state: SilenceState, minute: int, declared: tuple[Initiative, ...]) -> list[Finding]:
        """Return what is silent, each source with all that it carries as one."""
        self._forget(state, minute)
        silent: dict[tuple[str, str], list[str]] = {}
        for service in sorted(state.services):
            if self._is_silent(state, state.services[service]):
                silent.setdefault(self._subject(state, service), []).append(service)
        alone = [services[0] for (what, _), services in silent.items() if what == "service"]
        state.together = [one for one in alone if len(alone) >= _MANY or one in state.together]
        if state.together:
            silent = {subject: own for subject, own in silent.items() if subject not in _each(state.together)}
            silent["", ""] = state.together
        return [_finding(state, *subject, services) for subject, services in silent.items()]

    def _is_silent(self, state: SilenceState, heard: Heard) -> bool:
        steady = heard.minute - heard.first_minute >= self.known_for_days * MINUTES_PER_DAY
        steady = steady and heard.longest_pause <= self.longest_usual_pause_minutes
        return steady and state.ticks - heard.tick > max(self.least_minutes, self.least_ratio * heard.longest_pause)

    def _subject(self, state: SilenceState, service: str) -> tuple[str, str]:
        """The source, if the service had but one and that carries nothing any more; else the service."""
        heard = state.services[service]
        last = [source for source, tick in heard.sources.items() if tick == heard.tick]
        if len(last) == 1 and state.ticks - state.sources.get(last[0], 0) > self.least_minutes // 2:
            return "source", last[0]
        return "service", service

    def _forget(self, state: SilenceState, minute: int) -> None:
        kept = self.forget_after_days * MINUTES_PER_DAY
        for service in [s for s, heard in state.services.items() if minute - heard.minute > kept]:
            del state.services[service]
        for source in [s for s, tick in state.sources.items() if state.ticks - tick > kept]:
            del state.sources[source]


def _each(services: list[str]) -> set[tuple[str, str]]:
    return {("service", service) for service in services}


def _hear(state: SilenceState, source: str, service: str, minute: int) -> None:
    state.sources[source] = state.ticks
    heard = state.services.get(service)
    if heard is None:
        heard = state.services[service] = Heard(minute, minute, state.ticks, {}, {})
    day, pause = minute // MINUTES_PER_DAY, state.ticks - heard.tick
    if day not in heard.pauses:
        heard.pauses = {d: longest for d, longest in heard.pauses.items() if d > day - _PAUSES_KEPT_DAYS}
        heard.sources = {s: tick for s, tick in heard.sources.items() if tick >= state.ticks - MINUTES_PER_DAY}
    heard.pauses[day] = max(heard.pauses.get(day, 0), pause)
    heard.sources[source] = state.ticks
    heard.minute, heard.tick = minute, state.ticks


def _finding(state: SilenceState, what: str, name: str, services: list[str]) -> Finding:
    heard = [state.services[service] for service in services]
    silent = min(state.ticks - one.tick for one in heard)
    pause = max(one.longest_pause for one in heard)
    lived = [max(one.minute - one.first_minute, 1) for one in heard]
    usual = sum(60 * one.usd / minutes for one, minutes in zip(heard, lived, strict=True))
    teams = {one.team for one in heard}
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
