"""Delivery on Kafka: the alerts that wait, as state behind a lease.

Taking an alert from the topic puts it on the list of each of its receivers. From there it goes by two
transactions: *intended* before the POST, and settled after it. What a new owner finds intended may have been
sent, and is sent again, marked as a possible duplicate. What is of the past when it is taken is held until catching
up is over. Who has heard of an incident, and its last word, is known for as long as it is open, can come back or be
decided on.

What a receiver refused for good goes to the topic of dead letters in the transaction that settles it, and stays in
the state. Asked for by its number and the moment at which it was refused, it waits once more, in one transaction: so
an ask that comes twice, or late, does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from detectors.events import Alert
from detectors.incidents.life import ENDED_KEPT, ENDED_KEPT_MINUTES
from detectors.state.pages import Pages, Part
from streams.delivery.outbox import KINDS, DeadLetter, Outcome, Pending, Waiting
from streams.delivery.past import Held, sort_out
from streams.notifiers.notifier import Memo

SCHEMAS = ("deliver/3", "deliver/2", "deliver/1")
"""Of the state: the version that is written, then the older ones that are read as well."""
SENDER_OF_ALERTS = "incidents-0"
"""The lane of the incidents stage."""
REFUSED_KEPT = 1000
"""So many at most, the newest, of what was refused for good can be sent again."""

_ENTRY, _INCIDENT, _REFUSED, _COUNT = "entry/", "incident/", "refused/", "count"
_NO_WORD = msgspec.Raw(b"null")


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

    ``resolved_at`` is the event time at which it was over (Unix seconds). ``last`` is its newest alert; null where
    there was none since an older version wrote the state.
    """

    receivers: list[str]
    memos: dict[str, Memo]
    resolved: bool = False
    resolved_at: float = 0.0
    last: msgspec.Raw = _NO_WORD


class Refused(msgspec.Struct, frozen=True):
    """What a receiver refused for good, at a moment (Unix seconds), and nobody has sent again since."""

    number: int
    receiver: str
    alert: msgspec.Raw
    alert_id: str
    answer: str
    attempts: int
    at_seconds: float
    kind: Literal["alert", "digest"] = "alert"
    possible_duplicate: bool = False


NumberedT = TypeVar("NumberedT", Entry, Refused)


class DeadLetterMessage(msgspec.Struct, frozen=True):
    """What goes to the topic of dead letters."""

    receiver: str
    alert: msgspec.Raw
    answer: str
    attempts: int


class Asked(msgspec.Struct, frozen=True):
    """Which dead letter is asked for: its number, and when it was refused (Unix seconds)."""

    number: int
    at_seconds: float


class _Stated(msgspec.Struct):
    """As much of an alert as tells which word it is."""

    state: str
    sequence: int


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
        self._refused: dict[int, Refused] = {}
        self._changes: dict[str, bytes | None] = {}
        self._notes: list[bytes] = []

    def load(self, pages: Pages) -> None:
        """Begin with a saved state, or anew."""
        self._changes = {}
        written = {name: b"".join(parts) for name, parts in pages.items()}
        self._count = int(written.get(_COUNT, b"0"))
        self._entries = _by_number(written, _ENTRY, Entry)
        self._refused = _by_number(written, _REFUSED, Refused)
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
        """Return the dead letters that are new, once."""
        notes, self._notes = self._notes, []
        return notes

    def reached(self) -> None:
        """Say nothing: an outbox has no minute of its own."""

    def take(self, data: bytes) -> list[bytes]:
        """Put an alert on the lists of its receivers."""
        alert, now = msgspec.json.decode(data, type=Alert), self._clock()
        told = self._incidents.setdefault(alert.alert_id, Told([], {}))
        told.last = msgspec.Raw(data)
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
        gone = {alert_id for _, alert_id in over if alert_id not in kept and alert_id not in still_told}
        for alert_id in gone:
            del self._incidents[alert_id]
            self._changes[_INCIDENT + alert_id] = None
        long_ago = self._clock() - ENDED_KEPT_MINUTES * 60
        for letter in list(self._refused.values()):
            if letter.alert_id in gone or (letter.kind == "digest" and letter.at_seconds <= long_ago):
                self._put_away(letter)

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
            self._keep_refused(entry, outcome)
        await self._save()

    def _keep_refused(self, entry: Entry, outcome: Outcome) -> None:
        note = DeadLetterMessage(entry.receiver, entry.alert, outcome.answer, entry.attempts)
        self._notes.append(msgspec.json.encode(note))
        letter = Refused(
            entry.number, entry.receiver, entry.alert, entry.alert_id, outcome.answer, entry.attempts,
            self._clock(), entry.kind, outcome.possible_duplicate,
        )  # fmt: skip
        self._refused[letter.number] = letter
        self._changes[_refused_page(letter.number)] = msgspec.json.encode(letter)
        oldest_first = sorted(self._refused.values(), key=lambda letter: letter.at_seconds)
        for too_many in oldest_first[:-REFUSED_KEPT]:
            self._put_away(too_many)

    def _put_away(self, letter: Refused) -> None:
        del self._refused[letter.number]
        self._changes[_refused_page(letter.number)] = None

    def dead_letters(self) -> list[DeadLetter]:
        """Return what receivers have refused for good and nobody has sent again, oldest first."""
        return [
            DeadLetter(
                letter.number, letter.receiver, msgspec.json.decode(letter.alert, type=KINDS[letter.kind]),
                letter.answer, letter.attempts, letter.at_seconds, self._is_over(letter),
            )
            for letter in sorted(self._refused.values(), key=lambda letter: letter.number)
        ]  # fmt: skip

    async def send_again(self, asked: Sequence[Asked]) -> None:
        """Let what was refused wait once more; of what is over, the end alone: its other words are let go."""
        wanted = set(asked)
        due = [one for one in self._refused.values() if Asked(one.number, one.at_seconds) in wanted]
        if not due:
            return
        for letter in due:
            self._put_away(letter)
            if not self._is_over(letter):
                entry = Entry(
                    letter.number, letter.receiver, letter.alert, letter.alert_id, self._clock(),
                    "intended" if letter.possible_duplicate else "waiting",
                    attempts=letter.attempts, kind=letter.kind,
                )  # fmt: skip
                self._entries[entry.number] = entry
                self._write_entry(entry)
        self._entries = dict(sorted(self._entries.items()))
        await self._save()

    def _is_over(self, letter: Refused) -> bool:
        """Whether a later word says that its incident is over."""
        told = self._incidents.get(letter.alert_id)
        if told is None or not told.resolved:
            return False
        own = msgspec.json.decode(letter.alert, type=_Stated)
        if told.last == _NO_WORD:
            return own.state != "resolved"
        return own.sequence != msgspec.json.decode(told.last, type=_Stated).sequence

    def last_words(self) -> list[Alert]:
        """Return the newest alert of each incident that is known."""
        written = [told.last for told in self._incidents.values() if told.last != _NO_WORD]
        return [msgspec.json.decode(last, type=Alert) for last in written]

    def open_incidents(self) -> set[str]:
        """Return the ids of those that are not over."""
        return {alert_id for alert_id, told in self._incidents.items() if not told.resolved}

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


def _by_number(written: Mapping[str, bytes], prefix: str, kind: type[NumberedT]) -> dict[int, NumberedT]:
    """Return what stands in the pages of a kind, in the order of numbers."""
    found = [msgspec.json.decode(page, type=kind) for name, page in written.items() if name.startswith(prefix)]
    return {one.number: one for one in sorted(found, key=lambda one: one.number)}


def _refused_page(number: int) -> str:
    return f"{_REFUSED}{number:012}"
