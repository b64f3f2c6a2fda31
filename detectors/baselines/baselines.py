"""Rolling baselines: what a series usually does, on several horizons, in bounded memory.

Every horizon is an exponentially weighted sum, so a late row is added with the weight that it would have by
now, and the state is a few numbers whatever the traffic. What leaves a horizon flows into the baseline
behind it, so a baseline never contains what it is compared with.

A driver's level is a logarithm of a ratio of sums. It is compared with its baseline (a step) and with the
highest level of the last week (a range break). The scale of a step is what the series' own steps usually
are, never below a floor, plus the noise of counting few requests.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.baselines.bill import Bills, BillState, empty_bills, follow_bills
from detectors.baselines.peaks import NOTHING, PeakState, empty_peaks, keep_peaks
from detectors.baselines.rhythm import Beats, Rhythm, RhythmState, empty_rhythm, keep_rhythm
from detectors.clock import MINUTES_PER_DAY, NEVER
from detectors.compiled import compiled
from detectors.minutes.totals import (
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
from detectors.state.room import with_room

HORIZONS_MINUTES = (2, 5, 15, 60, 240)
"""Each horizon weighs the past like a window of this many minutes: same mean age, no edge."""

CHANNELS = ("input", "output", "cache", "mix", "share", "unit", "volume")
"""Logarithms of: input a request, output a request, list price of input over that without cache, list price of
an input-equivalent token without cache, odds of a request of the service being the series', paid over what is
expected by the list (see :mod:`detectors.baselines.bill`), dollars a minute."""
(C_INPUT, C_OUTPUT, C_CACHE, C_MIX, C_SHARE, C_UNIT, C_VOLUME) = range(len(CHANNELS))
PEAKED = np.array([C_INPUT, C_OUTPUT, C_CACHE, C_MIX, C_SHARE, C_VOLUME])
"""The channels whose highest levels are remembered."""

TAU_MINUTES = np.array(HORIZONS_MINUTES) / 2.0
RATE = 1 - np.exp(-1 / TAU_MINUTES)
BASE_OF_HORIZON = np.array([0, 0, 0, 1, 2])
_FEEDS_BASE = (2, 3, 4)
"""The horizons whose past flows into the baselines."""
BASE_TAU_MINUTES = np.array([60.0, 260.0, 1440.0])
"""How long each baseline remembers, in minutes of traffic: what a request costs does not change while nobody calls.
A short horizon has a short baseline behind it, so that the day's slow drift is no step."""
LONGEST_PAUSE_MINUTES = 15
"""A longer silence fades baselines no more than this."""
USUAL_OF_HORIZON = np.array([0, 0, 0, 1, 1])
_FEEDS_USUAL = (3, 4)
_FADES_USUAL = (1, 2)
USUAL_TAU_MINUTES = BASE_TAU_MINUTES[[*_FADES_USUAL]]
"""What a series usually costs a minute is remembered apart, by the clock: there silence is worth as much as traffic."""
assert len(CHANNELS) == C_UNIT + 2  # noqa: S101 — the drivers before it have scales of their own
_SPREAD = np.array([1.0, 2.0, 1.0, 0.3, np.nan, 0.001])
"""Variance for one request of the logarithms of input, output, cache, mix, unit price; a share's takes the rest.
Requests come in sessions, some of them cold, some on another model: so few requests tell less than they count."""
_OUTPUT_WEIGHT = 4.0
"""An output token costs about four input tokens."""
QUIET_USD_PER_MINUTE = 0.002
"""Dollars a minute below which a volume says nothing."""

LEAST_REQUESTS = 3.0
_LEAST = 1e-12
"""Tokens and dollars up to this are none."""
MOST_ODDS = 5.0
"""A part that sends over 99 % of its service's requests sends nearly all: how nearly says nothing more."""
SCALE_FLOOR = 0.04
SCALE_WHILE_YOUNG = 0.2
YOUNG_MINUTES = 120
_MOST_LEARNED = np.array([1.0, 1.0, 1.0, 1.0, 3.0, 1.0])
"""A step counts for no more than this in the scale, so that one incident does not blind the next; by driver. Odds of
parts that are active by turns swing by far more, and are to be known for it."""
SCALE_TAU = 3.0 * MINUTES_PER_DAY
_FORGOTTEN_MINUTES = 65_536
"""After so long a silence nothing is left of any sum."""
_LEARNED = 1 - np.exp(-np.arange(6) / SCALE_TAU)
"""How much of a step goes into the scale, by the minutes since the last one; no more after a longer silence."""
_H, _T, _D, _P, _B = len(HORIZONS_MINUTES), len(TOTALS), len(CHANNELS) - 1, len(PEAKED), len(BASE_TAU_MINUTES)
_U = len(USUAL_TAU_MINUTES)


