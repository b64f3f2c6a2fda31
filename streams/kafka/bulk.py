"""Messages in bulk: a consumer that gives what it has fetched as columns, without an object a record.

aiokafka makes three objects of each record, which takes longer than reading, checking and pricing what is in it. Its
fetcher wraps what came of a partition in ``PartitionRecords``, which gives records and knows where to read on.
Importing this module puts one in that place that also gives many records at once, to a consumer that asks for it with a
:class:`Bulk`. All else (sessions, leaders, retries, positions, rebalances) stays aiokafka's, and so do consumers that
do not ask. The version of aiokafka is pinned, and a test holds every way to write a batch against its own reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import msgspec
import numpy as np
from aiokafka import ConsumerRecord
from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from numpy.typing import NDArray

from detectors.clock import NEVER
from detectors.compiled import is_compiled
from detectors.intake.raw import DEFAULT_ENVIRONMENT, Kind, RawBatch, RawMessage
from streams.kafka import record_batch as log
from streams.kafka.publish import RECEIVED_HEADER, UNKNOWN

MOST_BYTES = 6_000_000
"""Batches are read together until their records, unpacked, come to so many bytes; the last one may go beyond it."""

_UNPACK: dict[int, Callable[[bytes], bytes]] = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}
_MARK, _MARK_VALUE = (np.frombuffer(text, np.uint8) for text in (RECEIVED_HEADER.encode(), UNKNOWN))
_MS_PER_MINUTE = 60_000
_EARLIEST_MINUTE, _LATEST_MINUTE = NEVER + 1, 2**31 - 1


class Fetched(msgspec.Struct, frozen=True):
    """Messages of one partition, and the offset where its reading goes on behind them."""

    messages: RawBatch
    next_offset: int


class Bulk:
    """Asks a consumer for :class:`Fetched` instead of records; to be given as its ``value_deserializer``.

    Parameters
    ----------
    kind_of
        What kind of message a topic holds.
    most_messages
        About so many at once; whole batches. May be set anew at any time.
    compiled
        Whether batches are read by machine code; interpreted, aiokafka's reading is faster.
    """

    def __init__(
        self, kind_of: Mapping[str, Kind], most_messages: int, *, compiled: bool = is_compiled(log.decode)
    ) -> None:
        self.kind_of = kind_of
        self.most_messages = most_messages
        self.compiled = compiled

    def __call__(self, value: bytes | None) -> bytes | None:
        """Return a value as it is."""
        return value


def warm_up() -> None:
    """Load the machine code that reads batches, so that no real message waits for it."""
    _decoded("usage", 0, _Picked([b" "], [log.Section(0, 0, 0, 0, counts_ms=True)]), 0)


class _Log:
    """What was fetched of a partition: aiokafka's batches, and the bytes that they are made of."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        batches = MemoryRecords(data)
        self.has_next, self.next_batch, self.size_in_bytes = batches.has_next, batches.next_batch, batches.size_in_bytes


class _Picked(msgspec.Struct):
    """Batches to be read together."""

    pieces: list[memoryview | bytes]
    sections: list[log.Section]
    bytes: int = 0
    records: int = 0

    def add(self, batch: memoryview, header: log.BatchHeader) -> None:
        """Add a batch, unpacked."""
        codec = header.attributes & log.CODEC_MASK
        records: memoryview | bytes = log.records_of(batch)
        if codec:
            records = bytes(_UNPACK[codec](bytes(records)))
        if not 0 <= header.records * log.SMALLEST_RECORD_BYTES <= len(records):
            raise CorruptRecordException(f"{header.records} records in {len(records)} bytes at {header.base_offset}")
        counts_ms = not header.attributes & log.IS_APPEND_TIME
        base_ms = header.base_ms if counts_ms else header.largest_ms
        end = self.bytes + len(records)
        self.sections.append(log.Section(self.bytes, end, header.base_offset, base_ms, counts_ms))
        self.pieces.append(records)
        self.bytes = end
        self.records += header.records


