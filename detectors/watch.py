"""Watch: frames to what is unusual in each closed minute. The stage that runs once a shard.

A whole minute is judged as one batch, all series of the shard side by side. Nothing is pooled between series
here, so that the answer does not depend on how series are spread over shards.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import codec
from detectors.admission import NEVER
from detectors.baselines import TOTALS, Baselines, BaselineState, Late, Residuals, totals_of
from detectors.clock import minute_of
from detectors.events import DeploymentEvent
from detectors.features import features_of
from detectors.frame import UNPRICED, Frame, Key
from detectors.ledger import ClosedMinute, Ledger, LedgerState, due_deployments, without_principal
from detectors.series import SeriesName, SeriesState, SeriesTable, View
from detectors.verdicts import ANOMALOUS, NO_DEPLOYMENT, Detector, Seen, Verdicts, excess_by_channel

S = TypeVar("S", bound=msgspec.Struct)

SAMPLE_ONE_IN = 16
"""One of so many minutes of a service is an example for what learns of the usual."""
SETTLED_MINUTES = 120


class Spend(msgspec.Struct, frozen=True):
    """Exact sums of a minute by key (without principal and source) and event minute; values (measures, rows)."""

    keys: list[Key]
    key: NDArray[np.int32]
    minute: NDArray[np.int32]
    values: NDArray[np.int64]


class SeriesReport(msgspec.Struct, frozen=True):
    """The rows of a minute that somebody wants to look at again, with the word of each detector that spoke.

    ``verdicts`` has a struct a detector, in the order of the configuration.
    """

    names: list[SeriesName]
    teams: list[str]
    seen: Seen
    verdicts: list[Verdicts]


class MinuteReport(msgspec.Struct, frozen=True):
    """What a shard says of a minute. All minutes up to ``closed_through`` are closed; silent ones say nothing."""

    shard: int
    minute: int
    closed_through: int
    report: SeriesReport | None
    spend: Spend | None
    deployments: list[DeploymentEvent]
    duplicates: int = 0
    late: int = 0

    def encode(self) -> bytes:
        """Bytes that :meth:`decode` reads."""
        return codec.encode(self)

    @staticmethod
    def decode(data: bytes) -> MinuteReport:
        """Return the report that :meth:`encode` wrote."""
        return codec.decode(data, MinuteReport)


class SeriesWatchState(msgspec.Struct):
    """Series, their baselines, and what each detector remembers (encoded by its kind)."""

    series: SeriesState
    baselines: BaselineState
    deployed: dict[str, int]
    """Minute of the newest deployment of each service."""


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
        return SeriesWatchState(self.table.start(), self._baselines.start(), {})

    def step(
        self, state: SeriesWatchState, keys: list[Key], closed: ClosedMinute, deployments: list[DeploymentEvent]
    ) -> tuple[SeriesWatchState, SeriesReport]:
        """Judge a closed minute.

        Parameters
        ----------
        state
            What is known; consumed.
        keys
            All keys so far, in an order that only grows; ``closed.key`` points into it.
        closed
            The minute.
        deployments
            Those made up to this minute and not given before.
        """
        _note(state.deployed, deployments)
        self.table.extend(state.series, keys)
        self.table.count_teams(state.series, keys, closed.key)
        on_time = closed.minute == closed.at
        series, values = _by_series(state.series, closed, on_time)
        late_series, late_minute, late_values = _late_by_series(state.series, closed, ~on_time)
        active = np.union1d(series, late_series).astype(np.int32)
        totals = np.zeros((len(active), len(TOTALS)))
        totals[np.searchsorted(active, series)] = totals_of(values)
        late = Late(np.searchsorted(active, late_series), closed.at - late_minute, totals_of(late_values))
        state.baselines, residuals = self._baselines.step(state.baselines, closed.at, active, totals, late)
        unpriced = np.zeros(len(active), np.int64)
        unpriced[np.searchsorted(active, series)] = values[UNPRICED]
        seen = self._seen(state, residuals, unpriced)
        return state, self._report(state, seen)

    def _seen(self, state: SeriesWatchState, residuals: Residuals, unpriced: NDArray[np.int64]) -> Seen:
        since = np.full(len(residuals), NO_DEPLOYMENT, np.int32)
        if state.deployed:
            for row, place in enumerate(residuals.series):
                name = state.series.names[place]
                if "service" in name.view:
                    made = state.deployed.get(name.values[name.view.index("service")])
                    since[row] = NO_DEPLOYMENT if made is None else residuals.minute - made
        size = state.series.view_size[residuals.series]
        luck = (state.series.hashes[residuals.series] + np.uint32(residuals.minute % 2**31)) * np.uint32(2654435761)
        sampled = ((luck >> np.uint32(16)) % SAMPLE_ONE_IN == 0) & (size == 1)
        sampled &= residuals.active_minutes >= SETTLED_MINUTES
        excess, hourly = excess_by_channel(residuals)
        features = features_of(residuals, since)
        return Seen(residuals, size, since, unpriced, excess, hourly, features, sampled)

    def _report(self, state: SeriesWatchState, seen: Seen) -> SeriesReport:
        verdicts = [detector.step(None, seen)[1] for detector in self.detectors]
        wanted = np.zeros(len(seen), bool)
        for verdict in verdicts:
            wanted |= verdict.status == ANOMALOUS
        for detector in self._pooled:
            wanted |= detector.wants(seen)
        rows = np.flatnonzero(wanted)
        places = seen.residuals.series[rows]
        names = [state.series.names[place] for place in places]
        order = np.array(sorted(range(len(rows)), key=names.__getitem__), np.intp)
        return SeriesReport(
            [names[i] for i in order],
            [state.series.teams[places[i]] or "" for i in order],
            take(seen, rows[order]),
            [take(verdict, rows[order]) for verdict in verdicts],
        )


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
        closed = self._ledger.apply(state.ledger, frame)
        reports = [self._report(state, minute) for minute in closed]
        through = state.ledger.closed
        if through > state.reported and (not reports or reports[-1].minute < through):
            reports.append(MinuteReport(self._shard, through, through, None, None, self._due(state, through)))
        state.reported = through
        return state, reports

    def _due(self, state: WatchState, minute: int) -> list[DeploymentEvent]:
        """Deployments made up to a minute; the series watch learns of them too."""
        due = due_deployments(state.ledger, minute)
        _note(state.series.deployed, due)
        return due

    def _report(self, state: WatchState, closed: ClosedMinute) -> MinuteReport:
        deployments = self._due(state, closed.at)
        state.series, report = self._series.step(state.series, state.ledger.keys, closed, deployments)
        duplicates = state.ledger.duplicates - state.duplicates
        late = state.ledger.late - state.late
        state.duplicates, state.late = state.ledger.duplicates, state.ledger.late
        spend = _spend(state.ledger.keys, closed)
        return MinuteReport(self._shard, closed.at, closed.at, report, spend, deployments, duplicates, late)


def _note(deployed: dict[str, int], deployments: list[DeploymentEvent]) -> None:
    """Keep the newest deployment of each service; one told late may be older than the last."""
    for made in deployments:
        deployed[made.service] = max(deployed.get(made.service, NEVER), minute_of(made.time))


def take(columns: S, rows: NDArray[np.intp]) -> S:
    """Some rows of a struct of columns, structs within included."""
    picked = {}
    for name in columns.__struct_fields__:
        value = getattr(columns, name)
        if isinstance(value, np.ndarray):
            value = value[rows]
        elif isinstance(value, msgspec.Struct):
            value = take(value, rows)
        picked[name] = value
    return type(columns)(**picked)


def merge(parts: list[S]) -> S:
    """Rows of several structs of columns, one after the other; what is no column must be alike."""
    first = parts[0]
    merged = {}
    for name in first.__struct_fields__:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], np.ndarray):
            merged[name] = np.concatenate(values)
        else:
            merged[name] = merge(values) if isinstance(values[0], msgspec.Struct) else values[0]
    return type(first)(**merged)


def _by_series(
    state: SeriesState, closed: ClosedMinute, chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distinct series of the chosen rows, and their summed measures (measures, series)."""
    of_row = state.of_key[closed.key[chosen]]
    row, view = np.nonzero(of_row >= 0)
    return _sum_by(of_row[row, view], closed.values[:, chosen][:, row])


def _late_by_series(
    state: SeriesState, closed: ClosedMinute, chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    of_row = state.of_key[closed.key[chosen]]
    row, view = np.nonzero(of_row >= 0)
    return of_row[row, view], closed.minute[chosen][row], closed.values[:, chosen][:, row]


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
