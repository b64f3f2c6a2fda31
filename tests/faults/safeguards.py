"""Switches the safeguards off, one at a time, to see that the tests notice: each is a negative control."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from detectors.frame import Frame
from detectors.minutes.ledger import ClosedRows, Ledger, LedgerState
from detectors.state.pages import Pages
from streams.delivery.outbox import Pending
from streams.kafka import client
from streams.kafka import lease as leases
from streams.kafka.deliver import KafkaOutbox
from streams.kafka.lease import Lease, Place


def without_fence() -> None:
    """Each owner has a transactional id of its own: starting fences nobody."""
    real = client.new_producer

    def unfenced(settings: Any, **options: Any) -> AIOKafkaProducer:  # noqa: ANN401 — handed on as they come
        options["transactional_id"] += f"-{uuid.uuid4()}"
        return real(settings, **options)

    setattr(leases, "new_producer", unfenced)  # noqa: B010 — the name that the lease uses, not one that it offers


def without_row_skip() -> None:
    """Rows are taken although their raw offsets were."""
    real = Ledger.apply

    def apply(self: Ledger, state: LedgerState, frame: Frame) -> ClosedRows:
        state.applied.clear()
        return real(self, state, frame)

    Ledger.apply = apply  # type: ignore[method-assign]  # that is the point


def without_contiguity() -> None:
    """A missing input is passed over."""
    real = Lease.apply

    def apply(self: Lease, place: Place, work: Callable[[], Sequence[bytes]]) -> bool:
        due = self._next_sequence.get(place.sender, 0)
        self._next_sequence[place.sender] = max(due, place.sequence)
        return real(self, place, work)

    Lease.apply = apply  # type: ignore[method-assign]  # that is the point


def without_emitted() -> None:
    """What was sent since the last checkpoint is not remembered."""
    real = Lease.acquire

    async def acquire(self: Lease) -> Pages:
        pages = await real(self)
        self._emitted = self._outputs
        return pages

    Lease.acquire = acquire  # type: ignore[method-assign]  # that is the point


def without_intent() -> None:
    """Nothing is noted before a POST."""

    async def intend(self: KafkaOutbox, pending: Pending) -> None:
        """Note nothing."""

    KafkaOutbox.intend = intend  # type: ignore[method-assign]  # that is the point


SAFEGUARDS: dict[str, Callable[[], None]] = {
    "fence": without_fence,
    "row-skip": without_row_skip,
    "contiguity": without_contiguity,
    "emitted": without_emitted,
    "intent": without_intent,
}
