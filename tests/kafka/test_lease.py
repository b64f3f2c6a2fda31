"""The lease against a real broker, with a stage that counts and adds up: what is lost or doubled shows at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator

import msgspec
import pytest
from msgspec.structs import replace

from detectors.state.pages import Pages, Part
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka import snapshot_barrier
from streams.kafka.checkpoint import Root
from streams.kafka.client import new_producer, open_admin
from streams.kafka.lease import InputGapError, Lane, Lease, LeaseLostError, Place, StateError
from streams.kafka.topics import create_topics
from tests.kafka.reading import read_topic

AGENT = "count"
INPUTS = 40


class CrashError(Exception):
    """The process ends here."""


class Counting:
    """Adds up its inputs; every input makes an output with the sum so far, every tenth makes two."""

    def __init__(self, pages: Pages) -> None:
        self.count: int
        self.total: int
        self.count, self.total = json.loads(b"".join(pages["sums"])) if pages else (0, 0)

    def step(self, number: int) -> list[bytes]:
        self.count += 1
        self.total += number
        word = f"{self.count}:{self.total}".encode()
        return [word, b"ten " + word] if number % 10 == 0 else [word]

    def changes(self) -> list[Part]:
        return [("sums", json.dumps([self.count, self.total]).encode())]


def expected_outputs(inputs: int = INPUTS) -> list[bytes]:
    stage = Counting({})
    return [word for number in range(inputs) for word in stage.step(number)]


class Owner:
    """One process's hold on the partition."""

    def __init__(
        self, kafka: KafkaSettings, name: str = "owner", crash_at: str = "", after: int = 0, **changed: object
    ) -> None:
        self.passed: list[str] = []
        self._crash_at, self._after = crash_at, after
        topic = kafka.topic
        lane = Lane(AGENT, 0, topic("frames"), topic("state-watch"), topic("candidates"), kafka.application, "count/1")
        self.lease = Lease(kafka, replace(lane, **changed), name, self._pass)
        self.stage = Counting({})

    async def _pass(self, point: str) -> None:
        point = point.removeprefix(f"{self.lease.lane.name}: ")
        self.passed.append(point)
        if point == self._crash_at and self.passed.count(point) > self._after:
            raise CrashError(point)

    async def acquire(self) -> Owner:
        self.stage = Counting(await self.lease.acquire())
        return self

    async def run(self, numbers: range) -> None:
        """Apply inputs, with an emit every third and a checkpoint every seventh."""
        for number in numbers:
            self.apply(number)
            if number % 3 == 2:
                await self.lease.emit()
            if number % 7 == 6:
                await self.checkpoint()

    def apply(self, number: int) -> bool:
        return self.lease.apply(Place("", number, number), lambda: self.stage.step(number))

    async def checkpoint(self) -> None:
        await self.lease.checkpoint(self.stage.changes)


@pytest.fixture
async def kafka(kafka: KafkaSettings) -> KafkaSettings:
    create_topics(kafka, shards=1)
    async with new_producer(kafka) as producer:
        for number in range(INPUTS):
            await producer.send_and_wait(kafka.topic("frames"), b"%d" % number, partition=0)
    return kafka


async def outputs(kafka: KafkaSettings) -> list[bytes]:
    return [record.value for record in await read_topic(kafka, "candidates")]


async def test_every_output_is_sent_once_and_numbered(kafka: KafkaSettings) -> None:
    owner = await Owner(kafka).acquire()

    await owner.run(range(INPUTS))
    await owner.checkpoint()
    await owner.lease.release()

    records = await read_topic(kafka, "candidates")
    assert [record.value for record in records] == expected_outputs()
    assert [int(dict(record.headers)["sequence"]) for record in records] == list(range(len(records)))
    assert {dict(record.headers)["sender"] for record in records} == {b"count-0"}


async def test_state_goes_from_owner_to_owner(kafka: KafkaSettings) -> None:
    first = await Owner(kafka).acquire()
    await first.run(range(20))
    await first.checkpoint()
    await first.lease.release()

    second = await Owner(kafka).acquire()

    assert (second.stage.count, second.stage.total) == (20, sum(range(20)))
    assert second.apply(19) is False, "what the state holds is not applied again"
    assert second.apply(20) is True
    await second.lease.release()


