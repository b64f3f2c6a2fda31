"""What must hold of the whole stream: the answer depends on what happened, not on how it was carried."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from itertools import groupby

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.clock import moment_of, parse_minute
from detectors.events import Alert
from detectors.frame import COST, DIMENSIONS, INPUT, OUTPUT, REQUESTS, UNPRICED
from detectors.incidents.severity import Money, SeveritySettings
from detectors.intake.prices import PriceTable, Rates
from detectors.kinds.driver_step import DriverStep
from detectors.kinds.range_break import RangeBreak
from detectors.watch.reports import MinuteReport
from streams.app import build_stages
from tests.laws.streams import (
    DETECTORS,
    EVERY_MINUTES,
    NANO_RATES,
    SERVICES,
    START,
    Event,
    Run,
    Stream,
    cut,
    deployment_messages,
    end_of,
    plan,
    price_lookup,
    run,
    stream,
    usage_messages,
)

DAY = stream()
LONG = stream(hours=58, onset_hour=54)
SERVICE = DIMENSIONS.index("service")

few = settings(max_examples=6, deadline=None, derandomize=True)
places = st.lists(st.integers(0, len(DAY.usage)), max_size=30)


@pytest.fixture(scope="module")
def told() -> list[bytes]:
    """What the day's stream tells, in one frame."""
    return run(DAY).told


def test_the_streams_make_alerts_of_every_state() -> None:
    day, long = run(DAY).alerts, run(LONG).alerts
    assert {a.state for a in day} == {"firing", "updated", "resolved"}
    assert {a.detector for a in day} >= {"driver_step", "unpriced_model"}
    assert {a.detector for a in long} >= {"driver_step", "volume_burst", "unpriced_model"}
    assert next(a.cause.deployment_id for a in day if a.scope["service"] == "bot") == "deploy-7"


@few
@given(cuts=places)
def test_the_answer_does_not_depend_on_where_frames_are_cut(told: list[bytes], cuts: list[int]) -> None:
    assert run(DAY, cuts=cuts).told == told


def test_the_answer_does_not_change_when_every_row_is_a_frame(told: list[bytes]) -> None:
    assert run(DAY, cuts=range(len(DAY.usage))).told == told


@pytest.mark.parametrize("shards", [1, 4])
def test_the_answer_does_not_depend_on_the_number_of_shards(shards: int) -> None:
    assert run(LONG, plan(shards=shards)).told == run(LONG, plan(shards=3)).told


@few
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 90), min_size=2, max_size=20))
def test_the_answer_does_not_depend_on_how_two_raw_partitions_interleave(seed: int, sizes: list[int]) -> None:
    assert in_two_partitions(seed, sizes).told == in_two_partitions(0, [10_000]).told


def in_two_partitions(seed: int, sizes: list[int]) -> Run:
    """Run the day from two raw partitions that take turns at random, each keeping its own order."""
    halves = [[e for e in DAY.usage if (e["service"] in ("bot", "review")) == (side == 0)] for side in (0, 1)]
    left = [usage_messages(half, partition) for partition, half in enumerate(halves)]
    started = Run(plan(partitions=2))
    started.feed(deployment_messages(DAY.deployments))
    order, turn = random.Random(seed), 0
    while any(left):
        partition = order.choice([p for p in (0, 1) if left[p]])
        size = sizes[turn % len(sizes)]
        started.feed(left[partition][:size])
        left[partition] = left[partition][size:]
        turn += 1
    return started.end(end_of(DAY))


@few
@given(seed=st.integers(0, 2**32))
def test_the_answer_does_not_depend_on_the_order_of_rows_within_a_minute(told: list[bytes], seed: int) -> None:
    order, shuffled = random.Random(seed), list[Event]()
    for _, rows in groupby(DAY.usage, key=lambda event: event["time"]):
        group = list(rows)
        order.shuffle(group)
        shuffled += group
    assert shuffled != DAY.usage
    assert run(Stream(shuffled, DAY.deployments)).told == told


@few
@given(repeats=st.lists(st.tuples(st.integers(0, len(DAY.usage) - 1), st.integers(1, 40)), min_size=1, max_size=60))
def test_an_event_sent_again_counts_once(told: list[bytes], repeats: list[tuple[int, int]]) -> None:
    usage = list(enumerate(DAY.usage))
    for place, later in repeats:
        usage.append((min(place + later, len(DAY.usage) - 1), DAY.usage[place]))
    sent_again = [event for _, event in sorted(usage, key=lambda pair: pair[0])]
    again = run(Stream(sent_again, DAY.deployments))
    assert again.told == told
    distinct = len({event["id"] for event in DAY.usage})
    assert sum(report.duplicates for report in again.reports) == len(sent_again) - distinct


@few
@given(seed=st.integers(0, 2**32), cuts=places, shards=st.integers(1, 5))
def test_totals_are_exact_to_the_token_and_the_nano_dollar(seed: int, cuts: list[int], shards: int) -> None:
    order = random.Random(seed)
    late = sorted(DAY.usage, key=lambda e: parse_minute(e["time"]) + order.choice([0, 0, 0, 10, 60, 600]))
    assert totals_told(run(Stream(late, []), plan(shards=shards), cuts)) == totals_by_hand(late)


