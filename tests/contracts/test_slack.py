"""Slack, against a server that enforces its contracts: by webhook and as a bot."""

import asyncio
import time

import msgspec
import pytest

from streams.delivery.delivery import Delivery
from streams.delivery.routes import RetrySettings
from streams.notifiers import SlackSettings
from streams.notifiers.exchange import open_http
from tests.contracts.alerts import BACK, DIGEST, FIRING, GROWN, OVER_AGAIN, RESOLVED, TICKET, UPDATED, another
from tests.contracts.conftest import QUICK, Deliver
from tests.contracts.local_server import Fault
from tests.contracts.slack_server import SlackServer


async def test_a_webhook_posts_when_it_fires_and_when_it_is_over(slack: SlackServer, slack_webhook: Delivery) -> None:
    outcomes = [await slack_webhook.deliver(alert, "it") for alert in (FIRING, UPDATED, RESOLVED)]
    assert [(o.status, o.told, o.attempts) for o in outcomes] == [
        ("delivered", True, 1),
        ("delivered", False, 1),
        ("delivered", True, 1),
    ]
    firing, resolved = slack.messages
    for essential in ("answers", "$150/h", "key-7", "dep-1841", "ada", "approved by grace", "roll back config"):
        assert essential in firing.shown()
    assert resolved.text.startswith("✅ Resolved: answers")


async def test_a_bot_keeps_one_message_true_and_tells_of_changes_in_its_thread(
    slack: SlackServer, slack_bot: Delivery
) -> None:
    memo = None
    for alert in (FIRING, UPDATED, RESOLVED):
        outcome = await slack_bot.deliver(alert, "it", memo)
        assert outcome.status == "delivered", slack.refused
        memo = outcome.memo
    (original,) = slack.threads
    assert memo == {"channel": slack.channel_id, "ts": original.ts}
    assert original.edits == 2
    assert "Resolved: answers burned $90.50" in original.shown()
    assert [reply.text.split("*")[1][:18] for reply in slack.replies(original)] == [
        "Update: answers bu",
        "Resolved: answers ",
    ]
    assert not any(reply.broadcast for reply in slack.replies(original))


async def test_an_incident_that_grows_more_severe_is_shown_to_the_whole_channel(
    slack: SlackServer, slack_bot: Delivery
) -> None:
    first = await slack_bot.deliver(TICKET, "it")
    await slack_bot.deliver(GROWN, "it", first.memo)
    (original,) = slack.threads
    (reply,) = slack.replies(original)
    assert reply.broadcast
    assert "Page: answers" in original.shown()


async def test_what_comes_back_is_told_and_so_is_its_end(slack: SlackServer, slack_webhook: Delivery) -> None:
    for alert in (FIRING, RESOLVED, BACK, UPDATED, OVER_AGAIN):
        assert (await slack_webhook.deliver(alert, "it")).status == "delivered", slack.refused
    assert [message.text.split(":")[0] for message in slack.messages] == [
        "🔴 Page", "✅ Resolved", "🔴 Came back", "✅ Resolved",
    ]  # fmt: skip


async def test_what_comes_back_is_shown_to_the_whole_channel(slack: SlackServer, slack_bot: Delivery) -> None:
    memo = (await slack_bot.deliver(FIRING, "it")).memo
    for alert in (RESOLVED, BACK):
        await slack_bot.deliver(alert, "it", memo)
    (original,) = slack.threads
    assert [reply.broadcast for reply in slack.replies(original)] == [False, True]
    assert "Came back: answers" in original.shown()


async def test_a_message_that_somebody_deleted_is_posted_again(slack: SlackServer, slack_bot: Delivery) -> None:
    first = await slack_bot.deliver(FIRING, "it")
    slack.messages[0].deleted = True
    second = await slack_bot.deliver(UPDATED, "it", first.memo)
    assert second.status == "delivered"
    assert second.memo == {"channel": slack.channel_id, "ts": slack.messages[1].ts}


