"""Which of a metric's odd rows are worth a page, when so many pages in so long are wanted.

A row is worth one if rows so odd have been rarer than that. Rows near each other are one episode and page once. When
the pages of the last period are spent, only what is odder than all of them, and ten times as rare as need be, is worth
another.
"""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_QUIET_ROWS = 12
_BEYOND = 0.1
"""What pages beyond the budget may come to, as a part of it."""


class Promise(msgspec.Struct, frozen=True):
    """So many pages in a period of so many rows, at most."""

    pages: float
    period_rows: float
    quiet_rows: float
    """Rows without anything rare that end an episode."""


class Kept(msgspec.Struct):
    """How the promise has been kept so far."""

    row: int = 0
    rare_at: int | None = None
    """The last row that was rare enough."""
    paged: deque[tuple[int, float]] = msgspec.field(default_factory=deque)
    """Row and score of the pages of the last period."""


def start() -> Kept:
    """Nothing paged yet."""
    return Kept()


def step(kept: Kept, promise: Promise, scores: Floats, p_values: Floats) -> tuple[Kept, NDArray[np.bool_]]:
    """Say which of the next rows page.

    Examples
    --------
    >>> week = Promise(pages=1, period_rows=1000, quiet_rows=12)
    >>> kept, pages = step(start(), week, np.array([0.1, 0.8, 0.9, 0.2]), np.array([0.5, 1e-6, 1e-7, 0.4]))
    >>> pages.tolist()
    [False, True, False, False]
    """
    pages = np.zeros(len(scores), bool)
    expected = p_values * promise.period_rows / promise.pages
    for n in np.flatnonzero(expected <= 1).tolist():
        row = kept.row + n
        new = kept.rare_at is None or row - kept.rare_at > promise.quiet_rows
        kept.rare_at = row
        if new and _affordable(kept, promise, row, float(scores[n]), rarest=bool(expected[n] <= _BEYOND)):
            kept.paged.append((row, float(scores[n])))
            pages[n] = True
    kept.row += len(scores)
    return kept, pages


def _affordable(kept: Kept, promise: Promise, row: int, score: float, *, rarest: bool) -> bool:
    while kept.paged and row - kept.paged[0][0] >= promise.period_rows:
        kept.paged.popleft()
    if len(kept.paged) + 1 <= max(promise.pages, 1.0):
        return True
    return rarest and score > max(earlier for _, earlier in kept.paged)
