"""Runs hostile messages through intake and holds the outcome against what each message was made to be."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec
import numpy as np

from detectors.clock import parse_minute
from detectors.intake import columns
from detectors.intake.admission import IntakeSettings
from detectors.intake.prices import PriceTable
from detectors.intake.raw import RawMessage
from detectors.intake.stage import Intake, IntakeOutput
from tests.faults.hostile import LARGEST_MESSAGE_BYTES, Hostile, messages

BATCH = 5000
RECEIVED = parse_minute("2026-10-01T00:06:00Z")


class Outcome(msgspec.Struct):
    """What came of hostile messages; ``wrong`` has a sentence for each message that was not dealt with rightly."""

    messages: int = 0
    valid: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    wrong: list[str] = []
    seconds: float = 0.0


def run(seed: int, count: int, batch: int = BATCH) -> Outcome:
    """Make messages, take them in batches, and compare."""
    intake = Intake(
        IntakeSettings(shards=1, max_message_bytes=LARGEST_MESSAGE_BYTES), PriceTable(lambda provider, model, day: None)
    )
    state, outcome, offset = intake.start(), Outcome(), 0
    for chunk in _batches(messages(seed, count), batch):
        raw = [RawMessage("usage", 0, offset + place, one.payload, RECEIVED) for place, one in enumerate(chunk)]
        began = time.perf_counter()
        state, output = intake.step(state, raw)
        outcome.seconds += time.perf_counter() - began
        _compare(chunk, offset, output, outcome)
        offset += len(chunk)
    return outcome


def _batches(made: Iterator[Hostile], size: int) -> Iterator[list[Hostile]]:
    while chunk := list(islice(made, size)):
        yield chunk


def _compare(chunk: Sequence[Hostile], first: int, output: IntakeOutput, outcome: Outcome) -> None:
    frame = output.frames[0]
    identities = dict(zip(frame.identity.tolist(), frame.offset.tolist(), strict=True))
    refused = Counter(reject.offset for reject in output.rejects)
    for place, one in enumerate(chunk):
        expected = columns.identity_of(["gateway"] * len(one.valid), list(one.valid)) if one.valid else np.zeros(0)
        if any(identities.pop(int(identity), None) != first + place for identity in expected):
            outcome.wrong.append(f"{one.kind}: a valid event is missing: {one.payload[:200]!r}")
        if refused[first + place] != one.refused:
            said = f"{one.kind}: {refused[first + place]} refusals, not {one.refused}: {one.payload[:200]!r}"
            outcome.wrong.append(said)
    outcome.wrong += [f"an event came from nowhere at offset {offset}" for offset in identities.values()]
    for reject in output.rejects:
        whole = chunk[reject.offset - first].payload
        if not reject.reason or not reject.detail or reject.payload not in whole:
            outcome.wrong.append(f"a refusal without a reason, or with bytes that never came: {reject}")
        outcome.refused[reject.reason] += 1
    outcome.messages += len(chunk)
    outcome.valid += output.taken
