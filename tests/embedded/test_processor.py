"""Inbox to checkpoint: an event that breaks a stage is set apart, everything else counts."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from detectors.events import Alert
from detectors.intake.admission import IntakeSettings
from detectors.intake.prices import PriceTable
from detectors.intake.raw import RawMessage
from detectors.intake.stage import Intake, IntakeOutput, IntakeState
from streams.app import Stages, build_stages, plan_of
from streams.configuration.settings import find_folder, load
from streams.delivery.routes import Routes
from streams.delivery.sqlite_outbox import SqliteOutbox
from streams.embedded.processor import Configuration, PoisonError, Processor
from streams.embedded.store import Store
from streams.metrics import Metrics

POISON = b"poison"


class Fragile(Intake):
    """Breaks half way through a step that holds poison, as a fault of ours would."""

    def step(self, state: IntakeState, messages: Sequence[RawMessage]) -> tuple[IntakeState, IntakeOutput]:
        if any(POISON in message.payload for message in messages):
            state.high_minute[0] = 2**30
            raise ZeroDivisionError("a fault of ours")
        return super().step(state, messages)


def fragile_stages() -> Stages:
    settings = load(find_folder(None))
    prices = PriceTable(lambda provider, model, day: None)
    return msgspec.structs.replace(
        build_stages(plan_of(settings, shards=1), prices), intake=Fragile(IntakeSettings(shards=1), prices)
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    outbox = SqliteOutbox(tmp_path / "state.db", lambda alert, told: ["nobody"], lambda: 0.0)
    store = Store(tmp_path / "state.db", outbox.prepare, outbox.insert)
    yield store
    store.close()


def processor_of(store: Store, metrics: Metrics | None = None) -> Processor:
    detectors = tuple(detector.title for detector in plan_of(load(find_folder(None))).detectors if not detector.pooled)
    configuration = Configuration(fragile_stages, detectors, 1440, Routes(receivers={}, default=()))
    metrics = metrics or Metrics("1", "embedded")
    return Processor(store, configuration, metrics, checkpoint_seconds=1.0, idle_seconds=60.0)


def event(number: int, principal: str = "") -> bytes:
    minute = f"2026-10-01T{number // 60:02}:{number % 60:02}:00Z"
    given = {"id": f"e{number}", "time": minute, "source": "s", "service": "bot", "model": "m", "principal": principal}
    return json.dumps({**given, "requests": 1, "cost_usd": 0.5}).encode()


def put(store: Store, payloads: list[bytes]) -> None:
    store.append([("usage", 1_790_900_000.0, payload) for payload in payloads])


def run_dry(processor: Processor, store: Store) -> None:
    while store.waiting.events:
        if not processor.turn():
            processor.checkpoint()


@pytest.mark.parametrize("place", [0, 1, 63, 100])
def test_an_event_that_breaks_a_stage_is_set_apart_and_the_others_count(store: Store, place: int) -> None:
    payloads = [event(number) for number in range(101)]
    payloads[place] = event(place, principal=POISON.decode())
    put(store, payloads)
    run_dry(processor_of(store), store)
    saved = store.load()
    assert saved is not None
    assert (saved.totals.taken, saved.totals.rejected) == (100, 1)
    assert saved.totals.spend_nano == 99 * 500_000_000  # the last minute is still open
    asked = "SELECT reason, sequence, payload FROM rejected"
    assert store._connection.execute(asked).fetchall() == [("poisonous", place + 1, payloads[place])]


def test_when_everything_breaks_the_processor_gives_up_and_keeps_the_rest(store: Store) -> None:
    put(store, [event(number, principal=POISON.decode()) for number in range(100)])
    processor = processor_of(store)
    with pytest.raises(PoisonError, match="a fault of ours"):
        run_dry(processor, store)
    assert store.waiting.events + store.rejected_count() == 100
    assert store.waiting.events >= 79


def test_the_series_that_are_held_are_shown_and_after_a_restart_too(store: Store) -> None:
    put(store, [event(1, principal="key-1"), event(2, principal="key-2"), event(3)])
    processor = processor_of(store)
    run_dry(processor, store)
    for one in (processor, processor_of(store)):
        assert one._metrics.values()["burstwatch_series", ()] == 4, "the service, two principals, a model"


def test_a_restart_goes_on_where_the_last_checkpoint_was(store: Store) -> None:
    put(store, [event(number) for number in range(50)])
    first = processor_of(store)
    first.turn()
    first.checkpoint()
    put(store, [event(number) for number in range(50, 100)])
    first.turn()  # and the process ends here, without a checkpoint
    run_dry(processor_of(store), store)
    saved = store.load()
    assert saved is not None
    assert (saved.totals.taken, saved.totals.duplicate) == (100, 0)
    assert saved.totals.spend_nano == 99 * 500_000_000


def test_a_decision_goes_to_the_alert_it_names_and_one_on_no_alert_is_refused_at_once(store: Store) -> None:
    processor = processor_of(store)
    unpriced = json.dumps({**json.loads(event(1)), "cost_usd": None}).encode()
    put(store, [event(0), unpriced, event(2)])
    run_dry(processor, store)
    (ticket,) = alerts_in(store)
    said = {"time": "2026-10-01T00:02:00Z", "alert_id": ticket.alert_id, "decision": "false", "by": "ana"}
    known, unknown = (json.dumps({**said, **more}).encode() for more in ({}, {"alert_id": "bw-0000000000000000"}))

    seen = processor.inspect([RawMessage("feedback", 0, n, line) for n, line in enumerate((known, unknown))])
    assert [(reject.offset, reject.reason) for reject in seen.rejects] == [(1, "unknown_alert")]

    store.append([("feedback", 1_790_900_000.0, known), ("feedback", 1_790_900_000.0, unknown)])
    put(store, [event(3), event(4)])
    run_dry(processor, store)
    saved = store.load()
    assert saved is not None
    assert saved.totals.rejected == 1
    update = alerts_in(store)[-1]
    assert (update.alert_id, update.state) == (ticket.alert_id, "updated")
    assert update.decision is not None
    assert update.decision.by == "ana"


@pytest.mark.parametrize(("hours_behind", "closed"), [(0, 1), (25, 0)])
def test_a_pause_closes_minutes_by_the_clock_but_not_those_of_a_backfill(
    store: Store, monkeypatch: pytest.MonkeyPatch, hours_behind: int, closed: int
) -> None:
    first = datetime.fromisoformat("2026-10-01T00:00:00Z").timestamp()
    clock = SimpleNamespace(now=first + hours_behind * 3600)
    clock.monotonic = clock.time = lambda: clock.now
    monkeypatch.setattr("streams.embedded.processor.time", clock)
    metrics = Metrics("1", "embedded")
    processor = processor_of(store, metrics)
    put(store, [event(0)])
    run_dry(processor, store)
    clock.now += 1800.0
    processor.turn()
    processor.checkpoint()
    put(store, [event(1)])
    run_dry(processor, store)
    saved = store.load()
    assert saved is not None
    assert (saved.totals.spend_nano, saved.totals.rejected) == (500_000_000, 0)
    assert saved.totals.late == closed
    assert metrics.values()["burstwatch_labels", ()] == 1


def alerts_in(store: Store) -> list[Alert]:
    asked = "SELECT alert FROM deliveries ORDER BY number"
    return [msgspec.json.decode(row[0], type=Alert) for row in store._connection.execute(asked)]
