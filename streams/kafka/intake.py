"""Intake on Kafka: raw messages in bulk, out as one frame for each shard.

Raw events never pass through Faust: they are drained in thousands, cut into columns, and only frames go on. A worker
runs all of it in a process of its own (:mod:`streams.kafka.intake_process`). What makes it exact:

- A batch's frames and rejects are all sent and awaited before its offsets are committed. So after a crash every
  frames partition holds a prefix of each raw partition, in order, perhaps with repeats; watch skips what is at or
  below the highest offset it has applied.
- With each offset the raw partition's highest event minute is committed, as metadata: a restart cuts the same rows
  with the same watermarks.
- Deployments and feedback are read to their present end before a batch of usage goes on, whoever owns their
  partitions: a deployment is known before the usage that it explains. Between times they are paused, so that the
  broker does not wait for them with usage at hand.
- On a rebalance what is in flight is finished and committed before the group forms anew; a batch that waited
  meanwhile is dropped, and comes again to whoever owns its partition then.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from itertools import chain

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalStateError

from detectors.clock import NEVER
from detectors.intake.raw import KINDS, Kind, RawBatch
from detectors.intake.stage import Intake, IntakeOutput, IntakeState, Reject
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.bulk import Bulk, Fetched
from streams.kafka.client import connection, new_consumer, new_producer
from streams.kafka.cutting import Cut, chunks, cut, encoded
from streams.kafka.idle import Idleness, RawProgress
from streams.kafka.lease import Failpoint, no_failpoint
from streams.kafka.topics import DEPLOYMENTS, FEEDBACK, FRAMES, REJECTED, USAGE

MESSAGES_AT_ONCE = 40_000
MINUTES_AT_ONCE = 120
"""About so many minutes of events go into a frame: watch judges them in one go, and heartbeats wait meanwhile."""
_FEWEST_AT_ONCE = 100

AWAIT_DEPLOYMENTS_SECONDS = 120.0
_POLL_MS = 200
_GATHER_SECONDS = 0.25
"""Usage is taken no more often, unless as much as is wanted waits: each frame has a price of its own."""
_LOOK_SECONDS = 0.02
_IDLE_LOOK_SECONDS = 1.0
_LONGEST_FETCH_MS = 50
"""The broker holds a fetch back so long where nothing has come, and with it the fetch of a partition that has much."""

_FETCHED_BYTES = 6_000_000
"""Of a partition at once, unless a message is larger: about :data:`MESSAGES_AT_ONCE`, and so few that the system need
not be asked for the buffers of each fetch. A fetch brings them of all partitions: less, and some have to wait."""

Batches = dict[TopicPartition, list[Fetched]]

_log = structlog.get_logger(__name__)


class DeploymentsStuckError(Exception):
    """Another worker owns the deployments and does not read them."""


class IntakeService(ConsumerRebalanceListener):
    """Drains the raw topics.

    Parameters
    ----------
    settings
        Where Kafka is.
    intake
        The pure stage.
    idle_seconds
        After so long without usage on a raw partition that is read to its end, it no longer holds back the minutes.
    instance
        Name of this worker for static membership; None for none.
    observe
        Told of what was taken once it is committed.
    failpoint
        For tests that crash at every point.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        intake: Intake,
        idle_seconds: float,
        instance: str | None = None,
        observe: Callable[[IntakeOutput], object] = lambda output: None,
        failpoint: Failpoint = no_failpoint,
    ) -> None:
        self._settings = settings
        self._failpoint = failpoint
        self._intake = intake
        self._observe = observe
        self._kind_of: dict[str, Kind] = {settings.topic(kind): kind for kind in KINDS}
        self._group = f"{settings.application}-intake"
        self._instance = instance
        self._idleness = Idleness(idle_seconds, intake.settings)
        self._next_take = 0.0
        self._next_look = 0.0
        self._high: dict[int, int] = {}
        self._done: dict[TopicPartition, int] = {}
        self._epoch = 0
        self._came_ms = 0
        self._bulk = Bulk(self._kind_of, MESSAGES_AT_ONCE)
        self._working = asyncio.Lock()
        self._stopping = threading.Event()  # told from another thread
        self._consumer: AIOKafkaConsumer
        self._looker: AIOKafkaConsumer
        self._producer: AIOKafkaProducer
        self._admin: AIOKafkaAdminClient

    def stop(self) -> None:
        """Let :meth:`run` finish what is in flight and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Take messages until told to stop. Any failure is raised; nothing is lost by it."""
        timeout_ms = int(self._settings.session_timeout_seconds * 1000)
        self._consumer = new_consumer(
            self._settings, group_id=self._group, group_instance_id=self._instance,
            session_timeout_ms=timeout_ms, heartbeat_interval_ms=timeout_ms // 4, fetch_max_wait_ms=_LONGEST_FETCH_MS,
            max_partition_fetch_bytes=_FETCHED_BYTES, value_deserializer=self._bulk,
            check_crcs=False,  # the broker checked them when it took the messages
        )  # fmt: skip
        self._looker = new_consumer(self._settings)  # a connection on which no fetch is held back
        self._producer = new_producer(self._settings)
        self._admin = AIOKafkaAdminClient(**connection(self._settings))
        self._consumer.subscribe(topics=list(self._kind_of), listener=self)
        async with self._producer, self._looker, self._consumer:
            await self._admin.start()
            try:
                while not self._stopping.is_set():
                    await self._turn()
            finally:
                await self._admin.close()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Wait for what is in flight; what was fetched and not begun comes again."""
        async with self._working:
            self._epoch += 1
            self._high.clear()
            self._done.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Pause what is read only up to its end; what is known of usage is read when its first messages come."""
        self._consumer.pause(*(place for place in assigned if self._kind_of[place.topic] != USAGE))
        _log.info("intake_assigned", partitions=len(list(assigned)))

    async def _turn(self) -> None:
        usage, epoch = await self._take()
        self._came_ms = round(time.time() * 1000)
        if not await self._read_ahead(epoch, for_usage=bool(usage)):
            return  # what was taken is not processed: where reading stands must not be committed
        await self._process(usage, epoch)
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _IDLE_LOOK_SECONDS
            await self._commit_past_markers()
            await self._send_heartbeats()

    async def _take(self) -> tuple[Batches, int]:
        """Wait for messages, then take what else has come, up to as many as are wanted; return them and the epoch."""
        await asyncio.sleep(self._next_take - time.monotonic())
        taken: Batches = {}
        epoch, messages = self._epoch, 0
        while messages < self._bulk.most_messages:
            some: Batches = await self._consumer.getmany(timeout_ms=0 if taken else _POLL_MS, max_records=1)
            if self._epoch != epoch:  # what came before comes again
                taken, epoch, messages = {}, self._epoch, 0
            if not some:
                break
            for place, fetched in some.items():
                taken.setdefault(place, []).extend(fetched)
                messages += sum(len(one.messages) for one in fetched)
        if taken and messages + self._waiting(taken) < self._bulk.most_messages:
            self._next_take = time.monotonic() + _GATHER_SECONDS
        return taken, epoch

    def _waiting(self, taken: Batches) -> int:
        """Return how many messages are known to stand behind what was taken."""
        ends = {place: self._consumer.highwater(place) or 0 for place in taken if place in self._consumer.assignment()}
        return sum(max(end - taken[place][-1].next_offset, 0) for place, end in ends.items())

    async def _read_ahead(self, epoch: int, for_usage: bool) -> bool:
        """Read deployments and feedback to their present end, or, where usage waits for them, wait for their owner.

        False after a rebalance or when told to stop: then what waited comes again.
        """
        try:
            await self._await_deployments(epoch, for_usage)
        except IllegalStateError:  # a partition was taken from us meanwhile
            if epoch == self._epoch:
                raise
        return self._goes_on(epoch)

    def _goes_on(self, epoch: int) -> bool:
        return epoch == self._epoch and not self._stopping.is_set()

    async def _await_deployments(self, epoch: int, for_usage: bool) -> None:
        places = [TopicPartition(self._settings.topic(kind), 0) for kind in (DEPLOYMENTS, FEEDBACK)]
        ends = await self._looker.end_offsets(places)
        deadline = time.monotonic() + AWAIT_DEPLOYMENTS_SECONDS
        while self._goes_on(epoch):
            assigned = self._consumer.assignment()
            owned = [place for place in places if place in assigned]
            others = [place for place in places if place not in assigned]
            behind = [place for place in owned if await self._consumer.position(place) < ends[place]]
            if not behind and not (for_usage and await self._lag(others, ends)):
                return
            if behind:
                await self._process(await self._read(behind), epoch)
            elif time.monotonic() > deadline:
                raise DeploymentsStuckError(f"nobody read {others} for {AWAIT_DEPLOYMENTS_SECONDS:.0f} s")
            else:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _read(self, paused: list[TopicPartition]) -> Batches:
        self._consumer.resume(*paused)
        try:
            found: Batches = await self._consumer.getmany(*paused, timeout_ms=_POLL_MS)
        finally:
            self._consumer.pause(*(place for place in paused if place in self._consumer.assignment()))
        return found

    async def _lag(self, places: list[TopicPartition], ends: dict[TopicPartition, int]) -> bool:
        """Whether another worker has yet to read some places to the ends."""
        waiting = [place for place in places if ends[place] > 0]
        if not waiting:
            return False
        done = await self._admin.list_consumer_group_offsets(self._group, partitions=waiting)
        first = await self._looker.beginning_offsets(waiting)
        return any(max(done[place].offset if place in done else 0, first[place]) < ends[place] for place in waiting)

    async def _process(self, batch: Batches, epoch: int) -> None:
        """Send frames and rejects of a batch, then commit its offsets."""
        if not any(batch.values()):
            return
        async with self._working:
            if epoch != self._epoch:
                return
            sent: list[asyncio.Future[object]] = []
            outputs: list[IntakeOutput] = []
            for place, fetched in batch.items():
                await self._know_high(place)
                for chunk in chain.from_iterable(chunks(one.messages, self._bulk.most_messages) for one in fetched):
                    for made in self._cut(place, chunk):
                        outputs.append(made.output)
                        sent += await self._send(made)
            await self._failpoint("intake: sending")
            await asyncio.gather(*sent)
            await self._failpoint("intake: after send")
            await self._commit({place: fetched[-1].next_offset for place, fetched in batch.items() if fetched})
            await self._failpoint("intake: after commit")
        for output in outputs:
            self._observe(output)

    async def _know_high(self, place: TopicPartition) -> None:
        if self._kind_of[place.topic] == USAGE and place.partition not in self._high:
            _, metadata = (await self._committed([place])).get(place, (0, ""))
            self._high[place.partition] = high_minute_in(metadata)

    def _cut(self, place: TopicPartition, messages: RawBatch) -> list[Cut]:
        if self._kind_of[place.topic] != USAGE:
            return [encoded(self._intake.step(self._intake.start(), messages)[1])]
        state, made = cut(self._intake, IntakeState({place.partition: self._high[place.partition]}), messages)
        self._high[place.partition] = state.high_minute[place.partition]
        self._fit(len(messages), sum(one.minutes for one in made))
        return made

    def _fit(self, messages: int, minutes: int) -> None:
        """Take as many messages at once as span the right number of minutes, as the last ones did."""
        fitting = messages * MINUTES_AT_ONCE // max(minutes, 1)
        most = min(2 * self._bulk.most_messages, MESSAGES_AT_ONCE)
        self._bulk.most_messages = min(max(fitting, _FEWEST_AT_ONCE), most)

    async def _send(self, made: Cut) -> list[asyncio.Future[object]]:
        frames, rejected = self._settings.topic(FRAMES), self._settings.topic(REJECTED)
        sent = [
            await self._producer.send(frames, frame, partition=shard, timestamp_ms=self._came_ms)
            for shard, frame in made.frames.items()
        ]
        return sent + [
            await self._producer.send(rejected, reject.payload, partition=0, headers=reject_headers(reject))
            for reject in made.output.rejects
        ]

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        marked = {}
        for place, offset in offsets.items():
            high = self._high.get(place.partition) if self._kind_of[place.topic] == USAGE else None
            marked[place] = (offset, "" if high is None else str(high))
        await self._consumer.commit(marked)
        self._done |= offsets

    async def _commit_past_markers(self) -> None:
        """Commit where reading stands, so that markers of transactions do not look like messages left to read."""
        async with self._working:
            stands = {place: await self._consumer.position(place) for place in self._done}
            passed = {place: offset for place, offset in stands.items() if offset > self._done[place]}
            if passed:
                await self._commit(passed)

    async def _committed(self, places: list[TopicPartition]) -> dict[TopicPartition, tuple[int, str]]:
        found = await self._admin.list_consumer_group_offsets(self._group, partitions=places)
        return {place: (there.offset, there.metadata) for place, there in found.items() if there.offset >= 0}

    async def _send_heartbeats(self) -> None:
        """Move on the minutes of raw partitions where nothing comes; the owner of the first one does it for all."""
        usage = self._settings.topic(USAGE)
        if TopicPartition(usage, 0) not in self._consumer.assignment():
            self._idleness.forget()
            return
        numbers = self._consumer.partitions_for_topic(usage) or set()
        places = [TopicPartition(usage, number) for number in sorted(numbers)]
        ends = await self._looker.end_offsets(places)
        done = await self._committed(places)
        first = await self._looker.beginning_offsets(places)
        progress = []
        for place in places:
            offset, metadata = done.get(place, (0, ""))
            drained = max(offset, first[place]) >= ends[place]
            progress.append(RawProgress(place.partition, drained, ends[place], high_minute_in(metadata)))
        for partition, minute in self._idleness.heartbeats(progress, time.monotonic(), time.time()).items():
            # The state that comes back is not kept: rows are cut as if there had been no heartbeat, so that they
            # are cut alike by whoever cuts them again.
            _, output = self._intake.heartbeat(self._intake.start(), partition, minute)
            await asyncio.gather(*await self._send(encoded(output)))


def reject_headers(reject: Reject) -> list[tuple[str, bytes]]:
    """Where a rejected event stood and why it was refused, as a message's headers."""
    told = {
        "reason": reject.reason,
        "detail": reject.detail,
        "kind": reject.kind,
        "partition": str(reject.partition),
        "offset": str(reject.offset),
        "index": str(reject.index),
    }
    return [(name, text.encode(errors="backslashreplace")) for name, text in told.items()]


def high_minute_in(metadata: str) -> int:
    """Return the highest event minute that stands beside a committed offset.

    Examples
    --------
    >>> high_minute_in("29000000"), high_minute_in("") == NEVER
    (29000000, True)
    """
    return int(metadata) if metadata else NEVER
