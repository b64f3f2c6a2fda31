"""When a load has been judged: from outside, by what stands on the topics."""

from __future__ import annotations

import asyncio
import time

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from detectors.events import Alert
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import new_consumer
from tests.benchmarks.kafka.load import Load

DEADLINE_SECONDS = 400


def until_judged(settings: KafkaSettings, load: Load) -> float:
    """Wait for the alert that the last minute of a load raises; return when it could be read (Unix seconds)."""
    return asyncio.run(_until_judged(settings, load))


async def _until_judged(settings: KafkaSettings, load: Load) -> float:
    last = load.after(load.minutes - 1)
    async with asyncio.timeout(DEADLINE_SECONDS), new_consumer(settings, settings.topic("alerts")) as consumer:
        async for record in consumer:
            alert = msgspec.json.decode(record.value, type=Alert)
            if alert.scope.get("service") == load.last_service and alert.time >= last:
                return time.time()
    raise RuntimeError("the consumer ended")


def first_taken(settings: KafkaSettings) -> float:
    """Return when a worker took the first usage (Unix seconds): frames are stamped with it."""
    return asyncio.run(_first_taken(settings))


async def _first_taken(settings: KafkaSettings) -> float:
    async with new_consumer(settings, settings.topic("frames")) as consumer:
        return min([await _first_stamp(consumer, place) for place in consumer.assignment()])


async def _first_stamp(consumer: AIOKafkaConsumer, place: TopicPartition) -> float:
    await consumer.seek_to_beginning(place)
    record = await consumer.getone(place)
    return float(record.timestamp) / 1000
