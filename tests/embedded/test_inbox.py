"""The way in: durable before the answer, many requests a commit, bounded."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from detectors.intake.admission import IntakeSettings
from detectors.intake.prices import PriceTable
from detectors.intake.raw import Kind, RawMessage
from detectors.intake.stage import Intake, IntakeOutput
from streams.embedded.inbox import DurableInbox
from streams.embedded.store import Store
from streams.sources.http import InboxUnavailableError


class CountingStore(Store):
    """Knows how many commits the inbox took."""

    commits = 0

    def append(self, rows: Sequence[tuple[Kind, float, bytes]]) -> None:
        self.commits += 1
        super().append(rows)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CountingStore]:
    store = CountingStore(tmp_path / "state.db", lambda connection: None, lambda connection, alerts: None)
    yield store
    store.close()


def inspect(messages: Sequence[RawMessage]) -> IntakeOutput:
    intake = Intake(IntakeSettings(shards=1), PriceTable(lambda provider, model, day: None))
    return intake.step(intake.start(), messages)[1]


def inbox_of(store: Store, max_bytes: int = 1_000_000) -> DurableInbox:
    return DurableInbox(store, inspect, max_bytes, lambda: None, lambda trouble: None)


async def test_many_requests_share_one_commit(store: CountingStore) -> None:
    inbox = inbox_of(store)
    running = asyncio.create_task(inbox.run())
    await asyncio.gather(*(inbox.put("usage", [b"%d" % number]) for number in range(200)))
    inbox.stop()
    await running
    assert len(store.inbox_after(0, 1000)) == 200
    assert store.commits <= 3


async def test_a_full_inbox_refuses_and_what_was_taken_stays(store: CountingStore) -> None:
    inbox = inbox_of(store, max_bytes=250)
    running = asyncio.create_task(inbox.run())
    await inbox.put("usage", [b"x" * 100, b"y" * 100])
    with pytest.raises(InboxUnavailableError, match="2 events wait") as refusal:
        await inbox.put("usage", [b"z" * 100])
    assert refusal.value.retry_after_seconds > 0
    inbox.stop()
    await running
    assert store.waiting.events == 2


async def test_requests_that_wait_for_the_same_commit_count_against_the_limit(store: CountingStore) -> None:
    inbox = inbox_of(store, max_bytes=250)
    first = asyncio.create_task(inbox.put("usage", [b"x" * 200]))
    await asyncio.sleep(0)
    with pytest.raises(InboxUnavailableError):
        await inbox.put("usage", [b"y" * 200])
    running = asyncio.create_task(inbox.run())
    await first
    inbox.stop()
    await running


async def test_a_sender_that_goes_away_harms_no_other(store: CountingStore) -> None:
    inbox = inbox_of(store)
    gone = asyncio.create_task(inbox.put("usage", [b"1"]))
    stays = asyncio.create_task(inbox.put("usage", [b"2"]))
    await asyncio.sleep(0)
    gone.cancel()
    running = asyncio.create_task(inbox.run())
    await stays
    inbox.stop()
    await running
    assert [row.payload for row in store.inbox_after(0, 10)] == [b"1", b"2"]


async def test_a_stop_commits_what_has_gathered(store: CountingStore) -> None:
    inbox = inbox_of(store)
    last = asyncio.create_task(inbox.put("usage", [b"1"]))
    await asyncio.sleep(0)
    inbox.stop()
    await inbox.run()
    await last
    assert store.waiting.events == 1
