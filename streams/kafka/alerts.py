"""The last word of each incident on Kafka: as the outbox keeps it, and newer ones in the topic of alerts.

Read from the broker alone: from any machine, with no worker up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from detectors.clock import MINUTES_PER_DAY
from detectors.events import Alert
from detectors.incidents.life import ENDED_KEPT, ENDED_KEPT_MINUTES
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.checkpoint import Root
from streams.kafka.client import new_consumer, records_between
from streams.kafka.deliver import SENDER_OF_ALERTS
from streams.kafka.lease import SEQUENCE_HEADER
from streams.kafka.saved_outbox import read_outbox
from streams.kafka.status import newest_root, places_of
from streams.kafka.topics import ALERTS, STATE_INCIDENTS
from streams.last_words import LastWords, newest_of_each
from streams.wording import at_utc


class _Topic(msgspec.Struct):
    """What the topic holds: its alerts, since when (Unix milliseconds), its first offset and its first alert's number.

    The number is the sender's; None where there is no alert.
    """

    name: str
    first: int
    number: int | None = None
    alerts: list[Alert] = []
    oldest_ms: int | None = None


async def read_alerts(settings: KafkaSettings) -> LastWords:
    """Return the newest committed alert of each incident that is open, or was lately.

    Raises
    ------
    LookupError
        If a topic is not there, or holds what it should not.
    """
    seen = await read_outbox(settings)  # first: what comes meanwhile is in the topic
    topic = await _read_topic(settings)
    kept = seen.outbox.last_words() if seen else []
    alerts = newest_of_each([*kept, *topic.alerts])
    if not topic.first:  # nothing was ever deleted
        return LastWords(alerts)
    if seen is None or not await _is_next_to(settings, seen.root, topic):
        return LastWords(alerts, _deleted(topic.name, topic.oldest_ms))
    return LastWords(alerts, _without_a_word(seen.outbox.open_incidents(), alerts), _ends_kept(topic.name))


async def _is_next_to(settings: KafkaSettings, root: Root, topic: _Topic) -> bool:
    """Whether no alert was deleted that the outbox had yet to take.

    Offsets alone do not tell: the broker's own markers, which nobody takes, are deleted as well.
    """
    if root.next_offset >= topic.first:
        return True
    taken, number = root.next_sequence.get(SENDER_OF_ALERTS, 0), topic.number
    if number is None:
        incidents = await newest_root(settings, STATE_INCIDENTS)
        number = incidents.outputs if incidents else 0
    return number <= taken


async def _read_topic(settings: KafkaSettings) -> _Topic:
    (place,) = await places_of(settings, ALERTS)
    async with new_consumer(settings) as consumer:
        consumer.assign([place])
        first = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        topic = _Topic(place.topic, first)
        async for record in records_between(consumer, place, first, end):
            if not topic.alerts:
                topic.number = int(dict(record.headers).get(SEQUENCE_HEADER, record.offset))
            topic.alerts.append(_alert_in(record.value, f"offset {record.offset} of {topic.name}"))
            topic.oldest_ms = min(topic.oldest_ms or record.timestamp, record.timestamp)
    return topic


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


def _without_a_word(opened: set[str], alerts: Iterable[Alert]) -> str:
    """Say which incidents are open of which no word is kept: an older version kept none."""
    unknown = sorted(opened - {alert.alert_id for alert in alerts})
    return f"also open, told of before this version kept last words: {', '.join(unknown)}" if unknown else ""


def _ends_kept(topic: str) -> str:
    days = ENDED_KEPT_MINUTES // MINUTES_PER_DAY
    return (
        f"what was over is kept for {days} days, the newest {ENDED_KEPT:,} of it, and for as long as {topic} holds it"
    )
