"""The fastest loop in Python: librdkafka, tuned, and orjson. Called with brokers, topic, partitions, events."""

from __future__ import annotations

import sys

import orjson  # type: ignore[import-not-found]  # a peer's package, in the peer's environment
from confluent_kafka import Consumer  # type: ignore[import-not-found]

from tests.benchmarks.peers.sums import RollingZ

if __name__ == "__main__":
    brokers, topic, partitions, events = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "peer-librdkafka",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 8 * 1024 * 1024,
            "queued.min.messages": 200_000,
            "check.crcs": False,
        }
    )
    consumer.subscribe([topic])
    sums = RollingZ(partitions)
    while sums.events < events:
        for message in consumer.consume(num_messages=10_000, timeout=0.2):
            read = orjson.loads(message.value())
            partition = message.partition()
            for event in read if isinstance(read, list) else (read,):
                sums.add(partition, event)
    sums.tell()
    consumer.close()
