"""What the configuration says of Kafka. No secrets: only the names of environment variables that hold them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]*$", max_length=200)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class SecuritySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to be let in.

    ``ca_file`` is needed where the broker's certificate is signed by nobody known; ``certificate_file`` and
    ``key_file`` where the broker wants to see ours. Names ending in ``_env`` name environment variables.
    """

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    key_password_env: str | None = None
    check_hostname: bool = True
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username_env: str = "BURSTWATCH_KAFKA_USERNAME"
    password_env: str = "BURSTWATCH_KAFKA_PASSWORD"  # noqa: S105 — the name of a variable, not a password


class KafkaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where Kafka is, and how Burstwatch uses it.

    ``application`` names the consumer groups and the leases: two deployments on one cluster need two.
    ``usage_partitions`` and the number of shards are fixed for the life of the state.
    ``replication_factor`` and ``min_insync_replicas`` are the broker's own default where null.
    """

    brokers: Annotated[str, Meta(min_length=1)] = "127.0.0.1:9092"
    application: Annotated[Name, Meta(min_length=1)] = "burstwatch"
    topic_prefix: Name = ""
    usage_partitions: Annotated[int, Meta(ge=1, le=1024)] = 4
    replication_factor: Annotated[int, Meta(ge=1, le=16)] | None = None
    min_insync_replicas: Annotated[int, Meta(ge=1, le=16)] | None = None
    retention_hours: Annotated[int, Meta(ge=1, le=24 * 366)] = 168
    security: SecuritySettings = SecuritySettings()
    output_seconds: Seconds = 0.3
    checkpoint_seconds: Seconds = 10.0
    session_timeout_seconds: Annotated[float, Meta(ge=1, le=1800)] = 10.0
    request_timeout_seconds: Annotated[float, Meta(ge=1, le=600)] = 40.0

    def topic(self, name: str) -> str:
        """Return the full name of one of Burstwatch's topics.

        Examples
        --------
        >>> KafkaSettings(topic_prefix="finops.").topic("usage")
        'finops.usage'
        """
        return f"{self.topic_prefix}{name}"
