"""The embedded service put together: a folder of configuration and the environment in, parts that run out."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from streams.app import build_stages, installed_version, plan_of
from streams.configuration.catalogue import build_prices
from streams.configuration.settings import ConfigError, Settings, load, waits_for_restart
from streams.delivery.dispatcher import Dispatcher
from streams.delivery.sqlite_outbox import SqliteOutbox
from streams.embedded.processor import Configuration
from streams.embedded.runtime import EmbeddedService, EmbeddedSettings, OpenDoorError
from streams.embedded.store import StateError, Store
from streams.metrics import Metrics
from streams.notifiers.notifier import ReceiverError
from streams.pipeline import StateMismatchError

SERVICE_ERRORS = (ConfigError, ReceiverError, StateError, StateMismatchError, OpenDoorError, OSError)
"""What keeps the service from starting, each with a sentence that says what to do."""

_TROUBLE_PAUSE_SECONDS = 2.0
_NO_RESTART_FOR = frozenset(Settings.__struct_fields__) - {"http", "state", "metrics", "idle_seconds"}

_log = structlog.get_logger(__name__)


class OutboxDelivery:
    """Delivers what the embedded outbox holds; routes and receivers may change while it runs.

    Parameters
    ----------
    path
        Of the state file.
    dispatcher
        Who hears of what, and how.
    metrics
        Told of what waits.
    """

    def __init__(self, path: Path, dispatcher: Dispatcher, metrics: Metrics) -> None:
        self._metrics = metrics
        self.outbox = SqliteOutbox(path, dispatcher.receivers_of, time.time, dispatcher.is_past)
        self.trouble: str | None = None
        self.check, self.adopt = dispatcher.check, dispatcher.adopt
        self._reached_minute: int | None = None
        self._dispatch = dispatcher.open_dispatch(self.outbox, self._reached)

    async def _reached(self) -> int | None:
        return self._reached_minute

    def note_reached(self, minute: int | None) -> None:
        """Hear which minute detection has come to, all its alerts being in the outbox."""
        self._reached_minute = minute

    async def run(self) -> None:
        """Deliver until told to stop; a disk that takes nothing is waited for."""
        while not self._dispatch.stopping.is_set():
            try:
                await self._dispatch.run()
            except sqlite3.Error as error:
                self.trouble = f"the outbox cannot be used: {error}"
                _log.error("outbox_failed", error=str(error))
                await self._pause()
        self.outbox.close()

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._dispatch.stopping.wait(), _TROUBLE_PAUSE_SECONDS)
        except TimeoutError:
            self.trouble = None

    def stop(self) -> None:
        """Let :meth:`run` finish what is in flight and return."""
        self._dispatch.stop()

    async def show_gauges(self) -> None:
        """Tell the metrics what waits; of a disk in trouble :meth:`run` tells."""
        try:
            waiting = await self.outbox.in_thread(self.outbox.waiting)
        except sqlite3.Error:
            return
        self._metrics.outbox(waiting.count, waiting.oldest_age_seconds)


def configuration_of(settings: Settings, in_use: Settings) -> Configuration:
    """Return what the running service takes from settings, which began with those in use."""
    plan, prices = plan_of(settings), build_prices(settings.prices)
    return Configuration(
        lambda: build_stages(plan, prices),
        tuple(detector.title for detector in plan.detectors if not detector.pooled),
        plan.intake.accept_late_minutes,
        settings.routes,
        tuple(kind.title for kind in settings.detectors),
        waits_for_restart(settings, in_use, _NO_RESTART_FOR),
    )


async def serve(folder: Path, environ: Mapping[str, str]) -> None:
    """Run the embedded service until SIGTERM.

    Parameters
    ----------
    folder
        Of the configuration; read again on SIGHUP.
    environ
        Holds the token that senders must show, and the secrets of receivers.

    Raises
    ------
    Exception
        One of :data:`SERVICE_ERRORS` if it cannot start; anything else is a fault, and a restart goes on from the
        last checkpoint.
    """
    settings = load(folder)
    state, http = settings.state, settings.http
    path = Path(state.path)
    metrics = Metrics(installed_version(), "embedded", settings.metrics.top_services)
    delivery = OutboxDelivery(path, Dispatcher(settings.routes, environ, metrics.delivery), metrics)
    store = Store(path, delivery.outbox.prepare, delivery.outbox.insert, state.rejected_kept)
    embedded = EmbeddedSettings(
        host=http.host,
        port=http.port,
        idle_seconds=settings.idle_seconds,
        checkpoint_seconds=state.checkpoint_seconds,
        max_request_bytes=http.max_request_bytes,
        inbox_max_bytes=state.inbox_max_bytes,
    )
    try:
        service = EmbeddedService(
            embedded,
            store,
            lambda: configuration_of(load(folder), settings),
            delivery,
            metrics,
            environ.get(http.token_env),
        )
    except BaseException:
        store.close()
        raise
    await service.run()
