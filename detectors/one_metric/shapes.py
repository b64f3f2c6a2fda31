"""The shapes that a metric's windows usually have: probabilistic principal components.

Tipping and Bishop, *Probabilistic Principal Component Analysis*, 1999: a window is odd if it lies far out along the
usual components, or far off them, each in units of what is usual there.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_WINDOW = 256
WINDOW_WITHOUT_PERIOD = 32
_KEPT = 0.9
_TRIM = 0.98
_MOST_ODD = 0.02
"""Windows with more odd rows than this are not learned from, unless most are like that."""


class Shapes(msgspec.Struct, frozen=True):
    """What windows usually look like."""

    mean: Floats
    components: Floats
    """Shape (window, components)."""
    variance: Floats
    noise: float
    """Variance along every other direction."""

    @property
    def window(self) -> int:
        """Rows in a window."""
        return len(self.mean)


def fit(past: Floats, odd: NDArray[np.bool_], window: int, scale: float) -> Shapes | None:
    """Learn shapes from the past, oldest first, leaving out what was odd; None if there is too little of it."""
    if len(past) < 6 * window or scale <= 0:
        return None
    stride = max(window // 64, 1)
    windows = np.lib.stride_tricks.sliding_window_view(past, window)[::stride]
    calm = np.lib.stride_tricks.sliding_window_view(odd, window)[::stride].mean(axis=1) <= _MOST_ODD
    if calm.mean() >= 0.5:
        windows = windows[calm]
    mean = windows.mean(axis=0)
    rest = windows - mean
    size = (rest**2).sum(axis=1)
    rest = rest[size <= np.quantile(size, _TRIM)]
    strength, directions = np.linalg.eigh(rest.T @ rest / len(rest))
    strength, directions = strength[::-1], directions[:, ::-1]
    share = np.cumsum(strength) / strength.sum()
    keep = min(int(np.searchsorted(share, _KEPT)) + 1, window // 2)
    noise = max(float(strength[keep:].mean()), 1e-6 * scale**2)
    return Shapes(mean, np.ascontiguousarray(directions[:, :keep]), np.maximum(strength[:keep], noise), noise)


def misfit(shapes: Shapes, values: Floats, place: int, rows: int) -> Floats:
    """How odd the windows are that end at each of the newest values: log of the mean squared distance.

    Parameters
    ----------
    shapes
        What is usual.
    values
        The window - 1 values before, and then the newest, oldest first.
    place, rows
        Always worked on as a table of so many windows, the first of these at that place in it, so that rounding does
        not depend on how many come at once.
    """
    count = len(values) - shapes.window + 1
    padded = np.concatenate([np.zeros(place), values, np.zeros(rows - place - count)])
    rest = np.lib.stride_tricks.sliding_window_view(padded, shapes.window) - shapes.mean
    along = rest @ shapes.components
    off = np.maximum((rest**2).sum(axis=1) - (along**2).sum(axis=1), 0.0)
    distance = (along**2 / shapes.variance).sum(axis=1) + off / shapes.noise
    return np.asarray(np.log(distance / shapes.window + 1e-3)[place : place + count])
