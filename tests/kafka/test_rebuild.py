"""A state that does not fit is refused, and made again from what the input still holds: the same alerts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.giving_up import GIVEN_UP
from tests.embedded.backlog import OPEN, OVER, backlog
from tests.kafka.reading import read, wait_for
from tests.kafka.running import Worker, burstwatch, config_for, write_config


def alerts(kafka: KafkaSettings) -> list[bytes]:
    return [record.value or b"" for record in read(kafka, "alerts")]


def rebuilt(config: Path) -> str:
    """What the command prints; nothing while a worker that ended counts as a member."""
    try:
        return burstwatch("topics", "rebuild", "--yes", "--config", config)
    except AssertionError as refused:
        if "still has members" not in str(refused):
            raise
        return ""


def test_a_state_that_does_not_fit_is_refused_and_made_again(
    kafka: KafkaSettings, tmp_path: Path, run: Callable[..., Worker]
) -> None:
    kafka = msgspec.structs.replace(kafka, usage_partitions=1)
    config, name = config_for(tmp_path / "config", kafka), kafka.application
    events = tmp_path / "usage.ndjson"
    events.write_bytes(b"\n".join(backlog()))
    burstwatch("publish", events, "--topic", "usage", "--config", config)
    worker = run(Worker(config))
    wait_for(lambda: all(name.encode() in b"".join(alerts(kafka)) for name in (*OVER, *OPEN)), "all incidents")
    with pytest.raises(AssertionError, match=f"consumer group {name}(-intake)? still has members: stop every worker"):
        burstwatch("topics", "rebuild", "--yes", "--config", config)
    worker.stop()
    before = alerts(kafka)

    write_config(config, msgspec.to_builtins(kafka), views=[["service"], ["service", "principal"]])
    run(worker)
    assert worker.wait() == GIVEN_UP
    assert "by views service; service, principal' in format 2: set the configuration back" in worker.log
    write_config(config, msgspec.to_builtins(kafka))
    wait_for(lambda: kafka.topic("state-watch") in rebuilt(config), "the group to forget who gave up")
    assert alerts(kafka) == []
    run(worker)
    wait_for(lambda: alerts(kafka) == before, "the same alerts")
    worker.stop()
