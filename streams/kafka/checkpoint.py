"""What a checkpoint looks like in its compacted topic: pages of state, and a root that says what they stand for.

==========  ==========================================================================================
key         value
==========  ==========================================================================================
owner       who holds the lease; written at acquisition, and the mark up to which the topic is read
page/N/P    part P of page N of the state, as of the root
root        :class:`Root`: the next input expected, how many outputs were made, a checksum of every page
emitted     how many outputs have been sent; at least as many as the root says
==========  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import MutableMapping

import msgspec
from aiokafka import ConsumerRecord, TopicPartition

from detectors.state.pages import Pages
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import new_consumer
from streams.written import Change

FORMAT = 2
"""Of the root and the pages. Another one is refused, never misread."""

_FETCHED_BYTES = 32 * 1024 * 1024
"""A state is read in pieces of this size: fewer ways to the broker."""

_PAGE = b"page/"
OWNER, ROOT, EMITTED = b"owner", b"root", b"emitted"


class Root(msgspec.Struct, frozen=True):
    """What the pages stand for.

    ``next_sequence`` is the next input expected of each sender, ``outputs`` how many outputs the inputs up to
    here have made, ``parts`` the checksum of the parts of each page. For whoever looks on: ``owner`` wrote
    it, who has held the lease since ``held_since_ms`` (Unix), and ``reached`` is the minute that the state has come to.
    """

    format: int
    schema: str
    next_offset: int
    next_sequence: dict[str, int]
    outputs: int
    parts: dict[str, str]
    owner: str = ""
    held_since_ms: int | None = None
    reached: int | None = None


def owner_in(mark: bytes) -> str:
    """Return who wrote the mark of an acquisition.

    Examples
    --------
    >>> owner_in(b"worker-1 7f9c0a52-2a0b-4c38-9d0e-0b6a7b6f3f11")
    'worker-1'
    """
    return mark.decode().rpartition(" ")[0]


def record_of(change: Change) -> tuple[bytes, bytes | None]:
    """Return key and value of a part.

    Examples
    --------
    >>> record_of(Change("keys/000003", 0, b"abc"))
    (b'page/keys/000003/000000', b'abc')
    """
    return b"%b%b/%06d" % (_PAGE, change.page.encode(), change.number), change.part


def pages_in(records: MutableMapping[bytes, bytes]) -> Pages:
    """Take the pages out of records by key.

    Examples
    --------
    >>> pages_in({b"page/state/000001": b"cd", b"owner": b"me", b"page/state/000000": b"ab"})
    {'state': [b'ab', b'cd']}
    """
    pages: Pages = {}
    for key in sorted(key for key in records if key.startswith(_PAGE)):
        pages.setdefault(key.removeprefix(_PAGE).rpartition(b"/")[0].decode(), []).append(records.pop(key))
    return pages


async def read_up_to(settings: KafkaSettings, place: TopicPartition, mark: bytes) -> dict[bytes, bytes]:
    """Return the newest value of each key in the partition of a state, up to the mark of an acquisition."""
    records: dict[bytes, bytes] = {}
    async with new_consumer(settings, max_partition_fetch_bytes=_FETCHED_BYTES) as consumer:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        while records.get(OWNER) != mark:
            for found in (await consumer.getmany(timeout_ms=1000)).values():
                for record in found:
                    keep_newest(records, record)
    return records


def keep_newest(records: dict[bytes, bytes], record: ConsumerRecord) -> None:
    """Let a record of the topic take the place of what was known of its key; one without a value removes it."""
    if record.value is None:
        records.pop(record.key, None)
    else:
        records[record.key] = record.value
