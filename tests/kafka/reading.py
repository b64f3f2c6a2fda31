"""Plain reading of topics, for comparing what is there with what should be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import new_consumer

DEADLINE_SECONDS = 60

Record = Any
"""A ConsumerRecord; aiokafka ships no types."""


async def read_topic(settings: KafkaSettings, name: str) -> list[Record]:
    """Return all committed messages of a topic, by partition and offset.

    A commit is answered before its markers are written, so the end is that of what was sent, and what is
    committed is awaited up to there.
    """
    topic = settings.topic(name)
    async with asyncio.timeout(DEADLINE_SECONDS):
        async with new_consumer(settings, topic, isolation_level="read_uncommitted") as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
        found: list[Record] = []
        async with new_consumer(settings, topic) as consumer:
            while [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
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
