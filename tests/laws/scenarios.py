"""A tiny scenario for each kind of detector: what is usual, and the tenfold jump of what the kind watches.

A kind without a scenario fails its laws; adding a kind means adding one here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.clock import moment_of
from detectors.events import Alert, Driver
from detectors.intake.raw import RawMessage
from detectors.kinds import KINDS
from detectors.minutes.series import SeriesName
from detectors.state import codec
from detectors.verdicts import NORMAL, Detector, Seen, Verdicts, apart
from detectors.watch.reports import SeriesReport
from tests.laws.streams import EVERY_MINUTES, START, Event, Run, deployment_messages, plan

TWO_DAYS_AND_SOME = 50 * 60


@dataclass(frozen=True)
class Scenario:
    """What a service does usually, and from ``START + warm_minutes`` on."""

    usual: Event
    jump: Event
    driver: Driver
    deployed: bool = False
    warm_minutes: int = TWO_DAYS_AND_SOME
    within_minutes: int = 20
    detector: Event | None = None
    """Settings other than the shipped ones, where a short stream needs them."""
    warms: bool = True
    """Whether the kind knows nothing of a series at first."""
    news_minutes: int = 0
    """For how long it is itself news to the kind that a series began."""
    companions: int = 0
    """How many other services, each a little restless, the kind learns of the usual from."""
    joins_minutes: int = 0
    """For how long the companions are alone at first."""
    every_minutes: int = EVERY_MINUTES
    """How often there are rows."""
    clumps: bool = False
    """Whether the usual comes in clumps: half as much in most minutes, three times as much in each fifth."""
    shared: bool = False
    """Whether each service has a second principal, which does the usual all the time."""

    @property
    def onset(self) -> int:
        """The first minute of the jump."""
        return START + self.warm_minutes


MINUTES_A_STEP = 60

_TALK: Event = {
    "model": "large", "requests": 40, "input_tokens": 36_000, "cached_input_tokens": 0, "output_tokens": 4_800,
}  # fmt: skip
_BUSY: Event = {**_TALK, "requests": 400, "input_tokens": 360_000, "output_tokens": 48_000}
_NODE: Event = {"model": "node", "requests": 0, "gpu_seconds": 60.0, "cost_usd": 0.4}
_PAID: Event = {**_TALK, "cost_usd": 0.4416}

SCENARIOS: dict[str, Scenario] = {
    "driver_step": Scenario(
        _TALK, {"input_tokens": 360_000}, "input_per_request", deployed=True, warm_minutes=10 * 60
    ),
    "range_break": Scenario(_TALK, {"input_tokens": 360_000}, "input_per_request"),
    "volume_burst": Scenario(
        _BUSY, {"requests": 4_000, "input_tokens": 3_600_000, "output_tokens": 480_000}, "requests",
        detector={"rare_ratio": 2.0},
    ),
    "job_cadence": Scenario(
        _TALK, {"requests": 400, "input_tokens": 360_000, "output_tokens": 48_000}, "requests",
        warm_minutes=74 * 60, within_minutes=120,
    ),
    "clockwork": Scenario(
        _TALK, {"requests": 400, "input_tokens": 360_000, "output_tokens": 48_000}, "requests",
        warm_minutes=26 * 60, within_minutes=120, every_minutes=1, clumps=True,
    ),
    "new_model": Scenario({**_BUSY, "model": "small"}, {"model": "large"}, "model_mix"),
    "retry_storm": Scenario(
        _BUSY, {"requests": 4_000, "errors": 3_600, "input_tokens": 3_600_000, "output_tokens": 480_000}, "requests",
        warm_minutes=10 * 60,
    ),
    "share_burst": Scenario(
        _TALK, {"requests": 400, "input_tokens": 360_000, "output_tokens": 48_000}, "requests", shared=True,
    ),
    "unit_price": Scenario(_PAID, {"cost_usd": 4.416}, "unit_price", warm_minutes=22 * 60),
    "idle_gpu": Scenario(
        _NODE, {"gpu_seconds": 600.0, "cost_usd": 4.0}, "idle_gpu",
        warm_minutes=10 * 60, warms=False, news_minutes=90,
    ),
    "unpriced_model": Scenario(_TALK, {"model": "nobody-priced-this"}, "model_mix", warm_minutes=60, warms=False),
    "unlike_peers": Scenario(
        _TALK, {"input_tokens": 360_000}, "input_per_request",
        warm_minutes=50 * 60, warms=False, detector={"least_examples": 3}, companions=8, joins_minutes=10 * 60,
    ),
    "odd_mixture": Scenario(
        _BUSY, {"input_tokens": 3_600_000, "output_tokens": 480_000, "errors": 400}, "input_per_request",
        detector={"threshold": 0.55, "least_examples": 16, "trees": 20, "reservoir": 256}, companions=8,
    ),
}  # fmt: skip


class Everything(Detector, frozen=True, kw_only=True):
    """Wants to see every row, so that a report holds every verdict; says nothing itself."""

    kind: ClassVar[str] = "everything"
    pooled: ClassVar[bool] = True
    wants_cheap_rows: ClassVar[bool] = True

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """All is normal."""
        nothing = np.zeros(len(seen))
        small = nothing.astype(np.int8)
        return state, Verdicts(small + np.int8(NORMAL), nothing, small, small, nothing, nothing)

    def wants(self, seen: Seen) -> NDArray[np.bool_]:
        """Everything."""
        return np.ones(len(seen), bool)


class Trial:
    """One kind of detector over a stream; remembers its verdict on every row of every minute."""

    def __init__(self, kind: str) -> None:
        self.scenario, self.detector = SCENARIOS[kind], build(kind)
        self._luck = random.Random(0)
        self._run = Run(plan(shards=1, detectors=(self.detector, Everything())))
        self._state = self.detector.start()
        self._offset = 0
        self._reported = 0
        self.spoken: list[tuple[int, list[SeriesName], Verdicts, Seen]] = []

    def deploy(self, service: str, minute: int) -> None:
        """A deployment of a service."""
        made = {"id": "deploy", "time": moment_of(minute).isoformat(), "service": service}
        self._run.feed(deployment_messages([made]))

    def feed(self, payloads: Iterable[bytes]) -> None:
        """Some messages."""
        messages = [RawMessage("usage", 0, self._offset + n, payload) for n, payload in enumerate(payloads)]
        self._offset += len(messages)
        self._run.feed(messages)
        self._listen()

    def span(self, minutes: range, rows: Sequence[Event]) -> None:
        """Many minutes with the same rows, in few steps: what is said does not depend on where steps are cut."""
        for start in range(0, len(minutes), MINUTES_A_STEP):
            some = minutes[start : start + MINUTES_A_STEP]
            self.feed(payload for minute in some for payload in self._payloads(minute, rows))

    def minute(self, minute: int, rows: Sequence[Event]) -> None:
        """A minute with a row for each service, and for each companion."""
        self.feed(self._payloads(minute, rows))

    def _payloads(self, minute: int, rows: Sequence[Event]) -> Iterator[bytes]:
        if minute < START + self.scenario.joins_minutes:
            rows = []
        if self.scenario.clumps:
            rows = [
                _clump(event, minute) if event["requests"] == self.scenario.usual["requests"] else event
                for event in rows
            ]
        others = [
            {**row(event["service"], self.scenario.usual), "principal": "another-key"}
            for event in rows
            if self.scenario.shared
        ]
        whole = [*rows, *others, *(self._companion(n) for n in range(self.scenario.companions))]
        at = moment_of(minute).isoformat()
        return (json.dumps({**event, "id": f"{n}/{minute}", "time": at}).encode() for n, event in enumerate(whole))

    def _companion(self, number: int) -> Event:
        usual = self.scenario.usual
        requests = round(usual["requests"] * self._luck.uniform(0.8, 1.25))
        changed = {"requests": requests}
        for name in ("input_tokens", "output_tokens"):
            changed[name] = round(usual[name] / usual["requests"] * requests * self._luck.uniform(0.9, 1.1))
        return row(f"calm-{number}", {**usual, **changed})

    def end(self, minute: int) -> Trial:
        """Close all up to a minute."""
        self._run.heartbeat(0, minute + 1)
        self._listen()
        return self

    def restart(self) -> None:
        """Write and read all states."""
        self._run.restart()
        self._read_again()

    def copy(self) -> Trial:
        """Another trial that has seen the same."""
        twin = copy(self)
        twin._luck, twin._run, twin.spoken = copy(self._luck), self._run.copy(), list(self.spoken)
        twin._read_again()
        return twin

    def _read_again(self) -> None:
        if self._state is not None:
            self._state = codec.decode(codec.encode(self._state), type(self._state))

    @property
    def alerts(self) -> list[Alert]:
        """What the incidents stage made of it."""
        return self._run.alerts

    @property
    def state_bytes(self) -> int:
        """How large the stages' states are when written, but for what pooled detectors remember."""
        return self._run.state_bytes

    def _listen(self) -> None:
        for report in self._run.reports[self._reported :]:
            if report.report is not None:
                self.spoken.append((report.minute, report.report.names, self._hear(report.report), report.report.seen))
        self._reported = len(self._run.reports)

    def _hear(self, report: SeriesReport) -> Verdicts:
        if not self.detector.pooled:
            return apart(report.verdicts)[0]
        self._state, verdicts = self.detector.step(self._state, report.seen)
        return verdicts

    @property
    def rejected_codes(self) -> set[str]:
        """Why messages were refused."""
        return {reject.reason for reject in self._run.rejects}

    @property
    def seen(self) -> Seen:
        """What the detector saw last."""
        return next(r.report.seen for r in reversed(self._run.reports) if r.report is not None)

    @property
    def state(self) -> object:
        """What the detector itself remembers."""
        return self._state

    def words(self, service: str = "bot") -> list[tuple[int, str, int, float]]:
        """(minute, series, status, score) of every row of a service."""
        return [
            (minute, "/".join(name.values), int(verdicts.status[row]), float(verdicts.score[row]))
            for minute, names, verdicts, _ in self.spoken
            for row, name in enumerate(names)
            if name.scope().get("service") == service
        ]


