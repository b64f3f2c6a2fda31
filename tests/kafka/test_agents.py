"""What an agent does while Faust rebalances: nothing that came is lost, nothing that another owns is taken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import NoReturn, cast

import pytest

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.agents import Agent, Holding, Message
from streams.kafka.lease import Lease
from streams.kafka.work import Work


class Input:
    """A message as Faust hands it on, and the event around it."""

    def __init__(self, partition: int, offset: int, generation: int) -> None:
        self.partition, self.offset, self.generation_id = partition, offset, generation
        self.message = self


class Held:
    """A partition whose state takes as long to be saved as a test wants."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.taken: list[int] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    def open(self) -> None:
        """It is there at once."""

    async def take(self, message: Message) -> None:
        self.taken.append(message.offset)

    async def rest(self) -> None:
        """There is nothing to save."""

    async def go_on(self) -> None:
        await self.may_go_on.wait()

    async def close(self) -> None:
        """There is nothing to let go."""


class Group:
    """An agent with its inputs, and the group's generation."""

    def __init__(self) -> None:
        self.generation = 1
        self.held: dict[int, Held] = {}
        self._inputs: asyncio.Queue[Input] = asyncio.Queue()
        self.agent = Agent("frames", self._open, self._give_up)
        self.running = asyncio.create_task(self.agent.run(self._events(), lambda: self.generation))

    async def send(self, partition: int, *offsets: int) -> None:
        """Let messages of the present generation come, and let the agent do what it can."""
        for offset in offsets:
            self._inputs.put_nowait(Input(partition, offset, self.generation))
        for _ in range(10 * len(offsets)):
            await asyncio.sleep(0)

    def _open(self, partition: int) -> Holding:
        self.held[partition] = Held(partition)
        return cast("Holding", self.held[partition])

    async def _events(self) -> AsyncIterator[Input]:
        while True:
            yield await self._inputs.get()

    @staticmethod
    def _give_up(error: BaseException) -> NoReturn:
        raise error


class DeafLease:
    """A lease whose acquisition swallows a cancellation, as aiokafka does where it comes at the wrong moment."""

    lane = SimpleNamespace(name="watch-0")
    is_behind = False

    def __init__(self) -> None:
        self.is_released = False

    async def acquire(self) -> dict[str, bytes]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return {}

    async def emit(self) -> None:
        """There is nothing to send."""

    async def release(self) -> None:
        self.is_released = True


@pytest.fixture
async def group() -> AsyncIterator[Group]:
    group = Group()
    yield group
    group.running.cancel()
    await asyncio.wait([group.running])


async def test_what_comes_before_the_assignment_is_told_waits_for_it(group: Group) -> None:
    await group.send(0, 7)
    await group.agent.assign([0])
    await group.send(0, 8)
    assert group.held[0].taken == [7, 8]


async def test_what_comes_while_a_kept_partition_proves_its_lease_is_not_lost(group: Group) -> None:
    await group.agent.assign([0])
    kept = group.held[0]
    await group.agent.revoke()
    group.generation, kept.may_go_on = 2, asyncio.Event()
    telling = asyncio.create_task(group.agent.assign([0, 1]))
    await group.send(0, 40, 41)
    await group.send(1, 5)
    assert kept.taken == []
    kept.may_go_on.set()
    await telling
    await group.send(0, 42)
    assert (kept.taken, group.held[1].taken) == ([40, 41, 42], [5])


async def test_what_an_older_generation_read_is_left_since_it_comes_again(group: Group) -> None:
    await group.agent.assign([0])
    await group.agent.revoke()
    await group.send(0, 40)
    group.generation = 2
    await group.agent.assign([0])
    await group.send(0, 39, 40)
    assert group.held[0].taken == [39, 40]


async def test_what_belongs_to_another_worker_now_is_left_and_the_rest_goes_on(group: Group) -> None:
    await group.agent.assign([0, 1])
    await group.agent.revoke()
    group.generation = 2
    await group.agent.assign([1])
    await group.send(0, 3)
    await group.send(1, 4)
    assert (group.held[0].taken, group.held[1].taken) == ([], [4])


async def test_an_agent_that_has_closed_takes_nothing_more(group: Group) -> None:
    await group.agent.assign([0])
    await group.agent.close()
    await group.agent.assign([0])
    await group.send(0, 1)
    assert group.agent.held == {}


async def test_a_partition_that_is_being_acquired_closes_although_a_cancellation_was_swallowed() -> None:
    lease, work = DeafLease(), SimpleNamespace(load=lambda pages: None)
    holding = Holding(cast("Lease", lease), cast("Work", work), KafkaSettings(), Group._give_up)
    holding.open()
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await holding.close()
    assert lease.is_released


class CountingLease:
    """A lease that remembers how many checkpoints were under way at once."""

    def __init__(self) -> None:
        self.under_way = self.most = 0

    async def checkpoint(self, *_: object) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1


@pytest.mark.parametrize(("shared", "most"), [(None, 3), (asyncio.Lock(), 1)])
async def test_states_that_share_a_lock_are_saved_one_after_the_other(shared: asyncio.Lock | None, most: int) -> None:
    lease, work = CountingLease(), SimpleNamespace(changes=None, notes=None, reached=None)
    given = cast("Lease", lease), cast("Work", work), KafkaSettings(), Group._give_up, None, shared
    await asyncio.gather(*(Holding(*given).save() for _ in range(3)))
    assert lease.most == most