def totals_told(ended: Run) -> dict[tuple[str, str], list[int]]:
    """Requests, input and output tokens, nano-dollars and unpriced requests by service and event minute."""
    told: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 5)
    for report in ended.reports:
        if report.spend is None:
            continue
        wanted = report.spend.values[[REQUESTS, INPUT, OUTPUT, COST, UNPRICED]].T.tolist()
        for key, minute, values in zip(report.spend.key, report.spend.minute, wanted, strict=True):
            place = report.spend.keys[key][SERVICE], moment_of(int(minute)).isoformat()
            told[place] = [a + b for a, b in zip(told[place], values, strict=True)]
    return dict(told)


def totals_by_hand(events: list[Event]) -> dict[tuple[str, str], list[int]]:
    """The same in plain Python: each id once, whole numbers only."""
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 5)
    for event in {event["id"]: event for event in events}.values():
        rates = NANO_RATES.get(event["model"])
        cached, tokens_in, tokens_out = event["cached_input_tokens"], event["input_tokens"], event["output_tokens"]
        nano = (tokens_in - cached) * rates[0] + cached * rates[1] + tokens_out * rates[3] if rates else 0
        unpriced = 0 if rates else event["requests"]
        row = [event["requests"], tokens_in, tokens_out, nano, unpriced]
        place = event["service"], event["time"]
        totals[place] = [a + b for a, b in zip(totals[place], row, strict=True)]
    return dict(totals)


def test_late_rows_are_counted_as_late() -> None:
    highest, late, seen = 0, 0, set()
    for event in DAY.usage:
        minute = parse_minute(event["time"])
        highest = max(highest, minute)
        late += minute < highest and event["id"] not in seen
        seen.add(event["id"])
    assert sum(report.late for report in run(DAY).reports) == late > 0


def test_rows_within_the_allowed_lateness_change_nothing() -> None:
    in_order = sorted({e["id"]: e for e in DAY.usage}.values(), key=lambda e: (e["time"], e["id"]))
    patient = plan(lateness=3 * EVERY_MINUTES)
    assert run(DAY, patient).told == run(Stream(in_order, DAY.deployments), patient).told


@few
@given(
    hours=st.floats(1, 14.5), factor=st.sampled_from([0, 7, 50]), model=st.sampled_from(["small", "nobody-priced-this"])
)
def test_what_comes_later_never_changes_what_was_told_before(
    told: list[bytes], hours: float, factor: int, model: str
) -> None:
    minute = START + int(hours * 60)
    stamp = moment_of(minute).isoformat()
    place = next(n for n, event in enumerate(DAY.usage) if event["time"] > stamp)
    changed = [{**e, "requests": e["requests"] * factor, "errors": 0, "model": model} for e in DAY.usage[place:]]
    other = run(Stream(DAY.usage[:place] + changed, DAY.deployments))
    assert until(other.told, stamp) == until(told, stamp)


def until(told: list[bytes], stamp: str) -> list[bytes]:
    alerts = [(msgspec.json.decode(alert)["time"], alert) for alert in told]
    return [alert for time, alert in alerts if parse_minute(time) <= parse_minute(stamp)]


def test_a_deployment_told_in_advance_changes_nothing(told: list[bytes]) -> None:
    started = Run(plan())
    made = DAY.deployments[0]["time"]
    place = next(n for n, event in enumerate(DAY.usage) if event["time"] > made)
    messages = usage_messages(DAY.usage)
    started.feed(messages[:place])
    started.feed(deployment_messages(DAY.deployments))
    started.feed(messages[place:])
    assert started.end(end_of(DAY)).told == told


@few
@given(cuts=st.lists(st.integers(0, len(DAY.usage)), min_size=1, max_size=8))
def test_writing_and_reading_every_state_changes_nothing(told: list[bytes], cuts: list[int]) -> None:
    started = Run()
    started.feed(deployment_messages(DAY.deployments))
    for batch in cut(usage_messages(DAY.usage), cuts):
        started.feed(batch)
        started.restart()
    assert started.end(end_of(DAY)).told == told


def test_writing_and_reading_states_with_a_forest_in_them_changes_nothing() -> None:
    started = Run()
    started.feed(deployment_messages(LONG.deployments))
    for batch in cut(usage_messages(LONG.usage), range(0, len(LONG.usage), 300)):
        started.feed(batch)
        started.restart()
    assert started.end(end_of(LONG)).told == run(LONG).told


@few
@given(cuts=places, backs=st.lists(st.integers(0, 80), min_size=1, max_size=10))
def test_messages_delivered_again_after_a_crash_change_nothing(
    told: list[bytes], cuts: list[int], backs: list[int]
) -> None:
    started = Run()
    started.feed(deployment_messages(DAY.deployments))
    messages = usage_messages(DAY.usage)
    for n, batch in enumerate(cut(messages, cuts)):
        first, last = batch[0].offset, batch[-1].offset
        started.feed(messages[max(first - backs[n % len(backs)], 0) : last + 1])
        started.restart()
    ended = started.end(end_of(DAY))
    assert ended.told == told
    assert totals_told(ended) == totals_by_hand(DAY.usage)