async def test_where_editing_is_forbidden_the_thread_alone_tells(slack: SlackServer, slack_bot: Delivery) -> None:
    first = await slack_bot.deliver(FIRING, "it")
    slack.edit_window_open = False
    second = await slack_bot.deliver(RESOLVED, "it", first.memo)
    assert second.status == "delivered"
    (original,) = slack.threads
    assert original.edits == 0
    assert len(slack.replies(original)) == 1


async def test_rate_limited_it_waits_as_long_as_slack_says_and_arrives_once(
    slack: SlackServer, slack_either_way: Delivery, observed: list[tuple[str, str]]
) -> None:
    for number in range(4):  # the burst that Slack allows
        await slack_either_way.deliver(another(number), "it")
    began = time.monotonic()
    outcome = await slack_either_way.deliver(another(4), "it")
    assert time.monotonic() - began >= 1.0  # Slack said: after a second
    assert (outcome.status, outcome.attempts, outcome.possible_duplicate) == ("delivered", 2, False)
    assert len(slack.messages) == 5
    assert observed.count(("it", "retried")) == 1
    assert any("429" in refusal for refusal in slack.refused)


async def test_a_server_in_trouble_is_tried_again(slack: SlackServer, slack_either_way: Delivery) -> None:
    slack.faults += [Fault(status=500, body="rollup_error"), Fault(status=503), Fault(status=502)]
    outcome = await slack_either_way.deliver(FIRING, "it")
    assert (outcome.status, outcome.attempts) == ("delivered", 4)
    assert len(slack.messages) == 1


@pytest.mark.parametrize("error", ["ratelimited", "internal_error", "service_unavailable"])
async def test_a_passing_error_of_the_web_api_is_tried_again(
    slack: SlackServer, slack_bot: Delivery, error: str
) -> None:
    slack.faults.append(Fault(status=200, body=f'{{"ok":false,"error":"{error}"}}'))
    outcome = await slack_bot.deliver(FIRING, "it")
    assert (outcome.status, outcome.attempts) == ("delivered", 2)


async def test_an_answer_lost_on_its_way_makes_the_next_one_a_possible_duplicate(
    slack: SlackServer, slack_webhook: Delivery
) -> None:
    slack.faults.append(Fault(cut=True, processed=True))
    outcome = await slack_webhook.deliver(FIRING, "it")
    assert outcome.status == "delivered"
    first, second = slack.messages
    assert "may have been sent before: compare bw-5f0c2a9b #1" not in first.shown()
    assert "may have been sent before: compare bw-5f0c2a9b #1" in second.shown()


async def test_a_refused_connection_is_no_possible_duplicate(
    slack: SlackServer, delivery_to: Deliver, observed: list[tuple[str, str]]
) -> None:
    url = slack.webhook_url
    await slack.__aexit__()
    delivery = delivery_to(SlackSettings(webhook_url_env="HOOK"), {"HOOK": url})
    delivering = asyncio.create_task(delivery.deliver(FIRING, "it"))
    async with asyncio.timeout(10):
        while observed.count(("it", "retried")) < 3:
            await asyncio.sleep(0.01)
    await slack.__aenter__()
    outcome = await delivering
    assert outcome.status == "delivered"
    (message,) = slack.messages
    assert "may have been sent before" not in message.shown()


async def test_a_slow_answer_is_not_waited_for_for_ever(slack: SlackServer, delivery_to: Deliver) -> None:
    slack.faults.append(Fault(delay_seconds=1.0, status=200, body="ok"))
    hasty = msgspec.structs.replace(QUICK, timeout_seconds=0.2)
    delivery = delivery_to(SlackSettings(webhook_url_env="HOOK"), {"HOOK": slack.webhook_url})
    async with open_http(hasty.timeout_seconds) as http:
        impatient = Delivery(delivery.receivers, http, hasty)
        outcome = await impatient.deliver(FIRING, "it")
    assert (outcome.status, outcome.attempts) == ("delivered", 2)
    assert "may have been sent before" in slack.messages[-1].shown()


