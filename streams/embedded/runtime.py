"""The embedded service: HTTP in, stages, alerts out, in one process with its state in one SQLite file.

Crash-only: killed at any moment, it goes on from its last checkpoint and the inbox behind it. A clean stop only
saves the time of doing the last second's work again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
import structlog
from msgspec import Meta

from streams.delivery.routes import Routes
from streams.embedded.inbox import DurableInbox
from streams.embedded.processor import Configuration, Processor
from streams.embedded.store import Store
from streams.metrics import Metrics
from streams.sources.http import HttpSource
from streams.web import Readiness, WebServer

_TURN_PAUSE_SECONDS = 0.25
_TROUBLE_PAUSE_SECONDS = 2.0
_GAUGES_SECONDS = 1.0

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class EmbeddedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the embedded service runs."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    idle_seconds: Annotated[float, Meta(gt=0)] = 60.0
    checkpoint_seconds: Annotated[float, Meta(gt=0)] = 1.0
    max_request_bytes: Annotated[int, Meta(ge=1024)] = 4_000_000
    inbox_max_bytes: Annotated[int, Meta(ge=1024)] = 1_000_000_000


class OpenDoorError(Exception):
    """Anybody could send events here."""


class Delivery(Protocol):
    """What takes alerts from the outbox to people."""

    trouble: str | None
    """Why nothing can be delivered to anybody, or None."""

    async def run(self) -> None:
        """Deliver until told to stop; then finish what is in flight."""

    def stop(self) -> None:
        """Let :meth:`run` return soon."""

    def check(self, routes: Routes) -> None:
        """Raise if routes cannot be used."""

    def adopt(self, routes: Routes) -> None:
        """Go on with other routes."""

    async def show_gauges(self) -> None:
        """Tell the metrics what waits."""

    def note_reached(self, minute: int | None) -> None:
        """Hear which minute detection has come to, all its alerts being in the outbox."""


class EmbeddedService:
    """The service of ``burstwatch run``.

    Parameters
    ----------
    settings
        How it runs; fixed until a restart.
    store
        The open state; closed at the end.
    load
        Reads the configuration, at the start and on SIGHUP; whatever it raises on SIGHUP is told, and the last
        good configuration stays.
    delivery
        Takes alerts to people.
    metrics
        The figures.
    token
        What senders must show.

    Raises
    ------
    OpenDoorError
        If others than this machine could send, and no token is asked for.
    StateMismatchError
        If the saved state does not fit the configuration.
    """

    def __init__(
        self,
        settings: EmbeddedSettings,
        store: Store,
        load: Callable[[], Configuration],
        delivery: Delivery,
        metrics: Metrics,
        token: str | None = None,
    ) -> None:
        check_door(settings.host, token)
        self._settings = settings
        self._store = store
        self._load = load
        self._delivery = delivery
        self._metrics = metrics
        self._readiness = Readiness("stages")
        configuration = load()
        metrics.receivers(configuration.routes.receivers)
        self._processor = Processor(store, configuration, metrics, settings.checkpoint_seconds, settings.idle_seconds)
        metrics.config_reloaded(successful=True, at_seconds=time.time())
        self._events_came = asyncio.Event()
        self._inbox = DurableInbox(
            store,
            self._processor.inspect,
            settings.inbox_max_bytes,
            self._events_came.set,
            partial(self._tell_of, "inbox"),
        )
        source = HttpSource(self._inbox, token, settings.max_request_bytes, ("usage", "deployments", "feedback"))
        self._web = WebServer(metrics.expose, self._readiness, source.routes(), settings.max_request_bytes)
        self._one_thread = ThreadPoolExecutor(1, thread_name_prefix="stages")
        self._is_stopping = asyncio.Event()
        self._reload_is_wanted = False

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises
        ------
        OSError
            If the address cannot be listened on.
        Exception
            Whatever broke a part; the state is as of the last checkpoint, and a restart goes on from there.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._is_stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._want_reload)
        port = await self._web.start(self._settings.host, self._settings.port)
        _log.info("listening", url=f"http://{self._settings.host}:{port}", state=str(self._store.path))
        try:
            await self._run_parts()
        finally:
            await self._web.stop()
            self._one_thread.shutdown()
            self._store.close()
        _log.info("stopped")

    async def _run_parts(self) -> None:
        inbox = asyncio.create_task(self._inbox.run())
        stages = asyncio.create_task(self._process())
        delivery = asyncio.create_task(self._delivery.run())
        gauges = asyncio.create_task(self._show_gauges())
        stopping = asyncio.create_task(self._is_stopping.wait())
        everything: list[asyncio.Task[Any]] = [inbox, stages, delivery, gauges, stopping]
        try:
            await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
            if self._is_stopping.is_set():
                await self._stop_in_order(inbox, stages, delivery)
            for part in everything:
                if part.done():
                    part.result()
        finally:
            for part in everything:
                part.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def _stop_in_order(self, *parts: asyncio.Task[None]) -> None:
        """Take no more, keep what came, save what was done, finish what is in flight."""
        _log.info("stopping")
        self._readiness.fail("service", "stopping")
        self._events_came.set()
        await self._web.stop()
        self._inbox.stop()
        self._delivery.stop()
        await asyncio.gather(*parts)

    async def _process(self) -> None:
        """Turn after turn; after the last one a checkpoint."""
        while not self._is_stopping.is_set():
            self._events_came.clear()
            worked = await self._in_thread(self._processor.turn)
            self._tell_of("stages", self._processor.trouble)
            if self._reload_is_wanted:
                self._reload_is_wanted = False
                await self._reload()
            if not worked:
                pause = _TROUBLE_PAUSE_SECONDS if self._processor.trouble else _TURN_PAUSE_SECONDS
                await self._wait_for_events(pause)
        if not await self._in_thread(self._processor.checkpoint):
            _log.error("stopped_without_checkpoint", trouble=self._processor.trouble, lost="nothing: the inbox has it")

    async def _wait_for_events(self, at_most_seconds: float) -> None:
        waiting = self._is_stopping if self._processor.trouble else self._events_came
        try:
            async with asyncio.timeout(at_most_seconds):
                await waiting.wait()
        except TimeoutError:
            return

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._one_thread, work)

    def _want_reload(self) -> None:
        self._reload_is_wanted = True
        self._events_came.set()

    async def _reload(self) -> None:
        """Take a new configuration into use, or keep the last good one and say so."""
        try:
            configuration = await self._in_thread(self._load)
            self._delivery.check(configuration.routes)
            await self._in_thread(partial(self._processor.adopt, configuration))
            self._delivery.adopt(configuration.routes)
        except Exception as error:  # whatever is bad in it, a bad configuration does not stop the service
            _log.error("config_reload_failed", error=str(error), kept="the last good configuration")
            self._metrics.config_reloaded(successful=False, at_seconds=time.time())
            return
        self._metrics.receivers(configuration.routes.receivers)
        waiting = configuration.waiting
        if waiting:
            _log.warning("config_waits_for_restart", changed=waiting, cure="restart it", taken="all else")
        else:
            _log.info("config_reloaded")
        self._metrics.config_reloaded(successful=not waiting, at_seconds=time.time())

    def _tell_of(self, part: str, trouble: str | None) -> None:
        if trouble is None:
            self._readiness.mend(part)
        else:
            self._readiness.fail(part, trouble)

    async def _show_gauges(self) -> None:
        while True:
            high = self._processor.high_minute
            if high is not None:
                self._metrics.watermark_lag(time.time() - high * 60)
            self._metrics.inbox(self._store.waiting.events)
            await self._delivery.show_gauges()
            self._delivery.note_reached(self._processor.saved_minute)
            self._tell_of("delivery", self._delivery.trouble)
            await asyncio.sleep(_GAUGES_SECONDS)


def check_door(host: str, token: str | None) -> None:
    """Raise an :class:`OpenDoorError` if others than this machine could send events without a token."""
    if token:
        return
    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if token is not None:
        cure = ", or remove the variable: only this machine can send to it" if is_local else ""
        raise OpenDoorError(
            f"the environment variable that http.token_env names is empty, so anybody who reaches {host} could send "
            f"events: put a token into it{cure}"
        )
    if not is_local:
        raise OpenDoorError(
            f"anybody who reaches {host} could send events: put a token into the environment variable that "
            "http.token_env names, or set http.host to 127.0.0.1"
        )
