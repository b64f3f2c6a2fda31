"""When a load has been judged: from outside, by what stands on the topics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.kafka.client import new_consumer
from streams.kafka.settings import KafkaSettings
from tests.benchmarks.kafka.load import UNPRICED

DEADLINE_SECONDS = 400


async def until_alert(
    settings: KafkaSettings, wanted: Callable[[ConsumerRecord], bool], seconds: float = DEADLINE_SECONDS
) -> float:
    """Wait for an alert; return when it could be read (Unix seconds)."""
    async with asyncio.timeout(seconds), new_consumer(settings, settings.topic("alerts")) as consumer:
        async for record in consumer:
            if wanted(record):
                return time.time()
    raise RuntimeError("the consumer ended")


def closes_the_load(record: ConsumerRecord) -> bool:
    """Whether an alert is the one that the last minute of a load raises."""
    return UNPRICED.encode() in record.value


async def first_taken(settings: KafkaSettings) -> float:
    """Return when a worker took the first usage (Unix seconds): frames are stamped with it."""
    async with new_consumer(settings, settings.topic("frames")) as consumer:
        return min([await _first_stamp(consumer, place) for place in consumer.assignment()])


async def _first_stamp(consumer: AIOKafkaConsumer, place: TopicPartition) -> float:
    await consumer.seek_to_beginning(place)
    record = await consumer.getone(place)
    return float(record.timestamp) / 1000
