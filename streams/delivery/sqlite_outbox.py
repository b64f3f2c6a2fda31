"""The outbox in the embedded runtime's SQLite file.

Alerts are put in by the checkpoint that raised them, in its transaction, so none is lost and none is raised twice.
Delivery reads and marks them through a connection of its own, in a thread of its own: a disk that is slow, or a file
that somebody else has locked, holds up nothing else.

============  ========================================================================================
deliveries    one row an alert and receiver, in order of ``number``
              ``(receiver, alert_id, sequence)`` is unique: an alert put in again is the same alert
              ``status``: ``waiting``; ``intended`` from before the POST until its outcome is on disk,
              so what is found intended at a start may have been sent; ``delivered``; ``dead``;
              ``held`` while catching up, then ``waiting`` or ``digested``: told of by a digest (or by the
              end alone, where it was refused and let go)
              ``kind``: what ``alert`` holds, an alert or a digest
              ``not_before``: Unix seconds until which a failed one lets others go first
memos         what a receiver's notifier wants to know again of an incident, as JSON
ended         incidents that are over, and since when in event time (Unix seconds): all three tables hold
              them for as long as they can come back or be decided on
============  ========================================================================================
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec

from detectors.events import Alert
from detectors.incidents.life import ENDED_KEPT, ENDED_KEPT_MINUTES
from streams.delivery.outbox import KINDS, DeadLetter, Outcome, Pending, Waiting
from streams.delivery.past import Held, sort_out
from streams.notifiers.notifier import Memo

P = ParamSpec("P")
T = TypeVar("T")

_BUSY_SECONDS = 30.0

_TABLES = (
    """CREATE TABLE IF NOT EXISTS deliveries (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        receiver TEXT NOT NULL,
        alert_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        alert BLOB NOT NULL,
        kind TEXT NOT NULL DEFAULT 'alert' CHECK (kind IN ('alert', 'digest')),
        status TEXT NOT NULL DEFAULT 'waiting'
            CHECK (status IN ('waiting', 'intended', 'delivered', 'dead', 'held', 'digested')),
        attempts INTEGER NOT NULL DEFAULT 0,
        answer TEXT NOT NULL DEFAULT '',
        inserted_seconds REAL NOT NULL,
        not_before REAL NOT NULL DEFAULT 0,
        settled_seconds REAL,
        UNIQUE (receiver, alert_id, sequence)
    )""",
    """CREATE INDEX IF NOT EXISTS deliveries_open ON deliveries (receiver, number)
        WHERE status IN ('waiting', 'intended')""",
    "CREATE INDEX IF NOT EXISTS deliveries_incident ON deliveries (alert_id, receiver)",
    "CREATE INDEX IF NOT EXISTS deliveries_held ON deliveries (number) WHERE status = 'held'",
    """CREATE TABLE IF NOT EXISTS memos (
        alert_id TEXT NOT NULL, receiver TEXT NOT NULL, memo BLOB NOT NULL, PRIMARY KEY (alert_id, receiver)
    ) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS ended (alert_id TEXT PRIMARY KEY, since_seconds REAL NOT NULL) WITHOUT ROWID",
)

_KEPT_SECONDS = ENDED_KEPT_MINUTES * 60.0

_NEVER_AGAIN = """
    SELECT alert_id FROM ended
    WHERE (since_seconds <= ?1
        OR alert_id NOT IN (SELECT alert_id FROM ended ORDER BY since_seconds DESC, alert_id DESC LIMIT ?2))
      AND NOT EXISTS (
        SELECT 1 FROM deliveries AS d
        WHERE d.alert_id = ended.alert_id AND d.status IN ('waiting', 'intended', 'held'))
"""

_NEXT = """
    SELECT d.number, d.alert, d.kind, d.status, m.memo FROM deliveries AS d
    LEFT JOIN memos AS m ON m.alert_id = d.alert_id AND m.receiver = d.receiver
    WHERE d.receiver = ?1 AND d.status IN ('waiting', 'intended') AND d.not_before <= ?2
      AND NOT EXISTS (
        SELECT 1 FROM deliveries AS earlier
        WHERE earlier.receiver = ?1 AND earlier.alert_id = d.alert_id AND earlier.number < d.number
          AND earlier.status IN ('waiting', 'intended'))
    ORDER BY d.number LIMIT 1
"""


_LAST_WORDS = "SELECT alert, max(sequence) FROM deliveries WHERE kind = 'alert' GROUP BY alert_id"
"""SQLite takes what stands beside ``max`` from the row that has it."""


_DEAD = """
    SELECT d.number, d.receiver, d.alert, d.kind, d.answer, d.attempts, d.settled_seconds, last.number, last.alert
    FROM deliveries AS d
    JOIN deliveries AS last ON last.number = (
        SELECT max(number) FROM deliveries WHERE receiver = d.receiver AND alert_id = d.alert_id)
    WHERE d.status = 'dead' ORDER BY d.number
"""


