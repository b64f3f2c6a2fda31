"""The lease: one owner of one partition's state, each input applied once, each output sent once.

It knows nothing of what is computed. Per (agent, partition) there is one transactional producer, whose
``transactional.id`` is the lease: starting it fences every older owner, whose next transaction fails. State lives
in a compacted topic as :mod:`streams.kafka.checkpoint` lays it out: pages, and a root that says which inputs and
outputs they stand for.

Everything is written in transactions, and every send is awaited before its transaction is committed (a commit
succeeds even where a send failed). There are two kinds:

- *emit*, often: {outputs, emitted}.
- *checkpoint*, seldom: {outputs, emitted, parts of pages that changed, root, the group's offset}.

A checkpoint takes what has changed of a state part by part; while it does, no input is applied
(:mod:`streams.kafka.snapshot_barrier`).

After a crash the next owner has the state of the last checkpoint and reads on from there; computing is
deterministic, so it makes the same outputs again, and those that ``emitted`` counts are not sent again.
The group's committed offset is part of the checkpoint: a hint where to read, never ahead of the root.

Any failure raises and the lease is lost: the process must exit and be started again.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition

from detectors.state.pages import Pages, Part
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.checkpoint import (
    EMITTED,
    FORMAT,
    OWNER,
    ROOT,
    Root,
    pages_in,
    read_up_to,
    record_of,
)
from streams.kafka.client import new_consumer, new_producer
from streams.kafka.snapshot_barrier import SnapshotBarrier
from streams.written import Written

ACQUIRE_SECONDS = 120.0
RELEASE_SECONDS = 10.0
_TRANSACTION_TIMEOUT_MS = 300_000
"""A first checkpoint of a million series is two gigabytes. Of an owner that died, the next one ends it at once."""

REBUILD = "stop all workers and run: burstwatch topics rebuild"

SENDER_HEADER, SEQUENCE_HEADER = "sender", "sequence"
THE_LOG = ""
"""The sender of inputs that are numbered by their own offsets."""


class LeaseLostError(Exception):
    """A transaction failed, or somebody else owns the partition now: exit and start again."""


class InputGapError(Exception):
    """An input is missing: exit and read again. If it repeats, the broker has deleted what was not yet applied."""


class StateError(Exception):
    """The state in the topic cannot be used; the message names the cure."""


class Place(NamedTuple):
    """Where an input stands: its sender, the sender's number for it, its offset in the input topic.

    ``came_ms`` is when the input came that it goes back to, in Unix milliseconds: outputs are stamped with it, so
    that the last stage can tell how long all took.
    """

    sender: str
    sequence: int
    offset: int
    came_ms: int | None = None


_Record = tuple[bytes, bytes | None]
"""Key and value in the topic of the state."""


class _Output(NamedTuple):
    number: int
    value: bytes
    came_ms: int | None


class Lane(msgspec.Struct, frozen=True):
    """What a lease is for: one partition of an agent's input, its state topic, and where its outputs go.

    Topics are full names; outputs go to partition 0 of theirs. ``schema`` names the version of what is in the
    pages, ``older_schemas`` those that can be read too. ``group`` is the consumer group that reads the input.
    """

    agent: str
    partition: int
    input_topic: str
    state_topic: str
    output_topic: str
    group: str
    schema: str
    older_schemas: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Agent and partition: the sender of the outputs."""
        return f"{self.agent}-{self.partition}"


Failpoint = Callable[[str], Awaitable[None]]
"""Told the name of each point that is passed, between any two things that can fail apart."""


async def no_failpoint(_: str) -> None:
    """Nobody wants to know."""


