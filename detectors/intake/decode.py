"""Bytes to events: one event, a JSON array of them, NDJSON, or a CloudEvents 1.0 envelope of either.

A bad event costs itself only: its neighbours are kept, and it is rejected with the place and the reason.
"""

from __future__ import annotations

import json
import re
from typing import Generic, Literal, TypeVar, get_args

import msgspec

from detectors.events import DeploymentEvent, Feedback, UsageEvent

_SPACE = re.compile(r"[ \t\r\n]*")
_NOT_A_NUMBER = re.compile(rb":\s*-?(NaN|Infinity)\b")
_NO_EVENTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

E = TypeVar("E", UsageEvent, DeploymentEvent, Feedback)


Reason = Literal[
    "not_json",
    "missing_field",
    "wrong_type",
    "out_of_range",
    "bad_time",
    "future_time",
    "too_old",
    "cached_above_input",
    "reasoning_above_output",
    "errors_above_requests",
    "unknown_alert",
    "oversized",
    "poisonous",
]
"""Why an event may be refused."""
REASONS: tuple[Reason, ...] = get_args(Reason)


class Mistake(msgspec.Struct, frozen=True):
    """Why one event of a message was refused: its index in the message, a short code, a sentence, its own bytes."""

    index: int
    code: Reason
    detail: str
    item: bytes | None = None


class _Envelope(msgspec.Struct):
    """What is looked at of a CloudEvents 1.0 envelope in structured mode."""

    specversion: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    id: str | None = None
    source: str | None = None
    time: str | None = None


class Reader(Generic[E]):
    """Reads messages of one kind of event.

    Examples
    --------
    >>> reader = Reader(UsageEvent)
    >>> events, mistakes = reader.read(b'{"id": "a"}')
    >>> mistakes[0].code, mistakes[0].detail
    ('missing_field', 'Object missing required field `time`')
    """

    def __init__(self, kind: type[E]) -> None:
        self._kind: type[E] = kind
        self._one: msgspec.json.Decoder[E] = msgspec.json.Decoder(kind)
        self._many = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]  # a type made at run time
        self._raw = msgspec.json.Decoder(list[msgspec.Raw])

    def read(self, payload: bytes) -> tuple[list[tuple[int, E]], list[Mistake]]:
        """Return the events of one message with their index in it, and the mistakes."""
        text = payload.strip()
        try:
            if text[:1] == b"[":
                return list(enumerate(self._many.decode(text))), []
            return [(0, self._one.decode(text))], []
        except _NO_EVENTS:
            return self._read_one_by_one(text)

    def items(self, payload: bytes) -> list[bytes]:
        """Return the bytes of each event of a message that was read."""
        return [item for item, _ in self._items(payload.strip())]

    def _read_one_by_one(self, text: bytes) -> tuple[list[tuple[int, E]], list[Mistake]]:
        try:
            items = self._items(text)
        except _NO_EVENTS as error:
            return [], [_mistake(0, error)]
        events: list[tuple[int, E]] = []
        mistakes: list[Mistake] = []
        for index, (item, given) in enumerate(items):
            try:
                events.append((index, self._open(item, given)))
            except _NO_EVENTS as error:
                mistakes.append(_mistake(index, error, item))
        return events, mistakes

    def _items(self, text: bytes) -> list[tuple[bytes, dict[str, object]]]:
        """Return what may be events in a message, each with what its envelope says of it."""
        parts = self._parts(text) if text[:1] == b"[" else [text]
        items: list[tuple[bytes, dict[str, object]]] = []
        for part in parts:
            envelope = _envelope_of(part)
            if envelope is None or envelope.data is msgspec.UNSET:
                items.append((part, {}))
            else:
                data = bytes(envelope.data).strip()
                given = {name: getattr(envelope, name) for name in ("id", "source", "time")}
                inner = self._parts(data) if data[:1] == b"[" else [data]
                items += [(item, given if data[:1] != b"[" else {}) for item in inner]
        return items

    def _parts(self, text: bytes) -> list[bytes]:
        """Return the bytes of each item of an array; one with a NaN, which is no JSON, spoils no other."""
        try:
            return [bytes(part) for part in self._raw.decode(text)]
        except msgspec.DecodeError:
            return _parts_of_lenient(text.decode())

    def _open(self, item: bytes, given: dict[str, object]) -> E:
        """Return the event of an item; what it does not say itself, its envelope may."""
        if not given:
            return self._one.decode(item)
        data = msgspec.json.decode(item)
        known = {name: value for name, value in given.items() if value is not None}
        return msgspec.convert({**known, **data} if isinstance(data, dict) else data, self._kind)


def _parts_of_lenient(text: str) -> list[bytes]:
    """Items of an array as Python writes it, NaN and infinities included."""
    lenient, parts, comma = json.JSONDecoder(), [], 0
    while True:
        start = _after_space(text, comma + 1)
        try:
            _, end = lenient.raw_decode(text, start)
        except ValueError as error:
            raise msgspec.DecodeError(str(error)) from error
        parts.append(text[start:end].encode())
        comma = _after_space(text, end)
        if text[comma : comma + 2] == "]":
            return parts
        if text[comma : comma + 1] != ",":
            raise msgspec.DecodeError(f"JSON is malformed: expected `,` or `]` (char {comma})")


def _after_space(text: str, start: int) -> int:
    return start + len(_SPACE.match(text, start).group())  # type: ignore[union-attr]  # it matches nothing at all, too


def _envelope_of(item: bytes) -> _Envelope | None:
    if b'"specversion"' not in item:
        return None
    try:
        return msgspec.json.decode(item, type=_Envelope)
    except msgspec.ValidationError:
        return None  # an event that has the word somewhere in it


def _mistake(index: int, error: Exception, item: bytes | None = None) -> Mistake:
    detail = str(error)
    if not isinstance(error, msgspec.ValidationError):
        cure = ": JSON has no NaN and no Infinity, leave such a field out" if _NOT_A_NUMBER.search(item or b"") else ""
        return Mistake(index, "not_json", detail + cure, item)
    if "datetime" in detail:
        return Mistake(index, "bad_time", f"{detail}: write it like 2026-10-01T00:00:00Z", item)
    if "matching regex" in detail and "alert_id" in detail:
        return Mistake(
            index, "unknown_alert", f"{detail}: take the id as the alert says it, such as bw-0123456789abcdef"
        )
    if "missing required field" in detail:
        return Mistake(index, "missing_field", detail, item)
    if ">=" in detail or "<=" in detail or "of length" in detail or "out of range" in detail:
        return Mistake(index, "out_of_range", detail, item)
    return Mistake(index, "wrong_type", detail, item)
