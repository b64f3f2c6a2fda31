"""A frame: a batch of usage events as columns, and the deployments that came with them. What moves between stages."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.events import DeploymentEvent, Feedback
from detectors.state import codec

DIMENSIONS = ("team", "service", "environment", "initiative", "principal", "provider", "model", "source")
"""What a row is labelled by, in the order of a frame's keys."""

MEASURES = (
    "requests",
    "errors",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "gpu_ms",
    "cost_nano",
    "list_nano",
    "list_input_nano",
    "list_uncached_nano",
    "gpu_nano",
    "unpriced_requests",
)
"""What a row counts: whole numbers all, so that sums are exact and know no order."""

(REQUESTS, ERRORS, INPUT, CACHED, CACHE_WRITE, OUTPUT, REASONING, GPU_MS, COST, LIST, LIST_INPUT, LIST_UNCACHED,
 GPU_COST, UNPRICED) = range(len(MEASURES))  # fmt: skip

Key = tuple[str, str, str, str, str, str, str, str]
"""One value for each of :data:`DIMENSIONS`."""


def shared(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return labels whose texts are in memory once, however many were read one by one: most differ in one of eight."""
    return tuple(map(sys.intern, labels))


def used_of(numbers: NDArray[np.int32], many: int) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Return which of so many numbers occur, rising, and the place of each one that does among them.

    Examples
    --------
    >>> used, place = used_of(np.array([4, 1, 4], np.int32), 6)
    >>> used.tolist(), place.tolist()
    ([1, 4], [1, 0, 1])
    """
    occurs = np.zeros(many, bool)
    occurs[numbers] = True
    used = np.flatnonzero(occurs)
    return used, (np.cumsum(occurs, dtype=np.int32) - np.int32(1))[numbers]


class Labels(msgspec.Struct, frozen=True):
    """Distinct combinations of dimensions, each name written once.

    Parameters
    ----------
    names
        What dimensions are called; a name may stand more than once.
    codes
        Index into ``names``, shape (labels, dimensions).

    Examples
    --------
    >>> key = ("team", "bot", "production", "", "key-1", "openai", "gpt", "gateway")
    >>> Labels.of_keys([key, key]).keys() == [key, key]
    True
    """

    names: list[str]
    codes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.codes)

    @staticmethod
    def of_keys(keys: Sequence[Key]) -> Labels:
        """Return the labels of keys, in their order."""
        places: dict[str, int] = {}
        codes = [[places.setdefault(name, len(places)) for name in key] for key in keys]
        return Labels(list(places), np.array(codes, np.int32).reshape(-1, len(DIMENSIONS)))

    def keys(self) -> list[Key]:
        """Return each label as a tuple of names."""
        by_dimension = (map(self.names.__getitem__, codes) for codes in self.codes.T.tolist())
        return list(zip(*by_dimension, strict=True))

    def of(self, labels: NDArray[np.integer]) -> Labels:
        """Return some of the labels, with the names that they use."""
        used, place = used_of(self.codes[labels].ravel(), len(self.names))
        return Labels([self.names[name] for name in used.tolist()], place.reshape(-1, len(DIMENSIONS)))

    def and_of(self, other: Labels) -> Labels:
        """Return the labels of both."""
        return Labels(
            self.names + other.names, np.concatenate([self.codes, other.codes + np.int32(len(self.names))])
        )  # fmt: skip


class Frame(msgspec.Struct, frozen=True):
    """Rows of one raw partition for one shard, in the order of the raw partition.

    Parameters
    ----------
    raw_partition
        Which raw partition the rows come from.
    first_offset, last_offset
        The raw offsets that the frame covers, for all shards alike.
    high_minute
        Highest event minute that the raw partition had shown when the frame ended; a frame without rows moves
        the watermark by it.
    labels
        What the rows are labelled by.
    key
        Index into ``labels``, shape (rows,).
    offset
        Raw offset, shape (rows,), rising.
    minute
        Event minute, shape (rows,).
    high
        Highest event minute that the raw partition had shown up to and with the row, shape (rows,), rising.
    identity
        Hash of (source, id), shape (rows,).
    values
        :data:`MEASURES` by row, shape (measures, rows).
    deployments
        Deployments of services in this shard.
    feedback
        Decisions on alerts; each goes to one shard.
    """

    raw_partition: int
    first_offset: int
    last_offset: int
    high_minute: int
    labels: Labels
    key: NDArray[np.int32]
    offset: NDArray[np.int64]
    minute: NDArray[np.int32]
    high: NDArray[np.int32]
    identity: NDArray[np.uint64]
    values: NDArray[np.int64]
    deployments: list[DeploymentEvent]
    feedback: list[Feedback] = []

    def __len__(self) -> int:
        return len(self.key)

    def encode(self) -> bytes:
        """Bytes that :meth:`decode` reads."""
        return codec.encode(
            _Narrow(
                self.raw_partition, self.first_offset, self.last_offset, self.high_minute, self.labels,
                codec.narrowed(self.key), codec.narrowed(self.offset - self.first_offset),
                codec.narrowed(self.minute - self.high_minute), codec.narrowed(self.high - self.high_minute),
                self.identity, [codec.narrowed(measure) for measure in self.values], self.deployments, self.feedback,
            )
        )  # fmt: skip

    @staticmethod
    def decode(data: bytes) -> Frame:
        """Return the frame that :meth:`encode` wrote."""
        read = codec.decode(data, _Narrow)
        values = np.empty((len(MEASURES), len(read.key)), np.int64)
        for measure, narrow in zip(values, read.values, strict=True):
            measure[:] = narrow
        return Frame(
            read.raw_partition, read.first_offset, read.last_offset, read.high_minute, read.labels,
            read.key.astype(np.int32), read.offset + np.int64(read.first_offset),
            read.minute + np.int32(read.high_minute), read.high + np.int32(read.high_minute),
            read.identity, values, read.deployments, read.feedback,
        )  # fmt: skip


class _Narrow(msgspec.Struct, frozen=True):
    """A frame as it is sent: a third of the bytes, since most numbers are small.

    Offsets are counted from the first one, minutes from the highest; measures have a column each.
    """

    raw_partition: int
    first_offset: int
    last_offset: int
    high_minute: int
    labels: Labels
    key: NDArray[np.signedinteger]
    offset: NDArray[np.signedinteger]
    minute: NDArray[np.signedinteger]
    high: NDArray[np.signedinteger]
    identity: NDArray[np.uint64]
    values: list[NDArray[np.signedinteger]]
    deployments: list[DeploymentEvent]
    feedback: list[Feedback]
