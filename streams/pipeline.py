"""The stages in one process, one after the other, with states that can be saved and taken up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from detectors.admission import NEVER
from detectors.budget import PageRates
from detectors.events import Alert, Feedback
from detectors.intake import IntakeOutput, RawMessage, Reject
from detectors.reports import MinuteReport
from streams.app import Stages

_SHAPE = "shape"


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


class Pipeline:
    """Intake, watches and incidents in a row.

    Parameters
    ----------
    stages
        As the composition root built them.
    saved
        States by stage, as :meth:`save` gave them; None begins anew.

    Raises
    ------
    StateMismatchError
        If the states were written by other stages: another number of shards, another version.
    """

    def __init__(self, stages: Stages, saved: Mapping[str, bytes] | None = None) -> None:
        self._stages = stages
        if saved is None:
            self.intake_state = stages.intake.start()
            self._watches = [watch.start() for watch in stages.watches]
            self._incidents = stages.incidents.start()
            return
        shape = saved.get(_SHAPE, stages.shape.encode()).decode()
        if shape != stages.shape:
            raise StateMismatchError(
                f"the state was made with {shape}, the configuration has {stages.shape}: set them back, or begin a new "
                "state file"
            )
        names = ["intake", *(f"watch/{shard}" for shard in range(len(stages.watches))), "incidents"]
        if saved.keys() - {_SHAPE} != set(names):
            shards = sum(name.startswith("watch/") for name in saved)
            raise StateMismatchError(
                f"the state has {shards} shards, the configuration {len(stages.watches)}: their number is fixed for "
                "the life of a state; set it back, or begin a new state file"
            )
        try:
            self.intake_state = stages.intake.decode(saved["intake"])
            self._watches = [watch.decode(saved[f"watch/{n}"]) for n, watch in enumerate(stages.watches)]
            self._incidents = stages.incidents.decode(saved["incidents"])
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

    def save(self) -> dict[str, bytes]:
        """Return the states, by stage."""
        watches = zip(self._stages.watches, self._watches, strict=True)
        return {
            _SHAPE: self._stages.shape.encode(),
            "intake": self._stages.intake.encode(self.intake_state),
            **{f"watch/{shard}": watch.encode(state) for shard, (watch, state) in enumerate(watches)},
            "incidents": self._stages.incidents.encode(self._incidents),
        }


def unknown_alert(said: Feedback) -> Reject:
    """Return the refusal of a decision on an alert that nobody knows: it has no place in a partition any more."""
    detail = f"no alert {said.alert_id}, or it was over 30 days ago: take the id from the alert"
    return Reject("feedback", 0, -1, 0, "unknown_alert", detail, msgspec.json.encode(said))
