"""Watch: frames to what is unusual in each closed minute. The stage that runs once a shard.

A whole minute is judged as one batch, all series of the shard side by side. Nothing is pooled between series
here, so that the answer does not depend on how series are spread over shards.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import codec
from detectors.admission import NEVER
from detectors.baselines import TOTALS, ActiveMinute, Baselines, BaselineState, Late, Residuals, totals_of
from detectors.clock import minute_of
from detectors.events import DeploymentEvent
from detectors.frame import LIST_INPUT, LIST_UNCACHED, UNPRICED, Frame, Key
from detectors.ledger import (
    ClosedMinute,
    Ledger,
    LedgerState,
    due_deployments,
    due_feedback,
    heard_of,
    without_principal,
)
from detectors.parts import PartsState, culprits, parts_of
from detectors.reports import MinuteReport, SeriesReport, take
from detectors.series import SERVICE, SeriesName, SeriesState, SeriesTable, View
from detectors.spends import Spend
from detectors.verdicts import ANOMALOUS, NO_DEPLOYMENT, Detector, Parts, Seen, excess_by_channel

SAMPLE_ONE_IN = 64
"""One of so many minutes of a service is an example for what learns of the usual."""
SETTLED_MINUTES = 120
WARM_MINUTES = 5
"""Providers keep a prompt for about so long: after a longer silence no cache can hit."""
WORTH_A_LOOK_USD_PER_HOUR = 0.1
"""Rows whose every driver costs less than this above the usual are not judged."""


class SeriesWatchState(msgspec.Struct):
    """Series, their baselines, and what each detector remembers (encoded by its kind)."""

    series: SeriesState
    baselines: BaselineState
    parts: PartsState
    deployed: dict[str, int]
    """Minute of the newest deployment of each service."""
    active: NDArray[np.int32]
    """In how many minutes each series was active."""
    active_before: NDArray[np.int32]
    """The same at the newest deployment of its service; of services' own series."""
    key_last: NDArray[np.int32]
    """The minute in which each key was last active."""


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
    """

    def __init__(
        self, views: tuple[View, ...], detectors: tuple[Detector, ...], pooled: tuple[Detector, ...] = ()
    ) -> None:
        self.table = SeriesTable(views)
        self.detectors = detectors
        self._pooled = pooled
        self._baselines = Baselines()

    def start(self) -> SeriesWatchState:
        """Nothing seen yet."""
        table, baselines = self.table.start(), self._baselines.start()
        empty = [np.zeros(0, np.int32) for _ in range(5)]
        return SeriesWatchState(table, baselines, PartsState(*empty[:2]), {}, *empty[2:])

    def step(
        self, state: SeriesWatchState, minutes: list[tuple[ClosedMinute, list[DeploymentEvent]]], keys: list[Key]
    ) -> tuple[SeriesWatchState, list[SeriesReport | None]]:
        """Judge closed minutes, in order; None for those of which nobody speaks.

        Parameters
        ----------
        state
            What is known; consumed.
        minutes
            Each with the deployments made up to it and not given before.
        keys
            All keys so far, in an order that only grows; ``key`` of the minutes points into it.
        """
        if not minutes:
            return state, []
        self.table.extend(state.series, keys)
        active, unpriced, since, teams = [], [], [], []
        for closed, deployments in minutes:
            self.note(state, deployments)
            self.table.count_teams(state.series, keys, closed.key)
            now, without_price = _active(state, closed, len(keys))
            active.append(now)
            unpriced.append(without_price)
            since.append(self._since(state, now))
            teams.append(list(state.series.teams))
        state.baselines, residuals = self._baselines.step(state.baselines, active)
        parts = parts_of(state.parts, state.series, residuals)
        seen = self._seen(state, residuals, np.concatenate(unpriced), np.concatenate(since), parts)
        return state, self._reports(state, seen, teams, np.cumsum([0, *(len(now.series) for now in active)]))

    def _seen(
        self,
        state: SeriesWatchState,
        residuals: Residuals,
        unpriced: NDArray[np.int64],
        since: NDArray[np.int32],
        parts: Parts,
    ) -> Seen:
        role = state.series.role[residuals.series]
        luck = (state.series.hashes[residuals.series] + residuals.minute.astype(np.uint32)) * np.uint32(2654435761)
        sampled = ((luck >> np.uint32(16)) % SAMPLE_ONE_IN == 0) & (role == SERVICE)
        sampled &= residuals.active_minutes >= SETTLED_MINUTES
        excess, hourly = excess_by_channel(residuals)
        return Seen(residuals, role, since[:, 0], since[:, 1], unpriced, excess, hourly, parts, sampled)

    def _since(self, state: SeriesWatchState, now: ActiveMinute) -> NDArray[np.int32]:
        """Minutes since the newest deployment of each row's service, and those of them in which it was active."""
        state.active[now.series] += 1
        since = np.full((len(now.series), 2), NO_DEPLOYMENT, np.int32)
        for row, place in enumerate(now.series if state.deployed else ()):
            made = state.deployed.get(state.series.services[place])
            if made is not None:
                whole = state.series.whole[place]
                since[row] = now.minute - made, state.active[whole] - state.active_before[whole]
        return since

    def note(self, state: SeriesWatchState, deployments: list[DeploymentEvent]) -> None:
        """Keep the newest deployment of each service; one told late may be older than the last."""
        more = len(state.series.names) - len(state.active)
        if more > 0:
            state.active = np.concatenate([state.active, np.zeros(more, np.int32)])
            state.active_before = np.concatenate([state.active_before, np.zeros(more, np.int32)])
        for made in deployments:
            minute = minute_of(made.time)
            if minute < state.deployed.get(made.service, NEVER):
                continue
            state.deployed[made.service] = minute
            place = self.table.place_of(state.series, SeriesName(("service",), (made.service,)))
            if place is not None:
                state.active_before[place] = state.active[place]

    def _reports(
        self, state: SeriesWatchState, seen: Seen, teams: list[list[str | None]], offsets: NDArray[np.intp]
    ) -> list[SeriesReport | None]:
        """Judge the rows that cost something above the usual; report those that somebody speaks of or asks for."""
        worth = (seen.excess_usd_per_hour > WORTH_A_LOOK_USD_PER_HOUR).any(axis=(1, 2)) | (seen.unpriced_requests > 0)
        wanted = np.zeros(len(seen), bool)
        for detector in self._pooled:
            wanted |= detector.wants(seen)
        looked_at = np.flatnonzero(worth | wanted)
        judged = take(seen, looked_at)
        verdicts = [detector.step(None, judged)[1] for detector in self.detectors]
        speaks = wanted[looked_at]
        for verdict in verdicts:
            speaks = speaks | (verdict.status == ANOMALOUS)
        spoken = np.flatnonzero(speaks)
        starts = np.searchsorted(looked_at[spoken], offsets)
        reports: list[SeriesReport | None] = []
        for number, (start, stop) in enumerate(pairwise(starts)):
            rows = spoken[start:stop]
            if not len(rows):
                reports.append(None)
                continue
            places = seen.residuals.series[looked_at[rows]]
            names = [state.series.names[place] for place in places]
            order = np.array(sorted(range(len(rows)), key=names.__getitem__), np.intp)
            rows = rows[order]
            reports.append(
                SeriesReport(
                    [names[i] for i in order],
                    [teams[number][places[i]] or "" for i in order],
                    culprits(state.series, seen, slice(*offsets[number : number + 2]), looked_at[rows]),
                    take(judged, rows),
                    [take(verdict, rows) for verdict in verdicts],
                )
            )
        return reports