async def test_the_group_reads_on_where_the_checkpoint_ends(kafka: KafkaSettings) -> None:
    owner = await Owner(kafka).acquire()
    await owner.run(range(6))
    await owner.checkpoint()
    for number in range(6, 9):
        owner.apply(number)
    await owner.lease.emit()
    await owner.lease.release()

    admin = open_admin(kafka)
    offsets = admin.list_group_offsets({kafka.application: None})[kafka.application]
    admin.close()

    assert [committed.offset for committed in offsets.values()] == [6]


async def test_a_second_owner_fences_the_first(kafka: KafkaSettings) -> None:
    first = await Owner(kafka, "first").acquire()
    await first.run(range(10))
    second = await Owner(kafka, "second").acquire()
    first.apply(10)

    with pytest.raises(LeaseLostError):
        await first.lease.emit()
    with pytest.raises(LeaseLostError):
        await first.checkpoint()

    await second.run(range(7, INPUTS))
    await second.lease.emit()
    await second.lease.release()
    assert await outputs(kafka) == expected_outputs()


@pytest.mark.parametrize("point", ["before begin", "after send", "before commit", "after commit"])
@pytest.mark.parametrize("after", [3, 4, 6])
async def test_a_crash_at_any_point_neither_loses_nor_doubles(kafka: KafkaSettings, point: str, after: int) -> None:
    crashing = await Owner(kafka, crash_at=point, after=after).acquire()
    with pytest.raises(LeaseLostError):
        await crashing.run(range(INPUTS))

    # Nothing is closed: the next owner must cope with the open transaction as well.
    successor = await Owner(kafka).acquire()
    await successor.run(range(successor.stage.count, INPUTS))
    await successor.checkpoint()
    await successor.lease.release()

    assert await outputs(kafka) == expected_outputs()
    assert (successor.stage.count, successor.stage.total) == (INPUTS, sum(range(INPUTS)))


async def test_without_the_count_of_what_was_sent_outputs_double(kafka: KafkaSettings) -> None:
    """The negative control: it is the record ``emitted`` that keeps a replay from sending again."""
    first = await Owner(kafka).acquire()
    await first.run(range(6))
    second = await Owner(kafka).acquire()
    second.lease._emitted = 0

    await second.run(range(6))
    await second.lease.release()

    assert len(await outputs(kafka)) > len(expected_outputs(6))


async def test_a_missing_input_is_noticed(kafka: KafkaSettings) -> None:
    owner = await Owner(kafka).acquire()
    owner.apply(0)

    with pytest.raises(InputGapError, match="input 2 of 'the log' came where 1 was due"):
        owner.apply(2)
    await owner.lease.release()


async def test_each_sender_is_counted_by_itself(kafka: KafkaSettings) -> None:
    owner = await Owner(kafka).acquire()
    apply = owner.lease.apply
    none: Callable[[], list[bytes]] = list

    assert apply(Place("watch-0", 0, 5), none)
    assert apply(Place("watch-1", 0, 7), none), "markers of transactions leave gaps in offsets"
    assert apply(Place("watch-0", 1, 9), none)
    assert not apply(Place("watch-1", 0, 10), none)
    with pytest.raises(InputGapError):
        apply(Place("watch-1", 2, 11), none)
    await owner.lease.release()


async def test_of_large_pages_only_parts_that_changed_are_written(kafka: KafkaSettings) -> None:
    large = [bytes(800_000), b"a" * 800_000, b"end"]
    owner = await Owner(kafka).acquire()
    owner.apply(0)
    first = [*(("big", part) for part in large), ("small", b"1"), ("gone", b"x"), ("empty", b"")]
    await owner.lease.checkpoint(lambda: first)
    before = len(await read_topic(kafka, "state-watch"))
    await owner.lease.checkpoint(lambda: [*(("big", part) for part in (*large[:2], b"END")), ("gone", None)])
    await owner.lease.release()

    records = (await read_topic(kafka, "state-watch"))[before:]
    written = {record.key: record.value for record in records if record.key.startswith(b"page/")}
    assert written == {b"page/big/000002": b"END", b"page/gone/000000": None}
    successor = Owner(kafka).lease
    assert await successor.acquire() == {"big": [*large[:2], b"END"], "small": [b"1"], "empty": [b""]}
    await successor.checkpoint(lambda: [("big", large[0])])
    await successor.release()
    third = Owner(kafka).lease
    assert await third.acquire() == {"big": large[:1], "small": [b"1"], "empty": [b""]}
    await third.release()


