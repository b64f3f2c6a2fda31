"""Rolling baselines: what a series usually does, on several horizons, in bounded memory.

Every horizon is an exponentially weighted sum, so a late row is added with the weight that it would have by
now, and the state is a few numbers whatever the traffic. What leaves a horizon flows into the baseline
behind it, so a baseline never contains what it is compared with.

A driver's level is a logarithm of a ratio of sums. It is compared with its baseline (a step) and with the
highest level of the last week (a range break). The scale of a step is what the series' own steps usually
are, never below a floor, plus the noise of counting few requests.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import frame as f
from detectors.clock import MINUTES_PER_DAY
from detectors.rhythm import Beat, Rhythm, RhythmState, empty_rhythm, keep_rhythm

Floats = NDArray[np.float64]
S = TypeVar("S", bound=msgspec.Struct)

HORIZONS_MINUTES = (2, 5, 15, 60, 240)
"""Each horizon weighs the past like a window of this many minutes: same mean age, no edge."""

TOTALS = (
    "requests", "errors", "input", "output", "paid", "list", "list_input", "list_uncached", "gpu_usd",
    "warm_input", "warm_uncached",
)  # fmt: skip
"""What is summed: counts, tokens, and dollars of tokens paid, by list, of input, of input without cache, of GPUs;
the last two are those of input again, but only of minutes in which a cache could hit (see :mod:`detectors.watch`)."""
(N, ERR, INP, OUT, PAID, LIST, LIST_IN, LIST_RAW, GPU, WARM_IN, WARM_RAW) = range(len(TOTALS))

CHANNELS = ("input", "output", "cache", "mix", "share", "unit", "volume")
"""Logarithms of: input a request, output a request, list price of input over that without cache, list price of
an input-equivalent token without cache, odds of a request of the service being the series', paid over list,
dollars a minute."""
(C_INPUT, C_OUTPUT, C_CACHE, C_MIX, C_SHARE, C_UNIT, C_VOLUME) = range(len(CHANNELS))
PEAKED = np.array([C_INPUT, C_OUTPUT, C_CACHE, C_MIX, C_SHARE, C_VOLUME])
"""The channels whose highest levels are remembered."""

TAU_MINUTES = np.array(HORIZONS_MINUTES) / 2.0
_RATE = 1 - np.exp(-1 / TAU_MINUTES)
BASE_OF_HORIZON = np.array([0, 0, 0, 1, 1])
_FEEDS_BASE = (2, 4)
BASE_TAU_MINUTES = np.array([260.0, 1440.0])
_SPREAD = np.array([1.0, 1.0, 0.05, 0.01, 0.001])
"""Variance for one request of the logarithms of input, output, cache, mix, unit price."""
_OUTPUT_WEIGHT = 4.0
"""An output token costs about four input tokens."""
QUIET_USD_PER_MINUTE = 0.002
"""Dollars a minute below which a volume says nothing."""

LEAST_REQUESTS = 3.0
MOST_ODDS = 5.0
"""A part that sends over 99 % of its service's requests sends nearly all: how nearly says nothing more."""
SCALE_FLOOR = 0.02
SCALE_WHILE_YOUNG = 0.2
YOUNG_MINUTES = 120
_MOST_LEARNED = np.array([1.0, 1.0, 1.0, 1.0, 3.0, 1.0])
"""A step counts for no more than this in the scale, so that one incident does not blind the next; by driver. Odds of
parts that are active by turns swing by far more, and are to be known for it."""
SCALE_TAU = 3.0 * MINUTES_PER_DAY
BLOCK_MINUTES = 240
PEAK_DAYS = 7
NOTHING = -50.0
"""A level below every level."""


class BaselineState(msgspec.Struct):
    """Columns with a row a series; see :data:`TOTALS`, :data:`CHANNELS`, :data:`HORIZONS_MINUTES` for the axes."""

    sums: Floats
    base: NDArray[np.float32]
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
    rhythm: RhythmState


