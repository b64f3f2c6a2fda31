"""Discords: the last cycle as a whole, unlike every earlier one.

The distance of a window to the nearest earlier one is the left matrix profile (Lu et al., *Matrix Profile XXIV*, KDD
2022), here of windows about their mean, so that an amplitude counts and a level does not. A window is drawn with few
points, each the mean of some rows; earlier ones are looked for coarsely over all the past, then closely about the best.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MOST_POINTS = 48
_MOST_WINDOW = 192
_WINDOW_WITHOUT_PERIOD = 64
LEAST_WINDOWS = 6
"""So many windows long the past must be."""
_MOST_EARLIER = 512
"""So many earlier windows are looked at coarsely, spread evenly over the past."""
_OLDEST = 0.2
"""What the oldest point of a window weighs; the newest weighs one."""
_MOST_ODD = 0.25
"""Windows with more odd rows than this are no example, unless most are like that."""


def window_of(period: int) -> int:
    """Return how many rows a window has: a cycle, if it is not too long, in whole points.

    Examples
    --------
    >>> window_of(24), window_of(100), window_of(0)
    (24, 99, 64)
    """
    window = min(period or _WINDOW_WITHOUT_PERIOD, _MOST_WINDOW)
    return window - window % _rows_a_point(window)


def distances(past: Floats, odd: NDArray[np.bool_], newest: Floats, window: int, place: int, rows: int) -> Floats:
    """Return the distance of each newest window to the nearest earlier one, root mean square by point.

    Parameters
    ----------
    past, odd
        Values before the table that the newest belong to, oldest first, and which of them were odd.
    newest
        The ``window - 1`` values before the table, then those of the table up to now, oldest first.
    window
        Rows in a window, see :func:`window_of`.
    place, rows
        Always worked on as a table of so many windows, the first of the newest at that place in it, so that rounding
        does not depend on how many come at once.

    Notes
    -----
    An earlier window is one that shares no row with the table's windows.
    """
    count = len(newest) - window + 1
    calm, is_odd = past[: len(past) - window], odd[: len(past) - window]
    stride = max(len(calm) // _MOST_EARLIER, 1)
    every = _drawn(calm, window)
    starts = np.arange(0, len(every), stride)
    odd_rows = np.concatenate([[0], is_odd.cumsum()])
    is_example = odd_rows[starts + window] - odd_rows[starts] <= _MOST_ODD * window
    starts = starts[is_example] if is_example.mean() >= 0.5 else starts
    earlier = _about_mean(every[starts])
    table = _about_mean(_drawn(np.concatenate([newest, np.zeros(rows - count)]), window))
    squares = (table**2).sum(axis=1)[:, None] + (earlier**2).sum(axis=1) - 2 * table @ earlier.T
    near = starts[squares.argmin(axis=1)][:, None] + np.arange(-(stride // 2), stride // 2 + 1)
    near = np.clip(near, 0, len(every) - 1)
    off = _about_mean(every[near]) - table[:, None]
    nearest = np.einsum("ijk,ijk->ij", off, off).min(axis=1)
    return np.asarray(np.sqrt(nearest)[place:count])


def _rows_a_point(window: int) -> int:
    return -(-window // _MOST_POINTS)


def _drawn(values: Floats, window: int) -> Floats:
    """Return every window of some values as points, (windows, points)."""
    rows = _rows_a_point(window)
    means = np.convolve(values, np.full(rows, 1 / rows), "valid")
    return np.lib.stride_tricks.sliding_window_view(means, window - rows + 1)[:, ::rows]


def _about_mean(windows: Floats) -> Floats:
    """Return windows, (..., points), each about its own mean, so that squares add up to the mean square."""
    weight = _weights(windows.shape[-1])
    return np.asarray((windows - (windows @ weight)[..., None]) * np.sqrt(weight))


def _weights(points: int) -> Floats:
    """Return what the points of a window weigh, the newest most, one together: an incident is soon behind it."""
    weight = np.linspace(_OLDEST, 1.0, points)
    return np.asarray(weight / weight.sum())