class BaselineState(NamedTuple):
    """Columns with a row a series; see :data:`TOTALS`, :data:`CHANNELS`, :data:`HORIZONS_MINUTES` for the axes.

    To remember more, add a column here and in :func:`empty_baselines`, and fill it in where a row is summed up
    (:func:`_sum_up`) or learned from (:func:`_learn`).
    """

    sums: Floats
    base: NDArray[np.float32]
    usual_usd: NDArray[np.float32]
    """Exponentially weighted sums of dollars, (rows, 2): see :data:`USUAL_TAU_MINUTES`."""
    scale: NDArray[np.float32]
    """What steps usually are, (rows, h, drivers); that of the unit price is in ``bills``."""
    bills: BillState
    peaks: PeakState
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    active_minutes: NDArray[np.int32]
    rhythm: RhythmState


class Activity(NamedTuple):
    """What some series did in some minutes, a row a series and minute, in the order of minutes.

    A service's parts stand in the same batch as the service. Late rows are those of earlier minutes that came in with
    a minute; they are in the order of the rows that they belong to.
    """

    minute: NDArray[np.int32]
    series: NDArray[np.int32]
    whole: NDArray[np.int32]
    """The row of the service that each is a part of, its own where it is a part of none."""
    totals: Floats
    """:data:`TOTALS` of the minute, (rows, totals)."""
    late_row: NDArray[np.int32]
    late_age_minutes: NDArray[np.int32]
    late_totals: Floats


class Known(NamedTuple):
    """The active series at the end of each minute, and what each was found to be usually like; a row as in the input.

    Shapes: h horizons, d drivers (channels without volume), p peaked channels, and k = h + baselines.
    """

    minute: NDArray[np.int32]
    series: NDArray[np.int32]
    whole: NDArray[np.int32]
    new: NDArray[np.bool_]
    passed: NDArray[np.int32]
    """Minutes since each was last active."""
    age_minutes: NDArray[np.int32]
    active_minutes: NDArray[np.int32]
    sums: Floats
    """Totals by horizon, (rows, h, totals)."""
    base: NDArray[np.float32]
    """Totals by baseline, (rows, baselines, totals)."""
    usual_usd: Floats
    """Dollars a minute that are usual, by the memories of :data:`USUAL_TAU_MINUTES`, (rows, 2)."""
    usd: Floats
    """Dollars a minute by horizon, (rows, h)."""
    level: Floats
    """Drivers' logarithms in horizons and baselines, (rows, k, d); NaN with too few requests."""
    step: Floats
    """Level less that of the baseline, (rows, h, d); 0 where either is unknown."""
    scale: NDArray[np.float32]
    """What steps usually are, (rows, h, d)."""
    low: NDArray[np.float32]
    """Level less two standard errors, (rows, h, p); :data:`NOTHING` where unknown."""
    reference: NDArray[np.float32]
    """The highest of the week before, (rows, h, p); :data:`NOTHING` where unknown."""


class Baselines:
    """Keeps the baselines of many series."""

    def start(self) -> BaselineState:
        """No series yet."""
        return empty_baselines(0)

    def step(self, state: BaselineState, given: Activity, series: int) -> tuple[BaselineState, Known, Rhythm]:
        """Take what the active series did; all that depends on the minute before is done row by row, compiled.

        Parameters
        ----------
        state
            What is known; consumed.
        given
            At least one row.
        series
            How many series there are by now.
        """
        state = with_room(state, series, empty_baselines)
        known = _room_for_rows(given)
        _sum_up(state, given, fading(), known)
        age = np.maximum(known.age_minutes, 1)[:, None]
        np.divide(known.usual_usd, USUAL_TAU_MINUTES * (1 - np.exp(-age / USUAL_TAU_MINUTES)), out=known.usual_usd)
        tokens, gpu = known.sums[:, :, PAID], known.sums[:, :, GPU]
        np.multiply(tokens + gpu, RATE, out=known.usd)
        _ratios(known, known.level)
        share = np.maximum(_LEARNED[np.minimum(known.passed, 5)], 1.0 / (known.active_minutes + 1))
        bills = Bills(known.level[:, :, C_UNIT], known.scale[:, :, C_UNIT])
        follow_bills(state.bills, known.series, known.sums, known.base, BASE_OF_HORIZON, share, bills)
        np.log(known.level, out=known.level)
        np.minimum(known.level[:, :, C_SHARE], MOST_ODDS, out=known.level[:, :, C_SHARE])
        _learn(state, known, share, np.log(known.usd + QUIET_USD_PER_MINUTE))
        before = np.where(known.new, NEVER, known.minute - known.passed)
        keep_peaks(state.peaks, known.minute, before, known.series, known.low, known.reference)
        usd = given.totals[:, PAID] + given.totals[:, GPU]
        requests = np.ascontiguousarray(given.totals[:, N])  # of one row as of many, or it is compiled twice
        late = given.late_row, given.late_age_minutes, np.ascontiguousarray(given.late_totals[:, N])
        beats = Beats(known.minute, known.series, known.passed, known.new, requests, usd, *late)
        return state, known, keep_rhythm(state.rhythm, beats)


