"""One table of laws that every kind of detector passes, for each kind by its tiny scenario."""

from __future__ import annotations

import json
import math
from typing import TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.baselines.baselines import CHANNELS, HORIZONS_MINUTES
from detectors.baselines.residuals import Residuals
from detectors.baselines.rhythm import Rhythm
from detectors.clock import MINUTES_PER_DAY, moment_of
from detectors.events import DRIVERS
from detectors.kinds import KINDS
from detectors.minutes.series import MODEL, PRINCIPAL, SERVICE
from detectors.minutes.totals import GPU, PAID, TOTALS
from detectors.state import codec
from detectors.verdicts import ANOMALOUS, NO_DEPLOYMENT, NORMAL, WARMING, Parts, Seen
from tests.laws.scenarios import SCENARIOS, Trial, build, jumped, minutes, row, warm_up, warmed
from tests.laws.streams import EVERY_MINUTES, START, Event

every_kind = pytest.mark.parametrize("kind", sorted(KINDS))
S = TypeVar("S", bound=msgspec.Struct)
few = settings(max_examples=5, deadline=None, derandomize=True)


def test_every_kind_has_a_scenario_and_every_scenario_a_kind() -> None:
    assert SCENARIOS.keys() == KINDS.keys()


@every_kind
def test_inputs_are_not_changed(kind: str) -> None:
    trial = jumped(warmed(kind), kind)
    before = codec.encode(trial.seen)
    trial.detector.step(codec.decode(codec.encode(trial.state), type(trial.state)), trial.seen)
    trial.detector.wants(trial.seen)
    assert codec.encode(trial.seen) == before


@every_kind
def test_the_same_input_gives_the_same_verdicts(kind: str) -> None:
    one, two = jumped(warmed(kind), kind), jumped(warm_up(kind), kind)
    assert said(one) == said(two)


def said(trial: Trial) -> list[bytes]:
    return [codec.encode(verdicts) for _, _, verdicts, _ in trial.spoken]


@every_kind
def test_warming_is_not_normal(kind: str) -> None:
    """A kind that needs to learn says so of a series that it does not know, and in time ends saying so."""
    statuses = statuses_of(warmed(kind).end(SCENARIOS[kind].onset))
    assert statuses[-1] == NORMAL
    if SCENARIOS[kind].warms:
        learned = statuses.index(NORMAL)
        assert learned > 0
        assert set(statuses[:learned]) == {WARMING}
        assert set(statuses[learned:]) == {NORMAL}


def statuses_of(trial: Trial) -> list[int]:
    """What was said of the first service's own series, once it was no news that it began."""
    since = START + trial.scenario.news_minutes
    return [status for minute, series, status, _ in trial.words() if minute >= since and series == "bot"]


@st.composite
def contents(draw: st.DrawFn) -> Event:
    """Any row at all, as long as it is sound."""
    requests = draw(st.integers(0, 10**6))
    tokens_in = requests * draw(st.integers(0, 5_000))
    return {
        "model": "large", "requests": requests, "input_tokens": tokens_in,
        "cached_input_tokens": int(tokens_in * draw(st.floats(0, 1))),
        "output_tokens": requests * draw(st.integers(0, 2_000)),
        "cost_usd": draw(st.none() | st.floats(0, 1e4)), "gpu_seconds": draw(st.sampled_from([0.0, 60.0])),
    }  # fmt: skip


@every_kind
@few
@given(same=contents(), deployed=st.booleans())
def test_a_constant_series_is_never_anomalous(kind: str, same: Event, deployed: bool) -> None:
    trial = Trial(kind)
    if deployed:
        trial.deploy("bot", START + 20 * 60)
    trial.span(range(START, START + 54 * 60, 3 * EVERY_MINUTES), [row("bot", same)])
    assert ANOMALOUS not in every_status_of(trial.end(START + 54 * 60))


def every_status_of(trial: Trial) -> set[int]:
    """What was said of all series of the first service, once it was no news that they began."""
    since = START + trial.scenario.news_minutes
    return {status for minute, _, status, _ in trial.words() if minute >= since}


@every_kind
def test_the_usual_of_its_scenario_is_never_anomalous(kind: str) -> None:
    trial = warmed(kind)
    onset, end = SCENARIOS[kind].onset, SCENARIOS[kind].onset + 12 * 60
    trial.span(minutes(kind, onset, end), [row("bot", SCENARIOS[kind].usual)])
    assert every_status_of(trial.end(end)) <= {WARMING, NORMAL}


