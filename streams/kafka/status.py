"""Status: how far each partition of each stage is, who owns it, and how old its last checkpoint is.

Read from the broker alone, so it works from any machine and while every worker is down.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import stamina
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from detectors.clock import NEVER
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.checkpoint import OWNER, ROOT, Root, owner_in
from streams.kafka.client import connection, new_consumer, records_between
from streams.kafka.intake import high_minute_in
from streams.kafka.topics import (
    ALERTS,
    CANDIDATES,
    DEPLOYMENTS,
    FRAMES,
    STATE_DELIVER,
    STATE_INCIDENTS,
    STATE_WATCH,
    USAGE,
)

LANES = (("watch", FRAMES, STATE_WATCH), ("incidents", CANDIDATES, STATE_INCIDENTS), ("deliver", ALERTS, STATE_DELIVER))
_FIRST_LOOK_RECORDS = 64
"""From the end of a state topic; a root is seldom farther back, and where it is we look twice as far."""

_COORDINATOR_SECONDS = 15.0


class PartitionStatus(msgspec.Struct, frozen=True):
    """How one partition of one stage stands.

    ``lag`` counts input offsets not yet contained, the broker's own markers included. ``event_minute`` is up to which
    minute of event time it has come, ``checkpoint_ms`` when the state was last saved (Unix milliseconds), ``owner`` who
    holds the lease, since ``held_since_ms``; None where that does not apply or nothing was ever saved.
    """

    stage: str
    partition: int
    lag: int
    event_minute: int | None = None
    checkpoint_ms: int | None = None
    owner: str | None = None
    held_since_ms: int | None = None


class OwnLane(msgspec.Struct, frozen=True):
    """A lane as the process knows it that holds it."""

    stage: str
    place: TopicPartition
    next_offset: int
    event_minute: int | None
    checkpoint_ms: int | None
    held_since_ms: int | None


async def read_own(settings: KafkaSettings, lanes: Sequence[OwnLane], owner: str) -> list[PartitionStatus]:
    """Return how lanes stand that this process holds; who holds the outbox tells of the raw partitions too.

    Raises
    ------
    KafkaError, LookupError
        If the broker does not say.
    """
    admin = AIOKafkaAdminClient(**connection(settings))
    async with new_consumer(settings) as consumer:
        await admin.start()
        try:
            tells_of_raw = any(lane.place.topic == settings.topic(ALERTS) for lane in lanes)
            rows = await _raw(settings, consumer, admin) if tells_of_raw else []
            ends = await consumer.end_offsets([lane.place for lane in lanes])
        finally:
            await admin.close()
    return rows + [
        PartitionStatus(
            lane.stage, lane.place.partition, ends[lane.place] - lane.next_offset, lane.event_minute,
            lane.checkpoint_ms, owner, lane.held_since_ms,
        )
        for lane in lanes
    ]  # fmt: skip


async def read_status(settings: KafkaSettings) -> list[PartitionStatus]:
    """Return how every partition stands, in the order in which an event passes them.

    Raises
    ------
    LookupError
        If a topic is not there.
    """
    admin = AIOKafkaAdminClient(**connection(settings))
    async with new_consumer(settings) as consumer:
        await admin.start()
        try:
            rows = await _raw(settings, consumer, admin)
            for stage, given, state in LANES:
                places = await partitions_of(admin, settings.topic(given))
                rows += [await _lane(consumer, stage, place, settings.topic(state)) for place in places]
        finally:
            await admin.close()
    return rows


async def _raw(
    settings: KafkaSettings, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient
) -> list[PartitionStatus]:
    """How far intake is on the topics that senders write to."""
    places = [place for kind in (USAGE, DEPLOYMENTS) for place in await partitions_of(admin, settings.topic(kind))]
    ends = await consumer.end_offsets(places)
    first = await consumer.beginning_offsets(places)
    # A broker that has never had a group makes ready for the first one.
    async for attempt in stamina.retry_context(on=GroupCoordinatorNotAvailableError, timeout=_COORDINATOR_SECONDS):
        with attempt:
            done = await admin.list_consumer_group_offsets(f"{settings.application}-intake", partitions=places)
    rows = []
    for place in places:
        committed = done.get(place)
        offset = max(committed.offset if committed else -1, first[place])
        minute = high_minute_in(committed.metadata) if committed and committed.offset >= 0 else NEVER
        stage = f"intake {place.topic.removeprefix(settings.topic_prefix)}"
        known = None if minute == NEVER else minute
        rows.append(PartitionStatus(stage, place.partition, ends[place] - offset, known))
    return rows


class _Saved(msgspec.Struct):
    """The newest that a state topic says: its root, when that was written, and who has taken the lease since."""

    root: Root | None = None
    saved_ms: int | None = None
    owner: str | None = None
    held_since_ms: int | None = None


async def _lane(consumer: AIOKafkaConsumer, stage: str, given: TopicPartition, state: str) -> PartitionStatus:
    """How far one lane's last checkpoint is."""
    saved = await _newest(consumer, TopicPartition(state, given.partition))
    first = (await consumer.beginning_offsets([given]))[given]
    lag = (await consumer.end_offsets([given]))[given] - (saved.root.next_offset if saved.root else first)
    minute = saved.root.reached if saved.root else None
    return PartitionStatus(stage, given.partition, lag, minute, saved.saved_ms, saved.owner, saved.held_since_ms)


async def newest_root(settings: KafkaSettings, state: str, partition: int = 0) -> Root | None:
    """Return what the last checkpoint of a lane says, or None before the first."""
    async with new_consumer(settings) as consumer:
        return (await _newest(consumer, TopicPartition(settings.topic(state), partition))).root


async def _newest(consumer: AIOKafkaConsumer, place: TopicPartition) -> _Saved:
    """Look back from the end of a state topic, farther and farther until there is a root."""
    consumer.assign([place])
    first = (await consumer.beginning_offsets([place]))[place]
    end = (await consumer.end_offsets([place]))[place]
    look = _FIRST_LOOK_RECORDS
    while True:
        saved = await _read_from(consumer, place, max(first, end - look), end)
        if saved.root is not None or end - look <= first:
            return saved
        look *= 2


async def _read_from(consumer: AIOKafkaConsumer, place: TopicPartition, start: int, end: int) -> _Saved:
    saved = _Saved()
    async for record in records_between(consumer, place, start, end):
        if record.key == ROOT and record.value is not None:
            saved.root, saved.saved_ms = msgspec.json.decode(record.value, type=Root), record.timestamp
            saved.owner = saved.root.owner or saved.owner
            saved.held_since_ms = saved.root.held_since_ms or saved.held_since_ms
        elif record.key == OWNER and record.value is not None:
            saved.owner, saved.held_since_ms = owner_in(record.value), record.timestamp
    return saved


async def places_of(settings: KafkaSettings, name: str) -> list[TopicPartition]:
    """Return the partitions of one of Burstwatch's topics.

    Raises
    ------
    LookupError
        If it is not there.
    """
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        return await partitions_of(admin, settings.topic(name))
    finally:
        await admin.close()


async def partitions_of(admin: AIOKafkaAdminClient, topic: str) -> list[TopicPartition]:
    """Return the partitions of a topic.

    Raises
    ------
    LookupError
        If it is not there.
    """
    (described,) = await admin.describe_topics([topic])
    numbers = sorted(partition["partition"] for partition in described["partitions"])
    if not numbers:
        raise LookupError(f"topic {topic} is not there; run: burstwatch topics create")
    return [TopicPartition(topic, number) for number in numbers]
