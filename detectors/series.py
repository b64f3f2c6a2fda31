"""Series: one combination of values in one view. Which rows belong to which series, in columns."""

from __future__ import annotations

import zlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.frame import DIMENSIONS, Key

View = tuple[str, ...]
"""Dimensions to watch by; the empty view is the whole organisation."""

SERVICE, PRINCIPAL, MODEL, OTHER = range(4)
"""What a series is: a service, one of its principals, one of its models, or anything else."""
ROLES: dict[View, int] = {
    ("service",): SERVICE,
    ("service", "principal"): PRINCIPAL,
    ("service", "model"): MODEL,
}


class SeriesName(msgspec.Struct, frozen=True, order=True):
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
    """The service that each belongs to; empty where its view names none."""
    hashes: NDArray[np.uint32]
    role: NDArray[np.int8]
    """One of :data:`ROLES`, or :data:`OTHER`."""
    whole: NDArray[np.int32]
    """The series of the service that a principal's or model's series is a part of; itself for all others."""
    of_key: NDArray[np.int32]
    """Series of each key by view, shape (keys, views); -1 where the key has a blank in the view."""
    counted: NDArray[np.bool_]
    """Whether a key's team is counted in ``teams``, shape (keys,)."""


class SeriesTable:
    """Gives each combination of values its place.

    Parameters
    ----------
    views
        The views to watch by.
    """

    def __init__(self, views: tuple[View, ...]) -> None:
        self.views = views
        self._columns = [tuple(DIMENSIONS.index(name) for name in view) for view in views]
        self._places: dict[SeriesName, int] = {}
        self._places_of: list[SeriesName] | None = None

    def start(self) -> SeriesState:
        """No series yet."""
        nothing = np.zeros(0, np.int32)
        of_key = np.zeros((0, len(self.views)), np.int32)
        role = nothing.astype(np.int8)
        return SeriesState([], [], [], nothing.astype(np.uint32), role, nothing, of_key, nothing.astype(bool))

    def place_of(self, state: SeriesState, name: SeriesName) -> int | None:
        """Where a series stands, or None if it was never seen."""
        if self._places_of is not state.names:
            self._places = {name: place for place, name in enumerate(state.names)}
            self._places_of = state.names
        return self._places.get(name)

    def extend(self, state: SeriesState, keys: list[Key]) -> None:
        """Add the keys that are new at the end of a list that only grows."""
        if len(keys) == len(state.of_key):
            return
        if self._places_of is not state.names:
            self._places = {name: place for place, name in enumerate(state.names)}
            self._places_of = state.names
        known = len(state.names)
        rows = [self._series_of(state, key) for key in keys[len(state.of_key) :]]
        state.of_key = np.concatenate([state.of_key, np.array(rows, np.int32).reshape(-1, len(self.views))])
        state.counted = np.concatenate([state.counted, np.zeros(len(rows), bool)])
        new = state.names[known:]
        state.hashes = np.concatenate([state.hashes, np.array([name.hash() for name in new], np.uint32)])
        roles = np.array([ROLES.get(name.view, OTHER) for name in new], np.int8)
        state.role = np.concatenate([state.role, roles])
        wholes = [self._places.get(SeriesName(("service",), name.values[:1]), -1) for name in new]
        own = np.arange(known, len(state.names))
        is_part = ((roles == PRINCIPAL) | (roles == MODEL)) & (np.array(wholes, np.int32) >= 0)
        state.whole = np.concatenate([state.whole, np.where(is_part, wholes, own).astype(np.int32)])

    def count_teams(self, state: SeriesState, keys: list[Key], closed: NDArray[np.int32]) -> None:
        """Take the teams of the keys that a closed minute holds: closed ones only, so that no frame's cut is seen."""
        for key in np.unique(closed[~state.counted[closed]]):
            state.counted[key] = True
            team = keys[key][0]
            for place in state.of_key[key][state.of_key[key] >= 0] if team else ():
                state.teams[place] = team if state.teams[place] in ("", team) else None

    def _series_of(self, state: SeriesState, key: Key) -> list[int]:
        row = []
        for view, columns in zip(self.views, self._columns, strict=True):
            values = tuple(key[column] for column in columns)
            if not all(values):
                row.append(-1)
                continue
            name = SeriesName(view, values)
            if name not in self._places:
                self._places[name] = len(state.names)
                state.names.append(name)
                state.teams.append("")
                state.services.append(name.scope().get("service", ""))
            row.append(self._places[name])
        return row
