"""bytewax at its fastest: batches, no recovery, sums in plain dicts. Called with brokers, topic, partitions, events."""

from __future__ import annotations

import sys
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]  # a peer's package, in the peer's environment
import orjson  # type: ignore[import-not-found]
from bytewax.connectors.kafka import KafkaSource  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.testing import TestingSink, run_main  # type: ignore[import-not-found]

from tests.benchmarks.peers.sums import RollingZ

if __name__ == "__main__":
    brokers, topic, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3])
    sums = RollingZ(partitions)

    def take(batch: list[Any]) -> list[Any]:
        for message in batch:
            read = orjson.loads(message.value)
            for event in read if isinstance(read, list) else (read,):
                sums.add(message.partition, event)
        return []

    flow = Dataflow("peer")
    options = {"fetch.message.max.bytes": str(8 * 1024 * 1024), "queued.min.messages": "200000"}
    source = KafkaSource(brokers.split(","), [topic], tail=False, batch_size=5000, add_config=options)
    op.output("out", op.flat_map_batch("sum", op.input("in", flow, source), take), TestingSink([]))
    run_main(flow)
    sums.tell()
