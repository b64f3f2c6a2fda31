"""Residuals: what series did in a minute against what they usually do, of those rows that are worth a look."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.baselines.baselines import (
    BASE_OF_HORIZON,
    C_CACHE,
    C_INPUT,
    C_OUTPUT,
    C_SHARE,
    C_UNIT,
    C_VOLUME,
    CHANNELS,
    HORIZONS_MINUTES,
    LEAST_REQUESTS,
    PEAKED,
    SCALE_FLOOR,
    SCALE_WHILE_YOUNG,
    USUAL_OF_HORIZON,
    YOUNG_MINUTES,
    Known,
    error_of,
)
from detectors.baselines.peaks import NOTHING
from detectors.baselines.rhythm import Rhythm
from detectors.clock import MINUTES_PER_DAY
from detectors.compiled import compiled
from detectors.minutes.totals import ERR, GPU, LIST, LIST_IN, PAID, TOTALS, Floats, N

QUARTER_HOUR = 2
"""The horizon of that name."""
FAILING_SHARE = 0.1
SETTLED_MINUTES = 2 * MINUTES_PER_DAY
"""A series younger than this has no week to be compared with."""
LEAST_FAILED = 2.0
"""Of a quarter of an hour: more than these failed."""
_NEARLY = 1.000001
_H, _T, _D, _P = len(HORIZONS_MINUTES), len(TOTALS), len(CHANNELS) - 1, len(PEAKED)
_PEAKED = tuple(PEAKED.tolist())
_SHARE = _PEAKED.index(C_SHARE)


class Residuals(msgspec.Struct, frozen=True):
    """What the active series did in some minutes against what they usually do; a row a series and minute.

    Shapes: h horizons, d drivers (channels without volume), c channels. To tell more, add a column here, fill it in
    :func:`residuals_of`, and remember what it needs in :class:`detectors.baselines.baselines.BaselineState`.
    """

    minute: NDArray[np.int32]
    series: NDArray[np.int32]
    whole: NDArray[np.intp]
    """The row of the service that each is a part of, its own where it is a part of none; -1 if it is not among them."""
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
    """What steps usually are, (rows, h, d); never below a floor, but of the unit price, which may stand still."""
    above: Floats
    """Level (less two standard errors) over the highest of the last week, (rows, h, c); very negative where unknown."""
    usd_per_minute: Floats
    """Dollars a minute, (rows, h)."""
    usual_usd_per_minute: Floats
    """The same usually, silent minutes counted, (rows, h)."""
    age_minutes: NDArray[np.int32]
    active_minutes: NDArray[np.int32]
    rhythm: Rhythm

    def __len__(self) -> int:
        return len(self.series)


def residuals_of(known: Known, rhythm: Rhythm, rows: NDArray[np.intp]) -> Residuals:
    """Return the residuals of some rows."""
    shape = (len(rows), _H, _D)
    step_z, scale, above = np.empty(shape), np.empty(shape), np.full((len(rows), _H, _D + 1), NOTHING)
    usual, base = np.empty(shape[:2]), np.empty((*shape[:2], _T))
    _compare(known, rows, step_z, scale, above, usual)
    _spread_base(known, rows, base)
    place = np.full(len(known.series), -1)
    place[rows] = np.arange(len(rows))
    columns = (getattr(rhythm, name)[rows] for name in rhythm.__struct_fields__)
    return Residuals(
        minute=known.minute[rows], series=known.series[rows], whole=place[known.whole[rows]], sums=known.sums[rows],
        base=base, level=known.level[rows, :_H], step=known.step[rows],
        step_z=step_z, scale=scale, above=above, usd_per_minute=known.usd[rows], usual_usd_per_minute=usual,
        age_minutes=known.age_minutes[rows], active_minutes=known.active_minutes[rows], rhythm=Rhythm(*columns),
    )  # fmt: skip


@compiled
def _compare(known: Known, rows: NDArray[np.intp], step_z: Floats, scale: Floats, above: Floats, usual: Floats) -> None:
    for at in range(len(rows)):
        row = int(rows[at])
        whole, base = int(known.whole[row]), known.base[row]
        is_new = int(known.age_minutes[row]) < SETTLED_MINUTES <= int(known.age_minutes[whole])
        week = whole if is_new else row  # a part that is new is held against the week of its service
        young = SCALE_WHILE_YOUNG if int(known.active_minutes[row]) < YOUNG_MINUTES else SCALE_FLOOR
        for h in range(_H):
            b = int(BASE_OF_HORIZON[h])
            usual[at, h] = _usual(known, row, h)
            own, all_of_it = np.float64(known.sums[row, h, N]), np.float64(known.sums[whole, h, N])
            own_base, base_of_it = np.float64(base[b, N]), np.float64(known.base[whole, b, N])
            if own_base < LEAST_REQUESTS:
                own_base = base_of_it
            for d in range(_D):
                spread = max(np.float64(np.float32(1.25) * known.scale[row, h, d]), young)
                noise = error_of(d, own, all_of_it) + error_of(d, own_base, base_of_it)
                step_z[at, h, d] = known.step[row, h, d] / math.sqrt(noise + spread * spread)
                scale[at, h, d] = spread if d != C_UNIT else np.float64(np.float32(1.25) * known.scale[row, h, d])
            for p in range(_P):
                low, highest = known.low[row, h, p], known.reference[week, h, p]
                if p == _SHARE:
                    highest = known.reference[row, h, p]
                if low > NOTHING and highest > NOTHING:
                    above[at, h, _PEAKED[p]] = low - highest


@compiled
def _spread_base(known: Known, rows: NDArray[np.intp], base: Floats) -> None:
    """The baseline behind each horizon."""
    for at in range(len(rows)):
        row = int(rows[at])
        for h in range(_H):
            b = int(BASE_OF_HORIZON[h])
            for t in range(_T):
                base[at, h, t] = known.base[row, b, t]


@compiled
def _usual(known: Known, row: int, h: int) -> float:
    """Dollars a minute that are usual."""
    return float(known.usual_usd[row, int(USUAL_OF_HORIZON[h])])


@compiled
def look_around(
    known: Known, least_usd_per_hour: float, costs: NDArray[np.bool_], fails: NDArray[np.bool_], above_usd: Floats
) -> None:
    """See which rows may cost more than so much above the usual in some driver, and which fail.

    Parameters
    ----------
    known
        All rows.
    least_usd_per_hour
        How much.
    costs, fails
        Filled in, shape (rows,). ``costs`` leaves out no row that does, and takes few that do not.
    above_usd
        Filled in with dollars above the usual in a quarter of an hour, shape (rows,).
    """
    for row in range(len(known.series)):
        worth = False
        for h in range(_H):
            rate = known.usd[row, h]
            above = max(rate - _usual(known, row, h), 0.0)
            tokens = np.float64(known.sums[row, h, PAID])
            total = tokens + np.float64(known.sums[row, h, GPU])
            if h == QUARTER_HOUR:
                above_usd[row] = total * (above / rate if rate > 0 else 0.0)
            worth = worth or above * 60 > least_usd_per_hour
            if worth or total <= 0 or rate * 60 <= least_usd_per_hour:
                continue
            most = rate * (tokens / total) * 60 * _NEARLY
            for d in range(_D):
                step = known.step[row, h, d]
                if step > 0 and d != C_SHARE:
                    rises = min(step * (1 - step / 2 * (1 - step / 3)), 1.0)  # above 1 - exp(-step), and close to it
                    worth = worth or part_of(known, row, h, d) * rises * most > least_usd_per_hour
        costs[row] = worth
        failed = np.float64(known.sums[row, QUARTER_HOUR, ERR])
        fails[row] = failed > LEAST_FAILED and failed > FAILING_SHARE * np.float64(known.sums[row, QUARTER_HOUR, N])


def excess_of(known: Known, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Dollars of some rows above the usual by horizon and channel: in the horizon, and an hour; (rows, h, channels).

    A driver's excess is its part of the cost times 1 - exp(-step); that of the volume is what is above usual. A part's
    odds say nothing of its dollars: those are the volume's.
    """
    rise = 1 - np.exp(-np.clip(known.step[rows], -20, 20))
    in_horizon, hourly = np.empty((2, len(rows), _H, len(CHANNELS)))
    _fill_excess(known, rows, rise, in_horizon, hourly)
    return in_horizon, hourly


