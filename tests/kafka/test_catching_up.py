"""A worker that comes back after a day sends one digest of what is over, and the usual words of what still burns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from detectors.events import Alert
from streams.configuration.kafka_settings import KafkaSettings
from tests.embedded.backlog import OPEN, OVER, backlog
from tests.faults.receiver import Receiver
from tests.faults.run import WEBHOOK
from tests.kafka.reading import read, wait_for
from tests.kafka.running import Worker, burstwatch, config_for


def test_a_days_backlog_is_one_digest_and_what_is_open(
    kafka: KafkaSettings, tmp_path: Path, run: Callable[..., Worker]
) -> None:
    kafka = msgspec.structs.replace(kafka, usage_partitions=1, checkpoint_seconds=0.7)
    config = config_for(tmp_path / "config", kafka)
    (config / "routes.yaml").write_text(WEBHOOK)
    events = tmp_path / "usage.ndjson"
    receiver = Receiver()
    try:
        events.write_bytes(b"\n".join(backlog()))
        burstwatch("publish", events, "--topic", "usage", "--config", config)
        worker = run(Worker(config), ALERT_URL=receiver.url)
        wait_for(lambda: len(read(kafka, "alerts")) >= len(OVER), "alerts to be raised")
        worker.end()
        run(worker, ALERT_URL=receiver.url)
        wait_for(lambda: bool(receiver.digests() and receiver.alerts()), "the digest, and the page")
        worker.stop()
    finally:
        receiver.close()

    (digest,) = receiver.digests()
    assert {past["scope"]["service"] for past in digest["incidents"]} == set(OVER)
    assert {alert["scope"]["service"] for alert in receiver.alerts()} == set(OPEN)
    raised = [msgspec.json.decode(record.value or b"", type=Alert) for record in read(kafka, "alerts")]
    assert {alert.scope["service"] for alert in raised} == {*OVER, *OPEN}, "the topic has every word, held or not"
