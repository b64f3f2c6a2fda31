"""Intake: raw messages to frames, one for each shard. Decodes, validates, prices; what is bad is rejected.

The watermark travels with the rows: each carries the highest event minute that its raw partition had shown
when it came, so that what a later stage makes of it does not depend on where frames were cut.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from operator import attrgetter
from typing import Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import codec, columns
from detectors import frame as f
from detectors.admission import NEVER, IntakeSettings, Placed, Stamps, is_sound, place, why_out_of_time, why_unsound
from detectors.decode import Mistake, Reader
from detectors.events import DeploymentEvent, Feedback, UsageEvent
from detectors.frame import Frame
from detectors.prices import PriceTable

E = TypeVar("E", DeploymentEvent, Feedback)
_KIND, _OFFSET, _PAYLOAD, _RECEIVED = map(attrgetter, ("kind", "offset", "payload", "received_minute"))
_TIME, _SOURCE, _ID = map(attrgetter, ("time", "source", "id"))

KEPT_BYTES = 4_000_000
"""So much of a refused event is kept at most."""


class RawMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as it came; ``received_minute`` is None where nobody knows (a file)."""

    kind: Literal["usage", "deployments", "feedback"]
    partition: int
    offset: int
    payload: bytes
    received_minute: int | None = None


class Reject(msgspec.Struct, frozen=True):
    """An event refused: where it stood, why, and its bytes as they came (the message's where it has no place in it)."""

    kind: str
    partition: int
    offset: int
    index: int
    reason: str
    detail: str
    payload: bytes


class IntakeOutput(msgspec.Struct, frozen=True):
    """A frame for every shard (all carry the watermark), what was refused, and counts for the metrics."""

    frames: dict[int, Frame]
    rejects: list[Reject]
    taken: int
    late: int
    unpriced: int


class IntakeState(msgspec.Struct):
    """The highest event minute that each raw partition of usage has shown."""

    high_minute: dict[int, int]


class _Rows(msgspec.Struct):
    """Usage of one step that decoded, with where each came from."""

    events: list[UsageEvent]
    message: list[RawMessage]
    index: list[int]


