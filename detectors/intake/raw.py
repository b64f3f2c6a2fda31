"""Raw messages: one by one, and many in columns, as those who bring them and intake hand them on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, get_args, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.clock import NEVER

Kind = Literal["usage", "deployments", "feedback"]
KINDS: tuple[Kind, ...] = get_args(Kind)

DEFAULT_ENVIRONMENT = b"production"
"""Of usage that names none. It stands behind a batch's messages, so that whoever scans them can point at it."""

_OFFSET, _PAYLOAD, _RECEIVED = map(attrgetter, ("offset", "payload", "received_minute"))


class RawMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as it came; ``received_minute`` is None where nobody knows (a file)."""

    kind: Kind
    partition: int
    offset: int
    payload: bytes
    received_minute: int | None = None


@dataclass(frozen=True, eq=False)
class RawBatch(Sequence[RawMessage]):
    r"""Messages of one kind and one raw partition, in its order; columns have shape (messages,).

    Parameters
    ----------
    kind, partition
        Of all of them.
    offset
        Of each in its partition.
    received_minute
        When it came, :data:`detectors.clock.NEVER` where nobody knows.
    text
        The messages, a zero byte behind each, and :data:`DEFAULT_ENVIRONMENT` behind all.
    end
        Where the zero byte of each stands.
    begin
        Where the first one begins.

    Examples
    --------
    >>> batch = RawBatch.of([RawMessage("usage", 3, offset, b"{}") for offset in (7, 8, 9)])
    >>> len(batch), batch[1:][0].offset, batch.sizes().tolist()
    (3, 8, [2, 2, 2])
    """

    kind: Kind
    partition: int
    offset: NDArray[np.int64]
    received_minute: NDArray[np.int32]
    text: NDArray[np.uint8]
    end: NDArray[np.int64]
    begin: int = 0

    @staticmethod
    def of(messages: Sequence[RawMessage]) -> RawBatch:
        """Return messages that are of one kind and one partition as a batch."""
        payloads = list(map(_PAYLOAD, messages))
        return RawBatch(
            messages[0].kind if messages else "usage",
            messages[0].partition if messages else 0,
            np.fromiter(map(_OFFSET, messages), np.int64, len(messages)),
            _received(list(map(_RECEIVED, messages))),
            np.frombuffer(b"\x00".join([*payloads, DEFAULT_ENVIRONMENT]), np.uint8),
            np.cumsum(np.fromiter(map(len, payloads), np.int64, len(payloads)) + 1) - 1,
        )

    def payload(self, number: int) -> bytes:
        """Return the bytes of one message."""
        start = int(self.end[number - 1]) + 1 if number else self.begin
        return self.text[start : int(self.end[number])].tobytes()

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each message."""
        return np.diff(self.end, prepend=self.begin - 1) - 1

    def __len__(self) -> int:
        """How many messages there are."""
        return len(self.end)

    @overload
    def __getitem__(self, wanted: int) -> RawMessage: ...
    @overload
    def __getitem__(self, wanted: slice) -> RawBatch: ...
    def __getitem__(self, wanted: int | slice) -> RawMessage | RawBatch:
        """Return one message, or a batch of some that stand together."""
        if isinstance(wanted, slice):
            return self._part(range(len(self))[wanted])
        number = range(len(self))[wanted]
        received = int(self.received_minute[number])
        return RawMessage(
            self.kind, self.partition, int(self.offset[number]), self.payload(number),
            None if received == NEVER else received,
        )  # fmt: skip

    def _part(self, numbers: range) -> RawBatch:
        if numbers.step != 1:
            raise ValueError("only messages that stand together are a batch")
        own = slice(numbers.start, numbers.stop)
        begin = int(self.end[numbers.start - 1]) + 1 if numbers.start else self.begin
        return RawBatch(
            self.kind, self.partition, self.offset[own], self.received_minute[own], self.text, self.end[own], begin
        )


def _received(minutes: list[int | None]) -> NDArray[np.int32]:
    known: Iterable[int | None] = (NEVER if minute is None else minute for minute in minutes)
    return np.fromiter(known if None in minutes else minutes, np.int32, len(minutes))
