"""The stages in one process, one after the other, with states that can be saved and taken up again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from detectors.clock import NEVER
from detectors.events import Alert, Feedback
from detectors.intake.raw import RawMessage
from detectors.intake.stage import IntakeOutput, Reject
from detectors.judging.budget import PageRates
from detectors.state.pages import Pages, Part, collected
from detectors.watch.reports import MinuteReport
from streams.app import Stages

_SHAPE = "shape"
"""The page that says what of the configuration the states depend on."""


class StateMismatchError(Exception):
    """Saved states do not fit the stages; the sentence says which and what to do."""


class Passed(msgspec.Struct, frozen=True):
    """What the stages made of some messages."""

    intake: IntakeOutput
    reports: list[MinuteReport]
    alerts: list[Alert]
    refused: list[Reject]
    """Decisions on alerts that nobody knows."""

    @property
    def rejects(self) -> list[Reject]:
        """All that was refused."""
        return [*self.intake.rejects, *self.refused]


def _below(stage: str, parts: Iterable[Part]) -> Iterator[Part]:
    return ((f"{stage}/{name}", part) for name, part in parts)


class Pipeline:
    """Intake, watches and incidents in a row.

    Parameters
    ----------
    stages
        As the composition root built them.
    saved
        Pages by stage and name, as :meth:`changes` gave them, which are taken out; None begins anew.

    Raises
    ------
    StateMismatchError
        If the states were written by other stages: another number of shards, another version.
    """

    def __init__(self, stages: Stages, saved: Pages | None = None) -> None:
        self._stages = stages
        self.forget_what_is_written()
        self.intake_state = stages.intake.start()
        self._watches = [watch.start() for watch in stages.watches]
        self._incidents = stages.incidents.start()
        if saved is not None:
            self._load(saved)

    def forget_what_is_written(self) -> None:
        """Let the next :meth:`changes` give everything: after they could not be written."""
        watches = {f"watch/{shard}": watch.pages() for shard, watch in enumerate(self._stages.watches)}
        self._intake_pages, self._watch_pages = self._stages.intake.pages(), watches
        self._incidents_pages = self._stages.incidents.pages()
        self._has_told_shape = False

    def _load(self, saved: Pages) -> None:
        stages = self._stages
        shape = b"".join(saved.pop(_SHAPE, [stages.shape.encode()])).decode()
        if shape != stages.shape:
            raise StateMismatchError(
                f"the state was made with {shape}, the configuration has {stages.shape}: set them back, or begin a new "
                "state file"
            )
        self._has_told_shape = True
        by_stage: dict[str, Pages] = {}
        for name in list(saved):
            stage = "/".join(name.split("/")[: 2 if name.startswith("watch/") else 1])
            by_stage.setdefault(stage, {})[name.removeprefix(f"{stage}/")] = saved.pop(name)
        if by_stage.keys() != {"intake", *self._watch_pages, "incidents"}:
            shards = sum(name.startswith("watch/") for name in by_stage)
            raise StateMismatchError(
                f"the state has {shards} shards, the configuration {len(stages.watches)}: their number is fixed for "
                "the life of a state; set it back, or begin a new state file"
            )
        try:
            self.intake_state = self._intake_pages.load(by_stage["intake"])
            self._watches = [pages.load(by_stage[name]) for name, pages in self._watch_pages.items()]
            self._incidents = self._incidents_pages.load(by_stage["incidents"])
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            raise StateMismatchError(
                f"the state was written with other detectors or by another version ({error}): set them back, "
                "or begin a new state file"
            ) from error

    @property
    def high_minute(self) -> int | None:
        """The highest event minute seen, or None before the first event."""
        return max(self.intake_state.high_minute.values(), default=None)

    @property
    def judged_minute(self) -> int | None:
        """Up to which minute everything is judged, or None before the first one."""
        return None if self._incidents.done == NEVER else self._incidents.done

    @property
    def open_incidents(self) -> int:
        """How many incidents fire now."""
        return self._incidents.open_incidents

    @property
    def series(self) -> int:
        """How many series are held, in all shards and in the views that cross them."""
        return sum(watch.series.count for watch in self._watches) + self._incidents.wide.count

    @property
    def labels(self) -> int:
        """By how many labels spend is counted."""
        return self._incidents.labels

    @property
    def page_rates(self) -> PageRates:
        """Pages a week as promised, as natural and as realised."""
        return self._stages.incidents.rates(self._incidents)

    def knows(self, alert_id: str) -> bool:
        """Whether an alert can be decided on."""
        return self._incidents.knows(alert_id)

    def feed(self, messages: Sequence[RawMessage]) -> Passed:
        """Take messages of one raw partition, in its order."""
        return self.pass_on(self.take_in(messages))

    def take_in(self, messages: Sequence[RawMessage]) -> IntakeOutput:
        """Do the first half of :meth:`feed`, which may be done while the second half is of messages before."""
        self.intake_state, output = self._stages.intake.step(self.intake_state, messages)
        return output

    def pass_on(self, output: IntakeOutput) -> Passed:
        """Do the second half, in the order of the first."""
        reports: list[MinuteReport] = []
        for shard, frame in output.frames.items():
            self._watches[shard], made = self._stages.watches[shard].step(self._watches[shard], frame)
            reports += made
        reports.sort(key=lambda report: (report.minute, report.shard))
        self._incidents, alerts = self._stages.incidents.step(self._incidents, *reports)
        return Passed(output, reports, alerts, [unknown_alert(said) for said in self._incidents.refused])

    def heartbeat(self, partition: int, minute: int) -> Passed:
        """Say that a raw partition has shown all up to a minute."""
        self.intake_state, output = self._stages.intake.heartbeat(self.intake_state, partition, minute)
        return self.pass_on(output)

    def changes(self) -> Iterator[Part]:
        """Give what is not written yet of the states; once taken it counts as written. No step is made meanwhile."""
        if not self._has_told_shape:
            yield _SHAPE, self._stages.shape.encode()
            self._has_told_shape = True
        yield from _below("intake", self._intake_pages.changes(self.intake_state))
        for (name, pages), state in zip(self._watch_pages.items(), self._watches, strict=True):
            yield from _below(name, pages.changes(state))
        yield from _below("incidents", self._incidents_pages.changes(self._incidents))

    def adopted_by(self, stages: Stages) -> Pipeline:
        """Return other stages that go on from here; neither they nor these count anything as written.

        Raises
        ------
        StateMismatchError
            If the states do not fit them.
        """
        self.forget_what_is_written()
        pages = collected(self.changes())
        self.forget_what_is_written()
        pipeline = Pipeline(stages, pages)
        pipeline.forget_what_is_written()
        return pipeline


def unknown_alert(said: Feedback) -> Reject:
    """Return the refusal of a decision on an alert that nobody knows: it has no place in a partition any more."""
    detail = f"no alert {said.alert_id}, or it was over 30 days ago: take the id from the alert"
    return Reject("feedback", 0, -1, 0, "unknown_alert", detail, msgspec.json.encode(said))
