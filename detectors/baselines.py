"""Rolling baselines: what a series usually does, on several horizons, in bounded memory.

Every horizon is an exponentially weighted sum, so a late row is added with the weight that it would have by
now, and the state is a few numbers whatever the traffic. What leaves a horizon flows into the baseline
behind it, so a baseline never contains what it is compared with.

A driver's level is a logarithm of a ratio of sums. It is compared with its baseline (a step) and with the
highest level of the last week (a range break). The scale of a step is what the series' own steps usually
are, never below a floor, plus the noise of counting few requests.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import frame as f
from detectors.clock import MINUTES_PER_DAY

Floats = NDArray[np.float64]

HORIZONS_MINUTES = (2, 5, 15, 60, 240)
"""Each horizon weighs the past like a window of this many minutes: same mean age, no edge."""

TOTALS = ("requests", "errors", "input", "output", "paid", "list", "list_input", "list_uncached", "gpu_usd")
"""What is summed: counts, tokens, and dollars of tokens paid, by list, of input, of input without cache, of GPUs."""
(N, ERR, INP, OUT, PAID, LIST, LIST_IN, LIST_RAW, GPU) = range(len(TOTALS))

CHANNELS = ("input", "output", "cache", "mix", "unit", "volume")
"""Logarithms of: input a request, output a request, list price of input over that without cache, list price of
an input-equivalent token without cache, paid over list, dollars a minute."""
(C_INPUT, C_OUTPUT, C_CACHE, C_MIX, C_UNIT, C_VOLUME) = range(len(CHANNELS))

TAU_MINUTES = np.array(HORIZONS_MINUTES) / 2.0
_RATE = 1 - np.exp(-1 / TAU_MINUTES)
BASE_OF_HORIZON = np.array([0, 0, 0, 1, 1])
_FEEDS_BASE = (2, 4)
BASE_TAU_MINUTES = np.array([260.0, 1440.0])
_SPREAD = np.array([1.0, 1.0, 0.05, 0.01, 0.001])
"""Variance of a driver's logarithm for one request."""
_OUTPUT_WEIGHT = 4.0
"""An output token costs about four input tokens."""
_QUIET_USD_PER_MINUTE = 0.002
"""Dollars a minute below which a volume says nothing."""

LEAST_REQUESTS = 3.0
SCALE_FLOOR = 0.02
SCALE_WHILE_YOUNG = 0.2
YOUNG_MINUTES = 120
SCALE_TAU = 3.0 * MINUTES_PER_DAY
BLOCK_MINUTES = 240
PEAK_DAYS = 8
NOTHING = -50.0
"""A level below every level."""


class BaselineState(msgspec.Struct):
    """Columns with a row a series; see :data:`TOTALS`, :data:`CHANNELS`, :data:`HORIZONS_MINUTES` for the axes."""

    sums: Floats
    base: Floats
    scale: NDArray[np.float32]
    peak_now: NDArray[np.float32]
    peak_before: NDArray[np.float32]
    peak_reference: NDArray[np.float32]
    peaks: NDArray[np.float32]
    peak_day: NDArray[np.int32]
    block: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    active_minutes: NDArray[np.int32]


class Residuals(msgspec.Struct, frozen=True):
    """What the active series did in a minute against what they usually do; a row a series.

    Shapes: h horizons, d drivers (channels without volume), c channels.
    """

    minute: int
    series: NDArray[np.int32]
    sums: Floats
    """Totals by horizon, (rows, h, totals)."""
    base: Floats
    """Totals of the baseline behind each horizon, (rows, h, totals)."""
    level: Floats
    """Drivers' logarithms, (rows, h, d); NaN with too few requests."""
    step: Floats
    """Level less baseline, (rows, h, d); 0 where either is unknown."""
    step_z: Floats
    """Step over its scale, (rows, h, d)."""
    above: Floats
    """Level (less two standard errors) over the highest of the last week, (rows, h, c); very negative where unknown."""
    usd_per_minute: Floats
    """Dollars a minute, (rows, h)."""
    usual_usd_per_minute: Floats
    """The same at the baseline, (rows, h)."""
    age_minutes: NDArray[np.int32]
    active_minutes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.series)


