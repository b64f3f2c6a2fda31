"""The message: everything a person needs, in one look, whatever an alert is made of, within every receiver's limits."""

import math
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.events import DRIVERS, Alert, Cause, DeploymentEvent, Feedback, Intent, MonthEnd
from streams.notifiers.exchange import encode
from streams.notifiers.message import Message, message_of, tidy, units
from streams.notifiers.pagerduty import PagerDutySettings, dedup_key_of
from streams.notifiers.slack_blocks import blocks_of, escape, fallback_of, headline_of, sign_of
from streams.wording import usd
from tests.contracts.alerts import DEPLOYMENT, FIRING, RESOLVED, UPDATED
from tests.contracts.pagerduty_server import PagerDutyServer
from tests.contracts.slack_blocks import mistakes_in_blocks, mistakes_in_mrkdwn, text_in_blocks
from tests.contracts.slack_server import ALL_BLOCKS_CHARACTERS, UPDATE_TEXT_CHARACTERS

NASTY = st.sampled_from(
    ["<!channel>", "&&&&&" * 200, "*_~`", "\n\r\t\x00", "\u202e\u200b", "🔥" * 400, "|>", "a" * 5000]
)
TEXTS = st.text(max_size=300) | NASTY | st.text(st.characters(categories=("Cs", "L", "Zl")), max_size=20)
FLOATS = st.floats() | st.floats(-1e6, 1e6)
ZONES = st.timezones() | st.just(timezone(timedelta(hours=-23, minutes=-59)))
MOMENTS = st.datetimes(timezones=ZONES) | st.sampled_from(
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=9))),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=9))),
    ]
)
URLS = st.sampled_from(
    [
        "https://x.example/?a=1&b=<2>|3",
        "javascript:alert(1)",
        "http://[broken",
        "https://" + "x" * 3000,
        "https://ok.example/a",
    ]
)
DEPLOYMENTS = st.builds(
    DeploymentEvent,
    id=TEXTS,
    time=MOMENTS,
    service=TEXTS,
    version=TEXTS,
    actor=TEXTS,
    approver=TEXTS,
    change_url=TEXTS | URLS,
)
DIMENSIONS = st.sampled_from(["team", "service", "model", "principal", "initiative"])
ALERTS = st.builds(
    Alert,
    alert_id=TEXTS,
    state=st.sampled_from(["firing", "updated", "resolved"]),
    time=MOMENTS,
    onset=MOMENTS,
    severity=st.sampled_from(["page", "ticket", "info"]),
    score=FLOATS,
    p_value=FLOATS,
    scope=st.dictionaries(DIMENSIONS | TEXTS, TEXTS, max_size=8),
    cause=st.builds(
        Cause,
        driver=st.sampled_from([*DRIVERS, "unknown"]),
        deployment_id=st.none() | TEXTS,
        contributions_usd=st.dictionaries(st.sampled_from(DRIVERS) | TEXTS, FLOATS, max_size=9),
        deployment=st.none() | DEPLOYMENTS,
        evidence=TEXTS,
    ),
    observed_usd=FLOATS,
    expected_usd=FLOATS,
    excess_usd=FLOATS,
    usd_per_hour=FLOATS,
    month_end=st.builds(MonthEnd, FLOATS, FLOATS, FLOATS, st.none() | FLOATS, st.none() | FLOATS),
    intent=st.builds(
        Intent, st.none() | TEXTS, st.sampled_from(["intentional", "accidental", "undeclared"]), st.none() | TEXTS
    ),
    reason=TEXTS,
    suggested_action=TEXTS,
    detector=TEXTS,
    features=st.dictionaries(TEXTS, FLOATS, max_size=3),
    links=st.dictionaries(TEXTS, URLS | TEXTS, max_size=12),
    sequence=st.integers(0, 10**9),
    resolved_because=TEXTS,
)  # fmt: skip


def facts_of(message: Message) -> dict[str, str]:
    return {fact.name: fact.text for fact in message.facts}


def test_one_look_tells_what_burns_how_much_since_when_why_who_and_what_to_do() -> None:
    message = message_of(FIRING)
    assert message.headline == "Page: answers burns $150/h above expected (model m-large, principal key-7)"
    assert facts_of(message) == {
        "How much": "$15.00 above expected so far ($19.84 spent, $4.84 expected)",
        "Since": "2026-10-09 09:14 UTC, for 6 min",
        "Driver": "output tokens a request +$14.20; besides requests +$1.10",
        "Where": "answers, model m-large, principal key-7, team search",
        "Deployment": "config v214 (dep-1841) by ada, approved by grace, 2026-10-09 09:11 UTC, 3 min before the onset",
        "Declared": "yes, but not like this: initiative answers-v2, approver grace",
        "Month end": "$48,200 likely ($41,000 to $55,900); 93% likely to pass the budget of $40,000",
        "Why": "output tokens a request rose from 310 to 1,240 (x4.0) on answers within 5 minutes",
    }
    assert message.action == "roll back config dep-1841 or ask ada"
    assert [link.url for link in message.links] == [
        "https://grafana.example/d/answers?from=1&to=2",
        "https://git.example/answers/pull/1841",
    ]


