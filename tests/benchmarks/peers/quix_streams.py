"""quix-streams at its fastest: no state store, sums in plain dicts. Called with brokers, topic, partitions, events."""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application, message_context  # type: ignore[import-not-found]  # in the peer's environment

from tests.benchmarks.peers.sums import RollingZ

if __name__ == "__main__":
    brokers, topic, partitions, events = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    app = Application(
        broker_address=brokers,
        consumer_group="peer-quix",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel="ERROR",
        consumer_extra_config={"fetch.message.max.bytes": 8 * 1024 * 1024, "queued.min.messages": 200_000},
    )
    sums = RollingZ(partitions)

    def take(read: Any) -> None:  # noqa: ANN401 — JSON
        partition = message_context().partition
        for event in read if isinstance(read, list) else (read,):
            sums.add(partition, event)
        if sums.events >= events:
            sums.tell()
            app.stop()

    rows = app.dataframe(app.topic(topic, value_deserializer="json"))
    rows.update(take)
    app.run()
