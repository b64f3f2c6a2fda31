"""From events by HTTP to a receiver by HTTP, across crashes and clean stops."""

import asyncio
import signal
from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio
from aiohttp import web

from tests.embedded.running import Service, wait_until

ROUTES = """
receivers: {ours: {type: webhook, url_env: ALERT_URL}}
default: [ours]
digest: {after_minutes: null}
retries: {first_pause_seconds: 0.1, longest_pause_seconds: 0.2}
"""


class Receiver:
    """A server that alerts are posted to; it may be slow or down."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.alerts: list[dict[str, object]] = []
        self.is_down = False
        self.takes_seconds = 0.0
        self.in_hand = 0
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        if self.is_down:
            return web.Response(status=503)
        told = await request.json()
        self.in_hand += 1
        await asyncio.sleep(self.takes_seconds)
        self.in_hand -= 1
        self.keys.append(request.headers["Idempotency-Key"])
        self.alerts.append(told["alert"])
        return web.Response()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.add_routes([web.post("/", receiver.take)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield receiver
    await runner.cleanup()


async def start(service: Service, receiver: Receiver) -> None:
    (service.config / "routes.yaml").write_text(ROUTES)
    await asyncio.to_thread(service.start, ALERT_URL=receiver.url)


async def post_the_sample(service: Service, client: aiohttp.ClientSession, lines: list[bytes]) -> None:
    for begin in range(0, len(lines), 2000):
        answer = await client.post(f"{service.url}/v1/usage", data=b"\n".join(lines[begin : begin + 2000]))
        assert answer.status == 202
    await asyncio.to_thread(wait_until, service.has_counted_everything, "the last checkpoint", 60)


def statuses(service: Service) -> set[str]:
    return {str(row[0]) for row in service.query("SELECT status FROM deliveries")}


async def test_an_incident_is_told_of_once_for_each_of_its_words_in_order(
    service: Service, client: aiohttp.ClientSession, sample_lines: list[bytes], receiver: Receiver
) -> None:
    await start(service, receiver)
    await post_the_sample(service, client, sample_lines)
    await asyncio.to_thread(wait_until, lambda: statuses(service) == {"delivered"}, "all deliveries")
    first = [alert["state"] for alert in receiver.alerts if alert["alert_id"] == receiver.alerts[0]["alert_id"]]
    assert (first[0], first[-1]) == ("firing", "resolved")
    assert len(receiver.keys) == len(set(receiver.keys)) == len(service.alerts())


async def test_a_receiver_that_is_down_holds_up_nothing_and_gets_all_when_it_is_back(
    service: Service, client: aiohttp.ClientSession, sample_lines: list[bytes], receiver: Receiver
) -> None:
    receiver.is_down = True
    await start(service, receiver)
    await post_the_sample(service, client, sample_lines)
    assert await asyncio.to_thread(service.end, signal.SIGKILL) == -signal.SIGKILL
    receiver.is_down = False
    await asyncio.to_thread(service.start, ALERT_URL=receiver.url)
    await asyncio.to_thread(wait_until, lambda: statuses(service) == {"delivered"}, "all deliveries")
    assert len(set(receiver.keys)) == len(service.alerts())


async def test_a_clean_stop_finishes_the_delivery_in_flight(
    service: Service, client: aiohttp.ClientSession, sample_lines: list[bytes], receiver: Receiver
) -> None:
    receiver.takes_seconds = 1.0
    await start(service, receiver)
    await post_the_sample(service, client, sample_lines)
    await asyncio.to_thread(wait_until, lambda: receiver.in_hand > 0, "a delivery in flight")
    assert await asyncio.to_thread(service.end, signal.SIGTERM) == 0
    receiver.takes_seconds = 0.0
    await asyncio.to_thread(service.start, ALERT_URL=receiver.url)
    await asyncio.to_thread(wait_until, lambda: statuses(service) == {"delivered"}, "all deliveries")
    assert len(receiver.keys) == len(set(receiver.keys)) == len(service.alerts())


async def test_other_routes_take_effect_without_a_restart(
    service: Service, client: aiohttp.ClientSession, sample_lines: list[bytes], receiver: Receiver
) -> None:
    await start(service, receiver)
    (service.config / "routes.yaml").write_text(ROUTES.replace("ours", "theirs"))
    service.send(signal.SIGHUP)
    await asyncio.to_thread(wait_until, lambda: "config_reloaded" in service.printed(), "the reload")
    await post_the_sample(service, client, sample_lines)
    await asyncio.to_thread(wait_until, lambda: statuses(service) == {"delivered"}, "all deliveries")
    assert service.query("SELECT DISTINCT receiver FROM deliveries") == [("theirs",)]
    assert len(receiver.keys) == len(service.alerts()) > 0


async def test_routes_without_their_secret_are_not_taken_into_use(service: Service, receiver: Receiver) -> None:
    await start(service, receiver)
    (service.config / "routes.yaml").write_text(ROUTES.replace("ALERT_URL", "A_VARIABLE_THAT_IS_NOT_SET"))
    service.send(signal.SIGHUP)
    await asyncio.to_thread(wait_until, lambda: "config_reload_failed" in service.printed(), "the refusal")
    assert "A_VARIABLE_THAT_IS_NOT_SET" in service.printed()
