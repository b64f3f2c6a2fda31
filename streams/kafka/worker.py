"""A Kafka worker: intake in a process of its own, and Faust's agents watch, incidents and deliver.

Any number of workers share the work.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from detectors.clock import NEVER
from detectors.events import Alert, Feedback
from detectors.frame import Frame
from detectors.incidents.stage import Incidents
from detectors.judging.budget import PageRates
from detectors.watch.reports import MinuteReport
from detectors.watch.state import WatchState
from streams.configuration.kafka_settings import KafkaSettings
from streams.delivery.dispatcher import Reached
from streams.delivery.outbox import Outbox, Waiting
from streams.kafka.agents import Agent, Companion, Holding, Message, Observer
from streams.kafka.cutting import cut_report
from streams.kafka.deliver import SCHEMAS as DELIVER_SCHEMAS
from streams.kafka.deliver import SENDER_OF_ALERTS, KafkaOutbox
from streams.kafka.faust_app import build_app
from streams.kafka.giving_up import exit_at_once
from streams.kafka.intake_process import IntakeProcess
from streams.kafka.lease import Failpoint, Lane, Lease, no_failpoint
from streams.kafka.send_again import ServedWithAsks
from streams.kafka.status import OwnLane, PartitionStatus, newest_root, read_own
from streams.kafka.topics import (
    ALERTS,
    CANDIDATES,
    DEAD_LETTERS,
    FRAMES,
    STATE_DELIVER,
    STATE_INCIDENTS,
    STATE_WATCH,
    TopicFault,
    check_topics,
)
from streams.kafka.work import IncidentsWork, Stage, StageWork, Work

STOP_SECONDS = 60.0
_LOOK_SECONDS = 5.0

_SCHEMAS = {
    "watch": ("watch/7 by {shape}",),
    "incidents": ("incidents/8 by {shape}",),
    "deliver": DELIVER_SCHEMAS,
}
"""Of each agent's state: the version that is written, then the older ones that are read as well."""

_log = structlog.get_logger(__name__)


class TopicsError(Exception):
    """The topics are not as they must be; the message names each fault and its cure."""


class WorkerParts(msgspec.Struct, frozen=True):
    """What a worker is made of; all that is not Kafka.

    ``watches`` has a stage a shard; ``shape`` names what of the configuration the stages' states depend on.
    ``receivers_of`` says who hears of an alert, given who has heard of its incident, ``is_past`` whether it is held for
    a digest; ``open_delivery`` makes what serves an outbox, given how to learn which minute detection has come to. The
    observers are told of each minute report made, of each alert that came into the outbox with when the input came that
    raised it (Unix seconds), of how long checkpoints took, and of decisions on alerts that nobody knows; after a crash,
    of the last few seconds' once more.
    """

    watches: Sequence[Stage[WatchState, Frame, MinuteReport]]
    incidents: Incidents
    shape: str
    receivers_of: Callable[[Alert, Sequence[str]], Sequence[str]]
    is_past: Callable[[Alert, float], bool]
    open_delivery: Callable[[Outbox, Reached], Companion]
    observe_report: Callable[[MinuteReport], None] = lambda report: None
    observe_alert: Callable[[Alert, float], None] = lambda alert, came_seconds: None
    observe_checkpoint: Callable[[float], None] = lambda seconds: None
    observe_refused: Callable[[Feedback], None] = lambda said: None


def _in_one_sentence(faults: Sequence[TopicFault]) -> str:
    """Name every fault and its cure, each cure once."""
    by_cure: dict[tuple[str, str], list[str]] = {}
    for fault in faults:
        by_cure.setdefault((fault.what, fault.cure), []).append(fault.topic)
    return "; ".join(f"topic {', '.join(topics)} {what}: {cure}" for (what, cure), topics in by_cure.items())


class Figures(msgspec.Struct, frozen=True):
    """How things stand in what this worker holds; what others hold is their business.

    ``event_minute`` is up to which minute all input is known, None before there is any; ``series`` are those of its
    shards, and of the views that cross them; ``labels`` is by how many spend is counted. Where another worker holds the
    incidents, ``page_rates`` is None and what is counted of them is 0.
    """

    event_minute: int | None = None
    series: int = 0
    open_incidents: int = 0
    labels: int = 0
    page_rates: PageRates | None = None
    waiting: Waiting = Waiting(0, 0.0)


def _series_of(work: Work) -> int:
    """How many series the state of some work holds."""
    if isinstance(work, IncidentsWork):
        return work.state.wide.count
    if isinstance(work, StageWork) and isinstance(work.state, WatchState):
        return work.state.series.count
    return 0


