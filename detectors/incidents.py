"""Incidents: candidates that belong together, with onset, cause and life. One incident, one page.

The stage that runs once an organisation. It takes a minute when every shard has closed it, so that what it
says depends neither on the number of workers nor on who reported first.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors import cause, codec, intent
from detectors.admission import NEVER
from detectors.alerts import alert_of
from detectors.budget import Budget, BudgetState
from detectors.clock import MINUTES_PER_HOUR, minute_of
from detectors.events import Alert, DeploymentEvent, Initiative, Intent, Severity
from detectors.forecast import DailySpend
from detectors.frame import COST, DIMENSIONS, MEASURES, Key
from detectors.incident import Incident
from detectors.judge import Candidate, Judge
from detectors.ledger import ClosedRows
from detectors.places import family_of, onset_of, place_of, together
from detectors.prices import NANO
from detectors.reports import MinuteReport
from detectors.series_watch import SeriesWatch, SeriesWatchState
from detectors.spends import Spend

RANK: dict[Severity, int] = {"info": 0, "ticket": 1, "page": 2}

_SERVICE = DIMENSIONS.index("service")
_FAR_DEARER = 5.0
"""A second cause pages beside an open page if it burns so many times as much."""


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dollars at risk from which somebody is told."""

    usd_per_hour: Annotated[float, Meta(ge=0)]
    excess_usd: Annotated[float, Meta(ge=0)] = 0.0


class SeveritySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page needs a rare score and this money; a ticket this money alone."""

    page: Money = Money(usd_per_hour=0.8, excess_usd=0.2)
    ticket: Money = Money(usd_per_hour=0.2)


class IncidentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When incidents end and how often they are told of again."""

    resolve_after_minutes: Annotated[int, Meta(ge=1)] = 180
    quiet_after_page_minutes: Annotated[int, Meta(ge=0)] = 720
    update_every_minutes: Annotated[int, Meta(ge=1)] = 60


class IncidentsState(msgspec.Struct):
    """Reports that wait for all shards, what is open, and what was spent."""

    closed_through: dict[int, int]
    waiting: dict[int, list[MinuteReport]]
    keys: list[Key]
    wide: SeriesWatchState
    budget: BudgetState
    open: dict[str, Incident]
    paged_until: dict[str, int]
    daily: dict[str, DailySpend]
    last_hour: dict[str, dict[int, int]]
    labels: dict[str, Key]
    deployments: list[DeploymentEvent]
    done: int = NEVER
    pooled: list[Any] = []
    """What each pooled detector remembers; encoded by its kind."""


class _Encoded(msgspec.Struct, frozen=True):
    state: bytes
    pooled: list[bytes]


class IncidentRules(msgspec.Struct, frozen=True):
    """What the organisation declared: its name (part of every alert id), its initiatives, who is told and when."""

    organisation: str
    shards: int
    initiatives: tuple[Initiative, ...]
    severity: SeveritySettings
    settings: IncidentSettings


