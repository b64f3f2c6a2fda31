"""The embedded runtime's disk: a checkpoint is all or nothing, and nothing acknowledged is lost."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from detectors.events import Alert
from detectors.intake.stage import Reject
from detectors.state.pages import Part
from streams.embedded.store import SCHEMA_VERSION, Checkpoint, Progress, StateError, Store, Totals, Waiting

DATABASE = "burstwatch.db"


def no_tables(_: sqlite3.Connection) -> None:
    """An outbox that needs none."""


def no_alerts(_: sqlite3.Connection, __: Sequence[Alert]) -> None:
    """An outbox that keeps none."""


def open_store(directory: Path, **settings: int) -> Store:
    return Store(directory / DATABASE, no_tables, no_alerts, **settings)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


def put(store: Store, *payloads: bytes) -> None:
    store.append([("usage", 60.0, payload) for payload in payloads])


def checkpoint(applied: int, **pages: list[bytes]) -> Checkpoint:
    return Checkpoint(applied, Totals(taken=applied), pages)


def progress(applied: int, parts: Sequence[Part] = (), rejects: Sequence[Reject] = ()) -> Progress:
    return Progress(applied, Totals(taken=applied), parts, [], rejects, 0.0)


def test_the_inbox_keeps_the_order_of_arrival(store: Store) -> None:
    put(store, b"a", b"b")
    put(store, b"c")
    assert [row.payload for row in store.inbox_after(0, 10)] == [b"a", b"b", b"c"]
    assert [row.payload for row in store.inbox_after(1, 1)] == [b"b"]


def test_a_checkpoint_consumes_the_inbox_and_places_are_never_given_twice(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store, b"a", b"b")
    store.save(progress(2))
    assert store.waiting == Waiting(0, 0)
    store.close()
    again = open_store(tmp_path)
    put(again, b"c")
    assert [row.sequence for row in again.inbox_after(2, 10)] == [3]
    again.close()


def test_a_checkpoint_survives_reopening(tmp_path: Path) -> None:
    first = open_store(tmp_path)
    first.save(progress(7, [("intake", b"i"), ("incidents", b"j"), ("incidents", b"k")]))
    first.close()
    second = open_store(tmp_path)
    assert second.load() == checkpoint(7, intake=[b"i"], incidents=[b"j", b"k"])
    second.close()


def test_what_waits_is_known_in_events_and_bytes_and_after_reopening_too(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store, b"abc", b"de")
    put(store, b"f")
    store.save(progress(1))
    assert store.waiting == Waiting(2, 3)
    store.close()
    again = open_store(tmp_path)
    assert again.waiting == Waiting(2, 3)
    again.close()


def test_a_batch_of_the_inbox_is_bounded_in_bytes_but_never_empty(store: Store) -> None:
    put(store, b"x" * 100, b"y" * 100, b"z")
    assert [len(row.payload) for row in store.inbox_after(0, 10, limit_bytes=150)] == [100, 100]
    assert [len(row.payload) for row in store.inbox_after(0, 10, limit_bytes=1)] == [100]


def test_an_acknowledged_event_that_is_gone_is_noticed(store: Store) -> None:
    put(store, b"a", b"b", b"c")
    with sqlite3.connect(store.path) as somebody:
        somebody.execute("DELETE FROM inbox WHERE sequence = 2")
    with pytest.raises(StateError, match="lacks event 2 of its inbox, which was acknowledged: restore it"):
        store.inbox_after(0, 10)


def test_places_have_no_gaps_after_a_request_that_failed(store: Store) -> None:
    put(store, b"a")
    with pytest.raises(sqlite3.Error):
        store.append([("usage", 60.0, b"b"), ("usage", None, b"c")])  # type: ignore[list-item]
    put(store, b"d")
    assert [(row.sequence, row.payload) for row in store.inbox_after(0, 10)] == [(1, b"a"), (2, b"d")]


def test_before_the_first_checkpoint_there_is_none(store: Store) -> None:
    assert store.load() is None


def test_a_checkpoint_that_fails_half_way_leaves_the_last_one(tmp_path: Path) -> None:
    def break_down(_: sqlite3.Connection, __: Sequence[Alert]) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    store = Store(tmp_path / DATABASE, no_tables, break_down)
    put(store, b"a", b"b")
    store.save(progress(1, [("intake", b"one")]))
    with pytest.raises(sqlite3.OperationalError):
        store.save(Progress(2, Totals(), [("intake", b"two"), ("other", b"2")], [object()], [], 0.0))  # type: ignore[list-item]
    assert store.load() == checkpoint(1, intake=[b"one"])
    assert [row.payload for row in store.inbox_after(1, 10)] == [b"b"]
    store.close()


def test_a_checkpoint_writes_the_parts_that_changed_and_drops_those_that_are_gone(store: Store) -> None:
    store.save(
        progress(1, [("keys", b"old"), ("keys", b"same"), ("keys", b"gone"), ("room", b"1"), ("left", b"alone")])
    )
    before = written_rows(store)
    store.save(progress(2, [("keys", b"new"), ("keys", b"same"), ("room", None)]))
    assert store.load() == checkpoint(2, keys=[b"new", b"same"], left=[b"alone"])
    kept = {(name, number) for name, number, _ in written_rows(store) & before}
    assert kept == {("keys", 1), ("left", 0)}


def written_rows(store: Store) -> set[tuple[str, int, int]]:
    """Pages and numbers of parts, each with the row that it was written to."""
    return set(store._connection.execute("SELECT name, number, rowid FROM page"))


def test_after_a_checkpoint_that_failed_the_next_one_brings_everything(tmp_path: Path) -> None:
    def break_down(_: sqlite3.Connection, __: Sequence[Alert]) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    store = Store(tmp_path / DATABASE, no_tables, break_down)
    store.save(progress(1, [("keys", b"one"), ("rows", b"1"), ("old", b"0")]))
    with pytest.raises(sqlite3.Error):
        store.save(Progress(2, Totals(), [("keys", b"two")], [object()], [], 0.0))  # type: ignore[list-item]
    store.save(progress(3, [("keys", b"two"), ("rows", b"1")]))
    assert store.load() == checkpoint(3, keys=[b"two"], rows=[b"1"])
    store.close()


@pytest.mark.parametrize(
    "damage", ["UPDATE page SET part = x'00'", "DELETE FROM page", "INSERT INTO page VALUES ('new', 0, x'00')"]
)
def test_pages_that_are_not_those_that_were_written_are_refused(store: Store, damage: str) -> None:
    store.save(progress(1, [("keys", b"one")]))
    store._connection.execute(damage)
    with pytest.raises(StateError, match=r"is damaged at (keys|new)"):
        store.load()


def test_rejects_keep_the_bytes_and_the_reason(store: Store) -> None:
    store.save(progress(3, rejects=[Reject("usage", 0, 3, 1, "not_json", "trailing", b"\xff{")]))
    rows = sqlite3.connect(store.path).execute(
        "SELECT kind, sequence, event_index, reason, detail, payload FROM rejected"
    )
    assert rows.fetchall() == [("usage", 3, 1, "not_json", "trailing", b"\xff{")]


def test_only_the_newest_rejects_are_kept(tmp_path: Path) -> None:
    store = open_store(tmp_path, rejected_kept=2)
    for offset in range(5):
        store.save(progress(offset, rejects=[Reject("usage", 0, offset, 0, "not_json", "", b"")]))
    assert store.rejected_count() == 2
    store.close()


def test_a_full_disk_keeps_nothing_of_the_request_and_all_from_before(store: Store) -> None:
    put(store, b"before")
    connection = store._connection  # the only way to a disk that is full here alone
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        put(store, b"small", b"x" * 1_000_000)
    connection.execute("PRAGMA max_page_count = 1000000")
    put(store, b"after")
    assert [row.payload for row in store.inbox_after(0, 10)] == [b"before", b"after"]


def test_a_second_process_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="another burstwatch uses"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    "pragma",
    [
        f"user_version = {SCHEMA_VERSION + 1}",
        f"user_version = {SCHEMA_VERSION - 1}",
        "user_version = 0",
        "application_id = 5",
    ],
)
def test_state_of_another_version_is_refused_untouched(tmp_path: Path, pragma: str) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        connection.execute(f"PRAGMA {pragma}")
    with pytest.raises(StateError, match="run the version that wrote it"):
        open_store(tmp_path)
    with pytest.raises(StateError, match="run the version that wrote it"):  # and the refusal freed the directory
        open_store(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"certainly no database " * 100)
    with pytest.raises(StateError, match="not a database"):
        open_store(tmp_path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"cannot write the state file .*file/state/burstwatch.db: Not a directory"):
        open_store(tmp_path / "file" / "state")
