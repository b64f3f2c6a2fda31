"""A Kafka worker put together: a folder of configuration and the environment in, parts that run out."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import structlog
from aiokafka.errors import KafkaError

from detectors.events import Feedback
from detectors.judging.budget import PageRates
from streams.app import build_stages, installed_version, plan_of
from streams.configuration.catalogue import build_prices
from streams.configuration.settings import ConfigError, Settings, load, waits_for_restart
from streams.delivery.dispatcher import Dispatcher
from streams.delivery.routes import promise_of
from streams.kafka.giving_up import exit_at_once
from streams.kafka.intake_process import COMMAND, IntakeProcess, IntakeTask
from streams.kafka.lease import Failpoint, no_failpoint
from streams.kafka.status import PartitionStatus
from streams.kafka.worker import KafkaWorker, TopicsError, WorkerParts
from streams.metrics import Metrics
from streams.notifiers.notifier import ReceiverError
from streams.pipeline import unknown_alert
from streams.tally import Tally
from streams.warm_up import warm_up, warm_up_growing
from streams.web import Readiness, WebServer

WORKER_ERRORS = (ConfigError, ReceiverError, TopicsError, OSError)
"""What keeps a worker from starting, each with a sentence that says what to do."""

_READY_SECONDS = 0.1
_CATCH_UP_SECONDS = 5.0
_TELL_SECONDS = 1.0
_PARTITIONS_SECONDS = 10.0
_TAKEN_WHILE_RUNNING = ("routes",)

_log = structlog.get_logger(__name__)


class WorkerService:
    """The service of ``burstwatch worker``.

    Parameters
    ----------
    settings
        The configuration.
    environ
        Holds the secrets of receivers.
    name
        Of this worker, unlike any other's and the same after a restart; None where there is no such name.
    port
        To listen on instead of the configured one.
    failpoint
        For tests that crash at every point.
    give_up
        Ends the process at once.
    intake_command
        Starts the process of intake.

    Raises
    ------
    ReceiverError
        If a receiver's secret is missing.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        name: str | None,
        port: int | None,
        failpoint: Failpoint = no_failpoint,
        give_up: Callable[[BaseException], NoReturn] = exit_at_once,
        intake_command: Sequence[str] = COMMAND,
    ) -> None:
        self._give_up = give_up
        plan = plan_of(settings, raw_partitions=settings.kafka.usage_partitions)
        self._prices = build_prices(settings.prices)
        stages = build_stages(plan, self._prices)
        self._settings = settings
        self._port = settings.http.port if port is None else port
        self._detectors = tuple(detector.title for detector in plan.detectors if not detector.pooled)
        self._metrics = Metrics(installed_version(), "worker", settings.metrics.top_services)
        self._metrics.receivers(settings.routes.receivers)
        self._metrics.detectors(self._detectors, [kind.title for kind in settings.detectors])
        self._dispatcher = Dispatcher(settings.routes, environ, self._metrics.delivery)
        self._tally = Tally()
        self._no_pages = PageRates(plan.page_budget.pages_per_week)
        parts = WorkerParts(
            watches=stages.watches,
            incidents=stages.incidents,
            shape=stages.shape,
            receivers_of=self._dispatcher.receivers_of,
            is_past=self._dispatcher.is_past,
            open_delivery=self._dispatcher.open_dispatch,
            observe_report=lambda report: self._tally.add_report(report, self._detectors),
            observe_alert=self._tally.add_alert,
            observe_checkpoint=self._metrics.checkpoint,
            observe_refused=self._refuse,
        )
        task = IntakeTask(settings.kafka, plan.intake, settings.prices, settings.idle_seconds, name)
        self._intake = IntakeProcess(task, self._tally.add_intake, intake_command)
        self._metrics.watch_process("intake", lambda: self._intake.pid)
        self._worker = KafkaWorker(settings.kafka, parts, self._intake, name, give_up, failpoint)
        self._readiness = Readiness("kafka")
        self._web = WebServer(self._metrics.expose, self._readiness)
        self._metrics.config_reloaded(successful=True, at_seconds=time.time())

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT; read the configuration again on SIGHUP.

        Raises
        ------
        TopicsError
            If a topic is missing or not as it must be.
        OSError
            If the address cannot be listened on.
        """
        gc.freeze()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        port = await self._web.start(self._settings.http.host, self._port)
        _log.info("listening", url=f"http://{self._settings.http.host}:{port}", kafka=self._settings.kafka.brokers)
        beside = (self._tell_whether_ready(), self._tell_metrics(), self._tell_of_partitions(), self._warm_up_growing())
        running = [asyncio.create_task(self._watched(work)) for work in beside]
        try:
            await self._intake.start()
            # Before it holds partitions: the first start after an installation compiles.
            await asyncio.to_thread(warm_up, plan_of(self._settings), self._prices)
            await self._worker.run()
        finally:
            await self._intake.close()
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            await self._web.stop()
        _log.info("stopped")

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something run beside the worker; one whose figures stand still would look well, so it gives up."""
        try:
            await work
        except Exception as error:
            self._give_up(error)

    def _refuse(self, said: Feedback) -> None:
        reject = unknown_alert(said)
        self._tally.refuse(reject)
        _log.warning("feedback_refused", reason=reject.reason, detail=reject.detail, by=said.by)

    def _stop(self) -> None:
        _log.info("stopping")
        self._readiness.fail("worker", "stopping")
        self._worker.stop()

    def _reload(self) -> None:
        """Take other routes into use; say what else has changed, since all workers must change it together."""
        try:
            new = load(self._settings.folder)
            self._dispatcher.check(new.routes)
        except (ConfigError, ReceiverError) as error:
            _log.error("config_reload_failed", error=str(error), kept="the last good configuration")
            self._metrics.config_reloaded(successful=False, at_seconds=time.time())
            return
        self._dispatcher.adopt(new.routes)
        self._metrics.receivers(new.routes.receivers)
        waiting = waits_for_restart(new, self._settings, _TAKEN_WHILE_RUNNING)
        if promise_of(new.routes.routes) != promise_of(self._settings.routes.routes):
            waiting += ("the page budgets of routes",)
        if waiting:
            cure = "restart all workers: they must agree on what they look for"
            _log.warning("config_waits_for_restart", changed=waiting, cure=cure, taken="routes")
        else:
            _log.info("config_reloaded", taken="routes")
        self._metrics.config_reloaded(successful=not waiting, at_seconds=time.time())

    async def _tell_whether_ready(self) -> None:
        while True:
            if self._worker.is_ready:
                self._readiness.mend("kafka")
            else:
                self._readiness.fail("kafka", "waiting for partitions and their state")
            await asyncio.sleep(_READY_SECONDS)

    async def _warm_up_growing(self) -> None:
        """Load what the first forest needs, once what has waited since the last stop is judged."""
        while not self._worker.is_ready:
            await asyncio.sleep(_READY_SECONDS)
        await asyncio.sleep(_CATCH_UP_SECONDS)
        await asyncio.to_thread(warm_up_growing)

    async def _tell_metrics(self) -> None:
        while True:
            self._tally.tell(self._metrics, time.time())
            self._tally.clear()
            self._show()
            await asyncio.sleep(_TELL_SECONDS)

    async def _tell_of_partitions(self) -> None:
        """Show what ``burstwatch status`` shows, of what this worker holds."""
        while True:
            await asyncio.sleep(_PARTITIONS_SECONDS)
            try:
                rows = await self._worker.partitions()
            except (KafkaError, LookupError, OSError) as error:
                _log.warning("partitions_unknown", error=str(error))
                continue
            now = time.time()
            self._metrics.partitions((row.stage, row.partition, (row.lag, *_ages_of(row, now))) for row in rows)

    def _show(self) -> None:
        """Set the gauges."""
        figures, metrics = self._worker.figures(), self._metrics
        minute = figures.event_minute
        metrics.watermark_lag(0.0 if minute is None else time.time() - minute * 60)
        metrics.open_incidents(figures.open_incidents)
        metrics.series(figures.series)
        metrics.labels(figures.labels)
        metrics.page_rates(figures.page_rates or self._no_pages)
        metrics.outbox(figures.waiting.count, figures.waiting.oldest_age_seconds)


def _ages_of(row: PartitionStatus, now: float) -> list[float | None]:
    """Return the ages of a partition's watermark, checkpoint and lease in seconds."""
    watermark_ms = None if row.event_minute is None else row.event_minute * 60_000
    moments = (watermark_ms, row.checkpoint_ms, row.held_since_ms)
    return [None if moment is None else now - moment / 1000 for moment in moments]


async def work(folder: Path, environ: Mapping[str, str], name: str | None = None, port: int | None = None) -> None:
    """Run a Kafka worker until SIGTERM.

    Parameters
    ----------
    folder
        Of the configuration.
    environ
        Holds the secrets of receivers.
    name
        Of this worker, for Kafka.
    port
        To listen on instead of the configured one.

    Raises
    ------
    Exception
        One of :data:`WORKER_ERRORS` if it cannot start. What fails later ends the process at once.
    """
    await WorkerService(load(folder), environ, name, port).run()
