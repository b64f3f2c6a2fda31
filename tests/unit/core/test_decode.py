"""Reading messages: a bad event costs itself only, and is named by its place and its fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.events import DeploymentEvent, UsageEvent
from detectors.intake.decode import Reader

GOOD = {"id": "a", "time": "2026-10-01T00:00:00Z", "source": "gateway", "service": "bot", "model": "gpt"}
DEPLOYED = {"id": "d", "time": "2026-10-01T00:00:00Z", "service": "bot"}


def read(message: object) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """(index, id) of the events of a message, and (index, code) of its mistakes."""
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    events, mistakes = Reader(UsageEvent).read(payload)
    return [(index, event.id) for index, event in events], [(m.index, m.code) for m in mistakes]


def envelope(data: object, **given: object) -> dict[str, Any]:
    return {"specversion": "1.0", "type": "ai.usage", "id": "e", "source": "cloud", "data": data, **given}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", "not_json"),
        (b"hello", "not_json"),
        (b'{"id": "a", ', "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"id": "\xff"}', "not_json"),
        (json.dumps({**GOOD, "cost_usd": float("nan")}).encode(), "not_json"),
        (json.dumps({**GOOD, "cost_usd": float("inf")}).encode(), "not_json"),
        (b"[" * 100_000, "not_json"),
        ("a text", "wrong_type"),
        (None, "wrong_type"),
        (7, "wrong_type"),
        ({**GOOD, "requests": "many"}, "wrong_type"),
        ({**GOOD, "requests": 1.5}, "wrong_type"),
        ({**GOOD, "requests": None}, "wrong_type"),
        ({**GOOD, "requests": True}, "wrong_type"),
        ({**GOOD, "service": ["bot"]}, "wrong_type"),
        ({"id": "a"}, "missing_field"),
        ({name: value for name, value in GOOD.items() if name != "service"}, "missing_field"),
        ({**GOOD, "requests": -1}, "out_of_range"),
        ({**GOOD, "cost_usd": -0.01}, "out_of_range"),
        ({**GOOD, "gpu_seconds": -1}, "out_of_range"),
        ({**GOOD, "input_tokens": 10**18}, "out_of_range"),
        ({**GOOD, "input_tokens": 10**40}, "out_of_range"),
        ({**GOOD, "cost_usd": 1e12}, "out_of_range"),
        (json.dumps(GOOD).encode()[:-1] + b', "cost_usd": 1e999}', "out_of_range"),
        ({**GOOD, "service": ""}, "out_of_range"),
        ({**GOOD, "service": "x" * 1000}, "out_of_range"),
    ],
)
def test_a_bad_event_is_refused_for_its_fault(message: object, code: str) -> None:
    assert read(message) == ([], [(0, code)])


def test_the_sentence_names_the_field() -> None:
    _, mistakes = Reader(UsageEvent).read(json.dumps([GOOD, {**GOOD, "requests": -1}]).encode())
    assert "$.requests" in mistakes[0].detail


@pytest.mark.parametrize(
    ("kind", "event", "cure"),
    [
        (UsageEvent, {**GOOD, "cost_usd": float("nan")}, "JSON has no NaN and no Infinity, leave such a field out"),
        (UsageEvent, {**GOOD, "cost_usd": float("-inf")}, "JSON has no NaN and no Infinity, leave such a field out"),
        (DeploymentEvent, {**DEPLOYED, "time": "2026-10-01T00:00:00"}, "write it like 2026-10-01T00:00:00Z"),
        (DeploymentEvent, {**DEPLOYED, "time": "yesterday"}, "write it like 2026-10-01T00:00:00Z"),
    ],
)
def test_the_sentence_names_the_cure(kind: type, event: object, cure: str) -> None:
    _, mistakes = Reader(kind).read(json.dumps([event]).encode())
    assert cure in mistakes[0].detail


@pytest.mark.parametrize("bad", [{"id": "x"}, {**GOOD, "errors": -1}, 5, None, [GOOD], envelope({"id": "x"})])
def test_one_bad_event_of_an_array_costs_itself_only(bad: object) -> None:
    events, mistakes = read([GOOD, bad, {**GOOD, "id": "c"}])
    assert events == [(0, "a"), (2, "c")]
    assert [index for index, _ in mistakes] == [1]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_costs_its_event_only(number: str) -> None:
    """Python's own writer makes such numbers, though JSON has none."""
    good, bad = json.dumps(GOOD), f'{{"id": "x", "cost_usd": {number}}}'
    events, mistakes = Reader(UsageEvent).read(f"[{good}, {bad}, {good}]".encode())
    assert [index for index, _ in events] == [0, 2]
    assert [(m.index, m.item) for m in mistakes] == [(1, bad.encode())]


