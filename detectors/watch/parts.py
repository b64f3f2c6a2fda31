"""Parts of a service: its models and its principals, against the service that they are parts of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.baselines.baselines import Known
from detectors.compiled import compiled
from detectors.minutes.series import MODEL, PRINCIPAL, SERVICE, SeriesState
from detectors.state.room import with_room
from detectors.verdicts import NEWS_AFTER_MINUTES, Parts

NEVER_NEWS = -(2**30)
HOLDS_MOST = 0.6
"""A principal is named if it holds this share of what its service costs above the usual."""


class PartsState(NamedTuple):
    """Columns with a row a series; filled for services."""

    models: NDArray[np.int32]
    """How many models were ever used."""
    news: NDArray[np.int32]
    """The minute in which a settled service first used its newest model."""


class Counted(NamedTuple):
    """What is known of the service of each of some rows, at its minute; columns of shape (rows,)."""

    models: NDArray[np.int32]
    news: NDArray[np.int32]


def parts_start() -> PartsState:
    """No service yet."""
    return empty_parts(0)


def empty_parts(rows: int) -> PartsState:
    """Columns for so many series that were never seen."""
    return PartsState(np.zeros(rows, np.int32), np.full(rows, NEVER_NEWS, np.int32))


def count_models(state: PartsState, series: SeriesState, known: Known) -> tuple[PartsState, Counted]:
    """Count the models that were never seen before in their service."""
    state = with_room(state, len(series.names), empty_parts)
    rows = len(known.series)
    counted = Counted(np.empty(rows, np.int32), np.empty(rows, np.int32))
    _count(state, series.whole, series.role, known, counted)
    return state, counted


@compiled
def _count(
    state: PartsState, whole_of: NDArray[np.int32], role: NDArray[np.int8], known: Known, counted: Counted
) -> None:
    """Service by service: the parts of one stand together, and what is news to one is news to all of them."""
    first, rows = 0, len(known.series)
    while first < rows:
        whole, minute = int(known.whole[first]), int(known.minute[first])
        service = int(whole_of[int(known.series[first])])
        end = first
        while end < rows and int(known.whole[end]) == whole:
            if known.new[end] and int(role[int(known.series[end])]) == MODEL:
                state.models[service] += 1
                if int(known.age_minutes[whole]) >= NEWS_AFTER_MINUTES:
                    state.news[service] = minute
            end += 1
        for row in range(first, end):
            counted.models[row] = state.models[service]
            counted.news[row] = state.news[service]
        first = end


def parts_of(known: Known, counted: Counted, rows: NDArray[np.intp]) -> Parts:
    """What each of some rows is to its service."""
    whole = known.whole[rows]
    age = known.age_minutes
    return Parts(
        models=counted.models[rows],
        minutes_since_new_model=known.minute[rows] - counted.news[rows],
        whole_age_minutes=age[whole],
        joined_minutes=age[whole] - age[rows],
    )


def culprits(series: SeriesState, known: Known, above_usd: NDArray[np.float64], rows: NDArray[np.intp]) -> list[str]:
    """For each of some rows, the principal that holds most of what its service costs above the usual, or nothing.

    Parameters
    ----------
    series, known
        The series, and all rows of some minutes.
    above_usd
        What each of them costs above the usual in a quarter of an hour.
    rows
        Those that are asked about.
    """
    best = np.full(len(rows), -1)
    _find_best(known, series.role, above_usd, rows, best)
    return [series.names[int(known.series[row])].values[1] if row >= 0 else "" for row in best.tolist()]


@compiled
def _find_best(
    known: Known, role: NDArray[np.int8], above_usd: NDArray[np.float64], rows: NDArray[np.intp], best: NDArray[np.intp]
) -> None:
    for at in range(len(rows)):
        row = int(rows[at])
        what, whole = int(role[int(known.series[row])]), int(known.whole[row])
        if what not in (SERVICE, MODEL, PRINCIPAL):
            continue
        first = row
        while first > 0 and int(known.whole[first - 1]) == whole:
            first -= 1
        total, most = 0.0, -1.0
        while first < len(known.whole) and int(known.whole[first]) == whole:
            if int(role[int(known.series[first])]) == PRINCIPAL:
                total += above_usd[first]
                if above_usd[first] > most:
                    most, best[at] = above_usd[first], first
            first += 1
        if not (total > 0 and most >= HOLDS_MOST * total) or (what == PRINCIPAL and best[at] != row):
            best[at] = -1
