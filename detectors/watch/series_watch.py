"""Judges the series of some views: what they did, what that is to their usual, and what each detector says of it.

All active series of many minutes are judged side by side, some thousand rows at a time. Rows that cost nothing above
the usual are learned from and not looked at any further: most of the columns that detectors see are made of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.baselines.baselines import Activity, Baselines, Known, empty_baselines
from detectors.baselines.residuals import excess_of, look_around, residuals_of
from detectors.baselines.rhythm import Rhythm, beats
from detectors.clock import MINUTES_PER_DAY, NEVER
from detectors.events import DeploymentEvent
from detectors.frame import UNPRICED, Key
from detectors.minutes.active import Active, active_series, totals_of
from detectors.minutes.ledger import ClosedRows, by_day
from detectors.minutes.series import (
    MODEL,
    OTHER,
    SERVICE,
    SeriesName,
    SeriesState,
    SeriesTable,
    TeamChanges,
    View,
    team_at,
)
from detectors.minutes.totals import Floats
from detectors.state.room import with_room
from detectors.verdicts import ANOMALOUS, Detector, Seen, Verdicts, side_by_side
from detectors.watch.deployed import note, notes_of, nothing_deployed, since_deployment, with_services
from detectors.watch.forgetting import begin_day, oldest_minute, renew_returned
from detectors.watch.parts import Counted, count_models, culprits, empty_parts, parts_of, parts_start
from detectors.watch.reports import SeriesReport, by_minute_and_name, merge, take
from detectors.watch.series_state import SeriesWatchState
from detectors.watch.standing import Standing, Words, follow, nothing_held

SAMPLE_ONE_IN = 64
"""One of so many minutes of a service is an example for what learns of the usual."""
_SAMPLED_AFTER_MINUTES = 120
WORTH_A_LOOK_USD_PER_HOUR = 0.1
"""Rows whose every driver costs less than this above the usual are not judged."""
ROWS_AT_ONCE = 4096
"""So many rows, with all that is made of them, fit a processor's cache and keep memory flat."""


class _Rows(NamedTuple):
    """Some active series, with all that is found of them; a row a series and minute."""

    known: Known
    rhythm: Rhythm
    models: Counted
    unpriced: NDArray[np.int64]
    role: NDArray[np.int8]
    cohort: NDArray[np.uint32]
    sampled: NDArray[np.bool_]
    above_usd: NDArray[np.float64]
    """Dollars above the usual in a quarter of an hour."""


class _Spoken(msgspec.Struct, frozen=True):
    """Rows that somebody speaks of or asks for, with what they are called; see :class:`SeriesReport`."""

    rows: NDArray[np.intp]
    """Their places among the rows that were judged together."""
    names: list[SeriesName]
    teams: list[str]
    principals: list[str]
    seen: Seen
    verdicts: Verdicts
    heard: Verdicts
    """Of all who leave holds: those, and pooled detectors that judge alone."""


