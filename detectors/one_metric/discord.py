"""Discords: the last cycle as a whole, unlike every earlier one.

The distance of a window to the nearest earlier one is the left matrix profile (Lu et al., *Matrix Profile XXIV*, KDD
2022), here of windows about their mean, so that an amplitude counts and a level does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_WINDOW = 96
WINDOW_WITHOUT_PERIOD = 64
LEAST_WINDOWS = 6
"""So many windows long the past must be."""
_MOST_EARLIER = 512
"""So many earlier windows are looked at, spread evenly over the past."""
_MOST_ODD = 0.25
"""Windows with more odd rows than this are no example, unless most are like that."""


def distances(past: Floats, odd: NDArray[np.bool_], newest: Floats, window: int, place: int, rows: int) -> Floats:
    """Return the distance of each newest window to the nearest earlier one, root mean square by row.

    Parameters
    ----------
    past, odd
        Values before the table that the newest belong to, oldest first, and which of them were odd.
    newest
        The ``window - 1`` values before the table, then those of the table up to now, oldest first.
    window
        Rows in a window.
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
    earlier = np.lib.stride_tricks.sliding_window_view(calm, window)[::stride]
    is_example = np.lib.stride_tricks.sliding_window_view(is_odd, window)[::stride].mean(axis=1) <= _MOST_ODD
    earlier = _about_mean(earlier[is_example] if is_example.mean() >= 0.5 else earlier)
    padded = np.concatenate([newest, np.zeros(rows - count)])
    table = _about_mean(np.lib.stride_tricks.sliding_window_view(padded, window))
    squares = (table**2).sum(axis=1)[:, None] + (earlier**2).sum(axis=1) - 2 * table @ earlier.T
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0) / window)[place:count])


def _about_mean(windows: Floats) -> Floats:
    """Return windows, (windows, rows), each about its own mean."""
    return np.asarray(windows - windows.mean(axis=1, keepdims=True))
