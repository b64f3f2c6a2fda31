"""Money is never negative, however large what was sent: an event that would cost too much is refused, sums are held."""

from __future__ import annotations

import json
from itertools import starmap

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import frame as f
from detectors.events import MOST_COUNTED, MOST_USD
from detectors.intake.admission import IntakeSettings
from detectors.intake.prices import PriceTable, Rates
from detectors.intake.raw import RawMessage
from detectors.intake.stage import Intake, IntakeOutput
from detectors.intake.usage_reader import UsageReader
from detectors.sums import MOST_SUM, sums_of
from tests.laws.streams import Event, Run, plan, usage_messages
from tests.laws.test_intent import planned

DEAR = Rates(5e-6, 5e-7, 6.25e-6, 25e-6, 0.001)
GIVEN: Event = {"id": "a", "time": "2026-10-01T00:00:00Z", "source": "s", "service": "bot", "model": "m"}
PLANNED = planned(1.0, match={"service": "bot"})
MONEY = [f.COST, f.LIST, f.LIST_INPUT, f.LIST_UNCACHED, f.GPU_COST]

counts = st.one_of(st.integers(0, 10**6), st.integers(0, MOST_COUNTED))
events = st.fixed_dictionaries(
    {"requests": counts, "input_tokens": counts, "output_tokens": counts, "gpu_seconds": st.floats(0, 1e9)},
    optional={"cost_usd": st.floats(0, MOST_USD), "model": st.sampled_from(["m", "nobody-priced-this"])},
)


def lookup(provider: str, model: str, day: int) -> Rates | None:
    return DEAR if model == "m" else None


def taken_in(rows: list[Event], *, scans: bool) -> IntakeOutput:
    """What intake makes of events, each in a message of its own."""
    intake = Intake(IntakeSettings(shards=1), PriceTable(lookup))
    intake._usage = UsageReader(scans=scans)
    return intake.step(intake.start(), usage_messages(rows))[1]


@pytest.mark.parametrize("scans", [True, False], ids=["scanned", "decoded"])
@pytest.mark.parametrize(
    "counted",
    [{"output_tokens": 4 * 10**14}, {"input_tokens": 10**15}, {"output_tokens": 4 * 10**14, "cost_usd": 1.0}],
)
def test_an_event_that_would_cost_too_much_is_refused_and_moves_no_clock(counted: Event, scans: bool) -> None:
    given = {**GIVEN, **counted}
    later = {**given, "id": "b", "time": "2026-10-05T00:00:00Z"}
    output = taken_in([given, later, {**GIVEN, "id": "c", "output_tokens": 100}], scans=scans)
    assert [(reject.reason, reject.offset) for reject in output.rejects] == [("out_of_range", 0), ("out_of_range", 1)]
    assert "100,000,000 USD" in output.rejects[0].detail
    assert (output.taken, output.frames[0].high_minute) == (1, int(output.frames[0].minute[0]))
    assert output.frames[0].values[f.COST].tolist() == [2_500_000]


def test_an_event_that_costs_too_much_at_a_time_that_is_none_is_refused_for_its_time() -> None:
    output = taken_in([{**GIVEN, "time": "yesterday", "output_tokens": 10**15}], scans=True)
    assert [reject.reason for reject in output.rejects] == ["bad_time"]


@given(st.lists(events, min_size=1, max_size=5))
def test_what_an_event_costs_is_neither_negative_nor_above_the_most(rows: list[Event]) -> None:
    numbered = [{**GIVEN, **row, "id": str(number)} for number, row in enumerate(rows)]
    scanned, decoded = taken_in(numbered, scans=True), taken_in(numbered, scans=False)
    assert msgspec.json.encode(scanned.rejects) == msgspec.json.encode(decoded.rejects)
    assert scanned.frames[0].values.tolist() == decoded.frames[0].values.tolist()
    money = scanned.frames[0].values[MONEY]
    assert (money >= 0).all()
    assert (money <= MOST_USD * 10**9).all()


@given(st.lists(st.one_of(st.integers(0, 99), st.integers(0, MOST_SUM)), min_size=1, max_size=40), st.randoms())
def test_sums_are_held_at_the_most_in_whatever_order(values: list[int], luck: object) -> None:
    expected = min(sum(values), MOST_SUM)
    turned = values[::-1]
    assert sums_of(np.array([values]), np.array([0])).tolist() == [[expected]]
    assert sums_of(np.array([turned]), np.array([0])).tolist() == [[expected]]
    middle = len(values) // 2
    if middle:
        halves = sums_of(np.array([values]), np.array([0, middle]))
        assert sums_of(halves, np.array([0])).tolist() == [[expected]]


def test_no_minute_books_less_than_nothing_however_many_events_cost_the_most() -> None:
    """Two hundred events of the most dollars each would be beyond 64 bits of nano-dollars."""
    dear = {"cost_usd": MOST_USD, "requests": MOST_COUNTED, "principal": "key"}
    rows = [
        {**GIVEN, **dear, "id": f"{minute}/{n}", "time": f"2026-10-01T00:{minute:02}:00Z"}
        for minute in range(3)
        for n in range(200)
    ]
    started = Run(plan(detectors=(), shards=1, initiatives=(PLANNED,)), lookup)
    started.feed([*starmap(_message, enumerate(rows))])
    started.heartbeat(0, 30_000_000)
    booked = [nano for report in started.reports if report.spend for nano in report.spend.values[f.COST].tolist()]
    assert booked == [MOST_SUM] * 3
    spending = started._incidents.lives.spending
    keys = spending.keys_in({"service": "bot"})
    assert spending.usd_last_hour(int(started.reports[2].minute), keys) == 3 * MOST_SUM / 10**9
    assert min(spending.days_of(keys).nano.values()) >= 0


def _message(number: int, event: Event) -> RawMessage:
    return RawMessage("usage", 0, number, json.dumps(event).encode())
