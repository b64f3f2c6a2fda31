"""Intake: raw messages to frames, one for each shard. Decodes, validates, prices; what is bad is rejected.

The watermark travels with the rows: each carries the highest event minute that its raw partition had shown
when it came, so that what a later stage makes of it does not depend on where frames were cut.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import frame as f
from detectors.clock import NEVER
from detectors.events import MOST_USD, DeploymentEvent, Feedback, UsageEvent
from detectors.frame import Frame, Labels, used_of
from detectors.intake.admission import IntakeSettings, Placed, is_sound, place, why_out_of_time, why_unsound
from detectors.intake.columns import UsageColumns, add_dollars, list_cost_of
from detectors.intake.decode import Mistake, Reader, Reason
from detectors.intake.prices import ListCost, PriceTable
from detectors.intake.raw import RawBatch, RawMessage
from detectors.intake.usage_reader import UsageReader
from detectors.state.pages import OnePage

E = TypeVar("E", DeploymentEvent, Feedback)
_SERVICE = f.DIMENSIONS.index("service")

TOO_DEAR = f"costs over {MOST_USD:,.0f} USD a minute by the price list: check its counts and its model's price"
"""Said of one event."""

KEPT_BYTES = 4_000_000
"""So much of a refused event is kept at most."""


class Reject(msgspec.Struct, frozen=True):
    """An event refused: where it stood, why, and its bytes as they came (the message's where it has no place in it)."""

    kind: str
    partition: int
    offset: int
    index: int
    reason: Reason
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
        self._usage = UsageReader()
        self._deployments = Reader(DeploymentEvent)
        self._feedback = Reader(Feedback)
        self._shards: dict[str, int] = {}

    def start(self) -> IntakeState:
        """Nothing seen yet."""
        return IntakeState({})

    def pages(self) -> OnePage[IntakeState]:
        """Return what writes and reads a state."""
        return OnePage(IntakeState)

    def step(self, state: IntakeState, messages: Sequence[RawMessage]) -> tuple[IntakeState, IntakeOutput]:
        """Make frames of messages; those of usage all come from one raw partition, in its order."""
        rejects: list[Reject] = []
        usage, others = _parted(messages)
        deployments = self._read(self._deployments, [m for m in others if m.kind == "deployments"], rejects)
        feedback = self._read(self._feedback, [m for m in others if m.kind == "feedback"], rejects)
        fits, rows = self._read_usage(usage, rejects)
        partition = usage.partition
        span = (int(usage.offset[0]), int(usage.offset[-1])) if usage else (-1, -1)
        before = state.high_minute.get(partition, NEVER)
        taken = self._admit(fits, rows, before, rejects)
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
        none = RawBatch.of([])
        nothing = self._admit(none, self._usage.read(none)[0], high, [])
        frames = self._cut(nothing, partition, (-1, -1), high, [], [])
        return IntakeState({**state.high_minute, partition: high}), IntakeOutput(frames, [], 0, 0, 0)

    def shard_of(self, service: str) -> int:
        """Return the shard of a service, by a hash that is the same everywhere and for ever."""
        if service not in self._shards:
            mixed = zlib.crc32(service.encode(errors="surrogatepass")) * 2654435761 % 2**32
            self._shards[service] = (mixed >> 16) % self.settings.shards
        return self._shards[service]

    def _shard_of_label(self, labels: Labels) -> NDArray[np.int32]:
        services, place = np.unique(labels.codes[:, _SERVICE], return_inverse=True)
        return np.array([self.shard_of(labels.names[code]) for code in services.tolist()], np.int32)[place]

    def _read_usage(self, usage: RawBatch, rejects: list[Reject]) -> tuple[RawBatch, UsageColumns]:
        """Messages of a right size, and all events in them."""
        if usage.sizes().max(initial=0) > self.settings.max_message_bytes:
            usage = RawBatch.of([message for message in usage if self._size_is_right(message, rejects)])
        rows, mistakes = self._usage.read(usage)
        rejects.extend(_reject(usage[number], mistake) for number, mistake in mistakes)
        return usage, rows

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

    def _refuse(
        self, messages: RawBatch, rows: UsageColumns, received: NDArray[np.int32], placed: Placed, listed: ListCost
    ) -> Iterator[Reject]:
        """Say of each event that is not taken why."""
        opened, told = -1, dict[int, tuple[UsageEvent, bytes]]()
        for row in np.flatnonzero(~placed.taken).tolist():
            number, index, minute = int(rows.message[row]), int(rows.item[row]), int(rows.minute[row])
            message = messages[number]
            if number != opened:  # its rows stand together: each message is taken apart once
                opened, told = number, self._usage.events(message.payload)
            event, item = told[index]
            why = why_unsound(rows.values[:, row])
            if why is None and listed.too_dear[row] and minute != NEVER:
                why = "out_of_range", TOO_DEAR
            if why is None:
                why = why_out_of_time(self.settings, event.time, minute, int(received[row]), int(placed.high[row]))
            yield _reject(message, Mistake(index, *why, item))

    def _admit(self, messages: RawBatch, rows: UsageColumns, high: int, rejects: list[Reject]) -> Frame:
        """One frame of all shards' rows that are taken."""
        received = messages.received_minute[rows.message]
        listed = list_cost_of(rows, self._prices)
        placed = place(self.settings, rows.minute, received, is_sound(rows.values) & ~listed.too_dear, high)
        if not placed.taken.all():
            rejects.extend(self._refuse(messages, rows, received, placed, listed))
            kept = np.flatnonzero(placed.taken)
            rows, listed = rows.of(kept), listed.of(kept)
            placed = Placed(placed.taken[kept], placed.minute[kept], placed.high[kept])
        offset = messages.offset[rows.message]
        add_dollars(rows.values, rows.paid_usd, listed)
        return Frame(
            0, 0, 0, 0, rows.labels, rows.key, offset, placed.minute, placed.high, rows.identity, rows.values, []
        )  # fmt: skip

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
        shard = self._shard_of_label(rows.labels)[rows.key]
        frames = {}
        for number in range(self.settings.shards):
            own = np.flatnonzero(shard == number)
            used, key = used_of(rows.key[own], len(rows.labels))
            frames[number] = Frame(
                partition, *span, high, rows.labels.of(used), key, rows.offset[own],
                rows.minute[own], rows.high[own], rows.identity[own], np.take(rows.values, own, axis=1),
                [d for d in deployments if self.shard_of(d.service) == number],
                [said for said in feedback if self.shard_of(said.alert_id) == number],
            )  # fmt: skip
        return frames


def _parted(messages: Sequence[RawMessage]) -> tuple[RawBatch, Sequence[RawMessage]]:
    """The usage among messages, and the others."""
    if isinstance(messages, RawBatch):
        return (messages, []) if messages.kind == "usage" else (RawBatch.of([]), messages)
    usage = [message for message in messages if message.kind == "usage"]
    return RawBatch.of(usage), [message for message in messages if message.kind != "usage"]


def _reject(message: RawMessage, mistake: Mistake) -> Reject:
    payload = message.payload if mistake.item is None else mistake.item
    return reject_of(message, mistake.index, mistake.code, mistake.detail, payload)


def reject_of(message: RawMessage, index: int, reason: Reason, detail: str, payload: bytes) -> Reject:
    """Return a refusal that fits a message, however much a small compressed batch has unpacked to."""
    if len(payload) > KEPT_BYTES:
        detail, payload = f"{detail}; the first {KEPT_BYTES} bytes are kept", payload[:KEPT_BYTES]
    return Reject(message.kind, message.partition, message.offset, index, reason, detail, payload)
