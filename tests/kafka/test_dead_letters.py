"""``burstwatch dead-letters --kafka``: what a receiver refused is shown and, asked for, sent again once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import new_producer
from streams.kafka.dead_letters import read_dead_letters
from streams.kafka.lease import LeaseLostError
from streams.kafka.send_again import ServedWithAsks, ask_again
from streams.kafka.topics import SEND_AGAIN, create_topics
from tests.contracts.alerts import FIRING, RESOLVED, another
from tests.faults.receiver import Receiver
from tests.faults.run import ROUTES
from tests.kafka.delivering import LONG_HOURS, Owner, send, send_alerts
from tests.kafka.reading import read, wait_for
from tests.kafka.running import Worker, burstwatch, config_for, write_config

OTHER = another(1)
AROUND_THE_TRANSACTION = ("before begin", "after send", "before commit", "after commit")


@pytest.fixture
def kafka(kafka: KafkaSettings) -> KafkaSettings:
    """Topics that keep alerts of the past, such as those here."""
    return msgspec.structs.replace(kafka, retention_hours=LONG_HOURS)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def dead_letters(config: Path, *words: str) -> list[str]:
    return burstwatch("dead-letters", "--kafka", *words, "--config", config).splitlines()


def refused(kafka: KafkaSettings, folder: Path, receiver: Receiver) -> tuple[Path, Worker]:
    """Let a worker have three words refused, and stop it; the receiver is mended then."""
    config = config_for(folder / "config", kafka)
    (config / "routes.yaml").write_text(ROUTES)
    receiver.refuses = True
    send(kafka, OTHER, FIRING, RESOLVED)
    with Worker(config) as worker:
        worker.start(ALERT_URL=receiver.url)
        wait_for(lambda: len(dead_letters(config)) == 3, "three letters")
    receiver.refuses = False
    assert receiver.refused == 3
    return config, worker


def test_what_was_refused_is_shown_and_sent_again_once_however_often_it_is_asked_for(
    kafka: KafkaSettings, tmp_path: Path, receiver: Receiver, run: Callable[..., Worker]
) -> None:
    config, worker = refused(kafka, tmp_path, receiver)
    with pytest.raises(AssertionError, match="whose id begins with 'bw-none': leave ids out to see all there are"):
        dead_letters(config, "bw-none", "--send-again")

    line, said = dead_letters(config, "bw-other", "--send-again")
    assert f"ours  {OTHER.alert_id} #1 firing: HTTP 401" in line
    assert said == "1 wait to be sent again"
    line, said = dead_letters(config, "bw-other", "--send-again")
    assert line.endswith("(asked for: waits for a worker)")
    assert said == "1 wait to be sent again"
    assert len(read(kafka, SEND_AGAIN)) == 1

    run(worker, ALERT_URL=receiver.url)
    wait_for(lambda: len(dead_letters(config)) == 2, "the letter to be settled")
    *_, said = dead_letters(config, "--send-again")
    assert said == "1 wait to be sent again; 1 let go, since a later word says that it is over"
    wait_for(lambda: not dead_letters(config), "all to be settled")
    wait_for(lambda: len(receiver.told()) == 2, "both to be told")
    worker.stop()
    run(worker, ALERT_URL=receiver.url).wait_until_ready()
    worker.stop()

    assert [(alert["alert_id"], alert["state"]) for alert in receiver.alerts()] == [
        (OTHER.alert_id, "firing"),
        (RESOLVED.alert_id, "resolved"),
    ]
    assert not any(is_marked for _, is_marked in receiver.told())
    assert dead_letters(config, "--send-again") == ["0 wait to be sent again"]


def test_killed_in_the_midst_of_sending_again_it_sends_once_more_and_says_so(
    kafka: KafkaSettings, tmp_path: Path, receiver: Receiver, run: Callable[..., Worker]
) -> None:
    config, worker = refused(kafka, tmp_path, receiver)
    receiver.on_post = lambda count: worker.end() if count == 1 else None
    dead_letters(config, "bw-other", "--send-again")

    run(worker, ALERT_URL=receiver.url)
    wait_for(lambda: len(receiver.told()) == 1, "the first time")
    worker.wait()
    run(worker, ALERT_URL=receiver.url)
    wait_for(lambda: len(receiver.told()) == 2, "the second time")
    worker.stop()

    (key, is_marked), again = receiver.told()
    assert not is_marked
    assert again == (key, True)
    assert len(dead_letters(config)) == 2


class Delivery:
    """Stands for what serves the outbox, and sends nothing."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        await self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()


