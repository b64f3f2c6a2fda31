"""Memory of series is bounded by what was heard of lately, and a state whose rows were dropped is read as written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from detectors.clock import MINUTES_PER_DAY, NEVER, moment_of
from detectors.events import Alert
from detectors.state import codec
from detectors.state.pages import Pages, StatePages, collected
from detectors.watch import forgetting
from detectors.watch.series_state import SeriesWatchState
from detectors.watch.state import WatchState
from streams.embedded.store import Progress, Store, Totals
from streams.kafka.checkpoint import pages_in, record_of
from streams.written import Written
from tests.laws.streams import START, Event, Run, books_of, deployment_messages, plan, usage_messages

DAYS, LIMIT_DAYS, NEW_A_DAY = 100, 8, 30
LEAST_DROPPED = 50
ONE_SHARD = replace(plan(shards=1, detectors=()), forget_after_days=LIMIT_DAYS)


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "LEAST_DROPPED", LEAST_DROPPED)


def made_up(day: int) -> list[Event]:
    """A day of a service whose sender makes up a principal for each session, and a service now and then."""
    minute = START + day * MINUTES_PER_DAY
    names = [(f"session-{day}-{n}", "bot") for n in range(NEW_A_DAY)] + [("key-1", "bot"), ("key-1", f"trial-{day}")]
    return [
        {
            "id": f"{day}/{n}", "time": moment_of(minute + 10 * n).isoformat(), "source": "gateway", "team": "support",
            "service": service, "principal": principal, "model": "large", "requests": 3, "input_tokens": 900,
            "output_tokens": 90,
        }
        for n, (principal, service) in enumerate(names)
    ]  # fmt: skip


def deployment(day: int) -> Event:
    stamp = moment_of(START + day * MINUTES_PER_DAY).isoformat()
    return {"id": f"d{day}", "time": stamp, "team": "support", "service": f"nobody-{day}"}


def days(started: Run, some: range) -> Iterator[WatchState]:
    """The state of the shard after each of some days."""
    for day in some:
        started.feed(deployment_messages([deployment(day)]))
        started.feed(usage_messages(made_up(day), first_offset=1000 * day))
        yield started._watches[0]


def columns_of(state: SeriesWatchState) -> list[int]:
    """How many rows there are, by what they are of."""
    series = state.series
    return [
        len(series.names), len(series.hashes), len(series.of_key), len(series.counted), len(series.services),
        len(state.baselines.first), len(state.parts.models), len(state.key_last), len(state.deployed.made),
        len(state.deployed.newest),
    ]  # fmt: skip


def test_made_up_principals_take_memory_for_as_long_as_they_are_remembered() -> None:
    started = Run(ONE_SHARD)
    most_remembered = (NEW_A_DAY + 4) * (LIMIT_DAYS + 2)
    with_those_of_no_use = most_remembered + max(most_remembered // 2, 2 * LEAST_DROPPED)
    for state in days(started, range(DAYS)):
        assert max(columns_of(state.series), default=0) <= with_those_of_no_use
        assert len(state.ledger.keys) <= with_those_of_no_use
    assert 4 * with_those_of_no_use < DAYS * NEW_A_DAY


def test_what_is_heard_of_each_day_keeps_its_memory_while_others_are_dropped() -> None:
    started = Run(ONE_SHARD)
    *_, state = days(started, range(DAYS))
    series = state.series.series
    active_minutes = dict(zip(map(str, series.names), state.series.baselines.active_minutes.tolist(), strict=False))
    whole = next(name for name in series.names if name.values == ("bot",))
    assert active_minutes[str(whole)] == (NEW_A_DAY + 1) * DAYS
    of_service = series.whole[[name.values[0] == "bot" for name in series.names]]
    assert set(of_service.tolist()) == {series.names.index(whole)}


def test_forgotten_rows_wait_until_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "LEAST_DROPPED", 10**6)
    *_, state = days(Run(ONE_SHARD), range(30))
    assert len(state.series.series.names) > 30 * NEW_A_DAY
    assert state.series.forgotten.series_dropped == state.series.forgotten.keys_dropped == 0


def test_a_key_that_waits_for_its_minute_is_not_dropped() -> None:
    """Its rows point to it by number."""
    started = Run(ONE_SHARD)
    (*_,) = days(started, range(20))
    late = made_up(0)[0]
    later = moment_of(START + 20 * MINUTES_PER_DAY + 30).isoformat()
    started.feed(usage_messages([{**late, "id": "back", "time": later}], first_offset=10**6))
    ledger = started._watches[0].ledger
    (batch,) = (batch for batches in ledger.pending.values() for batch in batches)
    assert ledger.keys[int(batch.key[0])][4] == late["principal"]


def test_whoever_numbers_the_keys_may_drop_those_that_are_cold() -> None:
    """What comes back under one is counted to the series that it was of."""
    started = Run(ONE_SHARD)
    *_, state = days(started, range(3))
    series, keys = state.series, state.ledger.keys
    held = series.count
    last = series.key_last[: len(series.series.of_key)]
    cold = np.flatnonzero((last < START + 2 * MINUTES_PER_DAY) & (last != NEVER))
    keep = np.setdiff1d(np.arange(len(keys)), cold)
    assert len(cold) > NEW_A_DAY
    forgetting.renumber_keys(series, keep)
    state.ledger.keys = [keys[place] for place in keep.tolist()]
    state.ledger.pending = {
        minute: [replace(batch, key=np.searchsorted(keep, batch.key).astype(np.int32)) for batch in batches]
        for minute, batches in state.ledger.pending.items()
    }
    again = [{**event, "id": f"again {event['id']}"} for event in made_up(0)]
    later = [{**event, "time": made_up(3)[n]["time"]} for n, event in enumerate(again)]
    started.feed(usage_messages(later, first_offset=10**6))
    started.end(START + 4 * MINUTES_PER_DAY)
    series = started._watches[0].series
    assert series.count == held
    minutes = dict(zip(series.series.names, series.baselines.active_minutes.tolist(), strict=False))
    assert {minutes[name] for name in minutes if name.values[-1].startswith("session-0")} == {2}


class Kafka:
    """A compacted topic: of each key, the newest value."""

    def __init__(self) -> None:
        self._topic: dict[bytes, bytes] = {}
        self._written = Written()

    def save(self, book: StatePages[WatchState], state: WatchState) -> None:
        for key, value in map(record_of, self._written.changes(book.changes(state))):
            if value is None:
                del self._topic[key]
            else:
                self._topic[key] = value

    def load(self) -> Pages:
        pages = pages_in(dict(self._topic))
        assert Written(pages).checksums == self._written.checksums, "what the root says"
        return pages


class Embedded:
    """A state file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store = self._open()

    def _open(self) -> Store:
        def no_tables(_: sqlite3.Connection) -> None:
            """An outbox that needs none."""

        def no_alerts(_: sqlite3.Connection, __: Sequence[Alert]) -> None:
            """An outbox that keeps none."""

        return Store(self._path, no_tables, no_alerts)

    def save(self, book: StatePages[WatchState], state: WatchState) -> None:
        self._store.save(Progress(0, Totals(), book.changes(state), [], [], 0.0))

    def load(self) -> Pages:
        self._store.close()
        self._store = self._open()
        saved = self._store.load()
        assert saved is not None
        return saved.pages