def test_an_update_and_the_end_say_what_it_has_cost() -> None:
    assert message_of(UPDATED).headline.startswith("Update: answers burns $150/h above expected, $65.00 so far")
    over = message_of(RESOLVED)
    assert over.headline == "Resolved: answers burned $90.50 above expected in 56 min"
    assert facts_of(over)["Since"] == "2026-10-09 09:14 UTC to 2026-10-09 10:10 UTC (56 min); quiet again"
    assert over.action == ""


@pytest.mark.parametrize(
    ("intent", "said"),
    [
        (Intent(None, "undeclared", None), "no, no initiative covers it"),
        (Intent("nightly", "intentional", "grace"), "yes, by initiative nightly, approver grace"),
        (Intent("nightly", "intentional", "grace", "the fair"), "yes, by initiative nightly, approver grace: the fair"),
        (Intent("nightly", "accidental", None), "yes, but not like this: initiative nightly, no approver"),
    ],
)
def test_it_says_whether_the_spend_was_declared_and_who_approved_it(intent: Intent, said: str) -> None:
    assert facts_of(message_of(msgspec.structs.replace(FIRING, intent=intent)))["Declared"] == said


@pytest.mark.parametrize(
    ("initiative", "said"), [(None, "yes, as ana said"), ("nightly", "yes, as ana said, for initiative nightly")]
)
def test_what_somebody_said_was_intended_is_not_called_undeclared(initiative: str | None, said: str) -> None:
    decision = Feedback(FIRING.time, "bw-0123456789abcdef", "intended", "ana")
    told = msgspec.structs.replace(FIRING, intent=Intent(initiative, "intentional", "ana"), decision=decision)
    assert facts_of(message_of(told))["Declared"] == said


def test_a_deployment_is_named_by_its_revision_where_the_version_does_not_tell_it() -> None:
    revised = msgspec.structs.replace(DEPLOYMENT, revision="9fceb02d0ae598e95dc970b74767f19372d61af8")
    cause = msgspec.structs.replace(FIRING.cause, deployment=revised)
    told = facts_of(message_of(msgspec.structs.replace(FIRING, cause=cause)))["Deployment"]
    assert told.startswith("config v214 at 9fceb02d0ae5 (dep-1841) by ada")


def test_spend_that_nobody_can_price_is_not_called_zero_dollars() -> None:
    unpriced = msgspec.structs.replace(
        FIRING,
        severity="ticket",
        usd_per_hour=0.0,
        excess_usd=0.0,
        reason="40 requests in a minute have no known price",
    )
    message = message_of(unpriced)
    assert message.headline == "Ticket: answers: 40 requests in a minute have no known price"
    assert facts_of(message)["How much"] == "not known"
    assert not {"Why", "Driver", "Month end"} & set(facts_of(message))
    over = message_of(msgspec.structs.replace(unpriced, state="resolved"))
    assert over.headline == "Resolved: answers, after 6 min"
    assert "$0" not in over.headline + facts_of(over)["How much"]


def test_where_nothing_was_expected_dollars_are_told_once() -> None:
    new = msgspec.structs.replace(FIRING, observed_usd=15.0, expected_usd=0.0)
    assert facts_of(message_of(new))["How much"] == "$15.00 above expected so far"


def test_a_place_that_the_sentence_names_is_not_named_twice() -> None:
    reason = "40 requests in a minute on answers, model m-new have no known price"
    unpriced = msgspec.structs.replace(FIRING, usd_per_hour=0.0, excess_usd=0.0, reason=reason)
    assert message_of(unpriced).headline == f"Page: {reason}"


def test_a_deployment_that_came_with_the_onset_is_not_said_to_precede_it() -> None:
    deployment = msgspec.structs.replace(DEPLOYMENT, time=FIRING.onset + timedelta(minutes=2), kind="model_switch")
    cause = msgspec.structs.replace(FIRING.cause, deployment=deployment)
    told = facts_of(message_of(msgspec.structs.replace(FIRING, cause=cause)))["Deployment"]
    assert told.startswith("model switch v214 (dep-1841) by ada")
    assert told.endswith("with the onset")