def test_renaming_a_service_changes_no_score() -> None:
    """Of the kinds that judge a series by itself; which minutes the forest learns from is drawn by the name."""
    alone = tuple(d for d in DETECTORS if not d.pooled)
    new_names = {service.name: f"renamed-{9 - n}" for n, service in enumerate(SERVICES)}

    def renamed(event: Event) -> Event:
        return {**event, "service": new_names[event["service"]]}

    other = Stream([renamed(e) for e in LONG.usage], [renamed(d) for d in LONG.deployments])
    before, after = run(LONG, plan(detectors=alone)).alerts, run(other, plan(detectors=alone)).alerts
    assert len(before) > 5
    assert sorted(words(a, new_names) for a in before) == sorted(words(a, {}) for a in after)


def words(alert: Alert, new_names: dict[str, str]) -> tuple[object, ...]:
    service = alert.scope.get("service", "")
    return (
        alert.time, alert.detector, alert.state, alert.severity, new_names.get(service, service), alert.score,
        alert.p_value, alert.excess_usd, alert.observed_usd,
    )  # fmt: skip


def test_ten_times_the_price_is_ten_times_the_excess() -> None:
    """With thresholds in dollars ten times as high, and nothing else changed."""

    def dearer(provider: str, model: str, day: int) -> Rates | None:
        rates = price_lookup(provider, model, day)
        return rates and Rates(*(10 * usd for usd in msgspec.structs.astuple(rates)))

    usual, severity = (DriverStep(), RangeBreak()), SeveritySettings()
    dear_severity = SeveritySettings(
        page=Money(10 * severity.page.usd_per_hour, 10 * severity.page.excess_usd),
        ticket=Money(10 * severity.ticket.usd_per_hour),
    )
    dear = tuple(
        msgspec.structs.replace(
            d, least_excess_usd=10 * d.least_excess_usd, least_usd_per_hour=10 * d.least_usd_per_hour
        )
        for d in usual
    )
    to_its_end = stream(hours=60, onset_hour=54)
    before = run(to_its_end, plan(detectors=usual)).alerts
    after = run(to_its_end, plan(detectors=dear, severity=dear_severity), lookup=dearer).alerts
    assert len(before) > 3
    assert [(a.alert_id, a.state, a.severity, a.score) for a in before] == [
        (a.alert_id, a.state, a.severity, a.score) for a in after
    ]
    for one, ten in zip(before, after, strict=True):
        for name in ("excess_usd", "observed_usd", "usd_per_hour"):
            assert getattr(ten, name) == pytest.approx(10 * getattr(one, name), rel=1e-6, abs=1e-5)


def test_a_service_of_two_teams_gives_the_same_answer_in_any_order() -> None:
    """Whoever comes first in a minute does not name the incident."""
    shared = [{**e, "team": f"team-{e['principal']}"} for e in DAY.usage]
    turned: list[Event] = []
    for _, rows in groupby(shared, key=lambda event: event["time"]):
        turned += reversed(list(rows))
    assert run(Stream(turned, DAY.deployments)).told == run(Stream(shared, DAY.deployments)).told


def test_an_incident_of_the_whole_organisation_names_no_team() -> None:
    alerts = run(LONG).alerts
    wide = [a for a in alerts if "service" not in a.scope and a.detector == "volume_burst"]
    assert wide
    assert Counter(a.scope.get("team", "") for a in wide).keys() <= {"", "web"}


def test_stages_do_not_change_what_they_are_given() -> None:
    stages = build_stages(plan(shards=1), PriceTable(price_lookup))
    output = stages.intake.step(stages.intake.start(), usage_messages(DAY.usage))[1]
    frame = output.frames[0].encode()
    reports = stages.watches[0].step(stages.watches[0].start(), output.frames[0])[1]
    assert output.frames[0].encode() == frame
    written = [report.encode() for report in reports]
    state = stages.incidents.start()
    for report in reports:
        state = stages.incidents.step(state, report)[0]
    assert [report.encode() for report in reports] == written


def in_small_parts(report: MinuteReport) -> list[MinuteReport]:
    """Halves of halves, until there is nothing to halve."""
    halves = report.halves()
    return [report] if halves is None else [part for half in halves for part in in_small_parts(half)]


def test_a_minute_may_be_reported_in_parts() -> None:
    """As where more speak in a minute than fit a message."""
    whole = run(LONG)
    incidents = build_stages(plan(), PriceTable(price_lookup)).incidents
    state, alerts, most = incidents.start(), list[Alert](), 0
    for report in whole.reports:
        parts = in_small_parts(report)
        most = max(most, len(parts))
        assert sum(part.duplicates for part in parts) == report.duplicates
        assert [part.closed_through for part in parts[:-1]] == [report.minute - 1] * (len(parts) - 1)
        for part in parts:
            state, raised = incidents.step(state, MinuteReport.decode(part.encode()))
            alerts += raised
    assert most > 2
    assert alerts == whole.alerts


def test_equal_runs_are_equal() -> None:
    assert run(LONG).told == run(LONG).told
