"""Rhythm: how long a series has been active without a pause, how evenly, and what its hours usually cost.

A person, a crowd and a scheduled job each have a rhythm of their own; a loop calls without a pause, at an even
rate, and a job that ran every two hours and now runs each minute breaks a cadence that days have shown.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY

Floats = NDArray[np.float64]

PAUSE_MINUTES = 3
"""Silence for longer than this ends a run of activity."""
EVEN_MINUTES = 15
_EVEN_TAU = EVEN_MINUTES / 2.0
_EVEN_WEIGHT = 1 / (1 - np.exp(-1 / _EVEN_TAU))
RUN_DAYS = 7
CADENCE_MINUTES = 240
CADENCE_BLOCKS = 18
"""Blocks of hours whose dollars are remembered: three days."""
_OTHERS = np.array([[s for s in range(CADENCE_BLOCKS) if s != slot] for slot in range(CADENCE_BLOCKS)])


class RhythmState(msgspec.Struct):
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


class Beat(msgspec.Struct, frozen=True):
    """What the active series did in a minute; all columns have shape (rows,)."""

    minute: int
    series: NDArray[np.int32]
    passed: NDArray[np.int32]
    """Minutes since each was last active."""
    new: NDArray[np.bool_]
    """Whether it never was."""
    requests: Floats
    usd: Floats
    recent_requests: Floats
    """Exponentially weighted sum of requests over :data:`EVEN_MINUTES`."""


def keep_rhythm(state: RhythmState, now: Beat) -> Rhythm:
    """Take a minute; the state is changed in place."""
    minute, series, passed, new = now.minute, now.series, now.passed, now.new
    paused = new | (passed > PAUSE_MINUTES)
    _turn_day(state, series, minute, new)
    _close_runs(state, series[paused], minute, passed[paused], new[paused])
    squares = state.squares[series] * np.exp(-passed / _EVEN_TAU) + now.requests**2
    state.squares[series] = squares
    mean = now.recent_requests / _EVEN_WEIGHT
    unevenness = (squares / _EVEN_WEIGHT - mean**2) / np.maximum(mean, 1e-9)
    _turn_cadence(state, series, minute, new)
    slot = (minute // CADENCE_MINUTES) % CADENCE_BLOCKS
    before = state.block_usd[series][:, _OTHERS[slot]]
    state.block_usd[series, slot] += now.usd
    return Rhythm(
        minute - state.run_start[series] + 1,
        state.longest[series].max(axis=1).astype(np.int32),
        unevenness,
        before.min(axis=1).astype(float),
        before.max(axis=1).astype(float),
    )


def _turn_day(state: RhythmState, series: NDArray[np.int32], minute: int, new: NDArray[np.bool_]) -> None:
    """Forget the runs of days that are over a week old."""
    day = minute // MINUTES_PER_DAY
    turned = series[new | (state.longest_day[series] < day)]
    if not len(turned):
        return
    slots = np.arange(RUN_DAYS)
    slot_day = day - (day - slots) % RUN_DAYS
    stale = slot_day[None, :] > state.longest_day[turned][:, None]
    state.longest[turned] = np.where(stale, 0, state.longest[turned])
    state.longest_day[turned] = day


def _close_runs(
    state: RhythmState, series: NDArray[np.int32], minute: int, passed: NDArray[np.int32], new: NDArray[np.bool_]
) -> None:
    """A pause ends a run: it counts among those of its last day, and a new one begins."""
    if not len(series):
        return
    ended = minute - passed
    length = np.where(new, 0, np.minimum(ended - state.run_start[series] + 1, np.iinfo(np.int16).max))
    day, today = ended // MINUTES_PER_DAY, minute // MINUTES_PER_DAY
    slot = day % RUN_DAYS
    kept = ~new & (today - day < RUN_DAYS)
    longest = state.longest[series[kept], slot[kept]]
    state.longest[series[kept], slot[kept]] = np.maximum(longest, length[kept].astype(np.int16))
    state.run_start[series] = minute


def _turn_cadence(state: RhythmState, series: NDArray[np.int32], minute: int, new: NDArray[np.bool_]) -> None:
    """Empty the blocks of hours that have begun since a series was last active."""
    block = minute // CADENCE_MINUTES
    turned = series[new | (state.block[series] < block)]
    if not len(turned):
        return
    slots = np.arange(CADENCE_BLOCKS)
    slot_block = block - (block - slots) % CADENCE_BLOCKS
    stale = slot_block[None, :] > state.block[turned][:, None]
    state.block_usd[turned] = np.where(stale, 0.0, state.block_usd[turned])
    state.block[turned] = block
