"""Active series: the rows of closed minutes, summed by the series that they belong to.

One pass over the rows, in whole numbers, so that the sums are exact. What comes out stands service by service: the
parts of a service follow each other, so that what comes later can look at a service and its parts together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors import frame as f
from detectors.compiled import compiled
from detectors.frame import LIST_INPUT, LIST_UNCACHED, MEASURES
from detectors.minutes.ledger import ClosedRows
from detectors.minutes.totals import (
    ERR,
    GPU,
    INP,
    LIST,
    LIST_IN,
    LIST_RAW,
    OUT,
    PAID,
    TOTALS,
    WARM_IN,
    WARM_RAW,
    Floats,
    N,
)
from detectors.sums import MOST_SUM

WARM_MINUTES = 5
"""Providers keep a prompt for about so long: after a longer silence no cache can hit."""
SUMMED = len(MEASURES) + 2
"""What is summed: the measures, and the list price of input with and without cache of rows whose cache could hit."""


class Active(NamedTuple):
    """What series did in the minutes in which they were active: a row a series and minute, in the order of minutes."""

    start: NDArray[np.int64]
    """First row of each minute, and one more for the end."""
    minute: NDArray[np.int32]
    series: NDArray[np.int32]
    whole: NDArray[np.int32]
    """The row of the service that each is a part of, its own where it is a part of none."""
    summed: NDArray[np.int64]
    """(rows, summed)."""
    late_row: NDArray[np.int32]
    """To which row each late row belongs."""
    late_age_minutes: NDArray[np.int32]
    late_summed: NDArray[np.int64]


def active_series(
    closed: ClosedRows, of_key: NDArray[np.int32], whole: NDArray[np.int32], key_last: NDArray[np.int32]
) -> Active:
    """Sum closed minutes by series.

    Parameters
    ----------
    closed
        The minutes.
    of_key
        Series of each key by view, (keys, views); -1 where it has none.
    whole
        The series of the service that each series is a part of.
    key_last
        The minute in which each key was last active; changed.

    Notes
    -----
    A row's cache could hit if its key was active within :data:`WARM_MINUTES` before: what follows a pause is cold for
    everybody and says nothing of a cache.
    """
    views = of_key.shape[1]
    most, late = len(closed.key) * views, int((closed.minute < np.repeat(closed.at, np.diff(closed.start))).sum())
    found = Active(
        np.zeros(len(closed.at) + 1, np.int64), np.empty(most, np.int32), np.empty(most, np.int32),
        np.empty(most, np.int32), np.empty((most, SUMMED), np.int64), np.empty(late * views, np.int32),
        np.empty(late * views, np.int32), np.zeros((late * views, SUMMED), np.int64),
    )  # fmt: skip
    scratch = np.full((3, len(whole)), -1, np.int32)
    closed = closed._replace(values=np.ascontiguousarray(closed.values))
    late = _sum_by_series(closed, of_key, whole, key_last, scratch, found)
    rows = int(found.start[-1])
    order = np.argsort(found.late_row[:late], kind="stable")
    return Active(
        found.start, found.minute[:rows], found.series[:rows], found.whole[:rows], found.summed[:rows],
        found.late_row[order], found.late_age_minutes[order], found.late_summed[order],
    )  # fmt: skip


@compiled
def _sum_by_series(
    closed: ClosedRows,
    of_key: NDArray[np.int32],
    whole: NDArray[np.int32],
    key_last: NDArray[np.int32],
    scratch: NDArray[np.int32],
    found: Active,
) -> int:
    """Fill in what is found; return how many late rows there are."""
    late = 0
    first = 0
    for m in range(len(closed.at)):
        at, start, stop = int(closed.at[m]), int(closed.start[m]), int(closed.start[m + 1])
        end = _place_rows(closed.key[start:stop], of_key, whole, scratch, first, found.series, found.whole)
        place = scratch[0]
        for row in range(first, end):
            for column in range(SUMMED):
                found.summed[row, column] = 0
        for row in range(start, stop):
            key, on_time = int(closed.key[row]), int(closed.minute[row]) == at
            warm = on_time and at - int(key_last[key]) <= WARM_MINUTES
            for view in range(of_key.shape[1]):
                series = int(of_key[key, view])
                if series < 0:
                    continue
                if on_time:
                    _add(closed.values[:, row], warm, found.summed[int(place[series])])
                else:
                    found.late_row[late] = place[series]
                    found.late_age_minutes[late] = at - int(closed.minute[row])
                    _add(closed.values[:, row], warm, found.late_summed[late])
                    late += 1
        for row in range(start, stop):
            if int(closed.minute[row]) == at:
                key_last[int(closed.key[row])] = at
        for row in range(first, end):
            found.minute[row] = at
            place[int(found.series[row])] = -1
        first = end
        found.start[m + 1] = end
    return late


@compiled
def _add(values: NDArray[np.int64], warm: bool, summed: NDArray[np.int64]) -> None:
    measures = len(values)
    for measure in range(measures):
        summed[measure] = min(summed[measure] + values[measure], MOST_SUM)
    if warm:
        summed[measures] = min(summed[measures] + values[LIST_INPUT], MOST_SUM)
        summed[measures + 1] = min(summed[measures + 1] + values[LIST_UNCACHED], MOST_SUM)


@compiled
def _place_rows(
    keys: NDArray[np.int32],
    of_key: NDArray[np.int32],
    whole: NDArray[np.int32],
    scratch: NDArray[np.int32],
    first: int,
    series_of_row: NDArray[np.int32],
    whole_of_row: NDArray[np.int32],
) -> int:
    """Give each series of a minute a row from ``first`` on, service by service; return where they end."""
    place, size, seen = scratch[0], scratch[1], scratch[2]
    end = first
    for row in range(len(keys)):
        for view in range(of_key.shape[1]):
            series = int(of_key[int(keys[row]), view])
            if series >= 0 and place[series] == -1:
                place[series] = -2
                series_of_row[end] = series
                end += 1
    rows_placed = end - first
    for at in range(rows_placed):
        seen[at] = series_of_row[first + at]
    groups = first
    for at in range(rows_placed):
        group = int(whole[int(seen[at])])
        if size[group] == -1:
            size[group] = 0
            whole_of_row[groups] = group
            groups += 1
        size[group] += 1
    row = first
    for at in range(first, groups):
        group = int(whole_of_row[at])
        rows = int(size[group])
        size[group] = row
        row += rows
    for at in range(rows_placed):
        series = int(seen[at])
        group = int(whole[series])
        place[series] = size[group]
        series_of_row[int(size[group])] = series
        size[group] += 1
    for at in range(rows_placed):
        series = int(seen[at])
        group = int(whole[series])
        size[group] = -1
        row = int(place[series])
        whole_of_row[row] = place[group] if place[group] >= 0 else row
    return end


def totals_of(values: NDArray[np.int64]) -> Floats:
    """Return :data:`TOTALS` by row.

    Parameters
    ----------
    values
        :data:`detectors.frame.MEASURES`, and below them those of input and uncached input that could hit a cache,
        in nano-dollars; shape (measures + 2, rows).
    """
    totals = np.empty((values.shape[1], len(TOTALS)))
    totals[:, [N, ERR, INP, OUT]] = values[[f.REQUESTS, f.ERRORS, f.INPUT, f.OUTPUT]].T
    nano = values[[f.COST, f.LIST, f.LIST_INPUT, f.LIST_UNCACHED, f.GPU_COST, -2, -1]].T.astype(float)
    totals[:, [PAID, LIST, LIST_IN, LIST_RAW, GPU, WARM_IN, WARM_RAW]] = nano / 1e9
    totals[:, PAID] -= totals[:, GPU]
    totals[:, LIST] = np.maximum(totals[:, LIST] - totals[:, GPU], 0)
    return totals
