"""The outbox: in order, once each, with what a crash leaves behind marked as a possible duplicate."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from detectors.events import Alert
from streams.delivery.outbox import Outcome, Pending
from streams.delivery.sqlite_outbox import SqliteOutbox
from tests.contracts.alerts import FIRING, RESOLVED, UPDATED, another

SENT = Outcome("delivered", {"ts": "1"}, "ok", 1)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def to_pager_and_slack(alert: Alert, told: Sequence[str]) -> Sequence[str]:
    return told or ("pager", "slack")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(tmp_path: Path, clock: Clock) -> Iterator[SqliteOutbox]:
    outbox = SqliteOutbox(tmp_path / "state.db", to_pager_and_slack, clock)
    yield outbox
    outbox.close()


@pytest.fixture
def runtime(tmp_path: Path, outbox: SqliteOutbox) -> Iterator[sqlite3.Connection]:
    """The connection of the runtime that raises the alerts."""
    connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    outbox.prepare(connection)
    yield connection
    connection.close()


def checkpoint(outbox: SqliteOutbox, runtime: sqlite3.Connection, *alerts: Alert) -> None:
    runtime.execute("BEGIN IMMEDIATE")
    outbox.insert(runtime, alerts)
    runtime.execute("COMMIT")


async def due(outbox: SqliteOutbox, receiver: str) -> Pending:
    pending = await outbox.next_for(receiver)
    assert pending is not None
    return pending


async def test_alerts_are_there_with_the_checkpoint_that_raised_them_and_not_before(
    outbox: SqliteOutbox, runtime: sqlite3.Connection
) -> None:
    runtime.execute("BEGIN IMMEDIATE")
    outbox.insert(runtime, [FIRING])
    assert await outbox.next_for("pager") is None
    runtime.execute("ROLLBACK")
    assert await outbox.next_for("pager") is None
    checkpoint(outbox, runtime, FIRING)
    assert (await due(outbox, "pager")).alert == FIRING
    assert await outbox.receivers() == ["pager", "slack"]


async def test_an_alert_raised_again_after_a_crash_is_the_same_alert(
    outbox: SqliteOutbox, runtime: sqlite3.Connection
) -> None:
    checkpoint(outbox, runtime, FIRING)
    await outbox.settle(await due(outbox, "pager"), SENT)
    checkpoint(outbox, runtime, FIRING, FIRING)
    assert await outbox.next_for("pager") is None
    assert outbox.waiting().count == 1


async def test_each_receiver_gets_its_alerts_in_order_whatever_the_others_do(
    outbox: SqliteOutbox, runtime: sqlite3.Connection
) -> None:
    checkpoint(outbox, runtime, FIRING, another(1), UPDATED)
    told = []
    for _ in range(3):
        pending = await due(outbox, "pager")
        told.append((pending.alert.alert_id, pending.alert.sequence))
        await outbox.settle(pending, SENT)
    assert told == [("bw-5f0c2a9b", 1), ("bw-other-1", 1), ("bw-5f0c2a9b", 2)]
    assert (await due(outbox, "slack")).alert == FIRING


async def test_the_memo_of_an_incident_comes_back_with_its_next_word_and_with_no_other(
    outbox: SqliteOutbox, runtime: sqlite3.Connection
) -> None:
    checkpoint(outbox, runtime, FIRING, another(1), UPDATED)
    first = await due(outbox, "slack")
    assert first.memo is None
    await outbox.settle(first, SENT)
    other = await due(outbox, "slack")
    assert other.memo is None
    await outbox.settle(other, Outcome("delivered", None, "ok", 1))
    assert (await due(outbox, "slack")).memo == {"ts": "1"}


async def test_an_intent_found_at_a_start_is_a_possible_duplicate(
    tmp_path: Path, outbox: SqliteOutbox, runtime: sqlite3.Connection, clock: Clock
) -> None:
    checkpoint(outbox, runtime, FIRING)
    pending = await due(outbox, "pager")
    assert not pending.possible_duplicate
    await outbox.intend(pending)
    after_the_crash = SqliteOutbox(tmp_path / "state.db", to_pager_and_slack, clock)
    assert (await due(after_the_crash, "pager")).possible_duplicate
    assert not (await due(after_the_crash, "slack")).possible_duplicate
    after_the_crash.close()


@pytest.mark.parametrize("maybe_arrived", [False, True])
async def test_what_has_failed_lets_other_incidents_go_first_but_not_its_own_later_words(
    outbox: SqliteOutbox, runtime: sqlite3.Connection, clock: Clock, maybe_arrived: bool
) -> None:
    checkpoint(outbox, runtime, FIRING, UPDATED, another(1))
    failing = await due(outbox, "pager")
    await outbox.intend(failing)
    await outbox.settle(failing, Outcome("retry", None, "HTTP 500", 3, maybe_arrived, after_seconds=30))
    other = await due(outbox, "pager")
    assert other.alert.alert_id == "bw-other-1"
    await outbox.settle(other, SENT)
    assert await outbox.next_for("pager") is None
    clock.seconds += 30
    again = await due(outbox, "pager")
    assert (again.alert, again.possible_duplicate) == (FIRING, maybe_arrived)


async def test_a_dead_letter_is_kept_with_the_answer_and_holds_up_nothing(
    outbox: SqliteOutbox, runtime: sqlite3.Connection
) -> None:
    checkpoint(outbox, runtime, FIRING, RESOLVED)
    await outbox.settle(await due(outbox, "slack"), Outcome("dead", None, "HTTP 404: no_service", 1))
    assert (await due(outbox, "slack")).alert == RESOLVED
    (letter,) = outbox.dead_letters()
    assert (letter.receiver, letter.alert, letter.answer, letter.attempts, letter.at_seconds) == (
        ("slack", FIRING, "HTTP 404: no_service", 1, 1000.0)
    )


async def test_how_much_waits_and_since_when(outbox: SqliteOutbox, runtime: sqlite3.Connection, clock: Clock) -> None:
    assert (outbox.waiting().count, outbox.waiting().oldest_age_seconds) == (0, 0.0)
    checkpoint(outbox, runtime, FIRING)
    clock.seconds += 12
    assert (outbox.waiting().count, outbox.waiting().oldest_age_seconds) == (2, 12.0)