class Residuals(msgspec.Struct, frozen=True):
    """What the active series did in some minutes against what they usually do; a row a series and minute.

    Shapes: h horizons, d drivers (channels without volume), c channels.
    """

    minute: NDArray[np.int32]
    series: NDArray[np.int32]
    whole: NDArray[np.intp]
    """The row of the service that each is a part of, its own where it is a part of none."""
    sums: Floats
    """Totals by horizon, (rows, h, totals)."""
    base: Floats
    """Totals of the baseline behind each horizon, (rows, h, totals)."""
    level: Floats
    """Drivers' logarithms, (rows, h, d); NaN with too few requests."""
    step: Floats
    """Level less baseline, (rows, h, d); 0 where either is unknown."""
    step_z: Floats
    """Step over its scale and the noise of counting, (rows, h, d)."""
    scale: Floats
    """What steps usually are, (rows, h, d)."""
    above: Floats
    """Level (less two standard errors) over the highest of the last week, (rows, h, c); very negative where unknown."""
    usd_per_minute: Floats
    """Dollars a minute, (rows, h)."""
    usual_usd_per_minute: Floats
    """The same at the baseline, (rows, h)."""
    age_minutes: NDArray[np.int32]
    active_minutes: NDArray[np.int32]
    rhythm: Rhythm

    def __len__(self) -> int:
        return len(self.series)


class Baselines:
    """Keeps the baselines of many series."""

    def start(self) -> BaselineState:
        """No series yet."""
        return _empty(0)

    def step(self, state: BaselineState, minutes: list[ActiveMinute]) -> tuple[BaselineState, Residuals]:
        """Take what the active series did in some minutes, in order.

        What depends on the minute before is done minute by minute, all else for all rows of all minutes at once.

        Parameters
        ----------
        state
            What is known; consumed.
        minutes
            At least one.
        """
        state = _room_for(state, max(int(m.series.max(initial=-1)) for m in minutes) + 1)
        summed = [_sum_up(state, minute) for minute in minutes]
        rows = _joined_all(summed)
        offsets = np.cumsum([0, *(len(m.series) for m in minutes)])
        whole = np.concatenate([m.whole + offset for m, offset in zip(minutes, offsets[:-1], strict=True)])
        level, error = _levels_and_share(rows.sums, whole)
        usual, usual_error = (part[:, BASE_OF_HORIZON] for part in _levels_and_share(rows.base.astype(float), whole))
        step = level - usual
        step[np.isnan(step)] = 0.0
        usd = (rows.sums[:, :, PAID] + rows.sums[:, :, GPU]) * _RATE
        low = _low(level, error, usd)
        scale, reference = _remember(state, rows, offsets, step, low)
        young = np.where(rows.active_minutes < YOUNG_MINUTES, SCALE_WHILE_YOUNG, SCALE_FLOOR)[:, None, None]
        scale = np.maximum(1.25 * scale, young)
        behind = rows.base[:, BASE_OF_HORIZON].astype(float)
        lived = np.minimum(np.maximum(rows.age_minutes, 1)[:, None], BASE_TAU_MINUTES[BASE_OF_HORIZON])
        return state, Residuals(
            minute=rows.minute, series=rows.series, whole=whole, sums=rows.sums, base=behind, level=level, step=step,
            step_z=step / np.sqrt(error + usual_error + scale**2), scale=scale, above=_above(low, reference),
            usd_per_minute=usd, usual_usd_per_minute=(behind[:, :, PAID] + behind[:, :, GPU]) / lived,
            age_minutes=rows.age_minutes, active_minutes=rows.active_minutes, rhythm=rows.rhythm,
        )  # fmt: skip


class ActiveMinute(msgspec.Struct, frozen=True):
    """What the active series did in one minute.

    Parameters
    ----------
    minute
        The minute that closed.
    series
        Distinct series with rows in it, rising, shape (rows,).
    totals
        :data:`TOTALS` of each, shape (rows, totals).
    late
        Rows of earlier minutes that came in with this one; their series are in ``series`` too.
    whole
        The row of the series that each is a part of, its own where it is a part of none; shape (rows,).
    """

    minute: int
    series: NDArray[np.int32]
    totals: Floats
    late: Late
    whole: NDArray[np.intp]


