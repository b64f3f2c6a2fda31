"""The topics: what there must be, making them, and saying what is wrong with those that are there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import msgspec
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import LARGEST_MESSAGE_BYTES, open_admin

USAGE: Final = "usage"
DEPLOYMENTS: Final = "deployments"
FEEDBACK: Final = "feedback"
FRAMES: Final = "frames"
CANDIDATES: Final = "candidates"
ALERTS: Final = "alerts"
REJECTED: Final = "rejected"
DEAD_LETTERS: Final = "dead_letters"
SEND_AGAIN: Final = "send_again"
STATE_WATCH: Final = "state-watch"
STATE_INCIDENTS: Final = "state-incidents"
STATE_DELIVER: Final = "state-deliver"

_HOUR_MS = 3_600_000
_STATE_SEGMENT_BYTES = 64 * 1024 * 1024


class TopicPlan(msgspec.Struct, frozen=True):
    """One topic as it must be; ``configs`` are Kafka's names and values."""

    name: str
    partitions: int
    configs: dict[str, str]


class TopicFault(msgspec.Struct, frozen=True):
    """What is wrong with a topic, and the cure."""

    topic: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what}; {self.cure}"


def plan_topics(settings: KafkaSettings, shards: int) -> list[TopicPlan]:
    """Return the topics of a deployment; frames and the watch's state have a partition a shard."""
    kept = {"cleanup.policy": "delete", "retention.ms": str(settings.retention_hours * _HOUR_MS)}
    large = {**kept, "max.message.bytes": str(LARGEST_MESSAGE_BYTES)}
    state = {
        "cleanup.policy": "compact",
        "max.message.bytes": str(LARGEST_MESSAGE_BYTES),
        "segment.bytes": str(_STATE_SEGMENT_BYTES),
        "min.cleanable.dirty.ratio": "0.2",
        "max.compaction.lag.ms": str(_HOUR_MS),
    }
    if settings.min_insync_replicas is not None:
        for configs in (kept, large, state):
            configs["min.insync.replicas"] = str(settings.min_insync_replicas)
    wanted = [
        (USAGE, settings.usage_partitions, kept),
        (DEPLOYMENTS, 1, kept),
        (FEEDBACK, 1, kept),
        (FRAMES, shards, large),
        (CANDIDATES, 1, large),
        (ALERTS, 1, kept),
        (REJECTED, 1, large),
        (DEAD_LETTERS, 1, kept),
        (SEND_AGAIN, 1, kept),
        (STATE_WATCH, shards, state),
        (STATE_INCIDENTS, 1, state),
        (STATE_DELIVER, 1, state),
    ]
    return [TopicPlan(settings.topic(name), partitions, configs) for name, partitions, configs in wanted]


def create_topics(settings: KafkaSettings, shards: int) -> list[str]:
    """Make the topics that are not there; return their names. What is there stays as it is."""
    admin = open_admin(settings)
    try:
        present = set(admin.list_topics())
        missing = [plan for plan in plan_topics(settings, shards) if plan.name not in present]
        return [plan.name for plan in missing if _create(admin, plan, settings.replication_factor)]
    finally:
        admin.close()


def _create(admin: KafkaAdminClient, plan: TopicPlan, replication_factor: int | None) -> bool:
    topic = {
        "num_partitions": plan.partitions,
        "replication_factor": replication_factor or -1,
        "configs": plan.configs,
    }
    try:
        admin.create_topics({plan.name: topic}, wait_for_metadata=True)
    except TopicAlreadyExistsError:  # somebody else was faster
        return False
    return True


MADE_BY_STAGES = (FRAMES, CANDIDATES, ALERTS, DEAD_LETTERS, STATE_WATCH, STATE_INCIDENTS, STATE_DELIVER)
"""What can be made again from the input. They stand for each other: they go together."""

_GONE_SECONDS = 30.0
_GROUP_IS_GONE = ("OK", "GroupIdNotFoundError")


class StillRunningError(Exception):
    """Workers still hold partitions."""


