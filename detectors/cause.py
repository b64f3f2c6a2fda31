"""Which deployment explains an incident, with the evidence."""

from __future__ import annotations

from detectors.clock import minute_of
from detectors.events import DeploymentEvent

LONGEST_LAG_MINUTES = 60
"""A deployment whose effect shows later than this is not blamed."""
SLACK_MINUTES = 5
"""An onset is an estimate; a deployment may come so much after it."""
KEPT_MINUTES = 2880

NOT_CAUSED_BY_DEPLOYMENTS = frozenset({"unit_price", "idle_gpu"})
"""Drivers that no deployment moves."""


def guilty(deployments: list[DeploymentEvent], service: str | None, driver: str, onset: int) -> DeploymentEvent | None:
    """Return the newest deployment of the service shortly before the onset, or None."""
    if service is None or driver in NOT_CAUSED_BY_DEPLOYMENTS:
        return None
    near = [
        d
        for d in deployments
        if d.service == service and onset - LONGEST_LAG_MINUTES <= minute_of(d.time) <= onset + SLACK_MINUTES
    ]
    return max(near, key=lambda d: (d.time, d.id), default=None)


def evidence(deployment: DeploymentEvent | None, onset: int) -> str:
    """One plain sentence on why the deployment is blamed, or that none explains it."""
    if deployment is None:
        return "no deployment explains it"
    lag = onset - minute_of(deployment.time)
    when = f"{lag} min before the onset" if lag > 0 else "with the onset"
    who = f" by {deployment.actor}" if deployment.actor else ""
    approved = f", approved by {deployment.approver}" if deployment.approver else ""
    return f"{deployment.kind} {deployment.id}{who}{approved} on the same service, {when}"
