"""How a series' bill is made up, where the price list does not say it: learned from the series itself.

A bill is linear in kinds of tokens, and so is the list. Where their weights differ (writes to a cache that are billed
and not counted, another discount on what a cache serves), paid over list moves with the share that the cache serves
and with the length of answers, though no price has changed. Two weights make up for that: in place of the list stands

    list + a x (what the cache saves by the list) + b x (output by the list)

up to a factor, which is nobody's business: paid over it is compared with the same of a baseline. Both sides are made
with the weights of the moment, so that learning is no step; and a price that rises for all tokens alike changes no
weight. Weights are nothing until they are learned, by recursive least squares: from how the ratio of the shortest
horizon differs from that of the baseline behind it, as far as the kinds of tokens do.

What was never seen is not known. A ratio is known as well as it usually stands still, and less where tokens are mixed
as they never were.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY
from detectors.compiled import compiled
from detectors.minutes.totals import LIST, LIST_IN, LIST_RAW, Floats

EXACT = 0.002
"""A ratio of prices that hardly moves is taken to move by so much."""
_LEAST_LISTED = 1e-12
_LEAST, _MOST = 0.05, 20.0
"""Of what stands in place of the list, over the list."""
_MOST_WEIGHT, _MOST_PART = 4.0, 10.0
_KEPT = math.exp(-1 / (3.0 * MINUTES_PER_DAY))
"""What is left of what was seen after each minute of traffic."""
_RIDGE = 1e-3
"""Keeps weights at nothing until something was seen: as if a weight were hardly more than a tenth."""
_ROUNDING = 1e-6
"""What is seen in 32 bits is no more exact, over its size."""
_LEARNED, _LEARNED_TIMES = 0.02, 2.0
"""A rise counts for this and so many times what it usually is, at most: a price that rose says little of weights."""


class BillState(NamedTuple):
    """Columns with a row a series."""

    weights: NDArray[np.float32]
    """Of what the cache saves, and of output, (rows, 2)."""
    seen: NDArray[np.float32]
    """How far kinds of tokens differed from the usual: their squares and their product, exponentially weighted sums,
    (rows, 3)."""
    moves: NDArray[np.float32]
    """By how much the ratio of the shortest horizon usually differs from the baseline's, (rows,)."""


class Bills(NamedTuple):
    """What is told of some rows; filled in."""

    ratio: Floats
    """Paid over list, by horizons and then baselines, (rows, k): comes to be what is paid over what is expected."""
    scale: NDArray[np.float32]
    """By how much it usually differs from the baseline, (rows, h)."""


def empty_bills(rows: int) -> BillState:
    """Columns for so many series that were never seen."""
    return BillState(np.zeros((rows, 2), np.float32), np.zeros((rows, 3), np.float32), np.zeros(rows, np.float32))


@compiled
def follow_bills(
    state: BillState,
    series: NDArray[np.int32],
    sums: Floats,
    base: NDArray[np.float32],
    base_of_horizon: NDArray[np.intp],
    share: Floats,
    found: Bills,
) -> None:
    """Row by row: what is paid over what is expected, as the series knew it; then it learns of the row.

    Parameters
    ----------
    state
        Changed.
    series
        Of each row, shape (rows,).
    sums, base
        Totals by horizon and by baseline, (rows, h, totals) and (rows, baselines, totals).
    base_of_horizon
        The baseline behind each horizon.
    share
        How much of each row goes into what is usual, shape (rows,).
    found
        Changed.
    """
    horizons, baselines = sums.shape[1], base.shape[1]
    for row in range(len(series)):
        place = int(series[row])
        weights, seen = state.weights[place], state.seen[place]
        usual = max(np.float64(state.moves[place]), EXACT)
        saved, made = 0.0, 0.0
        for b in range(baselines):
            expected, base_saved, base_made = _parts(base[row, b], weights)
            found.ratio[row, horizons + b] /= expected
            for h in range(horizons):
                if int(base_of_horizon[h]) == b:
                    expected, own_saved, own_made = _parts(sums[row, h], weights)
                    found.ratio[row, h] /= expected
                    by = own_saved - base_saved, own_made - base_made
                    found.scale[row, h] = usual * math.sqrt(1 + _doubt(seen, by[0], by[1]))
                    if h == 0:
                        saved, made = by
        rise = _rise(found.ratio[row, 0], found.ratio[row, horizons + int(base_of_horizon[0])])
        if rise == rise:  # noqa: PLR0124 — NaN is not itself
            most = _LEARNED + _LEARNED_TIMES * np.float64(state.moves[place])
            _learn(weights, seen, saved, made, min(max(rise, -most), most))
            moved = np.float64(state.moves[place])
            state.moves[place] = moved + share[row] * (min(abs(rise), 1.0) - moved)


@compiled
def _parts(totals: NDArray[np.floating], weights: NDArray[np.float32]) -> tuple[float, float, float]:
    """What is expected over the list, and which parts of it are what the cache saves, and output."""
    listed, of_input = np.float64(totals[LIST]), np.float64(totals[LIST_IN])
    if not listed > _LEAST_LISTED:
        return 1.0, 0.0, 0.0
    saved = (np.float64(totals[LIST_RAW]) - of_input) / listed
    made = max(listed - of_input, 0.0) / listed
    expected = min(max(1 + np.float64(weights[0]) * saved + np.float64(weights[1]) * made, _LEAST), _MOST)
    return expected, _held(saved / expected), _held(made / expected)


@compiled
def _held(part: float) -> float:
    return min(max(part, -_MOST_PART), _MOST_PART)


@compiled
def _rise(ratio: float, before: float) -> float:
    """How much a ratio is above another, close to the logarithm and never beyond two; NaN where either is unknown."""
    return 2 * (ratio - before) / (ratio + before)


@compiled
def _doubt(seen: NDArray[np.float32], saved: float, made: float) -> float:
    """How little is known of parts that differ by so much, over what a single minute like that would have told."""
    a, b, both, size = _normal(seen)
    return max((saved * saved * b + made * made * a - 2 * saved * made * both) / size, 0.0)


@compiled
def _normal(seen: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """The matrix of what was seen, never singular, and its determinant."""
    squares, both = (np.float64(seen[0]), np.float64(seen[1])), np.float64(seen[2])
    ridge = _RIDGE + _ROUNDING * (squares[0] + squares[1])
    a, b = squares[0] + ridge, squares[1] + ridge
    return a, b, both, a * b - both * both


@compiled
def _learn(weights: NDArray[np.float32], seen: NDArray[np.float32], saved: float, made: float, rise: float) -> None:
    """Take that a ratio rose by so much where parts differ by so much."""
    seen[0] = _KEPT * np.float64(seen[0]) + saved * saved
    seen[1] = _KEPT * np.float64(seen[1]) + made * made
    seen[2] = _KEPT * np.float64(seen[2]) + saved * made
    a, b, both, size = _normal(seen)
    weights[0] = _within(np.float64(weights[0]) + (b * saved - both * made) / size * rise)
    weights[1] = _within(np.float64(weights[1]) + (a * made - both * saved) / size * rise)


@compiled
def _within(weight: float) -> float:
    return min(max(weight, -_MOST_WEIGHT), _MOST_WEIGHT)