async def test_what_fails_for_long_gives_way_and_is_to_be_tried_again(slack: SlackServer, delivery_to: Deliver) -> None:
    slack.faults += [Fault(status=500)] * 100
    patience = RetrySettings(first_pause_seconds=0.01, longest_pause_seconds=0.02, give_way_after_seconds=0.1)
    delivery = delivery_to(SlackSettings(webhook_url_env="HOOK"), {"HOOK": slack.webhook_url}, patience)
    outcome = await delivery.deliver(FIRING, "it")
    assert outcome.status == "retry"
    assert outcome.attempts > 1
    assert outcome.possible_duplicate
    assert outcome.answer == "HTTP 500"


async def refused(slack: SlackServer, deliver: Deliver, settings: SlackSettings, **environ: str) -> str:
    outcome = await deliver(settings, environ).deliver(FIRING, "it")
    assert (outcome.status, outcome.attempts) == ("dead", 1)
    assert slack.messages == []
    return outcome.answer


async def test_a_webhook_that_was_removed_is_a_dead_letter_with_slacks_answer(
    slack: SlackServer, delivery_to: Deliver, observed: list[tuple[str, str]]
) -> None:
    hook = SlackSettings(webhook_url_env="HOOK")
    assert await refused(slack, delivery_to, hook, HOOK=slack.webhook_url + "X") == "HTTP 404: no_service"
    assert observed == [("it", "dead_letter")]


async def test_a_login_page_is_not_slacks_ok(slack: SlackServer, delivery_to: Deliver) -> None:
    slack.faults.append(Fault(status=200, body="<html>please log in</html>"))
    hook = SlackSettings(webhook_url_env="HOOK")
    answer = await refused(slack, delivery_to, hook, HOOK=slack.webhook_url)
    assert answer == "not Slack's ok: <html>please log in</html>"


@pytest.mark.parametrize(
    ("channel", "token", "answer"),
    [
        ("#ai-spend", "xoxb-wrong", "chat.postMessage: invalid_auth"),
        ("#nowhere", SlackServer.token, "chat.postMessage: channel_not_found"),
        (SlackServer.archived, SlackServer.token, "chat.postMessage: is_archived"),
    ],
)
async def test_what_the_web_api_will_never_take_is_a_dead_letter(
    slack: SlackServer, delivery_to: Deliver, channel: str, token: str, answer: str
) -> None:
    bot = SlackSettings(token_env="TOKEN", channel=channel, api_url=slack.api_url)
    assert await refused(slack, delivery_to, bot, TOKEN=token) == answer


async def test_told_to_stop_it_finishes_the_post_in_flight_and_no_more(
    slack: SlackServer, slack_webhook: Delivery
) -> None:
    slack.faults.append(Fault(delay_seconds=0.3))
    delivering = asyncio.create_task(slack_webhook.deliver(FIRING, "it"))
    async with asyncio.timeout(10):
        while not slack.requests:
            await asyncio.sleep(0.005)
    slack_webhook.stop()
    assert (await delivering).status == "delivered"


async def test_told_to_stop_it_does_not_sit_out_a_long_pause(slack: SlackServer, slack_webhook: Delivery) -> None:
    slack.faults.append(Fault(status=429, headers={"Retry-After": "600"}))
    delivering = asyncio.create_task(slack_webhook.deliver(FIRING, "it"))
    async with asyncio.timeout(10):
        while not slack.refused:
            await asyncio.sleep(0.005)
        slack_webhook.stop()
        outcome = await delivering
    assert (outcome.status, outcome.attempts, outcome.possible_duplicate) == ("retry", 1, False)


async def test_a_digest_is_one_message_in_either_way(slack: SlackServer, slack_either_way: Delivery) -> None:
    outcome = await slack_either_way.deliver(DIGEST, "it", possible_duplicate=True)
    assert outcome.status == "delivered", slack.refused
    (message,) = slack.messages
    assert message.text.startswith("✅ While catching up: 2 incidents")
    for essential in ("2026-10-09 09:14 UTC", "answers", "$90.50 above expected", "may have been sent before"):
        assert essential in message.shown()
