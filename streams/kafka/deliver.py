"""Delivery on Kafka: the alerts that wait, as state behind a lease.

Taking an alert from the topic puts it on the list of each of its receivers. From there it goes by two
transactions: *intended* before the POST, and settled after it. What a new owner finds intended may have been
sent, and is sent again, marked as a possible duplicate. What a receiver refused for good goes to the dead letters
in the transaction that settles it. What is of the past when it is taken is held until catching up is over. Who has
heard of an incident is known for as long as it can come back or be decided on.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec

from detectors.events import Alert
from detectors.incidents.life import ENDED_KEPT, ENDED_KEPT_MINUTES
from detectors.state.pages import Pages, Part
from streams.delivery.outbox import KINDS, Outcome, Pending, Waiting
from streams.delivery.past import Held, sort_out
from streams.notifiers.notifier import Memo

_ENTRY, _INCIDENT, _COUNT = "entry/", "incident/", "count"


class Entry(msgspec.Struct):
    """An alert or a digest on its way to a receiver; ``not_before`` and ``came`` in Unix seconds."""

    number: int
    receiver: str
    alert: msgspec.Raw
    alert_id: str
    came: float
    status: Literal["waiting", "intended", "held"] = "waiting"
    not_before: float = 0.0
    attempts: int = 0
    kind: Literal["alert", "digest"] = "alert"


class Told(msgspec.Struct):
    """Who has heard of an incident, in order, and what their notifiers want to know again.

    ``resolved_at`` is the event time at which it was over (Unix seconds).
    """

    receivers: list[str]
    memos: dict[str, Memo]
    resolved: bool = False
    resolved_at: float = 0.0


class DeadLetter(msgspec.Struct, frozen=True):
    """What goes to the topic of dead letters."""

    receiver: str
    alert: msgspec.Raw
    answer: str
    attempts: int


Save = Callable[[], Awaitable[None]]
"""Makes the state durable, and sends what :meth:`KafkaOutbox.notes` gives with it."""


class KafkaOutbox:
    """The alerts that wait; :class:`streams.kafka.agents.Work` and :class:`streams.delivery.outbox.Outbox` in one.

    Every entry and every incident is a page, and a checkpoint is given only those that changed.

    Parameters
    ----------
    receivers_of
        Who hears of an alert, given who has heard of its incident.
    save
        Makes a change durable.
    is_past
        Whether an alert that is taken at a moment of the clock is to be held back for a digest.
    clock
        Unix seconds.
    """

    def __init__(
        self,
        receivers_of: Callable[[Alert, Sequence[str]], Sequence[str]],
        save: Save,
        is_past: Callable[[Alert, float], bool] = lambda alert, now: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._receivers_of = receivers_of
        self._save = save
        self._is_past = is_past
        self._clock = clock
        self._count = 0
        self._entries: dict[int, Entry] = {}
        self._incidents: dict[str, Told] = {}
        self._changes: dict[str, bytes | None] = {}
        self._notes: list[bytes] = []

    def load(self, pages: Pages) -> None:
        """Begin with a saved state, or anew."""
        self._changes = {}
        written = {name: b"".join(parts) for name, parts in pages.items()}
        self._count = int(written.get(_COUNT, b"0"))
        entries = [msgspec.json.decode(page, type=Entry) for name, page in written.items() if name.startswith(_ENTRY)]
        self._entries = {entry.number: entry for entry in sorted(entries, key=lambda entry: entry.number)}
        self._incidents = {
            name.removeprefix(_INCIDENT): msgspec.json.decode(page, type=Told)
            for name, page in written.items()
            if name.startswith(_INCIDENT)
        }

    def changes(self) -> list[Part]:
        """Return what has changed since this was last asked, as it is now."""
        changes, self._changes = self._changes, {}
        return list(changes.items())

    def notes(self) -> list[bytes]:
        """Return the dead letters that the state does not hold any more, once."""
        notes, self._notes = self._notes, []
        return notes

    def reached(self) -> None:
        """Say nothing: an outbox has no minute of its own."""

    def take(self, data: bytes) -> list[bytes]:
        """Put an alert on the lists of its receivers."""
        alert, now = msgspec.json.decode(data, type=Alert), self._clock()
        told = self._incidents.setdefault(alert.alert_id, Told([], {}))
        self._note_state(told, alert)
        is_past = self._is_past(alert, now)
        held_back = {
            entry.receiver
            for entry in self._entries.values()
            if entry.alert_id == alert.alert_id and entry.status == "held"
        }
        for receiver in self._receivers_of(alert, told.receivers):
            is_held = receiver in held_back or (is_past and receiver not in told.receivers)
            if receiver not in told.receivers:
                told.receivers.append(receiver)
            status: Literal["held", "waiting"] = "held" if is_held else "waiting"
            self._put(Entry(self._count, receiver, msgspec.Raw(data), alert.alert_id, now, status))
        self._write_incident(alert.alert_id)
        return []

    def _note_state(self, told: Told, alert: Alert) -> None:
        was_resolved, told.resolved = told.resolved, alert.state == "resolved"
        if told.resolved and not was_resolved:  # not where a decision tells of the end once more
            told.resolved_at = alert.time.timestamp()
            self._forget(told.resolved_at)

    def _forget(self, now: float) -> None:
        """Drop what is known of incidents that neither come back nor can be decided on any more."""
        still_told = {entry.alert_id for entry in self._entries.values()}
        over = sorted((told.resolved_at, alert_id) for alert_id, told in self._incidents.items() if told.resolved)
        kept = {alert_id for at, alert_id in over[-ENDED_KEPT:] if at > now - ENDED_KEPT_MINUTES * 60}
        for _, alert_id in over:
            if alert_id not in kept and alert_id not in still_told:
                del self._incidents[alert_id]
                self._changes[_INCIDENT + alert_id] = None

    def _put(self, entry: Entry) -> None:
        self._entries[entry.number] = entry
        self._count = entry.number + 1
        self._changes[_COUNT] = str(self._count).encode()
        self._write_entry(entry)

    async def newest_held(self) -> float | None:
        """Return the newest event time of what is held back (Unix seconds), or None."""
        return max((held.alert.time.timestamp() for held in self._held()), default=None)

    async def let_go(self) -> None:
        """Hold back nothing more: one digest a receiver for what is over, the rest as it is."""
        now, held = self._clock(), self._held()
        sorted_out = sort_out(held)
        for word in held:
            entry = self._entries[word.number]
            if word.number in sorted_out.digested:
                self._drop(entry)
            else:
                entry.status = "waiting"
                self._write_entry(entry)
        for receiver, digest in sorted_out.digests.items():
            encoded = msgspec.Raw(msgspec.json.encode(digest))
            self._put(Entry(self._count, receiver, encoded, digest.alert_id, now, kind="digest"))
        await self._save()

    def _held(self) -> list[Held]:
        return [
            Held(entry.number, entry.receiver, msgspec.json.decode(entry.alert, type=Alert))
            for entry in self._entries.values()
            if entry.status == "held"
        ]

    async def receivers(self) -> list[str]:
        """Return the receivers that anything waits for."""
        return sorted({entry.receiver for entry in self._entries.values() if entry.status != "held"})

    async def next_for(self, receiver: str) -> Pending | None:
        """Return the receiver's oldest delivery that is due; the words of one incident come in order."""
        now, held_back = self._clock(), set()
        for entry in self._entries.values():
            if entry.receiver != receiver or entry.status == "held" or entry.alert_id in held_back:
                continue
            if entry.not_before <= now:
                alert = msgspec.json.decode(entry.alert, type=KINDS[entry.kind])
                told = self._incidents.get(entry.alert_id)
                memo = told.memos.get(receiver) if told else None
                return Pending(entry.number, receiver, alert, memo, entry.status == "intended")
            held_back.add(entry.alert_id)
        return None

    async def intend(self, pending: Pending) -> None:
        """Note that it is about to be sent."""
        entry = self._entries[pending.number]
        entry.status = "intended"
        self._write_entry(entry)
        await self._save()

    async def settle(self, pending: Pending, outcome: Outcome) -> None:
        """Note how it went, and the notifier's memo with it."""
        entry = self._entries[pending.number]
        entry.attempts += outcome.attempts
        if outcome.memo is not None and entry.kind == "alert":
            self._incidents[entry.alert_id].memos[entry.receiver] = outcome.memo
            self._write_incident(entry.alert_id)
        if outcome.status == "retry":
            entry.status = "intended" if outcome.possible_duplicate else "waiting"
            entry.not_before = self._clock() + outcome.after_seconds
            self._write_entry(entry)
        else:
            self._drop(entry)
        if outcome.status == "dead":
            letter = DeadLetter(entry.receiver, entry.alert, outcome.answer, entry.attempts)
            self._notes.append(msgspec.json.encode(letter))
        await self._save()

    def waiting(self) -> Waiting:
        """Return how much waits, and since when the oldest does."""
        came = [entry.came for entry in self._entries.values() if entry.status != "held"]
        return Waiting(len(came), max(self._clock() - min(came), 0.0) if came else 0.0)

    def _drop(self, entry: Entry) -> None:
        del self._entries[entry.number]
        self._changes[_entry_page(entry.number)] = None

    def _write_entry(self, entry: Entry) -> None:
        self._changes[_entry_page(entry.number)] = msgspec.json.encode(entry)

    def _write_incident(self, alert_id: str) -> None:
        self._changes[_INCIDENT + alert_id] = msgspec.json.encode(self._incidents[alert_id])


def _entry_page(number: int) -> str:
    return f"{_ENTRY}{number:012}"
