"""The state of series as pages: what each usually does by rows that have changed, all else by what has grown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import astuple, replace
from numpy.typing import NDArray

from detectors.baselines.baselines import BaselineState, empty_baselines
from detectors.frame import shared
from detectors.minutes.series import LOST, SeriesName, SeriesState, View
from detectors.state.pages import Growing, Pages, Part, page, read
from detectors.state.room import flat
from detectors.state.row_pages import Rows
from detectors.watch.deployed import DeployedState
from detectors.watch.parts import PartsState, empty_parts
from detectors.watch.series_state import Forgotten, SeriesWatchState
from detectors.watch.standing import HeldState

_NEVER_ACTIVE = -1


class _Room(msgspec.Struct, frozen=True):
    """How many rows there is room for."""

    baselines: int
    parts: int


class SeriesPages:
    """What was written of the series of some views.

    A series' row changes in the minutes in which it is active, and remembers the last of them. Minutes come in order:
    so the rows that have changed are those whose last minute is after the last one of all when they were written.
    Where some were dropped, and the others numbered anew, all are written.

    Parameters
    ----------
    name
        What the names of the pages begin with.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._series = Growing(
            f"{name}/names", list[SeriesName], np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray
        )
        self._services = Growing(f"{name}/services", list[str])
        self._teams = Growing(f"{name}/teams", list[str | None])
        self._of_key = Growing(f"{name}/of_key", np.ndarray)
        self._rows = Rows(f"{name}/rows")
        self._last_minute = _NEVER_ACTIVE
        self._teams_told: tuple[int, ...] = ()
        self._lost_told = 0
        self._forgotten = Forgotten()

    def changes(self, state: SeriesWatchState) -> Iterator[Part]:
        """Give what is not written yet."""
        series, name = state.series, self._name
        anew = state.forgotten.series_dropped != self._forgotten.series_dropped
        yield from self._series.changes(
            series.names, series.service, series.hashes, series.cohort, series.role, series.whole, anew=anew
        )
        yield from self._services.changes(series.services, anew=anew)
        yield from self._changed_keys(state, anew)
        yield from self._changed_teams(state)
        yield from page(f"{name}/counted", series.counted)
        yield from page(f"{name}/key_last", state.key_last)
        yield from page(f"{name}/deployed", state.deployed)
        yield from page(f"{name}/held", state.held)
        yield from page(f"{name}/forgotten", state.forgotten)
        yield from page(f"{name}/room", _Room(len(state.baselines.first), len(state.parts.models)))
        yield from self._changed_rows(state, anew)
        self._forgotten = replace(state.forgotten)

    def _changed_keys(self, state: SeriesWatchState, anew: bool) -> Iterator[Part]:
        """The series of keys that are new; of all, if keys were dropped or some of what was lost is found again."""
        lost = _count_lost(state.series.of_key)
        anew |= lost != self._lost_told or state.forgotten.keys_dropped != self._forgotten.keys_dropped
        yield from self._of_key.changes(state.series.of_key, anew=anew)
        self._lost_told = lost

    def _changed_teams(self, state: SeriesWatchState) -> Iterator[Part]:
        """All teams, if any may have changed: when a key is counted that was not before, or a series begins anew."""
        told = _teams_told(state.series, state.forgotten)
        if told != self._teams_told:
            yield from self._teams.changes(state.series.teams, anew=True)
        self._teams_told = told

    def _changed_rows(self, state: SeriesWatchState, anew: bool) -> Iterator[Part]:
        baselines = state.baselines
        rows = min(len(state.series.names), len(baselines.first), len(state.parts.models))
        changed = baselines.active_minutes[:rows] > 0
        if not anew:
            changed &= baselines.last[:rows] > self._last_minute
        yield from self._rows.changes(_columns(baselines, state.parts), changed, anew)
        self._last_minute = max(self._last_minute, int(baselines.last[:rows].max(initial=_NEVER_ACTIVE)))

    def load(self, pages: Pages, empty: SeriesWatchState) -> SeriesWatchState:
        """Return the state of its pages, which are taken out.

        Parameters
        ----------
        pages
            Of this state, and perhaps others.
        empty
            The state before anything was seen.
        """
        name, none = self._name, empty.series
        names, service, hashes, cohort, role, whole = self._series.load(
            pages, none.names, none.service, none.hashes, none.cohort, none.role, none.whole
        )
        names = _with_shared_texts(names)
        (services,) = self._services.load(pages, none.services)
        (of_key,) = self._of_key.load(pages, none.of_key)
        (teams,) = self._teams.load(pages, none.teams)
        counted = read(pages, f"{name}/counted", np.ndarray)
        series = SeriesState(names, teams, services, service, hashes, cohort, role, whole, of_key, counted)
        room = read(pages, f"{name}/room", _Room)
        baselines, parts = empty_baselines(room.baselines), empty_parts(room.parts)
        self._rows.load(pages, _columns(baselines, parts))
        self._last_minute = int(baselines.last.max(initial=_NEVER_ACTIVE))
        deployed, key_last = read(pages, f"{name}/deployed", DeployedState), read(pages, f"{name}/key_last", np.ndarray)
        held, forgotten = read(pages, f"{name}/held", HeldState), read(pages, f"{name}/forgotten", Forgotten)
        self._teams_told, self._lost_told = _teams_told(series, forgotten), _count_lost(of_key)
        self._forgotten = replace(forgotten)
        return SeriesWatchState(series, baselines, parts, deployed, key_last, held, forgotten)


def _with_shared_texts(names: list[SeriesName]) -> list[SeriesName]:
    views: dict[View, View] = {}
    return [SeriesName(views.setdefault(name.view, name.view), shared(name.values)) for name in names]


def _columns(baselines: BaselineState, parts: PartsState) -> list[NDArray[Any]]:
    """All columns with a row a series, those of tuples within included."""
    return [*flat(baselines), *flat(parts)]


def _teams_told(series: SeriesState, forgotten: Forgotten) -> tuple[int, ...]:
    """What is no longer so once a team has changed."""
    return *astuple(forgotten), len(series.teams), int(np.count_nonzero(series.counted))


def _count_lost(of_key: NDArray[np.int32]) -> int:
    return int(np.count_nonzero(of_key == LOST))
