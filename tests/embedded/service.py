"""The embedded service as a process of its own, with the outbox as the only place that alerts go to."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from detectors.events import Alert
from streams.app import build_stages, plan_of
from streams.catalogue import build_prices
from streams.embedded import EmbeddedService, EmbeddedSettings
from streams.metrics import Metrics
from streams.processor import Configuration
from streams.settings import load
from streams.store import Store


class NoDelivery:
    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        await self._stopping.wait()

    def wake(self) -> None:
        pass

    def stop(self) -> None:
        self._stopping.set()


def prepare(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS outbox (alert BLOB)")


def insert(connection: sqlite3.Connection, alerts: Sequence[Alert]) -> None:
    connection.executemany("INSERT INTO outbox VALUES (?)", [(msgspec.json.encode(alert),) for alert in alerts])


def configuration(folder: Path) -> Configuration:
    settings = load(folder)
    plan, prices = plan_of(settings), build_prices(settings.prices)
    return Configuration(
        lambda: build_stages(plan, prices),
        tuple(detector.title for detector in plan.detectors if not detector.pooled),
        plan.page_budget.pages_per_week,
        plan.intake.accept_late_minutes,
    )


async def serve(folder: Path) -> None:
    settings = load(folder)
    embedded = EmbeddedSettings(
        state_path=Path(settings.state.path),
        host=settings.http.host,
        port=settings.http.port,
        idle_seconds=settings.idle_seconds,
        checkpoint_seconds=0.2,
    )
    store = Store(embedded.state_path, prepare, insert)
    token = os.environ.get(settings.http.token_env)
    service = EmbeddedService(
        embedded, store, lambda: configuration(folder), NoDelivery(), Metrics("test", "embedded"), token
    )
    await service.run()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
