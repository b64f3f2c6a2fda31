"""Alerts for the contract tests: one burst with the deployment behind it, in each of its states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from detectors.events import Alert, Cause, DeploymentEvent, Intent, MonthEnd
from streams.notifiers.digest import digest_of

ONSET = datetime(2026, 10, 9, 9, 14, tzinfo=UTC)

DEPLOYMENT = DeploymentEvent(
    id="dep-1841",
    time=ONSET - timedelta(minutes=3),
    service="answers",
    team="search",
    kind="config",
    version="v214",
    actor="ada",
    approver="grace",
    change_url="https://git.example/answers/pull/1841",
)

FIRING = Alert(
    alert_id="bw-5f0c2a9b",
    state="firing",
    time=ONSET + timedelta(minutes=6),
    onset=ONSET,
    severity="page",
    score=41.0,
    p_value=2.4e-7,
    scope={"team": "search", "service": "answers", "model": "m-large", "principal": "key-7"},
    cause=Cause(
        driver="output_per_request",
        deployment_id="dep-1841",
        contributions_usd={"output_per_request": 14.2, "requests": 1.1, "cache_share": -0.3, "unit_price": 0.0},
        deployment=DEPLOYMENT,
        evidence="3 minutes before the onset",
    ),
    observed_usd=19.84,
    expected_usd=4.84,
    excess_usd=15.0,
    usd_per_hour=150.25,
    month_end=MonthEnd(48_200.0, 41_000.0, 55_900.0, 40_000.0, 0.93),
    intent=Intent("answers-v2", "accidental", "grace"),
    reason="output tokens a request rose from 310 to 1,240 (x4.0) on answers within 5 minutes",
    suggested_action="roll back config dep-1841 or ask ada",
    detector="driver_step",
    features={"ratio": 4.0},
    links={"dashboard": "https://grafana.example/d/answers?from=1&to=2"},
    sequence=1,
)


def later(minutes: int, sequence: int, **changes: object) -> Alert:
    """Return the burst as it is some minutes after its first alert."""
    return msgspec.structs.replace(FIRING, time=FIRING.time + timedelta(minutes=minutes), sequence=sequence, **changes)


UPDATED = later(20, 2, state="updated", excess_usd=65.0, observed_usd=84.0)
RESOLVED = later(50, 3, state="resolved", excess_usd=90.5, usd_per_hour=0.0, resolved_because="quiet again")
BACK = later(70, 4, state="updated", excess_usd=91.0, came_back=True)
OVER_AGAIN = later(90, 5, state="resolved", excess_usd=99.0, usd_per_hour=0.0, resolved_because="quiet again")
TICKET = msgspec.structs.replace(FIRING, severity="ticket", usd_per_hour=0.4)
GROWN = later(5, 2, severity="page")


def another(number: int) -> Alert:
    """Return the firing of another incident."""
    return msgspec.structs.replace(FIRING, alert_id=f"bw-other-{number}")


def past(number: int) -> Alert:
    """Return the end of another incident."""
    return msgspec.structs.replace(RESOLVED, alert_id=f"bw-past-{number}")


DIGEST = digest_of([past(1), past(2)])
"""Two incidents that were over before anybody could be told."""