def build(kind: str) -> Detector:
    """A detector of a kind as its scenario needs it."""
    return msgspec.convert(SCENARIOS[kind].detector or {}, KINDS[kind])


def row(service: str, content: Event) -> Event:
    """A whole row of a service."""
    return {
        "source": "gateway", "team": "support", "service": service, "principal": f"key-of-{service}",
        "provider": "openai", **content,
    }  # fmt: skip


def _clump(event: Event, minute: int) -> Event:
    """What the minute has of an event that comes in clumps."""
    times = 3.0 if minute % 5 == 0 else 0.5
    return {**event, **{name: round(event[name] * times) for name in ("requests", "input_tokens", "output_tokens")}}


def minutes(kind: str, start: int, stop: int) -> range:
    """The minutes that have rows."""
    return range(start, stop, SCENARIOS[kind].every_minutes)


def warm_up(kind: str, services: tuple[str, ...] = ("bot",)) -> Trial:
    """A trial up to the onset of the kind's scenario; every service does the usual."""
    scenario, trial = SCENARIOS[kind], Trial(kind)
    trial.span(minutes(kind, START, scenario.onset), [row(service, scenario.usual) for service in services])
    if scenario.deployed:
        for service in services:
            trial.deploy(service, scenario.onset - 2)
    return trial


def warmed(kind: str, services: tuple[str, ...] = ("bot",)) -> Trial:
    """The same, made once and copied."""
    return _warm_once(kind, services).copy()


_warm_once = cache(warm_up)


def jumped(trial: Trial, kind: str, services: tuple[str, ...] = ("bot",), lasting_minutes: int = 0) -> Trial:
    """The same trial after the jump of the first service."""
    scenario = SCENARIOS[kind]
    stop = scenario.onset + (lasting_minutes or scenario.within_minutes)
    changes: list[Event] = [scenario.jump] + [{}] * (len(services) - 1)
    rows = [row(s, {**scenario.usual, **c}) for s, c in zip(services, changes, strict=True)]
    trial.span(minutes(kind, scenario.onset, stop), rows)
    return trial.end(stop)