class _Summed(msgspec.Struct, frozen=True):
    """Sums of the active series at the end of a minute, a row a series."""

    minute: NDArray[np.int32]
    series: NDArray[np.int32]
    passed: NDArray[np.int32]
    sums: Floats
    base: NDArray[np.float32]
    age_minutes: NDArray[np.int32]
    active_minutes: NDArray[np.int32]
    rhythm: Rhythm


def _sum_up(state: BaselineState, now: ActiveMinute) -> _Summed:
    """Fade the sums of the active series, and add the minute."""
    series, totals = now.series, now.totals
    active = state.active_minutes[series]
    new = active == 0
    passed = np.where(new, 0, np.maximum(now.minute - state.last[series], 0)).astype(np.int32)
    sums, base = _fade(state.sums[series], state.base[series], passed)
    sums += totals[:, None, :]
    if len(now.late.row):
        fading = np.exp(-now.late.age_minutes[:, None] / TAU_MINUTES)
        np.add.at(sums, now.late.row, fading[:, :, None] * now.late.totals[:, None, :])
    first = np.where(new, now.minute, state.first[series])
    state.sums[series], state.base[series], state.last[series] = sums, base, now.minute
    state.first[series], state.active_minutes[series] = first, active + 1
    usd = totals[:, PAID] + totals[:, GPU]
    rhythm = keep_rhythm(state.rhythm, Beat(now.minute, series, passed, new, totals[:, N], usd, sums[:, 2, N]))
    minute = np.full(len(series), now.minute, np.int32)
    return _Summed(minute, series, passed, sums, base, now.minute - first, active + 1, rhythm)


def _low(level: Floats, error: Floats, usd: Floats) -> NDArray[np.float32]:
    """The levels that the blocks to come remember, (rows, h, peaked channels)."""
    low = np.empty((*usd.shape, len(PEAKED)), np.float32)
    low[:, :, :-1] = (level - 2 * np.sqrt(error))[:, :, PEAKED[:-1]]
    low[:, :, -1] = np.log(usd + QUIET_USD_PER_MINUTE)
    low[np.isnan(low)] = NOTHING
    return low


