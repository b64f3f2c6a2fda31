"""What was silent for long is new when it comes back; whether its row was dropped meanwhile, nobody can tell."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from detectors.clock import MINUTES_PER_DAY, moment_of, parse_minute
from detectors.minutes.series import SeriesName
from detectors.state import codec
from detectors.state.room import flat
from detectors.watch import forgetting
from detectors.watch.reports import SeriesReport
from detectors.watch.series_state import SeriesWatchState
from streams.app import Plan
from tests.laws.streams import (
    SERVICES,
    START,
    Event,
    Run,
    Service,
    Stream,
    cut,
    deployment_messages,
    end_of,
    plan,
    stream,
    usage_messages,
)

LIMIT_DAYS = 8
FORGETFUL = replace(plan(), forget_after_days=LIMIT_DAYS)
NEVER_FORGETS = replace(plan(), forget_after_days=3650)

few = settings(max_examples=6, deadline=None, derandomize=True)

Episode = tuple[int, int, int]
"""Days of silence before it, which services take part (by bits), and whose team sends."""

EPISODES: tuple[Episode, ...] = ((0, 15, 0), (6, 3, 0), (9, 13, 1), (10, 2, 1), (30, 15, 0), (8, 7, 2), (25, 15, 2))
episodes = st.lists(
    st.tuples(st.integers(0, 2 * LIMIT_DAYS + 2), st.integers(1, 15), st.integers(0, 2)), min_size=2, max_size=7
)


@pytest.fixture
def drops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are dropped whenever any are of no use."""
    monkeypatch.setattr(forgetting, "LEAST_DROPPED", 1)
    monkeypatch.setattr(forgetting, "DROPPED_ONE_IN", 10**9)


@cache
def with_silences(some: tuple[Episode, ...]) -> Stream:
    """Episodes of half a day, each with what happens in any stream, after days of silence."""
    usage: list[Event] = []
    deployments: list[Event] = []
    day = 0
    for number, (silent_days, taking_part, team) in enumerate(some):
        day += silent_days + 1
        chosen = [renamed(service, team) for bit, service in enumerate(SERVICES) if taking_part >> bit & 1]
        episode = stream(seed=number, hours=13, services=chosen, onset_hour=9, burns_minutes=90)
        usage += moved(episode.usage, day, number)
        deployments += moved(episode.deployments, day, number)
    return Stream(usage, deployments)


def renamed(service: Service, team: int) -> Service:
    return Service(**{**vars(service), "team": f"{service.team}-{team}" if team else service.team})


def moved(events: Iterable[Event], days: int, number: int) -> list[Event]:
    return [
        {
            **event,
            "id": f"{number}/{event['id']}",
            "time": moment_of(parse_minute(event["time"]) + days * MINUTES_PER_DAY).isoformat(),
        }
        for event in events
    ]


def told_of(some: Stream, a_plan: Plan, cuts: Iterable[int] = (), restarts: Iterable[bool] = ()) -> Run:
    """Run a stream, with deployments in their time, cut before some places; restart after some of the parts."""
    started = Run(a_plan)
    made, fates = list(some.deployments), list(restarts)
    for number, batch in enumerate(cut(usage_messages(some.usage), cuts)):
        reached = some.usage[batch[-1].offset]["time"]
        due = [deployment for deployment in made if deployment["time"] <= reached]
        made = made[len(due) :]
        started.feed(deployment_messages(due))
        started.feed(batch)
        if fates and fates[number % len(fates)]:
            started.restart()
    return started.end(end_of(some))


def said_of_series(ended: Run, since: int = 0) -> list[tuple[int, int, bytes]]:
    """All that shards said of series, but for the places of rows: where a series stands is nobody's business."""
    return sorted(
        (report.minute, report.shard, codec.encode([without_places(report.report), report.standing]))
        for report in ended.reports
        if report.minute >= since and (report.report or report.standing)
    )


def without_places(report: SeriesReport | None) -> SeriesReport | None:
    if report is None:
        return None
    residuals = replace(report.seen.residuals, series=np.zeros_like(report.seen.residuals.series))
    return replace(report, seen=replace(report.seen, residuals=residuals))


def test_what_is_forgotten_is_seen_in_what_is_told() -> None:
    """Else the laws below would hold of anything."""
    some = with_silences(EPISODES)
    forgets, remembers = told_of(some, FORGETFUL), told_of(some, NEVER_FORGETS)
    assert forgets.told != remembers.told
    assert len(forgets.told) > 20
    assert sum(watch.series.forgotten.begun_anew for watch in forgets._watches) > 10


