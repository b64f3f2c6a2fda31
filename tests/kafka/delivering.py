"""Alerts as the incidents stage sends them, and an owner of the outbox without a worker around it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from kafka import TopicPartition

from detectors.events import Alert
from streams.configuration.kafka_settings import KafkaSettings
from streams.delivery.outbox import Outcome
from streams.kafka.client import new_producer, open_admin
from streams.kafka.deliver import SCHEMAS, SENDER_OF_ALERTS, KafkaOutbox
from streams.kafka.lease import SENDER_HEADER, SEQUENCE_HEADER, Lane, Lease, Place
from streams.kafka.topics import ALERTS, DEAD_LETTERS, STATE_DELIVER

CAME_MS = 1_791_540_000_000
"""2026-10-09 10:00 UTC; each alert comes a minute after the one before."""

LONG_HOURS = 24 * 366
"""Of retention: Kafka deletes by what messages are stamped with."""

PAGER = "ours"


async def send_alerts(settings: KafkaSettings, *alerts: Alert, first: int = 0, ending: str = "commit") -> None:
    """Put alerts on their topic in one transaction, numbered from the first on."""
    async with new_producer(settings, transactional_id=f"{settings.application}-test") as producer:
        await producer.begin_transaction()
        for number, alert in enumerate(alerts, first):
            await producer.send_and_wait(
                settings.topic(ALERTS), msgspec.json.encode(alert), partition=0, timestamp_ms=CAME_MS + number * 60_000,
                headers=[(SENDER_HEADER, SENDER_OF_ALERTS.encode()), (SEQUENCE_HEADER, b"%d" % number)],
            )  # fmt: skip
        await (producer.commit_transaction() if ending == "commit" else producer.abort_transaction())


def send(settings: KafkaSettings, *alerts: Alert, first: int = 0, ending: str = "commit") -> None:
    """Do the same where no event loop runs."""
    asyncio.run(send_alerts(settings, *alerts, first=first, ending=ending))


def forget_before(settings: KafkaSettings, offset: int) -> None:
    """Let Kafka delete what is older, as its retention does; all there is for -1."""
    admin = open_admin(settings)
    admin.delete_records({TopicPartition(settings.topic(ALERTS), 0): offset})
    admin.close()


class CrashError(Exception):
    """The process ends here."""


def to_pager(alert: Alert, told: Sequence[str]) -> Sequence[str]:
    return (PAGER,)


class Owner:
    """Who owns the outbox, and may die at a point that its lease passes."""

    def __init__(self, kafka: KafkaSettings, schema: str = SCHEMAS[0]) -> None:
        topic = kafka.topic
        lane = Lane(
            "deliver", 0, topic(ALERTS), topic(STATE_DELIVER), topic(DEAD_LETTERS), kafka.application,
            schema, SCHEMAS,
        )  # fmt: skip
        self.lease = Lease(kafka, lane, "owner", self._pass)
        self.outbox = KafkaOutbox(to_pager, self.save)
        self.dies_at = ""

    async def _pass(self, point: str) -> None:
        if point == f"deliver-0: {self.dies_at}":
            raise CrashError(point)

    async def save(self) -> None:
        await self.lease.checkpoint(self.outbox.changes, self.outbox.notes, self.outbox.reached)

    async def acquire(self) -> Owner:
        self.outbox.load(await self.lease.acquire())
        return self

    async def take(self, *alerts: Alert) -> None:
        """Let alerts come that are on the topic from its beginning, and save."""
        for number, alert in enumerate(alerts):
            place = Place(SENDER_OF_ALERTS, number, number)
            self.lease.apply(place, lambda: self.outbox.take(msgspec.json.encode(alert)))  # noqa: B023 — called at once
        await self.save()

    async def refuse_all(self) -> None:
        """Let the pager refuse whatever waits."""
        while (pending := await self.outbox.next_for(PAGER)) is not None:
            await self.outbox.intend(pending)
            await self.outbox.settle(pending, Outcome("dead", None, "HTTP 401: no such key", 1))

    async def due(self) -> list[tuple[str, int, bool]]:
        """Send what waits; return which words, and whether they were marked as possible duplicates."""
        sent = []
        while (pending := await self.outbox.next_for(PAGER)) is not None:
            await self.outbox.intend(pending)
            sent.append((pending.alert.alert_id, pending.alert.sequence, pending.possible_duplicate))
            await self.outbox.settle(pending, Outcome("delivered", None, "ok", 1))
        return sent
