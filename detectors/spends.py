"""Spend: exact sums of each minute by key, without the principal and the source."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.admission import NEVER
from detectors.frame import Key
from detectors.ledger import ClosedRows, without_principal


class Spend(msgspec.Struct, frozen=True):
    """Exact sums of a minute by key (without principal and source) and event minute; values (measures, rows)."""

    keys: list[Key]
    key: NDArray[np.int32]
    minute: NDArray[np.int32]
    values: NDArray[np.int64]


class Spends:
    """Sums closed minutes; knows which keys differ in their principal alone."""

    def __init__(self) -> None:
        self._keys: list[Key] | None = None
        self._narrow: list[Key] = []
        self._places: dict[Key, int] = {}
        self._of_key = np.zeros(0, np.int32)

    def of(self, keys: list[Key], closed: ClosedRows) -> list[Spend]:
        """Sums of each minute; ``key`` of the rows points into ``keys``, a list that only grows."""
        self._know(keys)
        key, at = self._of_key[closed.key], np.repeat(closed.at, np.diff(closed.start))
        order = np.lexsort((key, closed.minute, at))
        key, minute, at = key[order], closed.minute[order], at[order]
        is_first = (np.diff(key, prepend=-1) != 0) | (np.diff(minute, prepend=NEVER) != 0)
        first = np.flatnonzero(is_first | (np.diff(at, prepend=NEVER) != 0))
        values = np.add.reduceat(closed.values[:, order], first, axis=1) if len(first) else closed.values
        key, minute = key[first], minute[first]
        bounds = np.append(np.searchsorted(at[first], closed.at), len(first)).tolist()
        return [self._spend(key[a:b], minute[a:b], values[:, a:b]) for a, b in pairwise(bounds)]

    def _spend(self, key: NDArray[np.int32], minute: NDArray[np.int32], values: NDArray[np.int64]) -> Spend:
        if len(minute) and minute[0] == minute[-1]:  # no late rows: each key stands once, in order
            return Spend([self._narrow[k] for k in key.tolist()], np.arange(len(key), dtype=np.int32), minute, values)
        distinct, place = np.unique(key, return_inverse=True)
        return Spend([self._narrow[k] for k in distinct.tolist()], place.astype(np.int32), minute, values)

    def _know(self, keys: list[Key]) -> None:
        if self._keys is not keys:
            self._keys, self._narrow, self._places, self._of_key = keys, [], {}, np.zeros(0, np.int32)
        new = [without_principal(key) for key in keys[len(self._of_key) :]]
        if new:
            places = [self._places.setdefault(key, len(self._places)) for key in new]
            self._of_key = np.concatenate([self._of_key, np.array(places, np.int32)])
            self._narrow = list(self._places)
