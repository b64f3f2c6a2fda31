"""Cutting: messages of a raw partition to frames, and reports of a minute, that fit a message, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import structlog

from detectors.clock import NEVER
from detectors.intake.raw import RawBatch, RawMessage
from detectors.intake.stage import Intake, IntakeOutput, IntakeState, reject_of
from detectors.watch.reports import MinuteReport
from streams.kafka.client import LARGEST_MESSAGE_BYTES

BYTES_AT_ONCE = 8_000_000
"""A step takes no more. What its frames weigh is not known before; if it is too much, the step is halved."""
_MUCH_MORE = 1.5
"""A few messages more than wanted are no reason for two steps."""

LARGEST_BYTES = LARGEST_MESSAGE_BYTES - 65_536

_log = structlog.get_logger(__name__)


class Cut(NamedTuple):
    """What came of some messages: the output, its frames as bytes by shard, and how many minutes were news."""

    output: IntakeOutput
    frames: dict[int, bytes]
    minutes: int = 0


def encoded(output: IntakeOutput, minutes: int = 0) -> Cut:
    """Return an output with its frames as bytes."""
    return Cut(output, {shard: frame.encode() for shard, frame in output.frames.items()}, minutes)


def cut(intake: Intake, state: IntakeState, messages: Sequence[RawMessage]) -> tuple[IntakeState, list[Cut]]:
    """Step over usage of one raw partition, in as few steps as give frames that fit a message.

    Parameters
    ----------
    intake
        The stage.
    state
        What it knows of the partition.
    messages
        In their order, at least one.
    """
    after, output = _step_around_poison(intake, state, messages)
    partition, middle = messages[0].partition, len(messages) // 2
    before = state.high_minute.get(partition, NEVER)
    before = _earliest_minute(output) if before == NEVER else before
    made = encoded(output, after.high_minute[partition] - before)
    if not middle or max(map(len, made.frames.values())) <= LARGEST_BYTES:
        return after, [made]
    state, first = cut(intake, state, messages[:middle])
    state, second = cut(intake, state, messages[middle:])
    return state, first + second


def chunks(messages: RawBatch, most_messages: int) -> Iterator[RawBatch]:
    """Part messages into about as many as a step takes, by halves."""
    middle = len(messages) // 2
    if not middle or (len(messages) <= _MUCH_MORE * most_messages and messages.sizes().sum() <= BYTES_AT_ONCE):
        yield messages
    else:
        yield from chunks(messages[:middle], most_messages)
        yield from chunks(messages[middle:], most_messages)


def cut_report(report: MinuteReport) -> list[bytes]:
    """Return a report as bytes, in as many parts as each fit a message."""
    data = report.encode()
    halves = report.halves() if len(data) > LARGEST_BYTES else None
    return [data] if halves is None else [part for half in halves for part in cut_report(half)]


def _earliest_minute(output: IntakeOutput) -> int:
    return min((int(frame.minute.min()) for frame in output.frames.values() if len(frame)), default=NEVER)


def _step_around_poison(
    intake: Intake, state: IntakeState, messages: Sequence[RawMessage]
) -> tuple[IntakeState, IntakeOutput]:
    """Step; a message that breaks the stage is set apart as a reject, and the others go on without it."""
    kept, poison = messages, []
    while True:
        try:
            after, output = intake.step(state, kept)
        except Exception as error:  # whatever it is, one message must not stop the stream
            place = _first_to_break(intake, state, kept)
            bad, kept = kept[place], [*kept[:place], *kept[place + 1 :]]
            _log.exception("poisonous_message", partition=bad.partition, offset=bad.offset)
            detail = f"breaks intake: {error!r}"
            poison.append(reject_of(bad, 0, "poisonous", detail, bad.payload))
        else:
            output.rejects.extend(poison)
            return after, output


def _first_to_break(intake: Intake, state: IntakeState, messages: Sequence[RawMessage]) -> int:
    """Place of the message with which a step begins to break, by halving."""
    sound, breaks = 0, len(messages)
    while breaks - sound > 1:
        middle = (sound + breaks) // 2
        try:
            intake.step(state, messages[:middle])
        except Exception:
            breaks = middle
        else:
            sound = middle
    return breaks - 1
