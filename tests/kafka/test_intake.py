"""Intake on Kafka: what comes when nothing else does, and what is too much for one step."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from detectors.frame import Frame
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import new_producer
from streams.kafka.cutting import BYTES_AT_ONCE
from tests.kafka.reading import read, wait_for
from tests.kafka.running import Worker, config_for

Run = Callable[..., Worker]

ARRAYS, EVENTS_EACH = 10, 9500


def event(name: str, minute: int) -> dict[str, object]:
    time = f"2025-10-01T00:{minute:02}:00Z"
    return {"id": name, "time": time, "source": "s", "service": "bot", "model": "m", "requests": 1}


def send(settings: KafkaSettings, topic: str, *payloads: bytes) -> None:
    async def produce() -> None:
        async with new_producer(settings) as producer:
            for payload in payloads:
                await producer.send_and_wait(settings.topic(topic), payload, partition=0)

    asyncio.run(produce())


def test_a_deployment_is_taken_while_no_usage_comes(kafka: KafkaSettings, tmp_path: Path, run: Run) -> None:
    worker = run(Worker(config_for(tmp_path / "config", kafka))).wait_until_ready()
    for number in range(2):
        deployment = {"id": f"dep-{number}", "time": "2025-10-01T00:00:00Z", "service": "bot"}
        send(kafka, "deployments", json.dumps(deployment).encode())
        taken = 'burstwatch_events_taken_total{kind="deployments"}'
        wait_for(lambda: worker.figures().get(taken) == number + 1, "the deployment to be taken")  # noqa: B023
    worker.stop()


def test_usage_that_is_more_than_a_step_takes_goes_in_several(kafka: KafkaSettings, tmp_path: Path, run: Run) -> None:
    config = config_for(tmp_path / "config", kafka)
    arrays = [[event(f"{number}-{n}", number) for n in range(EVENTS_EACH)] for number in range(ARRAYS)]
    payloads = [json.dumps(array, separators=(",", ":")).encode() for array in arrays]
    send(kafka, "usage", *payloads)

    worker = run(Worker(config)).wait_until_ready()
    taken = 'burstwatch_events_taken_total{kind="usage"}'
    wait_for(lambda: worker.figures().get(taken) == ARRAYS * EVENTS_EACH, "all events to be taken")
    worker.stop()

    frames = [Frame.decode(record.value) for record in read(kafka, "frames") if len(Frame.decode(record.value))]
    assert sum(map(len, payloads)) > BYTES_AT_ONCE, "what is sent must be too much for one step"
    rows = [(int(offset), int(high)) for frame in frames for offset, high in zip(frame.offset, frame.high, strict=True)]
    assert [offset for offset, _ in rows] == [n for n in range(ARRAYS) for _ in range(EVENTS_EACH)]
    assert [high - rows[0][1] for _, high in rows] == [offset for offset, _ in rows]
