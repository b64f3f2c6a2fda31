"""Series: one combination of values in one view. Which rows belong to which series, in columns."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from operator import itemgetter

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.frame import DIMENSIONS, Key
from detectors.minutes.ledger import ClosedRows

View = tuple[str, ...]
"""Dimensions to watch by; the empty view is the whole organisation."""

SERVICE, PRINCIPAL, MODEL, OTHER = range(4)
"""What a series is: a service, one of its principals, one of its models, or anything else."""
ROLES: dict[View, int] = {
    ("service",): SERVICE,
    ("service", "principal"): PRINCIPAL,
    ("service", "model"): MODEL,
}

BLANK, LOST = -1, -2
"""What stands for a series where a key has none: a blank in the view, or a series that was forgotten."""


class SeriesName(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """A view and one value for each of its dimensions."""

    view: View
    values: tuple[str, ...]

    def scope(self) -> dict[str, str]:
        """Return the series as an alert's scope.

        Examples
        --------
        >>> SeriesName(("service", "model"), ("bot", "gpt")).scope()
        {'service': 'bot', 'model': 'gpt'}
        """
        return dict(zip(self.view, self.values, strict=True))

    def hash(self) -> int:
        """Return 32 bits that are the same everywhere and for ever."""
        return zlib.crc32("\x1f".join((*self.view, *self.values)).encode(errors="surrogatepass"))


class SeriesState(msgspec.Struct):
    """The series seen so far, in order of appearance, with a row a series; ``of_key`` has a row a key."""

    names: list[SeriesName]
    teams: list[str | None]
    """The team whose rows a series holds; empty while none is known, None where several share it."""
    services: list[str]
    """The services that there are; empty for what belongs to none."""
    service: NDArray[np.int32]
    """Which of them each series belongs to."""
    hashes: NDArray[np.uint32]
    cohort: NDArray[np.uint32]
    """Which model a service's model is, as 32 bits: whom it can be compared with over all services; 0 for others."""
    role: NDArray[np.int8]
    """One of :data:`ROLES`, or :data:`OTHER`."""
    whole: NDArray[np.int32]
    """The series of the service that a principal's or model's series is a part of; itself for all others."""
    of_key: NDArray[np.int32]
    """Series of each key by view, shape (keys, views); :data:`BLANK` or :data:`LOST` where it has none."""
    counted: NDArray[np.bool_]
    """Whether a key's team is counted in ``teams``, shape (keys,); not while one of its series is lost."""


TeamChanges = dict[int, list[tuple[int, str | None]]]
"""By series: the minutes in which its team changed, and what it was before."""


def team_at(state: SeriesState, changes: TeamChanges, series: int, minute: int) -> str:
    """The team whose rows a series held in a minute; empty where several shared it, or none was known."""
    for changed, before in changes.get(series, ()):
        if changed > minute:
            return before or ""
    return state.teams[series] or ""