class KafkaWorker:
    """One worker.

    Parameters
    ----------
    settings
        Where Kafka is.
    parts
        What it is made of.
    intake
        Cuts the frames, in a process that was started.
    name
        Of this worker, unlike any other's and the same after a restart: then a restart within the session timeout
        moves no partitions. None where there is no such name.
    give_up
        Ends the process at once.
    failpoint
        For tests that crash at every point.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        parts: WorkerParts,
        intake: IntakeProcess,
        name: str | None = None,
        give_up: Callable[[BaseException], NoReturn] = exit_at_once,
        failpoint: Failpoint = no_failpoint,
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._intake = intake
        self._name = name
        self._give_up = give_up
        self._saving_of_watch = asyncio.Lock()  # what a checkpoint writes of a shard is large
        self._failpoint = failpoint
        self._stopping = asyncio.Event()
        self._agents = [
            Agent(settings.topic(FRAMES), self._hold_watch, give_up),
            Agent(settings.topic(CANDIDATES), self._hold_incidents, give_up),
            Agent(settings.topic(ALERTS), self._hold_delivery, give_up),
        ]

    @property
    def is_ready(self) -> bool:
        """Whether intake takes messages and this worker holds all that it was given."""
        holdings = [holding for agent in self._agents for holding in agent.held.values()]
        is_settled = all(agent.is_settled for agent in self._agents)
        return self._intake.is_ready and is_settled and all(holding.is_ready for holding in holdings)

    def figures(self) -> Figures:
        """Return how things stand."""
        ready = [holding.work for agent in self._agents for holding in agent.held.values() if holding.is_ready]
        figures = Figures(min(filter(None, map(self._event_minute, ready)), default=None), sum(map(_series_of, ready)))
        for work in ready:
            if isinstance(work, IncidentsWork):
                state, rates = work.state, self._parts.incidents.rates(work.state)
                figures = replace(figures, page_rates=rates, open_incidents=state.open_incidents, labels=state.labels)
            elif isinstance(work, KafkaOutbox):
                figures = replace(figures, waiting=work.waiting())
        return figures

    async def partitions(self) -> list[PartitionStatus]:
        """Return how each partition stands that this worker holds.

        Raises
        ------
        KafkaError, LookupError
            If the broker does not say.
        """
        lanes = [
            OwnLane(
                holding.lease.lane.agent,
                TopicPartition(agent.topic, partition),
                holding.lease.next_offset,
                holding.work.reached(),
                holding.lease.saved_ms,
                holding.lease.held_since_ms,
            )
            for agent in self._agents
            for partition, holding in agent.held.items()
            if holding.is_ready
        ]
        return await read_own(self._settings, lanes, self._owner)

    @property
    def _owner(self) -> str:
        return self._name or f"process {os.getpid()}"

    def _event_minute(self, work: Work) -> int | None:
        """Up to which minute a shard knows all input, or None where that is not said yet."""
        if not (isinstance(work, StageWork) and isinstance(work.state, WatchState)):
            return None
        high = work.state.ledger.high
        known = min(high.values()) if len(high) == self._settings.usage_partitions else NEVER
        return None if known == NEVER else known

    def stop(self) -> None:
        """Let :meth:`run` save everything and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until told to stop.

        Raises
        ------
        TopicsError
            If a topic is missing or not as it must be.
        """
        faults = await asyncio.to_thread(check_topics, self._settings, len(self._parts.watches))
        if faults:
            raise TopicsError(_in_one_sentence(faults))
        app = build_app(self._settings, self._agents, self._name)
        await app.start()
        taking = asyncio.create_task(self._intake.run(), name="intake")
        ended = asyncio.create_task(app.wait_until_stopped(), name="faust")
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((taking, ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not self._stopping.is_set():
            failed = taking.exception() if taking.done() else app.crash_reason
            self._give_up(failed or RuntimeError("intake or Faust has stopped by itself"))
        try:
            async with asyncio.timeout(STOP_SECONDS):
                self._intake.stop()
                await taking
                await asyncio.gather(*(agent.close() for agent in self._agents))
                await app.stop()
        except Exception as error:
            self._give_up(error)

    def _hold_watch(self, shard: int) -> Holding:
        stage = self._parts.watches[shard]
        work = StageWork(stage, Frame.decode, self._messages_of, lambda state: state.ledger.closed)
        return self._hold("watch", shard, FRAMES, STATE_WATCH, CANDIDATES, work)

    def _hold_incidents(self, partition: int) -> Holding:
        work = IncidentsWork(self._parts.incidents, self._parts.observe_refused)
        return self._hold("incidents", partition, CANDIDATES, STATE_INCIDENTS, ALERTS, work)

    def _hold_delivery(self, partition: int) -> Holding:
        async def save() -> None:
            await holding.save()

        async def reached() -> int | None:
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    root = await newest_root(self._settings, STATE_INCIDENTS)
            except (KafkaError, TimeoutError):  # whoever asks will ask again
                return None
            has_all = root is not None and holding.lease.taken_from(SENDER_OF_ALERTS) >= root.outputs
            return root.reached if root is not None and has_all else None

        outbox = KafkaOutbox(self._parts.receivers_of, save, self._parts.is_past)
        holding = self._hold("deliver", partition, ALERTS, STATE_DELIVER, DEAD_LETTERS, outbox)
        holding.run_companion(
            lambda: ServedWithAsks(self._settings, outbox, self._parts.open_delivery(outbox, reached))
        )
        return holding

    def _hold(self, agent: str, partition: int, given: str, state: str, made: str, work: Work) -> Holding:
        topic = self._settings.topic
        schema, *older = (version.format(shape=self._parts.shape) for version in _SCHEMAS[agent])
        lane = Lane(
            agent, partition, topic(given), topic(state), topic(made), self._settings.application,
            schema, tuple(older),
        )  # fmt: skip
        lease = Lease(self._settings, lane, self._owner, self._failpoint)
        observer = Observer(saved=self._parts.observe_checkpoint)
        if agent == "deliver":
            observer = replace(observer, took=self._take_note_of_alert)
        saving = self._saving_of_watch if agent == "watch" else None
        return Holding(lease, work, self._settings, self._give_up, observer, saving)

    def _take_note_of_alert(self, message: Message) -> None:
        self._parts.observe_alert(msgspec.json.decode(message.value, type=Alert), message.timestamp)

    def _messages_of(self, report: MinuteReport) -> list[bytes]:
        self._parts.observe_report(report)
        return cut_report(report)
