"""Texts that stand in one buffer of bytes, numbered: equal texts get one number, and so do equal rows of numbers.

Written for compiled code: open addressing, rows compared in full, so that no two texts are ever taken for one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled, inlined

_FNV_PRIME = np.uint64(0x100000001B3)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR, _SECOND_FACTOR = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF, _BYTE, _ONE, _ZERO = np.uint64(32), np.uint64(8), np.uint64(1), np.uint64(0)
_FIRST_SHIFT, _SECOND_SHIFT, _THIRD_SHIFT = np.uint64(30), np.uint64(27), np.uint64(31)
_WORD_BYTES = 8


@compiled
def number_texts(
    data: NDArray[np.uint8], spans: NDArray[np.int64], table: NDArray[np.int32], numbers: NDArray[np.int32],
    firsts: NDArray[np.int32],
) -> int:  # fmt: skip
    """Number texts in the order in which they first occur; return how many differ.

    Parameters
    ----------
    data
        Where they stand.
    spans
        Where each begins and ends, (rows, 2).
    table
        An :func:`empty_table`; filled in.
    numbers
        Filled in, (rows,).
    firsts
        Filled in: the first row of each number; has room for all rows.
    """
    mask, count = len(table) - 1, 0
    for row in range(len(spans)):
        start, stop = spans[row, 0], spans[row, 1]
        if row > 0 and _are_equal(data, spans[row - 1, 0], spans[row - 1, 1], start, stop):
            numbers[row] = numbers[row - 1]  # as most often, and cheaper than a hash
            continue
        slot = _hash(data, start, stop) & mask
        while table[slot] >= 0:
            known = firsts[table[slot]]
            if _are_equal(data, spans[known, 0], spans[known, 1], start, stop):
                break
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot], firsts[count] = count, row
            count += 1
        numbers[row] = table[slot]
    return count


@compiled
def number_rows(
    rows: NDArray[np.int32], table: NDArray[np.int32], known: NDArray[np.int32], count: int, numbers: NDArray[np.int32]
) -> int:
    """Number rows of numbers in the order in which they first occur; return how many are known then.

    Parameters
    ----------
    rows
        Shape (rows, columns).
    table
        An :func:`empty_table`, or one that this has filled in before; filled in.
    known, count
        Those that were numbered before, and how many; filled in, has room for all that are new, (room, columns).
    numbers
        Filled in, (rows,).
    """
    mask = len(table) - 1
    for row in range(len(rows)):
        mixed = _ZERO
        for column in range(rows.shape[1]):
            mixed = _mix(mixed + np.uint64(rows[row, column]) + _GOLDEN)
        slot = np.int64(mixed >> _HALF) & mask
        while table[slot] >= 0 and not _are_same(known, table[slot], rows, row):
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = count
            for column in range(rows.shape[1]):
                known[count, column] = rows[row, column]
            count += 1
        numbers[row] = table[slot]
    return count


@compiled
def identify(
    data: NDArray[np.uint8], sources: NDArray[np.int64], ids: NDArray[np.int64], identities: NDArray[np.uint64]
) -> None:
    """Fill in what :func:`detectors.intake.columns.identity_of` tells of (source, id); both are spans, (rows, 2)."""
    for row in range(len(identities)):
        total, word, place, filled = _ZERO, _ZERO, _ZERO, 0
        middle = sources[row, 1] - sources[row, 0]
        size = middle + 1 + ids[row, 1] - ids[row, 0]
        for at in range(size):
            if at < middle:
                word |= np.uint64(data[sources[row, 0] + at]) << (np.uint64(filled) * _BYTE)
            elif at > middle:
                word |= np.uint64(data[ids[row, 0] + at - middle - 1]) << (np.uint64(filled) * _BYTE)
            filled += 1
            if filled == _WORD_BYTES or at == size - 1:
                place += _GOLDEN
                total += _mix(word + place) if word != _ZERO else _ZERO
                word, filled = _ZERO, 0
        identities[row] = _mix(total)


def empty_table(rows: int) -> NDArray[np.int32]:
    """Return empty slots for so many rows, at most half of which will be taken."""
    return np.full(1 << (2 * rows).bit_length(), -1, np.int32)


@inlined
def _hash(data: NDArray[np.uint8], start: np.int64, stop: np.int64) -> np.int64:
    """Return Fowler, Noll and Vo's hash, its halves put together."""
    mixed = _GOLDEN
    for at in range(np.uint64(start), np.uint64(stop)):
        mixed = (mixed ^ np.uint64(data[at])) * _FNV_PRIME
    return np.int64((mixed ^ (mixed >> _HALF)) >> _ONE)


@inlined
def _are_equal(
    data: NDArray[np.uint8], start: np.int64, stop: np.int64, other_start: np.int64, other_stop: np.int64
) -> bool:
    size, place = np.uint64(stop - start), _ZERO
    one, other = np.uint64(start), np.uint64(other_start)
    is_as_long = other_stop - other_start == stop - start
    while is_as_long and place < size and data[one + place] == data[other + place]:
        place += _ONE
    return bool(is_as_long and place == size)


@inlined
def _are_same(known: NDArray[np.int32], one: np.int32, rows: NDArray[np.int32], other: int) -> bool:
    column = 0
    while column < rows.shape[1] and known[one, column] == rows[other, column]:
        column += 1
    return bool(column == rows.shape[1])


@inlined
def _mix(x: np.uint64) -> np.uint64:
    """Return Steele, Lea and Flood's SplitMix64 finaliser."""
    x = (x ^ (x >> _FIRST_SHIFT)) * _FIRST_FACTOR
    x = (x ^ (x >> _SECOND_SHIFT)) * _SECOND_FACTOR
    return x ^ (x >> _THIRD_SHIFT)
