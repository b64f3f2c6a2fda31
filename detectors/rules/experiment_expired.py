"""An experiment that goes on after its expiry, or that has become production.

Catches: traffic of an experiment after `expires`, and an experiment whose traffic, labelled as something else before,
is mostly labelled `production` now. Misses: initiatives without `expires`; experiments whose traffic always was
labelled `production`; experiments that are matched by principal, whose traffic is not counted by key.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR, minute_of
from detectors.events import Initiative
from detectors.judging.accounts import Accounts
from detectors.rules.rule import Bill, Finding, Line, Rule, day_of, scope_of


class Traffic(msgspec.Struct):
    """Requests of an experiment by hour of the last day, all and in production; dollars since its expiry."""

    all: dict[int, int] = msgspec.field(default_factory=dict)
    production: dict[int, int] = msgspec.field(default_factory=dict)
    experimental_since: int | None = None
    """The first minute with traffic that was not labelled production."""
    usd: dict[int, float] = msgspec.field(default_factory=dict)
    usd_after_expiry: float = 0.0


class ExpiredState(msgspec.Struct):
    """Traffic by experiment."""

    experiments: dict[str, Traffic] = msgspec.field(default_factory=dict)


class ExperimentExpired(Rule, frozen=True, kw_only=True):
    """Requests of the last day that an experiment should not have."""

    kind: ClassVar[str] = "experiment_expired"
    least_requests: Annotated[int, Meta(ge=1)] = 100
    """In a day; a last straggler is not worth a word."""
    least_production_share: Annotated[float, Meta(gt=0, le=1)] = 0.5

    def start(self) -> ExpiredState:
        """Nothing seen yet."""
        return ExpiredState()

    def count(self, state: ExpiredState, bill: Bill) -> None:
        """Take a minute into the state."""
        for experiment, line in bill.experiments:
            _count(state.experiments.setdefault(experiment.id, Traffic()), line, experiment)

    def judge(
        self, state: ExpiredState, minute: int, accounts: Accounts, declared: tuple[Initiative, ...]
    ) -> list[Finding]:
        """Return the experiments that should have ended, and those that are none any more."""
        experiments = [i for i in declared if i.intent == "experiment" and i.id in state.experiments]
        found = [self._look_at(state.experiments[experiment.id], experiment, minute) for experiment in experiments]
        return [finding for finding in found if finding is not None]

    def _look_at(self, traffic: Traffic, experiment: Initiative, minute: int) -> Finding | None:
        oldest = minute // MINUTES_PER_HOUR - 24
        for hours in (traffic.all, traffic.production, traffic.usd):
            for hour in [hour for hour in hours if hour <= oldest]:
                del hours[hour]
        expires = None if experiment.expires is None else minute_of(experiment.expires)
        if expires is not None and minute >= expires:
            since = sum(count for hour, count in traffic.all.items() if hour >= expires // MINUTES_PER_HOUR)
            return _expired(traffic, experiment, expires, since) if since >= self.least_requests else None
        requests, production = sum(traffic.all.values()), sum(traffic.production.values())
        was_an_experiment = (
            traffic.experimental_since is not None and minute - traffic.experimental_since >= MINUTES_PER_DAY
        )
        if was_an_experiment and production >= max(self.least_requests, self.least_production_share * requests):
            return _became_production(traffic, experiment, production, requests)
        return None


def _count(traffic: Traffic, line: Line, experiment: Initiative) -> None:
    hour = line.minute // MINUTES_PER_HOUR
    traffic.all[hour] = traffic.all.get(hour, 0) + line.requests
    traffic.usd[hour] = traffic.usd.get(hour, 0.0) + line.usd
    if line.environment == "production":
        traffic.production[hour] = traffic.production.get(hour, 0) + line.requests
    elif line.environment and traffic.experimental_since is None:
        traffic.experimental_since = line.minute
    if experiment.expires is not None and line.minute >= minute_of(experiment.expires):
        traffic.usd_after_expiry += line.usd


def _expired(traffic: Traffic, experiment: Initiative, expires: int, requests: int) -> Finding:
    hourly = sum(traffic.usd[hour] for hour in sorted(traffic.usd)) / 24
    return Finding(
        scope_of(experiment),
        f"experiment {experiment.id} expired on {day_of(expires)} and still has {requests:,} requests a day; "
        f"{traffic.usd_after_expiry:,.2f} USD since",
        f"stop it, or ask {experiment.approver} to extend it in initiatives.yaml",
        {"requests_last_day": float(requests), "usd_since_expiry": round(traffic.usd_after_expiry, 6)},
        team=experiment.team,
        observed_usd_per_hour=hourly,
        usd_per_hour=hourly,
        excess_usd=traffic.usd_after_expiry,
    )


def _became_production(traffic: Traffic, experiment: Initiative, production: int, requests: int) -> Finding:
    return Finding(
        scope_of(experiment),
        f"experiment {experiment.id} has become production: {production / requests:.0%} of its {requests:,} requests "
        "of the last day are labelled so",
        f"ask {experiment.approver}: declare it as production, or take production off it",
        {"requests_last_day": float(requests), "production_requests_last_day": float(production)},
        team=experiment.team,
        observed_usd_per_hour=sum(traffic.usd[hour] for hour in sorted(traffic.usd)) / 24,
    )
