"""The words that cross the house's border: usage, deployments, feedback, initiatives and alerts.

Every struct is immutable and decodes from JSON by msgspec; the names are those of the wire format.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detectors.clock import Timestamp

MOST_COUNTED, MOST_USD, MOST_GPU_SECONDS, LONGEST_NAME = 10**15, 1e8, 1e9, 256

Count = Annotated[int, Meta(ge=0, le=MOST_COUNTED)]
"""Tokens or requests in one minute; above a thousand million million something is broken."""

Dollars = Annotated[float, Meta(ge=0.0, le=MOST_USD)]
"""Dollars in one minute of one event."""

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
OptionalName = Annotated[str, Meta(max_length=LONGEST_NAME)]

ALERT_ID = "^bw-[0-9a-f]{16}$"

DRIVERS = (
    "requests",
    "input_per_request",
    "output_per_request",
    "cache_share",
    "model_mix",
    "unit_price",
    "idle_gpu",
)
"""The factors of spend, in the order in which they are reported."""

Driver = Literal[
    "requests",
    "input_per_request",
    "output_per_request",
    "cache_share",
    "model_mix",
    "unit_price",
    "idle_gpu",
    "unknown",
]
Severity = Literal["page", "ticket", "info"]
State = Literal["firing", "updated", "resolved"]
Environment = Literal["production", "experiment"]


class UsageEvent(msgspec.Struct, frozen=True, gc=False):
    """What one source saw in one minute for one combination of dimensions.

    ``input_tokens`` includes cached ones and ``output_tokens`` includes reasoning; ``cost_usd`` null means
    that the price catalogue tells the cost.

    Examples
    --------
    >>> import msgspec
    >>> raw = b'{"id":"a","time":"2026-10-01T00:00:00Z","source":"s","service":"bot","model":"m","requests":2}'
    >>> msgspec.json.decode(raw, type=UsageEvent).requests
    2
    """

    id: Name
    time: str
    source: Name
    service: Name
    model: Name
    team: OptionalName = ""
    environment: OptionalName = "production"
    initiative: OptionalName = ""
    principal: OptionalName = ""
    provider: OptionalName = ""
    requests: Count = 0
    errors: Count = 0
    input_tokens: Count = 0
    cached_input_tokens: Count = 0
    cache_write_tokens: Count = 0
    output_tokens: Count = 0
    reasoning_tokens: Count = 0
    gpu_seconds: Annotated[float, Meta(ge=0.0, le=MOST_GPU_SECONDS)] = 0.0
    cost_usd: Dollars | None = None


class DeploymentEvent(msgspec.Struct, frozen=True, gc=False):
    """A change that somebody made to a service, and who approved it."""

    id: Name
    time: Timestamp
    service: Name
    team: OptionalName = ""
    environment: OptionalName = "production"
    kind: Literal["deployment", "rollback", "config", "model_switch", "experiment_start", "experiment_stop"] = (
        "deployment"
    )
    version: OptionalName = ""
    revision: OptionalName = ""
    actor: OptionalName = ""
    approver: OptionalName = ""
    change_url: Annotated[str, Meta(max_length=2048)] = ""
    status: Literal["succeeded", "failed"] = "succeeded"


Decision = Literal["intended", "fixed", "false"]


class Feedback(msgspec.Struct, frozen=True, gc=False):
    """What somebody decided of an alert: it was meant, it is mended, or it was none; with who, when and why."""

    time: Timestamp
    alert_id: Annotated[str, Meta(pattern=ALERT_ID, max_length=256)]
    decision: Decision
    by: Name
    why: Annotated[str, Meta(max_length=2048)] = ""


class PlannedBurst(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}, forbid_unknown_fields=True):
    """A window in which an initiative may spend up to a ceiling; the ceiling is for all that belongs to it."""

    start: Timestamp
    end: Timestamp
    up_to_usd_per_hour: Annotated[float, Meta(gt=0)]
    approved_by: Name
    reason: str = ""


class Initiative(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A declared purpose of spend."""

    id: Name
    team: Name
    owner: Name
    approver: Name
    intent: Environment
    stage: Literal["explore", "exploit", "retire"]
    outcome: str
    match: dict[Literal["team", "service", "environment", "initiative", "principal", "provider", "model"], str]
    monthly_budget_usd: Annotated[float, Meta(ge=0)] | None = None
    starts: Timestamp | None = None
    expires: Timestamp | None = None
    planned: tuple[PlannedBurst, ...] = ()


class Cause(msgspec.Struct, frozen=True):
    """Which driver moved, and the deployment that explains it if one does."""

    driver: Driver
    deployment_id: str | None
    contributions_usd: dict[str, float]
    deployment: DeploymentEvent | None = None
    evidence: str = ""


class MonthEnd(msgspec.Struct, frozen=True):
    """Where the scope's month is heading; budget and its probability are null where none is declared."""

    forecast_usd: float
    low_usd: float
    high_usd: float
    budget_usd: float | None = None
    p_over_budget: float | None = None


class Intent(msgspec.Struct, frozen=True):
    """What the spend was meant for; ``reason`` says which plan covers it, or why none does."""

    initiative: str | None
    verdict: Literal["intentional", "accidental", "undeclared"]
    approver: str | None
    reason: str = ""


class Alert(msgspec.Struct, frozen=True):
    """One state of one incident, as it is written to the outbox and sent to people.

    ``time`` is the start of the minute whose closing raised it, ``onset`` the start of the first minute of
    the incident. ``detector`` names the kind that fired, ``numbers`` those behind the sentence in
    ``reason``, ``features`` the most unusual features of the isolation forest; ``decision`` is what somebody
    decided of it; ``came_back`` marks the update by which an incident that was over opens again.
    """

    alert_id: str
    state: State
    time: Timestamp
    onset: Timestamp
    severity: Severity
    score: float
    p_value: float
    scope: dict[str, str]
    cause: Cause
    observed_usd: float
    expected_usd: float
    excess_usd: float
    usd_per_hour: float
    month_end: MonthEnd
    intent: Intent
    reason: str
    suggested_action: str
    detector: str
    features: dict[str, float]
    links: dict[str, str] = {}
    sequence: int = 0
    resolved_because: str = ""
    decision: Feedback | None = None
    numbers: dict[str, float] = {}
    came_back: bool = False
