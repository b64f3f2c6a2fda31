"""How rare a number is, by what was seen of its like: the empirical share, and beyond it an exponential tail.

The tail is the Gumbel domain of extreme value theory (Siffer et al., *Anomaly Detection in Streams with Extreme Value
Theory*, KDD 2017), its size drawn towards the one that a wholly exponential past would have, since few rows lie in it.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARE = 0.02
"""The part of the past that is called the tail."""
MEMORY_ROWS = 2048
LEAST_ROWS = 64
"""Rows before which nothing is called rare."""
_PRIOR_ROWS = 5
_MOST_DEPTH = 60.0


class Tail(msgspec.Struct):
    """A ring of numbers, and from it, set anew by :func:`settle`, what is usual."""

    ring: Floats
    two_sided: bool
    count: int = 0
    centre: float = 0.0
    threshold: float = 0.0
    size: float = 1.0
    """Mean of what lies beyond the threshold."""
    usual: Floats | None = None
    """Distances from the centre, in order; None until there were enough."""


def start(*, two_sided: bool) -> Tail:
    """Nothing seen; one-sided is what is odd only when high."""
    return Tail(np.zeros(MEMORY_ROWS), two_sided)


def learn(tail: Tail, numbers: Floats) -> None:
    """Remember numbers, the newest last."""
    tail.ring[(tail.count + np.arange(len(numbers))) % MEMORY_ROWS] = numbers
    tail.count += len(numbers)


def settle(tail: Tail) -> None:
    """Set what is usual from what is remembered."""
    if tail.count < LEAST_ROWS:
        return
    past = tail.ring[: min(tail.count, MEMORY_ROWS)]
    tail.centre = float(np.median(past))
    usual = np.sort(_distance(tail, past))
    tail.threshold = float(usual[int(len(usual) * (1 - SHARE))])
    beyond = usual[usual > tail.threshold] - tail.threshold
    exponential = tail.threshold / math.log(1 / SHARE)
    size = (float(beyond.sum()) + _PRIOR_ROWS * exponential) / (len(beyond) + _PRIOR_ROWS)
    tail.size = max(size, exponential / 2)
    tail.usual = usual


def rarity(tail: Tail, numbers: Floats, heaviness: float) -> Floats:
    """Return minus the decimal logarithm of each number's p-value.

    Parameters
    ----------
    tail
        What is usual.
    numbers
        Shape (rows,).
    heaviness
        Shape of the generalised Pareto tail: 0 is exponential; above 0 rarity grows more slowly, for numbers that hang
        together from row to row, of which the past has shown fewer than it has rows.
    """
    if tail.usual is None:
        return np.zeros(len(numbers))
    distance, rows = _distance(tail, numbers), len(tail.usual)
    if tail.threshold <= 0:  # it stood still: stirring at all happened less than once in so many rows
        return np.where(distance > 0, math.log10(rows + 1), 0.0)
    share = (rows - np.searchsorted(tail.usual, distance)) / rows
    beyond = np.minimum(np.maximum(distance - tail.threshold, 0.0) / tail.size, _MOST_DEPTH)
    depth = np.log1p(heaviness * beyond) / heaviness if heaviness else beyond
    within = -np.log10(np.clip(share, SHARE, 1.0))
    return np.where(distance > tail.threshold, depth / math.log(10) - math.log10(SHARE), within)


def _distance(tail: Tail, numbers: Floats) -> Floats:
    distance = numbers - tail.centre
    return np.abs(distance) if tail.two_sided else np.maximum(distance, 0.0)
