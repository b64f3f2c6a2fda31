"""The incidents stage, which runs once an organisation: it waits for all shards, then judges a minute as one.

It takes a minute when every shard has closed it, so that what it says depends neither on the number of workers
nor on who reported first.
"""

from __future__ import annotations

from typing import Any

import msgspec

from detectors import codec
from detectors.admission import NEVER
from detectors.budget import Budget, PageRates
from detectors.clock import MINUTES_PER_HOUR, minute_of
from detectors.events import Alert, Feedback
from detectors.frame import Key
from detectors.incidents.life import Life, Lives, note_deployments
from detectors.incidents.places import together
from detectors.incidents.spending import SpendRows, closed_minute, rows_of
from detectors.judge import Candidate, Judge
from detectors.reports import MinuteReport, SeriesReport
from detectors.rules.rulebook import Rulebook
from detectors.watch import SeriesWatch, SeriesWatchState


class IncidentsState(msgspec.Struct):
    """Reports that wait for all shards, the wide views, and the incidents."""

    closed_through: dict[int, int]
    waiting: dict[int, list[MinuteReport]]
    keys: list[Key]
    wide: SeriesWatchState
    lives: Lives
    decisions: dict[int, list[Feedback]] = {}
    """What people decided, by the minute in which it takes effect."""
    done: int = NEVER
    spent: int = NEVER
    """The last minute in which anybody spent."""
    refused: list[Feedback] = []
    """Decisions of the last step on alerts that nobody knows."""
    pooled: list[Any] = []
    """What each pooled detector remembers; encoded by its kind."""
    rules: dict[str, Any] = {}
    """What each rule remembers; encoded by its kind."""

    @property
    def open_incidents(self) -> int:
        """How many incidents fire."""
        return len(self.lives.open)

    def knows(self, alert_id: str) -> bool:
        """Whether an alert can be decided on: its incident is open, or was lately."""
        lives = self.lives
        return alert_id in lives.ended or any(i.alert_id == alert_id for i in list(lives.open.values()))


class _Encoded(msgspec.Struct, frozen=True):
    state: bytes
    pooled: list[bytes]
    rules: dict[str, bytes]


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
    """

    def __init__(
        self, shards: int, wide: SeriesWatch, judge: Judge, rulebook: Rulebook, life: Life, budget: Budget
    ) -> None:
        self._shards = shards
        self._wide = wide
        self._judge = judge
        self._rulebook = rulebook
        self._life = life
        self._budget = budget

    def start(self) -> IncidentsState:
        """Nothing seen yet."""
        return IncidentsState(
            {}, {}, [], self._wide.start(), Lives(), pooled=self._judge.start(), rules=self._rulebook.start()
        )

    def encode(self, state: IncidentsState) -> bytes:
        """Bytes that :meth:`decode` reads."""
        bare = msgspec.structs.replace(state, pooled=[], rules={})
        pooled, rules = self._judge.encode(state.pooled), self._rulebook.encode(state.rules)
        return codec.encode(_Encoded(codec.encode(bare), pooled, rules))

    def decode(self, data: bytes) -> IncidentsState:
        """Return the state that :meth:`encode` wrote."""
        parts = codec.decode(data, _Encoded)
        state = codec.decode(parts.state, IncidentsState)
        state.pooled, state.rules = self._judge.decode(parts.pooled), self._rulebook.decode(parts.rules)
        return state

    def rates(self, state: IncidentsState) -> PageRates:
        """Return the promised, natural and realised rates of pages as of the last minute."""
        return self._budget.rates(state.lives.budget, state.done)

    def step(self, state: IncidentsState, report: MinuteReport) -> tuple[IncidentsState, list[Alert]]:
        """Take a report; return the alerts of the minutes that all shards have closed by now."""
        state.refused = []
        before = state.closed_through.get(report.shard, NEVER)
        for said in report.feedback:
            state.decisions.setdefault(max(minute_of(said.time), before + 1), []).append(said)
        state.closed_through[report.shard] = max(before, report.closed_through)
        if report.report is not None or report.spend is not None or report.deployments:
            state.waiting.setdefault(report.minute, []).append(report)
        if len(state.closed_through) < self._shards:
            return state, []
        through = min(state.closed_through.values())
        alerts: list[Alert] = []
        for minute in sorted(m for m in state.waiting.keys() | state.decisions.keys() if m <= through):
            alerts += self._life.end_quiet(state.lives, minute - 1)
            alerts += self._decide(state, minute, state.decisions.pop(minute, []))
            alerts += self._judge_minute(state, minute, state.waiting.pop(minute, []))
            state.done = minute
        if through > state.done:
            alerts += self._life.end_quiet(state.lives, through)
            state.done = through
        return state, alerts

    def _judge_minute(self, state: IncidentsState, minute: int, reports: list[MinuteReport]) -> list[Alert]:
        deployments = sorted((d for r in reports for d in r.deployments), key=lambda d: (d.time, d.service, d.id))
        note_deployments(state.lives, deployments, minute)
        rows = rows_of([r.spend for r in reports if r.spend is not None])
        if not rows:
            return []
        state.lives.spending.count(rows)
        self._budget.begin(state.lives.budget, minute)
        before, state.spent = state.spent, minute
        found = self._by_place(self._candidates(state, minute, rows, reports))
        alerts = [alert for candidate in found for alert in self._life.take(state.lives, candidate)]
        sources = [pair for r in reports for pair in r.sources]
        for finding, severity in self._rulebook.step(state.rules, minute, before, rows, sorted(sources)):
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

    def _candidates(
        self, state: IncidentsState, minute: int, rows: SpendRows, reports: list[MinuteReport]
    ) -> list[Candidate]:
        """Return what detectors say of a minute."""
        parts: list[SeriesReport] = [r.report for r in reports if r.report is not None]
        closed = closed_minute(state.keys, minute, rows)
        if self._wide.table.views:
            state.wide, wide_reports = self._wide.step(state.wide, [(closed, [])], state.keys)
            parts += [report for report in wide_reports if report is not None]
        candidates: list[Candidate] = []
        if parts:
            state.pooled, candidates = self._judge.step(state.pooled, parts)
        if minute // MINUTES_PER_HOUR > state.done // MINUTES_PER_HOUR:
            state.lives.spending.forget(minute)
        self._life.follow(state.lives, minute)
        return candidates

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
