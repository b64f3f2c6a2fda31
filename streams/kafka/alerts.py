"""The last word of each incident on Kafka, read from the topic of alerts alone: from any machine, with no worker up."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from aiokafka.admin import AIOKafkaAdminClient

from detectors.events import Alert
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import connection, new_consumer, records_between
from streams.kafka.status import partitions_of
from streams.kafka.topics import ALERTS
from streams.last_words import LastWords, newest_of_each
from streams.wording import at_utc


async def read_alerts(settings: KafkaSettings) -> LastWords:
    """Return the newest committed alert of each incident that the topic still holds.

    Raises
    ------
    LookupError
        If the topic is not there, or holds what is no alert.
    """
    topic = settings.topic(ALERTS)
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        places = await partitions_of(admin, topic)
    finally:
        await admin.close()
    alerts: list[Alert] = []
    oldest_ms: list[int] = []
    async with new_consumer(settings) as consumer:
        consumer.assign(places)
        first = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            async for record in records_between(consumer, place, first[place], ends[place]):
                alerts.append(_alert_in(record.value, f"offset {record.offset} of {topic}"))
                oldest_ms.append(record.timestamp)
    missing = _deleted(topic, min(oldest_ms, default=None)) if any(first.values()) else ""
    return LastWords(newest_of_each(alerts), missing)


def _alert_in(value: bytes, at: str) -> Alert:
    try:
        return msgspec.json.decode(value, type=Alert)
    except msgspec.DecodeError as error:
        raise LookupError(f"{at} is no alert: {error}; who else writes to it?") from error


def _deleted(topic: str, oldest_ms: int | None) -> str:
    """Say from when on alerts are known, where Kafka has deleted any."""
    deleted = "Kafka has deleted what is older (kafka.retention_hours)"
    if oldest_ms is None:
        return f"{topic} holds no alert any more: {deleted}"
    since = at_utc(datetime.fromtimestamp(oldest_ms / 1000, UTC))
    return f"{topic} looks back to {since}: {deleted}, and what is open without a word since is not known"
