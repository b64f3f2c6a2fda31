"""Columns of which some rows change, as pages: what has changed is written, over what was written before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.state import codec
from detectors.state.pages import LARGEST_PART_BYTES, Pages, Part, names_below

_LEAST_ROWS = 1024
"""So many rows are written with any that change."""
_MOST_SEGMENTS = 64
_ALIGNED_BYTES = 8


class _Segment(msgspec.Struct, frozen=True):
    """A segment's number, and how far the rotation was once it was written."""

    number: int
    lap: int
    cursor: int


class _Head(msgspec.Struct, frozen=True):
    """What stands before the columns of some rows: their types and shapes, the rows' own places first."""

    segment: _Segment
    columns: list[tuple[str, tuple[int, ...]]]


def _packed(segment: _Segment, row: NDArray[np.intp], columns: list[NDArray[Any]]) -> bytes:
    """Some rows of all columns in one piece: a head, then each column as it lies in memory, copied but once."""
    shapes = [(column.dtype.str, (len(row), *column.shape[1:])) for column in columns]
    head = codec.encode(_Head(segment, [(row.dtype.str, row.shape), *shapes]))
    places = _places([row.nbytes, *(column[:1].nbytes * len(row) for column in columns)], len(head))
    packed = np.zeros(places[-1], np.uint8)
    packed[:_ALIGNED_BYTES].view("<u8")[0] = len(head)
    packed[_ALIGNED_BYTES : _ALIGNED_BYTES + len(head)] = np.frombuffer(head, np.uint8)
    packed[places[0] : places[0] + row.nbytes].view(row.dtype)[:] = row
    for column, (_, shape), start in zip(columns, shapes, places[1:], strict=False):
        room = packed[start : start + column[:1].nbytes * len(row)].view(column.dtype).reshape(shape)
        np.take(column, row, axis=0, out=room, mode="clip")  # which checks nothing and so copies at once
    return packed.tobytes()


def _unpacked(part: bytes) -> tuple[_Segment, list[NDArray[Any]]]:
    """Return the segment, the rows' places and their columns."""
    length = int(np.frombuffer(part, "<u8", 1)[0])
    head = codec.decode(part[_ALIGNED_BYTES : _ALIGNED_BYTES + length], _Head)
    kinds = [np.dtype(kind) for kind, _ in head.columns]
    sizes = [math.prod(shape) for _, shape in head.columns]
    places = _places([size * kind.itemsize for size, kind in zip(sizes, kinds, strict=True)], length)
    return head.segment, [
        np.frombuffer(part, kind, size, start).reshape(shape)
        for kind, size, start, (_, shape) in zip(kinds, sizes, places, head.columns, strict=False)
    ]


def _places(sizes_bytes: list[int], head_bytes: int) -> list[int]:
    """Where columns of some sizes begin behind a head, and where the last one ends."""
    places = [-(-(_ALIGNED_BYTES + head_bytes) // _ALIGNED_BYTES) * _ALIGNED_BYTES]
    for size in sizes_bytes:
        places.append(places[-1] + -(-size // _ALIGNED_BYTES) * _ALIGNED_BYTES)
    return places


class Rows:
    """Columns of which some rows change, as segments: rows that have changed, each segment over those before it.

    Beside the changed rows, a segment holds as many others in rotation. So once the rotation has come round, whatever
    an old segment holds stands in newer ones, and it is gone. A checkpoint writes no more than twice what has changed
    (or a 64th of all, if that is more), and all segments together hold little more than twice the rows there are.

    Parameters
    ----------
    name
        Of the pages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._segments: list[_Segment] = []
        self._now = _Segment(0, 0, 0)

    def changes(self, columns: list[NDArray[Any]], changed: NDArray[np.bool_], anew: bool = False) -> Iterator[Part]:
        """Give a segment of the changed rows, and the segments that are gone.

        Parameters
        ----------
        columns
            With at least as many rows as ``changed`` has.
        changed
            Which rows have changed since the last time; a row that never changed holds what an empty one holds.
        anew
            Whether all rows are others than before: then all that ever changed have, and no segment stays.
        """
        if anew:
            yield from ((self._page(segment), None) for segment in self._segments)
            self._segments, self._now = [], _Segment(self._now.number, self._now.lap, 0)
        rows, count = len(changed), int(np.count_nonzero(changed))
        if not count:
            return
        chosen = self._rotate(changed, max(count, rows // _MOST_SEGMENTS, _LEAST_ROWS))
        at_once = max(LARGEST_PART_BYTES // (sum(column[:1].nbytes for column in columns) + 16), 1)
        name = self._page(self._now)
        for first in range(0, len(chosen), at_once):
            row = chosen[first : first + at_once]
            yield name, _packed(self._now, row, columns)
        self._segments.append(self._now)
        while (self._segments[0].lap + 1, self._segments[0].cursor) <= (self._now.lap, self._now.cursor):
            yield self._page(self._segments.pop(0)), None

    def _rotate(self, changed: NDArray[np.bool_], share: int) -> NDArray[np.intp]:
        """Go on by so many rows; return them with those that have changed, rising."""
        rows, chosen, now = len(changed), changed.copy(), self._now
        start, end = now.cursor, now.cursor + share
        if share >= rows:
            chosen[:] = True
            self._now = _Segment(now.number + 1, now.lap + 1, start)
        elif end < rows:
            chosen[start:end] = True
            self._now = _Segment(now.number + 1, now.lap, end)
        else:
            chosen[start:] = chosen[: end - rows] = True
            self._now = _Segment(now.number + 1, now.lap + 1, end - rows)
        return np.flatnonzero(chosen)

    def load(self, pages: Pages, columns: list[NDArray[Any]]) -> None:
        """Fill the rows of empty columns in."""
        for name in names_below(pages, self._name):
            for part in pages.pop(name):
                self._now, (row, *found) = _unpacked(part)
                for column, values in zip(columns, found, strict=True):
                    column[row] = values
            self._segments.append(self._now)

    def _page(self, segment: _Segment) -> str:
        return f"{self._name}/{segment.number:012}"
