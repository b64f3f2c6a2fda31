"""``burstwatch incidents --kafka``: the newest committed word of each incident, for as long as it is open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from detectors.state.pages import Part
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka import saved_outbox
from streams.kafka.alerts import read_alerts
from streams.kafka.deliver import SENDER_OF_ALERTS
from streams.kafka.lease import LeaseLostError, Place
from streams.kafka.saved_outbox import read_outbox
from streams.kafka.topics import ALERTS, create_topics
from tests.contracts.alerts import FIRING, GROWN, RESOLVED, UPDATED, another
from tests.kafka.delivering import LONG_HOURS, Owner, forget_before, send, send_alerts
from tests.kafka.reading import wait_for
from tests.kafka.running import Worker, burstwatch, config_for, write_config


@pytest.fixture
def kafka(kafka: KafkaSettings) -> KafkaSettings:
    """Topics that keep alerts of the past, such as those here, until told to forget them."""
    return msgspec.structs.replace(kafka, retention_hours=LONG_HOURS)


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


OTHER, THIRD, FOURTH = another(1), another(2), another(3)


def shown(config: Path, *words: str) -> str:
    return burstwatch("incidents", "--kafka", *words, "--config", config)


def taken(kafka: KafkaSettings) -> int:
    """How many alerts the saved outbox contains."""
    seen = asyncio.run(read_outbox(kafka))
    return seen.root.next_sequence.get(SENDER_OF_ALERTS, 0) if seen else 0


def test_what_is_open_is_shown_however_long_it_has_had_no_word(
    kafka: KafkaSettings, tmp_path: Path, run: Callable[..., Worker]
) -> None:
    kafka = msgspec.structs.replace(kafka, checkpoint_seconds=0.5)
    config = config_for(tmp_path / "config", kafka)
    send(kafka, OTHER, FIRING, UPDATED, RESOLVED)
    worker = run(Worker(config))
    wait_for(lambda: taken(kafka) == 4, "delivery to have saved them")
    worker.stop()

    forget_before(kafka, -1)

    assert ids_in(shown(config, "--json")) == [(OTHER.alert_id, OTHER.sequence)]
    assert shown(config).endswith("1 incident is open; the newest word is of 2026-10-09 09:20 UTC\n"), "all is known"
    assert OTHER.reason in shown(config, OTHER.alert_id)
    everything = shown(config, "--all")
    assert FIRING.alert_id in everything
    assert "what was over is kept for 30 days, the newest 1,000 of it" in everything

    send(kafka, THIRD, first=4)
    assert sorted(ids_in(shown(config, "--json"))) == [(OTHER.alert_id, 1), (THIRD.alert_id, 1)]


async def test_alerts_that_kafka_deleted_before_delivery_took_them_are_missed(kafka: KafkaSettings) -> None:
    create_topics(kafka, 1)
    await send_alerts(kafka, OTHER)
    owner = await Owner(kafka).acquire()
    await owner.take(OTHER)
    await owner.lease.release()
    await send_alerts(kafka, THIRD, first=1)
    await send_alerts(kafka, FOURTH, first=2)

    forget_before(kafka, 2)
    assert (await read_alerts(kafka)).missing == "", "a marker is no alert"
    forget_before(kafka, 4)
    known = await read_alerts(kafka)
    assert {alert.alert_id for alert in known.alerts} == {OTHER.alert_id, FOURTH.alert_id}
    assert "looks back to 2026-10-09 10:02 UTC" in known.missing


async def test_what_an_older_version_kept_no_word_of_is_named(kafka: KafkaSettings) -> None:
    create_topics(kafka, 1)
    await send_alerts(kafka, OTHER, FIRING)
    owner = await Owner(kafka, schema="deliver/2").acquire()
    for number, alert_id in enumerate((OTHER.alert_id, FIRING.alert_id)):
        older = {"receivers": [], "memos": {}, "resolved": False, "resolved_at": 0.0}
        page = msgspec.json.encode(older)
        owner.lease.apply(Place(SENDER_OF_ALERTS, number, number), list)
        changes: list[Part] = [(f"incident/{alert_id}", page)]
        await owner.lease.checkpoint(changes.copy)
    await owner.lease.release()
    assert (await read_alerts(kafka)).missing == ""
    forget_before(kafka, 1)
    missing = (await read_alerts(kafka)).missing
    assert missing == f"also open, told of before this version kept last words: {OTHER.alert_id}"


async def test_a_checkpoint_that_is_being_written_is_not_seen(kafka: KafkaSettings) -> None:
    create_topics(kafka, 1)
    await send_alerts(kafka, OTHER, THIRD)
    owner = await Owner(kafka).acquire()
    assert await read_outbox(kafka) is None
    await owner.take(OTHER)
    owner.dies_at = "before commit"
    with pytest.raises(LeaseLostError):
        await owner.take(OTHER, THIRD)

    seen = await read_outbox(kafka)

    assert seen is not None
    assert [alert.alert_id for alert in seen.outbox.last_words()] == [OTHER.alert_id]
    await owner.lease.release()


async def test_a_checkpoint_of_which_compaction_took_parts_is_read_again(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics(kafka, 1)
    await send_alerts(kafka, OTHER)
    owner = await Owner(kafka).acquire()
    await owner.take(OTHER)
    await owner.lease.release()
    read, looked = saved_outbox._records_up_to, 0

    async def torn(consumer: AIOKafkaConsumer, place: TopicPartition, end: int) -> dict[bytes, bytes]:
        nonlocal looked
        looked += 1
        records = await read(consumer, place, end)
        return records if looked == 3 else {key: value for key, value in records.items() if b"incident/" not in key}

    monkeypatch.setattr(saved_outbox, "_records_up_to", torn)
    seen = await read_outbox(kafka)
    assert seen is not None
    assert (looked, len(seen.outbox.last_words())) == (3, 1)
    monkeypatch.setattr(saved_outbox, "_WHOLE_SECONDS", 0.0)
    with pytest.raises(LookupError, match="could not be read as a whole: try again"):
        await read_outbox(kafka)


async def test_a_state_of_another_version_is_refused_with_the_cure(kafka: KafkaSettings) -> None:
    create_topics(kafka, 1)
    owner = await Owner(kafka, schema="deliver/99").acquire()
    await owner.save()
    await owner.lease.release()
    with pytest.raises(LookupError, match=r"deliver/99, format 2.*use the version that the workers run"):
        await read_outbox(kafka)
