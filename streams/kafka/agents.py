"""Agents: pure stages behind leases, fed by Faust.

An agent holds some partitions of one topic. For each it has a :class:`Holding`: a lease, the stage's state, and
two cadences by which outputs are sent and the state is saved. Rebalances, in the order in which Faust tells:

1. *revoked*, before the group forms anew: everything held is saved and rests. So nobody who takes over has to
   compute anything again, and nobody who loses a partition has anything left to write.
2. *assigned*: what went elsewhere is released; what was kept proves its lease by a checkpoint before it goes on;
   what is new is acquired.

Anything that fails ends the process (``give_up``), and a restart goes on from what was saved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from typing import Any, NoReturn, Protocol

import msgspec
import structlog

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.lease import SENDER_HEADER, SEQUENCE_HEADER, THE_LOG, Lease, Place
from streams.kafka.work import Work

_CANCEL_AGAIN_SECONDS = 1.0

_log = structlog.get_logger(__name__)

GiveUp = Callable[[BaseException], NoReturn]
"""Ends the process at once."""


class Message(Protocol):
    """What agents need of a message as Faust gives it."""

    partition: int
    offset: int
    timestamp: float
    value: bytes
    headers: Any
    generation_id: int


class Companion(Protocol):
    """What runs beside a partition that is held, and not while it rests."""

    async def run(self) -> None:
        """Run until told to stop."""

    def stop(self) -> None:
        """Let :meth:`run` finish what is in flight and return."""


class Observer(msgspec.Struct, frozen=True):
    """Hears of what a holding does: of each input that was applied for the first time, how long a checkpoint took."""

    took: Callable[[Message], object] = lambda message: None
    saved: Callable[[float], object] = lambda seconds: None


class Holding:
    """One partition that this process owns.

    Parameters
    ----------
    lease
        Of the partition.
    work
        What is done with its inputs.
    settings
        The cadences.
    give_up
        Ends the process.
    observe
        Told of everything that is seen while the partition is held.
    saving
        Held while the state is saved; shared by holdings whose states should not be in memory twice all at once.
    """

    def __init__(
        self,
        lease: Lease,
        work: Work,
        settings: KafkaSettings,
        give_up: GiveUp,
        observe: Observer | None = None,
        saving: asyncio.Lock | None = None,
    ) -> None:
        self.lease = lease
        self.work = work
        self._saving = saving or asyncio.Lock()
        self._observe = observe or Observer()
        self._settings = settings
        self._give_up = give_up
        self._open_companion: Callable[[], Companion] | None = None
        self._companion: tuple[Companion, asyncio.Task[None]] | None = None
        self._resting = False
        self._ready = asyncio.Event()
        self._saved_at = time.monotonic()
        self._rhythm: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the lease is held and the state is there."""
        return self._ready.is_set()

    def run_companion(self, companion: Callable[[], Companion]) -> None:
        """Let something run while the partition is held; to be told before :meth:`open`."""
        self._open_companion = companion

    def open(self) -> None:
        """Acquire the lease, in the background; inputs wait for it."""
        self._rhythm = asyncio.create_task(self._guarded(self._run()), name=f"hold {self.lease.lane.name}")

    async def take(self, message: Message) -> None:
        """Apply an input."""
        await self._ready.wait()
        await self.lease.until_input_may_come()
        if not self._resting and self.lease.apply(place_of(message), lambda: self.work.take(message.value)):
            self._observe.took(message)

    async def save(self) -> None:
        """Save the state, and prove the lease by it."""
        async with self._saving:
            began = time.monotonic()
            await self.lease.checkpoint(self.work.changes, self.work.notes, self.work.reached)
            self._saved_at = time.monotonic()
        self._observe.saved(self._saved_at - began)

    async def rest(self) -> None:
        """Take nothing more until :meth:`go_on`, and save what there is."""
        self._resting = True
        await self._stop_companion()
        if self._ready.is_set():
            await self.save()

    async def go_on(self) -> None:
        """Prove that the lease is still held, then take inputs again."""
        if self._ready.is_set():
            await self.save()
            self._start_companion()
        self._resting = False

    async def close(self) -> None:
        """Let the partition go."""
        self._resting = True
        while self._rhythm is not None and not self._rhythm.done():  # aiokafka swallows a cancellation now and then
            self._rhythm.cancel()
            await asyncio.wait([self._rhythm], timeout=_CANCEL_AGAIN_SECONDS)
        await self.lease.release()
        self._ready.set()  # an input that still waits is let go

    async def _run(self) -> None:
        began = time.monotonic()
        pages = await self.lease.acquire()
        acquired = time.monotonic()
        self.work.load(pages)
        self._saved_at = time.monotonic()
        self._ready.set()
        if not self._resting:
            self._start_companion()
        took = {"acquire_seconds": round(acquired - began, 2), "load_seconds": round(self._saved_at - acquired, 2)}
        _log.info("partition_held", partition=self.lease.lane.name, **took)
        while True:
            await asyncio.sleep(self._settings.output_seconds)
            if not self._resting:
                await asyncio.shield(self._guarded(self._write()))

    async def _write(self) -> None:
        """Save the state if it is time to, else send the outputs that wait."""
        if self.lease.is_behind and time.monotonic() - self._saved_at >= self._settings.checkpoint_seconds:
            await self.save()
        else:
            await self.lease.emit()

    def _start_companion(self) -> None:
        if self._open_companion is not None and self._companion is None:
            companion = self._open_companion()
            self._companion = (companion, asyncio.create_task(self._guarded(companion.run())))

    async def _stop_companion(self) -> None:
        companion, self._companion = self._companion, None
        if companion is not None:
            companion[0].stop()
            await companion[1]

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._give_up(error)


