"""Files to a topic, for replays through Kafka and for trying it out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from detectors.events import Feedback
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import new_producer
from streams.kafka.topics import FEEDBACK
from streams.replay.lines import lines_of

RECEIVED_HEADER = "received"
UNKNOWN = b"unknown"
"""Header and value by which intake learns that a message's own timestamp tells nothing: it comes from a file."""

LARGEST_LINE_BYTES = 1_000_000
_AWAITED_AT_ONCE = 5000


class PublishError(Exception):
    """A line that cannot be published; the message names the place and the cure."""


class _Keyed(msgspec.Struct):
    source: str = ""


_KEYS: msgspec.json.Decoder[_Keyed | list[_Keyed]] = msgspec.json.Decoder(_Keyed | list[_Keyed])


def source_of(line: bytes) -> bytes:
    """Return the source of an event, or of the first of several; empty where it cannot be read.

    Examples
    --------
    >>> source_of(b'[{"source": "gateway", "id": "1"}]'), source_of(b"not json")
    (b'gateway', b'')
    """
    try:
        found = _KEYS.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return b""
    if isinstance(found, list):
        found = found[0] if found else _Keyed()
    return found.source.encode(errors="surrogatepass")


def publish(
    settings: KafkaSettings, topic: str, paths: Iterable[Path], progress: Callable[[int], None] | None = None
) -> int:
    """Put the lines of files on a topic, those of one source on one partition, in their order.

    Parameters
    ----------
    settings
        Where Kafka is.
    topic
        One of Burstwatch's topics, without the prefix.
    paths
        ``.ndjson``, ``.ndjson.gz``, or ``-`` for standard input.
    progress
        Told how many messages have arrived since it was last told.

    Returns
    -------
    int
        How many messages there were; all have arrived.

    Raises
    ------
    PublishError
        If a line is too long for a message.
    """
    return asyncio.run(_publish(settings, settings.topic(topic), paths, progress or (lambda _: None)))


async def publish_feedback(settings: KafkaSettings, said: Feedback) -> None:
    """Put a decision on its topic; return once it has arrived."""
    async with new_producer(settings) as producer:
        await producer.send_and_wait(settings.topic(FEEDBACK), msgspec.json.encode(said))


async def _publish(settings: KafkaSettings, topic: str, paths: Iterable[Path], progress: Callable[[int], None]) -> int:
    total = 0
    async with new_producer(settings, linger_ms=5) as producer:
        on_their_way: list[asyncio.Future[object]] = []
        for line in _lines(paths):
            sent = await producer.send(topic, line, key=source_of(line), headers=[(RECEIVED_HEADER, UNKNOWN)])
            on_their_way.append(sent)
            if len(on_their_way) == _AWAITED_AT_ONCE:
                total += await _arrive(on_their_way, progress)
        total += await _arrive(on_their_way, progress)
    return total


async def _arrive(on_their_way: list[asyncio.Future[object]], progress: Callable[[int], None]) -> int:
    arrived = len(await asyncio.gather(*on_their_way))
    on_their_way.clear()
    progress(arrived)
    return arrived


def _lines(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        for number, line in enumerate(lines_of(path), start=1):
            text = line.rstrip()
            if len(text) > LARGEST_LINE_BYTES:
                raise PublishError(
                    f"{path}:{number}: {len(text)} bytes, at most {LARGEST_LINE_BYTES}: put fewer events on a line"
                )
            if text:
                yield text
