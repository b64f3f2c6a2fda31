"""Faust, set up for agents behind leases: reads only what was committed, keeps no tables, acknowledges nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT
from yarl import URL

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.agents import Agent
from streams.kafka.client import faust_credentials, new_consumer

_BUFFERED_MESSAGES = 32
"""Between Faust's reader and an agent: a message is a frame of thousands of rows."""

_FOLDER = Path(tempfile.gettempdir()) / f"burstwatch-faust-{os.getuid()}"
"""Faust insists on a folder, and with tables in memory puts only empty ones into it: one for all workers will do."""


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """Reads only what was committed, for which Faust has no setting."""

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = RoundRobinPartitionAssignor
        return new_consumer(
            transport.burstwatch,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
        )


class _Consumer(driver.Consumer):
    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class _Transport(driver.Transport):
    Consumer = _Consumer

    def __init__(self, settings: KafkaSettings, urls: list[URL], app: AppT) -> None:
        super().__init__(urls, app)
        self.burstwatch = settings


def build_app(settings: KafkaSettings, agents: Sequence[Agent], instance: str | None) -> faust.App:
    """Make a Faust app whose agents are the ones given.

    Parameters
    ----------
    settings
        Where Kafka is.
    agents
        Each reads one topic.
    instance
        Name of this worker for static membership; None for none.
    """
    urls = [URL(f"kafka://{broker}") for broker in settings.brokers.split(",")]
    session = settings.session_timeout_seconds
    app = faust.App(
        settings.application,
        broker=urls,
        broker_credentials=faust_credentials(settings),
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 4,
        broker_request_timeout=max(settings.request_timeout_seconds, session),
        consumer_group_instance_id=instance,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_buffer_maxsize=_BUFFERED_MESSAGES,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        datadir=_FOLDER,
    )
    app.transport = _Transport(settings, urls, app)
    for agent in agents:
        _add(app, agent)

    @app.on_partitions_revoked.connect
    async def revoked(_: AppT, partitions: set[TP], **__: object) -> None:
        for agent in agents:
            await agent.revoke()

    @app.on_partitions_assigned.connect
    async def assigned(_: AppT, partitions: set[TP], **__: object) -> None:
        for agent in agents:
            await agent.assign(place.partition for place in partitions if place.topic == agent.topic)

    return app


def _add(app: faust.App, agent: Agent) -> None:
    topic = app.topic(agent.topic, key_serializer="raw", value_serializer="raw", acks=False)

    @app.agent(topic, name=agent.topic)
    async def run(stream: faust.StreamT[bytes]) -> None:
        await agent.run(stream.noack().events(), lambda: app.consumer_generation_id)
