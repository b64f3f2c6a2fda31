"""What the Kafka runtime says of some input is what ``replay`` says, whatever the number of workers and partitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from detectors.events import Alert
from streams.configuration.kafka_settings import KafkaSettings
from tests.kafka.reading import read, wait_for
from tests.kafka.running import Sample, Worker, config_for

DONE_SECONDS = 150


def answer_of(kafka: KafkaSettings, workers: list[Worker], sample: Sample) -> list[bytes]:
    """Wait until all is judged; return the alerts."""
    for worker in workers:
        worker.wait_until_ready()
    sample.publish(workers[0].config)
    wait_for(lambda: is_all_counted(workers, sample), "every minute to close", DONE_SECONDS)
    wait_for(lambda: len(read(kafka, "alerts")) >= len(sample.alerts), "all alerts", DONE_SECONDS)
    return [record.value for record in read(kafka, "alerts")]


def is_all_counted(workers: list[Worker], sample: Sample) -> bool:
    """Whether the workers' spend comes to that of ``replay``."""
    return together(workers, "spend_usd") == pytest.approx(sample.spend_usd, abs=1e-6)


def together(workers: list[Worker], name: str) -> float:
    """A counter of all workers."""
    return sum(worker.figure(f"burstwatch_{name}_total") for worker in workers)


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
    started = [run(Worker(config, f"worker-{number}")) for number in range(workers)]

    alerts = answer_of(kafka, started, sample)

    assert any(b'"deployment_id":"dep-' in alert for alert in alerts)
    assert any(b'"decision":"intended"' in alert for alert in alerts)
    if raw_partitions == 1:
        assert alerts == sample.alerts
    else:
        assert incidents(alerts) == incidents(sample.alerts)
    assert together(started, "events_taken") == len(sample.events)
    wait_for(lambda: together(started, "pages") == len(sample.pages), "the pages to be counted")
    took = sum(worker.figure("burstwatch_minute_close_to_alert_seconds_sum") for worker in started)
    assert 0 < took / len(sample.pages) < DONE_SECONDS, "from the arrival of the input to the alert"
    assert all(worker.figure("burstwatch_verdicts_total") > 0 for worker in started), "each had something to do"
    for worker in started:
        worker.stop()
