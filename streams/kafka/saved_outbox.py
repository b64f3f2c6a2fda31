"""The outbox as its last checkpoint says, read beside whoever owns it: from any machine, with no worker up.

A checkpoint is one transaction, and only what is committed is read, up to where the topic ended when reading began: so
nothing half written is seen. Compaction may take away what was superseded meanwhile; then the checksums that the root
names do not fit what was found, and all is read again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from detectors.events import Alert
from detectors.state.pages import Pages
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.checkpoint import FORMAT, ROOT, Root, keep_newest, pages_in
from streams.kafka.client import new_consumer, records_between
from streams.kafka.deliver import SCHEMAS, KafkaOutbox
from streams.kafka.lease import REBUILD
from streams.kafka.status import places_of
from streams.kafka.topics import STATE_DELIVER
from streams.written import Written

_WHOLE_SECONDS = 30.0


class Seen(msgspec.Struct, frozen=True):
    """The outbox, and which alerts it contains: the root of its checkpoint."""

    outbox: KafkaOutbox
    root: Root


async def read_outbox(settings: KafkaSettings) -> Seen | None:
    """Return the outbox as it was last saved, or None where none ever was.

    Raises
    ------
    LookupError
        If the topic is not there, was written by another version, or cannot be read as a whole.
    """
    (place,) = await places_of(settings, STATE_DELIVER)
    async with new_consumer(settings) as consumer:
        consumer.assign([place])
        found = await _last_checkpoint(consumer, place)
    if found is None:
        return None
    root, pages = found
    outbox = KafkaOutbox(_nobody, _never)
    outbox.load(pages)
    return Seen(outbox, root)


def _nobody(alert: Alert, told: Sequence[str]) -> Sequence[str]:
    return ()


async def _never() -> None:
    raise RuntimeError("somebody who only looks at an outbox cannot save it")


async def _last_checkpoint(consumer: AIOKafkaConsumer, place: TopicPartition) -> tuple[Root, Pages] | None:
    deadline = time.monotonic() + _WHOLE_SECONDS
    while True:
        end = (await consumer.end_offsets([place]))[place]
        records = await _records_up_to(consumer, place, end)
        if ROOT in records:
            root = _root_in(records[ROOT], place.topic)
            pages = pages_in(records)
            if Written(pages).checksums == root.parts:
                return root, pages
        elif (await consumer.end_offsets([place]))[place] == end:
            return None
        if time.monotonic() > deadline:
            raise LookupError(
                f"{place.topic} could not be read as a whole: try again; if a worker calls it damaged too, {REBUILD}"
            )


async def _records_up_to(consumer: AIOKafkaConsumer, place: TopicPartition, end: int) -> dict[bytes, bytes]:
    """Return the newest value of each key below an offset."""
    records: dict[bytes, bytes] = {}
    first = (await consumer.beginning_offsets([place]))[place]
    async for record in records_between(consumer, place, first, end):
        if record.offset >= end:
            break
        keep_newest(records, record)
    return records


def _root_in(value: bytes, topic: str) -> Root:
    root = msgspec.json.decode(value, type=Root)
    if root.format != FORMAT or root.schema not in SCHEMAS:
        raise LookupError(
            f"{topic} was written by another version ({root.schema}, format {root.format}), and this one reads "
            f"{', '.join(SCHEMAS)}, format {FORMAT}: use the version that the workers run"
        )
    return root