async def one_refused(kafka: KafkaSettings) -> Owner:
    create_topics(kafka, 1)
    await send_alerts(kafka, OTHER)
    owner = await Owner(kafka).acquire()
    await owner.take(OTHER)
    await owner.refuse_all()
    return owner


async def take_asks(kafka: KafkaSettings, owner: Owner, is_done: Callable[[], bool]) -> None:
    """Let an owner take what is asked for, until that is done or it dies of it."""
    serving = ServedWithAsks(kafka, owner.outbox, Delivery())
    running = asyncio.create_task(serving.run())
    async with asyncio.timeout(30):
        while not (is_done() or running.done()):
            await asyncio.sleep(0.02)
    serving.stop()
    await running


@pytest.mark.parametrize("point", AROUND_THE_TRANSACTION)
async def test_wherever_an_owner_dies_of_an_ask_the_next_one_sends_once(kafka: KafkaSettings, point: str) -> None:
    owner = await one_refused(kafka)
    await ask_again(kafka, await read_dead_letters(kafka))
    owner.dies_at = point
    with pytest.raises(LeaseLostError):
        await take_asks(kafka, owner, lambda: False)
    is_done = point == "after commit"

    successor = await Owner(kafka).acquire()
    assert len(successor.outbox.dead_letters()) == (0 if is_done else 1)
    await take_asks(kafka, successor, lambda: successor.outbox.waiting().count == 1)

    assert await successor.due() == [(OTHER.alert_id, OTHER.sequence, False)]
    assert await read_dead_letters(kafka) == []
    third = await Owner(kafka).acquire()
    await ask_again(kafka, [])
    await take_asks(kafka, third, lambda: True)
    assert await third.due() == []
    await third.lease.release()
    await successor.lease.release()
    await owner.lease.release()


async def test_an_owner_that_was_overtaken_can_take_no_ask(kafka: KafkaSettings) -> None:
    owner = await one_refused(kafka)
    successor = await Owner(kafka).acquire()
    await ask_again(kafka, await read_dead_letters(kafka))

    with pytest.raises(LeaseLostError):
        await take_asks(kafka, owner, lambda: False)

    assert len(await read_dead_letters(kafka)) == 1
    await take_asks(kafka, successor, lambda: successor.outbox.waiting().count == 1)
    assert await successor.due() == [(OTHER.alert_id, OTHER.sequence, False)]
    await successor.lease.release()
    await owner.lease.release()


async def test_what_is_no_ask_stops_nothing(kafka: KafkaSettings) -> None:
    owner = await one_refused(kafka)
    async with new_producer(kafka) as producer:
        for value in (b"{", b'{"letters": 1}', b'{"letters": [{"number": 7, "at_seconds": 1}]}', None):
            await producer.send_and_wait(kafka.topic(SEND_AGAIN), value, key=b"key")
    (letter,) = await read_dead_letters(kafka)
    assert not letter.is_asked
    await ask_again(kafka, [letter])
    assert [letter.is_asked for letter in await read_dead_letters(kafka)] == [True]

    await take_asks(kafka, owner, lambda: owner.outbox.waiting().count == 1)

    assert len(await owner.due()) == 1
    await owner.lease.release()


def test_missing_topics_are_named_with_the_cure(kafka: KafkaSettings, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config", msgspec.to_builtins(kafka))
    with pytest.raises(AssertionError, match="state-deliver is not there; run: burstwatch topics create"):
        dead_letters(config)
