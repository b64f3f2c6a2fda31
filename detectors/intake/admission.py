"""Admission: which events are taken, and why the others are not.

Events are checked in columns; only what is refused is looked at one by one, to say why.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors import frame as f
from detectors.clock import MINUTES_PER_DAY, NEVER, parse_minute
from detectors.intake.decode import Reason

FARTHEST_JUMP_MINUTES = 366 * MINUTES_PER_DAY
"""Where nobody knows when a message was received (a file), event time may not jump ahead by more than this."""

_STAMPS_KEPT = 200_000
_LAST_MINUTE = 2**31 - 1
"""What a column of minutes can hold: the year 6053."""


class IntakeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What intake accepts."""

    shards: Annotated[int, Meta(ge=1, le=1024)] = 4
    allowed_lateness_minutes: Annotated[int, Meta(ge=0, le=60)] = 0
    accept_late_minutes: Annotated[int, Meta(ge=1, le=14 * MINUTES_PER_DAY)] = MINUTES_PER_DAY
    accept_ahead_minutes: Annotated[int, Meta(ge=1, le=MINUTES_PER_DAY)] = 10
    max_message_bytes: Annotated[int, Meta(ge=1024, le=64_000_000)] = 1_000_000


class Placed(msgspec.Struct, frozen=True):
    """Where in time each event stands; all columns have shape (events,).

    ``high`` is the highest minute that was taken up to and with the event.
    """

    taken: NDArray[np.bool_]
    minute: NDArray[np.int32]
    high: NDArray[np.int32]


class Stamps:
    """Reads time stamps; a stamp stands for many events, so each is parsed once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def minutes(self, stamps: list[str]) -> NDArray[np.int32]:
        """Minutes of stamps, :data:`NEVER` for what is none; shape (stamps,)."""
        known = self._known
        if len(known) > _STAMPS_KEPT:
            known.clear()
        for stamp in set(stamps).difference(known):
            known[stamp] = _minute_in(stamp)
        return np.fromiter(map(known.__getitem__, stamps), np.int32, len(stamps))


def _minute_in(stamp: str) -> int:
    try:
        minute = parse_minute(stamp)
    except (ValueError, OverflowError):
        return NEVER
    return minute if minute <= _LAST_MINUTE else NEVER


def place(
    limits: IntakeSettings,
    minute: NDArray[np.int32],
    received: NDArray[np.int32],
    sound: NDArray[np.bool_],
    high: int,
) -> Placed:
    """Tell which events come at a time at which they can be taken.

    Parameters
    ----------
    limits
        What is accepted.
    minute
        Event minutes, :data:`NEVER` where the stamp was none; shape (events,).
    received
        Minutes at which the messages were received, :data:`NEVER` where nobody knows; shape (events,).
    sound
        Which events have sound content; shape (events,).
    high
        The highest minute that the raw partition had shown before.
    """
    in_time = sound & (minute != NEVER)
    in_time &= (received == NEVER) | (minute <= received + limits.accept_ahead_minutes)
    highs = _rising(minute, in_time, high)
    if _jumps(minute, in_time & (received == NEVER), highs, high).any():
        in_time = _without_jumps(minute, in_time, received, high)
        highs = _rising(minute, in_time, high)
    old = (highs != NEVER) & (minute < highs - limits.accept_late_minutes)
    return Placed(in_time & ~old, minute, highs)


def _rising(minute: NDArray[np.int32], counts: NDArray[np.bool_], high: int) -> NDArray[np.int32]:
    return np.maximum.accumulate(np.where(counts, np.maximum(minute, high), high).astype(np.int32))


def _jumps(
    minute: NDArray[np.int32], counts: NDArray[np.bool_], highs: NDArray[np.int32], high: int
) -> NDArray[np.bool_]:
    before = np.concatenate([[high], highs[:-1]])
    return np.asarray(counts & (before != NEVER) & (minute > before + FARTHEST_JUMP_MINUTES), np.bool_)


def _without_jumps(
    minute: NDArray[np.int32], in_time: NDArray[np.bool_], received: NDArray[np.int32], high: int
) -> NDArray[np.bool_]:
    """Refuse jumps one after the other: what a refused one showed does not count for the next."""
    kept = in_time.copy()
    for row in np.flatnonzero(in_time):
        if received[row] == NEVER and high != NEVER and minute[row] > high + FARTHEST_JUMP_MINUTES:
            kept[row] = False
        else:
            high = max(high, int(minute[row]))
    return kept


def is_sound(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which events have no part above its whole; shape (measures, events) to (events,)."""
    sound = values[f.CACHED] + values[f.CACHE_WRITE] <= values[f.INPUT]
    sound &= values[f.REASONING] <= values[f.OUTPUT]
    return np.asarray(sound & (values[f.ERRORS] <= values[f.REQUESTS]), np.bool_)


def why_unsound(row: NDArray[np.int64]) -> tuple[Reason, str] | None:
    """Code and sentence on an event with a part above its whole, or None; shape (measures,)."""
    cached, written, into = row[f.CACHED], row[f.CACHE_WRITE], row[f.INPUT]
    if cached + written > into:
        sentence = f"cached {cached} + cache writes {written} > input {into}: input_tokens includes both"
        return "cached_above_input", sentence
    if row[f.REASONING] > row[f.OUTPUT]:
        sentence = f"reasoning {row[f.REASONING]} > output {row[f.OUTPUT]}: output_tokens includes reasoning"
        return "reasoning_above_output", sentence
    if row[f.ERRORS] > row[f.REQUESTS]:
        sentence = f"errors {row[f.ERRORS]} > requests {row[f.REQUESTS]}: requests includes failed ones"
        return "errors_above_requests", sentence
    return None


def why_out_of_time(limits: IntakeSettings, stamp: str, minute: int, received: int, high: int) -> tuple[Reason, str]:
    """Code and sentence on an event that came at a time at which it cannot be taken."""
    if minute == NEVER:
        return "bad_time", f"{stamp[:64]!r} is no RFC 3339 time with a zone: write it like 2026-10-01T00:00:00Z"
    if received != NEVER and minute > received + limits.accept_ahead_minutes:
        return "future_time", f"{stamp} is over {limits.accept_ahead_minutes} min ahead: check the sender's clock"
    if minute > high:
        return "future_time", f"{stamp} is over a year ahead of the events before it: check the sender's clock"
    return "too_old", (
        f"{stamp} is over {limits.accept_late_minutes} min behind the newest event: raise accept_late_minutes, "
        "or replay it apart"
    )
