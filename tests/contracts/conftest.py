"""Servers that enforce the receivers' contracts, and a delivery that reaches them."""

from collections.abc import AsyncIterator, Callable

import pytest

from streams.delivery.delivery import Delivery
from streams.delivery.routes import RetrySettings
from streams.notifiers import PagerDutySettings, ReceiverSettings, SlackSettings, open_receivers
from streams.notifiers.exchange import open_http
from streams.notifiers.notifier import Http
from tests.contracts.pagerduty_server import PagerDutyServer
from tests.contracts.slack_server import SlackServer

QUICK = RetrySettings(
    first_pause_seconds=0.01, longest_pause_seconds=0.05, give_way_after_seconds=20.0, timeout_seconds=5.0
)

Deliver = Callable[..., Delivery]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers are on this machine, whatever proxy it uses for others."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
async def pagerduty() -> AsyncIterator[PagerDutyServer]:
    async with PagerDutyServer() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with open_http(QUICK.timeout_seconds) as session:
        yield session


@pytest.fixture
def observed() -> list[tuple[str, str]]:
    """Outcomes as the metrics are told of them."""
    return []


@pytest.fixture
def delivery_to(http: Http, observed: list[tuple[str, str]]) -> Deliver:
    """Return a function that makes a delivery to one receiver, named ``it``."""

    def make(settings: ReceiverSettings, environ: dict[str, str], retries: RetrySettings = QUICK) -> Delivery:
        receivers = open_receivers({"it": settings}, environ)
        return Delivery(receivers, http, retries, lambda receiver, outcome: observed.append((receiver, outcome)))

    return make


@pytest.fixture
def slack_webhook(delivery_to: Deliver, slack: SlackServer) -> Delivery:
    return delivery_to(SlackSettings(webhook_url_env="HOOK"), {"HOOK": slack.webhook_url})


@pytest.fixture
def slack_bot(delivery_to: Deliver, slack: SlackServer) -> Delivery:
    bot = SlackSettings(token_env="TOKEN", channel=slack.channel, api_url=slack.api_url)
    return delivery_to(bot, {"TOKEN": slack.token})


@pytest.fixture
def pager(delivery_to: Deliver, pagerduty: PagerDutyServer) -> Delivery:
    return delivery_to(PagerDutySettings(routing_key_env="KEY", url=pagerduty.url), {"KEY": pagerduty.routing_key})


@pytest.fixture(params=["webhook", "bot"])
def slack_either_way(request: pytest.FixtureRequest, slack_webhook: Delivery, slack_bot: Delivery) -> Delivery:
    return slack_webhook if request.param == "webhook" else slack_bot
