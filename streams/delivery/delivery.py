"""Delivery: brings alerts from the outbox to their receivers, however long that takes.

Each receiver is served by itself: a dead Slack delays neither the pager nor detection. What may work later is
tried again, by growing pauses or when the receiver says (``Retry-After``); what can never work goes to the dead
letter with the receiver's answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal

import stamina
import structlog

from detectors.events import Alert
from streams.delivery.outbox import Outcome
from streams.delivery.routes import RetrySettings
from streams.notifiers.digest import Digest
from streams.notifiers.notifier import Http, Memo, Notifier, Refused, Sent, TryAgain

_log = structlog.get_logger(__name__)

Observe = Callable[[str, str], None]
"""Told of each receiver's ``delivered``, ``not_wanted``, ``retried``, ``dead_letter``."""


class Delivery:
    """Delivers alerts to receivers.

    Parameters
    ----------
    receivers
        The notifiers by the receivers' names, from :func:`streams.notifiers.open_receivers`.
    http
        Session from :func:`streams.notifiers.exchange.open_http`.
    retries
        Pauses, and when a failing message lets others go first.
    observe
        Told of every outcome.

    Examples
    --------
    >>> import asyncio
    >>> from streams.notifiers import ConsoleSettings, open_receivers
    >>> from streams.notifiers.exchange import open_http
    >>> async def names() -> list[str]:
    ...     async with open_http() as http:
    ...         return sorted(Delivery(open_receivers({"terminal": ConsoleSettings()}, {}), http).receivers)
    >>> asyncio.run(names())
    ['terminal']
    """

    def __init__(
        self,
        receivers: Mapping[str, Notifier],
        http: Http,
        retries: RetrySettings | None = None,
        observe: Observe = lambda receiver, outcome: None,
    ) -> None:
        self.receivers = dict(receivers)
        self._http = http
        self._retries = retries or RetrySettings()
        self._observe = observe
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Finish what is in flight and try nothing again: :meth:`deliver` returns soon."""
        self._stopping.set()

    async def deliver(
        self, alert: Alert | Digest, receiver: str, memo: Memo | None = None, possible_duplicate: bool = False
    ) -> Outcome:
        """Deliver an alert or a digest to a receiver, trying again while that may help.

        Parameters
        ----------
        alert
            What to tell.
        receiver
            Its name in ``routes.yaml``.
        memo
            The memo of the last outcome for this alert's id and this receiver; None at the first.
        possible_duplicate
            Whether it may have been sent before.

        Returns
        -------
        Outcome
            ``delivered``; ``dead`` with the receiver's answer; or ``retry`` after
            ``give_way_after_seconds`` without success, or when told to stop.
        """
        notifier = self.receivers.get(receiver)
        if notifier is None:
            self._observe(receiver, "dead_letter")
            return Outcome("dead", memo, f"no receiver {receiver} is configured any more", 0, possible_duplicate)
        tries = _Tries(alert, receiver, memo, possible_duplicate)
        trying = asyncio.create_task(self._try_until_settled(notifier, tries))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((trying, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not trying.done():
                async with tries.posting:  # never cut off a POST: nobody would know whether it arrived
                    trying.cancel()
                await asyncio.wait((trying,))
            return tries.outcome("retry", "told to stop") if trying.cancelled() else trying.result()
        finally:
            stopping.cancel()
            trying.cancel()

    async def _try_until_settled(self, notifier: Notifier, tries: _Tries) -> Outcome:
        retries = self._retries
        attempts = stamina.retry_context(
            on=_pause,
            attempts=None,
            timeout=retries.give_way_after_seconds,
            wait_initial=retries.first_pause_seconds,
            wait_max=retries.longest_pause_seconds,
            wait_jitter=retries.first_pause_seconds,
        ).with_name(f"delivery to {tries.receiver}", (), {})
        try:
            async for attempt in attempts:
                with attempt:
                    sent = await self._try_once(notifier, tries)
        except TryAgain as error:
            pause = retries.longest_pause_seconds if error.after_seconds is None else error.after_seconds
            _log.warning("alert delayed", **tries.names(), answer=error.answer, after_seconds=pause)
            return tries.outcome("retry", error.answer, after_seconds=pause)
        except Refused as error:
            return self._bury(tries, error.answer)
        except Exception as error:
            _log.exception("a notifier failed", **tries.names())
            return self._bury(tries, f"the notifier failed: {type(error).__name__}")
        self._observe(tries.receiver, "delivered" if sent.told else "not_wanted")
        if sent.told:
            _log.info("alert delivered", **tries.names(), attempts=tries.made)
        return Outcome("delivered", sent.memo, sent.answer, tries.made, told=sent.told)

    async def _try_once(self, notifier: Notifier, tries: _Tries) -> Sent:
        async with tries.posting:
            tries.made += 1
            try:
                if isinstance(tries.alert, Digest):
                    return await notifier.send_digest(self._http, tries.alert, tries.possible_duplicate)
                return await notifier.send(self._http, tries.alert, tries.memo, tries.possible_duplicate)
            except TryAgain as error:
                tries.possible_duplicate |= error.maybe_arrived
                self._observe(tries.receiver, "retried")
                raise

    def _bury(self, tries: _Tries, answer: str) -> Outcome:
        """Give up: no other answer will ever come."""
        self._observe(tries.receiver, "dead_letter")
        _log.error("alert undeliverable", **tries.names(), answer=answer)
        return tries.outcome("dead", answer)


class _Tries:
    """The attempts to deliver one alert to one receiver."""

    def __init__(self, alert: Alert | Digest, receiver: str, memo: Memo | None, possible_duplicate: bool) -> None:
        self.alert = alert
        self.receiver = receiver
        self.memo = memo
        self.possible_duplicate = possible_duplicate
        self.made = 0
        self.posting = asyncio.Lock()

    def names(self) -> dict[str, str]:
        """Return what a log line calls it by."""
        return {"receiver": self.receiver, "alert_id": self.alert.alert_id, "state": self.alert.state}

    def outcome(self, status: Literal["dead", "retry"], answer: str, after_seconds: float = 0.0) -> Outcome:
        return Outcome(status, self.memo, answer, self.made, self.possible_duplicate, after_seconds)


def _pause(error: Exception) -> bool | float:
    """Whether to try again after an error, and when if the receiver said when."""
    if not isinstance(error, TryAgain):
        return False
    return True if error.after_seconds is None else error.after_seconds
