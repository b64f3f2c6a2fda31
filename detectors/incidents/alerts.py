"""An incident as an alert: the sentence that says why, and what to do now."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import msgspec

from detectors.clock import minute_of, moment_of
from detectors.events import Alert, Cause, Driver, Feedback, Initiative, Intent, MonthEnd, Severity, State
from detectors.incidents.cause import KEPT_MINUTES, evidence
from detectors.incidents.incident import Incident
from detectors.incidents.sentences import change_in_words
from detectors.intake.prices import NANO
from detectors.judging.forecast import DailySpend, forecast
from detectors.judging.judge import Candidate

_TODO = {
    "requests": "find who calls {place} more than usual; limit or revoke the key if nobody meant it",
    "input_per_request": "look at what is put into the prompt of {place} since the onset",
    "output_per_request": "look at the output limit and the instructions of {place}",
    "cache_share": "see why the prompt cache of {place} no longer hits: a changed prefix, an expired cache",
    "model_mix": "see which model {place} calls now, and whether that was meant",
    "unit_price": "ask the provider, or see the contract: the price paid rose",
    "idle_gpu": "stop the GPUs of {place} if nobody needs them",
}


def alert_of(
    incident: Incident, minute: int, what: str, spend: DailySpend, initiative: Initiative | None, because: str
) -> Alert:
    """Return the alert that tells of an incident in a minute; ``because`` says why it is over, if it is."""
    first = incident.first
    observed = max(incident.observed_nano / NANO, incident.excess_usd)
    deployment = incident.deployment
    return Alert(
        alert_id=incident.alert_id,
        state=cast("State", what),
        time=moment_of(minute),
        onset=moment_of(incident.onset),
        severity=incident.severity,
        score=round(first.score, 6),
        p_value=incident.p_value,
        scope=scope_of(first, initiative),
        cause=Cause(
            driver=cast("Driver", first.driver),
            deployment_id=deployment.id if deployment else None,
            contributions_usd={k: round(v, 9) for k, v in first.contributions_usd.items()},
            deployment=deployment,
            evidence=_for_and_against(incident),
        ),
        observed_usd=round(observed, 6),
        expected_usd=round(max(observed - incident.excess_usd, 0.0), 6),
        excess_usd=round(incident.excess_usd, 6),
        usd_per_hour=round(incident.usd_per_hour, 6),
        month_end=_month_end(incident, minute, spend, initiative),
        intent=incident.meant,
        reason=reason_of(incident),
        suggested_action=action_of(incident),
        detector=first.detector,
        features=first.features,
        sequence=incident.sequence,
        resolved_because=over_because(incident, because) if what == "resolved" else "",
        decision=incident.decision,
        numbers=first.numbers,
    )


def _month_end(incident: Incident, minute: int, spend: DailySpend, initiative: Initiative | None) -> MonthEnd:
    """Where the month is heading; the budget of a principal, whose spend is not counted, is named and not judged."""
    budget = initiative.monthly_budget_usd if initiative else None
    month_end = forecast(spend, minute, incident.usd_per_hour, budget)
    if initiative is not None and "principal" in initiative.match:
        return msgspec.structs.replace(month_end, p_over_budget=None)
    return month_end


def scope_of(found: Candidate, initiative: Initiative | None) -> dict[str, str]:
    """What an alert of a candidate is about, by dimension."""
    scope = {"team": found.team, "principal": found.principal, **found.name.scope()}
    if initiative is not None:
        scope["initiative"] = initiative.id
    return {name: value for name, value in scope.items() if value}


def labels_of(
    scope: Mapping[str, str], severity: Severity, driver: str, detector: str, intent: Intent
) -> dict[str, str]:
    """By what routes know an alert.

    Examples
    --------
    >>> labels_of({"team": "ads"}, "page", "requests", "clockwork", Intent(None, "undeclared", None))["severity"]
    'page'
    """
    return {
        **scope,
        "severity": severity,
        "driver": driver,
        "detector": detector,
        "intent": intent.verdict,
        "initiative": intent.initiative or scope.get("initiative", ""),
    }


def _for_and_against(incident: Incident) -> str:
    """Why the deployment is blamed, and how often one precedes any moment so closely anyway."""
    deployment, known = incident.deployment, incident.deployments_known
    said = evidence(deployment, incident.first.minute, known)
    if deployment is None:
        return said
    lag = max(incident.first.minute - minute_of(deployment.time), 1)
    by_chance = 1 - math.exp(-known * lag / KEPT_MINUTES)
    return f"{said}; against it: with so many, {by_chance:.1%} of all moments have one within {lag} min before"


def over_because(incident: Incident, because: str) -> str:
    """Why an incident is over: what somebody decided of it, else what was seen."""
    return decision_in_words(incident.decision) if incident.decision else because


def decision_in_words(said: Feedback) -> str:
    """What somebody decided, for people."""
    what = "a false alarm" if said.decision == "false" else said.decision
    return f"{what}, as {said.by} said" + (f": {said.why}" if said.why else "")


def place_in_words(incident: Incident) -> str:
    """Where it burns, for people: the service first, then what is named beside it."""
    scope = incident.first.name.scope()
    if incident.first.principal:
        scope.setdefault("principal", incident.first.principal)
    parts = [scope.pop("service", "")] + [f"{name} {value}" for name, value in scope.items()]
    return ", ".join(part for part in parts if part) or "the whole organisation"


def reason_of(incident: Incident) -> str:
    """One sentence of plain words on why the incident was raised, and on what became of it since."""
    before = f"came back after {incident.away_minutes} minutes: " if incident.away_minutes else ""
    after = f"; {decision_in_words(incident.decision)}" if incident.decision else ""
    return before + _why(incident) + after


def _why(incident: Incident) -> str:
    first = incident.first
    if first.reason:
        return first.reason
    change = f"{change_in_words(first, incident.newest_model)} on {place_in_words(incident)}"
    if first.kind == "unpriced_model":
        return change
    deployment = incident.deployment
    if deployment is None:
        when = f"within {first.horizon_minutes} minutes; {evidence(None, first.minute)}"
    else:
        lag = first.minute - minute_of(deployment.time)
        by = f" by {deployment.actor}" if deployment.actor else ""
        when = f"within {max(lag, 1)} minutes of {deployment.kind} {deployment.id}{by}"
    return f"{change} {when}; {_chance(incident.per_year)}"


def _chance(per_year: float) -> str:
    """How often its like would come by itself."""
    if per_year < 1:
        return f"one like it in {1 / max(per_year, 1e-3):,.0f} years would be expected by chance"
    return f"{per_year:,.0f} like it a year would be expected by chance"


def action_of(incident: Incident) -> str:
    """What to do now."""
    first = incident.first
    if incident.decision is not None and incident.decision.decision == "intended":
        return "nothing: this was intended"
    if first.action:
        return first.action
    if incident.intent.verdict == "intentional":
        return "nothing: this was declared"
    if first.kind == "unpriced_model":
        return "add the model to prices.yaml; until then its spend is unknown, not zero"
    deployment = incident.deployment
    if deployment is not None:
        undo = "undo the rollback" if deployment.kind == "rollback" else f"roll back {deployment.kind}"
        asked = f", or ask {deployment.actor}" if deployment.actor else ""
        return f"{undo} {deployment.id}{asked}"
    return _TODO.get(first.driver, "look at {place}").format(place=place_in_words(incident))
