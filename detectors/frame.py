"""A frame: a batch of usage events as columns, and the deployments that came with them. What moves between stages."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import codec
from detectors.events import DeploymentEvent, Feedback

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
    keys
        Distinct labels of the rows.
    key
        Index into ``keys``, shape (rows,).
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
    keys: list[Key]
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
        return codec.encode(self)

    @staticmethod
    def decode(data: bytes) -> Frame:
        """Return the frame that :meth:`encode` wrote."""
        return codec.decode(data, Frame)