@compiled
def _fill_excess(known: Known, rows: NDArray[np.intp], rise: Floats, in_horizon: Floats, hourly: Floats) -> None:
    for at in range(len(rows)):
        row = int(rows[at])
        for h in range(_H):
            tokens, rate = np.float64(known.sums[row, h, PAID]), np.float64(known.usd[row, h])
            total = tokens + np.float64(known.sums[row, h, GPU])
            token_rate = rate * (tokens / total if total > 0 else 0.0)
            for d in range(_D):
                share = max(part_of(known, row, h, d) * np.float64(rise[at, h, d]), 0.0)
                in_horizon[at, h, d] = share * tokens
                hourly[at, h, d] = share * token_rate * 60
            above = max(rate - _usual(known, row, h), 0.0)
            in_horizon[at, h, C_VOLUME] = in_horizon[at, h, C_SHARE] = total * (above / rate if rate > 0 else 0.0)
            hourly[at, h, C_VOLUME] = hourly[at, h, C_SHARE] = above * 60


@compiled
def part_of(known: Known, row: int, h: int, d: int) -> float:
    """The part of a row's cost that a driver bears upon."""
    if d in (C_INPUT, C_CACHE, C_OUTPUT):
        listed = max(np.float64(known.sums[row, h, LIST]), 1e-30)
        of_input = min(np.float64(known.sums[row, h, LIST_IN]) / listed, 1.0)
        return 1 - of_input if d == C_OUTPUT else of_input
    return 1.0
