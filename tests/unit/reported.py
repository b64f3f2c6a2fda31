"""Alerts and spend made by hand, for the tests of the report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.clock import minute_of
from detectors.events import Alert, Cause, DeploymentEvent, Intent, MonthEnd
from streams.report import SpendByMinute
from streams.report.incidents import ReportedIncident

START = datetime(2026, 10, 1, tzinfo=UTC)
START_MINUTE = minute_of(START)
TWO_DAYS = 2 * 1440


def at(minute: int) -> datetime:
    """The moment so many minutes after the start."""
    return START + timedelta(minutes=minute)


def alert(minute: int = 1500, **changed: Any) -> Alert:  # noqa: ANN401 — any field of the struct
    """A page about the service ``bot``, raised in a minute after the start."""
    values: dict[str, Any] = {
        "alert_id": "bw-1",
        "state": "firing",
        "time": at(minute),
        "onset": at(1490),
        "severity": "page",
        "score": 9.0,
        "p_value": 0.001,
        "scope": {"team": "search", "service": "bot"},
        "cause": Cause(
            "input_per_request", "dep-1", {"input_per_request": 3.0, "requests": -1.0}, evidence="dep-1 fits"
        ),
        "observed_usd": 20.0,
        "expected_usd": 10.0,
        "excess_usd": 10.0,
        "usd_per_hour": 60.0,
        "month_end": MonthEnd(900.0, 700.0, 1200.0, 1000.0, 0.3),
        "intent": Intent("init-bot", "accidental", "ana"),
        "reason": "prompts doubled on bot",
        "suggested_action": "roll back dep-1",
        "detector": "driver_step",
        "features": {},
    }
    return Alert(**{**values, **changed})


def life(**changed: Any) -> list[Alert]:  # noqa: ANN401 — any field of the struct
    """An incident from its page to its end."""
    return [
        alert(1500, sequence=1, excess_usd=10.0, **changed),
        alert(1560, sequence=2, state="updated", excess_usd=40.0, **changed),
        alert(
            1600, sequence=3, state="resolved", excess_usd=50.0, usd_per_hour=0.0, resolved_because="quiet", **changed
        ),
    ]


def incident(**changed: Any) -> ReportedIncident:  # noqa: ANN401 — any field of the struct
    """The same, gathered."""
    return ReportedIncident(tuple(life(**changed)))


def flat(usd_per_minute: float = 1.0, minutes: int = TWO_DAYS) -> NDArray[np.float64]:
    """The same spend in each minute."""
    return np.full(minutes, usd_per_minute)


def spend(**by_service: NDArray[np.float64]) -> SpendByMinute:
    """Spend of services of the team ``search``, from the start on."""
    given = by_service or {"bot": flat()}
    places = tuple(("search", service, "production", "openai", "gpt") for service in sorted(given))
    return SpendByMinute(START_MINUTE, places, np.array([given[service] for service in sorted(given)]))


def deployment(**changed: Any) -> DeploymentEvent:  # noqa: ANN401 — any field of the struct
    """The deployment behind it all."""
    values = {"id": "dep-1", "time": at(1480), "service": "bot", "actor": "gus", "approver": "hana", "version": "1.2"}
    return DeploymentEvent(**{**values, **changed})
