"""The life of incidents: they open, grow, are decided on, end, and come back.

Candidates of one place are one incident. A second cause inside an open page has an incident of its own only if it
is several times dearer, or if somebody said of the first that there is nothing to do. What comes back at a place
that was paged for lately opens the same incident again, so that nobody is woken twice for one thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from detectors.clock import MINUTES_PER_DAY, NEVER, minute_of
from detectors.events import Alert, DeploymentEvent, Feedback, Initiative, Intent, Severity
from detectors.incidents import cause
from detectors.incidents.alerts import alert_of, labels_of, scope_of
from detectors.incidents.incident import Incident, alert_id_of
from detectors.incidents.links import links_of
from detectors.incidents.places import family_of, onset_of, place_of
from detectors.incidents.severity import RANK, Scale, Weighed
from detectors.incidents.spending import Spending
from detectors.intake.prices import NANO
from detectors.judging.accounts import Booked
from detectors.judging.budget import Budget, BudgetState
from detectors.judging.forecast import DailySpend
from detectors.judging.intent import Portfolio, judge_intent
from detectors.judging.judge import Candidate
from detectors.watch.standing import Standing, Word

_FAR_DEARER = 5.0
"""A second cause pages beside an open page if it burns so many times as much."""
ENDED_KEPT_MINUTES = 30 * MINUTES_PER_DAY
ENDED_KEPT = 1000
"""So long, and so many at most, an incident that is over can be decided on and come back."""


class IncidentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When incidents end and how often they are told of again."""

    resolve_after_minutes: Annotated[int, Meta(ge=1)] = 180
    quiet_after_page_minutes: Annotated[int, Meta(ge=0)] = 720
    update_every_minutes: Annotated[int, Meta(ge=1)] = 60


class Lives(msgspec.Struct):
    """The incidents of an organisation, and all that is asked when one is told of."""

    open: dict[str, Incident] = msgspec.field(default_factory=dict)
    ended: dict[str, Incident] = msgspec.field(default_factory=dict)
    """Those that are over, by alert id, in the order in which they ended."""
    paged_until: dict[str, int] = msgspec.field(default_factory=dict)
    budget: BudgetState = msgspec.field(default_factory=BudgetState)
    spending: Spending = msgspec.field(default_factory=Spending)
    deployments: list[DeploymentEvent] = []


