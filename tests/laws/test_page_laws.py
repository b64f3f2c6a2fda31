"""States as pages: whatever was checkpointed when, and wherever it crashed, the state read is the one written."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.state import codec, pages, row_pages
from detectors.state.pages import ByMinute, ColumnByMinute, Growing, OnePage, Pages, read
from detectors.state.row_pages import Rows
from tests.laws.streams import DETECTORS, Run, cut, deployment_messages, end_of, plan, put, run, stream, usage_messages
from tests.laws.test_stream_laws import DAY

some = settings(max_examples=60, deadline=None, derandomize=True)
few = settings(max_examples=6, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages so small that a short stream fills many, and segments that come and go."""
    for module, name, value in (
        (pages, "ROWS_A_PAGE", 4),
        (pages, "LARGEST_PART_BYTES", 6_000),
        (row_pages, "LARGEST_PART_BYTES", 6_000),
        (row_pages, "_LEAST_ROWS", 1),
        (row_pages, "_MOST_SEGMENTS", 8),
    ):
        monkeypatch.setattr(module, name, value)


def copied(disk: Pages) -> Pages:
    return {name: [*parts] for name, parts in disk.items()}


Turn = tuple[list[int], int, bool]
"""Rows that change, rows that are new, whether all is forgotten and read again after it was written."""

turns = st.lists(st.tuples(st.lists(st.integers(0, 79), max_size=12), st.integers(0, 9), st.booleans()), max_size=40)


def two_columns() -> list[np.ndarray]:
    """Columns with room for 400 rows."""
    return [np.zeros(400), np.full((400, 3), -5, np.float32)]


@some
@given(turns=turns)
def test_rows_read_are_rows_written_and_segments_stay_few(turns: list[Turn]) -> None:
    disk: Pages = {}
    book, columns, room = Rows("rows"), two_columns(), 0
    for number, (touched, new, crashes) in enumerate(turns, 1):
        changed = np.zeros(room + new, bool)
        changed[room:] = True
        changed[[row for row in touched if row < room]] = True
        room += new
        columns[0][:room][changed] = number
        columns[1][:room][changed] = -number
        put(disk, book.changes(columns, changed))
        read_again, found = Rows("rows"), two_columns()
        read_again.load(copied(disk), found)
        assert all(np.array_equal(a, b) for a, b in zip(found, columns, strict=True))
        assert len(disk) <= row_pages._MOST_SEGMENTS + 2
        if crashes:
            book, columns = read_again, found


@pytest.mark.parametrize("changing", [1, 10, 100])
def test_a_checkpoint_writes_twice_what_has_changed_and_all_segments_hold_twice_what_there_is(
    changing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_pages, "LARGEST_PART_BYTES", 900_000)
    disk: Pages = {}
    book, columns, luck = Rows("rows"), [np.zeros((1000, 50))], np.random.default_rng(0)
    put(disk, book.changes(columns, np.ones(1000, bool)))
    of_all = sum(len(part) for parts in disk.values() for part in parts)
    for _ in range(400):
        changed = np.zeros(1000, bool)
        changed[luck.choice(1000, changing, replace=False)] = True
        (name,) = put(disk, book.changes(columns, changed))
        wrote = sum(map(len, disk[name]))
        assert wrote <= of_all * (changing + max(changing, 1000 // 8)) / 1000 + 200
    held = sum(len(part) for parts in disk.values() for part in parts)
    assert held <= 2.5 * of_all


@some
@given(sizes=st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12))
def test_a_list_that_grows_is_read_as_written_and_full_pages_are_left_alone(sizes: list[tuple[int, bool]]) -> None:
    disk: Pages = {}
    book, names, column, full = Growing("names", list[str], np.ndarray), list[str](), np.zeros(0, np.int32), 0
    for more, crashes in sizes:
        names += [f"n{len(names) + n}" for n in range(more)]
        column = np.arange(len(names), dtype=np.int32)
        written = put(disk, book.changes(names, column))
        assert all(int(name.split("/")[1]) >= full for name in written)
        full = len(names) // 4
        again = Growing("names", list[str], np.ndarray)
        read_names, read_column = again.load(copied(disk), [], np.zeros(0, np.int32))
        assert (read_names, codec.encode(read_column)) == (names, codec.encode(column))
        book = again if crashes else book


@some
@given(steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans(), st.booleans()), max_size=20))
def test_what_lies_by_minute_is_read_as_written_and_gone_with_its_minute(
    steps: list[tuple[int, int, bool, bool]],
) -> None:
    disk: Pages = {}
    lists: dict[int, list[int]] = {}
    columns: dict[int, np.ndarray] = {}
    books = ByMinute("lists", int), ColumnByMinute("columns")
    for minute, more, ends, crashes in steps:
        lists.setdefault(minute, []).extend(range(more))
        columns[minute] = np.append(columns.get(minute, np.zeros(0)), more)
        if ends:
            oldest = next(iter(lists))
            del lists[oldest], columns[oldest]
        put(disk, books[0].changes(lists))
        put(disk, books[1].changes(columns))
        again = ByMinute("lists", int), ColumnByMinute("columns")
        on_disk = copied(disk)
        assert list(again[0].load(on_disk, list(lists)).items()) == list(lists.items())
        assert codec.encode(again[1].load(on_disk, list(columns))) == codec.encode(columns)
        assert not on_disk, "pages of minutes that are gone"
        books = again if crashes else books


