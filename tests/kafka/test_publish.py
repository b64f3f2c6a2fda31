from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.publish import RECEIVED_HEADER, UNKNOWN, PublishError, publish
from streams.kafka.topics import create_topics
from tests.kafka.reading import read


def line(source: str, number: int) -> bytes:
    return b'{"id":"%d","source":"%s"}' % (number, source.encode())


def test_lines_of_every_kind_of_file_arrive_in_order_each_source_on_one_partition(
    kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics(kafka, shards=1)
    sources = [f"gateway-{n}" for n in range(12)]
    lines = [line(sources[n % 12], n) for n in range(6000)]
    plain, packed = tmp_path / "a.ndjson", tmp_path / "b.ndjson.gz"
    plain.write_bytes(b"\n".join(lines[:2000]) + b"\n\n")
    packed.write_bytes(gzip.compress(b"\n".join(lines[2000:4000])))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(lines[4000:]))))
    told: list[int] = []

    total = publish(kafka, "usage", [plain, packed, Path("-")], told.append)

    records = read(kafka, "usage")
    assert total == 6000 == sum(told)
    assert len(told) > 1
    assert sorted(record.value for record in records) == sorted(lines)
    for number, source in enumerate(sources):
        own = [record for record in records if record.key == source.encode()]
        assert len({record.partition for record in own}) == 1
        assert [record.value for record in own] == lines[number::12]
    assert len({record.partition for record in records}) == kafka.usage_partitions
    assert dict(records[0].headers) == {RECEIVED_HEADER: UNKNOWN}


def test_a_line_too_long_is_named_by_file_and_line(kafka: KafkaSettings, tmp_path: Path) -> None:
    create_topics(kafka, shards=1)
    path = tmp_path / "long.ndjson"
    path.write_bytes(line("a", 1) + b"\n" + b"x" * 1_000_001)

    with pytest.raises(PublishError, match=r"long.ndjson:2: 1000001 bytes, at most 1000000"):
        publish(kafka, "usage", [path])
