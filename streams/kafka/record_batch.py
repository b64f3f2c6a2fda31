"""Record batches of Kafka's log, from bytes into columns, by compiled code.

The format is version 2 of https://kafka.apache.org/documentation/#messageformat: a header of 61 bytes, then records one
after the other, which the header may say are compressed.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from aiokafka.errors import CorruptRecordException
from numpy.typing import NDArray

from detectors.compiled import compiled, inlined

FORMAT = 2
CODEC_MASK, IS_APPEND_TIME, IS_TRANSACTIONAL, IS_CONTROL = 0x07, 0x08, 0x10, 0x20
SMALLEST_RECORD_BYTES = 7
"""Length, attributes, time, offset, key, value and headers of a record that holds nothing."""

_HEADER = struct.Struct(">qiibIhiqqqhii")
_BEHIND_OFFSET, _BEHIND_LENGTH = struct.calcsize(">q"), struct.calcsize(">qi")
_SMALLEST_BATCH_BYTES = 26
"""A message of format 0 that holds nothing; smaller than the header of format 2."""
_FORMAT_PLACE = struct.calcsize(">qii")

BROKEN = -1
_MORE, _SEVEN, _ONE = np.uint64(0x80), np.uint64(7), np.uint64(1)
_MOST_BYTES = 10


class BatchHeader(NamedTuple):
    """What a batch says of itself, in the order of the log."""

    base_offset: int
    size: int
    leader_epoch: int
    format: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_ms: int
    largest_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def next_offset(self) -> int:
        """The offset behind the batch, whether or not its last record is still there."""
        return self.base_offset + self.last_offset_delta + 1


def whole_batches(log: memoryview) -> list[memoryview]:
    """Return the batches of a piece of a log; one that is cut off at its end is left out.

    Raises
    ------
    CorruptRecordException
        If one says that it is shorter than any can be.
    """
    found, at = [], 0
    while len(log) - at > _FORMAT_PLACE:
        size = int.from_bytes(log[at + _BEHIND_OFFSET : at + _BEHIND_LENGTH], signed=True)
        stop = at + _BEHIND_LENGTH + size
        if stop - at < _SMALLEST_BATCH_BYTES:
            raise CorruptRecordException(f"a batch of {size} bytes")
        if stop > len(log):
            break
        found.append(log[at:stop])
        at = stop
    return found


def format_of(batch: memoryview) -> int:
    """Return the version of the format that a batch is written in."""
    return batch[_FORMAT_PLACE]


def header_of(batch: memoryview) -> BatchHeader:
    """Return what a batch of :data:`FORMAT` says of itself."""
    return BatchHeader(*_HEADER.unpack_from(batch))


def records_of(batch: memoryview) -> memoryview:
    """Return what stands behind the header."""
    return batch[_HEADER.size :]


class Section(NamedTuple):
    """The records of one batch, unpacked: where they stand, and what their deltas count from."""

    begin: int
    end: int
    base_offset: int
    base_ms: int
    counts_ms: bool
    """Whether records have times of their own, or all that of the batch."""


class Decoded(NamedTuple):
    """Columns that :func:`decode` fills in, a row a record."""

    offset: NDArray[np.int64]
    came_ms: NDArray[np.int64]
    has_mark: NDArray[np.bool_]
    """Whether the record has the header that was asked for."""
    text: NDArray[np.uint8]
    """Values one after the other, a zero byte behind each; nothing for a record without one."""
    end: NDArray[np.int64]
    """Where the zero byte of each stands."""


@compiled
def decode(
    data: NDArray[np.uint8], sections: NDArray[np.int64], first_offset: int, mark: NDArray[np.uint8],
    mark_value: NDArray[np.uint8], into: Decoded,
) -> int:  # fmt: skip
    """Read records; return how many there are from ``first_offset`` on, :data:`BROKEN` if they are no records.

    Parameters
    ----------
    data
        Bytes of unpacked records.
    sections
        :class:`Section` a row, shape (batches, 5).
    first_offset
        What stands before it is skipped: a batch begins where it was written, not where somebody reads on.
    mark, mark_value
        Name and value of a header that is looked for.
    into
        Filled in. ``text`` is at least as long as ``data``, the others as there can be records.
    """
    row, written = 0, 0
    for section in range(len(sections)):
        at, stop = int(sections[section, 0]), int(sections[section, 1])
        base_offset, base_ms, counts_ms = sections[section, 2], sections[section, 3], sections[section, 4]
        while at < stop:
            size, at = _varint(data, at, stop)
            over = _behind(at, size, stop)
            later_ms, at = _varint(data, at + 1, over)
            delta, at = _varint(data, at, over)
            key_size, at = _varint(data, at, over)
            value_size, at = _varint(data, _behind(at, max(key_size, 0), over), over)
            headers_at = _behind(at, max(value_size, 0), over)
            has_mark = _has_mark(data, headers_at, over, mark, mark_value)
            if has_mark == BROKEN or row == len(into.offset):
                return BROKEN
            if base_offset + delta >= first_offset:
                into.offset[row], into.has_mark[row] = base_offset + delta, has_mark == 1
                into.came_ms[row] = base_ms + later_ms * counts_ms
                _copy(data, at, into.text, written, headers_at - at)
                written += headers_at - at
                into.text[written], into.end[row] = 0, written
                written += 1
                row += 1
            at = over
    return row


@compiled
def _copy(data: NDArray[np.uint8], at: int, into: NDArray[np.uint8], to: int, size: int) -> None:
    """Copy bytes; of indices without a sign the compiler need not ask whether they count from the end."""
    source, target = np.uint64(at), np.uint64(to)
    for place in range(np.uint64(size)):
        into[target + place] = data[source + place]


@inlined
def _varint(data: NDArray[np.uint8], at: int, stop: int) -> tuple[int, int]:
    """Read a whole number, seven bits a byte, its sign in the lowest bit; return it and the place behind it."""
    value, bits, last = np.uint64(0), np.uint64(0), min(at + _MOST_BYTES, stop) - 1
    while 0 <= at < last and data[at] >= _MORE:
        value |= (np.uint64(data[at]) ^ _MORE) << bits
        bits += _SEVEN
        at += 1
    if not 0 <= at <= last or data[at] >= _MORE:
        return 0, BROKEN
    value |= np.uint64(data[at]) << bits
    half = int(np.int64(value >> _ONE))
    return half if value & _ONE == 0 else ~half, at + 1


@inlined
def _behind(at: int, size: int, stop: int) -> int:
    """Return the place behind so many bytes."""
    return at + size if at != BROKEN and 0 <= size <= stop - at else BROKEN


@compiled
def _has_mark(
    data: NDArray[np.uint8], at: int, over: int, mark: NDArray[np.uint8], mark_value: NDArray[np.uint8]
) -> int:
    """Whether there is a header of that name and value, one or zero; :data:`BROKEN` if these are no headers."""
    found = 0
    headers, at = _varint(data, at, over)
    while headers > 0 and at != BROKEN:
        name_size, name_at = _varint(data, at, over)
        size, value_at = _varint(data, _behind(name_at, name_size, over), over)
        at = _behind(value_at, max(size, 0), over)
        if at != BROKEN and _is(data, name_at, name_size, mark) and _is(data, value_at, size, mark_value):
            found = 1
        headers -= 1
    return found if headers == 0 and at == over and at != BROKEN else BROKEN


@inlined
def _is(data: NDArray[np.uint8], at: int, size: int, wanted: NDArray[np.uint8]) -> bool:
    place = 0
    while size == len(wanted) and place < size and data[at + place] == wanted[place]:
        place += 1
    return bool(place == len(wanted))
