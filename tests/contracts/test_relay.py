"""From the outbox to the receivers: each by itself, nothing lost, and what a crash leaves behind sent again."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from detectors.events import Alert
from streams.delivery.relay import OutboxRelay
from streams.delivery.routes import Route, Routes
from streams.delivery.sqlite_outbox import SqliteOutbox
from streams.notifiers import PagerDutySettings, ReceiverSettings, SlackSettings, open_receivers
from tests.contracts.alerts import FIRING, RESOLVED, UPDATED, another
from tests.contracts.conftest import QUICK
from tests.contracts.local_server import Fault
from tests.contracts.pagerduty_server import PagerDutyServer
from tests.contracts.slack_server import SlackServer


@pytest.fixture
def routes(slack: SlackServer, pagerduty: PagerDutyServer) -> Routes:
    receivers: dict[str, ReceiverSettings] = {
        "slack": SlackSettings(token_env="TOKEN", channel=slack.channel, api_url=slack.api_url),
        "pager": PagerDutySettings(routing_key_env="KEY", url=pagerduty.url),
    }
    return Routes(receivers=receivers, routes=(Route(("pager",), goes_on=True), Route(("slack",))), default=())


@pytest.fixture
def outbox(tmp_path: Path, routes: Routes) -> Iterator[SqliteOutbox]:
    outbox = SqliteOutbox(tmp_path / "state.db", routes.receivers_of, time.time)
    yield outbox
    outbox.close()


@pytest.fixture
def raise_alerts(tmp_path: Path, outbox: SqliteOutbox) -> Iterator[Callable[..., None]]:
    connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    outbox.prepare(connection)

    def insert(*alerts: Alert) -> None:
        connection.execute("BEGIN IMMEDIATE")
        outbox.insert(connection, alerts)
        connection.execute("COMMIT")

    yield insert
    connection.close()


@pytest.fixture
def relay(routes: Routes, outbox: SqliteOutbox, slack: SlackServer, pagerduty: PagerDutyServer) -> OutboxRelay:
    receivers = open_receivers(routes.receivers, {"TOKEN": slack.token, "KEY": pagerduty.routing_key})
    return OutboxRelay(receivers, outbox, QUICK)


@asynccontextmanager
async def at_work(relay: OutboxRelay) -> AsyncIterator[asyncio.Task[None]]:
    working = asyncio.create_task(relay.run())
    try:
        yield working
    finally:
        relay.stop()
        async with asyncio.timeout(10):
            await asyncio.gather(working, return_exceptions=True)


async def until(condition: Callable[[], bool], within_seconds: float = 10.0) -> None:
    async with asyncio.timeout(within_seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_an_incident_reaches_slack_and_the_pager_from_its_start_to_its_end(
    relay: OutboxRelay,
    outbox: SqliteOutbox,
    raise_alerts: Callable[..., None],
    slack: SlackServer,
    pagerduty: PagerDutyServer,
) -> None:
    async with at_work(relay):
        raise_alerts(FIRING)
        await until(lambda: outbox.waiting().count == 0)
        raise_alerts(UPDATED, RESOLVED)
        await until(lambda: outbox.waiting().count == 0)
    (original,) = slack.threads
    assert original.edits == 2
    assert len(slack.replies(original)) == 2
    assert [incident.status for incident in pagerduty.incidents] == ["resolved"]
    assert outbox.dead_letters() == []


async def test_a_dead_slack_does_not_delay_the_pager(
    relay: OutboxRelay, raise_alerts: Callable[..., None], slack: SlackServer, pagerduty: PagerDutyServer
) -> None:
    slack.faults += [Fault(status=503, delay_seconds=0.05)] * 10_000
    raise_alerts(*(another(n) for n in range(20)))
    async with at_work(relay):
        await until(lambda: len(pagerduty.incidents) == 20, within_seconds=3)
    assert slack.messages == []


async def test_what_a_crash_left_intended_is_sent_again_and_says_so(
    relay: OutboxRelay, outbox: SqliteOutbox, raise_alerts: Callable[..., None], slack: SlackServer
) -> None:
    raise_alerts(FIRING)
    pending = await outbox.next_for("slack")
    assert pending is not None
    await outbox.intend(pending)
    async with at_work(relay):
        await until(lambda: outbox.waiting().count == 0)
    assert "may have been sent before" in slack.messages[0].shown()


@pytest.mark.parametrize("how", ["cancelled", "told to stop"])
async def test_at_the_end_what_is_in_flight_is_finished_and_what_waits_keeps_waiting(
    relay: OutboxRelay, outbox: SqliteOutbox, raise_alerts: Callable[..., None], slack: SlackServer, how: str
) -> None:
    slack.faults.append(Fault(delay_seconds=0.3))
    raise_alerts(FIRING, another(1), another(2))
    async with at_work(relay) as working:
        await until(lambda: slack.requests == 1)
        working.cancel() if how == "cancelled" else relay.stop()
        async with asyncio.timeout(5):
            await asyncio.wait([working])
        assert working.cancelled() == (how == "cancelled")
    assert len(slack.messages) == 1
    next_one = await outbox.next_for("slack")
    assert next_one is not None
    assert (next_one.alert.alert_id, next_one.possible_duplicate) == ("bw-other-1", False)


async def test_a_message_that_slack_chokes_on_lets_the_next_incident_through(
    routes: Routes,
    outbox: SqliteOutbox,
    raise_alerts: Callable[..., None],
    slack: SlackServer,
    pagerduty: PagerDutyServer,
) -> None:
    receivers = open_receivers(routes.receivers, {"TOKEN": slack.token, "KEY": pagerduty.routing_key})
    impatient = QUICK.__class__(first_pause_seconds=0.01, longest_pause_seconds=0.02, give_way_after_seconds=0.05)
    slack.chokes_on = FIRING.alert_id
    raise_alerts(FIRING, another(1))
    async with at_work(OutboxRelay(receivers, outbox, impatient)):
        await until(lambda: len(slack.messages) == 1)
        slack.chokes_on = None
        await until(lambda: outbox.waiting().count == 0)
    assert ["bw-other-1" in message.shown() for message in slack.messages] == [True, False]


async def test_a_receiver_that_is_configured_no_more_leaves_dead_letters_not_silence(
    outbox: SqliteOutbox, raise_alerts: Callable[..., None]
) -> None:
    raise_alerts(FIRING)
    async with at_work(OutboxRelay({}, outbox, QUICK)):
        await until(lambda: len(outbox.dead_letters()) == 2)
    assert {letter.answer for letter in outbox.dead_letters()} == {
        "no receiver pager is configured any more",
        "no receiver slack is configured any more",
    }


async def test_an_outbox_that_fails_ends_the_relay(
    relay: OutboxRelay, outbox: SqliteOutbox, raise_alerts: Callable[..., None], tmp_path: Path
) -> None:
    raise_alerts(FIRING)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE deliveries SET alert = 'not JSON' WHERE receiver = 'pager'")
    connection.close()
    async with asyncio.timeout(10):
        with pytest.raises(ValueError, match="JSON"):
            await relay.run()
