"""The state of series as pages: what each usually does by rows that have changed, all else by what has grown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.baselines import BaselineState, empty_baselines
from detectors.deployed import DeployedState
from detectors.pages import ROWS_A_PAGE, Growing, Pages, Part, names_below, page, read
from detectors.parts import PartsState, empty_parts
from detectors.row_pages import Rows
from detectors.series import SeriesName, SeriesState
from detectors.series_watch import SeriesWatchState
from detectors.standing import HeldState

_NEVER_ACTIVE = -1
_NO_TEAMS = (0, 0)


class _Room(msgspec.Struct, frozen=True):
    """How many rows there is room for."""

    baselines: int
    parts: int


class SeriesPages:
    """What was written of the series of some views.

    A series' row changes in the minutes in which it is active, and remembers the last of them. Minutes come in order:
    so the rows that have changed are those whose last minute is after the last one of all when they were written.

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
        self._of_key = Growing(f"{name}/of_key", np.ndarray)
        self._rows = Rows(f"{name}/rows")
        self._last_minute = _NEVER_ACTIVE
        self._teams_told = _NO_TEAMS

    def changes(self, state: SeriesWatchState, *, keys_anew: bool = False) -> Iterator[Part]:
        """Give what is not written yet.

        Parameters
        ----------
        state
            What is watched.
        keys_anew
            Whether keys were numbered anew.
        """
        series, name = state.series, self._name
        if keys_anew:
            self._teams_told = _NO_TEAMS
        yield from self._series.changes(
            series.names, series.service, series.hashes, series.cohort, series.role, series.whole
        )
        yield from self._services.changes(series.services)
        yield from self._of_key.changes(series.of_key, anew=keys_anew)
        yield from self._changed_teams(series)
        yield from page(f"{name}/counted", series.counted)
        yield from page(f"{name}/key_last", state.key_last)
        yield from page(f"{name}/deployed", state.deployed)
        yield from page(f"{name}/held", state.held)
        yield from page(f"{name}/room", _Room(len(state.baselines.first), len(state.parts.models)))
        yield from self._changed_rows(state)

    def _changed_teams(self, series: SeriesState) -> Iterator[Part]:
        """All teams, if any may have changed: a team changes when a key is counted that was not before."""
        told = len(series.teams), int(np.count_nonzero(series.counted))
        if told == self._teams_told:
            return
        for first in range(0, len(series.teams), ROWS_A_PAGE):
            yield from page(f"{self._name}/teams/{first // ROWS_A_PAGE:06}", series.teams[first : first + ROWS_A_PAGE])
        self._teams_told = told

    def _changed_rows(self, state: SeriesWatchState) -> Iterator[Part]:
        baselines = state.baselines
        rows = min(len(state.series.names), len(baselines.first), len(state.parts.models))
        changed = (baselines.last[:rows] > self._last_minute) & (baselines.active_minutes[:rows] > 0)
        yield from self._rows.changes(_columns(baselines, state.parts), changed)
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
        (services,) = self._services.load(pages, none.services)
        (of_key,) = self._of_key.load(pages, none.of_key)
        teams = [team for each in names_below(pages, f"{name}/teams") for team in read(pages, each, list[str | None])]
        counted = read(pages, f"{name}/counted", np.ndarray)
        self._teams_told = len(teams), int(np.count_nonzero(counted))
        series = SeriesState(names, teams, services, service, hashes, cohort, role, whole, of_key, counted)
        room = read(pages, f"{name}/room", _Room)
        baselines, parts = empty_baselines(room.baselines), empty_parts(room.parts)
        self._rows.load(pages, _columns(baselines, parts))
        self._last_minute = int(baselines.last.max(initial=_NEVER_ACTIVE))
        deployed, key_last = read(pages, f"{name}/deployed", DeployedState), read(pages, f"{name}/key_last", np.ndarray)
        held = read(pages, f"{name}/held", HeldState)
        return SeriesWatchState(series, baselines, parts, deployed, key_last, held)


def _columns(baselines: BaselineState, parts: PartsState) -> list[NDArray[Any]]:
    """All columns with a row a series, those of tuples within included."""
    return [*_flat(baselines), *parts]


def _flat(columns: tuple[Any, ...]) -> Iterator[NDArray[Any]]:
    for column in columns:
        if isinstance(column, np.ndarray):
            yield column
        else:
            yield from _flat(column)
