"""Cutting: one message that breaks intake costs nobody else anything, and no frame is too large for a message."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detectors.intake.admission import IntakeSettings
from detectors.intake.prices import PriceTable, Rates
from detectors.intake.raw import RawBatch, RawMessage
from detectors.intake.stage import Intake, IntakeState
from detectors.watch.reports import MinuteReport
from streams.kafka import cutting
from tests.laws.streams import run, stream

MESSAGES = 5000
POISONOUS = 1234


def lookup(provider: str, model: str, day: int) -> Rates | None:
    if model == "breaks":
        raise ZeroDivisionError("a price list gone wrong")
    return None


def messages() -> list[RawMessage]:
    return [
        RawMessage("usage", 0, number, json.dumps(event(number, "m")).encode(), 30_000_000)
        for number in range(MESSAGES)
    ]


def event(number: int, model: str) -> dict[str, object]:
    time = f"2025-10-01T00:{number // 100:02}:00Z"
    return {"id": str(number), "time": time, "source": "s", "service": f"bot-{number % 7}", "model": model}


@pytest.fixture
def intake() -> Intake:
    return Intake(IntakeSettings(shards=1), PriceTable(lookup))


def test_a_message_that_breaks_intake_is_rejected_with_its_bytes_and_the_others_are_taken(intake: Intake) -> None:
    given = messages()
    poison = json.dumps(event(POISONOUS, "breaks")).encode()
    given[POISONOUS] = RawMessage("usage", 0, POISONOUS, poison, 30_000_000)

    _, (cut,) = cutting.cut(intake, IntakeState({}), given)

    (reject,) = cut.output.rejects
    assert (reject.reason, reject.offset, reject.payload) == ("poisonous", POISONOUS, poison)
    assert "a price list gone wrong" in reject.detail
    assert cut.output.frames[0].offset.tolist() == [n for n in range(MESSAGES) if n != POISONOUS]


def test_frames_that_do_not_fit_are_cut_from_fewer_messages_with_the_same_rows(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    after, (whole,) = cutting.cut(intake, IntakeState({}), messages())
    monkeypatch.setattr(cutting, "LARGEST_BYTES", len(whole.frames[0]) // 3)

    after_parts, parts = cutting.cut(intake, IntakeState({}), messages())

    assert after_parts == after
    assert max(len(part.frames[0]) for part in parts) <= cutting.LARGEST_BYTES
    frame, frames = whole.output.frames[0], [part.output.frames[0] for part in parts]
    for name in ("offset", "minute", "high", "identity"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in frames]), getattr(frame, name)), name
    assert [part.first_offset for part in frames[1:]] == [part.last_offset + 1 for part in frames[:-1]]
    assert sum(part.minutes for part in parts) == whole.minutes == int(frame.minute.max() - frame.minute.min())


def test_one_message_is_not_halved_however_large(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LARGEST_BYTES", 1)
    _, parts = cutting.cut(intake, IntakeState({}), messages()[:3])
    assert [part.output.frames[0].offset.tolist() for part in parts] == [[0], [1], [2]]


def test_a_step_takes_about_as_many_messages_and_no_more_bytes_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    given = RawBatch.of(messages())
    assert [len(chunk) for chunk in cutting.chunks(given, len(given))] == [len(given)]
    assert {len(chunk) for chunk in cutting.chunks(given, len(given) // 4)} == {len(given) // 4}
    monkeypatch.setattr(cutting, "BYTES_AT_ONCE", 1000)
    chunks = list(cutting.chunks(given, len(given)))
    assert [message for chunk in chunks for message in chunk] == list(given)
    assert all(chunk.sizes().sum() <= 1000 for chunk in chunks)


def test_a_report_is_as_many_messages_as_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(stream()).reports[60]
    assert report.spend is not None
    assert len(report.spend.keys) > 1
    assert cutting.cut_report(report) == [report.encode()]
    monkeypatch.setattr(cutting, "LARGEST_BYTES", len(report.encode()) - 1)
    parts = [MinuteReport.decode(part) for part in cutting.cut_report(report)]
    assert len(parts) > 1
    assert [key for part in parts if part.spend for key in part.spend.keys] == report.spend.keys
    assert max(len(part.encode()) for part in parts) <= cutting.LARGEST_BYTES
