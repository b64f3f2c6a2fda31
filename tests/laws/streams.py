"""Small synthetic streams in which something happens, and the stages run over them step by step."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.structs import replace

from detectors.clock import moment_of, parse_minute
from detectors.events import Alert, Feedback, Initiative
from detectors.incidents.life import IncidentSettings
from detectors.incidents.severity import SeveritySettings
from detectors.intake.admission import IntakeSettings
from detectors.intake.prices import Lookup, PriceTable, Rates
from detectors.intake.raw import RawMessage
from detectors.intake.stage import IntakeOutput, Reject
from detectors.judging.budget import PageBudget, PageRates
from detectors.kinds.driver_step import DriverStep
from detectors.kinds.idle_gpu import IdleGpu
from detectors.kinds.job_cadence import JobCadence
from detectors.kinds.new_model import NewModel
from detectors.kinds.odd_mixture import OddMixture
from detectors.kinds.range_break import RangeBreak
from detectors.kinds.retry_storm import RetryStorm
from detectors.kinds.share_burst import ShareBurst
from detectors.kinds.unit_price import UnitPrice
from detectors.kinds.unpriced_model import UnpricedModel
from detectors.kinds.volume_burst import VolumeBurst
from detectors.rules.rule import Rule
from detectors.state import codec
from detectors.state.pages import Pages, Part, StatePages, collected
from detectors.verdicts import Detector
from detectors.watch.reports import MinuteReport
from streams.app import Plan, Stages, build_stages

START = parse_minute("2026-03-02T00:00:00Z")
EVERY_MINUTES = 10
VIEWS = (("service",), ("service", "model"), ("service", "principal"), ("team",), ())

NANO_RATES = {
    "small": (1_000, 100, 1_250, 4_000),
    "large": (8_000, 800, 10_000, 32_000),
}
"""Nano-dollars a token: input, cached input, cache write, output."""

DETECTORS: tuple[Detector, ...] = (
    DriverStep(),
    IdleGpu(),
    JobCadence(),
    NewModel(),
    OddMixture(least_examples=16, trees=20),
    RangeBreak(),
    RetryStorm(),
    ShareBurst(),
    UnitPrice(),
    UnpricedModel(),
    VolumeBurst(rare_ratio=2.0),
)
"""One of each kind; the forest grows early, so that a short stream uses it."""

Event = dict[str, Any]


def price_lookup(provider: str, model: str, day: int) -> Rates | None:
    """Two models have a price, at every provider and on every day."""
    nano = NANO_RATES.get(model)
    return Rates(*(n / 1e9 for n in nano)) if nano else None


@dataclass(frozen=True)
class Stream:
    """Usage in order of arrival (late rows at the end of the minute in which they come), and deployments."""

    usage: list[Event]
    deployments: list[Event]


@dataclass(frozen=True)
class Service:
    """What a service does all day, and the factors by which an incident changes it."""

    name: str
    team: str
    principals: tuple[str, ...]
    requests: int
    input_tokens: int
    output_tokens: int
    model: str = "large"
    incident: dict[str, float] = field(default_factory=dict)


SERVICES = (
    Service("bot", "support", ("key-1", "key-2"), 40, 900, 120, incident={"input_tokens": 4.0}),
    Service("search", "web", ("key-3",), 80, 400, 60, incident={"requests": 30.0}),
    Service("review", "platform", ("key-4",), 15, 3000, 300, model="small"),
    Service("digest", "platform", ("key-5",), 25, 1500, 200),
)


def stream(
    seed: int = 0,
    hours: int = 15,
    services: Sequence[Service] = SERVICES,
    onset_hour: float = 10,
    burns_minutes: int = 120,
) -> Stream:
    """Some services at a row each ten minutes; one is deployed and changes for a while, one calls an unpriced model.

    Every fifteenth row comes two intervals late; every twentieth is sent twice.
    """
    luck = random.Random(seed)
    onset = START + int(onset_hour * 60)
    rows: list[tuple[int, bool, int, Event]] = []
    for minute in range(START, START + hours * 60, EVERY_MINUTES):
        for service in services:
            for principal in service.principals:
                event = _row(luck, service, principal, minute, burning=onset <= minute < onset + burns_minutes)
                late = 2 * EVERY_MINUTES if luck.random() < 1 / 15 else 0
                rows.append((minute + late, late > 0, len(rows), event))
                if luck.random() < 1 / 20:
                    rows.append((minute + late + EVERY_MINUTES, True, len(rows), event))
    minute = onset + 60
    unpriced = _row(luck, services[-1], services[-1].principals[0], minute, burning=False)
    rows.append((minute, False, len(rows), {**unpriced, "id": "unpriced", "model": "nobody-priced-this"}))
    rows.sort(key=lambda row: row[:3])
    return Stream([row[-1] for row in rows], [_deployment(services[0], onset - 2)])


def _row(luck: random.Random, service: Service, principal: str, minute: int, *, burning: bool) -> Event:
    factor = service.incident if burning else {}
    requests = round(service.requests * luck.uniform(0.8, 1.25) * factor.get("requests", 1.0))
    tokens_in = round(requests * service.input_tokens * luck.uniform(0.95, 1.05) * factor.get("input_tokens", 1.0))
    return {
        "id": f"{service.name}/{principal}/{minute}", "time": moment_of(minute).isoformat(), "source": "gateway",
        "team": service.team, "service": service.name, "environment": "production", "principal": principal,
        "provider": "openai", "model": service.model, "requests": requests, "errors": luck.randint(0, 1),
        "input_tokens": tokens_in, "cached_input_tokens": tokens_in // 3,
        "output_tokens": round(requests * service.output_tokens * luck.uniform(0.95, 1.05)),
    }  # fmt: skip


def _deployment(service: Service, minute: int) -> Event:
    return {
        "id": "deploy-7", "time": moment_of(minute).isoformat(), "team": service.team, "service": service.name,
        "actor": "ada", "approver": "grace",
    }  # fmt: skip


def plan(  # noqa: PLR0917 — tests name what they set
    shards: int = 3,
    partitions: int = 1,
    detectors: tuple[Detector, ...] = DETECTORS,
    lateness: int = 0,
    severity: SeveritySettings | None = None,
    rules: tuple[Rule, ...] = (),
    initiatives: tuple[Initiative, ...] = (),
    page_budget: PageBudget | None = None,
) -> Plan:
    """The plan of a test: incidents end early, so that a short stream shows their whole life."""
    return Plan(
        organisation="acme",
        intake=IntakeSettings(shards=shards, allowed_lateness_minutes=lateness),
        views=VIEWS,
        detectors=detectors,
        rules=rules,
        page_budget=page_budget or PageBudget(pages=7),
        severity=severity or SeveritySettings(),
        incidents=IncidentSettings(resolve_after_minutes=60, quiet_after_page_minutes=60, update_every_minutes=20),
        initiatives=initiatives,
        raw_partitions=partitions,
    )


class Run:
    """The stages of a plan in a row; their states can be written and read between any two steps."""

    def __init__(self, a_plan: Plan | None = None, lookup: Lookup = price_lookup) -> None:
        self._plan, self._lookup = a_plan or plan(), lookup
        self._stages = build_stages(self._plan, PriceTable(lookup))
        self._intake = self._stages.intake.start()
        self._watches = [watch.start() for watch in self._stages.watches]
        self._incidents = self._stages.incidents.start()
        self._books = books_of(self._stages)
        self._disks: list[Pages] = [{} for _ in self._books]
        self.alerts: list[Alert] = []
        self.reports: list[MinuteReport] = []
        self.rejects: list[Reject] = []
        self.refused: list[Feedback] = []

    def feed(self, messages: Sequence[RawMessage]) -> None:
        """Give messages of one raw partition to the stages."""
        self._intake, output = self._stages.intake.step(self._intake, messages)
        self.pass_on(output)

    def pass_on(self, output: IntakeOutput) -> None:
        """Give what intake made to the later stages; a frame seen before may be given again."""
        self.rejects += output.rejects
        made = []
        for shard, frame in output.frames.items():
            self._watches[shard], reports = self._stages.watches[shard].step(self._watches[shard], frame)
            made += reports
        self.reports += made
        for report in made:
            self._incidents, raised = self._stages.incidents.step(self._incidents, report)
            self.alerts += raised
            self.refused += self._incidents.refused

    def heartbeat(self, partition: int, minute: int) -> None:
        """Say that a raw partition has shown all up to a minute."""
        self._intake, output = self._stages.intake.heartbeat(self._intake, partition, minute)
        self.pass_on(output)

    def checkpoint(self) -> None:
        """Write of every state what is not written yet, onto what is there."""
        for disk, book, state in zip(self._disks, self._books, self._states(), strict=True):
            put(disk, book.changes(state))

    def _states(self) -> list[Any]:
        return [self._intake, *self._watches, self._incidents]

    @property
    def state_bytes(self) -> int:
        """How large all states are when written, but for pooled detectors' and incidents that are over (30 days)."""
        *others, incidents = self._states()
        bare = replace(incidents, lives=replace(incidents.lives, ended={}))
        written = [
            collected(book.changes(state)) for book, state in zip(books_of(self._stages), [*others, bare], strict=True)
        ]
        return sum(
            len(part) for pages in written for name, parts in pages.items() if name != "pooled" for part in parts
        )

    @property
    def rates(self) -> PageRates:
        """Promised, natural and realised rates of pages."""
        return self._stages.incidents.rates(self._incidents)

    @property
    def rule_bytes(self) -> int:
        """How large what rules remember is when written."""
        return len(codec.encode(self._incidents.rules))

    def restart(self) -> None:
        """Write every state, forget everything, and read the states again, as after a crash: the same to the bit."""
        self.checkpoint()
        written = [codec.encode(state) for state in self._states()]
        self.crash()
        assert [codec.encode(state) for state in self._states()] == written

    def change(self, a_plan: Plan) -> None:
        """Write every state and read it again with another plan, as when the configuration was edited."""
        self._plan = a_plan
        self.checkpoint()
        self.crash()

    def crash(self) -> None:
        """Forget everything since the last checkpoint, and read the states that it wrote."""
        self._stages = build_stages(self._plan, PriceTable(self._lookup))
        self._load()

    def copy(self) -> Run:
        """Another run that has seen the same."""
        self.checkpoint()
        twin = copy(self)
        twin._disks = [{name: [*parts] for name, parts in disk.items()} for disk in self._disks]
        twin._load()
        twin.alerts, twin.reports = list(self.alerts), list(self.reports)
        twin.rejects, twin.refused = list(self.rejects), list(self.refused)
        return twin

    def _load(self) -> None:
        self._books = books_of(self._stages)
        on_disk = zip(self._books, self._disks, strict=True)
        read = [book.load({name: [*parts] for name, parts in disk.items()}) for book, disk in on_disk]
        self._intake, *self._watches, self._incidents = read

    def end(self, minute: int) -> Run:
        """Close all up to a minute, on every raw partition."""
        for partition in range(self._plan.raw_partitions):
            self.heartbeat(partition, minute + 1 + self._plan.intake.allowed_lateness_minutes)
        return self

    @property
    def told(self) -> list[bytes]:
        """The alerts as bytes, in the order in which they were raised."""
        return [msgspec.json.encode(alert) for alert in self.alerts]