def place_of(message: Message) -> Place:
    """Where a message stands: as its sender numbered it, else by its offset."""
    headers, came_ms = dict(message.headers or ()), round(message.timestamp * 1000)
    if SENDER_HEADER not in headers:
        return Place(THE_LOG, message.offset, message.offset, came_ms)
    return Place(headers[SENDER_HEADER].decode(), int(headers[SEQUENCE_HEADER]), message.offset, came_ms)


class Agent:
    """The partitions of one topic that this process owns.

    Parameters
    ----------
    topic
        The input, by its full name.
    open_holding
        From a partition's number to its holding.
    give_up
        Ends the process.
    """

    def __init__(self, topic: str, open_holding: Callable[[int], Holding], give_up: GiveUp) -> None:
        self.topic = topic
        self.held: dict[int, Holding] = {}
        self._is_closing = False
        self._settled = asyncio.Event()
        self._open_holding = open_holding
        self._give_up = give_up

    @property
    def is_settled(self) -> bool:
        """Whether it is known what is held."""
        return self._settled.is_set()

    async def run(self, events: AsyncIterable[Any], generation: Callable[[], int]) -> None:
        """Take events as Faust gives them: the body of a Faust agent.

        Parameters
        ----------
        events
            Of a stream that does not acknowledge.
        generation
            The group's present generation; messages of an older one come again.
        """
        try:
            async for event in events:
                message: Message = event.message
                await self._settled.wait()  # Faust lets new messages flow while it tells of an assignment
                holding = self.held.get(message.partition)
                if holding is not None and message.generation_id == generation():
                    await holding.take(message)
                    await asyncio.sleep(0)  # let outputs and heartbeats have their turn
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._give_up(error)

    async def revoke(self) -> None:
        """Save all that is held."""
        self._settled.clear()
        try:
            await asyncio.gather(*(holding.rest() for holding in self.held.values()))
        except Exception as error:
            self._give_up(error)

    async def assign(self, partitions: Iterable[int]) -> None:
        """Let go what is not ours any more, keep what is, acquire what is new."""
        now = set() if self._is_closing else set(partitions)
        try:
            await asyncio.gather(*(self.held.pop(number).close() for number in self.held.keys() - now))
            await asyncio.gather(*(holding.go_on() for holding in self.held.values()))
        except Exception as error:
            self._give_up(error)
        for number in sorted(now - self.held.keys()):
            self.held[number] = self._open_holding(number)
            self.held[number].open()
        self._settled.set()

    async def close(self) -> None:
        """Save everything, let it go, and take nothing again."""
        self._is_closing = True
        await self.revoke()
        await self.assign(())
