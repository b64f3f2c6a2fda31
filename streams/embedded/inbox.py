"""The embedded runtime's way in: events are on disk before their sender hears of it.

Many requests share one commit: while the disk is busy with one group, the next one gathers.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from detectors.intake.raw import Kind, RawMessage
from detectors.intake.stage import IntakeOutput
from streams.embedded.store import Store
from streams.sources.http import BadEvent, InboxUnavailableError, Receipt

_RETRY_FULL_SECONDS = 5
_RETRY_DISK_SECONDS = 30

_log = structlog.get_logger(__name__)


class _Request(msgspec.Struct):
    rows: list[tuple[Kind, float, bytes]]
    size_bytes: int
    on_disk: asyncio.Future[None]


class DurableInbox:
    """Takes events by groups into the store's inbox.

    Parameters
    ----------
    store
        Where they go.
    inspect
        Tells what intake would say of them now, so that a sender learns of mistakes at once.
    max_bytes
        Of events that wait for their checkpoint; above it the inbox is full.
    on_events
        Called after events came.
    on_trouble
        Called with a sentence when the disk takes none, and with None when it does again.
    """

    def __init__(
        self,
        store: Store,
        inspect: Callable[[Sequence[RawMessage]], IntakeOutput],
        max_bytes: int,
        on_events: Callable[[], None],
        on_trouble: Callable[[str | None], None],
    ) -> None:
        self._store = store
        self._inspect = inspect
        self._max_bytes = max_bytes
        self._on_events = on_events
        self._on_trouble = on_trouble
        self._gathered: list[_Request] = []
        self._gathered_bytes = 0
        self._something_came = asyncio.Event()
        self._is_stopping = False

    async def put(self, kind: Kind, items: Sequence[bytes]) -> Receipt:
        """Keep events and say what is wrong with some; return once they are on disk.

        Raises
        ------
        InboxUnavailableError
            If the inbox is full, or its disk takes none.
        """
        size_bytes = sum(map(len, items))
        if self._store.waiting.size_bytes + self._gathered_bytes + size_bytes > self._max_bytes:
            raise InboxUnavailableError(
                f"the inbox is full: {self._store.waiting.events} events wait to be counted", _RETRY_FULL_SECONDS
            )
        now = time.time()
        receipt = self._look_at(kind, items, int(now // 60))
        request = _Request(
            [(kind, now, item) for item in items], size_bytes, asyncio.get_running_loop().create_future()
        )
        self._gathered.append(request)
        self._gathered_bytes += size_bytes
        self._something_came.set()
        await request.on_disk
        return receipt

    def _look_at(self, kind: Kind, items: Sequence[bytes], minute: int) -> Receipt:
        found = self._inspect([RawMessage(kind, 0, index, item, minute) for index, item in enumerate(items)])
        deployments = sum(len(frame.deployments) for frame in found.frames.values())
        bad = [BadEvent(reject.offset, reject.reason, reject.detail) for reject in found.rejects]
        feedback = sum(len(frame.feedback) for frame in found.frames.values())
        return Receipt(found.taken + deployments + feedback, sorted(bad, key=lambda event: event.index))

    async def run(self) -> None:
        """Commit what gathers, until stopped and all is committed."""
        while not (self._is_stopping and not self._gathered):
            await self._something_came.wait()
            self._something_came.clear()
            requests, self._gathered = self._gathered, []
            if requests:
                await self._commit(requests)

    async def _commit(self, requests: list[_Request]) -> None:
        rows = [row for request in requests for row in request.rows]
        failure: InboxUnavailableError | None = None
        try:
            await asyncio.to_thread(self._store.append, rows)
        except sqlite3.Error as error:
            failure = InboxUnavailableError(f"the inbox cannot be written: {error}", _RETRY_DISK_SECONDS)
            _log.error("inbox_write_failed", error=str(error), events=len(rows))
        self._gathered_bytes -= sum(request.size_bytes for request in requests)
        self._on_trouble(None if failure is None else str(failure))
        for request in requests:
            if request.on_disk.done():  # its sender went away
                continue
            if failure is None:
                request.on_disk.set_result(None)
            else:
                request.on_disk.set_exception(failure)
        self._on_events()

    def stop(self) -> None:
        """Let :meth:`run` return once all is committed."""
        self._is_stopping = True
        self._something_came.set()
