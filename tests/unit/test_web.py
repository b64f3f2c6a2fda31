"""What the web server answers, over a real socket."""

import gzip
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest
import pytest_asyncio

from detectors.intake.raw import Kind
from streams.metrics import Metrics
from streams.sources.http import BadEvent, HttpSource, InboxUnavailableError, Receipt, split
from streams.web import Readiness, WebServer

TOKEN = "s3cret"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class MemoryInbox:
    """Keeps what is not ``bad`` in memory; a limit makes it full."""

    def __init__(self) -> None:
        self.kept: list[tuple[Kind, bytes]] = []
        self.is_full = False

    async def put(self, kind: Kind, items: Sequence[bytes]) -> Receipt:
        if self.is_full:
            raise InboxUnavailableError("the inbox is full", 7)
        self.kept += [(kind, item) for item in items]
        bad = [BadEvent(i, "not_json", "it says bad") for i, item in enumerate(items) if b"bad" in item]
        return Receipt(len(items) - len(bad), bad)


class Service:
    def __init__(self) -> None:
        self.inbox = MemoryInbox()
        self.readiness = Readiness()
        self.metrics = Metrics(version="1", runtime="embedded")
        source = HttpSource(self.inbox, TOKEN, max_request_bytes=2000, kinds=("usage", "deployments", "feedback"))
        self.server = WebServer(self.metrics.expose, self.readiness, source.routes(), max_request_bytes=2000)
        self.url = ""


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    service.url = f"http://127.0.0.1:{await service.server.start('127.0.0.1', 0)}"
    yield service
    await service.server.stop()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("kind", ["usage", "deployments", "feedback"])
async def test_events_are_acknowledged_once_they_are_kept(
    service: Service, client: aiohttp.ClientSession, kind: str
) -> None:
    answer = await client.post(f"{service.url}/v1/{kind}", data=b'[{"id":1},{"id":2}]', headers=BEARER)
    assert (answer.status, await answer.json()) == (202, {"accepted": 2, "rejected": []})
    assert service.inbox.kept == [(kind, b'{"id":1}'), (kind, b'{"id":2}')]


async def test_bad_events_are_listed_and_the_good_ones_taken(service: Service, client: aiohttp.ClientSession) -> None:
    answer = await client.post(f"{service.url}/v1/usage", data=b'[1,"bad",3]', headers=BEARER)
    bad = {"index": 1, "reason": "not_json", "detail": "it says bad"}
    assert (answer.status, await answer.json()) == (400, {"accepted": 2, "rejected": [bad]})


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer realm="burstwatch"'),
        ({"Authorization": "Basic czNjcmV0"}, 'Bearer realm="burstwatch", error="invalid_token"'),
        ({"Authorization": "Bearer s3cre"}, 'Bearer realm="burstwatch", error="invalid_token"'),
        ({"Authorization": "Bearer s3crét"}, 'Bearer realm="burstwatch", error="invalid_token"'),
    ],
)
async def test_a_stranger_is_refused_and_told_how_to_come_in(
    service: Service, client: aiohttp.ClientSession, headers: dict[str, str], challenge: str
) -> None:
    answer = await client.post(f"{service.url}/v1/usage", data=b"{}", headers=headers)
    assert (answer.status, answer.headers["WWW-Authenticate"], service.inbox.kept) == (401, challenge, [])


async def test_the_scheme_of_a_token_knows_no_case(service: Service, client: aiohttp.ClientSession) -> None:
    answer = await client.post(f"{service.url}/v1/usage", data=b"{}", headers={"Authorization": f"bearer {TOKEN}"})
    assert answer.status == 202


async def test_a_body_too_large_is_refused_whole(service: Service, client: aiohttp.ClientSession) -> None:
    answer = await client.post(f"{service.url}/v1/usage", data=b" " * 2001, headers=BEARER)
    assert (answer.status, service.inbox.kept) == (413, [])
    assert "2000 bytes" in (await answer.json())["error"]


async def test_a_small_body_that_unpacks_too_large_is_refused_whole(
    service: Service, client: aiohttp.ClientSession
) -> None:
    packed = gzip.compress(b" " * 500_000)
    assert len(packed) < 2000
    headers = {**BEARER, "Content-Encoding": "gzip"}
    answer = await client.post(f"{service.url}/v1/usage", data=packed, headers=headers)
    assert (answer.status, service.inbox.kept) == (413, [])


async def test_a_packed_body_is_unpacked(service: Service, client: aiohttp.ClientSession) -> None:
    headers = {**BEARER, "Content-Encoding": "gzip"}
    answer = await client.post(f"{service.url}/v1/usage", data=gzip.compress(b'{"id":1}'), headers=headers)
    assert (answer.status, service.inbox.kept) == (202, [("usage", b'{"id":1}')])


@pytest.mark.parametrize("body", [b"", b" \n "])
async def test_an_empty_body_is_a_mistake(service: Service, client: aiohttp.ClientSession, body: bytes) -> None:
    answer = await client.post(f"{service.url}/v1/usage", data=body, headers=BEARER)
    assert (answer.status, (await answer.json())["rejected"][0]["reason"]) == (400, "empty")


async def test_a_full_inbox_says_when_to_come_back(service: Service, client: aiohttp.ClientSession) -> None:
    service.inbox.is_full = True
    answer = await client.post(f"{service.url}/v1/usage", data=b"{}", headers=BEARER)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert await answer.json() == {"error": "the inbox is full"}


async def test_health_and_metrics_need_no_token(service: Service, client: aiohttp.ClientSession) -> None:
    service.metrics.taken("usage", 4)
    health = await client.get(f"{service.url}/healthz")
    scrape = await client.get(f"{service.url}/metrics")
    assert (health.status, scrape.status) == (200, 200)
    assert 'burstwatch_events_taken_total{kind="usage"} 4.0' in await scrape.text()


async def test_readiness_tells_what_fails_and_why(service: Service, client: aiohttp.ClientSession) -> None:
    service.readiness.fail("state", "the disk is full")
    answer = await client.get(f"{service.url}/readyz")
    assert (answer.status, await answer.json()) == (503, {"ready": False, "failing": {"state": "the disk is full"}})
    service.readiness.mend("state")
    assert (await client.get(f"{service.url}/readyz")).status == 200


@pytest.mark.parametrize(
    ("body", "content_type", "items"),
    [
        (b'{"a": 1}', "application/json", [b'{"a": 1}']),
        (b'{\n"a":\n1\n}', "application/json", [b'{\n"a":\n1\n}']),
        (b"[]", "application/json", []),
        (b'[{"a":1},{"a":2}]', "application/cloudevents-batch+json", [b'{"a":1}', b'{"a":2}']),
        (b'{"a":1}\r\n{"a":2}\r\n', "application/octet-stream", [b'{"a":1}', b'{"a":2}']),
        (b'{"a":1}\nnot json', "text/plain", [b'{"a":1}', b"not json"]),
        (b"not json\n{}", "application/x-ndjson", [b"not json", b"{}"]),
        (b'{"a":\n', "application/json", [b'{"a":']),
        (b'{"a":\nbroken}', "application/json", [b'{"a":\nbroken}']),
        (b"[" * 100_000, "application/json", [b"[" * 100_000]),
        (b"\xff\xfe", "application/json", [b"\xff\xfe"]),
    ],
)
def test_a_body_falls_into_its_events(body: bytes, content_type: str, items: list[bytes]) -> None:
    assert split(body, content_type) == items
