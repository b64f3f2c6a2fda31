"""Intake on Kafka: how it takes, and being told to stop at the wrong moment."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from detectors.intake.admission import IntakeSettings
from detectors.intake.prices import PriceTable
from detectors.intake.raw import RawBatch, RawMessage
from detectors.intake.stage import Intake
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.bulk import Fetched
from streams.kafka.intake import IntakeService
from streams.kafka.topics import USAGE

SETTINGS = KafkaSettings()
PLACE = TopicPartition(SETTINGS.topic(USAGE), 0)


class Consumer:
    """Gives one message; the service is told to stop while it does."""

    def __init__(self) -> None:
        self.service: IntakeService
        self.at = 100
        self.end = 101
        self.committed: list[dict[TopicPartition, Any]] = []

    async def getmany(self, **_: object) -> dict[TopicPartition, list[Fetched]]:
        self.service.stop()
        given, self.at = self.at, 101
        messages = [RawMessage("usage", 0, offset, b"{}") for offset in range(given, self.at)]
        return {PLACE: [Fetched(RawBatch.of(messages), self.at)]} if messages else {}

    async def position(self, _: TopicPartition) -> int:
        return self.at

    def highwater(self, _: TopicPartition) -> int:
        return self.end

    async def commit(self, offsets: dict[TopicPartition, Any]) -> None:
        self.committed.append(offsets)

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    def assignment(self) -> set[TopicPartition]:
        return {PLACE}


def _service(consumer: Consumer) -> IntakeService:
    service = IntakeService(SETTINGS, Intake(IntakeSettings(), PriceTable(lambda *_: None)), 60.0)
    consumer.service = service
    service._consumer = service._looker = cast("Any", consumer)
    return service


async def test_what_was_taken_and_not_processed_is_not_committed() -> None:
    consumer = Consumer()
    service = _service(consumer)
    service._done = {PLACE: 100}  # as after a turn that took what stood before
    await service._turn()
    assert consumer.at == 101, "something must have been taken, else this shows nothing"
    assert consumer.committed == []


@pytest.mark.parametrize(
    ("wanted", "end", "waits"),
    [
        pytest.param(1, 101, False, id="as much came"),
        pytest.param(500, 601, False, id="as much stands behind it"),
        pytest.param(500, 150, True, id="little came"),
    ],
)
async def test_more_gathers_unless_as_much_as_is_wanted_waits(
    wanted: int, end: int, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = Consumer()
    consumer.end = end
    service = _service(consumer)
    service._bulk.most_messages = wanted
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(2):
        await service._take()
    assert [seconds > 0 for seconds in slept] == [False, waits]
