"""Spend: exact sums of each minute by key, without the principal and the source, and which sources sent of it."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.frame import DIMENSIONS, Key
from detectors.minutes.ledger import ClosedRows, grouped, without_principal
from detectors.sums import sums_of

_SOURCE = DIMENSIONS.index("source")


def _none() -> NDArray[np.int32]:
    return np.zeros(0, np.int32)


def _width(places: int) -> type[np.signedinteger]:
    """Return what holds so many places: pairs are many, and they are sent."""
    return np.int16 if places <= np.iinfo(np.int16).max else np.int32


class Spend(msgspec.Struct, frozen=True):
    """Exact sums of a minute by key (without principal and source) and event minute; values (measures, rows).

    ``sent_source`` and ``sent_row`` are pairs: a source, and a row under whose key it sent something.
    """

    keys: list[Key]
    key: NDArray[np.int32]
    minute: NDArray[np.int32]
    values: NDArray[np.int64]
    sources: list[str] = []
    sent_source: NDArray[np.signedinteger] = msgspec.field(default_factory=_none)
    sent_row: NDArray[np.signedinteger] = msgspec.field(default_factory=_none)

    def halves(self) -> tuple[Spend, Spend]:
        """Return two that say the same, each of half of the keys."""
        middle = len(self.keys) // 2
        return self._of_keys(0, middle), self._of_keys(middle, len(self.keys))

    def _of_keys(self, first: int, end: int) -> Spend:
        own = (self.key >= first) & (self.key < end)
        row, pairs = np.cumsum(own, dtype=np.int32) - np.int32(1), own[self.sent_row]
        used, source = np.unique(self.sent_source[pairs], return_inverse=True)
        return Spend(
            self.keys[first:end], self.key[own] - np.int32(first), self.minute[own], self.values[:, own],
            [self.sources[place] for place in used.tolist()], source.astype(np.int32), row[self.sent_row[pairs]],
        )  # fmt: skip


class _Sent(NamedTuple):
    """Which sources sent something under which key, minute by minute; in the order of sources and keys."""

    source: NDArray[np.int64]
    key: NDArray[np.int64]
    is_first: NDArray[np.bool_]
    """Whether a pair is the first of its source in its minute."""


class Spends:
    """Sums closed minutes; knows which keys differ in their principal alone."""

    def __init__(self) -> None:
        self._keys: list[Key] | None = None
        self._narrow: dict[Key, int] = {}
        self._labels: list[Key] = []
        self._sources: dict[str, int] = {}
        self._source_names: list[str] = []
        self._of_key, self._source_of_key = _none(), _none()

    def of(self, keys: list[Key], closed: ClosedRows) -> list[Spend]:
        """Sums of each minute; ``key`` of the rows points into ``keys``, a list that only grows."""
        self._know(keys)
        key, at = self._of_key[closed.key], np.repeat(closed.at, np.diff(closed.start))
        sent, sent_bounds = self._sent(closed, key, at)
        order, starts = grouped(key, closed.minute, at)
        values = closed.values
        if len(order):
            values = sums_of(np.take(closed.values, order, axis=1), starts)
        first = order[starts]
        key, minute = key[first], closed.minute[first]
        bounds = np.append(np.searchsorted(at[first], closed.at), len(first)).tolist()
        pairs = (_Sent(sent.source[a:b], sent.key[a:b], sent.is_first[a:b]) for a, b in pairwise(sent_bounds))
        rows = zip(pairwise(bounds), pairs, strict=True)
        return [self._spend(key[a:b], minute[a:b], values[:, a:b], who) for (a, b), who in rows]

    def _sent(self, closed: ClosedRows, key: NDArray[np.int32], at: NDArray[np.int32]) -> tuple[_Sent, list[int]]:
        """Who sent under which key, each pair once a minute; and where each minute's begin."""
        of_minute, of_source = len(self._sources) * len(self._labels), len(self._labels)
        place = np.searchsorted(closed.at, at)
        pairs = np.sort(place * of_minute + self._source_of_key[closed.key].astype(np.int64) * of_source + key)
        distinct = pairs[np.diff(pairs, prepend=-1) != 0]
        bounds = np.searchsorted(distinct, np.arange(len(closed.at) + 1) * of_minute)
        stretch, key_of_pair = np.divmod(distinct, max(of_source, 1))
        is_first = np.diff(stretch, prepend=-1) != 0
        return _Sent(stretch % max(len(self._sources), 1), key_of_pair, is_first), bounds.tolist()

    def _spend(
        self, key: NDArray[np.int32], minute: NDArray[np.int32], values: NDArray[np.int64], sent: _Sent
    ) -> Spend:
        if len(minute) and minute[0] == minute[-1]:  # no late rows: each key stands once, in order
            distinct, first, place = key, (all_rows := np.arange(len(key))), all_rows
        else:
            distinct, first, place = np.unique(key, return_index=True, return_inverse=True)
        sources = [self._source_names[source] for source in sent.source[sent.is_first].tolist()]
        sent_source = (np.cumsum(sent.is_first) - 1).astype(_width(len(sources)))
        sent_row = first[np.searchsorted(distinct, sent.key)].astype(_width(len(minute)))
        keys = [self._labels[each] for each in distinct.tolist()]
        return Spend(keys, place.astype(np.int32), minute, values, sources, sent_source, sent_row)

    def _know(self, keys: list[Key]) -> None:
        if self._keys is not keys:
            self._keys, self._narrow, self._labels, self._sources, self._source_names = keys, {}, [], {}, []
            self._of_key, self._source_of_key = _none(), _none()
        new = keys[len(self._of_key) :]
        if new:
            narrow, sources = self._narrow, self._sources
            of_key = [narrow.setdefault(without_principal(key), len(narrow)) for key in new]
            source = [sources.setdefault(key[_SOURCE], len(sources)) for key in new]
            self._of_key = np.concatenate([self._of_key, np.array(of_key, np.int32)])
            self._source_of_key = np.concatenate([self._source_of_key, np.array(source, np.int32)])
            self._labels, self._source_names = list(narrow), list(sources)
