"""An incident as an alert: the sentence that says why, and what to do now."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from detectors.cause import evidence
from detectors.clock import moment_of
from detectors.events import Alert, Cause, Driver, Initiative, State
from detectors.forecast import DailySpend, forecast
from detectors.prices import NANO

if TYPE_CHECKING:
    from detectors.incidents import Incident

_WHAT = {
    "requests": "requests",
    "input_per_request": "input tokens a request",
    "output_per_request": "output tokens a request",
    "cache_share": "the price of input as cached",
    "model_mix": "the price of the models used",
    "unit_price": "the price paid over list",
    "idle_gpu": "GPU spend without requests",
}

_TODO = {
    "requests": "find who calls {place} more than usual; limit or revoke the key if nobody meant it",
    "input_per_request": "look at what is put into the prompt of {place} since the onset",
    "output_per_request": "look at the output limit and the instructions of {place}",
    "cache_share": "see why the prompt cache of {place} no longer hits: a changed prefix, an expired cache",
    "model_mix": "see which model {place} calls now, and whether that was meant",
    "unit_price": "ask the provider, or see the contract: the price paid rose",
    "idle_gpu": "stop the GPUs of {place} if nobody needs them",
}


def alert_of(incident: Incident, minute: int, what: str, spend: DailySpend, initiative: Initiative | None) -> Alert:
    """Return the alert that tells of an incident in a minute."""
    first = incident.first
    scope = {"team": first.team, **first.name.scope()}
    if initiative is not None:
        scope["initiative"] = initiative.id
    observed = max(incident.observed_nano / NANO, incident.excess_usd)
    deployment = incident.deployment
    budget = initiative.monthly_budget_usd if initiative else None
    return Alert(
        alert_id=incident.alert_id,
        state=cast("State", what),
        time=moment_of(minute),
        onset=moment_of(incident.onset),
        severity=incident.severity,
        score=round(first.score, 6),
        p_value=incident.p_value,
        scope={name: value for name, value in scope.items() if value},
        cause=Cause(
            driver=cast("Driver", first.driver),
            deployment_id=deployment.id if deployment else None,
            contributions_usd={k: round(v, 9) for k, v in first.contributions_usd.items()},
            deployment=deployment,
            evidence=evidence(deployment, incident.onset),
        ),
        observed_usd=round(observed, 6),
        expected_usd=round(max(observed - incident.excess_usd, 0.0), 6),
        excess_usd=round(incident.excess_usd, 6),
        usd_per_hour=round(incident.usd_per_hour, 6),
        month_end=forecast(spend, minute, incident.usd_per_hour, budget),
        intent=incident.intent,
        reason=reason_of(incident),
        suggested_action=action_of(incident),
        detector=first.detector,
        features=first.features,
        sequence=incident.sequence,
        resolved_because="quiet again" if what == "resolved" else "",
    )


def place_in_words(incident: Incident) -> str:
    """Where it burns, for people: the service first, then what is named beside it."""
    scope = incident.first.name.scope()
    parts = [scope.pop("service", "")] + [f"{name} {value}" for name, value in scope.items()]
    return ", ".join(part for part in parts if part) or "the whole organisation"


def reason_of(incident: Incident) -> str:
    """One sentence of plain words on why the incident was raised."""
    first = incident.first
    if first.detector == "unpriced_model":
        return f"{first.score:,.0f} requests in a minute on {place_in_words(incident)} have no known price"
    what = _WHAT.get(first.driver, "spend")
    ratio = first.after / first.before if first.before > 0 and first.after > 0 else 0.0
    if first.driver == "requests" or not ratio:
        change = f"{what} drove spend {first.usd_per_hour:,.2f} USD an hour above usual on"
    else:
        change = f"{what} rose from {first.before:,.0f} to {first.after:,.0f} (x{ratio:.1f}) on"
    chance = incident.per_year
    often = f"{chance:,.0f} such a year" if chance >= 1 else f"one such in {1 / max(chance, 1e-6):,.0f} years"
    return (
        f"{change} {place_in_words(incident)} within {first.horizon_minutes} minutes; "
        f"{evidence(incident.deployment, incident.onset)}; {often} would be expected by chance"
    )


def action_of(incident: Incident) -> str:
    """What to do now."""
    first = incident.first
    if incident.intent.verdict == "intentional":
        return "nothing: this was declared"
    if first.detector == "unpriced_model":
        return "add the model to prices.yaml; until then its spend is unknown, not zero"
    deployment = incident.deployment
    if deployment is not None:
        asked = f" or ask {deployment.actor}" if deployment.actor else ""
        return f"roll back {deployment.kind} {deployment.id}{asked}"
    return _TODO.get(first.driver, "look at {place}").format(place=place_in_words(incident))