def _remember(
    state: BaselineState, rows: _Summed, offsets: NDArray[np.intp], step: Floats, low: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scale and highest levels as each row found them; then they learn of it, minute by minute."""
    share = 1 - np.exp(-np.minimum(rows.passed, 5) / SCALE_TAU)
    share = np.maximum(share, 1.0 / (rows.active_minutes + 1))[:, None, None]
    size, share = np.minimum(np.abs(step), _MOST_LEARNED), np.where(step != 0, share, 0.0)
    scale = np.empty(step.shape, np.float32)
    reference = np.empty(low.shape, np.float32)
    for start, stop in pairwise(offsets):
        at = slice(start, stop)
        series = rows.series[at]
        known = state.scale[series]
        scale[at] = known
        reference[at] = np.maximum(state.peak_reference[series], state.peak_before[series])
        state.scale[series] = known + share[at] * (size[at] - known)
        if stop > start:
            _turn_blocks(state, series, int(rows.minute[start]))
        state.peak_now[series] = np.maximum(state.peak_now[series], low[at])
    return scale, reference


def _above(low: NDArray[np.float32], reference: NDArray[np.float32]) -> Floats:
    above = np.full((*low.shape[:2], len(CHANNELS)), NOTHING)
    above[:, :, PEAKED] = np.where((low > NOTHING) & (reference > NOTHING), low - reference, NOTHING)
    return above


class Late(msgspec.Struct, frozen=True):
    """Late rows: index into the active rows, age in minutes, totals by row."""

    row: NDArray[np.intp]
    age_minutes: NDArray[np.int32]
    totals: Floats


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


_ABOVE = [INP, OUT, WARM_IN, len(TOTALS), PAID]
_BELOW = [N, N, WARM_RAW, len(TOTALS) + 1, LIST]


def levels(sums: Floats) -> tuple[Floats, Floats]:
    """Logarithms of input, output, cache, mix, unit price and their variance from counting.

    Shape (..., totals) to (..., 5); unknown levels are NaN.
    """
    n = sums[..., N]
    with_price = np.empty((*sums.shape[:-1], len(TOTALS) + 2))
    with_price[..., :-2] = sums
    with_price[..., -2] = sums[..., LIST_RAW] + np.maximum(sums[..., LIST] - sums[..., LIST_IN], 0)
    with_price[..., -1] = sums[..., INP] + _OUTPUT_WEIGHT * sums[..., OUT]
    above, below = with_price[..., _ABOVE], with_price[..., _BELOW]
    known = (n >= LEAST_REQUESTS)[..., None] & (above > 1e-12) & (below > 1e-12)
    level = np.full(above.shape, np.nan)
    np.divide(above, below, out=level, where=known)
    np.log(level, out=level, where=known)
    return level, _SPREAD / np.maximum(n, LEAST_REQUESTS)[..., None]


def _levels_and_share(sums: Floats, whole: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Levels in the order of :data:`CHANNELS` without volume, and their variance, (rows, h, totals) to (rows, h, d)."""
    level, error = levels(sums)
    own, rest = sums[:, :, N], np.maximum(sums[whole, :, N] - sums[:, :, N], 0.0)
    part = (whole != np.arange(len(whole)))[:, None] & (own + rest >= LEAST_REQUESTS)
    odds = np.where(part, np.minimum(np.log((own + 0.5) / (rest + 0.5)), MOST_ODDS), np.nan)
    odds_error = 1 / (own + 0.5) + 1 / (rest + 0.5)
    return (
        np.concatenate([level[:, :, :C_SHARE], odds[:, :, None], level[:, :, C_SHARE:]], axis=2),
        np.concatenate([error[:, :, :C_SHARE], odds_error[:, :, None], error[:, :, C_SHARE:]], axis=2),
    )


def _fade(sums: Floats, base: NDArray[np.float32], passed: NDArray[np.int32]) -> tuple[Floats, NDArray[np.float32]]:
    """Horizons and baselines some minutes later; what left a horizon is in the baseline behind it."""
    kept = np.exp(-passed[:, None] / TAU_MINUTES)[:, :, None]
    older = base * np.exp(-passed[:, None] / BASE_TAU_MINUTES)[:, :, None]
    older += (sums * (1 - kept))[:, _FEEDS_BASE, :]
    return sums * kept, older.astype(np.float32)


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
    low = np.full((rows, h, len(PEAKED)), NOTHING, np.float32)
    return BaselineState(
        sums=np.zeros((rows, h, t)), base=np.zeros((rows, 2, t), np.float32),
        scale=np.zeros((rows, h, c - 1), np.float32), peak_now=low, peak_before=low.copy(), peak_reference=low.copy(),
        peaks=np.full((rows, PEAK_DAYS, *low.shape[1:]), NOTHING, np.float32),
        peak_day=np.full((rows, PEAK_DAYS), -PEAK_DAYS, np.int32), block=np.full(rows, -1, np.int32),
        first=np.zeros(rows, np.int32), last=np.zeros(rows, np.int32), active_minutes=np.zeros(rows, np.int32),
        rhythm=empty_rhythm(rows),
    )  # fmt: skip


def _room_for(state: BaselineState, rows: int) -> BaselineState:
    """Return the state with room for so many series; grows by doubling."""
    have = len(state.first)
    if rows <= have:
        return state
    return _joined_all([state, _empty(max(rows, 2 * have, 64) - have)])


def _joined_all(parts: list[S]) -> S:
    """Rows of several structs of columns, one after the other."""
    columns = {}
    for name in parts[0].__struct_fields__:
        values = [getattr(part, name) for part in parts]
        columns[name] = _joined_all(values) if isinstance(values[0], msgspec.Struct) else np.concatenate(values)
    return type(parts[0])(**columns)
