"""Messages in bulk are what aiokafka reads one by one, however their batches were written."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from detectors.clock import NEVER
from detectors.intake.raw import RawBatch
from streams.kafka import bulk
from streams.kafka import record_batch as log
from streams.kafka.bulk import Bulk, Fetched
from streams.kafka.publish import RECEIVED_HEADER, UNKNOWN

PLACE = TopicPartition("raw", 3)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
PRODUCER = 77
HEADER_BYTES, RECORDS_COUNT = 61, 57
ATTRIBUTES = struct.calcsize(">qiibI")
MARK = (RECEIVED_HEADER, UNKNOWN)
Record = tuple[bytes | None, int, list[tuple[str, bytes]]]


class Batch(NamedTuple):
    """Records that are written together; ``aborted`` ones belong to a transaction that was."""

    records: list[Record]
    codec: int = 0
    gap: int = 0
    aborted: bool = False


VALUES = st.none() | st.binary(max_size=40) | st.integers(100, 20_000).map(lambda size: b"x" * size)
HEADERS = st.lists(st.sampled_from([MARK, (RECEIVED_HEADER, b"known"), ("trace", b""), ("é", b"\n")]), max_size=3)
RECORDS = st.tuples(VALUES, st.integers(-1, 2**52), HEADERS)
BATCHES = st.builds(
    Batch, st.lists(RECORDS, min_size=1, max_size=5), st.sampled_from(list(CODECS.values())), st.integers(0, 3),
    st.booleans(),
)  # fmt: skip


def written(batch: Batch, offset: int, more_attributes: int = 0) -> bytes:
    """Bytes of a batch whose first record has an offset."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=batch.codec, is_transactional=batch.aborted,
        producer_id=PRODUCER if batch.aborted else -1, producer_epoch=0, base_sequence=0, batch_size=1_000_000,
    )  # fmt: skip
    for number, (value, timestamp, headers) in enumerate(batch.records):
        builder.append(number, timestamp, b"key" if number % 2 else None, value, headers)
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, offset)
    attributes = struct.unpack_from(">h", data, ATTRIBUTES)[0] | more_attributes
    struct.pack_into(">h", data, ATTRIBUTES, attributes)
    return bytes(data)


def abort_marker(offset: int) -> bytes:
    """Bytes of the control batch that ends an aborted transaction."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=True, producer_id=PRODUCER, producer_epoch=0, base_sequence=-1,
        batch_size=1000,
    )  # fmt: skip
    builder.append(0, 0, struct.pack(">hh", 0, 0), b"", [])
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, offset)
    struct.pack_into(">h", data, ATTRIBUTES, log.IS_TRANSACTIONAL | log.IS_CONTROL)
    return bytes(data)


def log_of(batches: list[Batch]) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the bytes of batches with gaps between them, as compaction leaves them, and what was aborted."""
    data, offset, aborted = b"", 0, []
    for batch in batches:
        offset += batch.gap
        data += written(batch, offset)
        if batch.aborted:
            aborted.append((PRODUCER, offset))
        offset += len(batch.records)
        if batch.aborted:
            data += abort_marker(offset)
            offset += 1
    return data, aborted


def fetched(data: bytes, first: int, bulk: Bulk | None, aborted: list[tuple[int, int]]) -> fetcher.PartitionRecords:
    """What a consumer is given of bytes that it fetched from an offset on."""
    return fetcher.PartitionRecords(
        PLACE, fetcher.MemoryRecords(data), aborted, first, None, bulk, False, fetcher.READ_COMMITTED
    )


