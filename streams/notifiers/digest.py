"""A digest: incidents that began and ended while Burstwatch was behind, told of in one message.

It is to be read, not to be woken by: whatever is still open is told of by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from detectors.events import Alert, Severity
from streams.notifiers.message import (
    FACT_CHARACTERS,
    HEADLINE_CHARACTERS,
    Fact,
    Message,
    clip,
    lasting,
    where,
)
from streams.wording import at_utc, usd

MOST_SHOWN = 12
"""Slack's section takes no more than twelve lines of the longest; the others are counted."""


class PastIncident(msgspec.Struct, frozen=True):
    """An incident that is over."""

    alert_id: str
    severity: Severity
    scope: dict[str, str]
    onset: datetime
    ended: datetime
    excess_usd: float
    reason: str


class Digest(msgspec.Struct, frozen=True):
    """Incidents that are over, the dearest first; ``count`` and ``excess_usd`` are of those not listed too.

    ``alert_id``, ``sequence`` and ``state`` are what a delivery calls it by, as it does an alert.
    """

    alert_id: str
    incidents: tuple[PastIncident, ...]
    count: int
    excess_usd: float
    since: datetime
    until: datetime
    sequence: int = 0
    state: Literal["digest"] = "digest"


def digest_of(over: Sequence[Alert]) -> Digest:
    """Return a digest of incidents by their last words: at least one. The same incidents make the same id."""
    dearest = sorted(over, key=lambda alert: (-alert.excess_usd, alert.alert_id))
    names = "\n".join(sorted(alert.alert_id for alert in over))
    return Digest(
        alert_id=f"digest-{hashlib.blake2b(names.encode(), digest_size=8).hexdigest()}",
        incidents=tuple(_past(alert) for alert in dearest[:MOST_SHOWN]),
        count=len(over),
        excess_usd=round(sum(alert.excess_usd for alert in over), 6),
        since=min(alert.onset for alert in over),
        until=max(alert.time for alert in over),
    )


def _past(last: Alert) -> PastIncident:
    return PastIncident(
        last.alert_id, last.severity, last.scope, last.onset, last.time, last.excess_usd, clip(last.reason, 200)
    )


def message_of_digest(digest: Digest, possible_duplicate: bool = False) -> Message:
    """Return a digest in words, within the limits of :class:`Message`; a possible duplicate says so."""
    many = f"{digest.count} incidents" if digest.count > 1 else "1 incident"
    burned = f", {usd(digest.excess_usd)} above expected" if digest.excess_usd > 0 else ""
    footer = f"{digest.alert_id} · {at_utc(digest.since)} to {at_utc(digest.until)}"
    facts = [Fact(at_utc(past.onset), clip(_line(past), FACT_CHARACTERS)) for past in digest.incidents]
    if digest.count > len(digest.incidents):
        facts.append(Fact("And", f"{digest.count - len(digest.incidents)} more that cost less"))
    return Message(
        headline=clip(f"While catching up: {many}, over by now{burned}", HEADLINE_CHARACTERS),
        facts=tuple(facts),
        action="",
        links=(),
        footer=f"{footer} · may have been sent before" if possible_duplicate else footer,
    )


def _line(past: PastIncident) -> str:
    burning, rest = where(past.scope)
    burned = f"{usd(past.excess_usd)} above expected" if past.excess_usd > 0 else past.reason
    return f"{past.severity}: {burning}, {lasting(past.ended - past.onset)}, {burned}" + (f" ({rest})" if rest else "")
