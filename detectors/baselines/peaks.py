"""Peaks: the highest that a series' levels were in the last week, day by day, in bounded memory.

A level joins the peaks some hours after it was seen, so that a series is not compared with what it does just now.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY
from detectors.compiled import compiled

BLOCK_MINUTES = 240
PEAK_DAYS = 7
NOTHING = -50.0
"""A level below every level."""


class PeakState(NamedTuple):
    """Columns with a row a series, of levels by horizon and channel."""

    now: NDArray[np.float32]
    """Of the present block of hours, (rows, h, channels)."""
    before: NDArray[np.float32]
    """Of the block before."""
    days: NDArray[np.float32]
    """Of all earlier blocks of each of the last days, each at its number's remainder, (rows, days, h, channels)."""


def empty_peaks(rows: int, horizons: int, channels: int) -> PeakState:
    """Columns for so many series that were never seen."""
    low = np.full((rows, horizons, channels), NOTHING, np.float32)
    days = np.full((rows, PEAK_DAYS, horizons, channels), NOTHING, np.float32)
    return PeakState(low, low.copy(), days)


@compiled
def keep_peaks(
    state: PeakState,
    minute: NDArray[np.int32],
    before: NDArray[np.int32],
    series: NDArray[np.int32],
    level: NDArray[np.float32],
    highest: NDArray[np.float32],
) -> None:
    """Take levels row by row, in the order of minutes.

    Parameters
    ----------
    state
        Changed.
    minute, before, series
        Of each row, and the minute in which its series was active last (a negative one, if never), shape (rows,).
    level
        Its levels, (rows, h, channels).
    highest
        Filled in with the peaks of the week before each row.
    """
    horizons, channels = level.shape[1:]
    for row in range(len(series)):
        place = int(series[row])
        _highest(state, place, highest[row])
        block = int(minute[row]) // BLOCK_MINUTES
        known = max(int(before[row]) // BLOCK_MINUTES, -1)
        if known < block:
            _turn_block(state, place, known, block)
        now = state.now[place]
        for h in range(horizons):
            for c in range(channels):
                now[h, c] = max(now[h, c], level[row, h, c])


@compiled
def _highest(state: PeakState, place: int, highest: NDArray[np.float32]) -> None:
    """The peaks of the week before the present block began, and of the block before."""
    horizons, channels = highest.shape
    before, days = state.before[place], state.days[place]
    for h in range(horizons):
        for c in range(channels):
            highest[h, c] = before[h, c]
    for slot in range(PEAK_DAYS):
        for h in range(horizons):
            for c in range(channels):
                highest[h, c] = max(highest[h, c], days[slot, h, c])


@compiled
def _turn_block(state: PeakState, place: int, known: int, block: int) -> None:
    """A new block of hours begins: the block before last joins its day."""
    of_known, day = known * BLOCK_MINUTES // MINUTES_PER_DAY, block * BLOCK_MINUTES // MINUTES_PER_DAY
    for begun in range(max(of_known, day - PEAK_DAYS) + 1, day + 1):
        state.days[place, begun % PEAK_DAYS] = NOTHING
    skipped = block - known > 1
    now, before, peaks = state.now[place], state.before[place], state.days[place, day % PEAK_DAYS]
    horizons, channels = now.shape
    for h in range(horizons):
        for c in range(channels):
            peaks[h, c] = max(peaks[h, c], max(now[h, c], before[h, c]) if skipped else before[h, c])
            before[h, c] = np.float32(NOTHING) if skipped else now[h, c]
            now[h, c] = NOTHING