def test_a_team_that_burns_as_a_whole_is_named_in_the_headline() -> None:
    assert message_of(msgspec.structs.replace(FIRING, scope={"team": "search"})).headline == (
        "Page: team search burns $150/h above expected"
    )


def test_long_names_cannot_push_the_dollars_the_deployment_or_its_approver_out_of_sight() -> None:
    long = {name: f"{name}-" + "x" * 400 + "-end" for name in ("service", "model", "principal", "team")}
    deployment = msgspec.structs.replace(
        DEPLOYMENT, id="d" * 256, version="v" * 256, actor="a" * 256, approver="grace-" + "g" * 250
    )
    cause = msgspec.structs.replace(FIRING.cause, deployment=deployment)
    message = message_of(msgspec.structs.replace(FIRING, scope=long, cause=cause))
    assert "service-xxx" in message.headline
    assert "$150/h above expected" in message.headline
    assert "approved by grace-" in facts_of(message)["Deployment"]
    assert "grace" in text_in_blocks(blocks_of(sign_of(FIRING), message))


@given(ALERTS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_alert_makes_a_message_of_clean_short_lines(alert: Alert, possible_duplicate: bool) -> None:
    message = message_of(alert, possible_duplicate)
    assert 0 < units(message.headline) <= 150
    assert all(0 < units(fact.text) <= 300 for fact in message.facts)
    assert units(message.action) <= 500
    lines = [message.headline, message.action, message.footer, *facts_of(message).values()]
    assert all(line == tidy(line) for line in lines)
    assert all(link.url.startswith(("https://", "http://")) and "|" not in link.url for link in message.links)
    assert ("may have been sent before" in message.footer) == possible_duplicate
    if alert.state == "firing" and alert.usd_per_hour > 0:
        assert f"{usd(alert.usd_per_hour)}/h above expected" in message.headline


@given(ALERTS)
@settings(max_examples=150, deadline=None)
def test_any_alert_fits_slack_and_is_shown_as_written(alert: Alert) -> None:
    message = message_of(alert, possible_duplicate=True)
    blocks = blocks_of(sign_of(alert), message)
    assert mistakes_in_blocks(blocks) == []
    assert units(text_in_blocks(blocks)) <= ALL_BLOCKS_CHARACTERS
    mrkdwn = [
        t["text"] for b in blocks for t in [b.get("text", {}), *b.get("elements", [])] if t.get("type") == "mrkdwn"
    ]
    for text in [*mrkdwn, fallback_of(sign_of(alert), message), headline_of(sign_of(alert), message)]:
        assert mistakes_in_mrkdwn(text) == []
    assert units(fallback_of(sign_of(alert), message)) <= UPDATE_TEXT_CHARACTERS
    msgspec.json.encode(blocks)


@given(ALERTS)
@settings(max_examples=150, deadline=None)
def test_any_alert_is_an_event_that_pagerduty_takes(alert: Alert) -> None:
    settings = PagerDutySettings(routing_key_env="KEY")
    notifier = settings.open({"KEY": PagerDutyServer.routing_key})
    event = encode(notifier.event(alert, possible_duplicate=True))
    assert len(event) < 20_000
    assert PagerDutyServer().errors_in(msgspec.json.decode(event)) == []


@given(TEXTS)
def test_every_word_of_one_incident_has_one_dedup_key(alert_id: str) -> None:
    keys = {
        dedup_key_of(msgspec.structs.replace(alert, alert_id=alert_id).alert_id)
        for alert in (FIRING, UPDATED, RESOLVED)
    }
    assert len(keys) == 1


@given(st.text(), st.integers(1, 200))
def test_escaping_shows_the_text_itself_and_never_cuts_an_entity(text: str, limit: int) -> None:
    escaped = escape(text, limit)
    assert units(escaped) <= limit
    assert mistakes_in_mrkdwn(escaped) == []
    shown = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert shown == text or text.startswith(shown.removesuffix("…"))


@given(FLOATS)
def test_money_is_short_and_never_nan(amount: float) -> None:
    text = usd(amount)
    assert len(text) <= 12
    assert "nan" not in text
    assert text.startswith("−") <= (amount < 0)
    assert math.isfinite(amount) or text == "$?"


def test_a_moment_is_told_in_utc() -> None:
    onset = datetime(2026, 10, 9, 11, 14, tzinfo=timezone(timedelta(hours=2)))
    told = message_of(msgspec.structs.replace(FIRING, onset=onset, time=onset.astimezone(UTC)))
    assert facts_of(told)["Since"] == "2026-10-09 09:14 UTC, for 0 min"