class WatchState(msgspec.Struct):
    """The shard's ledger and its series."""

    ledger: LedgerState
    series: SeriesWatchState
    reported: int = NEVER
    duplicates: int = 0
    late: int = 0


class Watch:
    """The stage: frames of one shard in, minute reports out.

    Parameters
    ----------
    shard
        Which shard.
    ledger
        Closes the minutes.
    series
        Judges them.
    """

    def __init__(self, shard: int, ledger: Ledger, series: SeriesWatch) -> None:
        self._shard = shard
        self._ledger = ledger
        self._series = series

    def start(self) -> WatchState:
        """Nothing seen yet."""
        return WatchState(self._ledger.start(), self._series.start())

    def encode(self, state: WatchState) -> bytes:
        """Bytes that :meth:`decode` reads."""
        return codec.encode(state)

    def decode(self, data: bytes) -> WatchState:
        """Return the state that :meth:`encode` wrote."""
        return codec.decode(data, WatchState)

    def step(self, state: WatchState, frame: Frame) -> tuple[WatchState, list[MinuteReport]]:
        """Take a frame; report the minutes that it closes."""
        keys = state.ledger.keys
        closed = [
            (minute, due_deployments(state.ledger, minute.at)) for minute in self._ledger.apply(state.ledger, frame)
        ]
        state.series, judged = self._series.step(state.series, closed, keys)
        reports = [
            self._report(state, minute, made, report) for (minute, made), report in zip(closed, judged, strict=True)
        ]
        through = state.ledger.closed
        if through > state.reported and (not reports or reports[-1].minute < through):
            made = due_deployments(state.ledger, through)
            self._series.note(state.series, made)
            decided = due_feedback(state.ledger, through)
            reports.append(MinuteReport(self._shard, through, through, None, None, made, feedback=decided))
        state.reported = through
        return state, reports

    def _report(
        self, state: WatchState, closed: ClosedMinute, made: list[DeploymentEvent], report: SeriesReport | None
    ) -> MinuteReport:
        duplicates = state.ledger.duplicates - state.duplicates
        late = state.ledger.late - state.late
        state.duplicates, state.late = state.ledger.duplicates, state.ledger.late
        spend = _spend(state.ledger.keys, closed)
        beside = (due_feedback(state.ledger, closed.at), heard_of(state.ledger.keys, closed))
        return MinuteReport(self._shard, closed.at, closed.at, report, spend, made, duplicates, late, *beside)


