"""The law of both outboxes: whoever heard of an incident hears all of it, for as long as there may be more of it.

And what a receiver refused is kept for as long, and sent again once for each time that somebody asks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import pytest

from detectors.events import Alert
from detectors.incidents.life import ENDED_KEPT, ENDED_KEPT_MINUTES
from detectors.state.pages import Part, collected
from streams.delivery import sqlite_outbox
from streams.delivery.outbox import DeadLetter, Outbox, Outcome
from streams.delivery.routes import Routes
from streams.delivery.sqlite_outbox import SqliteOutbox
from streams.kafka import deliver
from streams.kafka.deliver import Asked, KafkaOutbox
from streams.notifiers import ConsoleSettings
from tests.contracts.alerts import BACK, DIGEST, FIRING, OVER_AGAIN, RESOLVED, UPDATED

ROUTES = Routes(receivers={"pager": ConsoleSettings()}, default=("pager",))
KEPT = timedelta(minutes=ENDED_KEPT_MINUTES)
DECIDED = msgspec.structs.replace(OVER_AGAIN, sequence=6, resolved_because="intended, as ana said")


class Case(Protocol):
    """An outbox, and what a runtime does with it."""

    @property
    def outbox(self) -> Outbox:
        """What delivery takes from."""

    def come(self, *alerts: Alert) -> None:
        """Let alerts come in."""

    def known(self) -> int:
        """Of how many incidents anything is kept."""

    def letters(self) -> list[DeadLetter]:
        """What receivers have refused for good."""

    async def send_again(self, letters: list[DeadLetter]) -> None:
        """Ask for letters."""


class Clock:
    def __init__(self) -> None:
        self.seconds = FIRING.time.timestamp()

    def __call__(self) -> float:
        return self.seconds


class OnKafka:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.pages: dict[str, bytes | None] = {}
        self.noted: list[bytes] = []
        self.outbox = self._new()

    def _new(self) -> KafkaOutbox:
        return KafkaOutbox(ROUTES.receivers_of, self.save, clock=self.clock)

    async def save(self) -> None:
        self.pages.update(self.outbox.changes())
        self.noted += self.outbox.notes()

    def come(self, *alerts: Alert) -> None:
        for alert in alerts:
            self.outbox.take(msgspec.json.encode(alert))

    def known(self) -> int:
        """Of what another worker would begin with."""
        self.pages.update(self.outbox.changes())
        parts: list[Part] = [(name, page) for name, page in self.pages.items() if page is not None]
        after = self._new()
        after.load(collected(parts))
        self.outbox = after
        return sum(name.startswith("incident/") for name, _ in parts)

    def letters(self) -> list[DeadLetter]:
        """As another worker would begin with."""
        self.known()
        return self.outbox.dead_letters()

    async def send_again(self, letters: list[DeadLetter]) -> None:
        await self.outbox.send_again([Asked(letter.number, letter.at_seconds) for letter in letters])


class InFile:
    def __init__(self, path: Path, clock: Clock) -> None:
        self.outbox = SqliteOutbox(path, ROUTES.receivers_of, clock)
        self.runtime = sqlite3.connect(path, isolation_level=None)
        self.runtime.execute("PRAGMA journal_mode = WAL")
        self.outbox.prepare(self.runtime)

    def come(self, *alerts: Alert) -> None:
        self.runtime.execute("BEGIN IMMEDIATE")
        self.outbox.insert(self.runtime, alerts)
        self.runtime.execute("COMMIT")

    def known(self) -> int:
        tables = ("deliveries", "memos", "ended")
        asked = " UNION ".join(f"SELECT alert_id FROM {table}" for table in tables)
        return len(self.runtime.execute(asked).fetchall())

    def letters(self) -> list[DeadLetter]:
        return self.outbox.dead_letters()

    async def send_again(self, letters: list[DeadLetter]) -> None:
        self.outbox.send_again(letters)

    def close(self) -> None:
        self.outbox.close()
        self.runtime.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["embedded", "kafka"])
def case(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Case]:
    if request.param == "kafka":
        yield OnKafka(clock)
        return
    in_file = InFile(tmp_path / "state.db", clock)
    yield in_file
    in_file.close()


async def told(case: Case) -> list[tuple[str, int]]:
    """Deliver what is due to the pager; return each incident with the number of its word."""
    words = []
    while (pending := await case.outbox.next_for("pager")) is not None:
        await case.outbox.settle(pending, Outcome("delivered", {"ts": pending.alert.alert_id}, "ok", 1))
        words.append((pending.alert.alert_id, pending.alert.sequence))
    return words


async def refuse(case: Case, *sequences: int, possible_duplicate: bool = False) -> None:
    """Let the pager refuse some words, and take the others."""
    while (pending := await case.outbox.next_for("pager")) is not None:
        status: Literal["dead", "delivered"] = "dead" if pending.alert.sequence in sequences else "delivered"
        await case.outbox.settle(pending, Outcome(status, None, "HTTP 401", 1, possible_duplicate))


def after(alert: Alert, later: timedelta, alert_id: str = FIRING.alert_id) -> Alert:
    return msgspec.structs.replace(alert, time=alert.time + later, alert_id=alert_id)


async def test_who_was_told_of_the_end_hears_that_it_came_back_that_it_ended_again_and_what_was_decided(
    case: Case,
) -> None:
    for alert in (FIRING, RESOLVED, BACK, OVER_AGAIN, DECIDED):
        case.come(alert)
        assert await told(case) == [(FIRING.alert_id, alert.sequence)]
        assert case.known() == 1


async def test_the_memo_of_an_incident_outlives_its_end(case: Case) -> None:
    case.come(FIRING, RESOLVED)
    await told(case)
    case.known()
    case.come(BACK)
    pending = await case.outbox.next_for("pager")
    assert pending is not None
    assert pending.memo == {"ts": FIRING.alert_id}


@pytest.mark.parametrize(("minutes_more", "known"), [(-1, 2), (0, 1)])
async def test_an_incident_is_known_until_it_can_neither_come_back_nor_be_decided_on(
    case: Case, minutes_more: int, known: int
) -> None:
    case.come(FIRING, RESOLVED)
    await told(case)
    later = KEPT + timedelta(minutes=minutes_more)
    case.come(after(FIRING, later, "bw-other"))
    assert case.known() == 2, "as detection, it forgets when another incident ends"
    case.come(after(RESOLVED, later, "bw-other"))
    await told(case)
    assert case.known() == known


async def test_what_came_back_is_kept_from_its_last_end(case: Case) -> None:
    case.come(FIRING, RESOLVED, BACK, after(OVER_AGAIN, KEPT / 2))
    case.come(after(FIRING, KEPT, "bw-other"), after(RESOLVED, KEPT, "bw-other"))
    await told(case)
    case.come(after(DECIDED, KEPT))
    assert await told(case) == [(FIRING.alert_id, DECIDED.sequence)]


async def test_what_nobody_has_taken_yet_is_kept_however_long(case: Case) -> None:
    case.come(FIRING, RESOLVED)
    case.come(after(FIRING, 2 * KEPT, "bw-other"), after(RESOLVED, 2 * KEPT, "bw-other"))
    assert (FIRING.alert_id, RESOLVED.sequence) in await told(case)


async def test_of_very_many_that_are_over_the_newest_are_kept(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (deliver, sqlite_outbox):
        assert module.ENDED_KEPT == ENDED_KEPT, "as detection does"
        monkeypatch.setattr(module, "ENDED_KEPT", 3)
    for number in range(6):
        case.come(*(after(alert, timedelta(minutes=number), f"bw-{number}") for alert in (FIRING, RESOLVED)))
        await told(case)
        assert case.known() == min(number + 1, 3)


@pytest.mark.parametrize(
    ("words", "refused", "again"),
    [
        ([FIRING], [1], [1]),
        ([FIRING, UPDATED], [1], [1]),
        ([FIRING, UPDATED], [1, 2], [1, 2]),
        ([FIRING, RESOLVED], [1], []),
        ([FIRING, RESOLVED], [1, 3], [3]),
        ([FIRING, RESOLVED, BACK], [1, 3], [1, 3]),
        ([FIRING, RESOLVED, BACK, OVER_AGAIN, DECIDED], [1, 3, 5], []),
        ([FIRING, RESOLVED, BACK, OVER_AGAIN, DECIDED], [3, 5, 6], [6]),
    ],
    ids=["open", "told of since", "refused since", "over", "over, and refused too", "back", "decided", "all refused"],
)
async def test_what_was_refused_is_sent_again_and_of_what_is_over_the_end_alone(
    case: Case, words: list[Alert], refused: list[int], again: list[int]
) -> None:
    case.come(*words)
    await refuse(case, *refused)
    letters = case.letters()
    assert [letter.alert.sequence for letter in letters] == refused
    assert [letter.alert.sequence for letter in letters if not letter.is_over] == again

    await case.send_again(letters)

    assert case.letters() == [], "what is over is settled by its end"
    assert await told(case) == [(FIRING.alert_id, sequence) for sequence in again]


async def test_an_ask_that_comes_twice_or_late_does_nothing(case: Case) -> None:
    case.come(FIRING)
    await refuse(case, FIRING.sequence)
    first = case.letters()
    await case.send_again(first + first)
    await case.send_again(first)
    assert await told(case) == [(FIRING.alert_id, FIRING.sequence)]
    await case.send_again(first)
    assert await told(case) == []


async def test_an_ask_for_what_was_refused_once_more_since_does_nothing(case: Case, clock: Clock) -> None:
    case.come(FIRING)
    await refuse(case, FIRING.sequence)
    first = case.letters()
    await case.send_again(first)
    clock.seconds += 1
    await refuse(case, FIRING.sequence)
    (second,) = case.letters()
    assert (second.number, second.attempts) == (first[0].number, 2)

    await case.send_again(first)

    assert await told(case) == []
    await case.send_again([second])
    assert await told(case) == [(FIRING.alert_id, FIRING.sequence)]


async def test_words_that_are_sent_again_come_before_later_ones_of_their_incident(case: Case) -> None:
    case.come(FIRING)
    await refuse(case, FIRING.sequence)
    case.come(UPDATED)
    await case.send_again(case.letters())
    assert await told(case) == [(FIRING.alert_id, FIRING.sequence), (FIRING.alert_id, UPDATED.sequence)]


async def test_what_was_refused_is_forgotten_with_its_incident(case: Case) -> None:
    case.come(FIRING, RESOLVED)
    await refuse(case, RESOLVED.sequence)
    case.come(after(FIRING, KEPT, "bw-other"))
    await told(case)
    assert len(case.letters()) == 1
    case.come(after(RESOLVED, KEPT, "bw-other"))
    await told(case)
    assert case.letters() == []
    assert case.known() == 1


def kafka_outbox(clock: Clock, is_past: bool = False) -> KafkaOutbox:
    async def save() -> None:
        """It is in memory."""

    return KafkaOutbox(ROUTES.receivers_of, save, lambda alert, now: is_past, clock)


async def test_what_may_have_arrived_before_it_was_refused_is_marked_when_it_is_sent_again() -> None:
    case = OnKafka(Clock())
    case.come(FIRING)
    await refuse(case, FIRING.sequence, possible_duplicate=True)
    await case.send_again(case.letters())
    pending = await case.outbox.next_for("pager")
    assert pending is not None
    assert pending.possible_duplicate


async def test_a_digest_that_was_refused_is_sent_again_and_forgotten_in_time() -> None:
    clock = Clock()
    outbox = kafka_outbox(clock, is_past=True)
    outbox.take(msgspec.json.encode(FIRING))
    outbox.take(msgspec.json.encode(RESOLVED))
    await outbox.let_go()
    for _ in range(2):
        pending = await outbox.next_for("pager")
        assert pending is not None
        assert isinstance(pending.alert, type(DIGEST))
        await outbox.settle(pending, Outcome("dead", None, "HTTP 401", 1))
        (letter,) = outbox.dead_letters()
        if not letter.is_over and letter.attempts == 1:
            await outbox.send_again([Asked(letter.number, letter.at_seconds)])
    assert letter.attempts == 2
    clock.seconds += KEPT.total_seconds()
    outbox.take(msgspec.json.encode(after(RESOLVED, timedelta(0), "bw-other")))
    assert outbox.dead_letters() == []


async def test_of_very_many_that_were_refused_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "REFUSED_KEPT", 3)
    case = OnKafka(Clock())
    for number in range(5):
        case.come(after(FIRING, timedelta(0), f"bw-{number}"))
        case.clock.seconds += 1
        await refuse(case, FIRING.sequence)
    assert [letter.alert.alert_id for letter in case.letters()] == ["bw-2", "bw-3", "bw-4"]
    assert len(case.noted) == 5, "the topic is told of each"


def test_the_last_word_of_each_incident_is_known_as_long_as_it_is_and_which_are_open() -> None:
    case = OnKafka(Clock())
    case.come(FIRING, after(FIRING, timedelta(0), "bw-other"), UPDATED, RESOLVED)
    assert case.known() == 2
    assert {(word.alert_id, word.state) for word in case.outbox.last_words()} == {
        (FIRING.alert_id, "resolved"),
        ("bw-other", "firing"),
    }
    assert case.outbox.open_incidents() == {"bw-other"}


async def test_a_state_that_an_older_version_wrote_is_read() -> None:
    older = {"receivers": ["pager"], "memos": {}, "resolved": False, "resolved_at": 0.0}
    entry = {"number": 0, "receiver": "pager", "alert": FIRING, "alert_id": FIRING.alert_id, "came": 1.0}
    pages = {
        f"incident/{FIRING.alert_id}": [msgspec.json.encode(older)],
        "entry/000000000000": [msgspec.json.encode(entry)],
        "count": [b"1"],
    }
    outbox = kafka_outbox(Clock())
    outbox.load(pages)
    assert outbox.last_words() == []
    assert outbox.open_incidents() == {FIRING.alert_id}
    pending = await outbox.next_for("pager")
    assert pending is not None
    await outbox.settle(pending, Outcome("dead", None, "HTTP 401", 1))
    assert [letter.is_over for letter in outbox.dead_letters()] == [False]