class Baselines:
    """Keeps the baselines of many series."""

    def start(self) -> BaselineState:
        """No series yet."""
        return _empty(0)

    def step(
        self, state: BaselineState, minute: int, series: NDArray[np.int32], totals: Floats, late: Late | None = None
    ) -> tuple[BaselineState, Residuals]:
        """Take what the active series did in a minute.

        Parameters
        ----------
        state
            What is known; consumed.
        minute
            The minute that closed.
        series
            Distinct series with rows in it, shape (rows,).
        totals
            :data:`TOTALS` of each, shape (rows, totals).
        late
            Rows of earlier minutes that came in with this one; their series are in ``series`` too.
        """
        state = _room_for(state, int(series.max(initial=-1)) + 1)
        passed = np.maximum(minute - state.last[series], 0)
        new = state.active_minutes[series] == 0
        sums, base = _fade(state.sums[series], state.base[series], passed)
        sums += totals[:, None, :]
        if late is not None and len(late.row):
            fading = np.exp(-late.age_minutes[:, None] / TAU_MINUTES)
            np.add.at(sums, late.row, fading[:, :, None] * late.totals[:, None, :])
        state.sums[series], state.base[series], state.last[series] = sums, base, minute
        state.first[series] = np.where(new, minute, state.first[series])
        state.active_minutes[series] += 1
        residuals, low = self._compare(state, minute, series, sums, base)
        self._learn(state, residuals, passed, low)
        return state, residuals

    def _compare(
        self, state: BaselineState, minute: int, series: NDArray[np.int32], sums: Floats, base: Floats
    ) -> tuple[Residuals, Floats]:
        """Residuals, and the levels that the blocks to come remember."""
        behind = base[:, BASE_OF_HORIZON]
        level, error = levels(sums)
        usual, usual_error = levels(base)
        usual, usual_error = usual[:, BASE_OF_HORIZON], usual_error[:, BASE_OF_HORIZON]
        step = np.nan_to_num(level - usual)
        young = (state.active_minutes[series] < YOUNG_MINUTES)[:, None, None]
        scale = np.maximum(1.25 * state.scale[series], np.where(young, SCALE_WHILE_YOUNG, SCALE_FLOOR))
        step_z = step / np.sqrt(np.nan_to_num(error + usual_error) + scale**2)
        usd = (sums[:, :, PAID] + sums[:, :, GPU]) * _RATE
        base_minutes = BASE_TAU_MINUTES[BASE_OF_HORIZON]
        lived = np.minimum(np.maximum(minute - state.first[series], 1)[:, None], base_minutes)
        usual_usd = (behind[:, :, PAID] + behind[:, :, GPU]) / np.maximum(lived, 1)
        volume = np.log(usd + _QUIET_USD_PER_MINUTE)[:, :, None]
        low = np.nan_to_num(np.concatenate([level - 2 * np.sqrt(error), volume], axis=2), nan=NOTHING)
        reference = np.maximum(state.peak_reference[series], state.peak_before[series])
        above = np.where((low > NOTHING) & (reference > NOTHING), low - reference, NOTHING)
        residuals = Residuals(
            minute, series, sums, behind, level, step, step_z, above, usd, usual_usd, minute - state.first[series],
            state.active_minutes[series],
        )  # fmt: skip
        return residuals, low

    def _learn(self, state: BaselineState, seen: Residuals, passed: NDArray[np.int32], low: Floats) -> None:
        """Scales follow the steps; peaks move on by blocks of hours."""
        series = seen.series
        share = 1 - np.exp(-np.minimum(passed, 5) / SCALE_TAU)
        share = np.maximum(share, 1.0 / (seen.active_minutes + 1))[:, None, None]
        known = seen.step != 0
        scale = state.scale[series]
        state.scale[series] = scale + np.where(known, share * (np.minimum(np.abs(seen.step), 1.0) - scale), 0)
        _turn_blocks(state, series, seen.minute)
        state.peak_now[series] = np.maximum(state.peak_now[series], low)


class Late(msgspec.Struct, frozen=True):
    """Late rows: index into the active rows, age in minutes, totals by row."""

    row: NDArray[np.intp]
    age_minutes: NDArray[np.int32]
    totals: Floats


def totals_of(values: NDArray[np.int64]) -> Floats:
    """Return :data:`TOTALS` of :data:`detectors.frame.MEASURES`, shape (measures, rows) to (rows, totals)."""
    as_float = values.astype(float)
    usd = as_float[[f.COST, f.LIST, f.LIST_INPUT, f.LIST_UNCACHED, f.GPU_COST]] / 1e9
    paid = usd[0] - usd[4]
    token_list = np.maximum(usd[1] - usd[4], 0)
    return np.stack(
        [as_float[f.REQUESTS], as_float[f.ERRORS], as_float[f.INPUT], as_float[f.OUTPUT], paid, token_list, usd[2],
         usd[3], usd[4]], axis=1,
    )  # fmt: skip


