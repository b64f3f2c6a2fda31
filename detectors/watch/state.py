"""The state of a shard, and how it is written as pages: its series, and its ledger minute by minute."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from detectors.clock import NEVER
from detectors.frame import Key, shared
from detectors.minutes.ledger import LedgerState, RowBatch
from detectors.state.pages import ByMinute, ColumnByMinute, Growing, Pages, Part, page, read
from detectors.watch.series_pages import SeriesPages
from detectors.watch.series_state import SeriesWatchState


class WatchState(msgspec.Struct):
    """The shard's ledger and its series."""

    ledger: LedgerState
    series: SeriesWatchState
    reported: int = NEVER
    duplicates: int = 0
    late: int = 0


class _Rest(msgspec.Struct, frozen=True):
    """What is small; the minutes of the ledger in the order in which it has them."""

    ledger: LedgerState
    pending: list[int]
    seen: list[int]
    reported: int
    duplicates: int
    late: int


class WatchPages:
    """What was written of the state of a shard.

    Parameters
    ----------
    empty
        Of the series, before anything was seen.
    """

    def __init__(self, empty: SeriesWatchState) -> None:
        self._empty = empty
        self._keys = Growing("keys", list[Key])
        self._pending = ByMinute("pending", RowBatch)
        self._seen = ColumnByMinute("seen")
        self._series = SeriesPages("series")
        self._keys_dropped = 0

    def changes(self, state: WatchState) -> Iterator[Part]:
        """Give what is not written yet."""
        ledger = state.ledger
        dropped = state.series.forgotten.keys_dropped
        anew, self._keys_dropped = dropped != self._keys_dropped, dropped
        yield from self._keys.changes(ledger.keys, anew=anew)
        yield from self._pending.changes(ledger.pending, anew=anew)
        yield from self._seen.changes(ledger.seen)
        yield from self._series.changes(state.series)
        bare = replace(ledger, keys=[], pending={}, seen={})
        minutes = list(ledger.pending), list(ledger.seen)
        yield from page("rest", _Rest(bare, *minutes, state.reported, state.duplicates, state.late))

    def load(self, pages: Pages) -> WatchState:
        """Return the state of its pages, which are taken out."""
        rest = read(pages, "rest", _Rest)
        (keys,) = self._keys.load(pages, [])
        keys = list(map(shared, keys))
        pending, seen = self._pending.load(pages, rest.pending), self._seen.load(pages, rest.seen)
        ledger = replace(rest.ledger, keys=keys, pending=pending, seen=seen)
        series = self._series.load(pages, self._empty)
        self._keys_dropped = series.forgotten.keys_dropped
        return WatchState(ledger, series, rest.reported, rest.duplicates, rest.late)
