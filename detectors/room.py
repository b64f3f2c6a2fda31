"""Room: columns that grow and shrink, with a row each for whatever is numbered as it appears."""

from __future__ import annotations

from collections.abc import Callable
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
    _copy(columns, roomier, have)
    return roomier


def rows_of(columns: S, rows: NDArray[np.intp]) -> S:
    """Return some rows of columns, in columns of their own; ``columns`` is a named tuple of arrays."""
    kind: Any = type(columns)
    return cast("S", kind(*(column[rows] for column in columns)))


def _copy(columns: tuple[Any, ...], into: tuple[Any, ...], rows: int) -> None:
    for column, roomier in zip(columns, into, strict=True):
        if isinstance(column, np.ndarray):
            roomier[:rows] = column
        else:
            _copy(cast("tuple[Any, ...]", column), roomier, rows)