class SeriesWatch:
    """Judges the series of some views, minute by minute.

    Parameters
    ----------
    views
        The views to watch by.
    detectors
        Those that judge a series by itself.
    pooled
        Those that judge many together, later: rows that they want are reported to them.
    forget_after_days
        What was not heard of on so many whole days is new when it comes back: more than what stands is held for.
    """

    def __init__(
        self,
        views: tuple[View, ...],
        detectors: tuple[Detector, ...],
        pooled: tuple[Detector, ...] = (),
        forget_after_days: int = 35,
    ) -> None:
        self.table = SeriesTable(views)
        self.detectors = detectors
        self._pooled = pooled
        self._forget_after_days = forget_after_days
        self._looks_at_all = any(detector.wants_cheap_rows for detector in pooled)
        self._baselines = Baselines()
        self._alone = tuple(detector for detector in pooled if detector.judges_alone)
        self._titles = [detector.title for detector in (*detectors, *self._alone)]

    def start(self) -> SeriesWatchState:
        """Nothing seen yet."""
        table, baselines = self.table.start(), self._baselines.start()
        nothing = parts_start(), nothing_deployed(), np.zeros(0, np.int32), nothing_held()
        return SeriesWatchState(table, baselines, *nothing)

    def step(
        self, state: SeriesWatchState, closed: ClosedRows, deployments: list[list[DeploymentEvent]], keys: list[Key]
    ) -> tuple[SeriesWatchState, list[SeriesReport | None], list[Standing]]:
        """Judge closed minutes, in order: a report of each, None where nobody speaks; and what still stands.

        Parameters
        ----------
        state
            What is known; consumed.
        closed
            The minutes.
        deployments
            By minute: those made up to it and not given before.
        keys
            All keys so far, in an order that only grows, but for :func:`detectors.watch.forgetting.renumber_keys`;
            ``key`` of the rows points into it.
        """
        if not len(closed.at):
            return state, [], []
        reports: list[SeriesReport | None] = []
        standing: list[Standing] = []
        for minutes, of_day in by_day(closed):
            said, still = self._step_within_a_day(state, of_day, deployments[minutes], keys)
            reports, standing = reports + said, standing + still
        return state, reports, standing

    def _step_within_a_day(
        self, state: SeriesWatchState, closed: ClosedRows, deployments: list[list[DeploymentEvent]], keys: list[Key]
    ) -> tuple[list[SeriesReport | None], list[Standing]]:
        """Judge closed minutes of one day: what comes back in it after long was forgotten before it began."""
        day = int(closed.at[0]) // MINUTES_PER_DAY
        oldest = oldest_minute(day, self._forget_after_days)
        if day > state.forgotten.day:
            begin_day(state, day, oldest)
        self._extend(state, keys, closed)
        series = state.series
        active = active_series(closed, series.of_key, series.whole, state.key_last)
        renew_returned(state, active, oldest)
        teams = self.table.count_teams(series, keys, closed)
        notes = notes_of(state.deployed, series, self.table, list(zip(closed.at.tolist(), deployments, strict=True)))
        since = since_deployment(state.deployed, notes, series, active, oldest)
        spoken: list[_Spoken] = []
        standing: list[Standing] = []
        for rows, at in self._in_blocks(state, active):
            looked_at, excess = self._worth_a_look(rows)
            seen = _seen(rows, (since[0][at][looked_at], since[1][at][looked_at]), excess, looked_at)
            said = self._speak(series, teams, rows, seen, looked_at)
            words = _words(said)
            state.held, still = follow(state.held, rows.known, words, series.names, self._titles)
            spoken, standing = spoken + said, standing + still
        return _by_minute(spoken, closed.at), standing

    def note(self, state: SeriesWatchState, minute: int, deployments: list[DeploymentEvent]) -> None:
        """Keep deployments after which nothing has closed yet."""
        note(state.deployed, notes_of(state.deployed, state.series, self.table, [(minute, deployments)]))

    def oldest_minute(self, state: SeriesWatchState) -> int:
        """Return since when something must have been active to be remembered."""
        return oldest_minute(state.forgotten.day, self._forget_after_days)

    def _extend(self, state: SeriesWatchState, keys: list[Key], closed: ClosedRows) -> None:
        """Make room for new keys and those of closed minutes, their series and services."""
        self.table.extend(state.series, keys)
        self.table.find_lost(state.series, keys, closed)
        series = len(state.series.names)
        state.baselines = with_room(state.baselines, series, empty_baselines)
        state.parts = with_room(state.parts, series, empty_parts)
        state.deployed = with_services(state.deployed, state.series.services)
        (state.key_last,) = with_room((state.key_last,), len(keys), lambda rows: (np.full(rows, NEVER, np.int32),))

    def _in_blocks(self, state: SeriesWatchState, active: Active) -> Iterator[tuple[_Rows, slice]]:
        """Learn of the active series, some thousand rows at a time; each with its place among all."""
        series = state.series
        for at in _blocks(active):
            given = _activity(active, at)
            state.baselines, known, rhythm = self._baselines.step(state.baselines, given, len(series.names))
            state.parts, models = count_models(state.parts, series, known)
            role = series.role[known.series]
            sampled, above_usd = _sampled(series, known, role), np.empty(len(role))
            cohort, unpriced = series.cohort[known.series], active.summed[at, UNPRICED]
            yield _Rows(known, rhythm, models, unpriced, role, cohort, sampled, above_usd), at

    def _worth_a_look(self, rows: _Rows) -> tuple[NDArray[np.intp], tuple[Floats, Floats]]:
        """Rows that cost something above the usual, or that somebody may ask for; and what they cost above it."""
        may_cost, fails = np.empty((2, len(rows.role)), bool)
        look_around(rows.known, WORTH_A_LOOK_USD_PER_HOUR, may_cost, fails, rows.above_usd)
        asked_for = (rows.unpriced > 0) | rows.sampled | (fails & (rows.role == SERVICE)) | self._looks_at_all
        asked_for |= beats(rows.rhythm)
        looked_at = np.flatnonzero(may_cost | asked_for)
        excess, hourly = excess_of(rows.known, looked_at)
        kept = (hourly > WORTH_A_LOOK_USD_PER_HOUR).any(axis=(1, 2)) | asked_for[looked_at]
        order = np.argsort(rows.role[looked_at], kind="stable")  # what each detector judges stands together
        order = order[kept[order]]
        return looked_at[order], (excess[order], hourly[order])

    def _speak(
        self, series: SeriesState, teams: TeamChanges, rows: _Rows, seen: Seen, looked_at: NDArray[np.intp]
    ) -> list[_Spoken]:
        """Judge the rows that cost something above the usual; keep those that somebody speaks of or asks for."""
        worth = (seen.excess_usd_per_hour > WORTH_A_LOOK_USD_PER_HOUR).any(axis=(1, 2)) | (seen.unpriced_requests > 0)
        worth |= beats(seen.residuals.rhythm)
        wanted = np.zeros(len(seen), bool)
        for detector in self._pooled:
            wanted |= detector.wants(seen)
        chosen = np.flatnonzero(wanted | (worth & self._anomalous(seen)))
        if not len(chosen):
            return []
        names = [series.names[place] for place in seen.residuals.series[chosen].tolist()]
        blamed = culprits(series, rows.known, rows.above_usd, looked_at[chosen])
        told = take(seen, chosen)
        local = [detector.step(None, told)[1] for detector in self.detectors]
        heard = [*local, *(detector.alone(told) for detector in self._alone)]
        verdicts = [side_by_side(said, len(told)) for said in (local, heard)]
        return [_Spoken(looked_at[chosen], names, _teams(series, teams, told), blamed, told, *verdicts)]

    def _anomalous(self, seen: Seen) -> NDArray[np.bool_]:
        """Rows, in the order of their roles, of which some detector says so."""
        found = np.zeros(len(seen), bool)
        bounds = np.searchsorted(seen.role, np.arange(OTHER + 2)).tolist()
        for role, (first, end) in enumerate(pairwise(bounds)):
            if first == end:
                continue
            some = take(seen, slice(first, end))
            asked = [(d, d.may_speak(some)) for d in self.detectors if role in d.roles]
            speakers = [(detector, rows) for detector, rows in asked if rows.any()]
            if speakers:
                rows = np.flatnonzero(np.logical_or.reduce([rows for _, rows in speakers]))
                few = take(some, rows)
                for detector, _ in speakers:
                    found[first + rows] |= detector.step(None, few)[1].status == ANOMALOUS
        return found