def not_of_rows(pages: Pages) -> set[str]:
    """Names of pages whose number follows from the state alone; segments of rows have a past."""
    return {name for name in pages if "/rows/" not in name}


@pytest.mark.parametrize("runtime", ["kafka", "embedded"])
def test_a_state_whose_rows_were_dropped_is_read_as_written(runtime: str, tmp_path: Path) -> None:
    """After each day: what was written before rows were dropped is gone, and nothing of it comes back."""
    disk = Kafka() if runtime == "kafka" else Embedded(tmp_path / "burstwatch.db")
    started = Run(ONE_SHARD)
    book = books_of(started._stages)[1]
    dropped = 0
    for state in days(started, range(40)):
        disk.save(book, state)
        if state.series.forgotten.series_dropped > dropped:
            dropped = state.series.forgotten.series_dropped
            fresh = books_of(started._stages)[1]
            pages = disk.load()
            assert not_of_rows(pages) == not_of_rows(collected(fresh.changes(state)))
            read = books_of(started._stages)[1]
            assert codec.encode(read.load(pages)) == codec.encode(state)
            assert not pages, "pages that belong to nothing"
            book = read
    assert dropped > 2


def test_no_hold_points_to_another_series_when_rows_are_dropped() -> None:
    started = Run(ONE_SHARD)
    *_, state = days(started, range(9))
    series = state.series
    held = next(n for n, name in enumerate(series.series.names) if name.values[-1] == "session-0-3")
    holds = series.held.holds
    one = {name: np.zeros(1, getattr(holds, name).dtype) for name in holds._fields}
    series.held.holds = holds._replace(**{**one, "series": np.array([held], np.int32)})
    forgetting.begin_day(series, 10**6, 10**6 * MINUTES_PER_DAY)
    (still,) = series.held.holds.series.tolist()
    assert series.series.names[still].values == ("bot", "session-0-3")
    assert series.series.names[series.series.whole[still]].values == ("bot",), "the service that it is a part of stays"
    assert len(series.series.names) < 10
