"""Catching up: what is of the past when it is raised is held back, and told of in one message.

After an outage a day's alerts are raised within minutes. Those that are far behind the clock are held until
detection is near it again (or comes no nearer: a source may be hours late by its nature). Then incidents that are
over by then become one digest for each receiver; those still open are told of as if they had never been held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from detectors.events import Alert
from streams.notifiers.digest import Digest, digest_of


class DigestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When alerts are told of in one message.

    An alert whose time is more than ``after_minutes`` behind the clock when it is raised is of the past; null tells
    each by itself. Where ``settle_seconds`` bring detection no nearer to the clock, what is held waits no longer.
    """

    after_minutes: Annotated[float, Meta(gt=0, le=100_000)] | None = 60.0
    settle_seconds: Annotated[float, Meta(gt=0, le=3600)] = 60.0

    def is_past(self, alert: Alert, now_seconds: float) -> bool:
        """Whether an alert that is raised now is of the past."""
        return self.after_minutes is not None and not self.is_near(alert.time.timestamp(), now_seconds)

    def is_near(self, event_seconds: float, now_seconds: float) -> bool:
        """Whether a moment of event time is near the clock."""
        return self.after_minutes is None or now_seconds - event_seconds <= self.after_minutes * 60


class CatchingUp:
    """Tells when catching up is over: detection is near the clock, or comes no nearer."""

    def __init__(self) -> None:
        self._looked: tuple[float, float] | None = None

    def is_over(self, settings: DigestSettings, newest_seconds: float, now_seconds: float) -> bool:
        """Tell whether it is over; to be asked again and again while anything is held.

        Parameters
        ----------
        settings
            Of the day.
        newest_seconds
            The newest event time that detection is known to have come to.
        now_seconds
            The clock.
        """
        if settings.is_near(newest_seconds, now_seconds):
            return True
        if self._looked is None:
            self._looked = now_seconds, newest_seconds
        looked_at, newest_then = self._looked
        waited = now_seconds - looked_at
        if waited < settings.settle_seconds:
            return False
        self._looked = now_seconds, newest_seconds
        return newest_seconds - newest_then < 2 * waited  # a stream on time moves as fast as the clock

    def forget(self) -> None:
        """Begin anew: nothing is held."""
        self._looked = None


class Held(msgspec.Struct, frozen=True):
    """A word of an alert that is held back from a receiver, in the order of ``number``."""

    number: int
    receiver: str
    alert: Alert


class SortedOut(msgspec.Struct, frozen=True):
    """What comes of what was held: a digest by receiver, and the numbers that it stands for; the rest is told."""

    digests: dict[str, Digest]
    digested: frozenset[int]


def sort_out(held: Sequence[Held]) -> SortedOut:
    """Part incidents that are over from those that are still open."""
    words: dict[tuple[str, str], list[Held]] = {}
    for word in held:
        words.setdefault((word.receiver, word.alert.alert_id), []).append(word)
    over: dict[str, list[Alert]] = {}
    digested: set[int] = set()
    for (receiver, _), of_incident in words.items():
        last = of_incident[-1].alert
        if last.state == "resolved":
            over.setdefault(receiver, []).append(last)
            digested.update(word.number for word in of_incident)
    return SortedOut({receiver: digest_of(alerts) for receiver, alerts in over.items()}, frozenset(digested))