class Lease:
    """Ownership of one lane.

    Parameters
    ----------
    settings
        Where Kafka is.
    lane
        What is owned.
    owner
        Who owns it, for people.
    failpoint
        For tests that crash at every point.
    """

    def __init__(self, settings: KafkaSettings, lane: Lane, owner: str, failpoint: Failpoint = no_failpoint) -> None:
        self.lane = lane
        self._settings = settings
        self._owner = owner
        self._failpoint = failpoint
        self._producer: AIOKafkaProducer | None = None
        self._writing = asyncio.Lock()
        self._next_offset = 0
        self._next_sequence: dict[str, int] = {}
        self._any_first = False
        self._outputs = 0
        self._emitted = 0
        self._waiting: list[_Output] = []
        self._written = Written()
        self._saved_offset = -1
        self._barrier = SnapshotBarrier()
        self.held_since_ms: int | None = None
        """When the lease was taken, in Unix milliseconds."""
        self.saved_ms: int | None = None
        """When it last made a checkpoint; None before the first."""

    @property
    def is_behind(self) -> bool:
        """Whether inputs were applied that no checkpoint holds."""
        return self._next_offset != self._saved_offset

    async def acquire(self) -> Pages:
        """Fence every older owner, then read the state that the last of them left; no pages if there is none."""
        try:
            async with asyncio.timeout(ACQUIRE_SECONDS):
                identity = f"{self._settings.application}-{self.lane.name}"
                self._producer = new_producer(
                    self._settings, transactional_id=identity, transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS
                )
                await self._producer.start()
                await self._failpoint(f"{self.lane.name}: fenced")
                mark = f"{self._owner} {uuid.uuid4()}".encode()
                await self._transact([(OWNER, mark)], [], None)
                records = await read_up_to(self._settings, self._state_place, mark)
                await self._failpoint(f"{self.lane.name}: state read")
                first, end = await self._input_bounds()
                self.held_since_ms = round(time.time() * 1000)
        except TimeoutError as error:
            raise LeaseLostError(f"{self.lane.name}: no lease within {ACQUIRE_SECONDS:.0f} s") from error
        self._emitted = int(records.get(EMITTED, b"0"))
        if ROOT not in records:
            self._next_offset = first
            self._next_sequence = {THE_LOG: first}
            self._any_first = first > 0
            return {}
        return self._adopt(msgspec.json.decode(records[ROOT], type=Root), records, end)

    async def until_input_may_come(self) -> None:
        """Wait while a checkpoint reads the state; to be followed by :meth:`apply` with nothing awaited in between."""
        await self._barrier.over()

    def apply(self, place: Place, work: Callable[[], Sequence[bytes]]) -> bool:
        """Do the work of one input, once; tell whether it was done, or had been before.

        Parameters
        ----------
        place
            Where the input stands.
        work
            Changes the state and returns outputs; deterministic.

        Raises
        ------
        InputGapError
            If an input before this one never came.
        """
        if self._barrier.holds:
            raise RuntimeError(f"{self.lane.name}: an input came while the state was read")
        expected = self._next_sequence.get(place.sender, place.sequence if self._any_first else 0)
        if place.sequence > expected:
            raise InputGapError(
                f"{self.lane.name}: input {place.sequence} of {place.sender or 'the log'!r} came where {expected} was "
                "due. If this repeats, the broker deleted inputs before they were applied: lengthen retention_hours, "
                f"and {REBUILD}"
            )
        self._next_offset = max(self._next_offset, place.offset + 1)
        if place.sequence < expected:
            return False
        for output in work():
            if self._outputs >= self._emitted:
                self._waiting.append(_Output(self._outputs, output, place.came_ms))
            self._outputs += 1
        self._next_sequence[place.sender] = place.sequence + 1
        return True

    async def emit(self) -> None:
        """Send the outputs that wait, if any."""
        async with self._writing:
            outputs = self._take_waiting()
            if outputs:
                emitted = outputs[-1].number + 1
                await self._transact([(EMITTED, b"%d" % emitted)], outputs, None)
                self._emitted = emitted

    def _take_waiting(self) -> list[_Output]:
        outputs, self._waiting = self._waiting, []
        return outputs

    @property
    def next_offset(self) -> int:
        """Offset of the input that is due."""
        return self._next_offset

    def taken_from(self, sender: str) -> int:
        """How many inputs of a sender the state contains."""
        return self._next_sequence.get(sender, 0)

    async def checkpoint(
        self,
        changes: Callable[[], Iterable[Part]],
        notes: Callable[[], Sequence[bytes]] = tuple,
        reached: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Save the state as of the last input applied, with all outputs up to it.

        Parameters
        ----------
        changes
            Gives the parts of pages that may have changed since the last checkpoint; those that did not are not
            written again. No input may be applied before :meth:`until_input_may_come` returns.
        notes
            Gives further messages to the output topic, which follow from no input: sent with this state or not at all.
        reached
            Gives the minute that the state has come to, for whoever looks on.
        """
        async with self._writing:
            self._barrier.begin()
            try:
                root = Root(
                    FORMAT, self.lane.schema, self._next_offset, dict(self._next_sequence), self._outputs, {},
                    self._owner, self.held_since_ms, reached(),
                )  # fmt: skip
                outputs = self._take_waiting()
                remarks = notes()
                parts = await self._barrier.take(changes())
                emitted = max(self._emitted, root.outputs)
                records = self._checkpoint_records(parts, emitted, root)
                await self._transact(records, outputs, root.next_offset, remarks)
                self._emitted, self._saved_offset = emitted, root.next_offset
                self.saved_ms = round(time.time() * 1000)
            finally:
                self._barrier.end()

    def _checkpoint_records(self, parts: Iterator[Part], emitted: int, root: Root) -> Iterator[_Record]:
        """Give keys and values: what changed, then the root, which knows them all by then."""
        for change in self._written.changes(parts):
            yield record_of(change)
        yield EMITTED, b"%d" % emitted
        yield ROOT, msgspec.json.encode(msgspec.structs.replace(root, parts=self._written.checksums))

    async def release(self) -> None:
        """Stop the producer; what no checkpoint holds is computed again by the next owner."""
        async with self._writing:  # stopping during a commit hangs
            producer, self._producer = self._producer, None
            if producer is not None:
                async with asyncio.timeout(RELEASE_SECONDS):
                    await producer.stop()

    def _adopt(self, root: Root, records: dict[bytes, bytes], end: int) -> Pages:
        """Take over what a root describes; return its pages."""
        state = f"the state in {self.lane.state_topic}, partition {self.lane.partition},"
        if root.format != FORMAT or root.schema not in (
            self.lane.schema,
            *self.lane.older_schemas,
        ):
            raise StateError(
                f"{state} is {root.schema!r} in format {root.format}, expected is {self.lane.schema!r} in format "
                f"{FORMAT}: set the configuration back, run the version that wrote it, or {REBUILD}"
            )
        if root.next_offset > end:
            raise StateError(
                f"{state} stands for inputs up to {root.next_offset}, but {self.lane.input_topic} ends at {end}: "
                f"it was made anew. Then {REBUILD}"
            )
        pages = pages_in(records)
        self._written = Written(pages)
        if damaged := sorted(root.parts.items() ^ self._written.checksums.items()):
            raise StateError(f"{state} is damaged at {damaged[0][0]}: {REBUILD}")
        self._next_offset = self._saved_offset = root.next_offset
        self._next_sequence = dict(root.next_sequence)
        self._outputs = root.outputs
        return pages

    async def _transact(
        self,
        changes: Iterable[_Record],
        outputs: Sequence[_Output],
        next_offset: int | None,
        notes: Sequence[bytes] = (),
    ) -> None:
        """Write changes of state, outputs, notes and the group's offset: all or none."""
        lane, producer = self.lane, self._producer
        if producer is None:
            raise LeaseLostError(f"{lane.name}: the lease is not held")
        try:
            patience = self._settings.request_timeout_seconds
            async with asyncio.timeout(patience) as deadline:
                await self._failpoint(f"{lane.name}: before begin")
                await producer.begin_transaction()
                sent = [await self._send(producer, output) for output in outputs]
                sent += [await producer.send(lane.output_topic, note, partition=0) for note in notes]
                for key, value in changes:
                    sent.append(await producer.send(lane.state_topic, value, key=key, partition=lane.partition))
                    deadline.reschedule(asyncio.get_running_loop().time() + patience)
                    await asyncio.sleep(0)  # others have their turn, however fast the broker is
                await asyncio.gather(*sent)
                await self._failpoint(f"{lane.name}: after send")
                if next_offset is not None:
                    hint = {TopicPartition(lane.input_topic, lane.partition): next_offset}
                    await producer.send_offsets_to_transaction(hint, lane.group)
                await self._failpoint(f"{lane.name}: before commit")
                await producer.commit_transaction()
                await self._failpoint(f"{lane.name}: after commit")
        except Exception as error:
            raise LeaseLostError(f"{lane.name}: a transaction failed: {error!r}") from error

    async def _send(self, producer: AIOKafkaProducer, output: _Output) -> asyncio.Future[object]:
        headers = [(SENDER_HEADER, self.lane.name.encode()), (SEQUENCE_HEADER, b"%d" % output.number)]
        sent: asyncio.Future[object] = await producer.send(
            self.lane.output_topic, output.value, partition=0, timestamp_ms=output.came_ms, headers=headers
        )
        return sent

    @property
    def _state_place(self) -> TopicPartition:
        return TopicPartition(self.lane.state_topic, self.lane.partition)

    async def _input_bounds(self) -> tuple[int, int]:
        partition = TopicPartition(self.lane.input_topic, self.lane.partition)
        async with new_consumer(self._settings) as consumer:
            first = await consumer.beginning_offsets([partition])
            end = await consumer.end_offsets([partition])
        return first[partition], end[partition]
