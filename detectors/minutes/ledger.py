"""The ledger of one shard: each event once, in the minute in which it became known, minutes closed in order.

A row's *arrival minute* is its event minute, or for a late row the minute that its own raw partition had
reached (less the allowed lateness). A minute closes when every raw partition has passed it. So what a
minute holds depends on the raw partitions alone: not on where frames were cut, nor on how partitions
interleave, nor on how many workers there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import frame as f
from detectors.clock import MINUTES_PER_DAY, NEVER, minute_of
from detectors.compiled import compiled
from detectors.events import DeploymentEvent, Feedback
from detectors.frame import Frame, Key, Labels
from detectors.intake.labels import empty_table, number_rows
from detectors.sums import sums_of


class RowBatch(msgspec.Struct):
    """Rows that wait for their minute to close: index into the ledger's keys, event minute, measures by row."""

    key: NDArray[np.int32]
    minute: NDArray[np.int32]
    values: NDArray[np.int64]


class LedgerState(msgspec.Struct):
    """What the ledger remembers: bounded by the accepted lateness and the labels seen."""

    keys: list[Key]
    applied: dict[int, int]
    high: dict[int, int]
    pending: dict[int, list[RowBatch]]
    deployments: dict[int, list[DeploymentEvent]]
    seen: dict[int, NDArray[np.uint64]]
    feedback: dict[int, list[Feedback]] = msgspec.field(default_factory=dict)
    closed: int = NEVER
    duplicates: int = 0
    late: int = 0


class ClosedRows(NamedTuple):
    """All that became known in some minutes, minute by minute, summed by key and event minute."""

    at: NDArray[np.int32]
    """The minutes, rising."""
    start: NDArray[np.int64]
    """The rows of minute m stand from ``start[m]`` to ``start[m + 1]``."""
    key: NDArray[np.int32]
    minute: NDArray[np.int32]
    """Event minute: below the minute that closed for late rows."""
    values: NDArray[np.int64]
    """:data:`detectors.frame.MEASURES` by row, (measures, rows)."""


class Ledger:
    """Takes frames, gives closed minutes.

    Parameters
    ----------
    raw_partitions
        How many raw partitions there are; a minute waits for all of them.
    allowed_lateness_minutes
        How long a minute stays open for late rows.
    accept_late_minutes
        For how long identities are remembered; intake refuses what is older.
    """

    def __init__(self, raw_partitions: int, allowed_lateness_minutes: int, accept_late_minutes: int) -> None:
        self._raw_partitions = raw_partitions
        self._lateness = allowed_lateness_minutes
        self._remember = accept_late_minutes
        self._known = _KnownKeys([])

    def start(self) -> LedgerState:
        """Nothing seen yet."""
        return LedgerState([], {}, {}, {}, {}, {})

    def apply(self, state: LedgerState, frame: Frame) -> ClosedRows:
        """Take a frame; return what is in the minutes that it closes."""
        applied = state.applied.get(frame.raw_partition, -1)
        fresh = np.flatnonzero(frame.offset > applied)
        if len(fresh):
            fresh = fresh[self._first_time(state, frame, fresh)]
        if len(fresh):
            self._hold(state, frame, fresh)
        for deployment in frame.deployments:
            state.deployments.setdefault(minute_of(deployment.time), []).append(deployment)
        for said in frame.feedback:
            state.feedback.setdefault(minute_of(said.time), []).append(said)
        state.applied[frame.raw_partition] = max(applied, frame.last_offset)
        state.high[frame.raw_partition] = max(state.high.get(frame.raw_partition, NEVER), frame.high_minute)
        return self._close(state)

    def _first_time(self, state: LedgerState, frame: Frame, fresh: NDArray[np.intp]) -> NDArray[np.intp]:
        """Places in ``fresh`` of rows whose identity was not seen before; of rows that share one, the first."""
        minutes, identities = frame.minute[fresh], frame.identity[fresh]
        is_new = np.zeros(len(fresh), bool)
        by_minute = np.argsort(minutes, kind="stable")
        for start, stop in _runs(minutes[by_minute]):
            rows = by_minute[start:stop]
            minute, own = int(minutes[rows[0]]), identities[rows]
            known = state.seen.get(minute, _NOBODY)
            united = np.empty(len(known) + len(own), np.uint64)
            size = _unite(known, own, np.argsort(own), rows, is_new, united)
            state.seen[minute] = united if size == len(united) else united[:size].copy()
        new = np.flatnonzero(is_new)
        state.duplicates += len(fresh) - len(new)
        return new

    def _hold(self, state: LedgerState, frame: Frame, rows: NDArray[np.intp]) -> None:
        """Put rows by the minute in which they became known."""
        minute = frame.minute[rows]
        reached = frame.high[rows] - self._lateness
        arrival = np.maximum(np.maximum(minute, reached), state.closed + 1)
        state.late += int((minute < arrival).sum())
        if self._known.keys is not state.keys:
            self._known = _KnownKeys(state.keys)
        key = self._known.places(frame.labels)[frame.key[rows]]
        order = np.argsort(arrival, kind="stable")
        arrival, key, minute = arrival[order], key[order], minute[order]
        values = np.take(frame.values, rows[order], axis=1)
        for start, stop in _runs(arrival):
            batch = RowBatch(key[start:stop], minute[start:stop], values[:, start:stop])
            state.pending.setdefault(int(arrival[start]), []).append(batch)

    def _close(self, state: LedgerState) -> ClosedRows:
        if len(state.high) < self._raw_partitions:
            return _NOTHING
        through = min(state.high.values()) - self._lateness - 1
        if through <= state.closed:
            return _NOTHING
        due = sorted(minute for minute in state.pending if minute <= through)
        closed = _sum_up([(minute, batch) for minute in due for batch in state.pending.pop(minute)])
        state.closed = through
        for minute in [m for m in state.seen if m < through - self._remember]:
            del state.seen[minute]
        return closed