class _PartitionRecords(fetcher.PartitionRecords):
    """aiokafka's records of a partition, as many at once as a :class:`Bulk` asks for."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[ConsumerRecord | Fetched]:
        bulk, records = self._value_deserializer, super()._unpack_records()
        return self._in_bulk(bulk, records) if isinstance(bulk, Bulk) else records

    def _in_bulk(self, bulk: Bulk, records: Iterator[ConsumerRecord]) -> Iterator[Fetched]:
        batches = log.whole_batches(self._records.data)
        if bulk.compiled and all(log.format_of(batch) == log.FORMAT for batch in batches):
            yield from self._in_columns(bulk, batches)
        else:
            yield from self._from_records(bulk, records)

    def _from_records(self, bulk: Bulk, records: Iterator[ConsumerRecord]) -> Iterator[Fetched]:
        kind = bulk.kind_of[self._tp.topic]
        while some := list(islice(records, bulk.most_messages)):
            messages = RawBatch.of([_message_of(kind, record) for record in some])
            yield Fetched(messages, self.next_fetch_offset)

    def _in_columns(self, bulk: Bulk, batches: list[memoryview]) -> Iterator[Fetched]:
        """Give the messages of whole batches, of at least one at once."""
        picked = _Picked([], [])
        reads_on = self.next_fetch_offset
        for batch in batches:
            header = log.header_of(batch)
            if self._check_crcs and not DefaultRecordBatch(batch).validate_crc():
                raise CorruptRecordException(f"wrong checksum of {self._tp} at {header.base_offset}")
            if not self._holds_nothing(batch, header):
                picked.add(batch, header)
            reads_on = header.next_offset
            if picked.records >= bulk.most_messages or picked.bytes >= MOST_BYTES:
                yield from self._read(bulk, picked, reads_on)
                picked = _Picked([], [])
        yield from self._read(bulk, picked, reads_on)

    def _holds_nothing(self, batch: memoryview, header: log.BatchHeader) -> bool:
        """Whether a batch is for the log's own use, or of a transaction that was aborted, as aiokafka tells it."""
        is_control = bool(header.attributes & log.IS_CONTROL)
        if self._isolation_level == fetcher.READ_COMMITTED:
            self._consume_aborted_up_to(header.base_offset)
            if is_control and self._contains_abort_marker(iter(DefaultRecordBatch(batch))):
                self._aborted_producers.discard(header.producer_id)
        is_transactional = bool(header.attributes & log.IS_TRANSACTIONAL)
        return is_control or (is_transactional and header.producer_id in self._aborted_producers)

    def _read(self, bulk: Bulk, picked: _Picked, reads_on: int) -> Iterator[Fetched]:
        """Give what was picked, unless it is nothing, and read on behind it."""
        first, self.next_fetch_offset = self.next_fetch_offset, reads_on
        if picked.sections:
            messages = _decoded(bulk.kind_of[self._tp.topic], self._tp.partition, picked, first)
            if messages:
                yield Fetched(messages, reads_on)


def _decoded(kind: Kind, partition: int, picked: _Picked, first_offset: int) -> RawBatch:
    """Return the messages of batches from an offset on."""
    data = np.frombuffer(picked.pieces[0] if len(picked.pieces) == 1 else b"".join(picked.pieces), np.uint8)
    into = _room_for(picked)
    rows = log.decode(data, np.array(picked.sections, np.int64), first_offset, _MARK, _MARK_VALUE, into)
    if rows == log.BROKEN:
        raise CorruptRecordException(f"no records in a batch of records, {kind} {partition} at {first_offset}")
    written = int(into.end[rows - 1]) + 1 if rows else 0
    text = into.text[: written + len(DEFAULT_ENVIRONMENT)]
    text[written:] = np.frombuffer(DEFAULT_ENVIRONMENT, np.uint8)
    text.setflags(write=False)
    minute = np.clip(into.came_ms[:rows] // _MS_PER_MINUTE, _EARLIEST_MINUTE, _LATEST_MINUTE).astype(np.int32)
    minute[into.has_mark[:rows]] = NEVER
    return RawBatch(kind, partition, into.offset[:rows], minute, text, into.end[:rows])


def _room_for(picked: _Picked) -> log.Decoded:
    records = picked.records
    text: NDArray[np.uint8] = np.empty(picked.bytes + len(DEFAULT_ENVIRONMENT), np.uint8)
    return log.Decoded(
        np.empty(records, np.int64), np.empty(records, np.int64), np.empty(records, np.bool_), text,
        np.empty(records, np.int64),
    )  # fmt: skip


def _message_of(kind: Kind, record: ConsumerRecord) -> RawMessage:
    minute = None
    if record.timestamp is not None and (RECEIVED_HEADER, UNKNOWN) not in record.headers:
        minute = min(max(record.timestamp // _MS_PER_MINUTE, _EARLIEST_MINUTE), _LATEST_MINUTE)
    return RawMessage(kind, record.partition, record.offset, record.value or b"", minute)


fetcher.PartitionRecords, fetcher.MemoryRecords = _PartitionRecords, _Log
