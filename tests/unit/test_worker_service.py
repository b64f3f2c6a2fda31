"""The service of a worker, without a broker: what it shows, and that it does not go on blindly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from detectors.frame import Frame
from streams.configuration.kafka_settings import KafkaSettings
from streams.configuration.settings import find_folder, load
from streams.kafka import service
from streams.kafka.deliver import KafkaOutbox
from streams.kafka.faust_app import build_app
from streams.kafka.service import WorkerService
from streams.kafka.work import IncidentsWork, StageWork
from streams.kafka.worker import Figures, KafkaWorker, _series_of
from tests.laws.streams import plan, run, stream


class GaveUpError(Exception):
    """Where a process would have ended."""


class Watched:
    """A service that never gets to Kafka, and why it gave up."""

    def __init__(self) -> None:
        self.why: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        settings = load(find_folder(None))
        here = msgspec.structs.replace(settings.http, host="127.0.0.1", port=0)
        self.service = WorkerService(msgspec.structs.replace(settings, http=here), {}, None, None, give_up=self.give_up)

    def give_up(self, error: BaseException) -> NoReturn:
        if not self.why.done():
            self.why.set_result(error)
        raise GaveUpError from error


async def for_ever(*_: object) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def _without_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KafkaWorker, "run", for_ever)
    monkeypatch.setattr(service, "warm_up", lambda *_: None)


@pytest.mark.usefixtures("_without_kafka")
async def test_a_worker_whose_figures_stand_still_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: KafkaWorker) -> Figures:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(KafkaWorker, "figures", broken)
    watched = Watched()
    running = asyncio.create_task(watched.service.run())
    async with asyncio.timeout(20):
        assert isinstance(await watched.why, ZeroDivisionError)
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.usefixtures("_without_kafka")
async def test_the_lag_of_shards_that_another_worker_has_taken_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Figures(event_minute=1)
    monkeypatch.setattr(KafkaWorker, "figures", lambda self: held)
    watched = Watched()
    lag = ("burstwatch_watermark_lag_seconds", ())
    watched.service._show()
    assert watched.service._metrics.values()[lag] > 0
    held = Figures()
    watched.service._show()
    assert watched.service._metrics.values()[lag] == 0


def test_the_series_of_shards_and_of_wide_views_are_counted_and_deliveries_hold_none() -> None:
    some = stream(hours=2)
    whole = run(some, plan(shards=1))
    watch = StageWork(whole._stages.watches[0], Frame.decode, lambda report: [], lambda state: state.ledger.closed)
    incidents = IncidentsWork(whole._stages.incidents, lambda said: None)
    watch.state, incidents.state = whole._watches[0], whole._incidents
    parts = {(part, event["service"], event[part]) for event in some.usage for part in ("principal", "model")}
    assert _series_of(watch) == len({event["service"] for event in some.usage}) + len(parts)
    assert _series_of(incidents) == len({event["team"] for event in some.usage}) + 1
    assert _series_of(KafkaOutbox(lambda alert, told: (), for_ever)) == 0


def test_no_start_leaves_a_folder_of_its_own_behind(tmp_path: Path) -> None:
    folders = {build_app(KafkaSettings(), [], name).conf.datadir for name in (None, "a", "b")}
    assert len(folders) == 1
