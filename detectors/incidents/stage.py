"""The incidents stage, which runs once an organisation: it waits for all shards, then judges a minute as one.

It takes a minute when every shard has closed it, so that what it says depends neither on the number of workers
nor on who reported first.
"""

from __future__ import annotations

from itertools import groupby

from detectors.clock import MINUTES_PER_DAY, NEVER, minute_of
from detectors.events import Alert, Feedback
from detectors.incidents.life import Life, Lives, note_deployments
from detectors.incidents.places import together
from detectors.incidents.spending import closed_rows
from detectors.incidents.state import IncidentsPages, IncidentsState
from detectors.judging.accounts import Booked, Bookkeeper
from detectors.judging.budget import Budget, PageRates
from detectors.judging.forgetting import forget, rows_to_keep
from detectors.judging.judge import Candidate, Judge
from detectors.rules.rulebook import Rulebook
from detectors.watch.forgetting import oldest_minute, renumber_keys
from detectors.watch.reports import MinuteReport
from detectors.watch.series_watch import SeriesWatch
from detectors.watch.standing import Standing


class Incidents:
    """The stage: minute reports in, alerts out.

    Parameters
    ----------
    shards
        How many report.
    wide
        Watches the views that cross shards.
    judge
        Merges reports and runs the pooled detectors.
    rulebook
        Runs the rules.
    life
        Makes incidents of candidates.
    budget
        Keeps the page budget.
    forget_after_days
        Labels of which nothing was heard for so long, when a day begins, are forgotten: what comes back is new.
    """

    def __init__(
        self,
        shards: int,
        wide: SeriesWatch,
        judge: Judge,
        rulebook: Rulebook,
        life: Life,
        budget: Budget,
        forget_after_days: int = 35,
    ) -> None:
        self._shards = shards
        self._wide = wide
        self._judge = judge
        self._rulebook = rulebook
        self._life = life
        self._budget = budget
        self._forget_after_days = forget_after_days
        self._bookkeeper = Bookkeeper()

    def start(self) -> IncidentsState:
        """Nothing seen yet."""
        return IncidentsState(
            {}, {}, self._wide.start(), Lives(), pooled=self._judge.start(), rules=self._rulebook.start()
        )

    def pages(self) -> IncidentsPages:
        """Return what writes and reads a state."""
        return IncidentsPages(self.start(), self._judge, self._rulebook)

    def rates(self, state: IncidentsState) -> PageRates:
        """Return the promised, natural and realised rates of pages as of the last minute."""
        return self._budget.rates(state.lives.budget, state.done)

    def step(self, state: IncidentsState, *reports: MinuteReport) -> tuple[IncidentsState, list[Alert]]:
        """Take reports; return the alerts of the minutes that all shards have closed by now."""
        state.refused = []
        for report in reports:
            _wait(state, report)
        if len(state.closed_through) < self._shards:
            return state, []
        through = min(state.closed_through.values())
        due = {minute: state.waiting.pop(minute) for minute in sorted(m for m in state.waiting if m <= through)}
        alerts: list[Alert] = []
        minutes = sorted(due.keys() | {m for m in state.decisions if m <= through})
        for _, of_day in groupby(minutes, key=lambda minute: minute // MINUTES_PER_DAY):
            alerts += self._take_minutes(state, {minute: due.get(minute, []) for minute in of_day})
        if through > state.done:
            alerts += self._life.end_quiet(state.lives, through)
            state.done = through
        return state, alerts

    def _take_minutes(self, state: IncidentsState, due: dict[int, list[MinuteReport]]) -> list[Alert]:
        """Take some minutes of one day, at least one."""
        began = min(due)
        alerts = self._life.end_quiet(state.lives, began - 1)  # told of with what was known by then
        self._forget(state, began)
        booked, candidates, standing = self._candidates(state, due)
        for minute, reports in due.items():
            alerts += self._life.end_quiet(state.lives, minute - 1)
            alerts += self._decide(state, minute, state.decisions.pop(minute, []))
            alerts += self._take_minute(state, minute, reports, booked.get(minute), candidates.get(minute, []))
            alerts += self._life.stand(state.lives, standing.get(minute, []), minute)
            state.done = minute
        return alerts

    def _forget(self, state: IncidentsState, minute: int) -> None:
        """Forget labels where a day begins on which nobody has spent yet: the same whichever minutes come at once."""
        day = minute // MINUTES_PER_DAY
        if day <= state.spent // MINUTES_PER_DAY:
            return
        spending, portfolio = state.lives.spending, self._life.portfolio
        accounts = spending.accounts
        forgotten = forget(accounts, oldest_minute(day, self._forget_after_days))
        if forgotten is None:
            return
        self._bookkeeper.forget(accounts, forgotten.keys)
        spending.forget(forgotten.keys)
        self._rulebook.forget(state.rules, forgotten, accounts)
        rows, keys = rows_to_keep(accounts), accounts.keys
        if rows is None:
            return
        if self._wide.table.views:
            renumber_keys(state.wide, rows)
        spending.keep_rows(rows, minute)
        portfolio.keep_rows(keys, accounts.keys, rows)

    def _candidates(
        self, state: IncidentsState, due: dict[int, list[MinuteReport]]
    ) -> tuple[dict[int, Booked], dict[int, list[Candidate]], dict[int, list[Standing]]]:
        """What was spent, what is odd and what still is, by minute, of all minutes that are due at once."""
        parts = [[r.report for r in told if r.report is not None] for told in due.values()]
        accounts = state.lives.spending.accounts
        told_of = {minute: [r.spend for r in told if r.spend is not None] for minute, told in due.items()}
        spends = {minute: spent for minute, spent in told_of.items() if spent}
        booked = self._bookkeeper.book(accounts, spends)
        standing = {minute: [said for r in told for said in r.standing] for minute, told in due.items()}
        if self._wide.table.views:
            closed = closed_rows(accounts, booked, spends)
            state.wide, wide, still = self._wide.step(state.wide, closed, [[]] * len(closed.at), accounts.keys)
            for said in still:
                standing[said.minute].append(said)
            by_minute = dict(zip(closed.at.tolist(), wide, strict=True))
            for minute, some in zip(due, parts, strict=True):
                if (report := by_minute.get(minute)) is not None:
                    some.append(report)
        state.pooled, candidates = self._judge.step(state.pooled, parts)
        return {minute.minute: minute for minute in booked}, candidates, standing

    def _take_minute(
        self,
        state: IncidentsState,
        minute: int,
        reports: list[MinuteReport],
        booked: Booked | None,
        candidates: list[Candidate],
    ) -> list[Alert]:
        self._budget.begin(state.lives.budget, minute)
        deployments = sorted((d for r in reports for d in r.deployments), key=lambda d: (d.time, d.service, d.id))
        note_deployments(state.lives, deployments, minute)
        if booked is None:
            return []
        spending = state.lives.spending
        spending.count(booked, self._life.portfolio.has_ceiling(spending.accounts))
        accounts, day_before = spending.accounts, minute - MINUTES_PER_DAY
        self._budget.size_up(state.lives.budget, minute, lambda: accounts.services_since(day_before))
        self._life.follow(state.lives, booked)
        alerts = [alert for found in self._by_place(candidates) for alert in self._life.take(state.lives, found)]
        before, state.spent = state.spent, minute
        for finding, severity in self._rulebook.step(state.rules, before, booked, spending.accounts):
            alerts += self._life.take_finding(state.lives, finding, severity)
        return alerts

    def _decide(self, state: IncidentsState, minute: int, feedback: list[Feedback]) -> list[Alert]:
        """Take what people decided; keep apart what is of no known alert."""
        alerts: list[Alert] = []
        for decision in sorted(feedback, key=lambda f: (f.time, f.alert_id, f.decision, f.by)):
            told = self._life.decide(state.lives, decision, minute)
            if told is None:
                state.refused.append(decision)
            alerts += told or []
        return alerts

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


def _wait(state: IncidentsState, report: MinuteReport) -> None:
    """Keep a report until every shard has closed its minute, and decisions until theirs."""
    before = state.closed_through.get(report.shard, NEVER)
    for said in report.feedback:
        state.decisions.setdefault(max(minute_of(said.time), before + 1), []).append(said)
    state.closed_through[report.shard] = max(before, report.closed_through)
    if report.report is not None or report.spend is not None or report.deployments or report.standing:
        state.waiting.setdefault(report.minute, []).append(report)