class Incidents:
    """The stage: minute reports in, alerts out.

    Parameters
    ----------
    rules
        What the organisation declared.
    wide
        Watches the views that cross shards.
    judge
        Merges reports and runs the pooled detectors.
    budget
        Keeps the page budget.
    """

    def __init__(self, rules: IncidentRules, wide: SeriesWatch, judge: Judge, budget: Budget) -> None:
        self._rules = rules
        self._wide = wide
        self._judges = judge
        self._budget = budget

    def start(self) -> IncidentsState:
        """Nothing seen yet."""
        return IncidentsState(
            {}, {}, [], self._wide.start(), BudgetState(), {}, {}, {}, {}, {}, [], pooled=self._judges.start()
        )

    def encode(self, state: IncidentsState) -> bytes:
        """Bytes that :meth:`decode` reads."""
        bare = msgspec.structs.replace(state, pooled=[])
        return codec.encode(_Encoded(codec.encode(bare), self._judges.encode(state.pooled)))

    def decode(self, data: bytes) -> IncidentsState:
        """Return the state that :meth:`encode` wrote."""
        both = codec.decode(data, _Encoded)
        state = codec.decode(both.state, IncidentsState)
        state.pooled = self._judges.decode(both.pooled)
        return state

    def step(self, state: IncidentsState, *reports: MinuteReport) -> tuple[IncidentsState, list[Alert]]:
        """Take reports; return the alerts of the minutes that all shards have closed by now."""
        for report in reports:
            before = state.closed_through.get(report.shard, NEVER)
            state.closed_through[report.shard] = max(before, report.closed_through)
            if report.report is not None or report.spend is not None or report.deployments:
                state.waiting.setdefault(report.minute, []).append(report)
        if len(state.closed_through) < self._rules.shards:
            return state, []
        through = min(state.closed_through.values())
        due = {minute: state.waiting.pop(minute) for minute in sorted(m for m in state.waiting if m <= through)}
        candidates = self._judge(state, due)
        alerts: list[Alert] = []
        for minute, told in due.items():
            alerts += self._end_quiet(state, minute - 1)
            alerts += self._take_minute(state, minute, told, candidates.get(minute, []))
            state.done = minute
        if through > state.done:
            alerts += self._end_quiet(state, through)
            state.done = through
        return state, alerts

    def _judge(self, state: IncidentsState, due: dict[int, list[MinuteReport]]) -> dict[int, list[Candidate]]:
        """Candidates by minute, of all minutes that are due at once."""
        parts = [[r.report for r in told if r.report is not None] for told in due.values()]
        if self._wide.table.views:
            spends = {minute: [r.spend for r in told if r.spend is not None] for minute, told in due.items()}
            closed = closed_rows(state.keys, {minute: some for minute, some in spends.items() if some})
            state.wide, wide = self._wide.step(state.wide, closed, [[]] * len(closed.at), state.keys)
            by_minute = dict(zip(closed.at.tolist(), wide, strict=True))
            for minute, some in zip(due, parts, strict=True):
                if (report := by_minute.get(minute)) is not None:
                    some.append(report)
        state.pooled, candidates = self._judges.step(state.pooled, parts)
        return candidates

    def _take_minute(
        self, state: IncidentsState, minute: int, reports: list[MinuteReport], candidates: list[Candidate]
    ) -> list[Alert]:
        if state.budget.began is None:
            state.budget.began = minute
        new = sorted((d for r in reports for d in r.deployments), key=lambda d: (d.time, d.service, d.id))
        if new:
            state.deployments = [d for d in state.deployments if minute_of(d.time) > minute - cause.KEPT_MINUTES] + new
        spends = [r.spend for r in reports if r.spend is not None]
        if not spends:
            return []
        _count_spend(state, spends)
        self._follow(state, minute)
        return [alert for c in self._by_place(candidates) for alert in self._take(state, c)]

    def _by_place(self, candidates: list[Candidate]) -> list[Candidate]:
        """Candidates of detectors that speak of a model, wherever it is used, as one a model."""
        kept: list[Candidate] = []
        wide: dict[tuple[str, str], list[Candidate]] = {}
        for found in candidates:
            place = self._budget.detector(found.detector).place
            if place == "service":
                kept.append(found)
            else:
                wide.setdefault((found.detector, found.name.scope()[place]), []).append(found)
        return kept + [together(group, self._budget.detector(title).place) for (title, _), group in wide.items()]

    def _follow(self, state: IncidentsState, minute: int) -> None:
        """Count what open incidents' services spend; forget what is over an hour old, each hour."""
        if minute // MINUTES_PER_HOUR > state.done // MINUTES_PER_HOUR:
            kept = {
                service: {at: nano for at, nano in hour.items() if at > minute - MINUTES_PER_HOUR}
                for service, hour in state.last_hour.items()
            }
            state.last_hour = {service: hour for service, hour in kept.items() if hour}
        for incident in state.open.values():
            service = incident.first.name.scope().get("service", "")
            incident.observed_nano += state.last_hour.get(service, {}).get(minute, 0)

    def _take(self, state: IncidentsState, found: Candidate) -> list[Alert]:
        """Let a candidate open an incident, or add to the one that is open at its place."""
        place, family = place_of(found), family_of(found)
        apart = f"{place}\x1f{family}"
        key = apart if apart in state.open else place
        incident = state.open.get(key)
        if incident is not None and self._is_another(state, incident, found, place, family):
            key, incident = apart, None
        if incident is None:
            incident = self._open(state, found, place)
            state.open[key] = incident
            return [self._alert(state, incident, found.minute, "firing")]
        return self._add(state, incident, found, place)

    def _add(self, state: IncidentsState, incident: Incident, found: Candidate, place: str) -> list[Alert]:
        """Add a candidate to an open incident; tell of it if it is worse than was told, or has grown."""
        if found.minute > incident.last_minute:
            incident.excess_usd += found.usd_per_hour / 60 * min(found.minute - incident.last_minute, 5)
            incident.usd_per_hour = found.usd_per_hour
        else:
            incident.usd_per_hour = max(incident.usd_per_hour, found.usd_per_hour)
        incident.last_minute = found.minute
        if (family := family_of(found)) not in incident.families:
            incident.families.append(family)
        if incident.severity != "page":
            severity, p_value, per_year = self._weigh(state, found, incident.intent, place)
            if RANK[severity] > RANK[incident.severity]:
                incident.severity, incident.first = severity, found
                incident.p_value, incident.per_year = p_value, per_year
                incident.onset = min(incident.onset, onset_of(found))
                self._explain(state, incident, found)
                return [self._alert(state, incident, found.minute, "firing")]
        grown = incident.excess_usd > 2 * incident.told_excess_usd
        due = found.minute - incident.told_minute >= self._rules.settings.update_every_minutes
        return [self._alert(state, incident, found.minute, "updated")] if grown and due else []

    def _is_another(self, state: IncidentsState, incident: Incident, found: Candidate, place: str, family: str) -> bool:
        """Whether a candidate is a second cause beside a page that is open: another family, and far dearer."""
        if incident.severity != "page" or family in incident.families:
            return False
        if found.usd_per_hour <= _FAR_DEARER * max(incident.usd_per_hour, incident.first.usd_per_hour):
            return False
        return self._weigh(state, found, incident.intent, place)[0] == "page"

    def _open(self, state: IncidentsState, found: Candidate, place: str) -> Incident:
        spent = self._spent_last_hour(state, found)
        labels = self._labels(state, found)
        meant = intent.judge_intent(intent.initiative_of(self._rules.initiatives, labels), found.minute, spent)
        severity, p_value, per_year = self._weigh(state, found, meant, place)
        seed = "\x1f".join([self._rules.organisation, place, str(found.minute)])
        incident = Incident(
            alert_id="bw-" + hashlib.blake2b(seed.encode(), digest_size=8).hexdigest(),
            place=place, first=found, onset=onset_of(found), last_minute=found.minute, severity=severity, intent=meant,
            deployment=None, p_value=p_value, per_year=per_year,
            observed_nano=round(found.observed_usd_per_hour / 60 * found.horizon_minutes / 2 * NANO),
            excess_usd=found.excess_usd, usd_per_hour=found.usd_per_hour, told_minute=found.minute, told_excess_usd=0.0,
            families=[family_of(found)],
        )  # fmt: skip
        self._explain(state, incident, found)
        return incident

    def _explain(self, state: IncidentsState, incident: Incident, found: Candidate) -> None:
        service = found.name.scope().get("service")
        detector = self._budget.detector(found.detector)
        incident.deployment = None
        if service and detector.blames_deployments:
            incident.deployment = cause.guilty(
                state.deployments, service, found, by_traffic=detector.follows_deployments
            )
        incident.deployments_known = sum(d.service == service for d in state.deployments)
        if incident.severity == "page":
            incident.paged_minute = found.minute

    def _weigh(
        self, state: IncidentsState, found: Candidate, meant: Intent, place: str
    ) -> tuple[Severity, float, float]:
        """Severity, p-value, and how many like it a year would come by chance."""
        detector = self._budget.detector(found.detector)
        a_week = self._budget.expected_per_week(state.budget, found.minute, detector, found.score)
        per_year, p_value = a_week * 52, 1 - 2.718281828459045**-a_week
        if meant.verdict == "intentional":
            return "info", p_value, per_year
        page, ticket = self._rules.severity.page, self._rules.severity.ticket
        rare = self._budget.is_worth_a_page(state.budget, found.minute, detector, found.score)
        dear = found.usd_per_hour >= page.usd_per_hour and found.excess_usd >= page.excess_usd
        if found.detector == "unpriced_model":
            return "ticket", p_value, per_year
        if rare and dear and not self._is_quiet(state, place, family_of(found), found.minute):
            return "page", p_value, per_year
        if dear:
            self._budget.observe(state.budget, found.minute, found.detector, place)
        return ("ticket" if found.usd_per_hour >= ticket.usd_per_hour else "info"), p_value, per_year

    def _is_quiet(self, state: IncidentsState, place: str, family: str, minute: int) -> bool:
        """Whether a place was paged for so lately that it does not page again."""
        return max(state.paged_until.get(place, NEVER), state.paged_until.get(f"{place}\x1f{family}", NEVER)) >= minute

    def _end_quiet(self, state: IncidentsState, through: int) -> list[Alert]:
        """Resolve what has been quiet for long enough by a minute."""
        quiet = self._rules.settings.resolve_after_minutes
        over = sorted((i.last_minute, place) for place, i in state.open.items() if i.last_minute + quiet <= through)
        alerts = []
        for last, place in over:
            incident = state.open.pop(place)
            if incident.severity == "page":
                self._rest(state, incident, last + quiet)
            incident.usd_per_hour = 0.0
            alerts.append(self._alert(state, incident, last + quiet, "resolved"))
        return alerts

    def _rest(self, state: IncidentsState, incident: Incident, ended: int) -> None:
        """Keep the place of a page quiet for a while: longer for what it was about, shorter for the rest."""
        resting = self._rules.settings.quiet_after_page_minutes
        state.paged_until = {place: until for place, until in state.paged_until.items() if until >= ended}
        for family in incident.families:
            state.paged_until[f"{incident.place}\x1f{family}"] = ended + resting
        state.paged_until[incident.place] = incident.paged_minute + resting // 2

    def _spent_last_hour(self, state: IncidentsState, found: Candidate) -> float:
        hour = state.last_hour.get(found.name.scope().get("service", ""), {})
        return sum(nano for at, nano in hour.items() if at > found.minute - MINUTES_PER_HOUR) / NANO

    def _labels(self, state: IncidentsState, found: Candidate) -> dict[str, str]:
        key = state.labels.get(found.name.scope().get("service", ""))
        known = dict(zip(DIMENSIONS, key, strict=True)) if key else {}
        return {**known, **found.name.scope()}

    def _alert(self, state: IncidentsState, incident: Incident, minute: int, what: str) -> Alert:
        incident.sequence += 1
        incident.told_minute, incident.told_excess_usd = minute, incident.excess_usd
        service = incident.first.name.scope().get("service", "")
        found = intent.initiative_of(self._rules.initiatives, self._labels(state, incident.first))
        return alert_of(incident, minute, what, state.daily.get(service, DailySpend()), found)


