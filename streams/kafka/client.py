"""Connections: settings to what each Kafka library wants to hear. Secrets are read from the environment here."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from kafka import KafkaAdminClient
from kafka.errors import KafkaTimeoutError

from streams.configuration.kafka_settings import KafkaSettings, SecuritySettings

LARGEST_MESSAGE_BYTES = 8 * 1024 * 1024
"""Of what Burstwatch itself writes: frames, reports, pages of state."""

FIRST_ANSWER_SECONDS = 10.0
"""A person waits for it."""


class SecretMissingError(RuntimeError):
    """An environment variable that the configuration names is not set."""


def _secret(variable: str) -> str:
    if variable not in os.environ:
        raise SecretMissingError(f"the environment variable {variable} is not set; kafka.security names it")
    return os.environ[variable]


def tls_context(security: SecuritySettings) -> ssl.SSLContext | None:
    """Return the TLS context, or None where the connection is plain."""
    if security.protocol not in ("SSL", "SASL_SSL"):
        return None
    context = ssl.create_default_context(cafile=security.ca_file)
    context.check_hostname = security.check_hostname
    if security.certificate_file:
        password = _secret(security.key_password_env) if security.key_password_env else None
        context.load_cert_chain(security.certificate_file, security.key_file, password)
    return context


def _uses_sasl(security: SecuritySettings) -> bool:
    return security.protocol.startswith("SASL")


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments that aiokafka and kafka-python share."""
    security = settings.security
    shared: dict[str, Any] = {
        "bootstrap_servers": settings.brokers.split(","),
        "security_protocol": security.protocol,
        "ssl_context": tls_context(security),
        "request_timeout_ms": int(settings.request_timeout_seconds * 1000),
    }
    if _uses_sasl(security):
        shared["sasl_mechanism"] = security.sasl_mechanism
        shared["sasl_plain_username"] = _secret(security.username_env)
        shared["sasl_plain_password"] = _secret(security.password_env)
    return shared


def faust_credentials(settings: KafkaSettings) -> faust.types.auth.CredentialsT | None:
    """Return Faust's word for the same."""
    security = settings.security
    context = tls_context(security)
    if _uses_sasl(security):
        return faust.SASLCredentials(
            mechanism=security.sasl_mechanism,
            username=_secret(security.username_env),
            password=_secret(security.password_env),
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context else None


def open_admin(settings: KafkaSettings) -> KafkaAdminClient:
    """Connect kafka-python's admin client; the caller closes it."""
    seconds = min(settings.request_timeout_seconds, FIRST_ANSWER_SECONDS)
    try:
        return KafkaAdminClient(
            client_id=settings.application, bootstrap_timeout_ms=int(seconds * 1000), **connection(settings)
        )
    except KafkaTimeoutError as error:
        said = f"nobody answered within {seconds:.0f} s"
        if settings.security.protocol != "PLAINTEXT":
            said += ", or we were not let in: compare kafka.security and its secrets with what the broker's log says"
        raise KafkaTimeoutError(said) from error


def new_consumer(settings: KafkaSettings, *topics: str, **options: object) -> AIOKafkaConsumer:
    """Make a consumer that sees only what was committed and never commits by itself; not started."""
    defaults = {
        "client_id": settings.application,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "max_partition_fetch_bytes": LARGEST_MESSAGE_BYTES,
    }
    return AIOKafkaConsumer(*topics, **{**defaults, **connection(settings), **options})


async def records_between(
    consumer: AIOKafkaConsumer, place: TopicPartition, start: int, end: int
) -> AsyncIterator[ConsumerRecord]:
    """Give the records from one offset of an assigned partition up to another, and a few behind it at times."""
    if start < end:
        consumer.seek(place, start)
    while start < end and await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=200)).get(place, []):
            yield record


def new_producer(settings: KafkaSettings, **options: object) -> AIOKafkaProducer:
    """Make an idempotent producer; not started."""
    defaults = {
        "client_id": settings.application,
        "enable_idempotence": True,
        "acks": "all",
        "compression_type": "zstd",  # a ninth of the time of aiokafka's lz4, which is set to its slowest
        "max_batch_size": 1_000_000,
        "max_request_size": LARGEST_MESSAGE_BYTES,
    }
    return AIOKafkaProducer(**{**defaults, **connection(settings), **options})
