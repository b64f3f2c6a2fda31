"""Every test here talks to a real Apache Kafka, on topics of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from streams.configuration.kafka_settings import KafkaSettings
from tests.kafka.running import Sample, Worker


@pytest.fixture
def kafka(brokers: str) -> KafkaSettings:
    """Settings with topics and groups that no other test uses."""
    name = f"t{uuid.uuid4().hex[:10]}"
    return KafkaSettings(
        brokers=brokers,
        application=name,
        topic_prefix=f"{name}.",
        session_timeout_seconds=6,
        request_timeout_seconds=20,
    )


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A piece of the carried sample, and its alerts."""
    return Sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def run() -> Iterator[Callable[..., Worker]]:
    """Start workers; they end with the test at the latest."""
    started: list[Worker] = []

    def start(worker: Worker, **environment: str) -> Worker:
        started.append(worker)
        return worker.start(**environment)

    yield start
    for worker in started:
        worker.end()
