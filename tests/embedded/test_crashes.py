"""Killed at any moment, the service loses nothing that it acknowledged and repeats nothing."""

import asyncio
import random
import signal
from pathlib import Path

import aiohttp
import msgspec

from detectors.intake.raw import RawMessage
from streams.app import build_stages, plan_of
from streams.configuration.catalogue import build_prices
from streams.configuration.settings import load
from streams.embedded.store import Totals
from streams.pipeline import Pipeline
from streams.tally import Tally
from tests.embedded.running import Service, wait_until

EVENTS_A_REQUEST = 250
KILLS = 5
PAUSE_SECONDS = 0.05
"""Between requests, so that kills fall into their coming as well as into their counting."""


def without_crashes(config: Path, lines: list[bytes]) -> tuple[int, list[bytes]]:
    """Spend of the closed minutes and alerts of the same input in one go."""
    settings = load(config)
    pipeline = Pipeline(build_stages(plan_of(settings, shards=1), build_prices(settings.prices)))
    tally = Tally()
    for start in range(0, len(lines), 1000):
        numbered = enumerate(lines[start : start + 1000], start)
        detectors = [d.title for d in plan_of(settings).detectors if not d.pooled]
        tally.add(pipeline.feed([RawMessage("usage", 0, n, line) for n, line in numbered]), 0.0, detectors)
    return Totals().plus(tally).spend_nano, [msgspec.json.encode(alert) for alert in tally.alerts]


async def post_until_acknowledged(service: Service, client: aiohttp.ClientSession, lines: list[bytes]) -> None:
    body = b"\n".join(lines)
    while True:
        try:
            async with client.post(f"{service.url}/v1/usage", data=body) as answer:
                assert answer.status == 202
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)


async def kill_now_and_then(service: Service, luck: random.Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(luck.uniform(0.1, 1.2))
        await asyncio.to_thread(service.end, signal.SIGKILL)
        await asyncio.to_thread(service.start)


async def test_after_kills_the_totals_and_the_alerts_are_the_same(
    service: Service, client: aiohttp.ClientSession, sample_lines: list[bytes]
) -> None:
    service.start()
    killing = asyncio.create_task(kill_now_and_then(service, random.Random(3)))
    for start in range(0, len(sample_lines), EVENTS_A_REQUEST):
        await post_until_acknowledged(service, client, sample_lines[start : start + EVENTS_A_REQUEST])
        await asyncio.sleep(PAUSE_SECONDS)
    await killing
    wait_until(service.has_counted_everything, "the last checkpoint", at_most_seconds=60)

    spend_nano, alerts = without_crashes(service.config, sample_lines)
    assert len(alerts) >= 2
    assert service.alerts() == alerts
    totals = service.totals()
    assert totals.spend_nano == spend_nano
    ever_in_the_inbox = service.query("SELECT seq FROM sqlite_sequence WHERE name = 'inbox'")
    assert [(totals.taken + totals.rejected,)] == ever_in_the_inbox