_NOBODY = np.zeros(0, np.uint64)


@compiled
def _unite(
    known: NDArray[np.uint64],
    own: NDArray[np.uint64],
    order: NDArray[np.intp],
    rows: NDArray[np.intp],
    is_new: NDArray[np.bool_],
    united: NDArray[np.uint64],
) -> int:
    """Put identities among those that are known, and mark the first row of each that is not; both rise in ``order``.

    Parameters
    ----------
    known
        Identities of a minute, rising.
    own
        Identities of some rows.
    order
        In which they rise; those that are alike in any order.
    rows
        Their places in ``is_new``, rising.
    is_new
        Filled in.
    united
        Filled in with all identities, rising; as many as are returned.
    """
    at, place, size = 0, 0, 0
    while at < len(order):
        identity, first = own[order[at]], int(rows[order[at]])
        while at < len(order) and own[order[at]] == identity:
            first = min(first, int(rows[order[at]]))
            at += 1
        while place < len(known) and known[place] < identity:
            united[size] = known[place]
            place, size = place + 1, size + 1
        if place == len(known) or known[place] != identity:
            united[size] = identity
            is_new[first] = True
            size += 1
    while place < len(known):
        united[size] = known[place]
        place, size = place + 1, size + 1
    return size


def _runs(rising: NDArray[np.int32]) -> Iterator[tuple[int, int]]:
    """Give where each run of equal numbers begins and ends, of one at least."""
    return pairwise([0, *(np.flatnonzero(rising[1:] != rising[:-1]) + 1).tolist(), len(rising)])


