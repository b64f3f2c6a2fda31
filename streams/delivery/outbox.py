"""The outbox: alerts that wait for delivery, as delivery sees them."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from detectors.events import Alert
from streams.notifiers.digest import Digest
from streams.notifiers.notifier import Memo


class Outcome(msgspec.Struct, frozen=True):
    """How the delivery of an alert to a receiver went.

    ``retry`` means that it is to be tried again, ``after_seconds`` from now; ``possible_duplicate`` that it may
    have arrived although no answer said so. ``told`` is false where the receiver wants no word of such a change.
    """

    status: Literal["delivered", "dead", "retry"]
    memo: Memo | None
    answer: str
    attempts: int
    possible_duplicate: bool = False
    after_seconds: float = 0.0
    told: bool = True


class Pending(msgspec.Struct, frozen=True):
    """A delivery that is due."""

    number: int
    receiver: str
    alert: Alert | Digest
    memo: Memo | None
    possible_duplicate: bool


KINDS: dict[str, type[Alert | Digest]] = {"alert": Alert, "digest": Digest}
"""What a delivery may bring, by the word that it is kept under."""


class Waiting(msgspec.Struct, frozen=True):
    """How much waits in the outbox, and since when the oldest does."""

    count: int
    oldest_age_seconds: float


class DeadLetter(msgspec.Struct, frozen=True):
    """An alert that a receiver refused for good, with its answer.

    ``number`` and ``at_seconds`` (Unix), together, tell it from all others: one that is refused once more keeps its
    number. ``is_over`` where a later word says that the incident is over, so that this one is not sent again;
    ``is_asked`` where somebody has asked for it to be sent again, and that is not done yet.
    """

    number: int
    receiver: str
    alert: Alert | Digest
    answer: str
    attempts: int
    at_seconds: float
    is_over: bool = False
    is_asked: bool = False


class Outbox(Protocol):
    """What delivery needs of an outbox. Every method is durable when it returns."""

    async def newest_held(self) -> float | None:
        """Return the newest event time of what is held back while catching up (Unix seconds), or None."""
        ...

    async def let_go(self) -> None:
        """Hold back nothing more: one digest a receiver for what is over, the rest as it is."""
        ...

    async def receivers(self) -> list[str]:
        """Return the receivers that anything waits for."""
        ...

    async def next_for(self, receiver: str) -> Pending | None:
        """Return the receiver's oldest delivery that is due, or None.

        The words of one incident come in order: none before an earlier one is settled.
        """
        ...

    async def intend(self, pending: Pending) -> None:
        """Note that it is about to be sent; found so at a start, it is a possible duplicate."""
        ...

    async def settle(self, pending: Pending, outcome: Outcome) -> None:
        """Note how it went, and the notifier's memo with it."""
        ...