async def test_inputs_wait_while_a_state_is_read_and_others_have_their_turn(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state larger than what is taken ahead: it is read while it is written, part by part."""
    monkeypatch.setattr(snapshot_barrier, "AHEAD_BYTES", 3_000_000)
    owner = await Owner(kafka).acquire()
    owner.apply(0)
    taken, turns = 0, 0

    def large_state() -> Iterator[Part]:
        nonlocal taken
        for number in range(12):
            taken += 1
            yield f"big/{number}", bytes([number]) * 900_000

    async def somebody_else() -> None:
        nonlocal turns
        while taken < 12:
            turns += 1
            await asyncio.sleep(0)

    writing = asyncio.create_task(owner.lease.checkpoint(large_state))
    beside = asyncio.create_task(somebody_else())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="an input came while the state was read"):
        owner.apply(1)
    await owner.lease.until_input_may_come()
    assert taken == 12
    assert owner.apply(1)
    await writing
    await beside
    await owner.lease.release()

    assert turns >= 11, "a turn after each part"
    successor = await Owner(kafka).lease.acquire()
    assert successor == {f"big/{number}": [bytes([number]) * 900_000] for number in range(12)}


async def test_a_damaged_or_foreign_state_is_refused(kafka: KafkaSettings) -> None:
    owner = await Owner(kafka).acquire()
    await owner.run(range(7))
    await owner.lease.release()

    other = Owner(kafka)
    other.lease.lane = msgspec.structs.replace(owner.lease.lane, schema="count/2")
    with pytest.raises(StateError, match="is 'count/1' in format 2, expected is 'count/2'"):
        await other.lease.acquire()
    await other.lease.release()

    async with new_producer(kafka) as producer:
        await producer.send_and_wait(kafka.topic("state-watch"), b"[0, 0]", key=b"page/sums/000000", partition=0)
    damaged = Owner(kafka).lease
    with pytest.raises(StateError, match="is damaged at sums"):
        await damaged.acquire()
    await damaged.release()


async def test_an_older_state_is_read_by_whoever_knows_it_and_refused_by_the_older(kafka: KafkaSettings) -> None:
    create_topics(kafka, 1)
    old = await Owner(kafka).acquire()
    await old.run(range(INPUTS))
    await old.checkpoint()
    await old.lease.release()
    newer = await Owner(kafka, schema="count/2", older_schemas=("count/1",)).acquire()
    assert newer.stage.count == INPUTS
    newer.apply(INPUTS)
    await newer.checkpoint()
    await newer.lease.release()

    for schema in ("count/1", "count/3"):
        with pytest.raises(StateError, match=f"is 'count/2' in format 2, expected is {schema!r}"):
            await (stranger := Owner(kafka, schema=schema)).acquire()
        await stranger.lease.release()


async def test_a_state_of_the_format_before_is_refused(kafka: KafkaSettings) -> None:
    part = b"[7, 21]"
    checksum = hashlib.blake2b(part, digest_size=16).hexdigest()
    root = Root(1, "count/1", 7, {"": 7}, 8, {"page/sums/000000": checksum})
    async with new_producer(kafka) as producer:
        for key, value in ((b"page/sums/000000", part), (b"emitted", b"8"), (b"root", msgspec.json.encode(root))):
            await producer.send_and_wait(kafka.topic("state-watch"), value, key=key, partition=0)
    with pytest.raises(StateError, match=r"in format 1, expected is 'count/1' in format 2: .* topics rebuild"):
        await (owner := Owner(kafka)).acquire()
    await owner.lease.release()


async def test_inputs_applied_while_a_checkpoint_is_written_are_not_lost(kafka: KafkaSettings) -> None:
    owner = await Owner(kafka).acquire()
    for number in range(5):
        owner.apply(number)

    writing = asyncio.create_task(owner.checkpoint())
    while "after send" not in owner.passed[-1:]:
        await asyncio.sleep(0)
    for number in range(5, 9):
        owner.apply(number)
    await writing
    await owner.lease.emit()
    await owner.lease.release()

    successor = await Owner(kafka).acquire()
    assert successor.stage.count == 5
    await successor.run(range(5, INPUTS))
    await successor.lease.emit()
    await successor.lease.release()
    assert await outputs(kafka) == expected_outputs()
