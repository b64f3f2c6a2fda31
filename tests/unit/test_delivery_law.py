"""The law of both outboxes: whoever heard of an incident hears all of it, for as long as there may be more of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from detectors.events import Alert
from detectors.incidents.life import ENDED_KEPT, ENDED_KEPT_MINUTES
from detectors.state.pages import Part, collected
from streams.delivery import sqlite_outbox
from streams.delivery.outbox import Outbox, Outcome
from streams.delivery.routes import Routes
from streams.delivery.sqlite_outbox import SqliteOutbox
from streams.kafka import deliver
from streams.kafka.deliver import KafkaOutbox
from streams.notifiers import ConsoleSettings
from tests.contracts.alerts import BACK, FIRING, OVER_AGAIN, RESOLVED

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


class OnKafka:
    def __init__(self) -> None:
        self.pages: dict[str, bytes | None] = {}
        self.outbox = KafkaOutbox(ROUTES.receivers_of, self.save)

    async def save(self) -> None:
        self.pages.update(self.outbox.changes())

    def come(self, *alerts: Alert) -> None:
        for alert in alerts:
            self.outbox.take(msgspec.json.encode(alert))

    def known(self) -> int:
        """Of what another worker would begin with."""
        self.pages.update(self.outbox.changes())
        parts: list[Part] = [(name, page) for name, page in self.pages.items() if page is not None]
        after = KafkaOutbox(ROUTES.receivers_of, self.save)
        after.load(collected(parts))
        self.outbox = after
        return sum(name.startswith("incident/") for name, _ in parts)


class InFile:
    def __init__(self, path: Path) -> None:
        self.outbox = SqliteOutbox(path, ROUTES.receivers_of, FIRING.time.timestamp)
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

    def close(self) -> None:
        self.outbox.close()
        self.runtime.close()


@pytest.fixture(params=["embedded", "kafka"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "kafka":
        yield OnKafka()
        return
    in_file = InFile(tmp_path / "state.db")
    yield in_file
    in_file.close()


async def told(case: Case) -> list[tuple[str, int]]:
    """Deliver what is due to the pager; return each incident with the number of its word."""
    words = []
    while (pending := await case.outbox.next_for("pager")) is not None:
        await case.outbox.settle(pending, Outcome("delivered", {"ts": pending.alert.alert_id}, "ok", 1))
        words.append((pending.alert.alert_id, pending.alert.sequence))
    return words


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
