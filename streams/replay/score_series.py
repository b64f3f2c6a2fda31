"""A series scored row by row as it is read: nothing is known of a row's future when it is written."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TextIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.one_metric import page_promise, univariate
from detectors.one_metric.page_promise import Promise
from streams.replay.series_file import ADDED, SeriesFile, SeriesRow

_ROWS_AT_ONCE = 1024
_LEARN_STEPS = 64
"""Rows whose distances in time tell how far rows stand apart; gaps are filled only after them."""
_SECONDS_WITHOUT_TIMES = 60.0
_QUIET_SECONDS = 3600.0

Floats = NDArray[np.float64]


class Scored(msgspec.Struct):
    """What was read and said."""

    rows: int = 0
    missing: int = 0
    gaps: int = 0
    """Rows that the times leave out."""
    pages: int = 0
    step_seconds: float = _SECONDS_WITHOUT_TIMES
    regular: bool = True
    odd_row: int = 0
    """The oddest row, counted from one, and its score."""
    odd_score: float = 0.0


def score_series(series: SeriesFile, out: TextIO, pages: float, period_seconds: float) -> Scored:
    """Score a series; write its columns, and score, expected and page.

    Parameters
    ----------
    series
        As it was opened; read to its end.
    out
        Where the CSV goes.
    pages, period_seconds
        At most so many pages in so long. Rows without times count as minutes.
    """
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*series.columns.names, *ADDED])
    told, state, kept = Scored(), univariate.start(), page_promise.start()
    rows = list(islice(series.rows, _LEARN_STEPS))
    told.step_seconds, told.regular = _step_of(rows)
    quiet = max(_QUIET_SECONDS / told.step_seconds, page_promise.LEAST_QUIET_ROWS)
    promise = Promise(pages, period_seconds / told.step_seconds, quiet)
    latest: float | None = None
    while rows:
        steps = _steps(rows, latest, told) if told.rows else np.ones(len(rows), int)
        at = steps.cumsum() - 1
        values = np.full(int(at[-1]) + 1, np.nan)
        values[at] = [row.value for row in rows]
        state, words = univariate.step(state, values)
        kept, paged = page_promise.step(kept, promise, words.score, words.p_value)
        _write(writer.writerow, rows, (words.score[at], words.expected[at], paged[at]), told)
        latest = rows[-1].seconds
        rows = list(islice(series.rows, _ROWS_AT_ONCE))
    return told


def _step_of(rows: list[SeriesRow]) -> tuple[float, bool]:
    """Return how far rows stand apart, in seconds, and whether most do."""
    times = np.array([row.seconds for row in rows if row.seconds is not None])
    apart = np.diff(times)
    usual = float(np.median(apart)) if len(apart) else 0.0
    if usual <= 0:
        return _SECONDS_WITHOUT_TIMES, len(times) == 0
    return usual, bool((np.abs(apart - usual) < 0.1 * usual).mean() > 0.8)


def _steps(rows: list[SeriesRow], latest: float | None, told: Scored) -> NDArray[np.int64]:
    """Return by how many rows each is further than the one before: more than one where times leave some out."""
    if latest is None or not told.regular:
        return np.ones(len(rows), np.int64)
    times = np.array([latest, *(row.seconds or 0.0 for row in rows)])
    steps = np.clip(np.rint(np.diff(times) / told.step_seconds), 1, univariate.HISTORY).astype(np.int64)
    told.gaps += int(steps.sum()) - len(steps)
    return steps


def _write(
    write: Callable[[list[object]], object],
    rows: list[SeriesRow],
    said: tuple[Floats, Floats, NDArray[np.bool_]],
    told: Scored,
) -> None:
    for row, score, expected, page in zip(rows, *(column.tolist() for column in said), strict=True):
        told.rows += 1
        if score > told.odd_score:
            told.odd_score, told.odd_row = score, told.rows
        write([*row.cells, f"{score:.6f}", "" if math.isnan(expected) else f"{expected:.6g}", int(page)])
    values = np.array([row.value for row in rows])
    told.missing += int(np.isnan(values).sum())
    told.pages += int(said[2].sum())


def lines_of_summary(told: Scored, period_seconds: float) -> Iterator[str]:
    """Return what was read and said, in words."""
    left_out = f", {told.gaps:,} left out by the times" if told.gaps else ""
    missing = f" ({told.missing:,} missing{left_out})" if told.missing or told.gaps else ""
    periods = (told.rows + told.gaps) * told.step_seconds / period_seconds
    yield f"{told.rows:,} rows{missing}, {told.step_seconds:g} s apart; {told.pages:,} pages in {periods:.1f} periods"
    if told.odd_row:
        yield f"the oddest is row {told.odd_row:,}, score {told.odd_score:.2f}"
