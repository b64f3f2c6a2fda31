"""Rhythm: how long a series has been active without a pause, how evenly, and what its hours usually cost.

A person, a crowd and a scheduled job each have a rhythm of their own; a loop calls without a pause, at an even
rate, and a job that ran every two hours and now runs each minute breaks a cadence that days have shown.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled

Floats = NDArray[np.float64]

PAUSE_MINUTES = 3
"""Silence for longer than this ends a run of activity."""
_HOUR_TAU = 30.0
_HOUR_LEFT = np.exp(-np.arange(1024) / _HOUR_TAU)
_HOUR_WEIGHT = float(1 / (1 - _HOUR_LEFT[1]))
CADENCE_MINUTES = 240
CADENCE_BLOCKS = 18
"""Blocks of hours whose dollars are remembered: three days."""


class RhythmState(NamedTuple):
    """Columns with a row a series."""

    jumps: NDArray[np.float32]
    """Exponentially weighted sum of half the squared change of requests from minute to minute."""
    counted: NDArray[np.float32]
    """The same of requests."""
    previous: NDArray[np.float32]
    """Requests of the last active minute."""
    run_start: NDArray[np.int32]
    block: NDArray[np.int32]
    block_usd: NDArray[np.float32]
    """Dollars by block, (rows, blocks)."""


class Rhythm(msgspec.Struct, frozen=True):
    """The rhythm of the active series in a minute; all columns have shape (rows,)."""

    run_minutes: NDArray[np.int32]
    """How long it has been active without a pause."""
    jitter: Floats
    """Half the mean squared change of requests from minute to minute over their mean, of an hour: 1 for independent
    calls, 0 for a clock, and blind to slow change (von Neumann, The Annals of Mathematical Statistics, 1941)."""
    requests_per_minute: Floats
    """Of an hour."""
    cadence_least_usd: Floats
    """Dollars of the cheapest block of hours of the last three days, without the newest: it may be odd already."""
    cadence_most_usd: Floats


def empty_rhythm(rows: int) -> RhythmState:
    """Columns for so many series that were never seen."""
    jumps, counted, previous = np.zeros((3, rows), np.float32)
    run_start, block = np.zeros((2, rows), np.int32)
    return RhythmState(jumps, counted, previous, run_start, block, np.zeros((rows, CADENCE_BLOCKS), np.float32))


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


def keep_rhythm(state: RhythmState, beats: Beats) -> Rhythm:
    """Take some minutes; the state is changed in place."""
    rows = len(beats.series)
    run, told = np.empty(rows, np.int32), np.empty((4, rows))
    _keep(state, beats, run, _HOUR_LEFT, told)
    return Rhythm(run, *told)


@compiled
def _keep(state: RhythmState, beats: Beats, run: NDArray[np.int32], hour_left: Floats, told: Floats) -> None:
    """Row by row: what a series remembers of its rhythm, and what is told of it. New memories begin here."""
    for row in range(len(beats.series)):
        series, minute = int(beats.series[row]), int(beats.minute[row])
        new, passed = bool(beats.new[row]), int(beats.passed[row])
        if new or passed > PAUSE_MINUTES:
            state.run_start[series] = minute
        run[row] = minute - int(state.run_start[series]) + 1
        requests = np.float64(beats.requests[row])
        told[0, row], told[1, row] = _keep_jitter(state, series, passed, requests, hour_left)
        _turn_cadence(state, series, minute // CADENCE_MINUTES, new)
        now = (minute // CADENCE_MINUTES) % CADENCE_BLOCKS
        newest = (now - 1) % CADENCE_BLOCKS
        least_usd, most_usd = np.inf, -np.inf
        for slot in range(CADENCE_BLOCKS):
            if slot not in (now, newest):
                least_usd = min(least_usd, np.float64(state.block_usd[series, slot]))
                most_usd = max(most_usd, np.float64(state.block_usd[series, slot]))
        told[2, row] = least_usd
        told[3, row] = most_usd
        state.block_usd[series, now] = np.float64(state.block_usd[series, now]) + np.float64(beats.usd[row])


@compiled
def _keep_jitter(
    state: RhythmState, series: int, passed: int, requests: float, hour_left: Floats
) -> tuple[float, float]:
    """How much requests change from minute to minute, and how many there are; a minute of silence counts as zero."""
    left = hour_left[min(passed, len(hour_left) - 1)]
    previous = np.float64(state.previous[series]) if passed <= 1 else 0.0
    jumps = np.float64(state.jumps[series]) * left + (requests - previous) * (requests - previous) / 2
    counted = np.float64(state.counted[series]) * left + requests
    state.jumps[series], state.counted[series], state.previous[series] = jumps, counted, requests
    return jumps / max(counted, 1e-9), counted / _HOUR_WEIGHT


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
