"""What the Kafka runtime says of some input is what ``replay`` says, whatever the number of workers and partitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from detectors.events import Alert
from streams.kafka.settings import KafkaSettings
from tests.kafka.reading import read, wait_for
from tests.kafka.running import Sample, Worker, config_for

DONE_SECONDS = 150


def answer_of(
    config: Path, kafka: KafkaSettings, workers: list[Worker], sample: Sample, run: Callable[[Worker], Worker]
) -> list[bytes]:
    """Start the workers, put the sample on Kafka, and return the alerts when all is judged."""
    for worker in workers:
        run(worker)
    for worker in workers:
        worker.wait_until_ready()
    sample.publish(config)
    wait_for(lambda: len(read(kafka, "alerts")) >= len(sample.alerts), "all alerts", DONE_SECONDS)
    for worker in workers:
        assert sum(v for k, v in worker.figures().items() if k.startswith("burstwatch_verdicts_total")) > 0, (
            f"{worker.name} had nothing to do"
        )
        worker.stop()
    return [record.value for record in read(kafka, "alerts")]


def incidents(alerts: list[bytes]) -> list[tuple[object, ...]]:
    """What somebody on call would call the same incident, with its life."""
    told = [msgspec.json.decode(alert, type=Alert) for alert in alerts]
    return sorted(
        (a.alert_id, a.state, a.severity, a.scope.get("service"), a.cause.driver, a.cause.deployment_id or "")
        for a in told
        if a.state != "updated"
    )


@pytest.mark.parametrize(("raw_partitions", "workers"), [(1, 1), (1, 2), (3, 2)])
def test_alerts_are_those_of_replay(
    kafka: KafkaSettings,
    tmp_path: Path,
    sample: Sample,
    run: Callable[[Worker], Worker],
    raw_partitions: int,
    workers: int,
) -> None:
    kafka = msgspec.structs.replace(kafka, usage_partitions=raw_partitions)
    config = config_for(tmp_path / "config", kafka)
    names = [f"worker-{number}" for number in range(workers)]

    alerts = answer_of(config, kafka, [Worker(config, name) for name in names], sample, run)

    assert any(b'"deployment_id":"dep-' in alert for alert in alerts)
    if raw_partitions == 1:
        assert alerts == sample.alerts
    else:
        assert incidents(alerts) == incidents(sample.alerts)