class _KnownKeys:
    """A list of keys that only grows, and where each label stands in it.

    Parameters
    ----------
    keys
        The list; what is new is added to it.
    """

    def __init__(self, keys: list[Key]) -> None:
        self.keys = keys
        self._names: dict[str, int] = {}
        self._codes = np.empty((0, len(f.DIMENSIONS)), np.int32)
        self._table = empty_table(0)
        self._number(self._coded(Labels.of_keys(keys)), 0)

    def places(self, labels: Labels) -> NDArray[np.int32]:
        """Return each label's place in the list."""
        known = len(self.keys)
        places = self._number(self._coded(labels), known)
        new = np.flatnonzero(places >= known)
        _, first = np.unique(places[new], return_index=True)
        self.keys += Labels(labels.names, labels.codes[new[first]]).keys()
        return places

    def _coded(self, labels: Labels) -> NDArray[np.int32]:
        """Return each label as numbers that are the same for the same names."""
        numbers = self._names
        number = np.array([numbers.setdefault(name, len(numbers)) for name in labels.names], np.int32)
        return number[labels.codes]

    def _number(self, codes: NDArray[np.int32], known: int) -> NDArray[np.int32]:
        most = known + len(codes)
        if most > len(self._codes):
            room = np.empty((most + most // 2, codes.shape[1]), np.int32)
            room[:known] = self._codes[:known]
            self._codes, self._table = room, empty_table(len(room))
            number_rows(room[:known].copy(), self._table, room, 0, np.empty(known, np.int32))
        places = np.empty(len(codes), np.int32)
        number_rows(codes, self._table, self._codes, known, places)
        return places


_NOTHING = ClosedRows(
    np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32),
    np.zeros((len(f.MEASURES), 0), np.int64),
)  # fmt: skip


def _sum_up(batches: list[tuple[int, RowBatch]]) -> ClosedRows:
    """Rows of minutes, rising, as one."""
    if not batches:
        return _NOTHING
    at = np.repeat([minute for minute, _ in batches], [len(b.key) for _, b in batches])
    key = np.concatenate([b.key for _, b in batches])
    minute = np.concatenate([b.minute for _, b in batches])
    order, starts = grouped(key, minute, at)
    at, key, minute = at[order], key[order], minute[order]
    values = np.take(np.concatenate([b.values for _, b in batches], axis=1), order, axis=1)
    if len(starts) < len(order):
        values = sums_of(values, starts)
    minutes, first = np.unique(at[starts], return_index=True)
    return ClosedRows(
        minutes.astype(np.int32), np.append(first, len(starts)).astype(np.int64), key[starts], minute[starts], values
    )


def by_day(closed: ClosedRows) -> list[tuple[slice, ClosedRows]]:
    """Cut closed minutes where a day begins; return which of the minutes each part holds, and the part."""
    days = list(_runs(closed.at // MINUTES_PER_DAY))
    if len(days) == 1:
        return [(slice(0, len(closed.at)), closed)]
    return [(slice(a, b), _some_minutes(closed, a, b)) for a, b in days]


def _some_minutes(closed: ClosedRows, first: int, end: int) -> ClosedRows:
    start = closed.start[first : end + 1]
    rows = slice(int(start[0]), int(start[-1]))
    return ClosedRows(
        closed.at[first:end], start - start[0], closed.key[rows], closed.minute[rows], closed.values[:, rows]
    )


_LARGEST_CODE = 2**62


def grouped(*columns: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the order of rows by the last column, then by the one before and so on, and where each group begins.

    Rows of a group stand in any order.

    Examples
    --------
    >>> order, starts = grouped(np.array([7, 5, 7], np.int32), np.array([1, 2, 1], np.int32))
    >>> sorted(order[:2].tolist()), order[2:].tolist(), starts.tolist()
    ([0, 2], [1], [0, 2])
    """
    least = [int(column.min(initial=0)) for column in columns]
    spans = [int(column.max(initial=0)) - low + 1 for column, low in zip(columns, least, strict=True)]
    if math.prod(spans) > _LARGEST_CODE:
        return grouped(*(np.unique(column, return_inverse=True)[1].astype(np.int32) for column in columns))
    code = np.zeros(len(columns[0]), np.int64)
    for column, low, span in reversed(list(zip(columns, least, spans, strict=True))):
        code = code * span + (column - low)  # one number a row: sorting by several columns takes six times as long
    order = np.argsort(code)
    return order, np.flatnonzero(np.diff(code[order], prepend=-1))


def due_deployments(state: LedgerState, at: int) -> list[DeploymentEvent]:
    """Take from the ledger the deployments made up to a minute, in order of time."""
    due = [d for minute in [m for m in state.deployments if m <= at] for d in state.deployments.pop(minute)]
    return sorted(due, key=lambda d: (d.time, d.service, d.id))


def due_feedback(state: LedgerState, at: int) -> list[Feedback]:
    """Take from the ledger what was decided up to a minute."""
    return [said for minute in sorted(m for m in state.feedback if m <= at) for said in state.feedback.pop(minute)]


SPEND_DIMENSIONS = ("team", "service", "environment", "initiative", "provider", "model")
_BLANK = [f.DIMENSIONS.index(name) for name in f.DIMENSIONS if name not in SPEND_DIMENSIONS]


@lru_cache(maxsize=65_536)
def without_principal(key: Key) -> Key:
    """Return the key of the wide views: no principal, no source.

    Examples
    --------
    >>> without_principal(("team", "bot", "production", "", "key-1", "openai", "gpt", "gateway"))
    ('team', 'bot', 'production', '', '', 'openai', 'gpt', '')
    """
    return tuple("" if place in _BLANK else value for place, value in enumerate(key))  # type: ignore[return-value]  # as long as it was
