"""What the fault tests put on Kafka: half a day of a few services, spread over raw partitions, with incidents in it.

Some events come twice and some late, and in turn services use a model that nobody has a price for, which raises a
ticket each time. The last event of each raw partition is a day later, so that everything before it closes and
every incident ends.
"""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import new_producer
from streams.kafka.publish import RECEIVED_HEADER, UNKNOWN

START = datetime(2026, 10, 1, tzinfo=UTC)
MINUTES = 720
SERVICES = tuple(f"service-{letter}" for letter in "abcdefgh")
UNPRICED_MINUTES = 5
UNPRICED_EVERY_MINUTES = 240
"""Longer than an incident stays open after its last minute, so that each time is an incident of its own."""
_TWICE, _LATE = 0.03, 0.03

Event = dict[str, object]


def events(seed: int, partitions: int, chunks: int) -> list[list[list[Event]]]:
    """Return the events by chunk and raw partition, in order of arrival."""
    luck = random.Random(seed)
    made: list[list[list[Event]]] = [[[] for _ in range(partitions)] for _ in range(chunks)]
    for minute in range(MINUTES):
        for number, service in enumerate(SERVICES):
            since = (minute - UNPRICED_EVERY_MINUTES // len(SERVICES) * number) % UNPRICED_EVERY_MINUTES
            model = "not-priced" if since < UNPRICED_MINUTES else "gpt-4.1-mini"
            late = luck.randrange(1, 10) if luck.random() < _LATE else 0
            home = made[minute * chunks // MINUTES][number % partitions]
            home.append(_event(luck, max(minute - late, 0), service, model, f"{minute}"))
            if luck.random() < _TWICE:
                home.append(luck.choice(home[-40:]))
    for number in range(partitions):
        made[-1][number].append(_event(luck, MINUTES + 1440, f"sentinel-{number}", "gpt-4.1-mini", "end"))
    return made


def _event(luck: random.Random, minute: int, service: str, model: str, identity: str) -> Event:
    requests = luck.randrange(1, 50)
    return {
        "id": f"{service}-{identity}",
        "time": (START + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "source": "gateway",
        "team": "search",
        "service": service,
        "principal": f"key-{luck.randrange(3)}",
        "provider": "openai",
        "model": model,
        "requests": requests,
        "input_tokens": requests * luck.randrange(500, 3000),
        "output_tokens": requests * luck.randrange(50, 600),
        "cost_usd": None if model == "not-priced" else round(luck.random() / 7, 9),
    }


def send(settings: KafkaSettings, chunk: list[list[Event]]) -> None:
    """Put a chunk on its raw partitions."""
    asyncio.run(_send(settings, chunk))


async def _send(settings: KafkaSettings, chunk: list[list[Event]]) -> None:
    topic, headers = settings.topic("usage"), [(RECEIVED_HEADER, UNKNOWN)]
    async with new_producer(settings, linger_ms=5) as producer:
        sent = [
            await producer.send(topic, json.dumps(event).encode(), partition=partition, headers=headers)
            for partition, home in enumerate(chunk)
            for event in home
        ]
        await asyncio.gather(*sent)
