"""What the report counts and draws: gathered incidents, the expected level, spend by place, words and round numbers."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from detectors.frame import COST, MEASURES
from detectors.minutes.spends import Spend
from detectors.watch.reports import MinuteReport
from streams.report import SpendCounter
from streams.report.bars import waterfall
from streams.report.incidents import MOST_BUCKETS, expected_by_minute, gather, picture_of, without_echoes
from streams.report.markup import html
from streams.report.plot import nice_top, time_ticks
from streams.wording import usd
from tests.unit.reported import START_MINUTE, TWO_DAYS, alert, deployment, flat, incident, life, spend


def test_alerts_of_one_id_are_one_incident_whatever_their_order() -> None:
    found = gather(list(reversed(life())))
    assert [one.alert_id for one in found] == ["bw-1"]
    assert [a.state for a in found[0].alerts] == ["firing", "updated", "resolved"]


def test_pages_come_before_tickets_what_burns_before_what_is_over_and_the_dearest_first() -> None:
    alerts = [
        alert(alert_id="ticket", severity="ticket", excess_usd=900.0),
        alert(alert_id="cheap", state="resolved", excess_usd=1.0),
        alert(alert_id="dear", state="resolved", excess_usd=2.0),
        alert(alert_id="burning", excess_usd=0.5),
    ]
    assert [one.alert_id for one in gather(alerts)] == ["burning", "dear", "cheap", "ticket"]


def test_a_model_that_moved_with_a_service_adds_no_dollars() -> None:
    model = incident(alert_id="bw-2", scope={"model": "gpt"})
    assert without_echoes([incident(), model]) == [incident()]


def test_a_model_that_moved_at_another_time_adds_its_dollars() -> None:
    later = incident(alert_id="bw-2", scope={"model": "gpt"}, onset=alert().onset + timedelta(days=1))
    later = type(later)(tuple(msgspec.structs.replace(a, time=a.time + timedelta(days=1)) for a in later.alerts))
    assert without_echoes([incident(), later]) == [incident(), later]


def test_what_lies_between_the_lines_is_the_excess_that_was_told() -> None:
    expected = expected_by_minute(flat(), START_MINUTE, incident())
    assert (flat() - expected).sum() == pytest.approx(50.0)


def test_between_two_alerts_the_excess_follows_the_spend() -> None:
    observed = flat()
    observed[1510:1520] = 5.0
    above = observed - expected_by_minute(observed, START_MINUTE, incident())
    assert above[1510] == pytest.approx(5 * above[1505])
    assert above[1501:1561].sum() == pytest.approx(30.0)


def test_outside_of_the_incident_nothing_is_expected_but_what_was_observed() -> None:
    above = flat() - expected_by_minute(flat(), START_MINUTE, incident())
    assert not above[:1490].any()
    assert not above[1601:].any()


@given(
    rate=st.floats(0.0, 5.0),
    excess=st.lists(st.floats(0.0, 400.0), min_size=3, max_size=3).map(sorted),
    onset=st.integers(-50, 1500),
)
def test_expected_is_never_negative_nor_above_observed_whatever_is_told(
    rate: float, excess: list[float], onset: int
) -> None:
    one = incident(onset=alert(onset).time)
    told = tuple(msgspec.structs.replace(a, excess_usd=e) for a, e in zip(one.alerts, excess, strict=True))
    observed = flat(rate)
    expected = expected_by_minute(observed, START_MINUTE, type(one)(told))
    assert (expected >= -1e-12).all()
    assert (expected <= observed + 1e-12).all()
    assert (observed - expected).sum() <= excess[-1] + 1e-6


@given(lasted=st.integers(0, 9 * 1440), onset=st.integers(0, 3 * 1440))
def test_a_picture_holds_the_incident_in_a_bounded_number_of_buckets(lasted: int, onset: int) -> None:
    one = type(incident())((alert(onset + lasted, onset=alert(onset).time),))
    picture = picture_of(one, spend(bot=flat(minutes=14 * 1440)), [deployment()])
    assert picture is not None
    assert 0 < len(picture.observed) <= MOST_BUCKETS
    assert picture.first_minute <= START_MINUTE + onset
    assert picture.end_minute > START_MINUTE + onset + lasted
    assert picture.observed.mean() == pytest.approx(1.0)


def test_the_picture_reaches_back_to_the_deployment_that_is_named() -> None:
    picture = picture_of(incident(), spend(), [deployment(time=alert(900).time)])
    assert picture is not None
    assert picture.first_minute <= START_MINUTE + 900


def test_a_service_is_drawn_whole_and_a_model_over_all_teams() -> None:
    money = spend(bot=flat(2.0), other=flat(3.0))
    assert money.of({"team": "owner", "service": "bot", "principal": "bot/api"}).mean() == pytest.approx(2.0)
    assert money.of({"team": "owner", "model": "gpt"}).mean() == pytest.approx(5.0)
    assert money.of({"team": "search"}).mean() == pytest.approx(5.0)
    assert money.of({}).mean() == pytest.approx(5.0)
    assert money.of({"service": "unknown"}).sum() == 0


KEY = ("search", "bot", "production", "init", "", "openai", "gpt", "")


def report_of(minute: int, rows: list[tuple[int, int]]) -> MinuteReport:
    values = np.zeros((len(MEASURES), len(rows)), np.int64)
    values[COST] = [nano for _, nano in rows]
    at = np.array([m for m, _ in rows], np.int32)
    return MinuteReport(0, minute, minute, None, Spend([KEY], np.zeros(len(rows), np.int32), at, values), [])


def test_spend_is_counted_in_the_minute_that_it_belongs_to_whatever_the_order_of_reports() -> None:
    reports = [report_of(100, [(100, 10**9)]), report_of(105, [(105, 2 * 10**9), (100, 5 * 10**8)])]
    for order in (reports, reports[::-1]):
        counter = SpendCounter()
        for one in order:
            counter.add(one)
        counter.add(MinuteReport(0, 106, 106, None, None, []))
        counted = counter.by_minute()
        assert (counted.first_minute, counted.end_minute) == (100, 106)
        assert counted.of({"service": "bot"}).tolist() == [1.5, 0, 0, 0, 0, 2.0]


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(-1e4, 1e4), min_size=1))
def test_a_waterfall_names_every_part_that_can_be_seen(parts: dict[str, float]) -> None:
    largest = max(map(abs, parts.values()))
    assume(largest > 0.01)
    bars = waterfall(parts)
    assert bars is not None
    for name, amount in parts.items():
        assert (f">{name}<" in html(bars)) == (abs(amount) >= 0.02 * largest)


@given(st.floats(1e-9, 1e9))
def test_the_top_of_a_picture_is_a_few_round_steps_above_what_it_shows(largest: float) -> None:
    top, step = nice_top(largest)
    assert largest <= top * (1 + 1e-9)
    assert top <= 2.5 * largest
    assert 1 <= round(top / step) <= 5
    assert f"{step:.0e}"[0] in "125"


@given(st.integers(0, 3 * 10**7), st.integers(1, 400 * 1440))
def test_moments_below_a_picture_are_few(first: int, minutes: int) -> None:
    ticks = time_ticks(first, first + minutes)
    assert len(ticks) <= 15
    assert all(first <= at < first + minutes for at, _ in ticks)


@given(st.floats(-1e9, 1e9))
def test_dollars_keep_at_least_two_digits_and_their_sign(amount: float) -> None:
    said = usd(amount)
    plain = said.replace("$", "").replace(",", "").replace("−", "-").replace("M", "e6").replace("B", "e9")
    read = float(plain)
    assert read == pytest.approx(amount, rel=0.06, abs=1e-6)


def test_the_spend_of_two_days_has_a_minute_each() -> None:
    assert spend().end_minute - spend().first_minute == TWO_DAYS
