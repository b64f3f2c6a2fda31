"""Plain reading of topics, for comparing what is there with what should be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiokafka import ConsumerRecord

from streams.kafka.client import new_consumer
from streams.kafka.settings import KafkaSettings

DEADLINE_SECONDS = 60

Record = ConsumerRecord[bytes | None, bytes]


async def read_topic(settings: KafkaSettings, name: str) -> list[Record]:
    """Return all committed messages of a topic, by partition and offset."""
    topic = settings.topic(name)
    async with asyncio.timeout(DEADLINE_SECONDS), new_consumer(settings, topic) as consumer:
        partitions = list(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        found: list[Record] = []
        while [tp for tp in partitions if await consumer.position(tp) < ends[tp]]:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
        return sorted(found, key=lambda record: (record.partition, record.offset))


def read(settings: KafkaSettings, name: str) -> list[Record]:
    """Do the same where no event loop runs."""
    return asyncio.run(read_topic(settings, name))


def wait_for(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until a condition holds, and fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
