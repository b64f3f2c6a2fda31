"""The embedded runtime's disk: one SQLite file with the inbox, the state of the stages, the outbox and the rejected.

What a sender was promised is in the inbox; what the stages made of it goes in by checkpoints, each one
transaction: states, inbox rows consumed, alerts, rejects and totals together or not at all. So a crash at
any moment loses nothing and repeats nothing.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from detectors.events import Alert
from detectors.intake.raw import Kind
from detectors.intake.stage import Reject
from detectors.state.pages import Pages, Part
from streams.tally import Tally
from streams.written import Written

SCHEMA_VERSION = 7
"""Of the tables and of the states in them: raise it with every change of either. Others are refused, never misread."""

_RESTORE = "restore it from a backup, or move it away to begin anew"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_APPLICATION_ID = 0x42575443
_BUSY_SECONDS = 30.0
_TABLES = f"""
BEGIN IMMEDIATE;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE inbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    received_seconds REAL NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE checkpoint (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE page (name TEXT NOT NULL, number INTEGER NOT NULL, part BLOB NOT NULL, UNIQUE (name, number));
CREATE TABLE rejected (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    rejected_seconds REAL NOT NULL,
    kind TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    event_index INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    payload BLOB NOT NULL
);
COMMIT;
"""


class StateError(Exception):
    """The state cannot be used; the sentence says why and what to do."""


class InboxRow(msgspec.Struct, frozen=True, gc=False):
    """An event as it came, with the place that it got in the order of all."""

    sequence: int
    kind: Kind
    received_seconds: float
    payload: bytes


class Waiting(msgspec.Struct, frozen=True):
    """How much the inbox holds that no checkpoint contains."""

    events: int
    size_bytes: int


class Totals(msgspec.Struct):
    """What was counted since the state began; durable, so that a restart can be checked to the token."""

    taken: int = 0
    rejected: int = 0
    late: int = 0
    duplicate: int = 0
    unpriced: int = 0
    alerts: int = 0
    spend_nano: int = 0

    def plus(self, tally: Tally) -> Totals:
        """Return the totals with a stretch of work counted in."""
        return Totals(
            taken=self.taken + tally.intake.taken.get("usage", 0),
            rejected=self.rejected + len(tally.rejects),
            late=self.late + tally.intake.late,
            duplicate=self.duplicate + tally.duplicate,
            unpriced=self.unpriced + tally.intake.unpriced,
            alerts=self.alerts + len(tally.alerts),
            spend_nano=self.spend_nano + sum(tally.spend_nano.values()),
        )


class Checkpoint(msgspec.Struct, frozen=True):
    """How far the stages are: the last inbox row that they contain, the totals, and the pages of their states."""

    applied: int
    totals: Totals
    pages: Pages


class Progress(msgspec.Struct, frozen=True):
    """What a checkpoint adds to the disk: how far the stages are, what has changed of their states, what they made."""

    applied: int
    totals: Totals
    parts: Iterable[Part]
    alerts: Sequence[Alert]
    rejects: Sequence[Reject]
    now_seconds: float


class Store:
    """One open state file; safe to use from several threads of one process.

    Parameters
    ----------
    path
        Of the file; it and its directory are made if they are not there. One process at a time uses it.
    prepare_outbox, insert_alerts
        Make the outbox's tables in this database, given the version of those that are there, or None; put alerts into
        them within the running transaction.
    rejected_kept
        How many refused events are kept, newest first.

    Raises
    ------
    StateError
        If the file cannot be written, is in use, or was written by another version.
    """

    def __init__(
        self,
        path: Path,
        prepare_outbox: Callable[[sqlite3.Connection], None],
        insert_alerts: Callable[[sqlite3.Connection, Sequence[Alert]], None],
        rejected_kept: int = 100_000,
    ) -> None:
        self.path = path
        self._insert_alerts = insert_alerts
        self._rejected_kept = rejected_kept
        self._lock = threading.Lock()
        self._written: Written | None = None
        self._claim = _claim(path)
        try:
            self._connection = self._open(prepare_outbox)
            self.waiting = self._measure(2**63 - 1)
        except sqlite3.Error as error:
            os.close(self._claim)
            raise _unusable(self.path, error) from error
        except StateError:
            os.close(self._claim)
            raise

    def _open(self, prepare_outbox: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        has_tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] > 0
        if has_tables:
            _refuse_others(connection, self.path)
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            connection.close()
            raise StateError(f"{self.path} is damaged ({found}): {_RESTORE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        if not has_tables:
            connection.executescript(_TABLES)
        connection.execute("BEGIN IMMEDIATE")
        prepare_outbox(connection)
        connection.execute("COMMIT")
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has rolled back already
                    self._connection.execute("ROLLBACK")
                raise

    def append(self, rows: Sequence[tuple[Kind, float, bytes]]) -> None:
        """Put events (kind, received seconds, payload) into the inbox; on return they are on disk.

        Raises
        ------
        sqlite3.Error
            If the disk does not take them; then none of them is kept.
        """
        size_bytes = sum(len(payload) for _, _, payload in rows)
        with self._transaction() as connection:
            connection.executemany("INSERT INTO inbox (kind, received_seconds, payload) VALUES (?, ?, ?)", rows)
        self._wait_for(Waiting(len(rows), size_bytes))

    def inbox_after(self, sequence: int, limit: int, limit_bytes: int = 16_000_000) -> list[InboxRow]:
        """Return the next events behind a place, in order: at least one if there is one.

        Raises
        ------
        StateError
            If one is missing: places are given out without gaps.
        """
        asked = (
            "SELECT sequence, kind, received_seconds, payload FROM inbox WHERE sequence > ? ORDER BY sequence LIMIT ?"
        )
        rows: list[InboxRow] = []
        with self._lock:
            for found in self._connection.execute(asked, (sequence, limit)):
                rows.append(InboxRow(*found))
                sequence += 1
                if rows[-1].sequence != sequence:
                    raise StateError(
                        f"{self.path} lacks event {sequence} of its inbox, which was acknowledged: {_RESTORE}"
                    )
                limit_bytes -= len(rows[-1].payload)
                if limit_bytes <= 0:
                    break
        return rows

    def rejected_count(self) -> int:
        """Return how many refused events are kept."""
        with self._lock:
            count: int = self._connection.execute("SELECT count(*) FROM rejected").fetchone()[0]
            return count

    def _measure(self, through: int) -> Waiting:
        """Return how much of the inbox lies at or before a place."""
        asked = "SELECT count(*), coalesce(sum(length(payload)), 0) FROM inbox WHERE sequence <= ?"
        return Waiting(*self._connection.execute(asked, (through,)).fetchone())

    def _wait_for(self, more: Waiting) -> None:
        with self._lock:
            self.waiting = Waiting(self.waiting.events + more.events, self.waiting.size_bytes + more.size_bytes)

    def load(self) -> Checkpoint | None:
        """Return the last checkpoint, or None before the first."""
        with self._lock:
            found = dict(self._connection.execute("SELECT name, value FROM checkpoint"))
            pages: Pages = {}
            for name, part in self._connection.execute("SELECT name, part FROM page ORDER BY name, number"):
                pages.setdefault(name, []).append(part)
        if not found:
            return None
        try:
            applied = msgspec.json.decode(found["applied"], type=int)
            totals = msgspec.json.decode(found["totals"], type=Totals)
            checksums = msgspec.json.decode(found["checksums"], type=dict[str, str])
        except (KeyError, msgspec.DecodeError) as error:
            raise StateError(f"{self.path} holds a broken checkpoint ({error}): {_RESTORE}") from error
        self._written = Written(pages)
        if damaged := sorted(checksums.items() ^ self._written.checksums.items()):
            raise StateError(f"{self.path} is damaged at {damaged[0][0]}: {_RESTORE}")
        return Checkpoint(applied, totals, pages)

    def save(self, progress: Progress) -> None:
        """Make a checkpoint: all of it or nothing.

        Raises
        ------
        sqlite3.Error
            If the disk does not take it; then the last checkpoint stands, and the next one must give every page.
        """
        written, self._written = self._written, None
        with self._transaction() as connection:
            if written is None:
                written = Written()
                connection.execute("DELETE FROM page")
            for page, number, part in written.changes(progress.parts):
                if part is None:
                    connection.execute("DELETE FROM page WHERE name = ? AND number = ?", (page, number))
                else:
                    connection.execute("INSERT OR REPLACE INTO page VALUES (?, ?, ?)", (page, number, part))
            values = {"applied": progress.applied, "totals": progress.totals, "checksums": written.checksums}
            _put(connection, values)
            consumed = self._measure(progress.applied)
            connection.execute("DELETE FROM inbox WHERE sequence <= ?", (progress.applied,))
            if progress.alerts:
                self._insert_alerts(connection, progress.alerts)
            if progress.rejects:
                self._keep_rejects(connection, progress)
        self._written = written
        self._wait_for(Waiting(-consumed.events, -consumed.size_bytes))

    def forget_what_is_written(self) -> None:
        """Expect every page of the next checkpoint, and keep none that is there."""
        self._written = None

    def _keep_rejects(self, connection: sqlite3.Connection, progress: Progress) -> None:
        connection.executemany(
            "INSERT INTO rejected (rejected_seconds, kind, sequence, event_index, reason, detail, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (progress.now_seconds, r.kind, r.offset, r.index, r.reason, r.detail, r.payload)
                for r in progress.rejects
            ],
        )
        kept = (self._rejected_kept,)
        connection.execute("DELETE FROM rejected WHERE number <= (SELECT max(number) FROM rejected) - ?", kept)

    def close(self) -> None:
        """Close the files and let another process use them."""
        with self._lock:
            self._connection.close()
        os.close(self._claim)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that reads a state file and cannot change it, also while a service has it open.

    Raises
    ------
    StateError
        If the file cannot be read, or was written by another version.
    """
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        try:
            _refuse_others(connection, path)
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _unusable(path, error) from error


def _refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    written_by = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if (written_by, version) != (_APPLICATION_ID, SCHEMA_VERSION):
        connection.close()
        raise StateError(
            f"{path} has schema version {version} of application {written_by:#x}, this Burstwatch reads "
            f"version {SCHEMA_VERSION} of {_APPLICATION_ID:#x}: "
            "run the version that wrote it, or name another state file"
        )


def _unusable(path: Path, error: sqlite3.Error) -> StateError:
    cure = _RESTORE if error.sqlite_errorcode in _DAMAGED else "see to its disk and to who else uses it"
    return StateError(f"cannot use {path}: {error}; {cure}")


def _put(connection: sqlite3.Connection, values: dict[str, object]) -> None:
    encoded = [(name, msgspec.json.encode(value)) for name, value in values.items()]
    connection.executemany("INSERT OR REPLACE INTO checkpoint VALUES (?, ?)", encoded)


def _claim(path: Path) -> int:
    """Hold a file for this process, for as long as the descriptor is open; the kernel frees it at a crash."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateError(f"cannot write the state file {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StateError(f"another burstwatch uses the state file {path}: stop it, or name another file") from error
    return descriptor