def _seen(
    rows: _Rows,
    since: tuple[NDArray[np.int32], NDArray[np.int32]],
    excess: tuple[Floats, Floats],
    looked_at: NDArray[np.intp],
) -> Seen:
    """All that detectors see of some rows."""
    residuals = residuals_of(rows.known, rows.rhythm, looked_at)
    parts = parts_of(rows.known, rows.models, looked_at)
    unpriced, role = rows.unpriced[looked_at], rows.role[looked_at]
    return Seen(residuals, role, rows.cohort[looked_at], *since, unpriced, *excess, parts, rows.sampled[looked_at])


def _words(said: list[_Spoken]) -> Words:
    """What detectors have said, in the order of rows."""
    if not said:
        return _NO_WORDS
    (spoken,) = said
    verdicts = spoken.heard
    which, detector = np.nonzero(verdicts.status == ANOMALOUS)
    order = np.lexsort((detector, spoken.rows[which]))
    which, detector = which[order], detector[order]
    horizon = verdicts.horizon[which, detector]
    usual = spoken.seen.residuals.usual_usd_per_minute[which, horizon]
    row, driver = spoken.rows[which].astype(np.int32), verdicts.driver[which, detector]
    return Words(row, detector.astype(np.int16), driver, horizon, usual)


_NO_WORDS = Words(np.zeros(0, np.int32), np.zeros(0, np.int16), np.zeros(0, np.int8), np.zeros(0, np.int8), np.zeros(0))


