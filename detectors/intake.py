"""Intake: raw messages to frames, one for each shard. Decodes, validates, prices; what is bad is rejected.

The watermark travels with the rows: each carries the highest event minute that its raw partition had shown
when it came, so that what a later stage makes of it does not depend on where frames were cut.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors import codec
from detectors import frame as f
from detectors.clock import MINUTES_PER_DAY, parse_minute
from detectors.decode import Mistake, Reader
from detectors.events import DeploymentEvent, UsageEvent
from detectors.frame import Frame, Key
from detectors.prices import NANO, Counts, PriceTable

NEVER = -(2**31)
"""The highest event minute of a raw partition that has shown nothing."""

FARTHEST_JUMP_MINUTES = 366 * MINUTES_PER_DAY
"""Where nobody knows when a message was received (a file), event time may not jump ahead by more than this."""

_STAMPS_KEPT = 200_000


class IntakeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What intake accepts."""

    shards: Annotated[int, Meta(ge=1, le=1024)] = 4
    allowed_lateness_minutes: Annotated[int, Meta(ge=0, le=60)] = 0
    accept_late_minutes: Annotated[int, Meta(ge=1, le=14 * MINUTES_PER_DAY)] = MINUTES_PER_DAY
    accept_ahead_minutes: Annotated[int, Meta(ge=1, le=MINUTES_PER_DAY)] = 10
    max_message_bytes: Annotated[int, Meta(ge=1024, le=64_000_000)] = 1_000_000


class RawMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as it came; ``received_minute`` is None where nobody knows (a file)."""

    kind: Literal["usage", "deployments", "feedback"]
    partition: int
    offset: int
    payload: bytes
    received_minute: int | None = None


class Reject(msgspec.Struct, frozen=True):
    """An event refused: where it stood, why, and the message as it came."""

    kind: str
    partition: int
    offset: int
    index: int
    reason: str
    detail: str
    payload: bytes


class IntakeOutput(msgspec.Struct, frozen=True):
    """A frame for every shard (all carry the watermark), what was refused, and counts for the metrics."""

    frames: dict[int, Frame]
    rejects: list[Reject]
    taken: int
    late: int
    unpriced: int


class IntakeState(msgspec.Struct):
    """The highest event minute that each raw partition of usage has shown."""

    high_minute: dict[int, int]


class _Rows(msgspec.Struct):
    """Usage of one step that decoded, with where each came from."""

    events: list[UsageEvent]
    message: list[RawMessage]
    index: list[int]


class Intake:
    """The first stage.

    Parameters
    ----------
    settings
        What is accepted.
    prices
        The price list.
    """

    def __init__(self, settings: IntakeSettings, prices: PriceTable) -> None:
        self.settings = settings
        self._prices = prices
        self._usage = Reader(UsageEvent)
        self._deployments = Reader(DeploymentEvent)
        self._stamps: dict[str, int] = {}
        self._shards: dict[str, int] = {}

    def start(self) -> IntakeState:
        """Nothing seen yet."""
        return IntakeState({})

    def encode(self, state: IntakeState) -> bytes:
        """Bytes that :meth:`decode` reads."""
        return codec.encode(state)

    def decode(self, data: bytes) -> IntakeState:
        """Return the state that :meth:`encode` wrote."""
        return codec.decode(data, IntakeState)

    def step(self, state: IntakeState, messages: Sequence[RawMessage]) -> tuple[IntakeState, IntakeOutput]:
        """Make frames of messages; those of usage all come from one raw partition, in its order."""
        rejects: list[Reject] = []
        usage = [m for m in messages if m.kind == "usage"]
        deployments = self._read_deployments([m for m in messages if m.kind == "deployments"], rejects)
        rows = self._read_usage(usage, rejects)
        partition = usage[0].partition if usage else 0
        span = (usage[0].offset, usage[-1].offset) if usage else (-1, -1)
        before = state.high_minute.get(partition, NEVER)
        keep, minutes, highs = self._place_in_time(rows, before, rejects)
        high = int(highs[-1]) if len(highs) else before
        columns = self._columns(rows, keep, minutes, highs)
        frames = self._cut(columns, partition, span, high, deployments)
        if usage:
            state = IntakeState({**state.high_minute, partition: high})
        late = int((minutes < highs - self.settings.allowed_lateness_minutes).sum())
        unpriced = int((columns.values[f.UNPRICED] > 0).sum())
        return state, IntakeOutput(frames, rejects, len(keep), late, unpriced)

    def heartbeat(self, state: IntakeState, partition: int, minute: int) -> tuple[IntakeState, IntakeOutput]:
        """Say that a raw partition has shown all up to a minute: frames without rows that move the watermark."""
        high = max(state.high_minute.get(partition, NEVER), minute)
        nothing = self._columns(_Rows([], [], []), [], *([np.zeros(0, np.int32)] * 2))
        frames = self._cut(nothing, partition, (-1, -1), high, [])
        return IntakeState({**state.high_minute, partition: high}), IntakeOutput(frames, [], 0, 0, 0)

    def shard_of(self, service: str) -> int:
        """Return the shard of a service, by a hash that is the same everywhere and for ever."""
        if service not in self._shards:
            mixed = zlib.crc32(service.encode(errors="surrogatepass")) * 2654435761 % 2**32
            self._shards[service] = (mixed >> 16) % self.settings.shards
        return self._shards[service]

    def _read_usage(self, messages: list[RawMessage], rejects: list[Reject]) -> _Rows:
        fits = [m for m in messages if self._size_is_right(m, rejects)]
        events = self._usage.read_all([m.payload for m in fits])
        if events is not None:
            return _Rows(events, fits, [0] * len(fits))
        rows = _Rows([], [], [])
        for message in fits:
            found, mistakes = self._usage.read(message.payload)
            rejects.extend(_reject(message, m) for m in mistakes)
            rows.events += found
            rows.message += [message] * len(found)
            rows.index += range(len(found))
        return rows

    def _read_deployments(self, messages: list[RawMessage], rejects: list[Reject]) -> list[DeploymentEvent]:
        deployments = []
        for message in messages:
            if self._size_is_right(message, rejects):
                found, mistakes = self._deployments.read(message.payload)
                rejects.extend(_reject(message, m) for m in mistakes)
                deployments += found
        return deployments

    def _size_is_right(self, message: RawMessage, rejects: list[Reject]) -> bool:
        most = self.settings.max_message_bytes
        if len(message.payload) > most:
            detail = f"{len(message.payload)} bytes, at most {most}: send fewer events in a message"
            rejects.append(_reject(message, Mistake(0, "oversized", detail)))
        return len(message.payload) <= most

    def _place_in_time(
        self, rows: _Rows, high: int, rejects: list[Reject]
    ) -> tuple[list[int], NDArray[np.int32], NDArray[np.int32]]:
        """Which rows are kept, their minutes, and the highest minute shown up to and with each."""
        keep, minutes, highs = [], [], []
        for row, event in enumerate(rows.events):
            minute = self._minute(event.time)
            mistake = _bad_content(event) or self._bad_time(event.time, minute, high, rows.message[row])
            if mistake or minute is None:
                rejects.append(
                    _reject(rows.message[row], Mistake(rows.index[row], *(mistake or ("bad_time", event.time))))
                )
                continue
            high = max(high, minute)
            keep.append(row)
            minutes.append(minute)
            highs.append(high)
        return keep, np.array(minutes, np.int32), np.array(highs, np.int32)

    def _minute(self, stamp: str) -> int | None:
        minute = self._stamps.get(stamp)
        if minute is None:
            try:
                minute = parse_minute(stamp)
            except (ValueError, OverflowError):
                return None
            if len(self._stamps) >= _STAMPS_KEPT:
                self._stamps.clear()
            self._stamps[stamp] = minute
        return minute

    def _bad_time(self, stamp: str, minute: int | None, high: int, message: RawMessage) -> tuple[str, str] | None:
        if minute is None:
            return "bad_time", f"{stamp[:64]!r} is no RFC 3339 time with a zone: write it like 2026-10-01T00:00:00Z"
        limits = self.settings
        if message.received_minute is not None:
            if minute > message.received_minute + limits.accept_ahead_minutes:
                return (
                    "future_time",
                    f"{stamp} is over {limits.accept_ahead_minutes} min ahead: check the sender's clock",
                )
        elif high != NEVER and minute > high + FARTHEST_JUMP_MINUTES:
            return "future_time", f"{stamp} is over a year ahead of the events before it: check the sender's clock"
        if high != NEVER and minute < high - limits.accept_late_minutes:
            return "too_old", (
                f"{stamp} is over {limits.accept_late_minutes} min behind the newest event: raise accept_late_minutes, "
                "or replay it apart"
            )
        return None

    def _columns(self, rows: _Rows, keep: list[int], minutes: NDArray[np.int32], highs: NDArray[np.int32]) -> Frame:
        """One frame of all shards' rows."""
        events = rows.events if len(keep) == len(rows.events) else [rows.events[row] for row in keep]
        places: dict[Key, int] = {}
        key = np.array([places.setdefault(_key(e), len(places)) for e in events], np.int32)
        offset = np.array([rows.message[row].offset for row in keep], np.int64)
        identity = identity_of([e.source for e in events], [e.id for e in events])
        values = self._values(events, list(places), key, minutes)
        return Frame(0, 0, 0, 0, list(places), key, offset, minutes, highs, identity, values, [])

    def _values(
        self, events: list[UsageEvent], keys: list[Key], key: NDArray[np.int32], minutes: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        values = np.zeros((len(f.MEASURES), len(events)), np.int64)
        values[f.REQUESTS] = [e.requests for e in events]
        values[f.ERRORS] = [e.errors for e in events]
        values[f.INPUT] = [e.input_tokens for e in events]
        values[f.CACHED] = [e.cached_input_tokens for e in events]
        values[f.CACHE_WRITE] = [e.cache_write_tokens for e in events]
        values[f.OUTPUT] = [e.output_tokens for e in events]
        values[f.REASONING] = [e.reasoning_tokens for e in events]
        values[f.GPU_MS] = np.rint(np.array([e.gpu_seconds for e in events], float) * 1000)
        models = [(k[5], k[6]) for k in keys]
        tokens = Counts(*values[[f.INPUT, f.CACHED, f.CACHE_WRITE, f.OUTPUT, f.GPU_MS]])
        listed = self._prices.list_cost(models, key, minutes, tokens)
        given = np.array([np.nan if e.cost_usd is None else e.cost_usd for e in events], float)
        paid = np.rint(np.nan_to_num(given) * NANO).astype(np.int64)
        told, known = ~np.isnan(given), listed.known
        values[f.COST] = np.where(told, paid, listed.total_nano)
        values[f.LIST] = np.where(known, listed.total_nano, values[f.COST])
        has_tokens = (values[f.INPUT] + values[f.OUTPUT]) > 0
        gpu_alone = ~has_tokens & (values[f.GPU_MS] > 0)
        values[f.GPU_COST] = np.where(gpu_alone, values[f.COST], np.minimum(listed.gpu_nano, values[f.COST]))
        token_list = values[f.LIST] - np.minimum(values[f.GPU_COST], values[f.LIST])
        values[f.LIST_INPUT] = np.where(known, listed.input_nano, token_list)
        values[f.LIST_UNCACHED] = np.where(known, listed.uncached_nano, token_list)
        values[f.UNPRICED] = np.where(~told & ~known, np.maximum(values[f.REQUESTS], 1), 0)
        return values

    def _cut(
        self, rows: Frame, partition: int, span: tuple[int, int], high: int, deployments: list[DeploymentEvent]
    ) -> dict[int, Frame]:
        """One frame for each shard."""
        shard_of_key = np.array([self.shard_of(k[1]) for k in rows.keys], np.int32)
        shard = shard_of_key[rows.key] if len(rows) else np.zeros(0, np.int32)
        frames = {}
        for number in range(self.settings.shards):
            own = np.flatnonzero(shard == number)
            used, key = np.unique(rows.key[own], return_inverse=True)
            frames[number] = Frame(
                partition, *span, high, [rows.keys[k] for k in used], key.astype(np.int32), rows.offset[own],
                rows.minute[own], rows.high[own], rows.identity[own], rows.values[:, own],
                [d for d in deployments if self.shard_of(d.service) == number],
            )  # fmt: skip
        return frames


def _key(event: UsageEvent) -> Key:
    return (
        event.team, event.service, event.environment, event.initiative, event.principal, event.provider, event.model,
        event.source,
    )  # fmt: skip


def _bad_content(event: UsageEvent) -> tuple[str, str] | None:
    if event.cached_input_tokens + event.cache_write_tokens > event.input_tokens:
        return "cached_above_input", (
            f"cached {event.cached_input_tokens} + cache writes {event.cache_write_tokens} "
            f"> input {event.input_tokens}: "
            "input_tokens includes both"
        )
    if event.reasoning_tokens > event.output_tokens:
        return "reasoning_above_output", (
            f"reasoning {event.reasoning_tokens} > output {event.output_tokens}: output_tokens includes reasoning"
        )
    if event.errors > event.requests:
        return (
            "errors_above_requests",
            f"errors {event.errors} > requests {event.requests}: requests includes failed ones",
        )
    return None


def _reject(message: RawMessage, mistake: Mistake) -> Reject:
    return Reject(
        message.kind, message.partition, message.offset, mistake.index, mistake.code, mistake.detail, message.payload
    )


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def identity_of(sources: list[str], ids: list[str]) -> NDArray[np.uint64]:
    """64-bit hashes of (source, id), the same everywhere and for ever; one pass over columns of 8-byte words.

    Examples
    --------
    >>> one, two = identity_of(["a", "a"], ["x", "y"])
    >>> bool(one != two), bool(one == identity_of(["a"], ["x"])[0])
    (True, True)
    """
    if not ids:
        return np.zeros(0, np.uint64)
    names = [f"{source}\x00{name}".encode(errors="surrogatepass") for source, name in zip(sources, ids, strict=True)]
    width = -(-max(map(len, names)) // 8) * 8
    words = np.array(names, f"S{width}").view(np.uint64).reshape(len(names), -1)
    place = np.arange(1, words.shape[1] + 1, dtype=np.uint64) * _GOLDEN
    mixed = np.where(words == 0, np.uint64(0), _mix(words + place))
    return _mix(mixed.sum(axis=1, dtype=np.uint64))


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return Steele, Lea and Flood's SplitMix64 finaliser."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
