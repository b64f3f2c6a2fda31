"""Series: one combination of values in one view. Which rows belong to which series, in columns."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.frame import DIMENSIONS, Key

View = tuple[str, ...]
"""Dimensions to watch by; the empty view is the whole organisation."""


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


class SeriesState(msgspec.Struct):
    """The series seen so far, in order of appearance, and the keys they were made of."""

    names: list[SeriesName]
    keys: list[Key]
    of_key: NDArray[np.int32]
    """Series of each key by view, shape (keys, views); -1 where the key has a blank in the view."""
    team: list[str]
    """Team of each series' first key."""


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
        self._keys: dict[Key, int] = {}

    def start(self) -> SeriesState:
        """No series yet."""
        return SeriesState([], [], np.zeros((0, len(self.views)), np.int32), [])

    def place(self, state: SeriesState, keys: list[Key]) -> NDArray[np.int32]:
        """Place of each key in the table, new ones added; shape (keys,)."""
        if len(self._keys) != len(state.keys) or len(self._places) != len(state.names):
            self._keys = {key: place for place, key in enumerate(state.keys)}
            self._places = {name: place for place, name in enumerate(state.names)}
        new = [key for key in dict.fromkeys(keys) if key not in self._keys]
        if new:
            rows = [self._series_of(state, key) for key in new]
            for key in new:
                self._keys[key] = len(state.keys)
                state.keys.append(key)
            state.of_key = np.concatenate([state.of_key, np.array(rows, np.int32).reshape(-1, len(self.views))])
        return np.array([self._keys[key] for key in keys], np.int32)

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
                state.team.append(key[0])
            row.append(self._places[name])
        return row
