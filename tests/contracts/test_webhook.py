"""A webhook of one's own: what it gets, and how it knows that it came from us."""

import hashlib
import hmac
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from detectors.events import Alert
from streams.notifiers import WebhookSettings
from streams.notifiers.webhook import DigestBody, WebhookBody
from tests.contracts.alerts import DIGEST, FIRING, RESOLVED, UPDATED
from tests.contracts.conftest import Deliver
from tests.contracts.local_server import Fault, LocalServer

KEY = "a-signing-key"


class SignedServer(LocalServer):
    """Takes what is signed by the key, once an idempotency key."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: dict[str, WebhookBody] = {}
        self.digests: dict[str, DigestBody] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/alerts", self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        expected = "sha256=" + hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers.get("X-Burstwatch-Signature-256", ""), expected):
            return web.Response(status=401, text="bad signature")
        key = request.headers["Idempotency-Key"]
        if "digest" in msgspec.json.decode(body):
            self.digests[key] = msgspec.json.decode(body, type=DigestBody)
        else:
            self.bodies[key] = msgspec.json.decode(body, type=WebhookBody)
        return web.Response(status=204)


@pytest.fixture
async def server() -> AsyncIterator[SignedServer]:
    async with SignedServer() as server:
        yield server


SIGNED = WebhookSettings(url_env="URL", secret_env="KEY")


async def test_every_word_of_an_alert_arrives_whole_and_signed(server: SignedServer, delivery_to: Deliver) -> None:
    delivery = delivery_to(SIGNED, {"URL": f"{server.base_url}/alerts", "KEY": KEY})
    for alert in (FIRING, UPDATED, RESOLVED):
        assert (await delivery.deliver(alert, "it")).status == "delivered", server.refused
    received: list[Alert] = [body.alert for body in server.bodies.values()]
    assert received == [FIRING, UPDATED, RESOLVED]
    assert list(server.bodies) == ["bw-5f0c2a9b/1", "bw-5f0c2a9b/2", "bw-5f0c2a9b/3"]


async def test_sent_again_it_has_the_same_idempotency_key_and_says_so(
    server: SignedServer, delivery_to: Deliver
) -> None:
    server.faults.append(Fault(status=504, processed=True))
    delivery = delivery_to(SIGNED, {"URL": f"{server.base_url}/alerts", "KEY": KEY})
    assert (await delivery.deliver(FIRING, "it")).attempts == 2
    (body,) = server.bodies.values()
    assert body.possible_duplicate


async def test_a_wrong_signature_is_a_dead_letter(server: SignedServer, delivery_to: Deliver) -> None:
    delivery = delivery_to(SIGNED, {"URL": f"{server.base_url}/alerts", "KEY": "another"})
    outcome = await delivery.deliver(FIRING, "it")
    assert (outcome.status, outcome.answer) == ("dead", "HTTP 401: bad signature")


async def test_a_redirect_is_not_followed(server: SignedServer, delivery_to: Deliver) -> None:
    server.faults.append(Fault(status=307, headers={"Location": "http://elsewhere.example/"}))
    delivery = delivery_to(SIGNED, {"URL": f"{server.base_url}/alerts", "KEY": KEY})
    assert (await delivery.deliver(FIRING, "it")).answer == "HTTP 307"


async def test_a_digest_arrives_whole_and_signed(server: SignedServer, delivery_to: Deliver) -> None:
    delivery = delivery_to(SIGNED, {"URL": f"{server.base_url}/alerts", "KEY": KEY})
    assert (await delivery.deliver(DIGEST, "it")).status == "delivered", server.refused
    assert {key: body.digest for key, body in server.digests.items()} == {DIGEST.alert_id: DIGEST}
    assert server.bodies == {}
