"""PagerDuty, against a server that enforces Events API v2."""

import msgspec
import pytest

from streams.delivery.delivery import Delivery
from streams.notifiers import PagerDutySettings
from tests.contracts.alerts import BACK, DIGEST, FIRING, GROWN, OVER_AGAIN, RESOLVED, TICKET, UPDATED
from tests.contracts.conftest import Deliver
from tests.contracts.local_server import Fault
from tests.contracts.pagerduty_server import PagerDutyServer


async def test_a_firing_alert_opens_an_incident_and_its_end_resolves_it(
    pagerduty: PagerDutyServer, pager: Delivery
) -> None:
    for alert in (FIRING, UPDATED, RESOLVED):
        assert (await pager.deliver(alert, "it")).status == "delivered", pagerduty.refused
    (incident,) = pagerduty.incidents
    assert (incident.dedup_key, incident.status, incident.triggers) == ("bw-5f0c2a9b", "resolved", 1)
    assert incident.payload["severity"] == "critical"
    assert incident.payload["source"] == "answers"
    assert "burns $150/h above expected" in incident.payload["summary"]
    assert "approved by grace" in incident.payload["custom_details"]["Deployment"]
    assert {link["href"] for link in incident.links} >= {"https://git.example/answers/pull/1841"}


async def test_an_update_does_not_wake_whoever_resolved_it_by_hand(pagerduty: PagerDutyServer, pager: Delivery) -> None:
    await pager.deliver(FIRING, "it")
    pagerduty.incidents[0].status = "resolved"
    outcome = await pager.deliver(UPDATED, "it")
    assert (outcome.status, outcome.told) == ("delivered", False)
    assert len(pagerduty.incidents) == 1


async def test_what_comes_back_is_open_again_for_as_long_as_it_burns_and_is_no_second_page(
    pagerduty: PagerDutyServer, pager: Delivery
) -> None:
    for alert in (FIRING, RESOLVED, BACK):
        assert (await pager.deliver(alert, "it")).told, pagerduty.refused
    first, again = pagerduty.incidents
    assert (first.status, again.status) == ("resolved", "triggered")
    assert (first.dedup_key, again.dedup_key) == (FIRING.alert_id, FIRING.alert_id)
    assert (first.payload["severity"], again.payload["severity"]) == ("critical", "warning")
    assert again.payload["summary"].startswith("Came back: answers burns")
    await pager.deliver(OVER_AGAIN, "it")
    assert again.status == "resolved"


async def test_sent_twice_it_is_one_incident(pagerduty: PagerDutyServer, pager: Delivery) -> None:
    pagerduty.faults.append(Fault(cut=True, processed=True))
    outcome = await pager.deliver(FIRING, "it")
    assert (outcome.status, outcome.attempts) == ("delivered", 2)
    (incident,) = pagerduty.incidents
    assert incident.triggers == 2


@pytest.mark.parametrize(("severities", "expected"), [({}, "warning"), ({"ticket": "error"}, "error")])
async def test_severities_read_as_configured(
    pagerduty: PagerDutyServer, delivery_to: Deliver, severities: dict[str, str], expected: str
) -> None:
    raw = {"type": "pagerduty", "routing_key_env": "KEY", "url": pagerduty.url, "severities": severities}
    delivery = delivery_to(msgspec.convert(raw, PagerDutySettings), {"KEY": pagerduty.routing_key})
    await delivery.deliver(TICKET, "it")
    assert pagerduty.incidents[0].payload["severity"] == expected


async def test_an_incident_that_grows_more_severe_triggers_again(pagerduty: PagerDutyServer, pager: Delivery) -> None:
    for alert in (TICKET, GROWN):
        await pager.deliver(alert, "it")
    (incident,) = pagerduty.incidents
    assert incident.triggers == 2


async def test_throttled_it_backs_off_and_arrives(delivery_to: Deliver) -> None:
    async with PagerDutyServer(per_second=5.0, burst=1) as pagerduty:
        settings = PagerDutySettings(routing_key_env="KEY", url=pagerduty.url)
        delivery = delivery_to(settings, {"KEY": pagerduty.routing_key})
        outcomes = [await delivery.deliver(alert, "it") for alert in (FIRING, RESOLVED)]
        assert [o.status for o in outcomes] == ["delivered", "delivered"]
        assert outcomes[1].attempts > 1
        assert pagerduty.incidents[0].status == "resolved"


async def test_a_server_in_trouble_is_tried_again(pagerduty: PagerDutyServer, pager: Delivery) -> None:
    pagerduty.faults += [Fault(status=500), Fault(status=503, headers={"Retry-After": "0"})]
    outcome = await pager.deliver(FIRING, "it")
    assert (outcome.status, outcome.attempts) == ("delivered", 3)


@pytest.mark.parametrize("status", [408, 425, 429])
async def test_what_was_not_taken_yet_is_tried_again_and_is_no_possible_duplicate(
    pagerduty: PagerDutyServer, pager: Delivery, status: int
) -> None:
    pagerduty.faults.append(Fault(status=status))
    outcome = await pager.deliver(FIRING, "it")
    assert (outcome.status, outcome.attempts, outcome.possible_duplicate) == ("delivered", 2, False)


async def test_a_wrong_key_is_a_dead_letter_with_pagerdutys_reason_but_not_the_key(
    pagerduty: PagerDutyServer, delivery_to: Deliver
) -> None:
    delivery = delivery_to(PagerDutySettings(routing_key_env="KEY", url=pagerduty.url), {"KEY": "too-short-a-key"})
    outcome = await delivery.deliver(FIRING, "it")
    assert (outcome.status, outcome.attempts) == ("dead", 1)
    assert "Length of 'routing_key' is incorrect" in outcome.answer
    assert "too-short-a-key" not in outcome.answer


async def test_a_digest_is_one_incident_that_is_no_page(pagerduty: PagerDutyServer, pager: Delivery) -> None:
    for _ in range(2):
        assert (await pager.deliver(DIGEST, "it")).status == "delivered", pagerduty.refused
    (incident,) = pagerduty.incidents
    assert (incident.dedup_key, incident.payload["severity"]) == (DIGEST.alert_id, "info")
    assert incident.payload["summary"].startswith("While catching up: 2 incidents, over by now, $181")
