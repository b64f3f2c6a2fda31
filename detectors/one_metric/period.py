"""The length of a cycle, from the past alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_PERIOD = 4
_CLEAR = 0.3


def period_of(values: NDArray[np.float64]) -> int:
    """Rows in a cycle, or 0 where there is none.

    The first clear peak of the autocorrelation (by FFT, Wiener-Khinchin) that at least three cycles support.

    Parameters
    ----------
    values
        The past, oldest first, shape (rows,).

    Examples
    --------
    >>> period_of(np.sin(np.arange(600) * 2 * np.pi / 48))
    48
    """
    rows = len(values)
    if rows < 3 * LEAST_PERIOD:
        return 0
    low, high = np.quantile(values, [0.01, 0.99])
    calm = np.clip(values, low, high)
    calm = calm - np.polyval(np.polyfit(np.arange(rows), calm, 1), np.arange(rows))
    power = np.abs(np.fft.rfft(calm, 2 * rows)) ** 2
    correlation = np.fft.irfft(power)[: rows // 3]
    if correlation[0] <= 1e-12 * max(float(np.abs(values).max()), 1e-300) ** 2 * rows:
        return 0
    correlation = correlation / correlation[0] * (rows / (rows - np.arange(len(correlation))))
    first_dip = int(np.argmax(correlation < 0)) if (correlation < 0).any() else len(correlation)
    rest = correlation[max(first_dip, LEAST_PERIOD) :]
    if not len(rest) or rest.max() < _CLEAR:
        return 0
    start = max(first_dip, LEAST_PERIOD)
    clear = np.flatnonzero(rest > 0.9 * rest.max())
    hill = clear[: int(np.argmax(np.diff(clear, append=len(rest) + 2) > 1)) + 1]
    return start + int(hill[0]) + int(rest[hill].argmax())
