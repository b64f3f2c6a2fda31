"""TLS and passwords, against a broker that requires them: every library that we use gets in, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from kafka.errors import KafkaError

from streams.configuration.kafka_settings import KafkaSettings, SecuritySettings
from streams.kafka.client import SecretMissingError, open_admin
from streams.kafka.publish import publish
from streams.kafka.topics import check_topics, create_topics
from tests.broker.secure import PASSWORD, USER, SecureBroker
from tests.kafka.reading import read


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    with SecureBroker(tmp_path_factory.mktemp("secure")) as started:
        yield started


@pytest.fixture
def secured(broker: SecureBroker, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    monkeypatch.setenv("KAFKA_USER", USER)
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    security = SecuritySettings(
        protocol="SASL_SSL", ca_file=str(broker.authority), username_env="KAFKA_USER", password_env="KAFKA_PASSWORD"
    )
    return KafkaSettings(brokers=broker.address, application="secured", security=security, request_timeout_seconds=5)


def test_topics_are_made_and_messages_go_both_ways(secured: KafkaSettings, tmp_path: Path) -> None:
    events = tmp_path / "usage.ndjson"
    events.write_bytes(b'{"id": "1"}\n{"id": "2"}\n')

    create_topics(secured, shards=2)
    publish(secured, "usage", [events])

    assert check_topics(secured, shards=2) == []
    assert sorted(record.value for record in read(secured, "usage")) == [b'{"id": "1"}', b'{"id": "2"}']


def test_a_wrong_password_lets_nobody_in(secured: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "guessed")
    with pytest.raises(KafkaError, match="not let in: compare"):
        open_admin(secured)


def test_a_broker_whose_certificate_nobody_known_signed_is_not_trusted(secured: KafkaSettings) -> None:
    stranger = msgspec.structs.replace(secured.security, ca_file=None)
    with pytest.raises(KafkaError):
        open_admin(msgspec.structs.replace(secured, security=stranger))


def test_a_secret_that_is_not_there_is_named(secured: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_PASSWORD")
    with pytest.raises(SecretMissingError, match="KAFKA_PASSWORD is not set"):
        open_admin(secured)