def books_of(stages: Stages) -> list[StatePages[Any]]:
    """Of every stage, what has written nothing yet."""
    return [stages.intake.pages(), *(watch.pages() for watch in stages.watches), stages.incidents.pages()]


def put(disk: Pages, parts: Iterable[Part]) -> set[str]:
    """Put parts onto a disk; return the names of the pages that were written."""
    written: set[str] = set()
    for name, part in parts:
        if part is None:
            del disk[name]
            continue
        if name not in written:
            disk[name] = []
        disk[name].append(part)
        written.add(name)
    return written


def usage_messages(events: Iterable[Event], partition: int = 0, first_offset: int = 0) -> list[RawMessage]:
    """One message an event."""
    return [
        RawMessage("usage", partition, first_offset + n, json.dumps(event).encode()) for n, event in enumerate(events)
    ]


def deployment_messages(events: Iterable[Event]) -> list[RawMessage]:
    """One message a deployment."""
    return [RawMessage("deployments", 0, n, json.dumps(event).encode()) for n, event in enumerate(events)]


def run(a_stream: Stream, a_plan: Plan | None = None, cuts: Iterable[int] = (), lookup: Lookup = price_lookup) -> Run:
    """Run a stream through the stages to its end, with frames cut before the given places."""
    started = Run(a_plan, lookup)
    started.feed(deployment_messages(a_stream.deployments))
    for batch in cut(usage_messages(a_stream.usage), cuts):
        started.feed(batch)
    return started.end(end_of(a_stream))


def cut(messages: list[RawMessage], places: Iterable[int]) -> list[list[RawMessage]]:
    """Messages in batches, cut before the given places."""
    ends = sorted({0, len(messages), *(place % (len(messages) + 1) for place in places)})
    return [messages[start:stop] for start, stop in pairwise(ends)]


def end_of(a_stream: Stream) -> int:
    """The last minute of a stream."""
    return max(parse_minute(event["time"]) for event in a_stream.usage)