@cache
def fading() -> Floats:
    """What is left of each horizon and each baseline after so many minutes, (minutes, k)."""
    minutes = np.arange(_FORGOTTEN_MINUTES + 1)[:, None]
    table: Floats = np.exp(-minutes / np.concatenate([TAU_MINUTES, BASE_TAU_MINUTES]))
    table[-1] = 0.0
    return table


@compiled
def _sum_up(state: BaselineState, given: Activity, table: Floats, known: Known) -> None:
    """Row by row: fade the sums of a series, and add the minute."""
    late = 0
    for row in range(len(given.series)):
        series, minute = int(given.series[row]), int(given.minute[row])
        new = int(state.active_minutes[series]) == 0
        passed = 0 if new else max(minute - int(state.last[series]), 0)
        if new:
            state.first[series] = minute
        state.last[series] = minute
        state.active_minutes[series] += 1
        sums, base = state.sums[series], state.base[series]
        left = table[min(passed, _FORGOTTEN_MINUTES)]
        for u in range(_U):
            h = _FEEDS_USUAL[u]
            gone = (sums[h, PAID] + sums[h, GPU]) * (1 - left[h])
            kept = np.float64(state.usual_usd[series, u]) * left[_H + _FADES_USUAL[u]]
            state.usual_usd[series, u] = kept + gone
            known.usual_usd[row, u] = state.usual_usd[series, u]
        _fade(sums, base, left, table[min(passed, LONGEST_PAUSE_MINUTES)])
        for h in range(_H):
            for t in range(_T):
                sums[h, t] += given.totals[row, t]
        while late < len(given.late_row) and int(given.late_row[late]) == row:
            late_left = table[min(int(given.late_age_minutes[late]), _FORGOTTEN_MINUTES)]
            for h in range(_H):
                for t in range(_T):
                    sums[h, t] += late_left[h] * given.late_totals[late, t]
            late += 1
        for t in range(_T):
            for h in range(_H):
                known.sums[row, h, t] = sums[h, t]
            for b in range(_B):
                known.base[row, b, t] = base[b, t]
        known.new[row], known.passed[row] = new, passed
        known.age_minutes[row] = minute - int(state.first[series])
        known.active_minutes[row] = state.active_minutes[series]


@compiled
def _fade(sums: Floats, base: NDArray[np.float32], left: Floats, left_of_base: Floats) -> None:
    """Horizons and baselines some minutes later; what left a horizon is in the baseline behind it."""
    for b in range(_B):
        h = _FEEDS_BASE[b]
        gone = 1 - left[h]
        for t in range(_T):
            base[b, t] = np.float64(base[b, t]) * left_of_base[_H + b] + sums[h, t] * gone
    for h in range(_H):
        for t in range(_T):
            sums[h, t] *= left[h]


@compiled
def _ratios(known: Known, ratio: Floats) -> None:
    """Fill in what the drivers' levels are logarithms of, NaN where unknown."""
    for row in range(len(known.series)):
        whole = int(known.whole[row])
        for k in range(_H):
            _ratios_of(known.sums[row, k], np.float64(known.sums[whole, k, N]), whole != row, ratio[row, k])
        for b in range(_B):
            _ratios_of(known.base[row, b], np.float64(known.base[whole, b, N]), whole != row, ratio[row, _H + b])


