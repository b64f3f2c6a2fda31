"""An incident: what is remembered of it while it lives, and for a while after."""

from __future__ import annotations

import hashlib

import msgspec

from detectors.clock import NEVER
from detectors.events import DeploymentEvent, Feedback, Intent, Severity
from detectors.judging.judge import Candidate
from detectors.watch.standing import TOLD_EVERY_MINUTES, Standing


class Incident(msgspec.Struct):
    """An incident."""

    alert_id: str
    place: str
    first: Candidate
    onset: int
    last_minute: int
    """The last minute in which it was still so."""
    severity: Severity
    intent: Intent
    deployment: DeploymentEvent | None
    p_value: float
    per_year: float
    observed_nano: int
    excess_usd: float
    usd_per_hour: float
    told_minute: int
    told_excess_usd: float
    families: list[str]
    odd_minute: int = NEVER
    """The last minute in which a detector spoke of it."""
    stood_minute: int = NEVER
    """When it was told last that it is still so; when it opened, before that."""
    stood_excess_usd: float = 0.0
    """What it had cost above the usual by then."""
    deployments_known: int = 0
    paged_minute: int = NEVER
    sequence: int = 0
    ended_minute: int | None = None
    """When it was over, or None while it is open."""
    away_minutes: int = 0
    """For how long it was over before it came back, the last time; 0 where it never did."""
    newest_model: str = ""
    """The model that its service had used for the shortest time when it was seen."""
    decision: Feedback | None = None
    """What somebody decided of it, the newest."""

    @property
    def meant(self) -> Intent:
        """What its spend was meant for, by who decided so, else as it was judged."""
        said = self.decision
        if said is None or said.decision != "intended":
            return self.intent
        return Intent(self.intent.initiative, "intentional", said.by, said.why)

    @property
    def is_settled(self) -> bool:
        """Whether somebody said that there is nothing to do about it."""
        return self.decision is not None and self.decision.decision in ("intended", "false")

    def grow(self, found: Candidate, family: str) -> None:
        """Add a candidate."""
        if found.minute > self.last_minute:
            self.excess_usd += found.usd_per_hour / 60 * min(found.minute - self.last_minute, 5)
            self.usd_per_hour = found.usd_per_hour
        else:
            self.usd_per_hour = max(self.usd_per_hour, found.usd_per_hour)
        self.last_minute = self.odd_minute = found.minute
        if family not in self.families:
            self.families.append(family)

    def stand(self, said: Standing) -> None:
        """Hear that it is still so, and what it costs above what was usual when it began.

        What detectors count above a baseline that learns is too little; so the larger of both counts.
        """
        since = max(self.stood_minute, said.minute - TOLD_EVERY_MINUTES)
        counted = self.stood_excess_usd + said.usd_per_hour / 60 * (said.minute - since)
        self.excess_usd = max(self.excess_usd, counted)
        self.stood_minute, self.stood_excess_usd = said.minute, self.excess_usd
        if said.minute > self.last_minute:
            self.last_minute, self.usd_per_hour = said.minute, said.usd_per_hour

    def follow(self, found: Candidate) -> None:
        """Take a rule's finding: it says itself what it has come to."""
        self.first, self.last_minute, self.odd_minute = found, found.minute, found.minute
        self.excess_usd, self.usd_per_hour = max(self.excess_usd, found.excess_usd), found.usd_per_hour


def alert_id_of(organisation: str, place: str, minute: int) -> str:
    """Return the id of the incident that opens at a place in a minute: the same wherever it is computed."""
    seed = "\x1f".join([organisation, place, str(minute)])
    return "bw-" + hashlib.blake2b(seed.encode(), digest_size=8).hexdigest()
