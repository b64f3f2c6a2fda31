"""Rhythm: how long a series has been active without a pause, how evenly, and what its hours usually cost.

A person, a crowd and a scheduled job each have a rhythm of their own; a loop calls without a pause, at an even
rate, and a job that ran every two hours and now runs each minute breaks a cadence that days have shown.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY
from detectors.compiled import compiled

Floats = NDArray[np.float64]

PAUSE_MINUTES = 3
"""Silence for longer than this ends a run of activity."""
EVEN_MINUTES = 15
EVEN_TAU = EVEN_MINUTES / 2.0
_EVEN_WEIGHT = float(1 / (1 - np.exp(-1 / EVEN_TAU)))
RUN_DAYS = 7
CADENCE_MINUTES = 240
CADENCE_BLOCKS = 18
"""Blocks of hours whose dollars are remembered: three days."""
_LONGEST_MINUTES = 32_767


class RhythmState(NamedTuple):
    """Columns with a row a series."""

    squares: Floats
    """Exponentially weighted sum of squared requests a minute."""
    run_start: NDArray[np.int32]
    longest: NDArray[np.int16]
    """Longest run of each of the last days in minutes, (rows, days)."""
    longest_day: NDArray[np.int32]
    block: NDArray[np.int32]
    block_usd: NDArray[np.float32]
    """Dollars by block, (rows, blocks)."""


class Rhythm(msgspec.Struct, frozen=True):
    """The rhythm of the active series in a minute; all columns have shape (rows,)."""

    run_minutes: NDArray[np.int32]
    """How long it has been active without a pause."""
    longest_run: NDArray[np.int32]
    """The longest such run of the last days, the present one left out."""
    unevenness: Floats
    """Variance over mean of requests a minute of a quarter of an hour: 1 for independent calls, 0 for a clock."""
    cadence_least_usd: Floats
    """Dollars of the cheapest block of hours of the last three days."""
    cadence_most_usd: Floats


def empty_rhythm(rows: int) -> RhythmState:
    """Columns for so many series that were never seen."""
    return RhythmState(
        np.zeros(rows), np.zeros(rows, np.int32), np.zeros((rows, RUN_DAYS), np.int16), np.zeros(rows, np.int32),
        np.zeros(rows, np.int32), np.zeros((rows, CADENCE_BLOCKS), np.float32),
    )  # fmt: skip


class Beats(NamedTuple):
    """What series did in some minutes, a row a series and minute, in the order of minutes; columns of shape (rows,)."""

    minute: NDArray[np.int32]
    series: NDArray[np.int32]
    passed: NDArray[np.int32]
    """Minutes since each was last active."""
    new: NDArray[np.bool_]
    """Whether it never was."""
    requests: Floats
    usd: Floats
    recent_requests: Floats
    """Exponentially weighted sum of requests over :data:`EVEN_MINUTES`."""
    fading: Floats
    """What is left of such a sum after ``passed``."""


def keep_rhythm(state: RhythmState, beats: Beats) -> Rhythm:
    """Take some minutes; the state is changed in place."""
    rows = len(beats.series)
    run, longest = np.empty(rows, np.int32), np.empty(rows, np.int32)
    uneven_least_most = np.empty((3, rows))
    _keep(state, beats, run, longest, uneven_least_most)
    return Rhythm(run, longest, *uneven_least_most)


@compiled
def _keep(
    state: RhythmState, beats: Beats, run: NDArray[np.int32], longest: NDArray[np.int32], uneven_least_most: Floats
) -> None:
    """Row by row: what a series remembers of its rhythm, and what is told of it. New memories begin here."""
    for row in range(len(beats.series)):
        series, minute = int(beats.series[row]), int(beats.minute[row])
        new, passed = bool(beats.new[row]), int(beats.passed[row])
        _turn_day(state, series, minute // MINUTES_PER_DAY, new)
        if new or passed > PAUSE_MINUTES:
            _close_run(state, series, minute, passed, new)
        run[row] = minute - int(state.run_start[series]) + 1
        most = 0
        for slot in range(RUN_DAYS):
            most = max(most, int(state.longest[series, slot]))
        longest[row] = most
        requests = np.float64(beats.requests[row])
        squares = np.float64(state.squares[series]) * np.float64(beats.fading[row]) + requests * requests
        state.squares[series] = squares
        mean = np.float64(beats.recent_requests[row]) / _EVEN_WEIGHT
        uneven_least_most[0, row] = (squares / _EVEN_WEIGHT - mean * mean) / max(mean, 1e-9)
        _turn_cadence(state, series, minute // CADENCE_MINUTES, new)
        now = (minute // CADENCE_MINUTES) % CADENCE_BLOCKS
        least_usd, most_usd = np.inf, -np.inf
        for slot in range(CADENCE_BLOCKS):
            if slot != now:
                least_usd = min(least_usd, np.float64(state.block_usd[series, slot]))
                most_usd = max(most_usd, np.float64(state.block_usd[series, slot]))
        uneven_least_most[1, row] = least_usd
        uneven_least_most[2, row] = most_usd
        state.block_usd[series, now] = np.float64(state.block_usd[series, now]) + np.float64(beats.usd[row])


@compiled
def _turn_day(state: RhythmState, series: int, day: int, new: bool) -> None:
    """Forget the runs of days that are over a week old."""
    known = int(state.longest_day[series])
    if not new and known >= day:
        return
    for slot in range(RUN_DAYS):
        if day - (day - slot) % RUN_DAYS > known:
            state.longest[series, slot] = 0
    state.longest_day[series] = day


@compiled
def _close_run(state: RhythmState, series: int, minute: int, passed: int, new: bool) -> None:
    """A pause ends a run: it counts among those of its last day, and a new one begins."""
    ended = minute - passed
    day = ended // MINUTES_PER_DAY
    if not new and minute // MINUTES_PER_DAY - day < RUN_DAYS:
        slot = day % RUN_DAYS
        length = min(ended - int(state.run_start[series]) + 1, _LONGEST_MINUTES)
        state.longest[series, slot] = max(int(state.longest[series, slot]), length)
    state.run_start[series] = minute


@compiled
def _turn_cadence(state: RhythmState, series: int, block: int, new: bool) -> None:
    """Empty the blocks of hours that have begun since a series was last active."""
    known = int(state.block[series])
    if not new and known >= block:
        return
    for slot in range(CADENCE_BLOCKS):
        if block - (block - slot) % CADENCE_BLOCKS > known:
            state.block_usd[series, slot] = 0.0
    state.block[series] = block