@every_kind
def test_states_survive_being_written_and_read(kind: str) -> None:
    """Also while the detector is warming, and between the minutes of the jump."""
    scenario, kept, restarted = SCENARIOS[kind], Trial(kind), Trial(kind)
    for trial in (kept, restarted):
        if scenario.deployed:
            trial.deploy("bot", scenario.onset - 2)
        for n, minute in enumerate(minutes(kind, START, scenario.onset + scenario.within_minutes)):
            content = {**scenario.usual, **(scenario.jump if minute >= scenario.onset else {})}
            if trial is restarted and (n % 50 == 0 or minute >= scenario.onset):
                trial.restart()
            trial.minute(minute, [row("bot", content)])
        trial.end(minute)
    assert said(restarted) == said(kept)
    assert ANOMALOUS in {status for _, _, status, _ in kept.words()}


@every_kind
def test_state_is_bounded(kind: str) -> None:
    """Three more days of the same series make no state larger."""
    trial, usual, sizes = Trial(kind), SCENARIOS[kind].usual, []
    for day in (3, 6):
        end = START + day * MINUTES_PER_DAY
        trial.span(range(end - 3 * MINUTES_PER_DAY, end, 2 * EVERY_MINUTES), [row("bot", usual), row("search", usual)])
        sizes.append(trial.end(end).state_bytes)
    assert sizes[1] <= sizes[0] * 1.02


@every_kind
def test_what_a_detector_remembers_is_bounded(kind: str) -> None:
    """However many rows it may learn from."""
    detector, luck, sizes = build(kind), np.random.default_rng(0), []
    state = detector.start()
    for step in range(40):
        seen = rows_of(luck.exponential(size=25).tolist(), minute=START + 100 * step, sampled=True)
        state, _ = detector.step(state, seen)
        sizes.append(len(codec.encode(state)))
    assert max(sizes[20:]) <= max(sizes[:20]) * 1.1


@every_kind
def test_a_tenfold_jump_is_found_in_time_and_named_for_its_driver(kind: str) -> None:
    trial, scenario = jumped(warmed(kind), kind), SCENARIOS[kind]
    words = [word for word in trial.words() if word[0] >= START + scenario.news_minutes]
    assert ANOMALOUS not in {status for minute, _, status, _ in words if minute < scenario.onset}
    found = [word for word in words if word[2] == ANOMALOUS]
    assert found
    assert found[0][0] < scenario.onset + scenario.within_minutes
    assert drivers_of(trial) >= {scenario.driver}


@every_kind
def test_the_excess_is_no_more_than_what_was_spent(kind: str) -> None:
    trial = jumped(warmed(kind), kind)
    found = 0
    for _, _, verdicts, seen in trial.spoken:
        for at in np.flatnonzero(verdicts.status == ANOMALOUS):
            found += 1
            spent = seen.residuals.sums[at, verdicts.horizon[at]]
            assert 0 <= verdicts.excess_usd[at] <= (spent[PAID] + spent[GPU]) * (1 + 1e-9)
            assert verdicts.usd_per_hour[at] >= 0
    assert found


def drivers_of(trial: Trial) -> set[str]:
    return {DRIVERS[v.driver[at]] for _, _, v, _ in trial.spoken for at in np.flatnonzero(v.status == ANOMALOUS)}


BAD_ROWS = {
    "not JSON": b'{"id": "x", ',
    "NaN": b'{"gpu_seconds": NaN}',
    "empty": b"",
    "an empty array": b"[]",
    "negative": json.dumps({**row("bad", {"model": "large"}), "requests": -5}).encode(),
    "infinite": b'{"cost_usd": 1e999}',
}
HUGE = {
    "model": "large", "requests": 10**11, "input_tokens": 10**11, "output_tokens": 10**11, "gpu_seconds": 1e6,
    "cost_usd": 1e5,
}  # fmt: skip


@every_kind
def test_bad_input_neither_stops_nor_poisons_it(kind: str) -> None:
    """Whatever comes for one service, the verdicts on the others are those that they would be without it."""
    services = ("bot", "search")
    clean, hit = warmed(kind, services), warmed(kind, services)
    minute = SCENARIOS[kind].onset - EVERY_MINUTES
    nothing = {"model": "large", "requests": 0}
    bad = [{**row("bad", content), "id": f"bad {n}", "time": moment_of(minute).isoformat()}
           for n, content in enumerate((HUGE, nothing, {**HUGE, "cost_usd": None}))]  # fmt: skip
    hit.feed([*BAD_ROWS.values(), *(json.dumps(event).encode() for event in bad)])
    assert hit.rejected_codes == {"not_json", "out_of_range"}
    jumped(clean, kind, services, lasting_minutes=120)
    jumped(hit, kind, services, lasting_minutes=120)
    for service in services:
        assert hit.words(service) == clean.words(service)
    assert ANOMALOUS in {status for _, _, status, _ in hit.words("bot")}
    assert all(math.isfinite(score) for _, _, _, score in hit.words("bad"))


numbers = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, -1e300, math.inf, -math.inf, math.nan])


