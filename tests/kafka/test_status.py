"""``burstwatch status``: what it says while workers run, before they ever did, and where topics are missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streams.configuration.kafka_settings import KafkaSettings
from tests.kafka.reading import wait_for
from tests.kafka.running import Worker, burstwatch, config_for, write_config

STAGES = {"intake usage", "intake deployments", "watch", "incidents", "deliver"}


def rows_of(config: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in burstwatch("status", "--json", "--config", config).splitlines()]


def lanes_told_by(worker: Worker) -> int:
    """How many lanes a worker shows figures of: two shards, incidents and deliver."""
    return sum(name.startswith("burstwatch_partition_lease_age_seconds") for name in worker.figures())


def test_it_says_what_waits_and_later_who_has_it(
    kafka: KafkaSettings, tmp_path: Path, run: Callable[..., Worker]
) -> None:
    config = config_for(tmp_path / "config", kafka)
    events = tmp_path / "usage.ndjson"
    event = {"id": "1", "source": "gateway", "service": "bot", "model": "gpt-4.1-mini", "requests": 1}
    lines = [{**event, "id": str(n), "time": f"2026-10-01T00:{n:02}:00Z"} for n in range(30)]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    burstwatch("publish", events, "--topic", "usage", "--config", config)

    before = rows_of(config)

    assert {row["stage"] for row in before} == STAGES
    assert sum(int(str(row["lag"])) for row in before if row["stage"] == "intake usage") == len(lines)
    assert {row["owner"] for row in before} == {None}
    assert {row["lease_age_seconds"] for row in before} == {None}

    worker = Worker(config, "ada")
    run(worker, BURSTWATCH_WORKER="ada").wait_until_ready()
    wait_for(lambda: lanes_told_by(worker) == 4, "its figures")
    after: list[dict[str, object]] = []

    def is_all_saved() -> bool:
        after[:] = rows_of(config)
        return all(row["watermark_age_seconds"] for row in after if row["stage"] in ("watch", "incidents"))

    wait_for(is_all_saved, "a checkpoint of each lane that has a watermark")
    assert {row["owner"] for row in after if not str(row["stage"]).startswith("intake")} == {"ada"}
    assert all(row["lag"] == 0 for row in after if row["stage"] == "intake usage")
    assert any(row["watermark_age_seconds"] for row in after if row["stage"] == "intake usage")
    figures = worker.figures()
    for row in after:
        of_row = f'{{partition="{row["partition"]}",stage="{row["stage"]}"}}'
        assert f"burstwatch_partition_lag{of_row}" in figures
        assert (row["lease_age_seconds"] is None) == (f"burstwatch_partition_lease_age_seconds{of_row}" not in figures)
    shown = burstwatch("status", "--config", config)
    assert "2026-10-01 00:29Z" in shown
    assert "ada" in shown
    worker.stop()


def test_missing_topics_are_named_with_the_cure(kafka: KafkaSettings, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config", msgspec.to_builtins(kafka))
    with pytest.raises(AssertionError, match="is not there; run: burstwatch topics create"):
        burstwatch("status", "--config", config)