class Intake:
    """The first stage.

    Parameters
    ----------
    settings
        What is accepted.
    prices
        The price list.
    """

    def __init__(self, settings: IntakeSettings, prices: PriceTable) -> None:
        self.settings = settings
        self._prices = prices
        self._usage = Reader(UsageEvent)
        self._deployments = Reader(DeploymentEvent)
        self._feedback = Reader(Feedback)
        self._stamps = Stamps()
        self._shards: dict[str, int] = {}

    def start(self) -> IntakeState:
        """Nothing seen yet."""
        return IntakeState({})

    def encode(self, state: IntakeState) -> bytes:
        """Bytes that :meth:`decode` reads."""
        return codec.encode(state)

    def decode(self, data: bytes) -> IntakeState:
        """Return the state that :meth:`encode` wrote."""
        return codec.decode(data, IntakeState)

    def step(self, state: IntakeState, messages: Sequence[RawMessage]) -> tuple[IntakeState, IntakeOutput]:
        """Make frames of messages; those of usage all come from one raw partition, in its order."""
        rejects: list[Reject] = []
        usage = messages if set(map(_KIND, messages)) == {"usage"} else [m for m in messages if m.kind == "usage"]
        deployments = self._read(self._deployments, [m for m in messages if m.kind == "deployments"], rejects)
        feedback = self._read(self._feedback, [m for m in messages if m.kind == "feedback"], rejects)
        rows = self._read_usage(usage, rejects)
        partition = usage[0].partition if usage else 0
        span = (usage[0].offset, usage[-1].offset) if usage else (-1, -1)
        before = state.high_minute.get(partition, NEVER)
        taken = self._admit(rows, before, rejects)
        high = int(taken.high.max(initial=before))
        frames = self._cut(taken, partition, span, high, deployments, feedback)
        if usage:
            state = IntakeState({**state.high_minute, partition: high})
        late = int((taken.minute < taken.high - self.settings.allowed_lateness_minutes).sum())
        unpriced = int((taken.values[f.UNPRICED] > 0).sum())
        return state, IntakeOutput(frames, rejects, len(taken), late, unpriced)

    def heartbeat(self, state: IntakeState, partition: int, minute: int) -> tuple[IntakeState, IntakeOutput]:
        """Say that a raw partition has shown all up to a minute: frames without rows that move the watermark."""
        high = max(state.high_minute.get(partition, NEVER), minute)
        nothing = self._admit(_Rows([], [], []), high, [])
        frames = self._cut(nothing, partition, (-1, -1), high, [], [])
        return IntakeState({**state.high_minute, partition: high}), IntakeOutput(frames, [], 0, 0, 0)

    def shard_of(self, service: str) -> int:
        """Return the shard of a service, by a hash that is the same everywhere and for ever."""
        if service not in self._shards:
            mixed = zlib.crc32(service.encode(errors="surrogatepass")) * 2654435761 % 2**32
            self._shards[service] = (mixed >> 16) % self.settings.shards
        return self._shards[service]

    def _read_usage(self, messages: Sequence[RawMessage], rejects: list[Reject]) -> _Rows:
        payloads = list(map(_PAYLOAD, messages))
        fits = list(messages)
        if max(map(len, payloads), default=0) > self.settings.max_message_bytes:
            fits = [m for m in messages if self._size_is_right(m, rejects)]
            payloads = list(map(_PAYLOAD, fits))
        events = self._usage.read_all(payloads)
        if events is not None:
            return _Rows(events, fits, [0] * len(fits))
        rows = _Rows([], [], [])
        for message in fits:
            found, mistakes = self._usage.read(message.payload)
            rejects.extend(_reject(message, m) for m in mistakes)
            rows.events += [event for _, event in found]
            rows.message += [message] * len(found)
            rows.index += [index for index, _ in found]
        return rows

    def _read(self, reader: Reader[E], messages: list[RawMessage], rejects: list[Reject]) -> list[E]:
        """Events of messages that hold no usage: they belong to no raw partition and are never too late."""
        events: list[E] = []
        for message in messages:
            if self._size_is_right(message, rejects):
                found, mistakes = reader.read(message.payload)
                rejects.extend(_reject(message, m) for m in mistakes)
                events += [event for _, event in found]
        return events

    def _size_is_right(self, message: RawMessage, rejects: list[Reject]) -> bool:
        most = self.settings.max_message_bytes
        if len(message.payload) > most:
            detail = f"{len(message.payload)} bytes, at most {most}: send fewer events in a message"
            rejects.append(_reject(message, Mistake(0, "oversized", detail)))
        return len(message.payload) <= most

    def _refuse(self, rows: _Rows, values: NDArray[np.int64], placed: Placed) -> list[Reject]:
        """Say of each event that is not taken why."""
        rejects: list[Reject] = []
        received = _received(rows.message)
        opened: RawMessage | None = None  # its rows stand together: each message is taken apart once
        items: list[bytes] = []
        for row in np.flatnonzero(~placed.taken):
            minute, stamp = int(placed.minute[row]), rows.events[row].time
            high = int(placed.high[row])
            why = why_unsound(values[:, row]) or why_out_of_time(self.settings, stamp, minute, int(received[row]), high)
            message, index = rows.message[row], rows.index[row]
            if message is not opened:
                opened, items = message, self._usage.items(message.payload)
            rejects.append(_reject(message, Mistake(index, *why, items[index])))
        return rejects

    def _admit(self, rows: _Rows, high: int, rejects: list[Reject]) -> Frame:
        """One frame of all shards' rows that are taken."""
        events, values = rows.events, columns.counts_of(rows.events)
        minute = self._stamps.minutes(list(map(_TIME, events)))
        placed = place(self.settings, minute, _received(rows.message), is_sound(values), high)
        offset = np.fromiter(map(_OFFSET, rows.message), np.int64, len(rows.message))
        if not placed.taken.all():
            rejects += self._refuse(rows, values, placed)
            kept = np.flatnonzero(placed.taken)
            events, values, offset = [events[row] for row in kept], values[:, kept], offset[kept]
            placed = Placed(placed.taken[kept], placed.minute[kept], placed.high[kept])
        keys, key = columns.keys_of(events)
        columns.add_dollars(values, columns.paid_of(events), keys, key, placed.minute, self._prices)
        identity = columns.identity_of(list(map(_SOURCE, events)), list(map(_ID, events)))
        return Frame(0, 0, 0, 0, keys, key, offset, placed.minute, placed.high, identity, values, [])

    def _cut(
        self,
        rows: Frame,
        partition: int,
        span: tuple[int, int],
        high: int,
        deployments: list[DeploymentEvent],
        feedback: list[Feedback],
    ) -> dict[int, Frame]:
        """One frame for each shard."""
        shard_of_key = np.array([self.shard_of(k[1]) for k in rows.keys], np.int32)
        shard = shard_of_key[rows.key] if len(rows) else np.zeros(0, np.int32)
        frames = {}
        for number in range(self.settings.shards):
            own = np.flatnonzero(shard == number)
            used, key = np.unique(rows.key[own], return_inverse=True)
            frames[number] = Frame(
                partition, *span, high, [rows.keys[k] for k in used], key.astype(np.int32), rows.offset[own],
                rows.minute[own], rows.high[own], rows.identity[own], rows.values[:, own],
                [d for d in deployments if self.shard_of(d.service) == number],
                [said for said in feedback if self.shard_of(said.alert_id) == number],
            )  # fmt: skip
        return frames


def _received(messages: list[RawMessage]) -> NDArray[np.int32]:
    """Minutes at which messages came, :data:`NEVER` where nobody knows."""
    minutes = list(map(_RECEIVED, messages))
    if None in minutes:
        return np.array([NEVER if minute is None else minute for minute in minutes], np.int32)
    return np.fromiter(minutes, np.int32, len(minutes))


def _reject(message: RawMessage, mistake: Mistake) -> Reject:
    payload = message.payload if mistake.item is None else mistake.item
    return reject_of(message, mistake.index, mistake.code, mistake.detail, payload)


def reject_of(message: RawMessage, index: int, reason: str, detail: str, payload: bytes) -> Reject:
    """Return a refusal that fits a message, however much a small compressed batch has unpacked to."""
    if len(payload) > KEPT_BYTES:
        detail, payload = f"{detail}; the first {KEPT_BYTES} bytes are kept", payload[:KEPT_BYTES]
    return Reject(message.kind, message.partition, message.offset, index, reason, detail, payload)
