"""Dead letters that people ask to be sent again: the topic of asks, and whoever owns the outbox and takes them.

A command cannot send anything itself: the outbox has an owner. So it writes down which letters it means, each by its
number and the moment at which it was refused. The owner reads all asks whenever it begins, and new ones as they come;
an ask changes only what is still refused since that very moment, in one transaction under the lease. So asks need no
offset of their own: one that is read again, by the same owner or the next, finds nothing to do.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.configuration.kafka_settings import KafkaSettings
from streams.delivery.outbox import DeadLetter
from streams.kafka.agents import Companion
from streams.kafka.client import new_consumer, new_producer, records_between
from streams.kafka.deliver import Asked, KafkaOutbox
from streams.kafka.status import places_of
from streams.kafka.topics import SEND_AGAIN

_LOOK_MS = 300
_ONCE_MORE_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Ask(msgspec.Struct, frozen=True):
    """A message of the topic: which letters are to be sent again."""

    letters: tuple[Asked, ...]


async def ask_again(settings: KafkaSettings, letters: list[DeadLetter]) -> None:
    """Ask for letters, in one message; return once it has arrived."""
    ask = Ask(tuple(Asked(letter.number, letter.at_seconds) for letter in letters))
    async with new_producer(settings) as producer:
        await producer.send_and_wait(settings.topic(SEND_AGAIN), msgspec.json.encode(ask), partition=0)


async def asked_for(settings: KafkaSettings) -> set[Asked]:
    """Return all that was ever asked for, as far as the topic looks back.

    Raises
    ------
    LookupError
        If the topic is not there.
    """
    (place,) = await places_of(settings, SEND_AGAIN)
    asked: set[Asked] = set()
    async with new_consumer(settings) as consumer:
        consumer.assign([place])
        first = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        async for record in records_between(consumer, place, first, end):
            asked |= set(_letters_in(record.value))
    return asked


def _letters_in(value: bytes | None) -> tuple[Asked, ...]:
    """Return what a message asks for: nothing, where it is no ask."""
    try:
        return msgspec.json.decode(value or b"", type=Ask).letters
    except msgspec.DecodeError:
        return ()


class ServedWithAsks:
    """Serves an outbox while its partition is held, and takes what people ask for.

    Parameters
    ----------
    settings
        Where Kafka is.
    outbox
        Whose letters are asked for.
    delivery
        Serves it.
    """

    def __init__(self, settings: KafkaSettings, outbox: KafkaOutbox, delivery: Companion) -> None:
        self._settings = settings
        self._outbox = outbox
        self._delivery = delivery
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run until told to stop."""
        taking = asyncio.create_task(self._take_asks(), name="take asks")
        taking.add_done_callback(lambda _: self.stop())
        try:
            await self._delivery.run()
        finally:
            self.stop()
            await asyncio.wait([taking])  # never cut off: it may be in the middle of a save
        taking.result()

    def stop(self) -> None:
        """Let :meth:`run` finish what is in flight and return."""
        self._stopping.set()
        self._delivery.stop()

    async def _take_asks(self) -> None:
        """Read the topic from its beginning; where Kafka does not answer, once more in a while."""
        while not self._stopping.is_set():
            try:
                async with new_consumer(self._settings) as consumer:
                    await self._follow(consumer)
            except KafkaError as error:
                _log.warning("asks_unread", error=str(error), topic=self._settings.topic(SEND_AGAIN))
                try:
                    await asyncio.wait_for(self._stopping.wait(), _ONCE_MORE_SECONDS)
                except TimeoutError:
                    continue

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        place = TopicPartition(self._settings.topic(SEND_AGAIN), 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        while not self._stopping.is_set():
            for record in (await consumer.getmany(place, timeout_ms=_LOOK_MS)).get(place, []):
                asked = _letters_in(record.value)
                if not asked:
                    _log.warning("ask_refused", topic=place.topic, offset=record.offset, detail="it names no letter")
                await self._outbox.send_again(asked)
