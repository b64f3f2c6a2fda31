"""The dispatcher: routes and receivers that may change while alerts are delivered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from detectors.events import Alert
from streams.delivery.delivery import Observe
from streams.delivery.outbox import Outbox
from streams.delivery.past import CatchingUp
from streams.delivery.relay import OutboxRelay
from streams.delivery.routes import Routes
from streams.notifiers import open_receivers

Reached = Callable[[], Awaitable[int | None]]
"""Gives the minute that detection has come to, all its alerts being in the outbox; None where that is not known."""

_LOOK_AT_HELD_SECONDS = 1.0


class Dispatcher:
    """Knows who hears of what, and sends relays out.

    Parameters
    ----------
    routes
        Who hears of what.
    environ
        Holds the receivers' secrets.
    observe
        Told of every delivery's outcome.

    Raises
    ------
    ReceiverError
        If a receiver's secret is missing.
    """

    def __init__(self, routes: Routes, environ: Mapping[str, str], observe: Observe) -> None:
        self._environ = environ
        self._observe = observe
        self._routes = routes
        self._receivers = open_receivers(routes.receivers, environ)
        self._dispatches: list[Dispatch] = []

    def receivers_of(self, alert: Alert, told: Sequence[str]) -> Sequence[str]:
        """Return who hears of an alert, given who has heard of its incident."""
        return self._routes.receivers_of(alert, told)

    def is_past(self, alert: Alert, now_seconds: float) -> bool:
        """Whether an alert that is raised now waits for a digest."""
        return self._routes.digest.is_past(alert, now_seconds)

    def is_over(self, catching_up: CatchingUp, newest_seconds: float, now_seconds: float) -> bool:
        """Whether what is held back need wait no longer."""
        return catching_up.is_over(self._routes.digest, newest_seconds, now_seconds)

    def check(self, routes: Routes) -> None:
        """Raise a :class:`ReceiverError` if routes cannot be used."""
        open_receivers(routes.receivers, self._environ)

    def adopt(self, routes: Routes) -> None:
        """Go on with other routes; what is in flight is finished first."""
        self._receivers = open_receivers(routes.receivers, self._environ)
        self._routes = routes
        for one in self._dispatches:
            one.begin_again()

    def open_dispatch(self, outbox: Outbox, reached: Reached) -> Dispatch:
        """Return what serves an outbox, by the routes of the day."""
        return Dispatch(self, outbox, reached)

    def enter(self, one: Dispatch) -> None:
        """Tell one of other routes from now on."""
        self._dispatches.append(one)

    def leave(self, one: Dispatch) -> None:
        """Tell it no more."""
        self._dispatches.remove(one)

    def relay(self, outbox: Outbox) -> OutboxRelay:
        """Return a relay with the present receivers."""
        return OutboxRelay(self._receivers, outbox, self._routes.retries, self._observe)


class Dispatch:
    """Serves one outbox, with a new relay whenever the receivers change.

    Parameters
    ----------
    dispatcher
        Where the relays come from.
    outbox
        What to deliver.
    reached
        How far detection has come.
    """

    def __init__(self, dispatcher: Dispatcher, outbox: Outbox, reached: Reached) -> None:
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._reached = reached
        self._catching_up = CatchingUp()
        self._relay: OutboxRelay | None = None
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Deliver until told to stop. It may be run again after whatever the outbox raised."""
        self._dispatcher.enter(self)
        leaving = asyncio.Event()
        looking = asyncio.create_task(self._let_go_in_time(leaving))
        looking.add_done_callback(lambda _: self.begin_again())
        try:
            while not (self.stopping.is_set() or looking.done()):
                self._relay = self._dispatcher.relay(self._outbox)
                await self._relay.run()
        finally:
            self._dispatcher.leave(self)
            leaving.set()
            await asyncio.wait([looking])  # never cut off: it may be in the middle of a save
        looking.result()

    async def _let_go_in_time(self, leaving: asyncio.Event) -> None:
        """Look again and again whether what is held back need wait no longer."""
        while not leaving.is_set():
            newest = await self._outbox.newest_held()
            if newest is None:
                self._catching_up.forget()
            else:
                minute = await self._reached()
                newest = max(newest, (minute or 0) * 60.0)
                if self._dispatcher.is_over(self._catching_up, newest, time.time()):
                    await self._outbox.let_go()
            try:
                await asyncio.wait_for(leaving.wait(), _LOOK_AT_HELD_SECONDS)
            except TimeoutError:
                continue

    def begin_again(self) -> None:
        """Go on with a new relay."""
        if self._relay is not None:
            self._relay.stop()

    def stop(self) -> None:
        """Let :meth:`run` finish what is in flight and return."""
        self.stopping.set()
        self.begin_again()
