"""``burstwatch incidents --kafka``: the newest committed word of each incident, and from when on the topic knows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from kafka import TopicPartition

from detectors.events import Alert
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import new_producer, open_admin
from streams.kafka.topics import ALERTS
from tests.contracts.alerts import FIRING, GROWN, RESOLVED, UPDATED, another
from tests.kafka.running import burstwatch, config_for, write_config

CAME_MS = 1_791_540_000_000
"""2026-10-09 10:00 UTC; each alert comes a minute after the one before."""


async def _send(settings: KafkaSettings, alerts: list[Alert], ending: str) -> None:
    async with new_producer(settings, transactional_id=f"{settings.application}-test") as producer:
        await producer.begin_transaction()
        for number, alert in enumerate(alerts):
            value, came_ms = msgspec.json.encode(alert), CAME_MS + number * 60_000
            await producer.send_and_wait(settings.topic(ALERTS), value, partition=0, timestamp_ms=came_ms)
        await (producer.commit_transaction() if ending == "commit" else producer.abort_transaction())


def send(settings: KafkaSettings, *alerts: Alert, ending: str = "commit") -> None:
    asyncio.run(_send(settings, list(alerts), ending))


def forget_before(settings: KafkaSettings, offset: int) -> None:
    """Let Kafka delete what is older, as its retention does."""
    admin = open_admin(settings)
    admin.delete_records({TopicPartition(settings.topic(ALERTS), 0): offset})
    admin.close()


def ids_in(printed: str) -> list[tuple[str, int]]:
    return [(alert["alert_id"], alert["sequence"]) for alert in map(json.loads, printed.splitlines())]


def test_the_newest_committed_word_of_each_is_told_and_from_when_on(kafka: KafkaSettings, tmp_path: Path) -> None:
    config = config_for(tmp_path / "config", kafka)
    assert burstwatch("incidents", "--kafka", "--config", config) == "no incident is open\n"

    send(kafka, another(1), FIRING, UPDATED, GROWN)
    send(kafka, RESOLVED, another(2), ending="abort")

    opened = ids_in(burstwatch("incidents", "--kafka", "--json", "--config", config))
    assert sorted(opened) == [("bw-5f0c2a9b", 2), ("bw-other-1", 1)]
    explained = burstwatch("incidents", "bw-5f", "--kafka", "--config", config)
    assert FIRING.reason in explained
    assert "intended --by WHO --why TEXT --kafka" in explained

    send(kafka, RESOLVED)
    assert ids_in(burstwatch("incidents", "--kafka", "--json", "--config", config)) == [("bw-other-1", 1)]
    everything = burstwatch("incidents", "--kafka", "--all", "--config", config)
    assert "1 incident is open" in everything
    assert "looks back" not in everything

    forget_before(kafka, 2)
    later = burstwatch("incidents", "--kafka", "--config", config)
    assert "no incident is open" in later
    assert f"{kafka.topic(ALERTS)} looks back to 2026-10-09 10:" in later
    forget_before(kafka, -1)
    assert "holds no alert any more" in burstwatch("incidents", "--kafka", "--config", config)


def test_a_missing_topic_is_named_with_the_cure(kafka: KafkaSettings, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config", msgspec.to_builtins(kafka))
    with pytest.raises(AssertionError, match="is not there; run: burstwatch topics create"):
        burstwatch("incidents", "--kafka", "--config", config)
