"""Which deployment explains an incident, with the evidence for and against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.clock import MINUTES_PER_DAY, minute_of
from detectors.events import DeploymentEvent

if TYPE_CHECKING:
    from detectors.judging.judge import Candidate

LONGEST_LAG_MINUTES = 48
"""A deployment whose effect shows later than this is not blamed."""
LONGEST_WINDOW_MINUTES = 60
"""However long the horizon that fired: an onset is an estimate, and in a day there is always a deployment."""
KEPT_MINUTES = 14 * MINUTES_PER_DAY


def guilty(
    deployments: list[DeploymentEvent], service: str, found: Candidate, *, gated: bool = False
) -> DeploymentEvent | None:
    """Return the newest deployment of the service shortly before what a candidate saw, or None.

    Parameters
    ----------
    deployments
        Those known, of all services.
    service, found
        The service that the candidate speaks of, and the candidate.
    gated
        Whether the candidate was only let through because a deployment came shortly before.
    """
    own = [d for d in deployments if d.service == service and minute_of(d.time) <= found.minute]
    newest = max(own, key=lambda d: (d.time, d.id), default=None)
    if newest is None:
        return None
    longest = min(found.horizon_minutes, LONGEST_WINDOW_MINUTES) + LONGEST_LAG_MINUTES
    return newest if gated or found.minute - minute_of(newest.time) <= longest else None


def evidence(deployment: DeploymentEvent | None, minute: int, known: int = 0) -> str:
    """One plain sentence on why the deployment is blamed, or that none explains it.

    Parameters
    ----------
    deployment
        The one that is blamed.
    minute
        When the incident was seen.
    known
        How many deployments the service had in the last two weeks.
    """
    if deployment is None:
        return "no deployment explains it"
    lag = minute - minute_of(deployment.time)
    who = f" by {deployment.actor}" if deployment.actor else ""
    approved = f", approved by {deployment.approver}" if deployment.approver else ""
    failed = " (it failed)" if deployment.status == "failed" else ""
    often = f"; the service had {known} in two weeks" if known > 1 else ""
    return f"{deployment.kind} {deployment.id}{who}{approved}{failed} on the same service, {lag} min before{often}"