def test_a_page_that_is_missing_or_holds_something_else_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError, match="there is no page 'state'"):
        OnePage(dict[str, int]).load({"other": [b""]})
    with pytest.raises(msgspec.DecodeError):
        read({"state": [codec.encode([1, "two"])]}, "state", list[int])


@few
@given(cuts=st.lists(st.integers(0, len(DAY.usage)), min_size=2, max_size=30), fates=st.lists(st.integers(0, 3)))
def test_checkpoints_and_crashes_anywhere_give_the_same_alerts_and_the_same_bits(
    cuts: list[int], fates: list[int]
) -> None:
    """After a crash, what came since the last checkpoint comes again: states then are those of an undisturbed run."""
    started, undisturbed, saved_at = Run(), Run(), 0
    for one in (started, undisturbed):
        one.feed(deployment_messages(DAY.deployments))
    batches = cut(usage_messages(DAY.usage), cuts)
    for number, batch in enumerate(batches):
        started.feed(batch)
        undisturbed.feed(batch)
        fate = fates[number % len(fates)] if fates else 1
        if fate == 1 or number == 0:
            started.checkpoint()
            saved_at = number + 1
        elif fate == 2:
            started.restart()
            saved_at = number + 1
        elif fate == 3:
            told = len(started.alerts)
            started.crash()
            for lost in batches[saved_at : number + 1]:
                started.feed(lost)
            del started.alerts[told:]
    assert [codec.encode(state) for state in started._states()] == [
        codec.encode(state) for state in undisturbed._states()
    ]
    assert started.end(end_of(DAY)).told == undisturbed.end(end_of(DAY)).told == run(DAY).told


def test_what_is_written_is_far_less_than_all_where_little_has_changed() -> None:
    wide = stream(hours=3)
    usage = [{**event, "id": f"{n}/{event['id']}", "service": f"s{n}"} for event in wide.usage[:1] for n in range(300)]
    started = Run(plan(shards=1, detectors=DETECTORS[:1]))
    started.feed(usage_messages(usage))
    later = [{**event, "id": f"again {event['id']}", "time": wide.usage[-1]["time"]} for event in usage[:3]]
    started.feed(usage_messages(later, first_offset=1000))
    started.checkpoint()
    before = {name: [*parts] for disk in started._disks for name, parts in disk.items()}
    started.heartbeat(0, end_of(wide) + 1)
    started.checkpoint()
    rows = {
        name: parts
        for disk in started._disks
        for name, parts in disk.items()
        if name not in before and name.startswith("series/rows/")
    }
    assert 0 < sum(len(p) for parts in rows.values() for p in parts) < started.state_bytes / 3
