"""A broker, topics with a load on them, and workers in processes of their own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import yaml

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.topics import create_topics
from tests.benchmarks.kafka.load import Load
from tests.benchmarks.places import ROOT, peers_python
from tests.broker.broker import Broker, brokers_named
from tests.kafka.running import Worker

SHARDS = 4
PEERS = ROOT / "tests" / "benchmarks" / "peers"


@contextmanager
def broker() -> Iterator[str]:
    """Start Kafka, or use the one that the environment names; give its address."""
    named = brokers_named()
    if named:
        yield named
        return
    with Broker() as started:
        yield started.address


class Ground:
    """Topics of their own and a folder of configuration: the shipped one, all detectors on.

    Parameters
    ----------
    address
        Of the broker.
    partitions
        Of the usage topic.
    more
        Settings besides the shipped ones.
    """

    def __init__(self, address: str, partitions: int, **more: object) -> None:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        self.kafka = KafkaSettings(
            brokers=address, application=name, topic_prefix=f"{name}.", usage_partitions=partitions
        )
        self.folder = Path(tempfile.mkdtemp(prefix="burstwatch-bench-"))
        shipped = yaml.safe_load((ROOT / "config" / "burstwatch.yaml").read_text())
        settings = {**shipped, "kafka": msgspec.to_builtins(self.kafka), "intake": {"shards": SHARDS}, **more}
        (self.folder / "burstwatch.yaml").write_text(yaml.safe_dump(settings))
        create_topics(self.kafka, SHARDS)

    @property
    def usage(self) -> str:
        """The topic of usage, by its full name."""
        return self.kafka.topic("usage")

    def fill(self, load: Load, at_once: int = 1, messages_a_second: float = 0) -> None:
        """Put a load on the usage topic."""
        self.filling(load.file(at_once), messages_a_second).wait()

    def filling(self, file: Path, messages_a_second: float) -> subprocess.Popen[bytes]:
        """Begin to put lines on the usage topic; zero a second is as fast as it goes."""
        python = peers_python("librdkafka", ["confluent-kafka", "orjson"])
        script, rate = str(PEERS / "librdkafka_fill.py"), str(messages_a_second)
        return subprocess.Popen([str(python), script, self.kafka.brokers, self.usage, str(file), rate])

    def worker(self, name: str = "worker", **environment: str) -> Worker:
        """Start a worker, which stops where a ``with`` of it ends."""
        return Worker(self.folder, name).start(BURSTWATCH_WORKER=name, **environment)

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