def _active(state: SeriesWatchState, closed: ClosedMinute, keys: int) -> tuple[ActiveMinute, NDArray[np.int64]]:
    """What the active series did in a minute, and each one's unpriced requests."""
    on_time = closed.minute == closed.at
    values = _with_warm(state, closed, on_time, keys)
    series, summed = _by_series(state.series, closed.key[on_time], values[:, on_time])
    late_series, late_minute, late_values = _late_by_series(state.series, closed, values, ~on_time)
    active = np.union1d(series, late_series).astype(np.int32) if len(late_series) else series
    totals, unpriced = np.zeros((len(active), len(TOTALS))), np.zeros(len(active), np.int64)
    at = np.searchsorted(active, series)
    totals[at], unpriced[at] = totals_of(summed), summed[UNPRICED]
    late = Late(np.searchsorted(active, late_series), closed.at - late_minute, totals_of(late_values))
    whole = np.searchsorted(active, state.series.whole[active])
    return ActiveMinute(closed.at, active, totals, late, whole), unpriced


def _with_warm(
    state: SeriesWatchState, closed: ClosedMinute, on_time: NDArray[np.bool_], keys: int
) -> NDArray[np.int64]:
    """Measures, and below them the list price of input with and without cache of rows whose cache could hit.

    A row's could if its key was active within :data:`WARM_MINUTES` before: what follows a pause is cold for
    everybody and says nothing of a cache.
    """
    if len(state.key_last) < keys:
        more = np.full(max(keys, 2 * len(state.key_last)) - len(state.key_last), NEVER, np.int32)
        state.key_last = np.concatenate([state.key_last, more])
    warm = on_time & (closed.at - state.key_last[closed.key].astype(np.int64) <= WARM_MINUTES)
    state.key_last[closed.key[on_time]] = closed.at
    return np.concatenate([closed.values, closed.values[[LIST_INPUT, LIST_UNCACHED]] * warm])


def _by_series(
    state: SeriesState, key: NDArray[np.int32], values: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distinct series of some rows, and their summed measures (measures, series)."""
    of_row = state.of_key[key]
    row, view = np.nonzero(of_row >= 0)
    return _sum_by(of_row[row, view], values[:, row])


def _late_by_series(
    state: SeriesState, closed: ClosedMinute, values: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    of_row = state.of_key[closed.key[chosen]]
    row, view = np.nonzero(of_row >= 0)
    return of_row[row, view], closed.minute[chosen][row], values[:, chosen][:, row]


def _sum_by(group: NDArray[np.int32], values: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distinct groups, rising, and the columns' exact sums by group."""
    if not len(group):
        return group, values
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return group[order][starts], np.add.reduceat(values[:, order], starts, axis=1)


def _spend(keys: list[Key], closed: ClosedMinute) -> Spend:
    """Sums by key without principal."""
    places: dict[Key, int] = {}
    of_key = {int(k): places.setdefault(without_principal(keys[k]), len(places)) for k in np.unique(closed.key)}
    key = np.array([of_key[int(k)] for k in closed.key], np.int32)
    order = np.lexsort((key, closed.minute))
    key, minute, values = key[order], closed.minute[order], closed.values[:, order]
    starts = np.flatnonzero(np.diff(key, prepend=-1) | np.diff(minute, prepend=NEVER))
    return Spend(list(places), key[starts], minute[starts], np.add.reduceat(values, starts, axis=1))