def levels(sums: Floats) -> tuple[Floats, Floats]:
    """Drivers' logarithms (NaN where unknown) and their variance from counting, (..., totals) to (..., drivers)."""
    n = sums[..., N]
    enough = n >= LEAST_REQUESTS
    raw_total = sums[..., LIST_RAW] + np.maximum(sums[..., LIST] - sums[..., LIST_IN], 0)
    over = [
        (sums[..., INP], n),
        (sums[..., OUT], n),
        (sums[..., LIST_IN], sums[..., LIST_RAW]),
        (raw_total, sums[..., INP] + _OUTPUT_WEIGHT * sums[..., OUT]),
        (sums[..., PAID], sums[..., LIST]),
    ]
    above, below = (np.stack(part, axis=-1) for part in zip(*over, strict=True))
    known = enough[..., None] & (above > 1e-12) & (below > 1e-12)
    level = np.log(np.where(known, above, 1.0) / np.where(known, below, 1.0))
    error = _SPREAD / np.maximum(n, LEAST_REQUESTS)[..., None]
    return np.where(known, level, np.nan), error


def _fade(sums: Floats, base: Floats, passed: NDArray[np.int32]) -> tuple[Floats, Floats]:
    """Horizons and baselines some minutes later; what left a horizon is in the baseline behind it."""
    kept = np.exp(-passed[:, None] / TAU_MINUTES)[:, :, None]
    base = base * np.exp(-passed[:, None] / BASE_TAU_MINUTES)[:, :, None]
    base += (sums * (1 - kept))[:, _FEEDS_BASE, :]
    return sums * kept, base


def _turn_blocks(state: BaselineState, series: NDArray[np.int32], minute: int) -> None:
    """Where a new block of hours began, the block before last joins the week's peaks."""
    block = minute // BLOCK_MINUTES
    turned = series[state.block[series] < block]
    if not len(turned):
        return
    day = minute // MINUTES_PER_DAY
    slot = day % PEAK_DAYS
    fresh_slot = state.peak_day[turned, slot] != day
    stored = np.where(fresh_slot[:, None, None], NOTHING, state.peaks[turned, slot])
    skipped = (block - state.block[turned] > 1)[:, None, None]
    now, before = state.peak_now[turned], state.peak_before[turned]
    joins = np.where(skipped, np.maximum(now, before), before)
    state.peaks[turned, slot] = np.maximum(stored, joins)
    state.peak_day[turned, slot] = day
    state.peak_before[turned] = np.where(skipped, NOTHING, now)
    state.peak_now[turned] = NOTHING
    state.block[turned] = block
    recent = (day - state.peak_day[turned] < PEAK_DAYS)[:, :, None, None]
    state.peak_reference[turned] = np.where(recent, state.peaks[turned], NOTHING).max(axis=1)


def _empty(rows: int) -> BaselineState:
    h, t, c = len(HORIZONS_MINUTES), len(TOTALS), len(CHANNELS)
    low = np.full((rows, h, c), NOTHING, np.float32)
    return BaselineState(
        sums=np.zeros((rows, h, t)), base=np.zeros((rows, 2, t)), scale=np.zeros((rows, h, c - 1), np.float32),
        peak_now=low, peak_before=low.copy(), peak_reference=low.copy(),
        peaks=np.full((rows, PEAK_DAYS, h, c), NOTHING, np.float32), peak_day=np.full((rows, PEAK_DAYS), -1, np.int32),
        block=np.full(rows, -1, np.int32), first=np.zeros(rows, np.int32), last=np.zeros(rows, np.int32),
        active_minutes=np.zeros(rows, np.int32),
    )  # fmt: skip


def _room_for(state: BaselineState, rows: int) -> BaselineState:
    """Return the state with room for so many series; grows by doubling."""
    have = len(state.first)
    if rows <= have:
        return state
    more = _empty(max(rows, 2 * have, 64) - have)
    pairs = zip(msgspec.structs.astuple(state), msgspec.structs.astuple(more), strict=True)
    return BaselineState(*(np.concatenate(pair) for pair in pairs))