def rebuild_topics(settings: KafkaSettings, shards: int, from_now: bool) -> list[str]:
    """Make the topics between the stages and their states anew, empty; return their names.

    Parameters
    ----------
    settings
        Where Kafka is.
    shards
        Partitions of frames and of the watch's state.
    from_now
        Go on where intake is; else everything that the input still holds is judged again.

    Raises
    ------
    StillRunningError
        If any worker runs. Then no topic was deleted.
    """
    admin = open_admin(settings)
    try:
        groups = [settings.application, *([] if from_now else [f"{settings.application}-intake"])]
        held = [group for group, said in admin.delete_groups(groups).items() if said not in _GROUP_IS_GONE]
        if held:
            raise StillRunningError(
                f"consumer group {held[0]} still has members: stop every worker first; one that was killed counts for "
                f"another {settings.session_timeout_seconds:.0f} s"
            )
        made = {settings.topic(name) for name in MADE_BY_STAGES}
        there = sorted(made & set(admin.list_topics()))
        if there:
            admin.delete_topics(there)
        deadline = time.monotonic() + _GONE_SECONDS
        while made & set(admin.list_topics()) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        admin.close()
    return create_topics(settings, shards)


def check_topics(settings: KafkaSettings, shards: int) -> list[TopicFault]:
    """Say what is wrong with the topics; an empty list when all is well."""
    plans = plan_topics(settings, shards)
    admin = open_admin(settings)
    try:
        present = set(admin.list_topics())
        there = [plan for plan in plans if plan.name in present]
        faults = [
            TopicFault(plan.name, "is not there", "run: burstwatch topics create")
            for plan in plans
            if plan.name not in present
        ]
        if there:
            described = {topic["name"]: topic for topic in admin.describe_topics([plan.name for plan in there])}
            configs = _configs(admin, [plan.name for plan in there])
            for plan in there:
                faults += _partition_faults(plan, described[plan.name]["partitions"], settings)
                faults += _config_faults(plan, configs[plan.name])
        return faults
    finally:
        admin.close()


def _configs(admin: KafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answer = admin.describe_configs(resources, config_filter="all")
    (topics,) = answer.values()
    return {name: {key: str(entry["value"]) for key, entry in found.items()} for name, found in topics.items()}


def _partition_faults(
    plan: TopicPlan, partitions: list[dict[str, list[int]]], settings: KafkaSettings
) -> Iterator[TopicFault]:
    if len(partitions) != plan.partitions:
        what = f"has {len(partitions)} partitions where {plan.partitions} are wanted"
        yield TopicFault(
            plan.name, what, "set usage_partitions or shards to what is there, or move to a new topic_prefix"
        )
    replicas = min((len(partition["replica_nodes"]) for partition in partitions), default=0)
    if settings.replication_factor is not None and replicas < settings.replication_factor:
        what = f"has {replicas} replicas where {settings.replication_factor} are wanted"
        yield TopicFault(plan.name, what, "reassign its partitions (kafka-reassign-partitions)")


_AT_LEAST = {"max.message.bytes", "retention.ms", "min.insync.replicas"}
_ESSENTIAL = {"cleanup.policy", *_AT_LEAST}


def _config_faults(plan: TopicPlan, found: dict[str, str]) -> Iterator[TopicFault]:
    for key in sorted(_ESSENTIAL & plan.configs.keys()):
        wanted, value = plan.configs[key], found.get(key, "")
        unlimited = key == "retention.ms" and value == "-1"
        enough = key in _AT_LEAST and value.lstrip("-").isdigit() and int(value) >= int(wanted)
        if value != wanted and not unlimited and not enough:
            least = "at least " if key in _AT_LEAST else ""
            alter = f"kafka-configs --alter --entity-type topics --entity-name {plan.name}"
            what = f"{key} is {value or 'not set'} where {least}{wanted} is wanted"
            yield TopicFault(plan.name, what, f"run: {alter} --add-config {key}={wanted}")
