"""An open incident: what is remembered of it while it lives."""

from __future__ import annotations

import msgspec

from detectors.admission import NEVER
from detectors.events import DeploymentEvent, Intent, Severity
from detectors.judge import Candidate


class Incident(msgspec.Struct):
    """An open incident."""

    alert_id: str
    place: str
    first: Candidate
    onset: int
    last_minute: int
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
    deployments_known: int = 0
    paged_minute: int = NEVER
    sequence: int = 0