class Life:
    """Opens, changes and ends incidents.

    Parameters
    ----------
    organisation
        Part of every alert id.
    portfolio
        What was declared.
    settings
        When incidents end.
    scale
        Weighs candidates.
    budget
        Keeps the page budget.
    links
        Addresses to fill in for every alert, by name.
    """

    def __init__(
        self,
        organisation: str,
        portfolio: Portfolio,
        settings: IncidentSettings,
        scale: Scale,
        budget: Budget,
        links: Mapping[str, str],
    ) -> None:
        self._organisation = organisation
        self._links = links
        self.portfolio = portfolio
        self._settings = settings
        self._scale = scale
        self._budget = budget

    def take(self, state: Lives, found: Candidate) -> list[Alert]:
        """Let a detector's candidate open an incident, or add to the one that is open at its place."""
        place, family = place_of(found), family_of(found)
        apart = _apart(place, family)
        key = apart if apart in state.open else place
        incident = state.open.get(key)
        if incident is not None and self._is_another(state, incident, found, family):
            if key == apart:  # what only stands goes on under another key: candidates look for the newest
                state.open[f"{apart}\x1f{incident.alert_id}"] = state.open.pop(apart)
            key, incident = apart, None
        if incident is not None:
            return self._add(state, key, incident, found)
        meant = self._meant(state, found)
        weighed = self._weigh(state, found, meant)
        if (former := self._former(state, found, weighed)) is not None:
            return [self._reopen(state, key, former, found)]
        return [self._open(state, key, found, weighed, meant)]

    def stand(self, state: Lives, standing: list[Standing], minute: int) -> list[Alert]:
        """Let what is still so keep its page open, or open it again where it was only silent for a while."""
        if not standing:
            return []
        pages = {incident.first.word: incident for incident in state.open.values() if incident.severity == "page"}
        over = self._lately_over(state, minute)
        alerts: list[Alert] = []
        for said in sorted(standing, key=lambda said: said.word):
            if (incident := pages.get(said.word)) is not None:
                incident.stand(said)
                alerts += self._tell_if_grown(state, incident, minute)
            elif (former := over.pop(said.word, None)) is not None:
                key = former.place if former.place not in state.open else _apart(former.place, former.families[0])
                if key not in state.open:
                    self._back(state, key, former, minute).stand(said)
                    alerts.append(self._tell_it_is_back(state, former, minute))
        return alerts

    def _lately_over(self, state: Lives, minute: int) -> dict[Word, Incident]:
        """Pages that ended while their places rest still, and that nobody has settled, by what was said."""
        over: dict[Word, Incident] = {}
        for former in reversed(state.ended.values()):
            if (former.ended_minute or NEVER) + self._settings.quiet_after_page_minutes < minute:
                break
            if former.severity == "page" and not former.is_settled:
                over.setdefault(former.first.word, former)
        return over

    def take_finding(self, state: Lives, found: Candidate, severity: Severity) -> list[Alert]:
        """Let a rule's finding open an incident, or add to its own: it has no part in what detectors see there."""
        key = _apart(place_of(found), found.detector)
        incident = state.open.get(key)
        if incident is not None:
            incident.follow(found)
            return self._tell_if_grown(state, incident, found.minute)
        rests = self._rests(state, found)
        weighed = Weighed("ticket" if rests else severity, 0.0, 0.0, is_rare_and_dear=severity == "page")
        if (former := self._former(state, found, weighed)) is not None:
            return [self._reopen(state, key, former, found)]
        return [self._open(state, key, found, weighed, self._meant(state, found))]

    def decide(self, state: Lives, feedback: Feedback, minute: int) -> list[Alert] | None:
        """Take somebody's decision on an alert; None if there is no such alert.

        What is decided of an open incident is told as an update; of one that is over, as its end once more.
        """
        still_open = next((i for i in state.open.values() if i.alert_id == feedback.alert_id), None)
        incident = still_open or state.ended.get(feedback.alert_id)
        if incident is None:
            return None
        was = incident.decision
        if was is not None and (was.time, was.decision, was.by) >= (feedback.time, feedback.decision, feedback.by):
            return []
        incident.decision = feedback
        counted = was is not None and was.decision == "false"
        if feedback.decision == "false" and incident.first.is_by_chance and not counted:
            first = incident.first
            routes = self._routes(state, first, incident.intent)
            told = state.budget, first.minute, first.detector, incident.place, first.team, routes
            self._budget.observe(*told, is_false_page=incident.severity == "page")
        return [self._alert(state, incident, minute, "updated" if still_open else "resolved")]

    def end_quiet(self, state: Lives, through: int) -> list[Alert]:
        """End what has been quiet for long enough by a minute."""
        quiet = self._settings.resolve_after_minutes
        over = sorted((i.last_minute, key) for key, i in state.open.items() if i.last_minute + quiet <= through)
        return [self._end(state, key, last + quiet, _over(state.open[key])) for last, key in over]

    def follow(self, state: Lives, booked: Booked) -> None:
        """Count what open incidents' services spent in a minute."""
        now, numbers = booked.at == booked.minute, state.spending.accounts.services
        for incident in state.open.values():
            number = numbers.get(incident.first.name.scope().get("service", ""), -1)
            incident.observed_nano += sum(booked.nano[now & (booked.service == number)].tolist())

    def _add(self, state: Lives, key: str, incident: Incident, found: Candidate) -> list[Alert]:
        """Add a candidate to an open incident; tell of it if it is worse than was told, or has grown."""
        family = family_of(found)
        incident.grow(found, family)
        if incident.is_settled:
            return []
        if incident.severity != "page":
            meant = self._meant(state, found)
            weighed = self._weigh(state, found, meant)
            if (former := self._former(state, found, weighed)) is not None:
                ended = self._end(state, key, found.minute, f"goes on as {former.alert_id}")
                return [ended, self._reopen(state, key, former, found)]
            if RANK[weighed.severity] > RANK[incident.severity]:
                incident.intent = meant
                return [self._raise(state, incident, found, weighed)]
        return self._tell_if_grown(state, incident, found.minute)

    def _raise(self, state: Lives, incident: Incident, found: Candidate, weighed: Weighed) -> Alert:
        """Make an incident graver."""
        incident.severity, incident.first = weighed.severity, found
        incident.p_value, incident.per_year = weighed.p_value, weighed.per_year
        incident.onset = min(incident.onset, onset_of(found))
        self._explain(state, incident, found)
        return self._alert(state, incident, found.minute, "firing")

    def _tell_if_grown(self, state: Lives, incident: Incident, minute: int) -> list[Alert]:
        grown = incident.excess_usd > 2 * incident.told_excess_usd
        due = minute - incident.told_minute >= self._settings.update_every_minutes
        tells = grown and due and not incident.is_settled
        return [self._alert(state, incident, minute, "updated")] if tells else []

    def _is_another(self, state: Lives, incident: Incident, found: Candidate, family: str) -> bool:
        """Whether a candidate is a second cause beside an open incident: one that would page by itself.

        Beside a page it has to be of another family and far dearer; beside what somebody has settled, of another
        family; beside what detectors have long been silent of, neither.
        """
        if incident.severity != "page" and not incident.is_settled:
            return False
        if not self._only_stands(incident, found, family):
            if family in incident.families or found.word == incident.first.word:
                return False
            dearest = max(incident.usd_per_hour, incident.first.usd_per_hour)
            if not incident.is_settled and found.usd_per_hour <= _FAR_DEARER * dearest:
                return False
        return self._weigh(state, found, self._meant(state, found)).severity == "page"

    def _only_stands(self, incident: Incident, found: Candidate, family: str) -> bool:
        """Whether a page would be over by its detectors, and its place at rest no more for what is found."""
        quiet = incident.odd_minute + self._settings.resolve_after_minutes
        resting = self._settings.quiet_after_page_minutes
        if family in incident.families:
            return found.minute >= quiet + resting
        rested = found.minute >= incident.paged_minute + resting // 2
        return found.minute >= quiet and (rested or self._budget.detector(found.detector).names_its_driver)

    def _open(self, state: Lives, key: str, found: Candidate, weighed: Weighed, meant: Intent) -> Alert:
        place = place_of(found)
        family = family_of(found) if found.is_by_chance else found.detector
        seed = place if found.is_by_chance else key
        incident = Incident(
            alert_id=alert_id_of(self._organisation, seed, found.minute),
            place=place, first=found, onset=onset_of(found), last_minute=found.minute, odd_minute=found.minute,
            severity=weighed.severity,
            intent=meant, deployment=None, p_value=weighed.p_value, per_year=weighed.per_year,
            observed_nano=round(found.observed_usd_per_hour / 60 * found.horizon_minutes / 2 * NANO),
            excess_usd=found.excess_usd, usd_per_hour=found.usd_per_hour, told_minute=found.minute,
            told_excess_usd=0.0, families=[family], stood_minute=found.minute, stood_excess_usd=found.excess_usd,
        )  # fmt: skip
        self._explain(state, incident, found)
        state.open[key] = incident
        return self._alert(state, incident, found.minute, "firing")

    def _reopen(self, state: Lives, key: str, incident: Incident, found: Candidate) -> Alert:
        """Let an incident that was over go on."""
        incident = self._back(state, key, incident, found.minute)
        incident.grow(found, incident.families[0])
        return self._tell_it_is_back(state, incident, found.minute)

    def _back(self, state: Lives, key: str, incident: Incident, minute: int) -> Incident:
        del state.ended[incident.alert_id]
        incident.away_minutes, incident.ended_minute = minute - (incident.ended_minute or minute), None
        state.open[key] = incident
        return incident

    def _tell_it_is_back(self, state: Lives, incident: Incident, minute: int) -> Alert:
        return msgspec.structs.replace(self._alert(state, incident, minute, "updated"), came_back=True)

    def _end(self, state: Lives, key: str, minute: int, because: str) -> Alert:
        incident = state.open.pop(key)
        if incident.severity == "page":
            self._rest(state, incident, min(minute, incident.odd_minute + self._settings.resolve_after_minutes))
        incident.usd_per_hour, incident.ended_minute = 0.0, minute
        state.ended[incident.alert_id] = incident
        kept = [i for i in state.ended.values() if i.last_minute > minute - ENDED_KEPT_MINUTES][-ENDED_KEPT:]
        state.ended = {i.alert_id: i for i in kept}
        return self._alert(state, incident, minute, "resolved", because)

    def _rest(self, state: Lives, incident: Incident, ended: int) -> None:
        """Keep the place of a page quiet for a while: longer for what it was about, shorter for the rest."""
        resting = self._settings.quiet_after_page_minutes
        state.paged_until = {place: until for place, until in state.paged_until.items() if until >= ended}
        for family in incident.families:
            state.paged_until[_apart(incident.place, family)] = ended + resting
        if incident.first.is_by_chance:
            state.paged_until[incident.place] = incident.paged_minute + resting // 2

    def _rests(self, state: Lives, found: Candidate) -> bool:
        """Whether a place was paged for so lately that it does not page again."""
        place, until = place_of(found), state.paged_until
        if not found.is_by_chance:
            return until.get(_apart(place, found.detector), NEVER) >= found.minute
        of_family = until.get(_apart(place, family_of(found)), NEVER)
        if self._budget.detector(found.detector).names_its_driver:  # what has one cause only is no echo of another
            return of_family >= found.minute
        return max(until.get(place, NEVER), of_family) >= found.minute

    def _former(self, state: Lives, found: Candidate, weighed: Weighed) -> Incident | None:
        """The page that was over and that a candidate, which would page otherwise, is the return of."""
        if weighed.severity == "page" or not weighed.is_rare_and_dear:
            return None
        place = place_of(found)
        family = family_of(found) if found.is_by_chance else found.detector
        if state.paged_until.get(_apart(place, family), NEVER) < found.minute:
            return None
        pages = (i for i in state.ended.values() if i.severity == "page" and i.place == place and family in i.families)
        return max(pages, key=lambda i: (i.last_minute, i.alert_id), default=None)

    def _weigh(self, state: Lives, found: Candidate, meant: Intent) -> Weighed:
        routes = self._routes(state, found, meant)
        return self._scale.weigh(state.budget, found, meant, place_of(found), routes, rests=self._rests(state, found))

    def _routes(self, state: Lives, found: Candidate, meant: Intent) -> tuple[str, ...]:
        """The routes with a promise of their own that a page of a candidate goes down."""
        if not self._budget.has_routes:
            return ()
        scope = scope_of(found, self._initiative(state, found))
        return self._budget.routes_of(labels_of(scope, "page", found.driver, found.detector, meant))

    def _meant(self, state: Lives, found: Candidate) -> Intent:
        initiative = self._initiative(state, found)
        spent = partial(self._usd_last_hour, state, found, initiative)
        return judge_intent(initiative, found.minute, spent, found.horizon_minutes)

    def _usd_last_hour(self, state: Lives, found: Candidate, initiative: Initiative | None) -> float:
        """What all that belongs to an initiative cost in the hour up to a candidate.

        Of one that is matched by principal, whose spend is not counted by key: what the place of the candidate cost.
        """
        spending = state.spending
        if initiative is None or "principal" in initiative.match:
            keys = spending.keys_in(found.name.scope())
        else:
            keys = self.portfolio.keys_of(initiative, spending.accounts, found.minute)
        return spending.usd_last_hour(found.minute, keys)

    def _initiative(self, state: Lives, found: Candidate) -> Initiative | None:
        if not found.is_by_chance and (spoken_of := self.portfolio.named(found.name.scope().get("initiative", ""))):
            return spoken_of
        return self.portfolio.initiative_of(state.spending.labels_of(found.name.scope()), found.minute)

    def _days(self, state: Lives, found: Candidate, initiative: Initiative | None) -> DailySpend:
        """Days of what a budget is for, where there is one; else of the place."""
        spending, scope = state.spending, found.name.scope()
        if initiative is None or "principal" in initiative.match:
            return spending.days_of(spending.keys_in(scope))
        if initiative.monthly_budget_usd is None and scope.get("initiative") != initiative.id:
            return spending.days_of(spending.keys_in(scope))
        return spending.days_of(self.portfolio.keys_of(initiative, spending.accounts, found.minute))

    def _explain(self, state: Lives, incident: Incident, found: Candidate) -> None:
        service = found.name.scope().get("service")
        incident.deployment = None
        if service and found.is_by_chance and self._budget.detector(found.detector).blames_deployments:
            gated = self._budget.detector(found.detector).follows_deployments
            incident.deployment = cause.guilty(state.deployments, service, found, gated=gated)
        incident.newest_model = state.spending.accounts.newest_model(service or "")
        incident.deployments_known = sum(d.service == service for d in state.deployments)
        if incident.severity == "page":
            incident.paged_minute = found.minute
            if found.is_by_chance:
                routes = self._routes(state, found, incident.intent)
                self._budget.page(state.budget, found.minute, found.detector, found.team, routes)

    def _alert(self, state: Lives, incident: Incident, minute: int, what: str, because: str = "quiet again") -> Alert:
        incident.sequence += 1
        incident.told_minute, incident.told_excess_usd = minute, incident.excess_usd
        initiative = self._initiative(state, incident.first)
        days = self._days(state, incident.first, initiative)
        alert = alert_of(incident, minute, what, days, initiative, because)
        return msgspec.structs.replace(alert, links=links_of(self._links, alert))


def note_deployments(state: Lives, new: list[DeploymentEvent], minute: int) -> None:
    """Add deployments to those of the last two weeks."""
    if new:
        state.deployments = [d for d in state.deployments if minute_of(d.time) > minute - cause.KEPT_MINUTES] + new


def _over(incident: Incident) -> str:
    """Why an incident is over that nothing was heard of for a while."""
    return "quiet again" if incident.first.is_by_chance else "it is no longer so"


def _apart(place: str, family: str) -> str:
    return f"{place}\x1f{family}"
