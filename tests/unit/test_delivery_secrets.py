"""No secret reaches a log, an exception, an outcome or a dead letter, whatever goes wrong on the way."""

import io
import logging
import traceback
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog
from aiohttp import web

from streams.delivery.delivery import Delivery
from streams.delivery.routes import RetrySettings
from streams.notifiers import PagerDutySettings, ReceiverSettings, SlackSettings, WebhookSettings, open_receivers
from streams.notifiers.exchange import open_http, post
from streams.notifiers.notifier import Http, Refused, Secret, TryAgain
from tests.contracts.alerts import FIRING
from tests.contracts.local_server import Fault, LocalServer

HASTY = RetrySettings(first_pause_seconds=0.005, longest_pause_seconds=0.01, give_way_after_seconds=0.05)
SECRET = "s3cr3t-value-0123456789abcdef0123"


class Echo(LocalServer):
    """Answers 400 with all that it was told, as careless servers do."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/{path:.*}", self._echo)]

    async def _echo(self, request: web.Request) -> web.Response:
        told = f"{request.url} {request.path_qs} {dict(request.headers)} {await request.text()}"
        return web.Response(status=400, text=told.replace("/", "\\/") + told)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    async with Echo() as server:
        yield server


@pytest.fixture
async def http(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Http]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with open_http(0.2) as session:
        yield session


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, as verbosely as it gets."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    root.addHandler(handler)
    level, root.level = root.level, logging.DEBUG
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(text))
    yield text
    structlog.reset_defaults()
    root.level = level
    root.removeHandler(handler)


def receivers_at(base_url: str) -> dict[str, tuple[ReceiverSettings, dict[str, str]]]:
    return {
        "slack webhook": (
            SlackSettings(webhook_url_env="URL"),
            {"URL": f"{base_url}/services/T1/B1/{SECRET}"},
        ),
        "slack bot": (SlackSettings(token_env="TOKEN", channel="c", api_url=base_url), {"TOKEN": SECRET}),
        "pagerduty": (PagerDutySettings(routing_key_env="KEY", url=base_url), {"KEY": SECRET}),
        "webhook": (
            WebhookSettings(url_env="URL", secret_env="KEY"),
            {"URL": f"{base_url}/alerts?token={SECRET}", "KEY": f"hmac-{SECRET}"},
        ),
    }


FAULTS = {
    "echoed": None,
    "server error": Fault(status=500, body=f"cannot serve /services/T1/B1/{SECRET}"),
    "rate limit": Fault(status=429, body=SECRET),
    "cut": Fault(cut=True),
    "slow": Fault(delay_seconds=0.5, status=200),
    "not ok": Fault(status=200, body=f"<html>{SECRET}"),
}


@pytest.mark.parametrize("receiver", ["slack webhook", "slack bot", "pagerduty", "webhook"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_goes_wrong_no_secret_is_told(
    echo: Echo, http: Http, logged: io.StringIO, receiver: str, fault: str
) -> None:
    settings, environ = receivers_at(echo.base_url)[receiver]
    trouble = FAULTS[fault]
    echo.faults += [trouble] * 50 if trouble else []
    delivery = Delivery(open_receivers({"it": settings}, environ), http, HASTY)
    outcome = await delivery.deliver(FIRING, "it")
    assert SECRET not in repr(outcome)
    assert SECRET not in logged.getvalue()
    assert logged.getvalue(), "nothing was logged: the test would see no leak"


@pytest.mark.parametrize("where", ["refused connection", "no such host", "cut", "slow", "echoed"])
async def test_no_traceback_leads_to_a_secret(echo: Echo, http: Http, where: str) -> None:
    base_url = {"refused connection": "http://127.0.0.1:1", "no such host": "http://no-such-host.invalid"}.get(
        where, echo.base_url
    )
    echo.faults += [fault] if (fault := FAULTS.get(where)) else []
    with pytest.raises((Refused, TryAgain)) as raised:
        await post(http, Secret("URL", f"{base_url}/services/{SECRET}"), b"{}")
    chain = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert SECRET not in "".join(chain.format())
    assert raised.value.__context__ is None


async def test_a_notifier_that_breaks_is_a_dead_letter_and_tells_no_secret(http: Http, logged: io.StringIO) -> None:
    settings, environ = receivers_at("http://127.0.0.1:1")["slack webhook"]
    delivery = Delivery(open_receivers({"it": settings}, environ), http, HASTY)
    broken = FIRING.__class__(**{**{f: getattr(FIRING, f) for f in FIRING.__struct_fields__}, "usd_per_hour": "much"})
    outcome = await delivery.deliver(broken, "it")
    assert (outcome.status, outcome.answer) == ("dead", "the notifier failed: TypeError")
    assert "a notifier failed" in logged.getvalue()
    assert SECRET not in logged.getvalue()


def test_a_secret_shows_its_name_only() -> None:
    assert SECRET not in f"{Secret('TOKEN', SECRET)} {Secret('TOKEN', SECRET)!r} {[Secret('TOKEN', SECRET)]}"