@compiled
def _ratios_of(sums: NDArray[np.floating], whole_requests: float, is_part: bool, ratio: Floats) -> None:
    n = np.float64(sums[N])
    for d in range(_D):
        ratio[d] = np.nan
    rest = max(whole_requests - n, 0.0)
    if is_part and n + rest >= LEAST_REQUESTS:
        ratio[C_SHARE] = (n + 0.5) / (rest + 0.5)
    if n < LEAST_REQUESTS:
        return
    raw, tokens_in, paid, listed = (
        np.float64(sums[LIST_RAW]),
        np.float64(sums[INP]),
        np.float64(sums[PAID]),
        np.float64(sums[LIST]),
    )
    out, warm_in, warm_raw = np.float64(sums[OUT]), np.float64(sums[WARM_IN]), np.float64(sums[WARM_RAW])
    uncached = raw + max(listed - np.float64(sums[LIST_IN]), 0.0)
    equivalent = tokens_in + _OUTPUT_WEIGHT * out
    ratio[C_INPUT] = tokens_in / n if tokens_in > _LEAST else np.nan
    ratio[C_OUTPUT] = out / n if out > _LEAST else np.nan
    if warm_in > _LEAST and warm_raw > _LEAST:
        ratio[C_CACHE] = warm_in / warm_raw
    if uncached > _LEAST and equivalent > _LEAST:
        ratio[C_MIX] = uncached / equivalent
    if paid > _LEAST and listed > _LEAST:
        ratio[C_UNIT] = paid / listed


@compiled
def error_of(channel: int, requests: float, whole_requests: float) -> float:
    """Variance of a driver's level from counting."""
    if channel == C_SHARE:
        rest = max(whole_requests - requests, 0.0)
        return 1 / (requests + 0.5) + 1 / (rest + 0.5)
    return float(_SPREAD[channel]) / max(requests, LEAST_REQUESTS)


@compiled
def _learn(state: BaselineState, known: Known, learned: Floats, volume: Floats) -> None:
    """Row by row: what steps usually are, as a series knew it; then it learns of the row."""
    for row in range(len(known.series)):
        series, whole = int(known.series[row]), int(known.whole[row])
        low, is_part = known.low[row], whole != row
        for h in range(_H):
            for d in range(_D):
                level, base = known.level[row, h, d], _H + int(BASE_OF_HORIZON[h])
                step = level - known.level[row, base, d]
                if is_part and step != step and d < C_SHARE:  # noqa: PLR0124 — NaN is not itself
                    step = level - known.level[whole, base, d]  # a part that is new is held against its service
                known.step[row, h, d] = step if step == step else 0.0  # noqa: PLR0124 — NaN is not itself
                if d < C_UNIT:
                    error = error_of(d, np.float64(known.sums[row, h, N]), np.float64(known.sums[whole, h, N]))
                    low[h, d] = level - 2 * math.sqrt(error)
            low[h, _P - 1] = volume[row, h]
            for p in range(_P):
                if low[h, p] != low[h, p]:
                    low[h, p] = NOTHING
        _learn_scale(state.scale[series], known.scale[row], known.step[row], learned[row])


@compiled
def _learn_scale(scale: NDArray[np.float32], found: NDArray[np.float32], step: Floats, share: float) -> None:
    for h in range(_H):
        for d in range(C_UNIT):
            usual, size = np.float64(scale[h, d]), abs(step[h, d])
            found[h, d] = scale[h, d]
            if size > 0:
                scale[h, d] = usual + share * (min(size, _MOST_LEARNED[d]) - usual)


def empty_baselines(rows: int) -> BaselineState:
    """Columns for so many series that were never seen."""
    return BaselineState(
        sums=np.zeros((rows, _H, _T)), base=np.zeros((rows, _B, _T), np.float32),
        usual_usd=np.zeros((rows, _U), np.float32), scale=np.zeros((rows, _H, C_UNIT), np.float32),
        bills=empty_bills(rows),
        peaks=empty_peaks(rows, _H, _P),
        first=np.zeros(rows, np.int32), last=np.zeros(rows, np.int32), active_minutes=np.zeros(rows, np.int32),
        rhythm=empty_rhythm(rows),
    )  # fmt: skip


def _room_for_rows(given: Activity) -> Known:
    rows = len(given.series)
    ints = [np.empty(rows, np.int32) for _ in range(3)]
    return Known(
        minute=given.minute, series=given.series, whole=given.whole, new=np.empty(rows, bool),
        passed=ints[0], age_minutes=ints[1], active_minutes=ints[2],
        sums=np.empty((rows, _H, _T)), base=np.empty((rows, _B, _T), np.float32),
        usual_usd=np.empty((rows, _U)), usd=np.empty((rows, _H)),
        level=np.empty((rows, _H + _B, _D)), step=np.empty((rows, _H, _D)), scale=np.empty((rows, _H, _D), np.float32),
        low=np.empty((rows, _H, _P), np.float32), reference=np.empty((rows, _H, _P), np.float32),
    )  # fmt: skip