class SeriesTable:
    """Gives each combination of values its place.

    Parameters
    ----------
    views
        The views to watch by.
    """

    def __init__(self, views: tuple[View, ...]) -> None:
        self.views = views
        self._values_of = [_picker([DIMENSIONS.index(name) for name in view]) for view in views]
        self._places: dict[View, dict[tuple[str, ...], int]] = {}
        self._services: dict[str, int] = {}
        self._places_of: list[SeriesName] | None = None

    def start(self) -> SeriesState:
        """No series yet."""
        nothing = np.zeros(0, np.int32)
        of_key = np.zeros((0, len(self.views)), np.int32)
        role = nothing.astype(np.int8)
        hashes, counted = nothing.astype(np.uint32), nothing.astype(bool)
        return SeriesState([], [], [], nothing, hashes, hashes.copy(), role, nothing, of_key, counted)

    def place_of(self, state: SeriesState, name: SeriesName) -> int | None:
        """Where a series stands, or None if it was never seen."""
        self._know(state)
        return self._places.get(name.view, {}).get(name.values)

    def service_of(self, state: SeriesState, service: str) -> int | None:
        """Which of the services one is, or None if it was never seen."""
        self._know(state)
        return self._services.get(service)

    def _know(self, state: SeriesState) -> None:
        """Look places up in the state that is given: another one than before, after a restart."""
        if self._places_of is not state.names:
            self._places = {view: {} for view in (("service",), *self.views)}
            for place, name in enumerate(state.names):
                self._places[name.view][name.values] = place
            self._services = {name: place for place, name in enumerate(state.services)}
            self._places_of = state.names

    def extend(self, state: SeriesState, keys: list[Key]) -> None:
        """Add the keys that are new at the end of a list that only grows."""
        if len(keys) == len(state.of_key):
            return
        self._know(state)
        known = len(state.names)
        rows = [self._series_of(state, key) for key in keys[len(state.of_key) :]]
        state.of_key = np.concatenate([state.of_key, np.array(rows, np.int32).reshape(-1, len(self.views))])
        state.counted = np.concatenate([state.counted, np.zeros(len(rows), bool)])
        self._describe(state, known)

    def find_lost(self, state: SeriesState, keys: list[Key], closed: ClosedRows) -> None:
        """Look up again, or add, what was forgotten of the series of the keys that closed minutes hold."""
        uncounted = np.unique(closed.key[~state.counted[closed.key]])
        lost = uncounted[(state.of_key[uncounted] == LOST).any(axis=1)]
        if not len(lost):
            return
        self._know(state)
        known = len(state.names)
        state.of_key[lost] = [self._series_of(state, keys[key]) for key in lost.tolist()]
        self._describe(state, known)

    def _describe(self, state: SeriesState, known: int) -> None:
        """Say what the series are behind those that were known."""
        new = state.names[known:]
        services = [self._service_of(state, name) for name in new]
        state.service = np.concatenate([state.service, np.array(services, np.int32)])
        state.hashes = np.concatenate([state.hashes, np.array([name.hash() for name in new], np.uint32)])
        state.cohort = np.concatenate([state.cohort, np.array([_cohort_of(name) for name in new], np.uint32)])
        roles = np.array([ROLES.get(name.view, OTHER) for name in new], np.int8)
        state.role = np.concatenate([state.role, roles])
        wholes = [self._places["service",].get(name.values[:1], -1) for name in new]
        own = np.arange(known, len(state.names))
        is_part = ((roles == PRINCIPAL) | (roles == MODEL)) & (np.array(wholes, np.int32) >= 0)
        state.whole = np.concatenate([state.whole, np.where(is_part, wholes, own).astype(np.int32)])

    def count_teams(self, state: SeriesState, keys: list[Key], closed: ClosedRows) -> TeamChanges:
        """Take the teams of the keys that closed minutes hold: closed ones only, so that no frame's cut is seen."""
        changes: TeamChanges = {}
        rows = np.flatnonzero(~state.counted[closed.key])
        new, first = np.unique(closed.key[rows], return_index=True)
        order = np.argsort(first)
        new, rows = new[order], rows[first[order]]
        minutes = closed.at[np.searchsorted(closed.start, rows, side="right") - 1].tolist()
        for key, minute, places in zip(new.tolist(), minutes, state.of_key[new].tolist(), strict=True):
            team = keys[key][0]
            for place in places if team else ():
                before = state.teams[place] if place >= 0 else None
                if before is not None and before != team:
                    changes.setdefault(place, []).append((minute, before))
                    state.teams[place] = None if before else team
        state.counted[new] = True
        return changes

    def _service_of(self, state: SeriesState, name: SeriesName) -> int:
        service = name.scope().get("service", "")
        place = self._services.setdefault(service, len(state.services))
        if place == len(state.services):
            state.services.append(service)
        return place

    def _series_of(self, state: SeriesState, key: Key) -> list[int]:
        row = []
        for view, values_of in zip(self.views, self._values_of, strict=True):
            values, places = values_of(key), self._places[view]
            if not all(values):
                row.append(BLANK)
                continue
            place = places.setdefault(values, len(state.names))
            if place == len(state.names):
                state.names.append(SeriesName(view, values))
                state.teams.append("")
            row.append(place)
        return row


def _picker(columns: list[int]) -> Callable[[Key], tuple[str, ...]]:
    """Return what takes some columns out of a key."""
    if len(columns) > 1:
        return itemgetter(*columns)
    return lambda key: tuple(key[column] for column in columns)


def _cohort_of(name: SeriesName) -> int:
    is_model = ROLES.get(name.view) == MODEL
    return zlib.crc32(name.values[1].encode(errors="surrogatepass")) if is_model else 0
