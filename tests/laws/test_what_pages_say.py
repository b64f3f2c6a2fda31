"""What reaches people: a storm but no outage, one page for a price whoever pays it, words that can be acted on."""

from __future__ import annotations

from detectors.clock import moment_of
from detectors.verdicts import ANOMALOUS
from tests.laws.scenarios import SCENARIOS, Trial, minutes, row, warmed
from tests.laws.streams import SERVICES, START, Event, Stream, plan, run, stream

FAILING: Event = SCENARIOS["retry_storm"].jump


def storm_of(services: tuple[str, ...], failing: tuple[str, ...]) -> Trial:
    """Three services, of which some fail and cost a multiple."""
    trial, scenario = warmed("retry_storm", services), SCENARIOS["retry_storm"]
    for minute in minutes("retry_storm", scenario.onset, scenario.onset + 30):
        changes = [FAILING if service in failing else {} for service in services]
        trial.minute(minute, [row(s, {**scenario.usual, **c}) for s, c in zip(services, changes, strict=True)])
    return trial.end(minute)


def test_a_service_whose_billed_attempts_multiply_is_a_storm_and_many_failing_ones_are_an_outage() -> None:
    services = ("bot", "search", "review", "digest")
    storm, outage = storm_of(services, ("bot",)), storm_of(services, services)
    assert ANOMALOUS in {status for _, _, status, _ in storm.words("bot")}
    assert all(ANOMALOUS not in {status for _, _, status, _ in outage.words(service)} for service in services)


def test_a_price_that_rose_for_all_is_one_incident_of_the_model() -> None:
    calm = stream(hours=24, onset_hour=100)
    dear = START + 22 * 60
    usage = [{**e, "cost_usd": cost_of(e) * (1.5 if e["time"] >= stamp(dear) else 1.0)} for e in calm.usage]
    usage = [e for e in usage if e["model"] != "nobody-priced-this"]
    alerts = run(Stream(usage, []), plan()).alerts
    prices = [a for a in alerts if a.cause.driver == "unit_price" and a.state == "firing"]
    assert [a.scope for a in prices if a.scope["model"] == "large"] == [{"model": "large"}]
    assert all(a.severity == "page" for a in prices if a.scope["model"] == "large")


def cost_of(event: Event) -> float:
    into, cached, out = event["input_tokens"], event["cached_input_tokens"], event["output_tokens"]
    price = {"large": (8e-6, 8e-7, 3.2e-5), "small": (1e-6, 1e-7, 4e-6)}.get(event["model"], (0.0, 0.0, 0.0))
    return float((into - cached) * price[0] + cached * price[1] + out * price[2])


def stamp(minute: int) -> str:
    return moment_of(minute).isoformat()


def test_the_sentence_names_numbers_the_deployment_and_chance() -> None:
    page = next(a for a in run(stream()).alerts if a.detector == "driver_step")
    assert "input tokens a request rose from" in page.reason
    assert "of deployment deploy-7 by ada" in page.reason
    assert "would be expected by chance" in page.reason
    assert page.suggested_action == "roll back deployment deploy-7, or ask ada"


def test_nobody_is_told_to_roll_back_a_rollback() -> None:
    day = stream()
    undone = Stream(day.usage, [{**d, "kind": "rollback"} for d in day.deployments])
    page = next(a for a in run(undone).alerts if a.detector == "driver_step")
    assert page.suggested_action == "undo the rollback deploy-7, or ask ada"
    assert SERVICES[0].name in page.reason
