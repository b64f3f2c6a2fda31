"""The lease: one owner of one partition's state, each input applied once, each output sent once.

It knows nothing of what is computed. Per (agent, partition) there is one transactional producer, whose
``transactional.id`` is the lease: starting it fences every older owner, whose next transaction fails. State lives
in a compacted topic as :mod:`streams.kafka.checkpoint` lays it out: pages, and a root that says which inputs and
outputs they stand for.

Everything is written in transactions, and every send is awaited before its transaction is committed (a commit
succeeds even where a send failed). There are two kinds:

- *emit*, often: {outputs, emitted}.
- *checkpoint*, seldom: {outputs, emitted, pages that changed, root, the group's offset}.

After a crash the next owner has the state of the last checkpoint and reads on from there; computing is
deterministic, so it makes the same outputs again, and those that ``emitted`` counts are not sent again.
The group's committed offset is part of the checkpoint: a hint where to read, never ahead of the root.

Any failure raises and the lease is lost: the process must exit and be started again.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition

from streams.kafka.checkpoint import EMITTED, FORMAT, OWNER, ROOT, Root, checksum_of, pages_of, parts_of
from streams.kafka.client import new_consumer, new_producer
from streams.kafka.settings import KafkaSettings

ACQUIRE_SECONDS = 120.0
RELEASE_SECONDS = 10.0
_TRANSACTION_TIMEOUT_MS = 60_000

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


Passing = Callable[[str], Awaitable[None]]
"""Told the name of each point that is passed, between any two things that can fail apart."""


async def no_passing(_: str) -> None:
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
    passing
        For tests that crash at every point.
    """

    def __init__(self, settings: KafkaSettings, lane: Lane, owner: str, passing: Passing = no_passing) -> None:
        self.lane = lane
        self._settings = settings
        self._owner = owner
        self._passing = passing
        self._producer: AIOKafkaProducer | None = None
        self._writing = asyncio.Lock()
        self._next_offset = 0
        self._next_sequence: dict[str, int] = {}
        self._any_first = False
        self._outputs = 0
        self._emitted = 0
        self._waiting: list[_Output] = []
        self._parts: dict[str, str] = {}
        self._saved_offset = -1
        self.held_since_ms: int | None = None
        """When the lease was taken, in Unix milliseconds."""
        self.saved_ms: int | None = None
        """When it last made a checkpoint; None before the first."""

    @property
    def has_outputs(self) -> bool:
        """Whether outputs wait to be sent."""
        return bool(self._waiting)

    @property
    def is_behind(self) -> bool:
        """Whether inputs were applied that no checkpoint holds."""
        return self._next_offset != self._saved_offset

    async def acquire(self) -> dict[str, bytes]:
        """Fence every older owner, then read the state that the last of them left; no pages if there is none."""
        try:
            async with asyncio.timeout(ACQUIRE_SECONDS):
                identity = f"{self._settings.application}-{self.lane.name}"
                self._producer = new_producer(
                    self._settings, transactional_id=identity, transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS
                )
                await self._producer.start()
                await self._passing(f"{self.lane.name}: fenced")
                mark = f"{self._owner} {uuid.uuid4()}".encode()
                await self._transact([(OWNER, mark)], [], None)
                records = await self._read_up_to(mark)
                await self._passing(f"{self.lane.name}: state read")
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
            outputs, self._waiting = self._waiting, []
            if outputs:
                emitted = outputs[-1].number + 1
                await self._transact([(EMITTED, b"%d" % emitted)], outputs, None)
                self._emitted = emitted

    @property
    def next_offset(self) -> int:
        """Offset of the input that is due."""
        return self._next_offset

    def taken_from(self, sender: str) -> int:
        """How many inputs of a sender the state contains."""
        return self._next_sequence.get(sender, 0)

    async def checkpoint(
        self,
        encode: Callable[[], Mapping[str, bytes]],
        notes: Callable[[], Sequence[bytes]] = tuple,
        reached: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Save the state as of the last input applied, with all outputs up to it.

        Parameters
        ----------
        encode
            Gives the whole state as named pages; parts that did not change since the last checkpoint are not
            written again. Inputs may be applied while the checkpoint is written, but not while this is called.
        notes
            Gives further messages to the output topic, which follow from no input: sent with this state or not at all.
        reached
            Gives the minute that the state has come to, for whoever looks on.
        """
        async with self._writing:
            parts = dict(parts_of(encode()))
            checksums = {key: checksum_of(part) for key, part in parts.items()}
            root = Root(
                FORMAT, self.lane.schema, self._next_offset, dict(self._next_sequence), self._outputs, checksums,
                self._owner, self.held_since_ms, reached(),
            )  # fmt: skip
            outputs, self._waiting = self._waiting, []
            remarks = notes()
            emitted = max(self._emitted, root.outputs)
            changes: list[tuple[bytes, bytes | None]] = [
                (key.encode(), parts.get(key))
                for key in sorted(parts.keys() | self._parts.keys())
                if checksums.get(key) != self._parts.get(key)
            ]
            changes += [(EMITTED, b"%d" % emitted), (ROOT, msgspec.json.encode(root))]
            await self._transact(changes, outputs, root.next_offset, remarks)
            self._parts, self._emitted, self._saved_offset = checksums, emitted, root.next_offset
            self.saved_ms = round(time.time() * 1000)

    async def release(self) -> None:
        """Stop the producer; what no checkpoint holds is computed again by the next owner."""
        async with self._writing:  # stopping during a commit hangs
            producer, self._producer = self._producer, None
            if producer is not None:
                async with asyncio.timeout(RELEASE_SECONDS):
                    await producer.stop()

    def _adopt(self, root: Root, records: Mapping[bytes, bytes], end: int) -> dict[str, bytes]:
        """Take over what a root describes; return its pages."""
        state = f"the state in {self.lane.state_topic}, partition {self.lane.partition},"
        if root.format != FORMAT or root.schema not in (self.lane.schema, *self.lane.older_schemas):
            raise StateError(
                f"{state} is {root.schema!r} in format {root.format}, expected is {self.lane.schema!r} in format "
                f"{FORMAT}: set the configuration back, run the version that wrote it, or {REBUILD}"
            )
        if root.next_offset > end:
            raise StateError(
                f"{state} stands for inputs up to {root.next_offset}, but {self.lane.input_topic} ends at {end}: "
                f"it was made anew. Then {REBUILD}"
            )
        for key, checksum in root.parts.items():
            if checksum_of(records.get(key.encode(), b"")) != checksum:
                raise StateError(f"{state} is damaged at {key}: {REBUILD}")
        self._next_offset = self._saved_offset = root.next_offset
        self._next_sequence = dict(root.next_sequence)
        self._outputs = root.outputs
        self._parts = dict(root.parts)
        return pages_of({key: records[key.encode()] for key in root.parts})

    async def _transact(
        self,
        changes: Sequence[tuple[bytes, bytes | None]],
        outputs: Sequence[_Output],
        next_offset: int | None,
        notes: Sequence[bytes] = (),
    ) -> None:
        """Write changes of state, outputs, notes and the group's offset: all or none."""
        lane, producer = self.lane, self._producer
        if producer is None:
            raise LeaseLostError(f"{lane.name}: the lease is not held")
        try:
            async with asyncio.timeout(self._settings.request_timeout_seconds):
                await self._passing(f"{lane.name}: before begin")
                await producer.begin_transaction()
                sent = [await self._send(producer, output) for output in outputs]
                sent += [await producer.send(lane.output_topic, note, partition=0) for note in notes]
                sent += [
                    await producer.send(lane.state_topic, value, key=key, partition=lane.partition)
                    for key, value in changes
                ]
                await asyncio.gather(*sent)
                await self._passing(f"{lane.name}: after send")
                if next_offset is not None:
                    hint = {TopicPartition(lane.input_topic, lane.partition): next_offset}
                    await producer.send_offsets_to_transaction(hint, lane.group)
                await self._passing(f"{lane.name}: before commit")
                await producer.commit_transaction()
                await self._passing(f"{lane.name}: after commit")
        except Exception as error:
            raise LeaseLostError(f"{lane.name}: a transaction failed: {error!r}") from error

    async def _send(self, producer: AIOKafkaProducer, output: _Output) -> asyncio.Future[object]:
        headers = [(SENDER_HEADER, self.lane.name.encode()), (SEQUENCE_HEADER, b"%d" % output.number)]
        sent: asyncio.Future[object] = await producer.send(
            self.lane.output_topic, output.value, partition=0, timestamp_ms=output.came_ms, headers=headers
        )
        return sent

    async def _read_up_to(self, mark: bytes) -> dict[bytes, bytes]:
        """Return the newest value of each key in the state topic, up to our own mark."""
        partition = TopicPartition(self.lane.state_topic, self.lane.partition)
        records: dict[bytes, bytes] = {}
        async with new_consumer(self._settings) as consumer:
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            while records.get(OWNER) != mark:
                for found in (await consumer.getmany(timeout_ms=1000)).values():
                    for record in found:
                        if record.value is None:
                            records.pop(record.key, None)
                        else:
                            records[record.key] = record.value
        return records

    async def _input_bounds(self) -> tuple[int, int]:
        partition = TopicPartition(self.lane.input_topic, self.lane.partition)
        async with new_consumer(self._settings) as consumer:
            first = await consumer.beginning_offsets([partition])
            end = await consumer.end_offsets([partition])
        return first[partition], end[partition]