def _count_spend(state: IncidentsState, spends: list[Spend]) -> None:
    """Add a minute to what was spent, service by service."""
    spent: dict[int, dict[str, int]] = {}
    labels: dict[str, Key] = {}
    for spend in spends:
        keys = spend.keys
        rows = zip(spend.key.tolist(), spend.minute.tolist(), spend.values[COST].tolist(), strict=True)
        for place, at, nano in rows:
            key = keys[place]
            service, of_minute = key[_SERVICE], spent.setdefault(at, {})
            of_minute[service] = of_minute.get(service, 0) + nano
            if service not in labels or labels[service] < key:
                labels[service] = key
    state.labels.update(labels)
    for at in sorted(spent):
        of_minute = spent[at]
        for service in sorted(of_minute):
            nano = of_minute[service]
            state.daily[service] = daily = state.daily.get(service) or DailySpend()
            daily.add(at, nano)
            hour = state.last_hour.setdefault(service, {})
            hour[at] = hour.get(at, 0) + nano
        state.daily.setdefault("", DailySpend()).add(at, sum(of_minute.values()))


def closed_rows(keys: list[Key], spends: dict[int, list[Spend]]) -> ClosedRows:
    """What was spent in each minute as closed minutes, rows by key and event minute; new keys join the list."""
    places = {key: place for place, key in enumerate(keys)}
    which: list[int] = []
    at: list[int] = []
    ends = [0]
    values: list[NDArray[np.int64]] = []
    for some in spends.values():
        rows = [
            (spend.keys[k], m) for spend in some for k, m in zip(spend.key.tolist(), spend.minute.tolist(), strict=True)
        ]
        order = sorted(range(len(rows)), key=rows.__getitem__)
        for key in (rows[row][0] for row in order):
            if key not in places:
                places[key] = len(keys)
                keys.append(key)
        which += [places[rows[row][0]] for row in order]
        at += [rows[row][1] for row in order]
        values.append(np.concatenate([spend.values for spend in some], axis=1)[:, order])
        ends.append(len(which))
    joined = np.concatenate(values, axis=1) if values else np.zeros((len(MEASURES), 0), np.int64)
    minutes, key, event_minute = (np.array(part, np.int32) for part in (list(spends), which, at))
    return ClosedRows(minutes, np.array(ends, np.int64), key, event_minute, joined)
