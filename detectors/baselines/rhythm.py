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
BEAT_MINUTES = (60, 240)
"""Over how long it is looked how evenly a series calls: each weighs the past like a window of so many minutes."""
_BEATS = len(BEAT_MINUTES)
_LEFT = np.exp(-np.arange(4096)[:, None] / (np.array(BEAT_MINUTES) / 2))
_HOUR_WEIGHT = float(1 / (1 - _LEFT[1, 0]))
_RARE_EVENNESS = (1.0, 1 / 0.6)
"""What evenness is about equally rare over an hour and over four: chance has longer to show itself."""
_MOST_EVENNESS = 100.0
_LEAST_REQUESTS_PER_MINUTE = 1.0
"""Fewer calls are even by chance."""
_KEPT_OF_EVENNESS = 0.99 ** np.arange(1024)
"""What is left of the highest evenness after so many blocks of hours: about six tenths after a week, rounded down."""
_HUNDREDTHS = 100.0
LATELY_MINUTES = 12
"""For how long the requests of each minute are remembered, so that what comes late is put where it belongs."""
_MOST_REQUESTS = 65_535.0
"""Who calls more often in a minute is never taken for even."""
CADENCE_MINUTES = 240
CADENCE_BLOCKS = 18
"""Blocks of hours whose dollars are remembered: three days."""
_WORTH_A_LOOK = 2.0


class RhythmState(NamedTuple):
    """Columns with a row a series."""

    jumps: NDArray[np.float32]
    """Exponentially weighted sums of half the squared change of requests from minute to minute, (rows, beats)."""
    counted: NDArray[np.float32]
    """The same of requests."""
    evenness: NDArray[np.uint16]
    """The highest of this block of hours, of the one before, and of all before those, in hundredths, (rows, 3)."""
    lately: NDArray[np.uint16]
    """Requests of the last minutes, each at its number's remainder, (rows, minutes)."""
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
    evenness: Floats
    """One over that, or (times 5/3) over the same of four hours where that is more; 0 until it has run half so long."""
    highest_evenness: Floats
    """What that was at most before these hours, slowly forgotten; 0 where it never called often enough to tell."""
    requests_per_minute: Floats
    """Of an hour."""
    cadence_least_usd: Floats
    """Dollars of the cheapest block of hours of the last three days, without the newest: it may be odd already."""
    cadence_most_usd: Floats


def beats(rhythm: Rhythm) -> NDArray[np.bool_]:
    """Rows more even than they were, worth a look whatever they cost: beside a busy day a loop costs little."""
    return np.asarray((rhythm.evenness > _WORTH_A_LOOK) & (rhythm.evenness > rhythm.highest_evenness), np.bool_)


def empty_rhythm(rows: int) -> RhythmState:
    """Columns for so many series that were never seen."""
    jumps, counted = np.zeros((2, rows, _BEATS), np.float32)
    evenness, lately = np.zeros((rows, 3), np.uint16), np.zeros((rows, LATELY_MINUTES), np.uint16)
    run_start, block = np.zeros((2, rows), np.int32)
    block_usd = np.zeros((rows, CADENCE_BLOCKS), np.float32)
    return RhythmState(jumps, counted, evenness, lately, run_start, block, block_usd)


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
    late_row: NDArray[np.int32]
    """To which row each late row belongs, rising; this and the next two have shape (late,)."""
    late_age_minutes: NDArray[np.int32]
    late_requests: Floats


def keep_rhythm(state: RhythmState, beats: Beats) -> Rhythm:
    """Take some minutes; the state is changed in place."""
    rows = len(beats.series)
    run, told = np.empty(rows, np.int32), np.empty((6, rows))
    _keep(state, beats, run, _LEFT, told)
    return Rhythm(run, *told)


@compiled
def _keep(state: RhythmState, beats: Beats, run: NDArray[np.int32], left: Floats, told: Floats) -> None:
    """Row by row: what a series remembers of its rhythm, and what is told of it. New memories begin here."""
    late = 0
    for row in range(len(beats.series)):
        series, minute = int(beats.series[row]), int(beats.minute[row])
        new, passed = bool(beats.new[row]), int(beats.passed[row])
        if new or passed > PAUSE_MINUTES:
            state.run_start[series] = minute
        run[row] = minute - int(state.run_start[series]) + 1
        _keep_jumps(state, series, minute, passed, np.float64(beats.requests[row]), left)
        while late < len(beats.late_row) and int(beats.late_row[late]) == row:
            age = int(beats.late_age_minutes[late])
            _mend_jumps(state, series, minute, age, np.float64(beats.late_requests[late]), left)
            late += 1
        block = minute // CADENCE_MINUTES
        _turn_evenness(state, series, block)
        told[0, row], told[1, row], told[3, row] = _evenness(state, series, int(run[row]))
        told[2, row] = np.float64(state.evenness[series, 2]) / _HUNDREDTHS
        _turn_cadence(state, series, block, new)
        now = block % CADENCE_BLOCKS
        newest = (now - 1) % CADENCE_BLOCKS
        least_usd, most_usd = np.inf, -np.inf
        for slot in range(CADENCE_BLOCKS):
            if slot not in (now, newest):
                least_usd = min(least_usd, np.float64(state.block_usd[series, slot]))
                most_usd = max(most_usd, np.float64(state.block_usd[series, slot]))
        told[4, row] = least_usd
        told[5, row] = most_usd
        state.block_usd[series, now] = np.float64(state.block_usd[series, now]) + np.float64(beats.usd[row])


