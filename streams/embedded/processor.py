"""The embedded runtime's one loop: inbox to stages to checkpoint. Plain code for one thread, a turn at a time.

Nothing leaves before it is in a checkpoint: alerts, rejects and figures wait for the transaction that also says
which inbox rows they came from. A crash before it does the same work again; a crash after it does none of it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from detectors.events import Feedback
from detectors.intake.raw import RawMessage
from detectors.intake.stage import IntakeOutput, IntakeState, Reject
from streams.app import Stages
from streams.delivery.routes import Routes
from streams.embedded.store import InboxRow, Progress, Store, Totals
from streams.metrics import Metrics
from streams.pipeline import Passed, Pipeline, unknown_alert
from streams.tally import Tally

EVENTS_AT_ONCE = 5000
_PARTITION = 0
"""The embedded runtime has one raw partition."""
_POISON_IN_A_ROW = 20
"""When so many events one after the other break the stages, it is not the events."""
_WORK_TO_CHECKPOINT = 9
"""Work for so many times as long as a checkpoint takes before the next: a large state costs a tenth at most."""

_log = structlog.get_logger(__name__)


class Configuration(msgspec.Struct, frozen=True):
    """What a reading of the configuration gives to detection.

    ``build_stages`` makes fresh stages each time; ``detectors`` are the titles of those whose verdicts minute
    reports bring, in their order, ``speaking`` those of all that may open an incident; ``routes`` say who hears of
    alerts; ``waiting`` are the settings that differ from those in use and wait for a restart.
    """

    build_stages: Callable[[], Stages]
    detectors: tuple[str, ...]
    accept_late_minutes: int
    routes: Routes
    speaking: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


class PoisonError(Exception):
    """The stages break on everything: this is no matter of single events."""


class Processor:
    """Takes inbox rows through the stages and makes checkpoints.

    Parameters
    ----------
    store
        The state.
    configuration
        Of the stages.
    metrics
        Told after each checkpoint.
    checkpoint_seconds
        How often, while there is work.
    idle_seconds
        After so long without usage, pending minutes close by the clock.

    Raises
    ------
    StateMismatchError
        If the saved state does not fit the configuration.
    """

    def __init__(
        self,
        store: Store,
        configuration: Configuration,
        metrics: Metrics,
        checkpoint_seconds: float,
        idle_seconds: float,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._metrics = metrics
        self._checkpoint_seconds = checkpoint_seconds
        self._idle_seconds = idle_seconds
        self._last_usage = self._last_checkpoint = time.monotonic()
        self._checkpoint_cost_seconds = 0.0
        self._events_at_once = EVENTS_AT_ONCE
        self._poison_in_a_row = 0
        self.trouble: str | None = None
        """Why no checkpoint can be made, or None where one can."""
        self._take_up()
        self._metrics.detectors(configuration.detectors, configuration.speaking)
        self._show()

    def _take_up(self) -> None:
        """Go back to the last checkpoint, with fresh stages."""
        saved = self._store.load()
        self._totals = saved.totals if saved else Totals()
        self._applied = self._saved = saved.applied if saved else 0
        self._pipeline = Pipeline(self._configuration.build_stages(), saved.pages if saved else None)
        self._inspector = self._configuration.build_stages().intake
        self.saved_minute: int | None = self._pipeline.judged_minute if saved else None
        """Up to which minute everything is judged, as of the last checkpoint."""
        self._begin_tally()

    def _begin_tally(self) -> None:
        self._tally = Tally()
        self._has_moved = False

    def inspect(self, messages: Sequence[RawMessage]) -> IntakeOutput:
        """Return what intake would make of messages now, without taking them; may be asked from another thread.

        A decision on an alert that is not known is refused here as well, so that whoever sends it hears of it.
        """
        state = IntakeState(dict(self._pipeline.intake_state.high_minute))
        unknown = {m.offset: said for m in messages for said in self._said_of_unknown(state, m)}
        output = self._inspector.step(state, [m for m in messages if m.offset not in unknown])[1]
        output.rejects.extend(
            msgspec.structs.replace(unknown_alert(said), offset=offset) for offset, said in unknown.items()
        )
        return output

    def _said_of_unknown(self, state: IntakeState, message: RawMessage) -> list[Feedback]:
        """Decisions in a message on alerts that nobody knows."""
        if message.kind != "feedback":
            return []
        frames = self._inspector.step(state, [message])[1].frames.values()
        return [said for frame in frames for said in frame.feedback if not self._pipeline.knows(said.alert_id)]

    @property
    def high_minute(self) -> int | None:
        """The highest event minute seen."""
        return self._pipeline.high_minute

    def turn(self) -> bool:
        """Take what waits and make a checkpoint if one is due; tell whether there was work."""
        if self.trouble is not None:
            return self.checkpoint()
        try:
            rows = self._store.inbox_after(self._applied, self._events_at_once)
        except sqlite3.Error as error:
            self.trouble = f"the state cannot be read: {error}"
            return False
        if rows:
            self._take(rows)
        else:
            self._close_idle_minutes()
        if self._is_due():
            self.checkpoint()
        return bool(rows)

    def _take(self, rows: list[InboxRow]) -> None:
        messages = [RawMessage(r.kind, _PARTITION, r.sequence, r.payload, int(r.received_seconds // 60)) for r in rows]
        try:
            self._count(self._pipeline.feed(messages), rows[-1].received_seconds)
        except MemoryError:
            raise
        except Exception as error:  # whatever breaks a stage, the event that does it is set apart
            self._set_apart(rows, error)
            return
        self._applied = rows[-1].sequence
        self._poison_in_a_row = 0
        if any(row.kind == "usage" for row in rows):
            self._last_usage = time.monotonic()
        if self._events_at_once < EVENTS_AT_ONCE:
            self.checkpoint()
            self._events_at_once = min(self._events_at_once * 2, EVENTS_AT_ONCE)

    def _set_apart(self, rows: list[InboxRow], error: Exception) -> None:
        """After a stage broke: go back, take fewer at once, and refuse the one event that breaks it by itself."""
        is_alone = len(rows) == 1 and self._applied == self._saved
        self._take_up()
        if not is_alone:
            self._events_at_once = max(len(rows) // 2, 1)
            return
        poison = rows[0]
        self._poison_in_a_row += 1
        _log.error("event_breaks_a_stage", sequence=poison.sequence, exc_info=error)
        if self._poison_in_a_row > _POISON_IN_A_ROW:
            raise PoisonError(f"{self._poison_in_a_row} events in a row break the stages: {error!r}") from error
        detail = f"breaks a stage: {error!r}"
        self._tally.refuse(Reject(poison.kind, _PARTITION, poison.sequence, 0, "poisonous", detail, poison.payload))
        self._applied = poison.sequence
        self.checkpoint()

    def _close_idle_minutes(self) -> None:
        """Where no usage came for a while, say that none is on its way: pending minutes close.

        A stream further behind than late events are accepted is being loaded, not watched; silence in it means nothing.
        """
        high = self._pipeline.high_minute
        if high is None or time.monotonic() - self._last_usage < self._idle_seconds:
            return
        now = time.time()
        minute = int((now - self._idle_seconds) // 60)
        if high < minute <= high + self._configuration.accept_late_minutes:
            self._count(self._pipeline.heartbeat(_PARTITION, minute), now)

    def _count(self, passed: Passed, received_seconds: float) -> None:
        self._tally.add(passed, received_seconds, self._configuration.detectors)
        self._has_moved = True

    def _is_due(self) -> bool:
        if not self._has_moved:
            return False
        cost = self._checkpoint_cost_seconds
        pause = cost if self._tally.alerts else max(self._checkpoint_seconds, _WORK_TO_CHECKPOINT * cost)
        return time.monotonic() - self._last_checkpoint >= pause

    def checkpoint(self) -> bool:
        """Save all that was done; tell whether the disk took it."""
        began = time.monotonic()
        totals, now = self._totals.plus(self._tally), time.time()
        changes, tally = self._pipeline.changes(), self._tally
        try:
            self._store.save(Progress(self._applied, totals, changes, tally.alerts, tally.rejects, now))
        except sqlite3.Error as error:
            self._pipeline.forget_what_is_written()
            if self.trouble is None:
                _log.error("checkpoint_failed", error=str(error))
            self.trouble = f"the state cannot be written: {error}"
            return False
        self.trouble = None
        self._totals, self._saved, self.saved_minute = totals, self._applied, self._pipeline.judged_minute
        self._last_checkpoint = time.monotonic()
        self._checkpoint_cost_seconds = self._last_checkpoint - began
        self._metrics.checkpoint(self._checkpoint_cost_seconds)
        self._tally.tell(self._metrics, now)
        self._begin_tally()
        self._show()
        return True

    def _show(self) -> None:
        """Set the gauges."""
        self._metrics.page_rates(self._pipeline.page_rates)
        self._metrics.open_incidents(self._pipeline.open_incidents)
        self._metrics.series(self._pipeline.series)
        self._metrics.labels(self._pipeline.labels)
        self._metrics.rejected_rows(self._store.rejected_count())

    def adopt(self, configuration: Configuration) -> None:
        """Go on with another configuration from here.

        Raises
        ------
        StateMismatchError
            If the state does not fit it; then the former configuration stays in use.
        """
        self._store.forget_what_is_written()
        self._pipeline = self._pipeline.adopted_by(configuration.build_stages())
        self._inspector = configuration.build_stages().intake
        self._configuration = configuration
        self._metrics.detectors(configuration.detectors, configuration.speaking)
        self._show()
