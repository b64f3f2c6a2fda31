"""The relay of the outbox: takes what waits in it to its receivers, each served by itself, until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from streams.delivery.delivery import Delivery, Observe
from streams.delivery.outbox import Outbox, Pending
from streams.delivery.routes import RetrySettings
from streams.notifiers.exchange import open_http
from streams.notifiers.notifier import Notifier

LOOK_EVERY_SECONDS = 0.5
"""How often an idle receiver looks for new alerts."""


class OutboxRelay:
    """Delivers from an outbox.

    Parameters
    ----------
    receivers
        The notifiers by the receivers' names, from :func:`streams.notifiers.open_receivers`.
    outbox
        What to deliver.
    retries
        How to deal with receivers that do not answer well.
    observe
        Told of every outcome.
    """

    def __init__(
        self,
        receivers: Mapping[str, Notifier],
        outbox: Outbox,
        retries: RetrySettings | None = None,
        observe: Observe = lambda receiver, outcome: None,
    ) -> None:
        self._receivers = receivers
        self._outbox = outbox
        self._retries = retries or RetrySettings()
        self._observe = observe
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let :meth:`run` finish what is in flight and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Deliver what the outbox holds and will hold, until cancelled or told to stop.

        Then what is in flight is finished first, which takes one POST's timeout at the longest.

        Raises
        ------
        Exception
            Whatever the outbox raised: it can be relied on no more.
        """
        async with open_http(self._retries.timeout_seconds) as http:
            delivery = Delivery(self._receivers, http, self._retries, self._observe)
            names = sorted({*self._receivers, *await self._outbox.receivers()})
            workers = [asyncio.create_task(self._serve(delivery, name), name=f"deliver to {name}") for name in names]
            stopping = asyncio.create_task(self._stopping.wait())
            try:  # a worker ends by itself only if the outbox fails it
                await asyncio.wait((*workers, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.stop()
                delivery.stop()
                ended = await asyncio.gather(*workers, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    async def _serve(self, delivery: Delivery, receiver: str) -> None:
        while not self._stopping.is_set():
            pending = await self._outbox.next_for(receiver)
            if pending is None:
                await self._rest()
            else:
                await self._carry(delivery, pending)

    async def _carry(self, delivery: Delivery, pending: Pending) -> None:
        await self._outbox.intend(pending)
        outcome = await delivery.deliver(pending.alert, pending.receiver, pending.memo, pending.possible_duplicate)
        await self._outbox.settle(pending, outcome)

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), LOOK_EVERY_SECONDS)
        except TimeoutError:
            return
