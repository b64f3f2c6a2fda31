"""What only a broker brings: batches that unpack to far more than they weigh, and messages without a value."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import new_producer, open_admin
from tests.faults.hostile import event
from tests.kafka.reading import read, wait_for
from tests.kafka.running import Worker, config_for

CODECS = ("gzip", "zstd", "lz4")
BOMB = bytes(48 * 1024 * 1024)
"""More than a message may weigh, and than Burstwatch could send on."""


async def send_batch(kafka: KafkaSettings, codec: str, *values: bytes | None) -> None:
    """Send values as one compressed batch."""
    beyond_limits = {"max_request_size": 2**31 - 1, "max_batch_size": 2**31 - 1, "linger_ms": 500}
    async with new_producer(kafka, compression_type=codec, **beyond_limits) as producer:
        sent = [await producer.send(kafka.topic("usage"), value, key=b"k", partition=0) for value in values]
        await asyncio.gather(*sent)


def test_a_batch_that_unpacks_to_a_bomb_stops_nothing(
    kafka: KafkaSettings, tmp_path: Path, run: Callable[..., Worker]
) -> None:
    kafka = msgspec.structs.replace(kafka, usage_partitions=1)
    config = config_for(tmp_path / "config", kafka)
    for codec in CODECS:
        before, after = (json.dumps(event(f"{codec}-{place}")).encode() for place in ("before", "after"))
        asyncio.run(send_batch(kafka, codec, before, BOMB, None, after))
    worker = run(Worker(config)).wait_until_ready()

    wait_for(lambda: worker.figure("burstwatch_events_taken_total") == 2 * len(CODECS), "all that is valid")
    wait_for(lambda: worker.figure("burstwatch_events_rejected_total") == 2 * len(CODECS), "all that is not")
    refused = [(dict(record.headers), record.value) for record in read(kafka, "rejected")]
    assert [headers["reason"] for headers, _ in refused] == [b"oversized", b"not_json"] * len(CODECS)
    for headers, kept in refused[::2]:
        assert headers["detail"].startswith(b"%d bytes, at most" % len(BOMB))
        assert kept
        assert BOMB.startswith(kept)
    worker.stop()


def test_a_topic_that_keeps_batches_unpacked_refuses_the_bomb_itself(kafka: KafkaSettings) -> None:
    admin = open_admin(kafka)
    unpacked = {"num_partitions": 1, "configs": {"compression.type": "uncompressed"}}
    admin.create_topics({kafka.topic("usage"): unpacked}, wait_for_metadata=True)
    admin.close()
    with pytest.raises(MessageSizeTooLargeError):
        asyncio.run(send_batch(kafka, "gzip", BOMB))
