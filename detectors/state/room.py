"""Room: columns with a row each for whatever is numbered as it appears; they grow, and rows are taken out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

S = TypeVar("S", bound=tuple[Any, ...])

_FEWEST_ROWS = 64


def with_room(columns: S, rows: int, empty: Callable[[int], S]) -> S:
    """Return columns that have at least so many rows: these, or roomier ones with their rows.

    A quarter more is made than there was, and some dozens at least, so that growing row by row copies each row five
    times at most, and what was made for nobody yet stays small beside what is there.

    Parameters
    ----------
    columns
        Arrays, and behind the first one tuples of arrays, too, whose first dimension is the rows.
    rows
        How many are needed.
    empty
        Makes columns with so many rows, as they are before anything was seen.

    Examples
    --------
    >>> (roomier,) = with_room((np.arange(100),), 101, lambda rows: (np.zeros(rows, int),))
    >>> len(roomier), roomier[98:102].tolist()
    (125, [98, 99, 0, 0])
    """
    have = len(columns[0])
    if rows <= have:
        return columns
    roomier = empty(max(rows, have + have // 4, _FEWEST_ROWS))
    for column, into in zip(flat(columns), flat(roomier), strict=True):
        into[:have] = column
    return roomier


def flat(columns: tuple[Any, ...]) -> Iterator[NDArray[Any]]:
    """Give all columns, those of tuples within included.

    Examples
    --------
    >>> [len(column) for column in flat((np.zeros(1), (np.zeros(2), np.zeros(3))))]
    [1, 2, 3]
    """
    for column in columns:
        if isinstance(column, np.ndarray):
            yield column
        else:
            yield from flat(column)


def rows_of(columns: S, rows: NDArray[np.integer[Any]]) -> S:
    """Return some rows of all columns of a named tuple, as another one of its kind."""
    kind: Any = type(columns)
    some = (column[rows] if isinstance(column, np.ndarray) else rows_of(column, rows) for column in columns)
    return cast("S", kind._make(some))


def renew(columns: S, rows: NDArray[np.integer[Any]], empty: Callable[[int], S]) -> None:
    """Make some rows what they were before anything was seen."""
    for column, fresh in zip(flat(columns), flat(empty(1)), strict=True):
        column[rows] = fresh