def test_an_envelope_without_data_costs_itself_only() -> None:
    bad = {"specversion": "1.0", "id": "e", "source": "cloud"}
    assert read([GOOD, bad]) == ([(0, "a")], [(1, "missing_field")])


def test_a_mistake_keeps_the_bytes_of_its_own_event() -> None:
    payload = b'[%s, {"id":  "odd spacing"}]' % json.dumps(GOOD).encode()
    _, mistakes = Reader(UsageEvent).read(payload)
    assert mistakes[0].item == b'{"id":  "odd spacing"}'


@pytest.mark.parametrize("message", [GOOD, [GOOD], envelope(GOOD), envelope([GOOD]), [envelope(GOOD)]])
def test_an_event_comes_alone_in_an_array_or_in_an_envelope(message: object) -> None:
    assert read(message) == ([(0, "a")], [])


def test_unknown_fields_are_passed_over() -> None:
    assert read({**GOOD, "region": "eu"}) == ([(0, "a")], [])


def test_an_envelope_says_what_its_event_does_not() -> None:
    bare = {name: value for name, value in GOOD.items() if name not in ("id", "source", "time")}
    ((_, event),), mistakes = Reader(UsageEvent).read(json.dumps(envelope(bare, time=GOOD["time"])).encode())
    assert (event.id, event.source, event.time, mistakes) == ("e", "cloud", GOOD["time"], [])


def test_an_event_knows_itself_better_than_its_envelope() -> None:
    ((_, event),), _ = Reader(UsageEvent).read(json.dumps(envelope(GOOD)).encode())
    assert (event.id, event.source) == ("a", "gateway")


def test_deployments_come_in_envelopes_too() -> None:
    bare = {"service": "bot", "actor": "ada"}
    message = envelope(bare, time="2026-10-01T00:00:00Z")
    ((_, event),), mistakes = Reader(DeploymentEvent).read(json.dumps(message).encode())
    assert (event.id, event.actor, event.time.year, mistakes) == ("e", "ada", 2026, [])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"time": "2026-10-01T00:00:00"}, "bad_time"),
        ({"time": "yesterday"}, "bad_time"),
        ({"kind": "magic"}, "wrong_type"),
        ({"service": ""}, "out_of_range"),
    ],
)
def test_a_bad_deployment_is_refused(changes: dict[str, object], code: str) -> None:
    events, mistakes = Reader(DeploymentEvent).read(json.dumps({**DEPLOYED, **changes}).encode())
    assert events == []
    assert [m.code for m in mistakes] == [code]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "specversion", "data"]), inner),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.just(GOOD) | anything, max_size=6))
def test_whatever_comes_every_place_is_an_event_or_a_mistake(items: list[object]) -> None:
    events, mistakes = read(items)
    places = [index for index, _ in events] + [index for index, _ in mistakes]
    assert len(set(places)) == len(places)
    assert len(events) >= items.count(GOOD)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=60))
def test_no_bytes_stop_the_reader(payload: bytes) -> None:
    for kind in (UsageEvent, DeploymentEvent):
        events, mistakes = Reader(kind).read(payload)  # type: ignore[type-var]  # both are events
        assert events or mistakes or payload.split() in ([b"[", b"]"], [b"[]"])
