"""Puts lines of a file on a topic, each a partition and a message. Called with brokers, topic, file, messages a second.

Zero a second means as fast as it can.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from confluent_kafka import Producer  # type: ignore[import-not-found]  # a peer's package, in the peer's environment

TICK_SECONDS = 0.02

if __name__ == "__main__":
    brokers, topic, file, rate = sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 400_000,
        }
    )
    began, sent = time.monotonic(), 0
    with file.open("rb") as lines:
        for line in lines:
            partition, _, message = line.rstrip(b"\n").partition(b" ")
            while True:
                try:
                    producer.produce(topic, message, partition=int(partition))
                    break
                except BufferError:
                    producer.poll(0.05)
            sent += 1
            if sent % 500 == 0:
                producer.poll(0)
                while rate and sent / rate > time.monotonic() - began:
                    time.sleep(TICK_SECONDS)
    producer.flush()
