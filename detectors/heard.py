"""Who was heard of: the sources and services that sent something, minute by minute."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors.frame import DIMENSIONS, Key
from detectors.ledger import ClosedRows

_SOURCE, _SERVICE = DIMENSIONS.index("source"), DIMENSIONS.index("service")


class Heard:
    """Tells of closed minutes; knows which keys differ in neither source nor service."""

    def __init__(self) -> None:
        self._keys: list[Key] | None = None
        self._places: dict[tuple[str, str], int] = {}
        self._of_key = np.zeros(0, np.int32)

    def of(self, keys: list[Key], closed: ClosedRows) -> list[list[tuple[str, str]]]:
        """(source, service) of all that sent something that became known, by minute and in their order.

        ``key`` of the rows points into ``keys``, a list that only grows.
        """
        self._know(keys)
        pairs, place = list(self._places), self._of_key[closed.key]
        return [sorted(map(pairs.__getitem__, _distinct(place[a:b]))) for a, b in pairwise(closed.start.tolist())]

    def _know(self, keys: list[Key]) -> None:
        if self._keys is not keys:
            self._keys, self._places, self._of_key = keys, {}, np.zeros(0, np.int32)
        new = [(key[_SOURCE], key[_SERVICE]) for key in keys[len(self._of_key) :]]
        if new:
            places = [self._places.setdefault(pair, len(self._places)) for pair in new]
            self._of_key = np.concatenate([self._of_key, np.array(places, np.int32)])


def _distinct(places: NDArray[np.int32]) -> list[int]:
    found: list[int] = np.unique(places).tolist()
    return found
