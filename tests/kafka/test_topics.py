from __future__ import annotations

import msgspec

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import open_admin
from streams.kafka.topics import check_topics, create_topics, plan_topics

SHARDS = 2


def test_topics_are_made_once_and_then_all_is_well(kafka: KafkaSettings) -> None:
    before = check_topics(kafka, SHARDS)
    made = create_topics(kafka, SHARDS)
    again = create_topics(kafka, SHARDS)

    assert len(before) == len(plan_topics(kafka, SHARDS))
    assert {fault.what for fault in before} == {"is not there"}
    assert sorted(made) == sorted(plan.name for plan in plan_topics(kafka, SHARDS))
    assert again == []
    assert check_topics(kafka, SHARDS) == []


def test_a_topic_that_is_not_as_wanted_is_named_with_the_cure(kafka: KafkaSettings) -> None:
    create_topics(kafka, SHARDS)
    wanted = msgspec.structs.replace(kafka, usage_partitions=kafka.usage_partitions + 1, retention_hours=999)

    faults = check_topics(wanted, SHARDS + 1)

    told = "\n".join(map(str, faults))
    assert f"{kafka.topic('frames')}: has 2 partitions where 3 are wanted" in told
    assert f"{kafka.topic('usage')}: has 4 partitions where 5 are wanted" in told
    assert f"{kafka.topic('alerts')}: retention.ms is 604800000 where at least 3596400000 is wanted" in told
    assert f"--entity-name {kafka.topic('alerts')} --add-config retention.ms=3596400000" in told
    assert f"{kafka.topic('state-incidents')}:" not in told


def test_a_state_topic_that_forgets_is_a_fault(kafka: KafkaSettings) -> None:
    admin = open_admin(kafka)
    admin.create_topics(
        {kafka.topic("state-incidents"): {"num_partitions": 1, "configs": {"cleanup.policy": "delete"}}},
        wait_for_metadata=True,
    )
    admin.close()
    create_topics(kafka, SHARDS)

    told = [str(fault) for fault in check_topics(kafka, SHARDS)]

    assert any("cleanup.policy is delete where compact is wanted" in fault for fault in told)
