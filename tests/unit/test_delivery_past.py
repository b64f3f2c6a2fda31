"""What is of the past is held back, and told of once: the same on both outboxes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from detectors.events import Alert
from detectors.state.pages import collected
from streams.delivery.outbox import Outbox, Outcome
from streams.delivery.past import CatchingUp, DigestSettings, Held, sort_out
from streams.delivery.sqlite_outbox import SqliteOutbox
from streams.kafka.deliver import KafkaOutbox
from streams.notifiers.digest import MOST_SHOWN, Digest, digest_of, message_of_digest
from tests.contracts.alerts import FIRING, RESOLVED, UPDATED, another

SENT = Outcome("delivered", None, "ok", 1)
HOUR = 3600.0
SETTINGS = DigestSettings(after_minutes=60, settle_seconds=60)
NOW = FIRING.time.timestamp() + 10 * HOUR

Raise = Callable[..., None]


def over(alert: Alert) -> Alert:
    """The end of an alert's incident."""
    return msgspec.structs.replace(RESOLVED, alert_id=alert.alert_id, sequence=9)


def fresh(alert: Alert) -> Alert:
    """The same word, raised as it happens."""
    return msgspec.structs.replace(alert, time=msgspec.convert(NOW - 60, type(alert.time), strict=False), sequence=8)


def receivers_of(alert: Alert, told: Sequence[str]) -> Sequence[str]:
    return told or ("pager", "slack")


async def save() -> None:
    """It is in memory."""


@pytest.fixture(params=["embedded", "kafka"])
def outbox_and_raise(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Outbox, Raise]]:
    """An outbox ten hours after the alerts, and how alerts come into it."""
    if request.param == "kafka":
        on_kafka = KafkaOutbox(receivers_of, save, SETTINGS.is_past, lambda: NOW)

        def take(*alerts: Alert) -> None:
            for alert in alerts:
                on_kafka.take(msgspec.json.encode(alert))

        yield on_kafka, take
        return
    in_file = SqliteOutbox(tmp_path / "state.db", receivers_of, lambda: NOW, SETTINGS.is_past)
    runtime = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    in_file.prepare(runtime)
    yield in_file, lambda *alerts: in_file.insert(runtime, alerts)
    in_file.close()
    runtime.close()


async def told_to(outbox: Outbox, receiver: str) -> list[Alert | Digest]:
    """Deliver all that is due to a receiver; return it."""
    told = []
    while (pending := await outbox.next_for(receiver)) is not None:
        await outbox.intend(pending)
        await outbox.settle(pending, SENT)
        told.append(pending.alert)
    return told


async def test_what_is_over_comes_as_one_digest_and_what_is_open_as_always(
    outbox_and_raise: tuple[Outbox, Raise],
) -> None:
    outbox, come = outbox_and_raise
    come(FIRING, another(1), UPDATED, over(FIRING), another(2), over(another(1)))
    assert await outbox.next_for("pager") is None
    assert await outbox.newest_held() == RESOLVED.time.timestamp()

    await outbox.let_go()

    for receiver in ("pager", "slack"):
        *alerts, digest = await told_to(outbox, receiver)
        assert alerts == [another(2)]
        assert isinstance(digest, Digest)
        assert {past.alert_id for past in digest.incidents} == {FIRING.alert_id, another(1).alert_id}
    assert await outbox.newest_held() is None


async def test_what_was_told_before_the_outage_is_told_to_its_end(outbox_and_raise: tuple[Outbox, Raise]) -> None:
    outbox, come = outbox_and_raise
    come(fresh(FIRING))
    assert await told_to(outbox, "pager") == [fresh(FIRING)]
    come(over(FIRING))
    assert await told_to(outbox, "pager") == [over(FIRING)], "or the pager's incident would stay open for ever"


async def test_a_fresh_word_waits_behind_those_of_its_incident_that_are_held(
    outbox_and_raise: tuple[Outbox, Raise],
) -> None:
    outbox, come = outbox_and_raise
    come(FIRING, fresh(UPDATED))
    assert await outbox.next_for("pager") is None
    assert await outbox.newest_held() == NOW - 60, "which ends the catching up"
    await outbox.let_go()
    assert await told_to(outbox, "pager") == [FIRING, fresh(UPDATED)]


async def test_a_digest_that_was_in_flight_at_a_crash_is_a_possible_duplicate(tmp_path: Path) -> None:
    before, after = (KafkaOutbox(receivers_of, save, SETTINGS.is_past, lambda: NOW) for _ in range(2))
    before.take(msgspec.json.encode(FIRING))
    before.take(msgspec.json.encode(over(FIRING)))
    await before.let_go()
    pending = await before.next_for("pager")
    assert pending is not None
    await before.intend(pending)

    after.load(collected(before.changes()))

    again = await after.next_for("pager")
    assert again is not None
    assert (again.alert, again.possible_duplicate) == (pending.alert, True)


def test_where_nothing_is_to_be_gathered_nothing_is_of_the_past() -> None:
    assert SETTINGS.is_past(FIRING, NOW)
    assert not SETTINGS.is_past(FIRING, FIRING.time.timestamp() + HOUR)
    assert not DigestSettings(after_minutes=None).is_past(FIRING, NOW)


@pytest.mark.parametrize(
    ("faster_than_the_clock", "seconds_held"),
    [(3600, 10), (180, 190), (1, 60), (0, 60)],
    ids=["fast", "slow", "a source that is late by its nature", "the data ended long ago"],
)
def test_catching_up_ends_near_the_clock_or_where_it_comes_no_nearer(
    faster_than_the_clock: int, seconds_held: int
) -> None:
    catching_up, held = CatchingUp(), 0
    while not catching_up.is_over(SETTINGS, NOW - 10 * HOUR + held * faster_than_the_clock, NOW + held):
        held += 10
    assert held == seconds_held


def test_a_digest_of_many_lists_the_dearest_and_counts_the_rest() -> None:
    ends = [msgspec.structs.replace(over(another(n)), excess_usd=float(n)) for n in range(MOST_SHOWN + 3)]
    digest = digest_of(ends)
    message = message_of_digest(digest, possible_duplicate=True)
    assert (digest.count, len(digest.incidents)) == (MOST_SHOWN + 3, MOST_SHOWN)
    assert digest.incidents[0].alert_id == ends[-1].alert_id
    assert message.headline == "While catching up: 15 incidents, over by now, $105 above expected"
    assert message.facts[-1].text == "3 more that cost less"
    assert "may have been sent before" in message.footer
    assert digest_of(ends[::-1]).alert_id == digest.alert_id


def test_the_last_word_tells_whether_an_incident_is_over() -> None:
    words = [Held(0, "pager", FIRING), Held(1, "slack", FIRING), Held(2, "pager", RESOLVED)]
    sorted_out = sort_out(words)
    assert sorted_out.digested == {0, 2}
    assert list(sorted_out.digests) == ["pager"]