def _sampled(series: SeriesState, known: Known, role: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Rows that are examples of the usual: a fixed share of the minutes of settled services and of their models."""
    luck = (series.hashes[known.series] + known.minute.astype(np.uint32)) * np.uint32(2654435761)
    sampled = ((luck >> np.uint32(16)) % SAMPLE_ONE_IN == 0) & ((role == SERVICE) | (role == MODEL))
    return np.asarray(sampled & (known.active_minutes >= _SAMPLED_AFTER_MINUTES), np.bool_)


def _teams(series: SeriesState, teams: TeamChanges, seen: Seen) -> list[str]:
    places = zip(seen.residuals.series.tolist(), seen.residuals.minute.tolist(), strict=True)
    return [team_at(series, teams, place, minute) for place, minute in places]


def _blocks(active: Active) -> Iterator[slice]:
    """Some thousand rows at a time, the parts of a service together."""
    first, rows = 0, len(active.series)
    while first < rows:
        end = min(first + ROWS_AT_ONCE, rows)
        while end < rows and active.whole[end] == active.whole[end - 1]:
            end += 1
        yield slice(first, end)
        first = end


def _activity(active: Active, at: slice) -> Activity:
    """Some rows of what was active, with the late rows that came in with them."""
    first = np.int32(at.start)
    late = slice(*np.searchsorted(active.late_row, [at.start, at.stop]))
    return Activity(
        active.minute[at], active.series[at], active.whole[at] - first, totals_of(active.summed[at].T),
        active.late_row[late] - first, active.late_age_minutes[late], totals_of(active.late_summed[late].T),
    )  # fmt: skip


def _by_minute(spoken: list[_Spoken], minutes: NDArray[np.int32]) -> list[SeriesReport | None]:
    """A report of each minute of which somebody speaks, its rows by name."""
    if not spoken:
        return [None] * len(minutes)
    names = [name for some in spoken for name in some.names]
    teams = [team for some in spoken for team in some.teams]
    principals = [principal for some in spoken for principal in some.principals]
    seen = merge([some.seen for some in spoken])
    minute = seen.residuals.minute
    order = by_minute_and_name(minute, names)
    whole = np.full(len(order), -1)
    residuals = msgspec.structs.replace(seen.residuals, whole=whole)  # it pointed to rows that are not told of
    seen = take(msgspec.structs.replace(seen, residuals=residuals), order)
    verdicts = take(merge([some.verdicts for some in spoken]), order)
    reports: list[SeriesReport | None] = []
    bounds = np.searchsorted(minute[order], np.append(minutes, minutes[-1] + 1)).tolist()
    for first, end in pairwise(bounds):
        at, rows = slice(first, end), order[first:end].tolist()
        reports.append(
            SeriesReport(
                [names[row] for row in rows], [teams[row] for row in rows], [principals[row] for row in rows],
                take(seen, at), take(verdicts, at),
            ) if rows else None
        )  # fmt: skip
    return reports