class _Stated(msgspec.Struct):
    """As much of an alert as tells whether its incident is over."""

    state: str


class SqliteOutbox:
    """The outbox in a SQLite file.

    Parameters
    ----------
    path
        Of the file; the runtime that inserts alerts has it open too.
    receivers_of
        Who hears of an alert, given who has heard of its incident: :meth:`streams.delivery.routes.Routes.receivers_of`.
    clock
        Unix seconds.
    is_past
        Whether an alert that is raised at a moment of the clock is to be held back for a digest.

    Notes
    -----
    :meth:`prepare` and :meth:`insert` act on the runtime's connection and in its transaction; everything else on
    a connection of the outbox's own.
    """

    def __init__(
        self,
        path: Path | str,
        receivers_of: Callable[[Alert, Sequence[str]], Sequence[str]],
        clock: Callable[[], float],
        is_past: Callable[[Alert, float], bool] = lambda alert, now: False,
    ) -> None:
        self._path = path
        self._receivers_of = receivers_of
        self._clock = clock
        self._is_past = is_past
        self._own: sqlite3.Connection | None = None
        self._one_thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")

    async def in_thread(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Do something that may have to wait for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._one_thread, partial(work, *given, **named))

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables where they are missing."""
        for statement in _TABLES:
            connection.execute(statement)

    def insert(self, connection: sqlite3.Connection, alerts: Sequence[Alert]) -> None:
        """Put alerts into the outbox, within the connection's running transaction; once each, however often given."""
        now = self._clock()
        for alert in alerts:
            asked = "SELECT receiver FROM deliveries WHERE alert_id = ? GROUP BY receiver ORDER BY min(number)"
            told = [row[0] for row in connection.execute(asked, (alert.alert_id,))]
            asked = "SELECT DISTINCT receiver FROM deliveries WHERE alert_id = ? AND status = 'held'"
            held_back = {row[0] for row in connection.execute(asked, (alert.alert_id,))}
            encoded, is_past = msgspec.json.encode(alert), self._is_past(alert, now)
            for receiver in self._receivers_of(alert, told):
                is_held = receiver in held_back or (is_past and receiver not in told)
                status = "held" if is_held else "waiting"
                connection.execute(
                    "INSERT OR IGNORE INTO deliveries (receiver, alert_id, sequence, alert, status, inserted_seconds)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (receiver, alert.alert_id, alert.sequence, encoded, status, now),
                )
            self._note_state(connection, alert)

    def _note_state(self, connection: sqlite3.Connection, alert: Alert) -> None:
        if alert.state != "resolved":
            connection.execute("DELETE FROM ended WHERE alert_id = ?", (alert.alert_id,))
            return
        since = alert.time.timestamp()
        noted = connection.execute("INSERT OR IGNORE INTO ended VALUES (?, ?)", (alert.alert_id, since))
        if noted.rowcount:  # not where a decision tells of the end once more
            self._forget(connection, since)

    def _forget(self, connection: sqlite3.Connection, now: float) -> None:
        """Delete what is known of incidents that neither come back nor can be decided on any more."""
        for gone in connection.execute(_NEVER_AGAIN, (now - _KEPT_SECONDS, ENDED_KEPT)).fetchall():
            connection.execute("DELETE FROM deliveries WHERE alert_id = ?", gone)
            connection.execute("DELETE FROM memos WHERE alert_id = ?", gone)
            connection.execute("DELETE FROM ended WHERE alert_id = ?", gone)
        connection.execute(
            "DELETE FROM deliveries WHERE kind = 'digest' AND settled_seconds < ?", (self._clock() - _KEPT_SECONDS,)
        )

    async def newest_held(self) -> float | None:
        """Return the newest event time of what is held back (Unix seconds), or None."""
        return await self.in_thread(self._newest_held)

    def _newest_held(self) -> float | None:
        return max((held.alert.time.timestamp() for held in self._held(self._connection())), default=None)

    async def let_go(self) -> None:
        """Hold back nothing more: one digest a receiver for what is over, the rest as it is."""
        await self.in_thread(self._let_go)

    def _let_go(self) -> None:
        now = self._clock()
        with self._transaction() as connection:
            sorted_out = sort_out(self._held(connection))
            connection.executemany(
                "UPDATE deliveries SET status = 'digested', settled_seconds = ? WHERE number = ?",
                [(now, number) for number in sorted_out.digested],
            )
            connection.execute("UPDATE deliveries SET status = 'waiting' WHERE status = 'held'")
            connection.executemany(
                "INSERT INTO deliveries (receiver, alert_id, sequence, alert, kind, inserted_seconds)"
                " VALUES (?, ?, ?, ?, 'digest', ?)",
                [
                    (receiver, digest.alert_id, digest.sequence, msgspec.json.encode(digest), now)
                    for receiver, digest in sorted_out.digests.items()
                ],
            )

    @staticmethod
    def _held(connection: sqlite3.Connection) -> list[Held]:
        asked = "SELECT number, receiver, alert FROM deliveries WHERE status = 'held' ORDER BY number"
        return [Held(n, receiver, msgspec.json.decode(a, type=Alert)) for n, receiver, a in connection.execute(asked)]

    async def receivers(self) -> list[str]:
        """Return the receivers that anything waits for."""
        return await self.in_thread(self._receivers)

    def _receivers(self) -> list[str]:
        asked = "SELECT DISTINCT receiver FROM deliveries WHERE status IN ('waiting', 'intended') ORDER BY receiver"
        return [row[0] for row in self._connection().execute(asked)]

    async def next_for(self, receiver: str) -> Pending | None:
        """Return the receiver's oldest delivery that is due, or None."""
        return await self.in_thread(self._next_for, receiver)

    def _next_for(self, receiver: str) -> Pending | None:
        row = self._connection().execute(_NEXT, (receiver, self._clock())).fetchone()
        if row is None:
            return None
        number, alert, kind, status, memo = row
        return Pending(
            number,
            receiver,
            msgspec.json.decode(alert, type=KINDS[kind]),
            msgspec.json.decode(memo, type=Memo) if memo is not None else None,
            possible_duplicate=status == "intended",
        )

    async def intend(self, pending: Pending) -> None:
        """Note that it is about to be sent."""
        await self.in_thread(self._intend, pending)

    def _intend(self, pending: Pending) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE deliveries SET status = 'intended' WHERE number = ?", (pending.number,))

    async def settle(self, pending: Pending, outcome: Outcome) -> None:
        """Note how it went, and the notifier's memo with it."""
        await self.in_thread(self._settle, pending, outcome)

    def _settle(self, pending: Pending, outcome: Outcome) -> None:
        now = self._clock()
        status: str = outcome.status
        if status == "retry":
            status = "intended" if outcome.possible_duplicate else "waiting"
        settled = now if outcome.status != "retry" else None
        with self._transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET status = ?, attempts = attempts + ?, answer = ?, not_before = ?,"
                " settled_seconds = ? WHERE number = ?",
                (status, outcome.attempts, outcome.answer, now + outcome.after_seconds, settled, pending.number),
            )
            if outcome.memo is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO memos VALUES (?, ?, ?)",
                    (pending.alert.alert_id, pending.receiver, msgspec.json.encode(outcome.memo)),
                )

    def waiting(self) -> Waiting:
        """Return how much waits, and since when the oldest does."""
        asked = "SELECT count(*), min(inserted_seconds) FROM deliveries WHERE status IN ('waiting', 'intended')"
        count, oldest = self._connection().execute(asked).fetchone()
        return Waiting(count, max(self._clock() - oldest, 0.0) if count else 0.0)

    def dead_letters(self) -> list[DeadLetter]:
        """Return what receivers have refused, oldest first."""
        return [
            DeadLetter(
                number, receiver, msgspec.json.decode(alert, type=KINDS[kind]), answer, attempts, at,
                is_over=number != last and msgspec.json.decode(newest, type=_Stated).state == "resolved",
            )
            for number, receiver, alert, kind, answer, attempts, at, last, newest in self._connection().execute(_DEAD)
        ]  # fmt: skip

    def send_again(self, letters: Sequence[DeadLetter]) -> None:
        """Let what receivers have refused wait once more; of what is over, the end alone: its other words are let go.

        A pager would never close what it hears of only then. What has been sent again since is left alone.
        """
        again = "UPDATE deliveries SET status = 'waiting', not_before = 0, settled_seconds = NULL WHERE number = ?"
        let_go = "UPDATE deliveries SET status = 'digested' WHERE number = ?"
        asked = {(letter.number, letter.at_seconds) for letter in letters}
        with self._transaction() as connection:
            for letter in self.dead_letters():
                if (letter.number, letter.at_seconds) in asked:
                    connection.execute(let_go if letter.is_over else again, (letter.number,))

    def close(self) -> None:
        """Close the outbox's own connection; it opens again where it is used again."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _connection(self) -> sqlite3.Connection:
        if self._own is None:
            self._own = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._own.execute("PRAGMA synchronous = FULL")  # an intent must be on disk before its POST
            self.prepare(self._own)
        return self._own

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def last_words(connection: sqlite3.Connection) -> Iterator[Alert]:
    """Give the newest alert of each incident that anybody was to hear of, whether or not it has arrived."""
    for alert, _ in connection.execute(_LAST_WORDS):
        yield msgspec.json.decode(alert, type=Alert)