@pytest.mark.usefixtures("drops_at_once")
def test_rows_are_dropped_and_keys_are() -> None:
    ended = told_of(with_silences(EPISODES), FORGETFUL, range(0, 10_000, 40))
    forgotten = [watch.series.forgotten for watch in ended._watches]
    assert sum(one.series_dropped for one in forgotten) > 3
    assert sum(one.keys_dropped for one in forgotten) > 3
    assert ended._incidents.wide.forgotten.series_dropped > 0


@few
@given(some=episodes, cuts=st.lists(st.integers(0, 4000), max_size=30), restarts=st.lists(st.booleans(), max_size=5))
def test_nobody_can_tell_whether_rows_were_dropped_nor_how_the_stream_was_cut(
    some: list[Episode], cuts: list[int], restarts: list[bool]
) -> None:
    silences = with_silences(tuple(some))
    kept = told_of(silences, FORGETFUL)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forgetting, "LEAST_DROPPED", 1)
        patched.setattr(forgetting, "DROPPED_ONE_IN", 10**9)
        dropped = told_of(silences, FORGETFUL, cuts, restarts)
    assert dropped.told == kept.told
    assert said_of_series(dropped) == said_of_series(kept)


Seldom = tuple[int, int, int, str, str, str]
"""Minutes since the event before, minutes that it comes late, its service, principal, model and team."""

seldom = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 7, 600, 4 * MINUTES_PER_DAY, 9 * MINUTES_PER_DAY, 10 * MINUTES_PER_DAY - 1]),
        st.sampled_from([0, 0, 0, 1, 900]),
        st.integers(0, 2),
        st.sampled_from(["key-1", "key-2", ""]),
        st.sampled_from(["small", "large"]),
        st.sampled_from(["core", "ads", ""]),
    ),
    min_size=2,
    max_size=40,
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(some=seldom, cuts=st.lists(st.integers(0, 40), max_size=8), restarts=st.lists(st.booleans(), max_size=3))
def test_what_is_remembered_of_a_series_is_the_same_to_the_bit_where_others_were_dropped(
    some: list[Seldom], cuts: list[int], restarts: list[bool]
) -> None:
    events = Stream(events_of(some), [])
    kept = told_of(events, FORGETFUL)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forgetting, "LEAST_DROPPED", 1)
        patched.setattr(forgetting, "DROPPED_ONE_IN", 10**9)
        dropped = told_of(events, FORGETFUL, cuts, restarts)
    for one, other in zip(states_of(dropped), states_of(kept), strict=True):
        assert remembered(one) == remembered(other)


def events_of(some: list[Seldom]) -> list[Event]:
    minute, events = START, list[Event]()
    for number, (passed, late, service, principal, model, team) in enumerate(some):
        minute += passed
        events.append(
            {
                "id": f"{number}", "time": moment_of(minute - late).isoformat(), "source": "gateway", "team": team,
                "service": f"svc-{service}", "principal": principal, "model": model, "requests": 9 + number,
                "input_tokens": 900 + 7 * number, "cached_input_tokens": 0, "output_tokens": 90,
            }
        )  # fmt: skip
    return events


def states_of(ended: Run) -> list[SeriesWatchState]:
    return [*(watch.series for watch in ended._watches), ended._incidents.wide]


def remembered(state: SeriesWatchState) -> dict[SeriesName, tuple[object, ...]]:
    """By series, all that is known of it, of those that are not forgotten."""
    oldest = forgetting.oldest_minute(state.forgotten.day, LIMIT_DAYS)
    columns, series = [*flat(state.baselines), *flat(state.parts)], state.series
    return {
        name: (
            *(column[place].tobytes() for column in columns), series.teams[place], series.hashes[place],
            series.cohort[place], series.role[place], series.services[series.service[place]],
            series.names[series.whole[place]],
        )
        for place, name in enumerate(series.names)
        if state.baselines.last[place] >= oldest
    }  # fmt: skip


@pytest.mark.usefixtures("drops_at_once")
@pytest.mark.parametrize("shards", [1, 4])
def test_the_answer_does_not_depend_on_the_number_of_shards_where_rows_are_dropped(shards: int) -> None:
    some = with_silences(EPISODES)
    limits = msgspec.structs.replace(FORGETFUL.intake, shards=shards)
    assert told_of(some, replace(FORGETFUL, intake=limits)).told == told_of(some, FORGETFUL).told


@pytest.mark.usefixtures("drops_at_once")
def test_what_comes_back_is_as_if_it_never_was_there() -> None:
    """After a silence of all, shards say of series what those say that begin with what comes then."""
    whole = with_silences(((0, 15, 1), (40, 15, 0)))
    back = START + 20 * MINUTES_PER_DAY
    later = Stream(
        *([e for e in events if parse_minute(e["time"]) > back] for events in (whole.usage, whole.deployments))
    )
    said = said_of_series(told_of(whole, FORGETFUL), since=back)
    assert said == said_of_series(told_of(later, FORGETFUL))
    assert len(said) > 10
