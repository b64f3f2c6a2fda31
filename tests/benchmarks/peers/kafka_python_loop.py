"""A plain loop: kafka-python and the standard library's JSON. Called with brokers, topic, partitions, events."""

from __future__ import annotations

import json
import sys

from kafka import KafkaConsumer

from tests.benchmarks.peers.sums import RollingZ

if __name__ == "__main__":
    brokers, topic, partitions, events = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    consumer = KafkaConsumer(
        topic, bootstrap_servers=brokers, group_id="peer-kafka-python", auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024, max_poll_records=5000, check_crcs=False,
    )  # fmt: skip
    sums = RollingZ(partitions)
    while sums.events < events:
        for place, records in consumer.poll(timeout_ms=200).items():
            for record in records:
                read = json.loads(record.value)
                for event in read if isinstance(read, list) else (read,):
                    sums.add(place.partition, event)
    sums.tell()
    consumer.close(autocommit=False)
