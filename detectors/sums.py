"""Sums of whole numbers that cannot overflow: what would is held at the most.

A single event is held to limits; a million of them are not. Held so, sums of what is not negative are never negative
and still do not depend on order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_SUM = 4 * 10**18
"""Two of them fit 64 bits; as nano-dollars, four thousand million dollars."""

_LOW_BITS = 31


def sums_of(values: NDArray[np.int64], starts: NDArray[np.intp]) -> NDArray[np.int64]:
    """Sum groups of columns; sums above :data:`MOST_SUM` are that.

    Parameters
    ----------
    values
        Not negative and at most :data:`MOST_SUM`, shape (measures, rows), at least one row.
    starts
        Where each group begins, rising from 0, shape (groups,).

    Examples
    --------
    >>> sums_of(np.array([[1, 2, 3]]), np.array([0, 2])).tolist()
    [[3, 3]]
    >>> sums_of(np.full((1, 100), 10**17), np.array([0, 50])).tolist()
    [[4000000000000000000, 4000000000000000000]]
    """
    sums = np.add.reduceat(values, starts, axis=1)
    if int(values.max(initial=0)) <= MOST_SUM // values.shape[1]:
        return np.asarray(sums, np.int64)
    high = np.add.reduceat(values >> _LOW_BITS, starts, axis=1)
    high += np.add.reduceat(values & (2**_LOW_BITS - 1), starts, axis=1) >> _LOW_BITS
    return np.where(high < MOST_SUM >> _LOW_BITS, sums, MOST_SUM)
