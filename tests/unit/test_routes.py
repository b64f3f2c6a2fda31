"""Routing: who hears of which alert."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from streams.delivery.routes import Routes, promise_of
from streams.notifiers import (
    ConsoleSettings,
    PagerDutySettings,
    ReceiverError,
    ReceiverSettings,
    SlackSettings,
    open_receivers,
)
from tests.contracts.alerts import FIRING, GROWN, RESOLVED, TICKET, UPDATED

RECEIVERS = {name: {"type": "console"} for name in ("pager", "search", "finops", "rest")}


def routes(*entries: dict[str, Any], default: tuple[str, ...] = ("rest",)) -> Routes:
    raw = {"receivers": RECEIVERS, "routes": entries, "default": default}
    return msgspec.convert(raw, Routes)


def test_the_first_route_that_matches_takes_the_alert() -> None:
    table = routes(
        {"match": {"team": "ads"}, "receivers": ["finops"]},
        {"match": {"team": "search"}, "receivers": ["search"]},
        {"match": {"severity": "page"}, "receivers": ["pager"]},
    )
    assert table.receivers_of(FIRING) == ("search",)


def test_a_route_that_goes_on_lets_later_ones_take_it_too_and_nobody_hears_twice() -> None:
    table = routes(
        {"match": {"severity": "page"}, "receivers": ["pager", "search"], "continue": True},
        {"match": {"team": "search"}, "receivers": ["search", "finops"]},
    )
    assert table.receivers_of(FIRING) == ("pager", "search", "finops")


def test_what_no_route_takes_goes_to_the_default() -> None:
    assert routes({"match": {"team": "ads"}, "receivers": ["finops"]}).receivers_of(FIRING) == ("rest",)


def test_a_route_to_nobody_is_silence_on_purpose() -> None:
    assert routes({"match": {"severity": "page"}, "receivers": []}).receivers_of(FIRING) == ()


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"service": "ans*"}, True),
        ({"service": ["bot", "answers"]}, True),
        ({"service": "Answers"}, False),
        ({"service": "answers", "team": "ads"}, False),
        ({"severity": ["page", "ticket"], "driver": "output_*"}, True),
        ({"intent": "undeclared"}, False),
        ({"initiative": "answers-v2"}, True),
        ({"provider": "*"}, True),
        ({"provider": "?*"}, False),
        ({"detector": "driver_step"}, True),
    ],
)
def test_a_route_matches_by_patterns_of_everything_it_names(match: dict[str, Any], fits: bool) -> None:
    taken = routes({"match": match, "receivers": ["search"]}).receivers_of(FIRING)
    assert taken == (("search",) if fits else ("rest",))


def test_whoever_heard_of_it_hears_how_it_goes_on() -> None:
    table = routes({"match": {"severity": "page"}, "receivers": ["pager"]})
    for alert in (UPDATED, RESOLVED):
        assert table.receivers_of(alert, told=("search", "rest")) == ("search", "rest")
        assert table.receivers_of(alert) == ()


def test_an_incident_that_grows_into_a_page_reaches_the_pager_and_those_who_had_the_ticket() -> None:
    table = routes({"match": {"severity": "page"}, "receivers": ["pager"]})
    assert table.receivers_of(TICKET) == ("rest",)
    assert table.receivers_of(GROWN, told=("rest",)) == ("rest", "pager")


def test_every_name_that_is_no_receiver_is_told_with_its_place() -> None:
    table = routes({"receivers": ["pager", "pagr"]}, default=("nobody",))
    assert [(p.path, p.receiver) for p in table.problems()] == [
        ("default[0]", "nobody"),
        ("routes[0].receivers[1]", "pagr"),
    ]


def test_a_page_budget_needs_a_name_to_go_by() -> None:
    with pytest.raises(msgspec.ValidationError, match="page_budget needs a name beside it"):
        routes({"receivers": [], "page_budget": {"pages": 1}})


def test_what_waits_for_a_restart_is_which_page_is_held_to_which_promise() -> None:
    promising = {"match": {"team": "ads"}, "receivers": ["pager"], "name": "ads", "page_budget": {"pages": 1}}
    first, last = {"match": {"team": "a*"}, "receivers": ["pager"]}, {"receivers": ["rest"]}
    held = promise_of(routes(first, promising, last).routes)
    assert held
    assert held == promise_of(routes({**first, "receivers": ["search"]}, promising).routes)
    assert held != promise_of(routes({**first, "match": {"team": "b*"}}, promising, last).routes)
    assert held != promise_of(routes(first, {**promising, "page_budget": {"pages": 2}}, last).routes)
    assert held != promise_of(routes(promising, last).routes)
    assert promise_of(routes(first, last).routes) == ()


@pytest.mark.parametrize(
    ("slack", "said"),
    [
        ({}, "give either webhook_url_env or token_env"),
        ({"webhook_url_env": "A", "token_env": "B", "channel": "c"}, "give either webhook_url_env or token_env"),
        ({"token_env": "B"}, "token_env and channel go together"),
        ({"webhook_url_env": "https://hooks.slack.example/T/B/secret"}, "matching regex"),
        ({"webhook_url": "x"}, "unknown field `webhook_url`"),
    ],
)
def test_a_slack_receiver_is_a_webhook_or_a_bot(slack: dict[str, str], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert({"receivers": {"s": {"type": "slack", **slack}}, "default": ["s"]}, Routes)


def test_every_missing_secret_is_named_at_once_with_its_receiver() -> None:
    receivers: dict[str, ReceiverSettings] = {
        "pager": PagerDutySettings(routing_key_env="PAGER_KEY"),
        "ops": SlackSettings(webhook_url_env="SLACK_URL"),
        "terminal": ConsoleSettings(),
    }
    with pytest.raises(ReceiverError) as raised:
        open_receivers(receivers, {"SLACK_URL": "no-url-but-secret"})
    assert str(raised.value) == (
        "receivers.pager: the environment variable PAGER_KEY is not set, which routing_key_env names; "
        "receivers.ops: the environment variable SLACK_URL, which webhook_url_env names, "
        "does not hold a URL that begins with https:// or http://"
    )


def test_the_shipped_routes_are_good_and_need_no_secrets() -> None:
    raw = yaml.safe_load((Path(__file__).parents[2] / "config" / "routes.yaml").read_text(encoding="utf-8"))
    table = msgspec.convert(raw, Routes)
    assert list(table.problems()) == []
    assert list(open_receivers(table.receivers, {})) == ["terminal"]
    assert table.receivers_of(FIRING) == ("terminal",)


def test_the_examples_in_the_shipped_routes_are_good_once_their_hash_is_removed() -> None:
    text = (Path(__file__).parents[2] / "config" / "routes.yaml").read_text(encoding="utf-8")
    head, rest = text.split("  # slack-oncall", 1)
    examples, _ = ("  # slack-oncall" + rest).split("\n\n", 1)
    shown = "\n".join(line.replace("  # ", "  ", 1) for line in examples.splitlines())
    table = msgspec.convert(yaml.safe_load(f"{head}{shown}\ndefault: [terminal]"), Routes)
    assert sorted(table.receivers) == ["ours", "pager", "slack-finops", "slack-oncall", "terminal"]