@every_kind
@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
def test_broken_numbers_in_one_row_touch_no_other(kind: str, data: st.DataObject) -> None:
    """Not even where arithmetic has already gone wrong; and a broken number is no reason to wake somebody."""
    detector = build(kind)
    good, bad = rows_of([1.0, 2.0, 0.5]), rows_of([1.0, data.draw(numbers), 0.5])
    with np.errstate(all="ignore"):
        _, expected = detector.step(detector.start(), good)
        _, spoken = detector.step(detector.start(), bad)
    for name in expected.__struct_fields__:
        one, two = getattr(expected, name), getattr(spoken, name)
        assert np.array_equal(one[[0, 2]], two[[0, 2]], equal_nan=True)
    assert np.isfinite(spoken.score).all()


def rows_of(values: list[float], minute: int = START, *, sampled: bool = False) -> Seen:
    """Rows of settled series, all of whose numbers are one number."""
    n, h = len(values), len(HORIZONS_MINUTES)

    def filled(*shape: int) -> NDArray[np.float64]:
        return np.broadcast_to(np.array(values).reshape(n, *(1 for _ in shape)), (n, *shape)).copy()

    whole = np.full(n, 5 * MINUTES_PER_DAY, np.int32)
    residuals = Residuals(
        minute=np.full(n, minute, np.int32), series=np.arange(n, dtype=np.int32), whole=np.arange(n),
        sums=filled(h, len(TOTALS)), base=filled(h, len(TOTALS)),
        level=filled(h, len(CHANNELS) - 1), step=filled(h, len(CHANNELS) - 1), step_z=filled(h, len(CHANNELS) - 1),
        scale=filled(h, len(CHANNELS) - 1), above=filled(h, len(CHANNELS)), usd_per_minute=filled(h),
        usual_usd_per_minute=filled(h),
        age_minutes=whole, active_minutes=whole,
        rhythm=Rhythm(whole, *(filled() for _ in range(6))),
    )  # fmt: skip
    parts = Parts(np.full(n, 2, np.int32), whole, whole, whole)
    return Seen(
        residuals=residuals, role=np.resize([SERVICE, PRINCIPAL, MODEL], n).astype(np.int8),
        cohort=np.ones(n, np.uint32), minutes_since_deployment=np.full(n, NO_DEPLOYMENT, np.int32),
        active_minutes_since_deployment=np.full(n, NO_DEPLOYMENT, np.int32), unpriced_requests=np.zeros(n, np.int64),
        excess_usd=filled(h, len(CHANNELS)), excess_usd_per_hour=filled(h, len(CHANNELS)),
        parts=parts, sampled=np.full(n, sampled),
    )  # fmt: skip


@every_kind
@few
@given(values=st.lists(st.floats(0, 1e6) | st.just(math.nan), min_size=6, max_size=30))
def test_other_roles_than_its_own_are_never_anomalous(kind: str, values: list[float]) -> None:
    detector, seen = build(kind), rows_of(values)
    verdicts = detector.step(detector.start(), seen)[1]
    assert not (verdicts.status[~np.isin(seen.role, detector.roles)] == ANOMALOUS).any()


@every_kind
@few
@given(seed=st.integers(0, 2**32))
def test_of_rows_of_which_it_may_not_speak_it_says_nothing(kind: str, seed: int) -> None:
    detector, seen = build(kind), mixed_rows(seed)
    with np.errstate(all="ignore"):
        anomalous = detector.step(detector.start(), seen)[1].status == ANOMALOUS
    assert not (anomalous & ~detector.may_speak(seen)).any()


def mixed_rows(seed: int) -> Seen:
    """Rows whose numbers have nothing to do with each other, far and near; some services were deployed just now."""
    draw = np.random.default_rng(seed)

    def mixed(columns: S) -> S:
        made = {}
        for name in columns.__struct_fields__:
            value = getattr(columns, name)
            if isinstance(value, msgspec.Struct):
                made[name] = mixed(value)
            elif value.dtype == np.float64:
                made[name] = value * draw.lognormal(0, 3, value.shape) * draw.choice([-1, 0, 1, 1], value.shape)
            elif "minutes" in name:
                some = draw.integers(0, 10 * MINUTES_PER_DAY, value.shape) >> draw.integers(0, 12, value.shape)
                made[name] = some.astype(value.dtype)
            else:
                made[name] = value
        return type(columns)(**made)

    seen = mixed(rows_of([1.0] * 600))
    return msgspec.structs.replace(seen, unpriced_requests=draw.integers(0, 2, 600))


@every_kind
def test_no_rows_are_no_verdicts(kind: str) -> None:
    detector = build(kind)
    _, verdicts = detector.step(detector.start(), rows_of([]))
    assert all(len(getattr(verdicts, name)) == 0 for name in verdicts.__struct_fields__)


@every_kind
def test_an_unknown_key_of_its_entry_is_refused_by_name(kind: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `treshold`"):
        msgspec.convert({"treshold": 3}, KINDS[kind])