@compiled
def _keep_jumps(state: RhythmState, series: int, minute: int, passed: int, requests: float, left: Floats) -> None:
    """Add up how much requests change from minute to minute; a minute of silence counts as zero."""
    lately, most = state.lately[series], len(left) - 1
    last = np.float64(lately[(minute - passed) % LATELY_MINUTES])
    for silent in range(minute - min(passed, LATELY_MINUTES) + 1, minute):
        lately[silent % LATELY_MINUTES] = 0
    taken = min(requests, _MOST_REQUESTS)
    lately[minute % LATELY_MINUTES] = taken
    fell, rose = (last, taken) if passed > 1 else (0.0, taken - last)
    rose = rose if requests <= _MOST_REQUESTS else requests
    for beat in range(_BEATS):
        kept, kept_of_fall = left[min(passed, most), beat], left[min(max(passed - 1, 0), most), beat]
        jumps = np.float64(state.jumps[series, beat]) * kept + (fell * fell * kept_of_fall + rose * rose) / 2
        state.jumps[series, beat] = jumps
        state.counted[series, beat] = np.float64(state.counted[series, beat]) * kept + requests


@compiled
def _mend_jumps(state: RhythmState, series: int, minute: int, age: int, requests: float, left: Floats) -> None:
    """Take late requests into their minute: missing there, they looked like a fall and a rise."""
    lately, at = state.lately[series], minute - age
    here = np.float64(lately[at % LATELY_MINUTES])
    if age >= LATELY_MINUTES - 1 or here + requests > _MOST_REQUESTS:
        return
    before, after = np.float64(lately[(at - 1) % LATELY_MINUTES]), np.float64(lately[(at + 1) % LATELY_MINUTES])
    lately[at % LATELY_MINUTES] = here + requests
    rose, fell = requests * (requests / 2 + here - before), requests * (requests / 2 + here - after)
    for beat in range(_BEATS):
        jumps = np.float64(state.jumps[series, beat]) + rose * left[age, beat] + fell * left[age - 1, beat]
        state.jumps[series, beat] = max(jumps, 0.0)
        state.counted[series, beat] = np.float64(state.counted[series, beat]) + requests * left[age, beat]


@compiled
def _evenness(state: RhythmState, series: int, run: int) -> tuple[float, float, float]:
    """Jitter of an hour, evenness, and requests a minute."""
    jumps, counted = np.float64(state.jumps[series, 0]), np.float64(state.counted[series, 0])
    jitter, pace, evenness = jumps / max(counted, 1e-9), counted / _HOUR_WEIGHT, 0.0
    for beat in range(_BEATS):
        if 2 * run >= BEAT_MINUTES[beat]:
            jumps, counted = np.float64(state.jumps[series, beat]), np.float64(state.counted[series, beat])
            of_beat = counted / max(jumps, counted / _MOST_EVENNESS, 1e-9) * _RARE_EVENNESS[beat]
            evenness = max(evenness, of_beat)
    if pace >= _LEAST_REQUESTS_PER_MINUTE:
        known = np.float64(state.evenness[series, 0])
        state.evenness[series, 0] = max(known, evenness * _HUNDREDTHS)
    return jitter, evenness, pace


@compiled
def _turn_evenness(state: RhythmState, series: int, block: int) -> None:
    """A new block of hours begins: the block before last joins all before it."""
    passed = block - int(state.block[series])
    if passed <= 0:
        return
    evenness = state.evenness[series]
    now, before, highest = np.float64(evenness[0]), np.float64(evenness[1]), np.float64(evenness[2])
    joins = max(now, before) if passed > 1 else before
    evenness[2] = max(highest * _KEPT_OF_EVENNESS[min(passed, 1023)], joins)
    evenness[1] = now if passed == 1 else 0.0
    evenness[0] = 0


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