def one_by_one(records: fetcher.PartitionRecords) -> Iterator[tuple[int, bytes, int]]:
    for record in records:
        minute = min(record.timestamp // 60_000, 2**31 - 1)
        yield record.offset, record.value or b"", NEVER if MARK in record.headers else minute


def rows_of(batch: RawBatch) -> list[tuple[int, bytes, int]]:
    payloads = [batch.payload(number) for number in range(len(batch))]
    return list(zip(batch.offset.tolist(), payloads, batch.received_minute.tolist(), strict=True))


@given(st.lists(BATCHES, min_size=1, max_size=4), st.integers(0, 12), st.integers(0, 60), st.integers(1, 8))
@pytest.mark.parametrize("compiled", [True, False])
def test_in_bulk_or_one_by_one_messages_and_the_place_to_read_on_are_the_same(
    compiled: bool, batches: list[Batch], first: int, cut_off: int, most: int
) -> None:
    data, aborted = log_of(batches)
    data = data[: len(data) - cut_off]
    first = min(first, batches[0].gap + len(batches[0].records) - 1)  # a broker begins with the batch that holds it
    plain = fetched(data, first, None, aborted)
    expected = list(one_by_one(plain))

    in_bulk = fetched(data, first, Bulk({"raw": "usage"}, most, compiled=compiled), aborted)
    given_together: list[Fetched] = list(in_bulk)

    assert [row for one in given_together for row in rows_of(one.messages)] == expected
    assert in_bulk.next_fetch_offset == plain.next_fetch_offset
    for one in given_together:
        assert one.messages.offset[-1] < one.next_offset <= in_bulk.next_fetch_offset
        assert (one.messages.kind, one.messages.partition) == ("usage", PLACE.partition)


def test_as_many_batches_are_given_together_as_hold_enough_messages() -> None:
    record: Record = (b"{}", 0, [])
    data, _ = log_of([Batch([record] * 3)] * 5)
    given_together = list(fetched(data, 0, Bulk({"raw": "usage"}, 6), []))
    assert [(len(one.messages), one.next_offset) for one in given_together] == [(6, 6), (6, 12), (3, 15)]


def test_where_the_broker_says_when_all_of_a_batch_came_that_counts() -> None:
    data = written(Batch([(b"a", 60_000, []), (b"b", 180_000, [])]), 0, log.IS_APPEND_TIME)
    (one,) = fetched(data, 0, Bulk({"raw": "usage"}, 10), [])
    assert one.messages.received_minute.tolist() == [3, 3]


def test_after_warming_up_batches_find_their_machine_code_loaded() -> None:
    bulk.warm_up()
    before = list(log.decode.signatures)  # type: ignore[attr-defined]  # numba keeps what it compiled
    data, _ = log_of([Batch([(b"{}", 0, [])], codec) for codec in CODECS.values()])
    assert len(list(fetched(data, 0, Bulk({"raw": "usage"}, 1), []))) == len(CODECS)
    assert list(log.decode.signatures) == before  # type: ignore[attr-defined]


@pytest.mark.parametrize("magic", [0, 1])
def test_formats_of_before_are_read_too(magic: int) -> None:
    builder = LegacyRecordBatchBuilder(magic, 0, 10_000)
    for number in range(3):
        builder.append(number, 120_000, None, b"value %d" % number)
    (one,) = fetched(bytes(builder.build()), 1, Bulk({"raw": "usage"}, 10), [])
    came = None if magic == 0 else 2
    assert [(message.payload, message.received_minute) for message in one.messages] == [
        (b"value 1", came),
        (b"value 2", came),
    ]


def test_no_more_records_are_believed_in_than_their_bytes_can_hold() -> None:
    data = bytearray(written(Batch([(b"{}", 0, [])]), 0))
    struct.pack_into(">i", data, RECORDS_COUNT, 2**30)
    with pytest.raises(CorruptRecordException, match="1073741824 records"):
        list(fetched(bytes(data), 0, Bulk({"raw": "usage"}, 10), []))


@pytest.mark.parametrize("size", [-20, -12, 0, 2])
def test_a_length_that_no_batch_can_have_is_told_when_it_is_read(size: int) -> None:
    data = bytearray(written(Batch([(b"{}", 0, [])]), 0))
    struct.pack_into(">i", data, struct.calcsize(">q"), size)
    records = fetched(bytes(data), 0, Bulk({"raw": "usage"}, 10), [])
    with pytest.raises(CorruptRecordException, match=f"a batch of {size} bytes"):
        list(records)


@given(st.lists(RECORDS, min_size=1, max_size=4), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=3))
def test_broken_records_are_noticed_or_read_alike_and_nothing_outside_them_is_touched(
    records: list[Record], strikes: list[tuple[int, int]]
) -> None:
    data = np.frombuffer(written(Batch(records), 0)[HEADER_BYTES:], np.uint8).copy()
    for place, byte in strikes:
        data[place % len(data)] = byte
    data.setflags(write=False)
    sections = np.array([log.Section(0, len(data), 0, 0, counts_ms=True)], np.int64)
    mark, value = (np.frombuffer(text, np.uint8) for text in (RECEIVED_HEADER.encode(), UNKNOWN))
    made = []
    for read in (log.decode, log.decode.py_func):  # type: ignore[attr-defined]  # numba keeps what it compiled
        into = log.Decoded(*(np.zeros(len(data), kind) for kind in (np.int64, np.int64, bool, np.uint8, np.int64)))
        with np.errstate(over="ignore"):
            rows = read(data, sections, 0, mark, value, into)
        made.append(
            (rows, *(column[: max(rows, 0)].tolist() for column in into[:3]), into.end[: max(rows, 0)].tolist())
        )
    assert made[0] == made[1]
